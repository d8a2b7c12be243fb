"""Folds by foreign packages, as pictures: ``=`` is trained on, ``#`` is tested, ``.`` is neither.

The packages are of the extra `oracles`; their pictures are frozen in `frozen/folds.json`, written
by `frozen/freeze_folds.py`.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

BARS = (12, 17, 40)
PURGES, EMBARGOES = (0, 1, 3, 7), (0, 1, 4)
KFOLDS = list(itertools.product(BARS, (2, 3, 5), PURGES, EMBARGOES))
COMBINATIONS = [
    (n, folds, tests, purge, embargo)
    for n, (folds, tests), purge, embargo in itertools.product(
        BARS, ((3, 2), (4, 2), (5, 3), (6, 2)), PURGES, EMBARGOES
    )
    if purge + embargo < n // folds - 1  # the package's own rule
]


def picture(n_bars: int, train: Any, tests: Any) -> str:
    """Draw index sets; a bar of both, or an index twice, is a defect of the package."""
    assert len({*train, *tests}) == len(train) + len(tests)
    marks = np.full(n_bars, ".")
    marks[train], marks[tests] = "=", "#"
    return "".join(marks)


def kfold(n_bars: int, n_folds: int) -> list[str]:
    """Return the splits of scikit-learn's KFold, to which skfolio refers for one tested fold."""
    from sklearn.model_selection import KFold

    found = KFold(n_folds).split(np.zeros((n_bars, 1)))
    return [picture(n_bars, train, test) for train, test in found]


def purged_kfold(n_bars: int, n_folds: int, purge: int, embargo: int) -> list[str]:
    """Return the splits of purgedcv's PurgedKFold, on daily bars.

    Its labels end before their last instant, so one that reaches over `purge` bars, the last
    included, ends half a day after that.
    """
    import pandas as pd
    from purgedcv import PurgedKFold

    times = pd.date_range("2020-01-01", periods=n_bars, freq="D")
    splitter = PurgedKFold(
        n_folds,
        prediction_times=times,
        evaluation_times=times + pd.Timedelta(days=purge + 0.5),
        embargo=pd.Timedelta(days=embargo),
    )
    return [picture(n_bars, *split) for split in splitter.split(np.zeros((n_bars, 1)))]


def combinatorial(
    n_bars: int, n_folds: int, n_test_folds: int, purge: int, embargo: int
) -> list[str]:
    """Return the splits of skfolio's CombinatorialPurgedCV."""
    from skfolio.model_selection import CombinatorialPurgedCV

    splitter = CombinatorialPurgedCV(n_folds, n_test_folds, purge, embargo)
    found = splitter.split(np.zeros((n_bars, 1)))
    return [picture(n_bars, train, np.concatenate(tests)) for train, tests in found]


def paths(n_folds: int, n_test_folds: int) -> list[list[int]]:
    """Return the split of each fold on each path, as skfolio recombines them."""
    from skfolio.model_selection import CombinatorialPurgedCV

    splitter = CombinatorialPurgedCV(n_folds, n_test_folds)
    return [[int(split) for split in path] for path in splitter.recombined_paths.T]


def key(case: tuple[int, ...]) -> str:
    """Return the name of a case in the file."""
    return " ".join(map(str, case))


def all_pictures() -> dict[str, dict[str, Any]]:
    """Return what each package makes of each case."""
    plain = sorted({case[:2] for case in KFOLDS})
    return {
        "kfold": {key(case): kfold(*case) for case in plain},
        "purged_kfold": {key(case): purged_kfold(*case) for case in KFOLDS},
        "combinatorial": {key(case): combinatorial(*case) for case in COMBINATIONS},
        "paths": {key(c): paths(*c) for c in sorted({case[1:3] for case in COMBINATIONS})},
    }
