"""Bars in another order: the same moves, without what their order says.

A bar is taken as its open, high, low and close over the close before it, and its volume. Put into
another order and chained to the same first close, the bars give a market with the same moves, the
same costs, the same drift from end to end, and, of several assets, the same moves together. Nothing
in its past tells of its future, unless a single bar does.

References
----------
T. Masters (2018), Permutation and Randomization Tests for Trading System Development.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.market.bars import DAY

PRICES = ("open", "high", "low", "close")
_GAP = 1.5  # a session ends with a gap that is longer than this many bars
_INTRADAY = 0.75  # days between bars that are not daily; 23 hours when clocks change


def slots_of(times: Annotated[Ints, "n"]) -> Annotated[Ints, "n"]:
    """Return what tells a bar apart from others before anything happens: its place in the day.

    Within a day, volatility and volume have a pattern, so a bar may only change places with the
    same bar of other days. The place is the number of bars since the session began, where there are
    sessions; in a market without closing hours, the time of day in UTC. Bars of a day or longer are
    all alike.

    Parameters
    ----------
    times : ndarray of int64, shape (n,)
        Close times, nanoseconds since 1970 UTC, increasing.

    Returns
    -------
    ndarray of int64, shape (n,)
        Bars with equal numbers may change places.
    """
    n = len(times)
    if n < 3:
        return np.zeros(n, dtype=np.int64)
    gaps = np.diff(times)
    usual = float(np.median(gaps))
    if usual > _INTRADAY * DAY:
        return np.zeros(n, dtype=np.int64)
    begins = np.concatenate([[True], gaps > _GAP * usual])
    starts = np.flatnonzero(begins)
    place: Ints = np.arange(n) - starts[np.cumsum(begins) - 1]
    if place.max() + 1 <= DAY / usual:
        return place
    of_day: Ints = times % DAY
    return of_day


def orders_of(
    slots: Annotated[Ints, "n"], draws: int, rng: np.random.Generator
) -> Annotated[Ints, "draws n"]:
    """Draw orders of n bars, each bar staying among those of its slot.

    Returns
    -------
    ndarray of int64, shape (draws, n)
        Row d is a permutation: place j gets the bar ``orders[d, j]``.
    """
    groups = [np.flatnonzero(slots == slot) for slot in np.unique(slots)]
    orders = np.empty((draws, len(slots)), dtype=np.int64)
    for rows in orders:
        for group in groups:
            rows[group] = group[rng.permutation(len(group))]
    return orders


def moves_of(
    columns: Mapping[str, F64], start: int, stop: int
) -> dict[str, Annotated[F64, "{stop-start}"]]:
    """Return bars as moves: prices over the close before, and the volume.

    Parameters
    ----------
    columns : mapping of str to ndarray, shapes (T,)
        Prices, > 0, and volume; other columns are left out.
    start, stop : int
        The bars ``start`` to ``stop - 1``; `start` > 0.
    """
    before = columns["close"][start - 1 : stop - 1]
    found = {name: columns[name][start:stop] / before for name in PRICES if name in columns}
    if "volume" in columns:
        found["volume"] = columns["volume"][start:stop]
    return found


def chained(
    moves: Mapping[str, F64], orders: Annotated[Ints, "draws n"], first: float
) -> dict[str, Annotated[F64, "draws n"]]:
    """Return bars in other orders, chained to a first close.

    Parameters
    ----------
    moves : mapping of str to ndarray, shapes (n,)
        Bars as `moves_of` returns them.
    orders : ndarray of int64, shape (draws, n)
        Which bar comes when; see `orders_of`.
    first : float
        Close before the first of the bars, > 0.

    Returns
    -------
    dict of str to ndarray, shapes (draws, n)
        Prices and volume.
    """
    close: F64 = first * moves["close"][orders].cumprod(axis=1)
    before: F64 = np.concatenate([np.full((len(orders), 1), first), close[:, :-1]], axis=1)
    found: dict[str, F64] = {k: before * moves[k][orders] for k in PRICES if k in moves}
    if "volume" in moves:
        found["volume"] = moves["volume"][orders]
    return found | {"close": close}
