"""Proof that a feature's row depends on its bar and the `lookback` bars before it, and on no other.

Three checks of one feature, each on bars of which some are the same:

- *truncation*: of the bars up to a cut, every row is that of all bars;
- *perturbation*: so it is where the bars after the cut were shuffled and rescaled, which also
  strikes a leak that looks at how many bars there are;
- *lookback*: of the bar at the cut and its declared lookback alone, the last row is that of all
  bars. So a stream, which keeps no more, decides as the backtest did.

A leak from bar t + 1 into row t alone shows at the cut t alone. So only the audit of all cuts is a
proof; a sampled one finds the leaks that strike many rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.errors import FeatureError
from reinforcestrategycreator_pipeline.features.base import (
    Bars,
    Computed,
    Feature,
    FeatureSpec,
    FloatArray,
    evaluate,
)
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.table import bars_of
from reinforcestrategycreator_pipeline.features.user import UserFunction
from reinforcestrategycreator_pipeline.ohlcv import PRICES
from reinforcestrategycreator_pipeline.seeding import generator

Check: TypeAlias = Literal["truncation", "perturbation", "lookback"]

_ROUNDING = 1e-6
"""Share of a column's deviation that a feature from outside may move by: its sums may round
otherwise over other bars. The shipped features' may not."""


@dataclass(frozen=True)
class Finding:
    """A feature's column that changed where it must not.

    Attributes
    ----------
    symbol, feature, column : str
        Whose; the feature by its name in the configuration.
    check : {"truncation", "perturbation", "lookback"}
        Which check failed.
    row, cut : int
        The first row that changed, from 0, and the bar up to which, or for the lookback from which
        on, the bars were the same.
    count : int
        How many (row, cut) pairs changed.
    """

    symbol: str
    feature: str
    column: str
    check: Check
    row: int
    cut: int
    count: int

    def __str__(self) -> str:
        what, where = "looks ahead", "after"
        if self.check == "lookback":
            bars = self.row - self.cut
            what, where = f"needs more than its declared lookback of {bars} bars", "before"
        who = f"{self.symbol}: " if self.symbol else ""
        return (
            f"{who}feature {self.feature!r}: column {self.column!r} {what}: its row {self.row} "
            f"changes with bars {where} {self.cut} ({self.check}, {self.count} changes in all)"
        )


def audit_features(
    frame: pd.DataFrame,
    specs: Sequence[FeatureSpec],
    *,
    cuts: Literal["all"] | int = "all",
    seed: int = 0,
    symbol: str = "",
) -> tuple[Finding, ...]:
    """Return what looks ahead, or back further than it declares; an empty tuple is a pass.

    Parameters
    ----------
    frame : DataFrame
        One symbol's bars, more than the longest lookback.
    specs : sequence of FeatureSpec
        The features.
    cuts : "all" or int
        Cuts of each check: after every bar, or after one bar drawn in each of so many equal
        stretches. With 16 the default features on 3,000 bars take some 0.1 s.
    seed : int
        Of the draws.
    symbol : str
        For messages.

    Returns
    -------
    tuple of Finding
        At most one for each column and check.

    Raises
    ------
    FeatureError
        If there is no bar after a feature's lookback to check, or a feature fails on some of the
        bars.
    """
    bars = bars_of(frame, symbol)
    rng = generator(seed, "feature-audit")
    findings: list[Finding] = []
    for spec in specs:
        feature = build_feature(spec)
        full = evaluate(feature, spec.name, bars, symbol, frame.index)
        n_rows = len(frame)
        if n_rows - full.lookback < 2:
            raise FeatureError(
                f"{symbol or 'the audit'}: feature {spec.name!r} needs at least "
                f"{full.lookback + 2} bars to be audited. Got {n_rows} instead."
            )
        chosen = _cuts(rng, full.lookback, n_rows, n_rows if cuts == "all" else cuts)
        checks: dict[Check, Iterator[tuple[Bars, int, int]]] = {
            "truncation": ((_rows(bars, 0, t + 1), 0, t) for t in chosen),
            "perturbation": ((_perturb(bars, t, rng), 0, t) for t in chosen),
        }
        if (n := feature.lookback) is not None:
            checks["lookback"] = ((_rows(bars, t - n, t + 1), t - n, t) for t in chosen)
        for check, variants in checks.items():
            findings += _compare(feature, spec.name, full, check, variants, symbol)
    return tuple(findings)


