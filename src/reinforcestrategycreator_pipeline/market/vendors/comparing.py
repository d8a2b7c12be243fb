"""Stored bars against the same bars fetched again: equal, multiplied by a constant, or restated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.ohlcv import ADJUSTED_CLOSE, PRICES

BAR = "bar"
"""Name of the column of a change that is a whole bar, which is there or is not."""
_NOISE = 1e-6  # relative; vendors that keep prices in float32 give the same one a bit differently
_FEWEST = 5  # bars from which a constant factor is known
_MOST_DECIMALS = 8
_GROUPS = {"prices": PRICES, ADJUSTED_CLOSE: (ADJUSTED_CLOSE,), "volume": ("volume",)}


@dataclass(frozen=True)
class Comparison:
    """The changes in the bars that both have.

    Attributes
    ----------
    factors : mapping of str to float
        Constant by which ``prices``, ``adj_close`` or ``volume`` were multiplied, where it is not
        1. A later split or dividend does that to all earlier bars; returns do not change.
    restated : DataFrame
        Every other change: ``row`` of `old`, from 1 (0 for a bar that it does not have), ``time``
        (close, UTC), ``column``, ``old``, ``new``. A bar that came or went has the column ``bar``
        and its closes, NaN where it is not there.
    """

    factors: Mapping[str, float]
    restated: pd.DataFrame

    @property
    def same(self) -> bool:
        """Whether nothing changed."""
        return not self.factors and self.restated.empty


def compare(old: pd.DataFrame, new: pd.DataFrame) -> Comparison:
    """Compare stored bars with those that the vendor gives now for the same span.

    Parameters
    ----------
    old, new : DataFrame
        Float64 columns, indexed by closes, strictly increasing. Bars of `new` that are later than
        the last one of `old` are not compared.

    Returns
    -------
    Comparison
        A constant factor is taken for one only from five bars on, and only if volume keeps its
        numbers or is divided by the factor of the prices, as a split does.
    """
    span = new[new.index <= old.index[-1]]
    both = old.index.intersection(span.index)
    before, after = old.loc[both], span.loc[both]
    groups = {name: [c for c in columns if c in old] for name, columns in _GROUPS.items()}
    factors = {
        name: _factor(before[columns].to_numpy(), after[columns].to_numpy())
        for name, columns in groups.items()
        if columns and all(c in span for c in columns)
    }
    volume = factors.get("volume", 1.0)
    if volume != 1.0 and abs(volume * factors.get("prices", 1.0) - 1) > 1e-3:
        factors["volume"] = 1.0
    of_column = {c: factors.get(name, 1.0) for name, columns in groups.items() for c in columns}
    changes = [
        pd.DataFrame(
            {
                "time": times,
                "column": BAR,
                "old": old["close"].reindex(times).to_numpy(),
                "new": new["close"].reindex(times).to_numpy(),
            }
        )
        for times in (old.index.difference(span.index), span.index.difference(old.index))
    ]
    for name in dict.fromkeys([*old.columns, *new.columns]):
        was = before[name].to_numpy() if name in before else np.full(len(both), np.nan)
        now = after[name].to_numpy() if name in after else np.full(len(both), np.nan)
        differ = ~_alike(was, now, of_column.get(name, 1.0))
        changes.append(
            pd.DataFrame(
                {"time": both[differ], "column": name, "old": was[differ], "new": now[differ]}
            )
        )
    restated = pd.concat([c for c in changes if len(c)] or changes[:1], ignore_index=True)
    restated = restated.sort_values("time", kind="stable", ignore_index=True)
    rows = old.index.get_indexer(pd.DatetimeIndex(restated["time"])) + 1
    restated.insert(0, "row", rows)
    return Comparison({k: f for k, f in factors.items() if f != 1.0}, restated)


def scaled(frame: pd.DataFrame, factors: Mapping[str, float]) -> pd.DataFrame:
    """Return bars multiplied by the factors of a `Comparison`."""
    frame = frame.copy()
    for group, factor in factors.items():
        for name in _GROUPS[group]:
            frame[name] *= factor
    return frame


def _factor(old: F64, new: F64) -> float:
    """Return the typical new value per old one; exactly 1 if it is 1 but for noise, or unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = new / old
    known = ratios[np.isfinite(ratios) & (ratios > 0)]
    if len(known) < _FEWEST * old.shape[1]:
        return 1.0
    factor = float(np.median(known))
    return 1.0 if abs(factor - 1) <= _NOISE else factor


def _alike(old: F64, new: F64, factor: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return where `new` is `old` times the factor, but for noise and both numbers' rounding."""
    allowed = _NOISE * np.abs(new)
    if factor != 1.0:
        allowed = allowed + _half_unit(new) + abs(factor) * _half_unit(old)
    same = np.abs(new - factor * old) <= allowed
    return np.asarray(same | (np.isnan(old) & np.isnan(new)))


def _half_unit(values: F64) -> float:
    """Return half a unit of the last decimal of all values; 0 if they are not rounded."""
    finite = values[np.isfinite(values)]
    for decimals in range(_MOST_DECIMALS + 1):
        scaled = finite * 10.0**decimals
        if np.all(np.abs(scaled - np.round(scaled)) <= 1e-9 * np.maximum(1, np.abs(scaled))):
            return 0.5 * 10.0**-decimals * 1.001  # as the numbers are binary
    return 0.0
