"""Bars with shocks put in, for leaks that sleep until one comes.

A feature may look ahead only after a crash, without volume, or on a bar without a range. Bars that
have none of these prove nothing about it.
"""

from __future__ import annotations

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.features.base import Bars
from reinforcestrategycreator_pipeline.ohlcv import OHLCV, PRICES

_MOST, _APART = 24, 6
_MOVES = (0.7, 1.4, 0.9, 1.12)
"""Factors of a crash, a jump, and of smaller ones."""


def stressed_rows(start: int, n_rows: int, rng: np.random.Generator) -> Ints:
    """Return rows, some bars apart, at which to put shocks; none if there are too few bars."""
    first, last = max(start, 1), n_rows - 3
    count = min(_MOST, max(0, last - first) // _APART)
    edges = np.linspace(first, last, count + 1).astype(np.int64)
    return np.unique(rng.integers(edges[:-1], edges[1:])) if count else np.empty(0, np.int64)


def with_moves(bars: Bars, rows: Ints) -> Bars:
    """Return bars with a crash, a jump, a wide range or an extreme of side data at each row."""
    out = {name: array.copy() for name, array in bars.items()}
    for i, row in enumerate(rows.tolist()):
        for name in PRICES:
            out[name][row:] *= _MOVES[i % len(_MOVES)]
        if i % 3 == 0:
            out["high"][row] *= 1.2
            out["low"][row] *= 0.8
        out["volume"][row] = 20.0 * out["volume"][row] + 1.0
        for name, array in out.items():
            if name not in OHLCV:
                array[row] = (bars[name].max(), bars[name].min())[i % 2]
    return _read_only(out)


def with_halts(bars: Bars, rows: Ints) -> Bars:
    """Return bars that have no range, and no volume, at each row."""
    out = {name: array.copy() for name, array in bars.items()}
    for i, row in enumerate(rows.tolist()):
        if i % 2 == 0:
            for name in PRICES:
                out[name][row] = bars["close"][row - 1]
        if i % 3 != 1:
            out["volume"][row] = 0.0
    return _read_only(out)


def _read_only(bars: dict[str, F64]) -> Bars:
    for array in bars.values():
        array.flags.writeable = False
    return bars
