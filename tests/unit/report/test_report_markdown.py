"""The verdict's words, and the Markdown form against a golden text."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import METRICS
from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtesting.results import StrategyResult
from reinforcestrategycreator_pipeline.market.sources.sample import SampleSource
from reinforcestrategycreator_pipeline.reporting import markdown
from reinforcestrategycreator_pipeline.reporting.contents import contents
from reinforcestrategycreator_pipeline.reporting.data import ReportData
from reinforcestrategycreator_pipeline.reporting.markdown import fenced, plain
from reinforcestrategycreator_pipeline.reporting.words import portfolio_note, tiles, verdict
from reinforcestrategycreator_pipeline.statistics.sharpe import sharpe_standard_error
from reinforcestrategycreator_pipeline.verdict.decision import Check

GOLDEN = Path(__file__).with_name("golden_report.md")
STAMPS = pd.DatetimeIndex(["2020-01-30", "2020-01-31", "2020-02-28", "2020-03-31"], tz="UTC")


def render_markdown(data):
    return markdown.render_markdown(contents(data))


def tiny(kit, **changes):
    """Three bars, one asset: 100 -> 110 -> 99 -> 121 against a flat 100."""

    def result(name, equity, exposure, trades):
        ones = np.array(exposure, dtype=float)
        return StrategyResult(
            name, "X|Y", STAMPS, np.array(equity, dtype=float), ones, ones, ones, trades
        )

    row = ("X|Y", "long", STAMPS[1], STAMPS[3], 10.0, 12.1, 1.0, 3, 21.0, 0.21, 3.0, True)
    results = {
        "X|Y": {
            "ridge": result("ridge", [100, 110, 99, 121], [1, 1, 1], kit.trades_frame([row])),
            "buy and hold": result(
                "buy and hold", [100, 100, 100, 100], [0, 0, 0], kit.trades_frame()
            ),
        }
    }
    keys = ("total_return", "annual_return", "sharpe", "max_drawdown", "win_rate", "costs_paid")
    data = ReportData(
        run_id="run_1",
        seed=3,
        created="2026-01-01T00:00:00+00:00",
        version="0.1.0",
        config_yaml="seed: 3\n",
        spans={"test": (STAMPS[0], STAMPS[-1])},
        bar_counts={"test": 3},
        costs={"commission_bps": 1.0},
        positions=(0.0, 1.0),
        features=("return_1",),
        lookback=1,
        results=results,
        judgement=kit.judged(
            results, 3.0, keys, [Check("Sharpe ratio", "at least 1", "0.72", False)]
        ),
        prices={},
        history=pd.DataFrame({"step": [1, 2, 3, 4], "loss": [4.0, 3.0, 2.0, 1.0]}),
        notes=("1 duplicate row of <X> was dropped.",),
        provenance={"source": "csv"},
        loss_floor=0.5,
    )
    return kit.replace(data, **changes)


def test_golden(report_kit):
    """The file was written and checked by hand: 21% in the one year of three bars, and so on."""
    assert render_markdown(tiny(report_kit)) == GOLDEN.read_text(encoding="utf-8")


def test_verdict_names_both_returns_and_the_failed_threshold(report_kit):
    words = verdict(tiny(report_kit))
    # Returns 10%, -10%, 22/99 = 22.2%: mean 7.407%, sd 16.268%, times sqrt(3).
    sharpe = np.mean([0.1, -0.1, 22 / 99]) / np.std([0.1, -0.1, 22 / 99], ddof=1) * math.sqrt(3)
    assert words.finding == (
        "On the held-out test bars (2020-01-30 to 2020-03-31, 3 bars), the policy's annual return "
        "on X|Y, net of costs, was 21.00% (buy and hold: 0.00%); its Sharpe ratio was "
        f"{sharpe:.2f} (buy and hold: undefined, zero variance). Not promoted. "
        "The only check failed: Sharpe ratio 0.72 (at least 1)."
    )
    assert "the result may be luck" in words.caveat
    assert "statistically indistinguishable from zero" in words.caveat


def test_luck_is_mentioned_even_when_the_ratio_is_significant(report_kit, report_data):
    words = verdict(report_data)
    assert "the result may be luck" in words.caveat
    assert "confirm it on other markets" in words.caveat


def test_standard_error_by_simulation():
    """Lo's formula against the spread of 4,000 estimated ratios of normal returns."""
    rng = np.random.default_rng(0)
    returns = rng.normal(0.02, 0.1, (4000, 250))
    ratios = returns.mean(1) / returns.std(1, ddof=1) * math.sqrt(252)
    expected = sharpe_standard_error(0.2 * math.sqrt(252), 250, 252)
    assert ratios.std() == pytest.approx(expected, rel=0.04)


