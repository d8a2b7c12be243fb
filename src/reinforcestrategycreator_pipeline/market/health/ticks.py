"""Bad ticks: prices that are a power of ten away from those around them."""

from __future__ import annotations

from fractions import Fraction
from math import log

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.market.adjustment import (
    robust_sigma,
    unadjusted_splits,
)

_TEN = log(10.0)
_LEAST, _MOST = 0.05, 0.3  # tolerance in log price
_EDGE = _TEN - _MOST  # smallest jump that is checked
_MOST_JUMPS = 0.02  # share of the bars; prices that jump more often have no level
_AT_AN_END = 5  # bars before the first or after the last jump that are wrong, not the others


def bad_ticks(frame: pd.DataFrame) -> tuple[Ints, F64]:
    """Find the bars of which a price is near 10, 100, 1000, ... times those around it, or a part.

    A stretch of such bars, as of pence among pounds, ends by a jump back. A jump by 100 or more
    without a jump back is found as its first bar: all bars from there on are of another scale. A
    jump by 10 without a jump back may be a split.

    Parameters
    ----------
    frame : DataFrame, shape (n, ...)
        Columns open, high, low and close, validated.

    Returns
    -------
    bars : ndarray of int, shape (k,)
        Positions of the bars, increasing.
    factors : ndarray of float64, shape (k,)
        Power of ten of each.
    """
    opens, highs, lows, closes = (
        np.log(frame[name].to_numpy(np.float64)) for name in ("open", "high", "low", "close")
    )
    found: dict[int, int] = {}
    path = np.stack([opens, closes], axis=1).ravel()
    steps = np.diff(path)
    jumps = np.flatnonzero(np.abs(steps) > _EDGE)
    if len(jumps) > max(2 * _AT_AN_END, _MOST_JUMPS * len(closes)):
        return np.empty(0, np.int64), np.empty(0)
    near = min(max(6 * robust_sigma(np.diff(closes)), _LEAST), _MOST)
    unpaired: list[tuple[int, int]] = []
    for i in jumps.tolist():
        power = _power(float(steps[i]), near)
        if not power:
            continue
        if unpaired and unpaired[-1][1] == -power:
            begin = unpaired.pop()[0] + 1
            found |= dict.fromkeys(range(begin // 2, i // 2 + 1), -power)
        else:
            unpaired.append((i, power))
    for i, power in unpaired:
        bars = (i + 1) // 2
        if bars <= _AT_AN_END < len(closes) // 4 and len(unpaired) == 1:
            found |= dict.fromkeys(range(bars), -power)
        elif len(closes) - bars <= _AT_AN_END < len(closes) // 4 and len(unpaired) == 1:
            found |= dict.fromkeys(range(bars, len(closes)), power)
        elif abs(power) > 1:
            found[bars] = power
    top, bottom = np.maximum(opens, closes), np.minimum(opens, closes)
    for t in np.flatnonzero(highs - top > _EDGE).tolist():
        if power := _power(float(highs[t] - top[t]), near):
            found.setdefault(t, power)
    for t in np.flatnonzero(bottom - lows > _EDGE).tolist():
        if power := _power(float(lows[t] - bottom[t]), near):
            found.setdefault(t, power)
    positions = np.array(sorted(found), dtype=np.int64)
    return positions, np.array([10.0 ** found[t] for t in positions.tolist()])


def _power(step: float, near: float) -> int:
    """Return the power of ten that a log step is near to, or 0."""
    power = round(step / _TEN)
    return power if abs(step - power * _TEN) <= near else 0


def splits_beside(frame: pd.DataFrame, ticks: Ints) -> tuple[tuple[pd.Timestamp, Fraction], ...]:
    """Return the `unadjusted_splits` that are not the beginning or the end of bad ticks.

    Parameters
    ----------
    frame : DataFrame
        Bars in order of time, validated.
    ticks : ndarray of int
        Positions of the `bad_ticks`.
    """
    index = pd.DatetimeIndex(frame.index)
    ends = set(index[ticks]) | set(index[ticks[ticks + 1 < len(index)] + 1])
    return tuple(split for split in unadjusted_splits(frame) if split[0] not in ends)
