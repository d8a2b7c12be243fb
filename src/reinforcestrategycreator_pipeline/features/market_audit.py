"""Audit that features of the market do not look ahead, nor depend on the level of prices.

They are computed from all bars, and again from the bars up to a time, from bars with another future
after it, and from bars of which each symbol has another level, as after splits of its own. What a
feature has at or before that time must be the same: bit by bit, and, at other levels, up to
rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Bools
from reinforcestrategycreator_pipeline.features.base import Bars, FeatureSpec, FloatArray
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.findings import Check, Finding
from reinforcestrategycreator_pipeline.features.joining import values_of
from reinforcestrategycreator_pipeline.features.market_features import (
    Market,
    MarketFeature,
    is_of_market,
)
from reinforcestrategycreator_pipeline.features.variants import (
    at_level,
    choose_cuts,
    with_other_future,
)
from reinforcestrategycreator_pipeline.seeding import generator

_BRIEF = 1
_LEVEL_SHARE = 1e-5
"""Allowed change by another level, in typical deviations."""


def audit_market(
    market: Market,
    specs: Sequence[FeatureSpec],
    *,
    cuts: Literal["all"] | int = "all",
    seed: int,
    brief: bool = False,
) -> tuple[Finding, ...]:
    """Find features of the market that look ahead, or depend on the level of prices.

    Parameters
    ----------
    market : mapping of str to DataFrame
        Bars of all symbols, without the joined columns.
    specs : sequence of FeatureSpec
        Specifications; those that are not of the market are passed over.
    cuts : "all" or int
        Times after which the bars are removed or replaced: all, or one random time in each of
        `cuts` equal stretches.
    seed : int
        Seed of the cuts, and of the other bars.
    brief : bool
        Whether features of this package, which the tests prove causal, get one cut.

    Returns
    -------
    tuple of Finding
        At most one per symbol, column and check; empty if all checks pass.
    """
    rng = generator(seed, "feature-audit/market")
    found: list[Finding] = []
    for spec in specs:
        feature = build_feature(spec)
        if is_of_market(feature):
            ours = type(feature).__module__.startswith(f"{__package__}.")
            most = min(cuts, _BRIEF) if brief and ours and cuts != "all" else cuts
            found += _MarketAudit(feature, spec.name, market, rng).run(most)
    return tuple(found)


class _MarketAudit:
    def __init__(
        self, feature: MarketFeature, name: str, market: Market, rng: np.random.Generator
    ) -> None:
        self.feature, self.name, self.market, self.rng = feature, name, market, rng
        self.full = values_of(feature, name, market)
        stamps = [pd.DatetimeIndex(frame.index) for frame in market.values()]
        self.times = pd.DatetimeIndex(stamps[0].append(stamps[1:]).unique().sort_values())

    def run(self, cuts: Literal["all"] | int) -> Iterator[Finding]:
        """Yield the findings at up to `cuts` times."""
        n = len(self.times)
        chosen = choose_cuts(self.rng, 0, n, n if cuts == "all" else cuts)
        seen: set[tuple[str, str, str]] = set()
        for time in self.times[chosen]:
            past = {s: f[f.index <= time] for s, f in self.market.items()}
            past = {s: f for s, f in past.items() if len(f)}
            future = {s: self._with_other_future(f, time) for s, f in self.market.items()}
            cases: tuple[tuple[Check, Market], ...] = ("truncation", past), ("perturbation", future)
            for check, market in cases:
                yield from self._compared(check, market, past, seen)
        levels = {s: self._at_level(f, i) for i, (s, f) in enumerate(self.market.items())}
        yield from self._compared("level", levels, self.market, seen, _LEVEL_SHARE)

    def _compared(
        self,
        check: Check,
        market: Market,
        until: Market,
        seen: set[tuple[str, str, str]],
        share: float = 0.0,
    ) -> Iterator[Finding]:
        """Yield what differs in the rows of `until`, by more than a share of the deviation."""
        values = values_of(self.feature, self.name, market)
        for symbol, frame in until.items():
            rows = len(frame)
            truth, found = self.full[symbol][:rows], values[symbol][:rows]
            changed = _differs(truth, found, share)
            changed[: self.feature.lookback] = False
            for c, column in enumerate(self.feature.columns):
                key = symbol, column, check
                if changed[:, c].any() and key not in seen:
                    seen.add(key)
                    row, count = int(changed[:, c].argmax()), int(changed[:, c].sum())
                    yield Finding(symbol, self.name, column, check, row, rows - 1, count)

    def _with_other_future(self, frame: pd.DataFrame, time: pd.Timestamp) -> pd.DataFrame:
        kept = int(frame.index.searchsorted(time, side="right"))
        if kept >= len(frame):
            return frame
        if kept:
            return _framed(with_other_future(_columns(frame), kept - 1, self.rng), frame)
        order = self.rng.permutation(len(frame))
        return pd.DataFrame(frame.to_numpy()[order], index=frame.index, columns=frame.columns)

    def _at_level(self, frame: pd.DataFrame, i: int) -> pd.DataFrame:
        factor = 2.0 ** (5 * (i % 3) - 5)  # powers of 2 scale exactly
        return _framed(at_level(_columns(frame), factor, 1.0 / factor), frame)


def _differs(truth: FloatArray, found: FloatArray, share: float) -> Bools:
    if not share:
        same: Bools = truth.view(np.int64) != np.ascontiguousarray(found).view(np.int64)
        return same & ~(np.isnan(truth) & np.isnan(found))
    known = np.isfinite(truth).any(axis=0)
    typical = np.zeros(truth.shape[1])
    typical[known] = np.nanstd(np.where(np.isfinite(truth), truth, np.nan)[:, known], axis=0)
    apart: Bools = ~(np.abs(truth - found) <= share * typical + 1e-12)
    return apart & ~(np.isnan(truth) & np.isnan(found))


def _columns(frame: pd.DataFrame) -> Bars:
    return {str(name): frame[name].to_numpy(np.float64) for name in frame.columns}


def _framed(bars: Bars, like: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(dict(bars), index=like.index)
