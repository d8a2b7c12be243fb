"""The statistics of a search's choice: by hand, of few and odd trials, from the study's files."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_report_html import Page, render_html
from test_report_markdown import render_markdown
from test_search_page import search

from reinforcestrategycreator_pipeline.backtesting.results import TRADE_COLUMNS, StrategyResult
from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.experiments.trial_returns import (
    RETURNS,
    read_returns,
    write_returns,
)
from reinforcestrategycreator_pipeline.experiments.trials import FinishedTrial, trial_dir
from reinforcestrategycreator_pipeline.reporting.search.page import render_study
from reinforcestrategycreator_pipeline.reporting.search.selection import (
    DRAWS,
    Deflated,
    Overfit,
    read_selection,
    select,
)
from reinforcestrategycreator_pipeline.reporting.search.selection_words import (
    NOTE,
    compared,
    selection_rows,
)


def rng(seed=1):
    return np.random.default_rng(seed)


def noise(n=200, m=10, seed=5):
    return np.random.default_rng(seed).normal(0.0, 0.01, (n, m))


def chosen(returns, best=0, early=0, seed=1):
    return select(returns, list(range(returns.shape[1])), best, early, rng(seed))


class TestByHand:
    def test_the_expected_maximum_of_two_opposite_trials(self):
        """Ratios s and -s have the variance 2 s^2, and Euler's .5772 z(1 - 1 / 2e) = .5772 .9003.

        sqrt(2) .5772 .9003 = .7349, in units of s.
        """
        x = noise(m=1)
        found = chosen(np.hstack([x, -x]))
        assert found.deflated.sharpe == pytest.approx(x.mean() / x.std(ddof=1))
        assert found.deflated.expected / abs(found.deflated.sharpe) == pytest.approx(0.7349, 1e-3)
        assert found.deflated.trials == 2

    def test_one_trial_has_a_probabilistic_sharpe_ratio(self):
        x = noise(m=1) + 0.001
        found = chosen(x).deflated
        assert (found.expected, found.trials) == (0.0, 1)
        r = stats.pearsonr(x[:-1, 0], x[1:, 0]).statistic
        error = math.sqrt((1 + 2 * r / (1 - r)) / len(x))
        assert found.probability == pytest.approx(stats.norm.cdf(found.sharpe / error))

    def test_a_sure_gain_is_reached_by_no_draw_and_a_mean_of_0_by_all(self):
        x = noise(m=1)
        centered = x - x.mean()
        centered[-1] -= centered.sum() + 1e-12  # its statistic is max(0, t) = 0
        assert chosen(centered).superior.p == 1.0
        assert chosen(x + 0.1).superior.p == 1 / (1 + DRAWS)

    def test_one_that_is_best_in_every_part_is_never_below_the_median(self):
        x = noise()
        x[:, 3] += 0.05
        assert chosen(x, best=3).overfit == Overfit(0.0, 16)
        assert chosen(x, best=3).overfit.partitions == 12_870
        same = np.repeat(x[:, :1], 8, axis=1)
        assert chosen(same).overfit.probability == 0.5  # all tie, on the median

    def test_many_bars_are_added_up_for_the_bootstrap(self):
        x = noise(n=3_000, m=2)
        one, two = chosen(x).superior, chosen(np.repeat(x / 2, 2, axis=0)).superior
        assert (two.p, two.leader) == (one.p, one.leader)
        assert two.block == pytest.approx(2 * one.block)
        odd = np.vstack([np.repeat(x / 2, 2, axis=0), [[9.0, 9.0]]])
        assert chosen(odd).superior == two


class TestOddTrials:
    def test_trials_that_never_trade_are_no_candidates(self):
        x = noise()
        idle = np.hstack([x, np.zeros((len(x), 3))])
        plain, beside = chosen(x), chosen(idle)
        assert beside.superior.p == pytest.approx(plain.superior.p, abs=0.02)
        assert beside.deflated == plain.deflated
        flat = chosen(np.zeros((200, 9)))
        assert flat.superior.leader == -1
        assert flat.overfit == "the returns of no trial vary"
        assert flat.deflated == "the returns of the best trial do not vary"
        assert [row.text for row in selection_rows(flat)] == ["—"] * 3

    def test_few_bars_and_few_trials_are_reasons(self):
        assert chosen(noise(n=29)).superior == "29 bars are too few: 30 are needed"
        assert chosen(noise(n=159)).overfit == "159 bars are too few: 160 are needed"
        assert chosen(noise(m=7)).overfit == "7 complete trials are too few: 8 are needed"
        assert chosen(noise(m=1)).overfit == "one complete trial is too few: 8 are needed"
        assert chosen(noise(n=300, m=301)).overfit == "300 bars are too few: 301 are needed"
        assert chosen(noise(n=400, m=301)).overfit.blocks == 10

    def test_trials_that_ended_early_count_for_the_maximum(self):
        x = noise()
        plain, more = chosen(x).deflated, chosen(x, early=30).deflated
        assert (plain.trials, more.trials) == (10, 40)
        assert more.expected > plain.expected
        assert more.probability < plain.probability
        assert "does not show" in chosen(x[:, :1], early=3).deflated

    def test_gains_and_losses_in_turn_make_a_page_too(self):
        """Their autocorrelation is -1, by which no variance is left, or next to none."""
        turns = chosen(np.tile([[0.02], [-0.01]], (50, 1)))
        assert isinstance(turns.deflated, Deflated)
        undefined = replace(turns, deflated=replace(turns.deflated, probability=math.nan))
        assert selection_rows(undefined)[1].says.startswith("Not computed: returns of this shape")

    def test_the_same_generator_gives_the_same_figures(self):
        x = noise() + 0.0005
        assert chosen(x) == chosen(x)
        assert chosen(x).superior.p != chosen(x, seed=2).superior.p


STAMPS = pd.bdate_range("2010-01-01", periods=61, tz="UTC")


def written(study, number, returns, state="complete"):
    """Write a trial's returns, which end on the same bar, as the search does."""
    stamps = STAMPS[-len(returns) - 1 :] if state == "complete" else STAMPS[: len(returns) + 1]
    equity = np.cumprod(np.concatenate([[1.0], 1.0 + returns]))
    other = np.zeros(len(returns))
    trades = pd.DataFrame(columns=list(TRADE_COLUMNS))
    result = StrategyResult("own", "A", stamps, equity, other, other, other, trades)
    folder = trial_dir(study, number)
    folder.mkdir(parents=True)
    sha256 = write_returns(folder / RETURNS, result)
    return FinishedTrial(number, state, {}, "", (1.0,), {}, sha256, "", 1.0)


