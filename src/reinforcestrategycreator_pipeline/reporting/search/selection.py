"""The statistics of a choice among trials, on the bars of the search itself.

They describe the search and decide nothing: a run's verdict rests on bars that no trial has seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.experiments.trial_returns import RETURNS, read_returns
from reinforcestrategycreator_pipeline.experiments.trials import FinishedTrial, trial_dir
from reinforcestrategycreator_pipeline.statistics.block_bootstrap import counts_of, draw_blocks
from reinforcestrategycreator_pipeline.statistics.block_length import optimal_block_length
from reinforcestrategycreator_pipeline.statistics.overfitting import probability_of_overfitting
from reinforcestrategycreator_pipeline.statistics.probabilistic_sharpe import (
    deflated_sharpe,
    expected_maximum,
    sharpe_of,
)
from reinforcestrategycreator_pipeline.statistics.superior_predictive_ability import (
    superior_predictive_ability,
)

DRAWS = 1_000
MOST_ROWS = 5_000  # of the bootstrap; longer series are added up over neighboring bars
FEWEST_BARS = 30
FEWEST_TRIALS, FEWEST_BARS_A_BLOCK = 8, 10  # of the probability of overfitting
_BLOCKS, _BLOCKS_OF_MANY, _MANY = 16, 10, 200  # blocks of the time, and from how many trials on


@dataclass(frozen=True)
class Superior:
    """Hansen's test of all compared trials against cash.

    Attributes
    ----------
    p : float
        Consistent p-value of the null that no trial has a mean return above 0.
    leader : int
        Number of the trial with the largest t; -1 if no trial's returns vary.
    block : float
        Mean length of the bootstrap's blocks, in bars.
    """

    p: float
    leader: int
    block: float


@dataclass(frozen=True)
class Deflated:
    """The Sharpe ratio of the best trial against what the best of so many reaches by luck.

    Attributes
    ----------
    probability : float
        Deflated Sharpe ratio; NaN where it is undefined, see `probabilistic_sharpe`.
    sharpe, expected : float
        Ratio of the best trial, and the expected maximum of trials without skill, per bar.
    trials : int
        Number of trials that the maximum is taken over.
    """

    probability: float
    sharpe: float
    expected: float
    trials: int


@dataclass(frozen=True)
class Overfit:
    """The probability of backtest overfitting of the compared trials.

    Attributes
    ----------
    probability : float
        Probability that the best trial of one half ranks below the median in the other half.
    blocks : int
        Number of blocks of the time.
    """

    probability: float
    blocks: int

    @property
    def partitions(self) -> int:
        """Number of ways to choose half of the blocks."""
        return math.comb(self.blocks, self.blocks // 2)


@dataclass(frozen=True)
class Selection:
    """The choice of the best trial, on the bars that all complete trials have.

    Attributes
    ----------
    best : int
        Number of the best trial.
    compared, early : int
        Number of complete trials, which are compared, and of those that ended early.
    bars : int
        Number of bars that all compared trials have.
    superior, deflated, overfit : Superior, Deflated, Overfit, or str
        What was found; a text is the reason why there is nothing.
    """

    best: int
    compared: int
    early: int
    bars: int
    superior: Superior | str
    deflated: Deflated | str
    overfit: Overfit | str


def read_selection(
    study_dir: Path,
    trials: Iterable[FinishedTrial],
    best: FinishedTrial,
    rng: np.random.Generator,
) -> Selection:
    """Compare the complete trials of a study by the returns in its folder.

    Parameters
    ----------
    study_dir : Path
        Folder of the study.
    trials : iterable of FinishedTrial
        All finished trials. Those that failed have no returns; those that ended early have fewer
        bars, are only counted, and could not be chosen.
    best : FinishedTrial
        The best complete trial.
    rng : Generator
        Source of the bootstrap's draws.

    Raises
    ------
    RunError
        If the returns of a complete trial are missing or damaged.
    """
    found, early = {}, 0
    for trial in trials:
        early += trial.state == "pruned"
        if trial.state == "complete":
            path = trial_dir(study_dir, trial.number) / RETURNS
            found[trial.number] = read_returns(path, trial.sha256)
    # Another feature's warm-up lets a trial begin some bars later.
    together = pd.DataFrame(found).dropna()
    return select(together.to_numpy(np.float64), list(found), best.number, early, rng)


def select(
    returns: Annotated[F64, "n m"],
    numbers: list[int],
    best: int,
    early: int,
    rng: np.random.Generator,
) -> Selection:
    """Return the statistics of a choice among trials.

    Parameters
    ----------
    returns : ndarray of float64, shape (n, m)
        Returns per bar of m trials, finite, in order of time; cash has 0.
    numbers : list of int
        Number of each trial.
    best : int
        Number of the trial that was chosen.
    early : int
        Number of further trials that ended early.
    rng : Generator
        Source of the bootstrap's draws.
    """
    n, m = returns.shape
    if n < FEWEST_BARS:
        short = f"{n} bars are too few: {FEWEST_BARS} are needed"
        return Selection(best, m, early, n, short, short, short)
    return Selection(
        best,
        m,
        early,
        n,
        _superior(returns, numbers, rng),
        _deflated(returns, numbers.index(best), early),
        _overfit(returns),
    )


def _superior(returns: F64, numbers: list[int], rng: np.random.Generator) -> Superior:
    n = len(returns)
    width = -(-n // MOST_ROWS)
    rows = returns[: n - n % width].reshape(n // width, width, -1).sum(axis=1)
    block = float(np.median([optimal_block_length(column) for column in rows.T]))
    counts = counts_of(draw_blocks(rng, len(rows), block, DRAWS))
    found = superior_predictive_ability(rows, counts)
    leader = -1 if found.best < 0 else numbers[found.best]
    return Superior(found.consistent, leader, block * width)


def _deflated(returns: F64, best: int, early: int) -> Deflated | str:
    known = {k: ratio for k, x in enumerate(returns.T) if (ratio := sharpe_of(x)) is not None}
    if best not in known:
        return "the returns of the best trial do not vary"
    if len(known) == 1 and early:
        return "one complete trial does not show how far the trials differ"
    ratios, trials = [ratio for ratio, _ in known.values()], len(known) + early
    variance = float(np.var(ratios, ddof=1)) if len(ratios) > 1 else 0.0
    sharpe, shape = known[best]
    probability = deflated_sharpe(sharpe, len(returns), trials, variance, shape)
    return Deflated(probability, sharpe, expected_maximum(trials, variance), trials)


def _overfit(returns: F64) -> Overfit | str:
    n, m = returns.shape
    blocks = _BLOCKS if m <= _MANY else _BLOCKS_OF_MANY
    if m < FEWEST_TRIALS:
        what = "one complete trial is" if m == 1 else f"{m} complete trials are"
        return f"{what} too few: {FEWEST_TRIALS} are needed"
    if n < (needed := max(FEWEST_BARS_A_BLOCK * blocks, m)):
        return f"{n} bars are too few: {needed:,} are needed"
    if not np.ptp(returns, axis=0).any():
        return "the returns of no trial vary"
    return Overfit(probability_of_overfitting(returns, blocks).probability, blocks)
