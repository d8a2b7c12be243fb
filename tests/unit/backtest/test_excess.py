"""A policy against buy and hold: what market beta is, and what is not."""

import json

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.backtesting.excess import Excess, excess_over
from reinforcestrategycreator_pipeline.backtesting.results import StrategyResult
from reinforcestrategycreator_pipeline.backtesting.run import trades_frame
from reinforcestrategycreator_pipeline.reporting.words import hold_note


def result_of(returns, name="it"):
    equity = 100.0 * np.concatenate([[1.0], 1.0 + np.asarray(returns)]).cumprod()
    stamps = pd.date_range("2020-01-01", periods=len(equity), tz="UTC")
    nothing = np.zeros(len(equity) - 1)
    return StrategyResult(name, "A", stamps, equity, nothing, nothing, nothing, trades_frame([]))


def market(n=500, seed=0, drift=0.0008):
    return drift + np.random.default_rng(seed).normal(0, 0.01, n)


def test_half_the_market_is_beta_and_no_alpha():
    """Sharpe ratios of both are equal and, in a rising market, above 1; the excess is negative."""
    hold = market()
    found = excess_over(result_of(0.5 * hold), result_of(hold), 252.0)
    assert found.alpha is None  # nothing is left unexplained
    assert found.excess.value == pytest.approx(-0.5 * hold.mean() * 252)
    assert found.excess.p > 0.5


def test_beta_and_alpha_of_what_was_planted():
    hold = market(20_000)
    noise = np.random.default_rng(9).normal(0, 0.002, 20_000)
    found = excess_over(result_of(0.0004 + 0.3 * hold + noise), result_of(hold), 252.0)
    assert found.beta.value == pytest.approx(0.3, abs=0.005)
    assert found.alpha.value == pytest.approx(0.0004 * 252, abs=4 * found.alpha.error)
    assert found.alpha.p < 1e-9


def test_what_cannot_be_compared_says_why():
    hold = result_of(market())
    assert excess_over(hold, hold, 252.0).reason == "the policy is buy and hold"
    assert excess_over(result_of(market(20)), result_of(market(20, 1)), 252.0).reason == (
        "too short: 20 returns, 30 are needed"
    )
    ruined = market()
    ruined[7] = -1.0
    assert excess_over(result_of(ruined), hold, 252.0).reason == "ruined: equity reached zero"
    assert hold_note(Excess(reason="x")) == "The excess over buy and hold is undefined (x)."
    assert hold_note(None) == ""


def test_it_is_read_back_as_it_was():
    found = excess_over(result_of(market(seed=1)), result_of(market()), 252.0)
    assert Excess.from_json(json.loads(json.dumps(found.to_json()))) == found
    nothing = Excess(reason="x")
    assert Excess.from_json(json.loads(json.dumps(nothing.to_json()))) == nothing


def test_words_say_what_is_free():
    worse = excess_over(result_of(market(drift=0.0)), result_of(market(seed=1)), 252.0)
    assert "so it earned no more than what is free; its beta is" in hold_note(worse)
    better = excess_over(result_of(market(drift=0.01)), result_of(market(seed=1)), 252.0)
    assert "which is evidence for more than chance" in hold_note(better)