class TestFromFiles:
    @pytest.fixture
    def trials(self, tmp_path):
        x = noise(n=60, m=4).T
        parts = [(x[0], "complete"), (x[1][:20], "pruned"), (x[2], "complete")]
        return [written(tmp_path, n, *part) for n, part in enumerate(parts)]

    def test_trials_that_ended_early_or_failed_are_left_out(self, tmp_path, trials):
        failed = FinishedTrial(3, "failed", {}, "", (), {}, "", "why", 1.0)
        found = read_selection(tmp_path, [*trials, failed], trials[2], rng())
        assert (found.best, found.compared, found.early, found.bars) == (2, 2, 1, 60)
        x = noise(n=60, m=4)[:, [0, 2]]
        assert found.deflated.sharpe == pytest.approx(x[:, 1].mean() / x[:, 1].std(ddof=1))
        assert found.superior.leader in (0, 2)
        text = compared(found)
        assert text.startswith("The 2 complete trials are compared on the 60 bars that they have")
        assert "1 trial that ended early is left out" in text

    def test_a_later_first_bar_leaves_the_bars_that_all_have(self, tmp_path, trials):
        late = written(tmp_path, 4, noise(n=50, m=1)[:, 0])
        assert read_selection(tmp_path, [*trials, late], trials[0], rng()).bars == 50

    def test_missing_or_edited_returns_are_an_error(self, tmp_path, trials):
        path = trial_dir(tmp_path, 0) / RETURNS
        other = replace(trials[0], sha256="0" * 64)
        with pytest.raises(RunError, match="is edited or damaged"):
            read_selection(tmp_path, [other], other, rng())
        assert len(read_returns(path)) == 60
        path.unlink()
        with pytest.raises(RunError, match="cannot be read"):
            read_selection(tmp_path, trials, trials[0], rng())


def searched():
    numbers = [0, 2, 4, 5, *range(6, 12)]
    return replace(search(), selection=select(noise() + 0.0005, numbers, 2, 1, rng()))


def test_the_page_of_the_search_says_it():
    data = searched()
    html = render_study(data, "")
    text = " ".join("".join(Page(html).text).split())
    assert NOTE in text
    for row in selection_rows(data.selection):
        assert row.says in text
        assert row.convention in text
    assert "h-choice" not in render_study(search(), "")


def test_so_does_the_report_of_a_run(report_kit):
    data, own = searched(), report_kit.build(symbols=("AAPL",), bars=60)
    own = report_kit.replace(own, trial=f"{data.study}/5", search=data)
    for text in ("".join(Page(render_html(own)).text), render_markdown(own)):
        assert NOTE in " ".join(text.split())
        assert selection_rows(data.selection)[0].says in text
