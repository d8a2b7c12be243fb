"""The statistics of the verdict against foreign packages: as frozen, and where installed."""

import functools
import json

import numpy as np
import pytest
from foreign import FROZEN
from foreign_statistics import (
    DRAWS,
    FIGURES,
    P_VALUES,
    PACKAGES,
    blocks_of,
    excess_of,
    key,
)

from reinforcestrategycreator_pipeline.statistics.combine import stouffer
from reinforcestrategycreator_pipeline.statistics.detectable import bars_needed, smallest_strength
from reinforcestrategycreator_pipeline.statistics.stepdown import adjusted_p_values


@functools.cache
def frozen():
    return json.loads((FROZEN / "statistics.json").read_text("utf-8"))


@pytest.fixture(params=["frozen", "installed"])
def theirs(request):
    """Return what a foreign package makes of a case."""

    def find(name, case):
        if request.param == "frozen":
            return frozen()[name][key(case)]
        package, make, _ = FIGURES[name]
        pytest.importorskip(PACKAGES[package], reason=f"{package} is of the extra 'oracles'")
        return make(case)

    return find


def cases(name):
    return pytest.mark.parametrize("case", FIGURES[name][2], ids=key)


@cases("stouffer")
def test_stouffer_is_that_of_scipy(theirs, case):
    p, weights = map(np.array, P_VALUES[case])
    found = [stouffer(p), stouffer(p, weights)]
    np.testing.assert_allclose(found, theirs("stouffer", case), rtol=1e-12)


@cases("bars_needed")
def test_bars_needed_are_those_of_statsmodels(theirs, case):
    expected = theirs("bars_needed", case)
    assert bars_needed(*case) == pytest.approx(expected, rel=1e-12)
    strength, alpha, power = case
    assert smallest_strength(expected, alpha, power) == pytest.approx(strength, rel=1e-12)


@cases("stepdown")
def test_stepdown_is_that_of_holdout_backtest(theirs, case):
    """It divides by the deviation of the draws alone (ddof 1), and does not count the data."""
    x, times = excess_of(*case), blocks_of(*case[:2])
    centered = x[times].mean(axis=1) - x.mean(axis=0)
    scale = (x[times].mean(axis=1)).std(axis=0, ddof=1)
    expected = theirs("stepdown", case)
    np.testing.assert_allclose(x.mean(axis=0) / scale, expected["statistics"], rtol=1e-9)
    found = adjusted_p_values(x.mean(axis=0) / scale, centered / scale, studentize=False)
    shares = np.array(expected["shares"])
    np.testing.assert_allclose(found, (1 + DRAWS * shares) / (1 + DRAWS), rtol=1e-9)
