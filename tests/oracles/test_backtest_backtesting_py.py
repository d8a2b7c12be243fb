"""Equity against backtesting.py: against its frozen figures, and where it is installed."""

import pytest
from foreign import HALVES, LONG, SEEDS, backtesting_case, oracle

from reinforcestrategycreator_pipeline.execution.costs import CostConfig

pytestmark = pytest.mark.filterwarnings(
    # Its note that positions open at the end are not in its list of trades; the equity has them.
    "ignore:Some trades remain open at the end of backtest:UserWarning",
    # Its statistics, with pandas 3.1.
    "ignore:DatetimeIndex.dayofweek is deprecated:DeprecationWarning",
)


@pytest.fixture(params=["frozen", "installed"])
def theirs(request):
    return oracle("backtesting", request.param)


@pytest.mark.parametrize("seed", SEEDS[LONG])
def test_long_or_flat_with_commission(theirs, seed):
    case = backtesting_case(LONG, seed)
    assert theirs(case).worst(case.equity()) < 1e-7


@pytest.mark.parametrize("seed", SEEDS[HALVES])
def test_shorts_and_halves_without_costs(theirs, seed):
    case = backtesting_case(HALVES, seed)
    assert theirs(case).worst(case.equity()) < 1e-7


def test_a_tenth_of_a_basis_point_is_seen(theirs):
    case = backtesting_case(LONG, 0)
    wrong = case.equity(costs=CostConfig(10.1, 0.0, 0.0, 0.0, 0.0))
    assert theirs(case).worst(wrong) > 1e-6
