"""Bars modified for the audit of features: cut, with another future, past or level, or jittered."""

from __future__ import annotations

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.features.base import Bars
from reinforcestrategycreator_pipeline.ohlcv import OHLCV, PRICES

_ULP = 2.0**-52
LEVELS = {"split": (1 / 32, 32.0), "dividend": (32.0, 1.0)}
"""Factors of prices and of volume, by what changes them. Powers of 2, because these scale exactly;
large, because a feature may compare the price with a number."""


def choose_cuts(rng: np.random.Generator, start: int, n_rows: int, count: int) -> Ints:
    """Return up to `count` cuts from `start` to ``n_rows - 2``, one in each equal stretch."""
    last = n_rows - 1
    if count >= last - start:
        return np.arange(start, last)
    edges = np.linspace(start, last, count + 1).astype(np.int64)
    return rng.integers(edges[:-1], edges[1:])


def rows_of(bars: Bars, start: int, stop: int) -> Bars:
    """Return the bars from `start` to before `stop`."""
    return {name: array[start:stop] for name, array in bars.items()}


def with_other_future(bars: Bars, cut: int, rng: np.random.Generator) -> Bars:
    """Return bars whose rows after `cut` are shuffled and rescaled, prices by one factor.

    Side columns of whole numbers, such as hours or codes, are shuffled only.
    """
    order = cut + 1 + rng.permutation(len(bars["close"]) - cut - 1)
    price, other = np.exp(rng.uniform(-1.0, 1.0, size=2))
    factors = {
        name: price if name in PRICES else 1.0 if _is_code(name, array) else other
        for name, array in bars.items()
    }
    return {
        name: _joined(array[: cut + 1], factors[name] * array[order])
        for name, array in bars.items()
    }


def with_other_past(bars: Bars, start: int, factor: float) -> Bars:
    """Return bars whose rows before `start` are multiplied by `factor`."""
    return {name: _joined(factor * a[:start], a[start:]) for name, a in bars.items()}


def with_other_bars(bars: Bars, at: Ints, rng: np.random.Generator) -> Bars:
    """Return bars in which some rows are replaced: prices rescaled, the rest from other rows."""
    price = np.exp(rng.choice([-1.0, 1.0], size=len(at)))
    source = rng.integers(len(bars["close"]), size=len(at))
    out = {name: array.copy() for name, array in bars.items()}
    for name, array in out.items():
        array[at] = price * array[at] if name in PRICES else bars[name][source]
    return {name: _read_only(array) for name, array in out.items()}


def at_level(bars: Bars, price: float, volume: float) -> Bars:
    """Return bars with prices and volumes multiplied by factors; side data stay as they are."""
    factors = {**dict.fromkeys(PRICES, price), "volume": volume}
    return {name: _read_only(factors.get(name, 1.0) * array) for name, array in bars.items()}


def jittered(bars: Bars, rng: np.random.Generator) -> Bars:
    """Return bars whose values differ by their last bits; equal values stay equal.

    Side columns of whole numbers, such as hours or codes, stay as they are.
    """
    seed = rng.integers(2**63, dtype=np.uint64)
    names = [name for name, array in bars.items() if not _is_code(name, array)]
    moved = _jitter(np.stack([bars[name] for name in names]), seed)
    return {**bars, **dict(zip(names, moved, strict=True))}


def _is_code(name: str, values: F64) -> bool:
    """Return whether a side column has whole numbers: hours or codes, by which bars are joined."""
    return name not in OHLCV and bool(np.array_equal(values, np.floor(values)))


def _jitter(values: F64, seed: np.uint64) -> F64:
    """Return values times 1 + (-2 to 2) units of the last place, chosen by a hash of the value."""
    mixed = (values.view(np.uint64) ^ seed) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    steps = (mixed >> np.uint64(32)) % np.uint64(5)
    return _read_only(values * (1.0 + _ULP * (steps.astype(np.float64) - 2.0)))


def _joined(first: F64, second: F64) -> F64:
    return _read_only(np.concatenate([first, second]))


def _read_only(array: F64) -> F64:
    array.flags.writeable = False
    return array
