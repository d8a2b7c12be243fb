"""Purged k-fold and combinatorial purged cross-validation, as index sets over a number of bars.

Both are for *selection*: they train on bars after those that they test. What is selected is then
judged on bars that come after all of them.

The label of a bar, such as a return, reaches over the next `purge_bars` bars. A training bar is
*purged* if its label and that of a test bar share a bar. It is *embargoed* if it is among the
`embargo_bars` bars after those, whose features still look back on the test. Of a fold that is
tested from bar a to bar b, the bars from ``a - purge_bars`` to ``b + purge_bars + embargo_bars``
are not trained on.

References
----------
López de Prado (2018), Advances in Financial Machine Learning, chapters 7 (purged k-fold) and 12
(combinatorial purged cross-validation).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.checks import require, require_int
from reinforcestrategycreator_pipeline.errors import DataError

MAX_SPLITS = 100_000
"""Maximum number of splits, each of which is a training."""


@dataclass(frozen=True)
class Split:
    """The bars to train on and the bars to test on.

    As text, it is a picture with one character per bar: ``=`` is trained on, ``#`` is tested, and
    ``.`` is purged or embargoed.

    Attributes
    ----------
    n_bars : int
        Number of all bars.
    folds : tuple of int
        Numbers of the folds that are tested, ascending, from 0.
    train_spans : tuple of range
        Uninterrupted stretches of training bars, in order of time.
    test_spans : tuple of range
        Bars of each tested fold, in order of time.
    """

    n_bars: int
    folds: tuple[int, ...]
    train_spans: tuple[range, ...]
    test_spans: tuple[range, ...]

    @property
    def train(self) -> Ints:
        """All training bars, as ascending indices of shape (n_train,)."""
        return _joined(self.train_spans)

    @property
    def test(self) -> Ints:
        """All test bars, as ascending indices of shape (n_test,)."""
        return _joined(self.test_spans)

    def __str__(self) -> str:
        marks = np.full(self.n_bars, ".")
        marks[self.train], marks[self.test] = "=", "#"
        return "".join(marks)


def purged_kfold(
    n_bars: int, n_folds: int, purge_bars: int = 0, embargo_bars: int = 0
) -> tuple[Split, ...]:
    """Return the splits of purged k-fold cross-validation: each fold is tested once.

    Folds are consecutive; the first ``n_bars % n_folds`` of them have one bar more. The test sets
    are those of scikit-learn's ``KFold``, and the training sets too if nothing is purged.

    Parameters
    ----------
    n_bars : int
        Number of bars.
    n_folds : int
        Number of folds, at least 2.
    purge_bars : int
        Horizon of a label: the number of later bars that it is made of, >= 0. One may be longer
        than a fold.
    embargo_bars : int
        Number of bars after a test fold, and after its labels, that are not trained on, >= 0.

    Returns
    -------
    tuple of Split
        One split per fold, in order of time.

    Raises
    ------
    ConfigError
        If a parameter is out of its range.
    DataError
        If there are fewer bars than folds, or if a split leaves no bar to train on.

    References
    ----------
    López de Prado (2018), Advances in Financial Machine Learning, chapter 7, snippet 7.3. There,
    the embargo is a share of all bars.

    Examples
    --------
    >>> for split in purged_kfold(14, n_folds=4, purge_bars=1, embargo_bars=1):
    ...     print(split)
    ####..========
    ===.####..====
    =======.###..=
    ==========.###
    """
    _check("purged_kfold", n_bars, n_folds, 2, purge_bars, embargo_bars)
    size, more = divmod(n_bars, n_folds)
    starts = [fold * size + min(fold, more) for fold in range(n_folds + 1)]
    return _splits(starts, 1, purge_bars, embargo_bars)


def combinatorial_purged(
    n_bars: int, n_folds: int, n_test_folds: int = 2, purge_bars: int = 0, embargo_bars: int = 0
) -> tuple[Split, ...]:
    """Return the splits of combinatorial purged cross-validation.

    Every choice of `n_test_folds` among the folds is tested once, so each fold is tested often, by
    trainings on different bars; `backtest_paths` joins the tested folds to whole histories. The
    folds are consecutive, each of ``n_bars // n_folds`` bars; the last one has the rest as well.
    Splits and index sets are those of skfolio's ``CombinatorialPurgedCV``, which allows less: its
    folds are longer than `purge_bars` and `embargo_bars` together by two bars or more.

    Parameters
    ----------
    n_bars : int
        Number of bars.
    n_folds : int
        Number of folds, at least 3.
    n_test_folds : int
        Number of folds that a split tests, from 2 to ``n_folds - 1``; for one, see `purged_kfold`.
    purge_bars : int
        Horizon of a label: the number of later bars that it is made of, >= 0.
    embargo_bars : int
        Number of bars after a test fold, and after its labels, that are not trained on, >= 0.

    Returns
    -------
    tuple of Split
        All combinations of tested folds, in lexicographic order.

    Raises
    ------
    ConfigError
        If a parameter is out of its range, or if there would be more than 100,000 splits.
    DataError
        If there are fewer bars than folds, or if a split leaves no bar to train on.

    References
    ----------
    López de Prado (2018), Advances in Financial Machine Learning, chapter 12.

    Examples
    --------
    >>> for split in combinatorial_purged(17, n_folds=4, n_test_folds=2, purge_bars=1):
    ...     print(split, *split.folds)
    ########.======== 0 1
    ####.==.####.==== 0 2
    ####.======.##### 0 3
    ===.########.==== 1 2
    ===.####.==.##### 1 3
    =======.######### 2 3
    """
    owner = "combinatorial_purged"
    _check(owner, n_bars, n_folds, 3, purge_bars, embargo_bars)
    _check_combinations(owner, n_folds, n_test_folds)
    size = n_bars // n_folds
    starts = [*range(0, n_folds * size, size), n_bars]
    return _splits(starts, n_test_folds, purge_bars, embargo_bars)


def backtest_paths(n_folds: int, n_test_folds: int) -> Ints:
    """Return the paths that the tests of `combinatorial_purged` form.

    A path takes each fold from one split that tests it, and no two paths take the same test.

    Parameters
    ----------
    n_folds, n_test_folds : int
        As for `combinatorial_purged`.

    Returns
    -------
    ndarray of int64, shape (n_paths, n_folds)
        Number of the split, in the order of `combinatorial_purged`, whose test of the fold belongs
        to the path. There are ``n_splits * n_test_folds / n_folds`` paths.

    References
    ----------
    López de Prado (2018), Advances in Financial Machine Learning, chapter 12, figures 12.1, 12.2.

    Examples
    --------
    Of 4 folds, 2 of which are tested, there are 6 splits (see `combinatorial_purged`) and 3 paths.
    The first path has the folds 0 and 1 from split 0, fold 2 from split 1 and fold 3 from split 2.

    >>> backtest_paths(4, 2)
    array([[0, 0, 1, 2],
           [1, 3, 3, 4],
           [2, 4, 5, 5]])
    """
    owner = "backtest_paths"
    require_int(owner, "n_folds", n_folds, 3)
    _check_combinations(owner, n_folds, n_test_folds)
    tested_by: list[list[int]] = [[] for _ in range(n_folds)]
    for split, folds in enumerate(itertools.combinations(range(n_folds), n_test_folds)):
        for fold in folds:
            tested_by[fold].append(split)
    return np.array(tested_by, dtype=np.int64).T


def _check(
    owner: str, n_bars: int, n_folds: int, fewest: int, purge_bars: int, embargo_bars: int
) -> None:
    require_int(owner, "n_bars", n_bars, 0)
    require_int(owner, "n_folds", n_folds, fewest)
    require_int(owner, "purge_bars", purge_bars, 0)
    require_int(owner, "embargo_bars", embargo_bars, 0)
    if n_bars < n_folds:
        raise DataError(
            f"too few bars for {n_folds:,} folds, which need at least one each. Got {n_bars:,}."
        )


def _check_combinations(owner: str, n_folds: int, n_test_folds: int) -> None:
    require_int(owner, "n_test_folds", n_test_folds, 2)
    rule = f"less than n_folds ({n_folds})"
    require(n_test_folds < n_folds, owner, "n_test_folds", rule, n_test_folds)
    # Of more folds, any number that is tested makes more splits; this also keeps comb() quick.
    many = n_folds > MAX_SPLITS or math.comb(n_folds, n_test_folds) > MAX_SPLITS
    rule = f"such that n_folds ({n_folds}) choose it is at most {MAX_SPLITS:,} splits"
    require(not many, owner, "n_test_folds", rule, n_test_folds)


def _splits(
    starts: Sequence[int], n_test_folds: int, purge_bars: int, embargo_bars: int
) -> tuple[Split, ...]:
    """Return a split per combination of tested folds; `starts` ends with the number of bars."""
    spans = [range(start, end) for start, end in itertools.pairwise(starts)]
    found = []
    for folds in itertools.combinations(range(len(spans)), n_test_folds):
        tests = tuple(spans[fold] for fold in folds)
        train, free = [], 0  # the first bar that no test so far has taken
        for test in tests:
            train.append(range(free, test.start - purge_bars))
            free = test.stop + purge_bars + embargo_bars
        train.append(range(free, starts[-1]))
        train = [span for span in train if span]
        if not train:
            raise DataError(_nothing_left(starts, folds, purge_bars, embargo_bars))
        found.append(Split(starts[-1], folds, tuple(train), tests))
    return tuple(found)


def _nothing_left(
    starts: Sequence[int], folds: tuple[int, ...], purge_bars: int, embargo_bars: int
) -> str:
    named = "fold" if len(folds) == 1 else "folds"
    return (
        f"too few bars to train on: {starts[-1]:,} bars in {len(starts) - 1:,} folds, with "
        f"purge_bars {purge_bars:,} and embargo_bars {embargo_bars:,}, leave none where {named} "
        f"{', '.join(map(str, folds))} of 0 to {len(starts) - 2:,} would be tested. Use fewer "
        "folds, or purge less."
    )


def _joined(spans: Sequence[range]) -> Ints:
    return np.concatenate([np.arange(span.start, span.stop, dtype=np.int64) for span in spans])
