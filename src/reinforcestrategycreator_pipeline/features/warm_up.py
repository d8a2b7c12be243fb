"""The history that a user feature really needs, found by growing it until nothing changes.

What a feature states may be wrong. An exponential mean has a value at once, and still depends on
hundreds of bars: states 60 leading NaN, and a stream that starts with 60 bars decides otherwise
than the backtest did. So some rows are computed from their last bars alone, from more and more of
them, until they are as from all bars; the number goes into the feature's specification as its
`lookback`, and from there into the spans, the package and every stream.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.errors import FeatureError
from reinforcestrategycreator_pipeline.features.base import Bars, FeatureSpec, evaluate
from reinforcestrategycreator_pipeline.features.catalog import build_feature, states_lookback
from reinforcestrategycreator_pipeline.features.fresh import (
    Computing,
    FreshProcesses,
    is_shipped,
)
from reinforcestrategycreator_pipeline.features.table import bars_of
from reinforcestrategycreator_pipeline.features.tolerance import (
    SETTLED_SHARE,
    Tolerance,
    exceeds,
    jitters,
)
from reinforcestrategycreator_pipeline.features.variants import rows_of, with_other_past
from reinforcestrategycreator_pipeline.seeding import generator

_ROWS_SHARE = SETTLED_SHARE / 3
"""Allowed change of the rows that are computed, as these need not be the worst."""
_PAST_SHARE = 1e-4
"""Allowed change when all older prices are e times higher or lower: an exponential mean damps that,
a maximum or sum since the first bar does not."""
_ROWS = 12
"""Rows that are computed, in the last third of the bars."""


def settle(
    bars: Mapping[str, pd.DataFrame],
    specs: Sequence[FeatureSpec],
    processes: FreshProcesses,
    seed: int = 0,
) -> tuple[tuple[FeatureSpec, ...], tuple[str, ...]]:
    """State the lookback of every user feature as it is, whatever it states itself.

    Parameters
    ----------
    bars : mapping of str to DataFrame
        Training bars by symbol, for what is chosen may not depend on later ones; the symbol that
        needs most counts.
    specs : sequence of FeatureSpec
        Specifications of all features; those of shipped ones are returned as they are.
    processes : FreshProcesses
        Processes for user features.
    seed : int
        Seed of the jitter that measures rounding.

    Returns
    -------
    specs : tuple of FeatureSpec
        The same features with their lookback.
    notes : tuple of str
        A sentence on every feature that needs more than it states.

    Raises
    ------
    FeatureError
        If a feature does not settle within two thirds of the bars, as a cumulative sum never does.
    """
    rng = generator(seed, "feature-warm-up")
    out, notes = [], []
    for spec in specs:
        feature = build_feature(spec)
        if is_shipped(feature):
            out.append(spec)
            continue
        found = stated = feature.lookback or 0
        for symbol, frame in bars.items():
            columns = bars_of(frame, symbol)
            start = time.perf_counter()
            full = evaluate(feature, spec.name, columns, symbol, frame.index)
            seconds = time.perf_counter() - start
            own = full.lookback if feature.lookback is None else feature.lookback
            stated = max(stated, own)
            if own >= _most(len(frame)):  # too few bars for the feature itself, or to find more
                found = max(found, own)
                continue
            # What other symbols needed is mostly enough, and then needs no search.
            least = found if own < found < _most(len(frame)) else own
            place = processes.place(spec, seconds)
            found = max(found, _Search(spec, symbol, columns, least, place, rng).run())
        if found > stated:
            notes.append(
                f"feature {spec.name!r} needs a lookback of {found} bars, but states {stated}: "
                f"{found} is used."
            )
        if feature.lookback == found:
            out.append(spec)
        elif states_lookback(spec):
            out.append(replace(spec, params={**spec.params, "lookback": found}))
        elif found > stated:
            raise FeatureError(
                f"feature {spec.name!r} needs a lookback of {found} bars, but states {stated}, and "
                "lookback is one of its own parameters: declare it by its attribute lookback."
            )
        else:
            out.append(spec)
    return tuple(out), tuple(notes)


def _most(n_rows: int) -> int:
    """Return the longest lookback that can be found in so many bars."""
    return 2 * n_rows // 3


class _Search:
    """The search for the lookback of one feature on the bars of one symbol."""

    def __init__(
        self,
        spec: FeatureSpec,
        symbol: str,
        bars: Bars,
        stated: int,
        place: Computing,
        rng: np.random.Generator,
    ) -> None:
        self.spec, self.symbol, self.bars, self.place = spec, symbol, bars, place
        self.stated, n_rows = stated, len(bars["close"])
        self.most = _most(n_rows)
        self.rows = np.unique(np.linspace(self.most, n_rows - 1, _ROWS).astype(int)).tolist()
        self.full, *others = place.compute([bars, *jitters(bars, rng)])
        self.tolerance = Tolerance.of(self.full, iter(others))

    def run(self) -> int:
        """Return the number of earlier bars that a row needs."""
        if self._is_enough(self.stated) and self._forgets(self.stated):
            return self.stated
        low, high = self.stated, min(self.most, max(1, 2 * self.stated))
        while not self._is_enough(high):
            if high == self.most:
                raise self._unsettled()
            low, high = high, min(self.most, 2 * high)
        while high - low > max(1, high // 32):
            middle = (low + high) // 2
            low, high = (low, middle) if self._is_enough(middle) else (middle, high)
        high = min(self.most, high + high // 8)  # the computed rows need not be the worst
        while not self._forgets(high):
            if high == self.most:
                raise self._unsettled()
            high = min(self.most, 2 * high)
        return high

    def _is_enough(self, lookback: int) -> bool:
        """Return whether the rows are the same from their last bars alone."""
        windows = (rows_of(self.bars, row - lookback, row + 1) for row in self.rows)
        try:
            found = [values[-1] for values in self.place.compute(windows)]
        except FeatureError:
            return False  # such as an index error over too few bars
        return self._are_same(found, _ROWS_SHARE)

    def _forgets(self, lookback: int) -> bool:
        """Return whether the rows are the same after quite another past."""
        for factor in (np.e, 1 / np.e):
            pasts = (with_other_past(self.bars, row - lookback, factor) for row in self.rows)
            found = [v[row] for v, row in zip(self.place.compute(pasts), self.rows, strict=True)]
            if not self._are_same(found, _PAST_SHARE):
                return False
        return True

    def _are_same(self, found: list[F64], share: float) -> bool:
        truth = self.full[self.rows]
        if any(values.shape != truth[0].shape for values in found):
            return False  # the audit names a width that depends on the bars
        limit = np.fmax(self.tolerance.allowed[self.rows], share * self.tolerance.scale)
        return not exceeds(np.stack(found), truth, limit).any()

    def _unsettled(self) -> FeatureError:
        who = f"{self.symbol}: " if self.symbol else ""
        return FeatureError(
            f"{who}feature {self.spec.name!r} still depends on bars more than {self.most} earlier, "
            "two thirds of the training bars: a sum or maximum since the first bar, or a long "
            "exponential mean, would decide otherwise after a restart. Compute it over a window of "
            "bars or a shorter span, or load more bars."
        )
