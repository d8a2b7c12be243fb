"""Equity against vectorbt, to 1e-9 relative, on real prices: its ledger, its fees, its slippage.

Against its frozen figures always, and against the package where it is installed: importing that
takes seconds and compiling it, once after an install, most of a minute.
"""

import numpy as np
import pytest
from foreign import (
    BARS,
    BY_SHARES,
    HOLD,
    LONG_OR_FLAT,
    WITHOUT_COSTS,
    oracle,
    vectorbt_case,
)

from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.testing.trading_cases import asset_of


@pytest.fixture(params=["frozen", pytest.param("installed", marks=pytest.mark.slow)])
def theirs(request):
    return oracle("vectorbt", request.param)


@pytest.fixture(params=BARS)
def bars(request):
    return request.param


def assert_same(theirs, case):
    assert theirs(case).worst(case.equity()) < 1e-9


@pytest.mark.parametrize("kind", LONG_OR_FLAT)
def test_long_or_flat_with_costs(theirs, bars, kind):
    """A purchase for all the money is limited by the cash, so that costs come out of it."""
    assert_same(theirs, vectorbt_case(bars, kind))


def test_buy_and_hold_with_costs(theirs, bars):
    assert_same(theirs, vectorbt_case(bars, HOLD))


@pytest.mark.parametrize("kind", WITHOUT_COSTS)
def test_any_grid_without_costs(theirs, bars, kind):
    assert_same(theirs, vectorbt_case(bars, kind))


@pytest.mark.parametrize("kind", BY_SHARES)
def test_any_grid_with_costs_by_numbers_of_shares(theirs, bars, kind):
    assert_same(theirs, vectorbt_case(bars, kind))


def test_one_basis_point_of_cost_is_seen(theirs, bars):
    case = vectorbt_case(bars, "long or flat, stay 0.0")
    wrong = case.equity(costs=CostConfig(2.0, 4.0, 3.01, 0.0, 0.0))
    assert theirs(case).worst(wrong) > 1e-9


def test_fill_at_the_close_is_seen(theirs, bars):
    case = vectorbt_case(bars, "without costs (-1.0, 0.0, 1.0)")
    right = case.bars
    at_close = asset_of(np.concatenate([right.open[:1], right.close[:-1]]), right.close)
    assert theirs(case).worst(case.equity(bars=at_close)) > 1e-3
