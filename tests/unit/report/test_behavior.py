"""What the policy does: importance beside backtests, responses and trades by hand, the file."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from payload import payload_of
from test_report_html import Page, render_html

from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.envs.span import AssetBars, MarketSpan, TradingRules
from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.policies.base import Policy
from reinforcestrategycreator_pipeline.policies.walk_forward import WalkForward
from reinforcestrategycreator_pipeline.reporting.behavior import importance
from reinforcestrategycreator_pipeline.reporting.behavior.found import Behavior, Bin
from reinforcestrategycreator_pipeline.reporting.behavior.importance import importances
from reinforcestrategycreator_pipeline.reporting.behavior.largest import largest_trades, moments_of
from reinforcestrategycreator_pipeline.reporting.behavior.measured import behavior
from reinforcestrategycreator_pipeline.reporting.behavior.responses import response
from reinforcestrategycreator_pipeline.reporting.behavior.words import (
    importance_note,
    importance_rows,
    trade_rows,
)
from reinforcestrategycreator_pipeline.reporting.charts.behavior import tenths
from reinforcestrategycreator_pipeline.reporting.contents import contents
from reinforcestrategycreator_pipeline.reporting.markdown import render_markdown

INPUTS = Inputs(("sign", "idle"))
DAY = 86_400 * 10**9


@dataclass(frozen=True, eq=False, repr=False)
class BySign(Policy):
    """Long if the first feature is positive; it reads prices, too, if it is asked to."""

    past: int = 0

    @property
    def history(self) -> int:
        return self.past

    def choose(self, features, bars):
        if self.past:
            assert len(bars["close"]) == len(features)
        return np.repeat((features[:, :1] > 0).astype(np.int64), 2, axis=1)


def span_of(n=200, assets=2, seed=1):
    rng = np.random.default_rng(seed)
    found = []
    for k in range(assets):
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
        found.append(
            AssetBars(
                f"S{k}",
                np.arange(n, dtype=np.int64) * DAY,
                close * np.exp(rng.normal(0, 0.001, n)),
                close,
                rng.normal(size=(n, 2)),
            )
        )
    return MarketSpan(tuple(found), INPUTS, TradingRules())


def backtest(policies, asset, span):
    return run_backtest("x", asset, policies.targets(asset), span.rules.costs, 100.0)


def policies_of(span, past=0, windows=2):
    own = BySign((0.0, 1.0), INPUTS, past)
    n = len(span.assets[0].times)
    starts = tuple(int(span.assets[0].times[k * n // windows]) for k in range(windows))
    return WalkForward((own,) * windows, starts)


@pytest.mark.parametrize("past", [0, 1])
def test_importance_is_that_of_a_backtest_on_permuted_features(past):
    span = span_of(assets=1)
    policies = policies_of(span, past, windows=1)
    found = importances(policies, span, np.random.default_rng(9), most_rows=400)
    assert found[1:] == (199, 1, 1)
    rng = np.random.default_rng(9)
    rng.permutation(1)
    order, asset = rng.permutation(199), span.assets[0]
    features = asset.features.copy()
    features[:199, 0] = features[order, 0]
    permuted = replace(span, assets=(replace(asset, features=features),))
    ends, targets = [], []
    for each in (span, permuted):
        result = backtest(policies, each.assets[0], span)
        ends.append(np.log(result.equity[-1] / result.equity[0]))
        targets.append(result.exposure)
    own = found.features["sign"]
    assert own.growth == pytest.approx(ends[1] - ends[0], rel=1e-9)
    assert own.changed == np.mean(targets[0] != targets[1])
    assert own.sd is None
    idle = found.features["idle"]
    assert (idle.changed, idle.growth) == (0.0, 0.0)


def test_of_very_many_bars_the_newest_are_permuted(monkeypatch):
    monkeypatch.setattr(importance, "NEWEST", 2)
    span = span_of(assets=1)
    asset, last = span.assets[0], slice(-50, None)
    newest = AssetBars(
        *("S0", asset.times[last], asset.open[last], asset.close[last], asset.features[last])
    )
    policies = policies_of(span)
    found = importances(policies, span, np.random.default_rng(9), most_rows=100)
    alone = replace(span, assets=(newest,))
    expected = importances(policies, alone, np.random.default_rng(9), most_rows=100)
    assert found == expected
    assert found[1:] == (49, 1, 1)


def test_many_rows_need_fewer_permutations_then_fewer_assets():
    span = span_of(n=101, assets=4)
    policies = policies_of(span)
    each = 2 * 101
    for most, expected in (
        (10**6, (400, 4, 5)),
        (each * 4 * 4, (400, 4, 4)),
        (each * 3 * 2, (200, 2, 3)),
        (each * 2, (100, 1, 2)),
        (10, (100, 1, 1)),
    ):
        found = importances(policies, span, np.random.default_rng(0), most)
        assert found[1:] == expected
        assert 0.3 < found.features["sign"].changed < 0.7  # of independent signs, half differ
        assert found.features["idle"].changed == 0.0
    again = [importances(policies, span, np.random.default_rng(s)).features for s in (0, 0, 1)]
    assert again[0] == again[1] != again[2]


def test_a_policy_without_features_has_no_importance():
    span = replace(span_of(), inputs=Inputs(()))
    assert importances(policies_of(span_of()), span, np.random.default_rng(0))[0] == {}


def test_responses_by_hand():
    values = np.arange(20.0)
    exposure = (values >= 10).astype(float)
    advantage = np.where(values < 2, np.nan, values)
    found = response(values, exposure, advantage)
    assert len(found) == 10
    assert found[0] == Bin(0.5, 2, 0.0, None)
    assert found[5] == Bin(10.5, 2, 1.0, 10.5)
    assert response(values, exposure)[5].advantage_bps is None
    assert response(np.empty(0), np.empty(0)) == ()


def test_equal_values_share_a_bin():
    values = np.array([0.0] * 70 + [1.0] * 30)
    found = response(values, values)
    assert [(each.value, each.count) for each in found] == [(0.0, 70), (1.0, 30)]
    assert [each.value for each in tenths(found)] == [0.0] * 7 + [1.0] * 3


def trades_of(span):
    stamps = span.assets[0].timestamps
    rows = [
        ("S0", "long", stamps[5], stamps[9], 1.0, 1.0, 1.0, 4, 10.0, 0.10, 1.0, False),
        ("S1", "short", stamps[120], stamps[150], 1.0, 1.0, -1.0, 30, -30.0, -0.30, 2.0, True),
        ("S0", "long", stamps[20], stamps[21], 1.0, 1.0, 1.0, 1, 1.0, 0.01, 1.0, False),
    ]
    names = "symbol side entry_time exit_time entry_price exit_price exposure bars pnl return"
    return pd.DataFrame(rows, columns=[*names.split(), "costs", "open"])


def test_the_largest_trades_and_what_stood_out():
    span = span_of()
    span.assets[1].features[119] = (3.0, -8.0)  # the close before the bar of the entry
    policies = policies_of(span)
    early, late = moments_of(span_of(seed=2)), moments_of(span_of(seed=3))
    found = largest_trades(trades_of(span), span, policies.starts, (early, late))
    assert [trade.symbol for trade in found] == ["S1", "S0", "S0"]
    first = found[0]
    assert first.log_gain == pytest.approx(np.log(0.7))
    assert first.decided == span.assets[1].timestamps[119].isoformat()
    assert [(seen.feature, seen.value) for seen in first.seen] == [("idle", -8.0), ("sign", 3.0)]
    assert first.seen[0].z == pytest.approx((-8.0 - late.mean[1]) / late.sd[1])
    assert found[1].seen[0].z in [
        pytest.approx((span.assets[0].features[4, f] - early.mean[f]) / early.sd[f])
        for f in range(2)
    ]
    assert (first.advantage_bps, first.spread_bps) == (None, None)
    told = trades_of(span).assign(advantage_bps=[1.0, 2.5, np.nan], spread_bps=[1.0, 0.5, np.nan])
    first, _, last = largest_trades(told, span, policies.starts, (early, late))
    assert (first.advantage_bps, last.advantage_bps) == (2.5, None)
    [row, *_] = trade_rows(replace(measured(), trades=(first,)), daily=True)
    assert row[:3] == ("S1 short", "1970-04-30", "1970-05-31 (open)")
    assert row[5:9] == ("-0.357 (-30%)", "-30", "2", "2.5 (spread 0.5)")
    assert row[9].startswith("idle -8 (-8.")


def test_a_lost_account_is_no_largest_trade():
    span = span_of()
    trades = trades_of(span)
    trades.loc[0, "return"] = -1.0
    moments = (moments_of(span),) * 2
    found = largest_trades(trades, span, policies_of(span).starts, moments)
    assert [trade.symbol for trade in found] == ["S1", "S0"]


def test_moments_are_those_of_all_bars_together():
    span = span_of(assets=3)
    together = np.concatenate([asset.features for asset in span.assets])
    found = moments_of(span)
    np.testing.assert_allclose(found.mean, together.mean(axis=0))
    np.testing.assert_allclose(found.sd, together.std(axis=0))


def measured():
    span = span_of()
    policies = policies_of(span)
    results = {asset.symbol: {"x": backtest(policies, asset, span)} for asset in span.assets}
    results[PORTFOLIO] = results["S0"]
    return behavior(policies, span, results, "x", (span, span), np.random.default_rng(4))


def test_the_file_restores_it(tmp_path):
    found = measured()
    assert len(found.trades) == 5
    path = tmp_path / "behavior.json"
    found.write(path)
    assert Behavior.read(path) == found
    path.write_text('{"responses": {}}')
    with pytest.raises(RunError, match=r"behavior\.json: cannot be read"):
        Behavior.read(path)


def test_it_is_in_the_pages(report_data):
    found = measured()
    data = replace(report_data, behavior=found)
    page = Page(render_html(data))
    text = "".join(page.text)
    assert importance_note(found) in text
    drawn = payload_of(page.scripts[0])["run"]
    assert drawn["importance"]["layout"]["yaxis"]["ticktext"] == ["sign", "idle"]
    assert np.shape(drawn["response"]["data"][0]["z"]) == (2, 10)
    assert "response_advantage" not in drawn  # the policy does not say
    markdown = render_markdown(contents(data))
    for row in (*importance_rows(found), *trade_rows(found, daily=True)):
        assert row[0] in text
        assert row[0] in markdown
    assert "1 of 2 features change nothing." in text


def test_pages_of_older_runs_lack_it(report_data):
    assert report_data.behavior is None
    text = "".join(Page(render_html(report_data)).text)
    assert "What the policy does" not in text
    assert "The largest trades" not in text