def require_none(findings: Sequence[Finding]) -> None:
    """Raise `FeatureError` with the first finding, if there is one."""
    if findings:
        more = f"; {len(findings) - 1} more findings" if len(findings) > 1 else ""
        raise FeatureError(f"{findings[0]}{more}.")


def _cuts(rng: np.random.Generator, start: int, n_rows: int, count: int) -> Ints:
    """Return up to `count` cuts from `start` to ``n_rows - 2``, one in each equal stretch."""
    last = n_rows - 1
    if count >= last - start:
        return np.arange(start, last)
    edges = np.linspace(start, last, count + 1).astype(np.int64)
    return rng.integers(edges[:-1], edges[1:])


def _perturb(bars: Bars, cut: int, rng: np.random.Generator) -> Bars:
    """Return bars whose rows after `cut` are shuffled, and rescaled by a factor per family."""
    order = cut + 1 + rng.permutation(len(bars["close"]) - cut - 1)
    price, other = np.exp(rng.uniform(-1.0, 1.0, size=2))
    out = {}
    for name, array in bars.items():
        factor = price if name in PRICES else other
        out[name] = np.concatenate([array[: cut + 1], factor * array[order]])
        out[name].flags.writeable = False
    return out


def _rows(bars: Bars, start: int, stop: int) -> Bars:
    return {name: array[start:stop] for name, array in bars.items()}


def _compare(
    feature: Feature,
    name: str,
    full: Computed,
    check: Check,
    variants: Iterator[tuple[Bars, int, int]],
    symbol: str,
) -> list[Finding]:
    """Compare rows of other bars, the true ones from a start to a cut, with those of all bars."""
    first: dict[int, tuple[int, int]] = {}
    counts = np.zeros(len(full.columns), dtype=np.int64)
    back = check == "lookback"  # then the row at the cut alone counts
    for bars, start, cut in variants:
        try:
            values = evaluate(feature, name, bars, symbol).values
        except FeatureError as error:
            which = f"the audit's {check}, bars {start} to {cut}"
            raise FeatureError(f"{error} (in {which})") from error
        if values.shape[1] != len(full.columns):
            raise FeatureError(
                f"{symbol or 'the audit'}: feature {name!r} must always give the same number of "
                f"columns. Got {len(full.columns)}, and {values.shape[1]} for other bars."
            )
        begin = cut if back else 0
        seen, truth = values[begin - start : cut + 1 - start], full.values[begin : cut + 1]
        # Bits, so that NaN equals NaN and 0 differs from -0.
        differs = seen.view(np.int64) != truth.view(np.int64)
        if back and differs.any():
            differs &= ~(np.abs(seen - truth) <= _rounding(feature, full))
        counts += differs.sum(axis=0)
        for c in np.flatnonzero(differs.any(axis=0)).tolist():
            row = begin + int(differs[:, c].argmax())
            first.setdefault(c, (row, int(start if back else cut)))
    return [
        Finding(symbol, name, full.columns[c], check, row, cut, int(counts[c]))
        for c, (row, cut) in sorted(first.items())
    ]


def _rounding(feature: Feature, full: Computed) -> FloatArray:
    ours = type(feature).__module__.startswith(f"{__package__}.")
    share = 0.0 if ours and not isinstance(feature, UserFunction) else _ROUNDING
    return share * np.asarray(full.values[full.lookback :].std(axis=0))
