"""What a judgement says beside its decision, and that it is read back as it was."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO, StrategyResult
from reinforcestrategycreator_pipeline.backtesting.run import trades_frame
from reinforcestrategycreator_pipeline.verdict import judgement as of
from reinforcestrategycreator_pipeline.verdict.chance import Chance
from reinforcestrategycreator_pipeline.verdict.judgement import Judgement, judge
from reinforcestrategycreator_pipeline.verdict.thresholds import Thresholds


def result_of(sharpe, name="it", symbol="A", freq="D", n=400):
    """Noise whose annualized Sharpe ratio is exactly this, by its own clock."""
    stamps = pd.date_range("2020-01-01", periods=n + 1, freq=freq, tz="UTC")
    per_year = n / ((stamps[-1] - stamps[0]) / pd.Timedelta(days=365.25))
    noise = np.random.default_rng(len(name)).normal(size=n)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    returns = 0.01 * (sharpe / np.sqrt(per_year) + noise)
    equity = 100.0 * np.concatenate([[1.0], 1.0 + returns]).cumprod()
    zeros = np.zeros(n)
    return StrategyResult(name, symbol, stamps, equity, zeros, zeros, zeros, trades_frame([]))


def judged(portfolio, asset, **options):
    results = {PORTFOLIO: {"it": portfolio}, "A": {"it": asset}}
    return judge(results, "it", "", Thresholds(), {PORTFOLIO: None, "A": 12.5}, **options)


@pytest.mark.parametrize(
    ("freq", "limit", "sharpe", "flagged"),
    [
        ("D", 4.0, 3.95, False),
        ("D", 4.0, 4.05, True),
        ("7D", 3.0, 2.95, False),
        ("7D", 3.0, 3.05, True),
        ("6h", 5.7, 4.5, False),  # four bars a day: 4 * sqrt(2), about
        ("6h", 5.7, 6.0, True),
    ],
)
def test_a_ratio_too_good_to_be_true_is_flagged_by_bar_length(freq, limit, sharpe, flagged):
    found = judged(result_of(sharpe, freq=freq), result_of(0.0, freq=freq)).notes
    assert len(found) == flagged
    for note in found:
        assert f"a Sharpe ratio of {sharpe:.2f} on the portfolio (above {limit:.1f} for" in note
        assert "knows the future" in note


def test_an_asset_is_flagged_if_the_portfolio_hides_it():
    [note] = judged(result_of(1.0), result_of(8.0)).notes
    assert "a Sharpe ratio of 8.00 on A (" in note


def test_each_asset_is_annualized_by_its_own_clock(tmp_path):
    found = judged(result_of(1.0), result_of(2.0, freq="7D"), notes=("The policy is one.",))
    assert found.periods_per_year == {
        PORTFOLIO: pytest.approx(365.25),
        "A": pytest.approx(365.25 / 7),
    }
    assert found.value(PORTFOLIO, "it", "sharpe").value == pytest.approx(1.0)
    assert found.value("A", "it", "sharpe").value == pytest.approx(2.0)
    found.write(tmp_path / "metrics.json")
    again = Judgement.read(tmp_path / "metrics.json")
    assert replace(again, infos=found.infos) == found


def test_the_share_of_luck_is_that_of_the_p_value_and_the_prior(tmp_path):
    """Five years, a Sharpe ratio of 1: .05 * .9 / (.05 * .9 + .1 * F(5^.5 - 1.6449))."""
    year = 365.25
    chance = Chance((), 500, 1.6449, 0.05, 1.6449, ())
    tested = of.Tested(chance, 0.05, 1, {})
    found = judged(result_of(1.0, n=1826), result_of(1.0, n=1826), tested=tested)
    assert found.periods_per_year[PORTFOLIO] == pytest.approx(year)
    power = 0.5 * math.erfc(-(math.sqrt(1826 / year) - 1.644854) / math.sqrt(2.0))
    assert found.false_discoveries == pytest.approx(0.045 / (0.045 + 0.1 * power), abs=1e-6)
    found.write(tmp_path / "metrics.json")
    stored = json.loads((tmp_path / "metrics.json").read_text())["false_discoveries"]
    assert stored == {"rate": found.false_discoveries, "prior": 0.1, "sharpe": 1.0}
    assert judged(result_of(1.0), result_of(1.0)).false_discoveries is None