def test_tiles_compare_with_buy_and_hold_and_the_oracle(report_data):
    shown = {tile.label: tile for tile in tiles(report_data)}
    own = report_data.judgement.metrics["PORTFOLIO"]["ridge"]
    assert shown["Annual return"].text == f"{own['annual_return'].value:.2%}"
    best = report_data.judgement.metrics["PORTFOLIO"]["oracle"]["log_growth"].value
    assert shown["Share of the oracle"].text == f"{own['log_growth'].value / best:.1%}"


def test_names_are_escaped(report_kit):
    evil = "a|b<script>*x*\n# no"
    text = render_markdown(tiny(report_kit, run_id=evil, notes=(evil,), config_yaml="```\nx"))
    assert "<script>" not in text
    assert "a\\|b&lt;script&gt;\\*x\\* # no" in text
    assert "````yaml\n```\nx\n````" in text


def test_plain_and_fenced():
    assert plain("a_b & c") == "a\\_b &amp; c"
    assert fenced("x", "yaml") == "```yaml\nx\n```"


def test_all_assets_are_in(report_data):
    text = render_markdown(report_data)
    for name in ("portfolio", *report_data.symbols):
        assert f"## Metrics: {name}\n" in text
    assert "— (zero variance)" in text


@pytest.mark.parametrize(
    "page", ["README.md", "docs/reference/metrics.md", "docs/tutorial/read-a-report.md"]
)
def test_the_pages_give_the_standard_error_of_the_default_run(page):
    """By the report's own function, from the clock of the sample's last 1,514 bars."""
    frame = SampleSource(symbols=("IBM",)).load(np.random.default_rng(0)).bars["IBM"]
    periods = infer_periods_per_year(pd.DatetimeIndex(frame.index[-1515:]))
    text = (Path(__file__).parents[3] / page).read_text(encoding="utf-8")
    assert f"is about {sharpe_standard_error(0.72, 1_514, periods):.2f}" in text


def test_docs_define_every_metric():
    docs = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
    text = docs.read_text(encoding="utf-8")
    for name in METRICS:
        assert f"`{name}`" in text, name


def test_the_report_says_whether_and_when_the_portfolio_is_rebalanced(report_kit):
    """651 weekdays from Monday 2010-08-02: 130 later Mondays, the last is 2013-01-28."""
    data = report_kit.build(symbols=("AAPL", "IBM"))
    start = "equal money for each asset at the start, in accounts of their own"
    ends = {symbol: data.results[symbol]["ridge"].equity[-1] for symbol in ("AAPL", "IBM")}
    (low, small), (high, large) = sorted(ends.items(), key=lambda item: item[1])
    never = (
        f"{start}; weights are not rebalanced; at the end they are from "
        f"{small / (small + large):.1%} ({low}) to {large / (small + large):.1%} ({high})"
    )
    assert f"| Portfolio | {never} |" in render_markdown(data)
    alone = report_kit.build(symbols=("AAPL",))
    one = portfolio_note(alone)
    assert one == f"{start}; weights are not rebalanced"
    one = portfolio_note(report_kit.replace(alone, rebalance="weekly"))
    assert one == f"{start}; with one asset there is nothing to rebalance"
    weekly = report_kit.replace(data, rebalance="weekly")
    said = (
        f"{start}, which are made equal again weekly, at the open of a bar that all assets have: "
        "130 times from 2010-08-09 to 2013-01-28. The result of one asset is that of an account "
        "that no money enters or leaves"
    )
    assert portfolio_note(weekly) == said
    assert f"| Portfolio | {said} |" in render_markdown(weekly)
    assert "again every 7 bars, at" in portfolio_note(report_kit.replace(data, rebalance=7))
    often = portfolio_note(report_kit.replace(data, rebalance=1))
    assert "again at every bar, at the open of a bar that all assets have: 650 times" in often
    rare = portfolio_note(report_kit.replace(data, rebalance=651))
    assert "at the open of a bar that all assets have: which never fell due here. " in rare


def test_a_symbol_that_ends_early_ends_the_rebalancing_and_the_report_says_so(report_kit):
    data = report_kit.build(symbols=("AAPL", "IBM"))
    whole = data.results["IBM"]["ridge"]
    part = dataclasses.replace(whole, timestamps=whole.timestamps[:101])
    results = {**data.results, "IBM": {**data.results["IBM"], "ridge": part}}
    note = portfolio_note(report_kit.replace(data, results=results, rebalance="weekly"))
    assert (
        "20 times from 2010-08-09 to 2010-12-20, and not after IBM's last bar, 2010-12-20" in note
    )
