"""Which recorded bars are pushed through a trader one by one, where there are very many.

All of them, up to `MOST_BARS`. Of more, those where bar by bar and in blocks might part: the first
and the last, those after gaps in time, those around trades, and stretches anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Bools, Indices, Ints

MOST_BARS = 10_000
"""Bars of all symbols together up to which each one is pushed by itself."""
PUSHED = 4_000
"""Bars of all symbols together, about, that are pushed one by one if there are more."""
_FEWEST = 8  # of a symbol
_STRETCH = 8  # bars in a row
_GAP = 1.5  # times the median spacing


class Replayed(NamedTuple):
    """The bars of a symbol that are to be traded on paper.

    Attributes
    ----------
    times : ndarray of int64, shape (n + 1,)
        Closes, nanoseconds since 1970 UTC.
    exposure : ndarray of float64, shape (n,)
        Targets of the backtest: where they change, there are trades.
    """

    times: Ints
    exposure: F64


def bars_to_push(
    symbols: Mapping[str, Replayed],
    rng: np.random.Generator,
    most: int = MOST_BARS,
    pushed: int = PUSHED,
) -> dict[str, Bools]:
    """Return which bars of each symbol to push one by one.

    Parameters
    ----------
    symbols : mapping of str to Replayed
        The bars by symbol.
    rng : numpy.random.Generator
        Source of the choice.
    most : int
        Number of bars of all symbols together up to which all are pushed.
    pushed : int
        About how many are pushed of more: the same number for each symbol, and at least 8.

    Returns
    -------
    dict of str to ndarray of bool, shapes (n + 1,)
        True where a bar is pushed.
    """
    if sum(len(each.times) for each in symbols.values()) <= most:
        return {symbol: np.ones(len(each.times), bool) for symbol, each in symbols.items()}
    budget = max(_FEWEST, pushed // len(symbols))
    return {symbol: _of_symbol(each, budget, rng) for symbol, each in symbols.items()}


def _of_symbol(bars: Replayed, budget: int, rng: np.random.Generator) -> Bools:
    """Return a symbol's bars to push: an eighth of them at each end, up to a half at events."""
    n, end = len(bars.times), max(2, budget // 8)
    if budget >= n:
        return np.ones(n, bool)
    chosen = np.zeros(n, bool)
    chosen[:end] = chosen[-end:] = True
    steps = np.diff(bars.times)
    after_gaps = 1 + np.flatnonzero(steps > _GAP * np.median(steps))
    trades = np.flatnonzero(np.diff(bars.exposure, prepend=0.0))
    for events in (after_gaps, trades):
        few = min(len(events), max(1, budget // 12))
        around = rng.choice(events, few, replace=False) if few else events
        _mark(chosen, around - 1, 3)
    while (left := budget - int(chosen.sum())) > 0:
        _mark(chosen, rng.integers(n, size=-(-left // _STRETCH)), _STRETCH)
    return chosen


def _mark(chosen: Bools, starts: Indices, length: int) -> None:
    """Mark so many bars from each start on."""
    rows = starts[:, None] + np.arange(length)
    chosen[np.clip(rows, 0, len(chosen) - 1)] = True
