"""Proof that features are causal: what comes after a bar changes nothing at or before it.

Two checks, each on the bits of the values:

- *truncation*: the feature of the bars up to the cut equals the feature of all bars, in every row
  up to the cut;
- *perturbation*: so does the feature of bars whose rows after the cut were shuffled and rescaled,
  which also strikes a leak that looks at how many bars there are.

A leak from bar t + 1 into row t alone shows at the cut t alone. So only the exhaustive audit is a
proof; a sampled one finds the leaks that strike many rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.errors import FeatureError
from reinforcestrategycreator_pipeline.features.base import (
    Bars,
    Computed,
    Feature,
    FeatureSpec,
    evaluate,
)
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.table import bars_of
from reinforcestrategycreator_pipeline.ohlcv import PRICES
from reinforcestrategycreator_pipeline.seeding import generator


@dataclass(frozen=True)
class Finding:
    """A feature's column that changed at or before a cut when only later bars did.

    Attributes
    ----------
    feature : str
        The feature's name in the configuration.
    column : str
        The column's name.
    check : {"truncation", "perturbation"}
        Which check failed.
    row, cut : int
        The first row that changed, and the last bar that was the same, both from 0.
    count : int
        How many (row, cut) pairs changed.
    """

    feature: str
    column: str
    check: Literal["truncation", "perturbation"]
    row: int
    cut: int
    count: int

    def __str__(self) -> str:
        return (
            f"feature {self.feature!r}: column {self.column!r} looks ahead: its row {self.row} "
            f"changes with bars after {self.cut} ({self.check}, {self.count} changes in all)"
        )


def audit_causality(
    frame: pd.DataFrame,
    specs: Sequence[FeatureSpec],
    *,
    cuts: Literal["all"] | int = "all",
    perturbations: int = 32,
    seed: int = 0,
    symbol: str = "",
) -> tuple[Finding, ...]:
    """Return what looks ahead; an empty tuple is a pass.

    Parameters
    ----------
    frame : DataFrame
        One symbol's bars, more than the longest lookback.
    specs : sequence of FeatureSpec
        The features.
    cuts : "all" or int
        Cuts of the truncation check: after every bar, or after one bar drawn in each of so many
        equal stretches.
    perturbations : int
        Cuts of the perturbation check, drawn likewise; 0 leaves it out.
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
        If there is no bar after a feature's lookback to check, or a feature fails on cut bars.
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
        truncated = (({k: v[: t + 1] for k, v in bars.items()}, t) for t in chosen)
        findings += _compare(feature, spec.name, full, truncated, "truncation", symbol)
        chosen = _cuts(rng, full.lookback, n_rows, perturbations)
        perturbed = ((_perturb(bars, t, rng), t) for t in chosen)
        findings += _compare(feature, spec.name, full, perturbed, "perturbation", symbol)
    return tuple(findings)


def require_causal(
    frame: pd.DataFrame,
    specs: Sequence[FeatureSpec],
    *,
    cuts: Literal["all"] | int = "all",
    perturbations: int = 32,
    seed: int = 0,
    symbol: str = "",
) -> None:
    """Raise `FeatureError` with the first finding of `audit_causality`, if there is one.

    With ``cuts=64, perturbations=16`` it is quick enough for every run that uses features from
    outside. Parameters are those of `audit_causality`.
    """
    findings = audit_causality(
        frame, specs, cuts=cuts, perturbations=perturbations, seed=seed, symbol=symbol
    )
    if findings:
        more = f"; {len(findings) - 1} more findings" if len(findings) > 1 else ""
        who = f"{symbol}: " if symbol else ""
        raise FeatureError(f"{who}{findings[0]}{more}.")


def _cuts(rng: np.random.Generator, start: int, n_rows: int, count: int) -> NDArray[np.int64]:
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


def _compare(
    feature: Feature,
    name: str,
    full: Computed,
    variants: Iterator[tuple[Bars, int]],
    check: Literal["truncation", "perturbation"],
    symbol: str,
) -> list[Finding]:
    truth = full.values.view(np.int64)  # bits, so that NaN equals NaN and 0 differs from -0
    firsts: dict[int, tuple[int, int]] = {}
    counts = np.zeros(len(full.columns), dtype=np.int64)
    for bars, cut in variants:
        values = evaluate(feature, name, bars, symbol).values
        if values.shape[1] != len(full.columns):
            raise FeatureError(
                f"{symbol or 'the audit'}: feature {name!r} must always give the same number of "
                f"columns. Got {len(full.columns)}, and {values.shape[1]} for other bars."
            )
        seen = values.view(np.int64)[: cut + 1]
        if np.array_equal(seen, truth[: cut + 1]):
            continue
        differs = seen != truth[: cut + 1]
        counts += differs.sum(axis=0)
        for column in np.flatnonzero(differs.any(axis=0)):
            firsts.setdefault(int(column), (int(differs[:, column].argmax()), int(cut)))
    return [
        Finding(name, full.columns[c], check, row, cut, int(counts[c]))
        for c, (row, cut) in sorted(firsts.items())
    ]
