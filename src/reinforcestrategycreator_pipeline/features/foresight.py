"""Columns that know the future, told by what they have in common with later returns.

A column that came with the data cannot be computed again from fewer bars, so no cut shows that it
was merged from a later row, centered or filled backward. But what it says beyond the past shows it:
no honest column explains a quarter of the next days' returns.
"""

from __future__ import annotations

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.features.base import Bars
from reinforcestrategycreator_pipeline.ohlcv import OHLCV

MOST_SHARE = 0.25
"""Share of a column's variance, unexplained by the past, that later returns may explain."""
_SAME = 0.995
"""Correlation of changes from which on a column is a copy."""
_AHEAD, _BACK = 5, 5
LEAST_ROWS = 100
"""Rows with a value that a column must have to be judged."""


def copied_from(values: F64, bars: Bars) -> tuple[str, int] | None:
    """Return the column of the bars, and how many bars later, of which a column is a copy.

    Parameters
    ----------
    values : ndarray of shape (T,)
        The column; rows before its first value are NaN.
    bars : mapping of str to ndarray of shape (T,)
        Bars of the same rows.

    Returns
    -------
    tuple or None
        None if its changes agree with those of no later bar, or agree with those of the same bar.
    """
    moves = {name: _moves(bars[name]) for name in OHLCV}
    for own in (values, np.diff(values, prepend=np.nan)):
        # Where each bar opens at the close before, the next open is known.
        if any(abs(_correlation(own, x)) >= _SAME for pair in moves.values() for x in pair):
            continue
        for name, pair in moves.items():
            for ahead in range(1, _AHEAD + 1):
                if any(abs(_correlation(own[:-ahead], x[ahead:])) >= _SAME for x in pair):
                    return name, ahead
    return None


def _moves(values: F64) -> tuple[F64, F64]:
    """Return the changes of a column, and of its logarithm."""
    logs = np.log(np.fmax(values, 1e-300))
    return np.diff(values, prepend=np.nan), np.diff(logs, prepend=np.nan)


def share_of_later_returns(values: F64, bars: Bars) -> float:
    """Return the share of a column that later returns explain, beyond what the past does.

    The column is regressed on its last value and the returns up to its bar, then on those and the
    next five returns and the next gap; the result is the adjusted coefficient of partial
    determination (Theil 1971, Principles of Econometrics, section 4.3). Ranks take the place of
    values, against outliers.

    Parameters
    ----------
    values : ndarray of shape (T,)
        The column; rows before its first value are NaN.
    bars : mapping of str to ndarray of shape (T,)
        Bars of the same rows.

    Returns
    -------
    float
        At most 1, about 0 for an honest column; 0 if fewer than `LEAST_ROWS` rows have a value, or
        a hundred do not differ.
    """
    close, opens = np.log(bars["close"]), np.log(bars["open"])
    returns = np.diff(close, prepend=close[0])
    gaps = opens - np.concatenate([close[:1], close[:-1]])
    rows = np.arange(_BACK, len(values) - _AHEAD)
    rows = rows[np.isfinite(values[rows]) & np.isfinite(values[rows - 1])]
    if len(rows) < LEAST_ROWS or len(np.unique(values[rows])) < 3:
        return 0.0
    past = [returns[rows - k] for k in range(_BACK)] + [gaps[rows], values[rows - 1]]
    later = [returns[rows + k] for k in range(1, _AHEAD + 1)] + [gaps[rows + 1]]
    y = _scores(values[rows])
    known = np.column_stack([np.ones(len(rows)), *map(_scores, past)])
    whole = np.column_stack([known, *map(_scores, later)])
    before, after = _unexplained(y, known), _unexplained(y, whole)
    return float(1.0 - after / before) if before > 1e-9 else 0.0


def _unexplained(y: F64, x: F64) -> float:
    """Return the residual variance of a regression, with its degrees of freedom."""
    rest: F64 = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    freedom = len(y) - x.shape[1]
    return float(np.square(rest).sum() / freedom)


def _scores(values: F64) -> F64:
    """Return centered ranks, equal values with their mean rank, scaled to deviation 1."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = ((ends - counts + ends - 1) / 2.0)[place]
    ranks = ranks - ranks.mean()
    spread = ranks.std()
    return np.asarray(ranks / spread if spread > 0 else ranks)


def _correlation(one: F64, other: F64) -> float:
    """Return the correlation of the rows in which both are finite; 0 for constants and few rows."""
    kept = np.isfinite(one) & np.isfinite(other)
    if kept.sum() < LEAST_ROWS:
        return 0.0
    a, b = one[kept] - one[kept].mean(), other[kept] - other[kept].mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0
