"""Audit that a feature's row depends on its own bar and the `lookback` bars before it, and no more.

Checks that recompute a feature on modified bars and compare the rows with those of all bars:

- *truncation*: the bars after a cut are removed; no row up to the cut may change;
- *perturbation*: the bars after the cut are shuffled and rescaled instead, which also detects a
  leak that depends on the number of bars. Of a user feature, single bars far apart are replaced,
  too; no row before one, and more than the lookback after another, may change;
- *lookback*: only the bar at the cut and its declared lookback are kept; the last row may not
  change. So a stream, which keeps no more bars, decides as the backtest did;
- *level*: prices and volume are rescaled as by a later split or dividend; no row may change;
- *repetition*: the same bars give the same values, wherever they are computed;
- *rounding*: the last bits of the bars do not decide.

User features are computed in fresh processes without files and network (`fresh`), and compared
with a tolerance that they show themselves (`tolerance`). Shipped features must agree in every bit.

Of more than `WHOLE_BARS` bars, those checks of a shipped feature see the `NEAR_BARS` bars before
and after each cut, and not all; user features are compared on all bars.

A leak from bar t + 1 into row t alone shows only at the cut t. So only an audit of all cuts is a
proof; a sampled audit finds leaks that affect many rows.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64, Bools, Ints
from reinforcestrategycreator_pipeline.errors import FeatureError
from reinforcestrategycreator_pipeline.features.base import Bars, FeatureSpec, evaluate
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.findings import Check, Finding, require_none
from reinforcestrategycreator_pipeline.features.fresh import (
    Computing,
    FreshProcesses,
    Here,
)
from reinforcestrategycreator_pipeline.features.table import bars_of
from reinforcestrategycreator_pipeline.features.tolerance import (
    Tolerance,
    exceeds,
    jitters,
    unexplained,
)
from reinforcestrategycreator_pipeline.features.variants import (
    LEVELS,
    at_level,
    choose_cuts,
    rows_of,
    with_other_bars,
    with_other_future,
)
from reinforcestrategycreator_pipeline.seeding import generator

__all__ = ["Finding", "audit_features", "require_none"]

LOOKBACK_SHARE = 1e-6
"""Allowed change of a user feature by bars before its lookback, in typical deviations."""
_LEVEL_SHARE = 1e-5
"""Allowed change by another level, in typical deviations: a guard such as ``+ 1e-9`` may show."""
_ROUNDING_SHARE = 1e-3
"""Tolerance for rounding from which on it hides too much, in typical deviations."""
WHOLE_BARS = 100_000
"""Bars up to which a shipped feature is compared on all of them."""
NEAR_BARS = 25_000
"""Of more bars, so many before each cut, and so many after it with another future."""
_COMBS, _GAP, _COMB_SECONDS, _COMB_CUTS = 32, 5, 2.0, 16
_HUGE = 1e300
_SUSPECTS = 3
"""Modified bars, of those that a check suspects, on which the suspicion is examined."""


def audit_features(
    frame: pd.DataFrame,
    specs: Sequence[FeatureSpec],
    *,
    cuts: Literal["all"] | int = "all",
    seed: int = 0,
    symbol: str = "",
    processes: FreshProcesses | None = None,
) -> tuple[Finding, ...]:
    """Find features that look ahead, or further back than they declare, or depend on levels.

    Parameters
    ----------
    frame : DataFrame
        Bars of one symbol, more than the longest lookback.
    specs : sequence of FeatureSpec
        Specifications of the features to audit.
    cuts : "all" or int
        Cuts per check: after every bar, or after one random bar in each of `cuts` equal stretches.
        With 16, the default features on 3,000 bars take about 0.1 s.
    seed : int
        Seed of the random cuts and perturbations.
    symbol : str
        Symbol for error messages.
    processes : FreshProcesses, optional
        Processes for user features, shared by several audits; by default they are started, which
        takes about half a second, and ended here.

    Returns
    -------
    tuple of Finding
        Findings, at most one per column and check; empty if all checks pass.

    Raises
    ------
    FeatureError
        If there are too few bars to check a feature, if a feature fails on modified bars, or if it
        opens a file or a connection.

    Notes
    -----
    Features that a fresh process cannot import (defined in a notebook or in the script that runs)
    are computed in this process, where they may remember, and open files.
    """
    with FreshProcesses() as own:
        bars = bars_of(frame, symbol)
        rng = generator(seed, "feature-audit")
        findings: list[Finding] = []
        for spec in specs:
            audit = _Audit(spec, processes or own, bars, symbol, rng, frame.index)
            findings += audit.run(len(frame) if cuts == "all" else cuts)
    return tuple(findings)


def level_findings(spec: FeatureSpec, bars: Bars, seed: int = 0) -> list[Finding]:
    """Return the columns of a feature that depend on the level of prices or volume.

    Parameters
    ----------
    spec : FeatureSpec
        Specification of the feature, which is computed in this process.
    bars : mapping of str to ndarray
        Columns of one symbol's bars.
    seed : int
        Seed of the jitter that measures rounding.
    """
    return _Audit(spec, None, bars, "", generator(seed, "feature-levels")).levels()


class _Case(NamedTuple):
    """Modified bars, and what of them is compared.

    Attributes
    ----------
    bars : mapping of str to ndarray
        The bars as they were modified.
    start : int
        Number of rows that were cut off at the beginning.
    rows : ndarray of int
        Rows that may not change, counted in all bars.
    cuts : ndarray of int
        Bars, ascending, of which the last one at or after a row is where its change comes from.
    """

    bars: Bars
    start: int
    rows: Ints
    cuts: Ints


class _Audit:
    """The audit of one feature on the bars of one symbol."""

    def __init__(
        self,
        spec: FeatureSpec,
        processes: FreshProcesses | None,
        bars: Bars,
        symbol: str,
        rng: np.random.Generator,
        stamps: pd.Index[Any] | None = None,
    ) -> None:
        self.spec, self.bars, self.symbol, self.rng = spec, bars, symbol, rng
        self.n_rows = len(bars["close"])
        self.feature = build_feature(spec)
        start = time.perf_counter()
        self.full = evaluate(self.feature, spec.name, bars, symbol, stamps)
        self.seconds = time.perf_counter() - start
        if self.n_rows - self.full.lookback < 2:
            raise FeatureError(
                f"{symbol or 'the audit'}: feature {spec.name!r} needs at least "
                f"{self.full.lookback + 2} bars to be audited. Got {self.n_rows} instead."
            )
        self.place: Computing = processes.place(spec, self.seconds) if processes else Here(spec)
        # Of very many bars, some show how far the values deviate.
        every = 1 + (self.n_rows - 1) // WHOLE_BARS
        self.tolerance = Tolerance.exact(self.full.values, every)

    def run(self, count: int) -> Iterator[Finding]:
        """Yield the findings of all checks at up to `count` cuts."""
        bars, n_rows, rng = self.bars, self.n_rows, self.rng
        unstable = [] if self.place.exact else self._repeated()
        cuts = choose_cuts(rng, self.full.lookback, n_rows, count).tolist()
        if self.near and count < n_rows:
            yield from self._near(cuts)
            return
        yield from self._compare("truncation", (_until(t, rows_of(bars, 0, t + 1)) for t in cuts))
        back, more = self.feature.lookback, list[int]()
        short: list[Finding] = []
        if back is not None:
            windows = (_window(bars, t - back, t) for t in cuts)
            short = self._compare("lookback", windows, LOOKBACK_SHARE)
            if not (short or self.place.exact) and count < n_rows:
                more = self._suspected_cuts(back)
        others = (_until(t, with_other_future(bars, t, rng)) for t in sorted({*cuts, *more}))
        yield from self._compare("perturbation", others)
        yield from short
        yield from self.levels()
        yield from unstable

    @property
    def near(self) -> bool:
        """Whether the bars near a cut show what all of them would.

        A shipped feature has no memory, and bits that depend on its lookback alone; of very many
        bars, those around each cut are enough.
        """
        known = self.place.exact and self.feature.lookback is not None
        return known and self.n_rows > WHOLE_BARS

    def _near(self, cuts: Sequence[int]) -> Iterator[Finding]:
        """Yield the findings on the bars near each of the cuts."""
        bars, back = self.bars, self.feature.lookback or 0

        def case(cut: int, after: int) -> _Case:
            start = max(0, cut + 1 - NEAR_BARS - back)
            part = rows_of(bars, start, min(cut + 1 + after, self.n_rows))
            if after:
                part = with_other_future(part, cut - start, self.rng)
            first = start + back if start else 0
            return _Case(part, start, np.arange(first, cut + 1), np.array([cut]))

        yield from self._compare("truncation", (case(t, 0) for t in cuts))
        short = self._compare("lookback", (_window(bars, t - back, t) for t in cuts))
        yield from self._compare("perturbation", (case(t, NEAR_BARS) for t in cuts))
        yield from short
        yield from self.levels()

    def levels(self) -> list[Finding]:
        """Return what changes with the level of prices or volume."""
        last, start = self.n_rows - 1, 0
        if self.near:
            start = self.n_rows - 2 * NEAR_BARS
        bars = rows_of(self.bars, start, self.n_rows)
        first = start + (self.feature.lookback or 0) if start else 0
        rows, cut = np.arange(first, last + 1), np.array([last])
        cases = (_Case(at_level(bars, *f), start, rows, cut) for f in LEVELS.values())
        return self._compare("level", cases, _LEVEL_SHARE)

    def _suspected_cuts(self, lookback: int) -> list[int]:
        """Return the cuts that single bars, replaced far apart, make most suspicious.

        Many cuts are tried at a time: a row may not change that lies before one replaced bar and
        more than the lookback after another. What remains of that one may change it, too, so this
        is no proof yet.
        """
        least = LOOKBACK_SHARE * self.tolerance.scale
        suspected: dict[int, float] = {}
        for case, excess in self._changed("perturbation", self._combs(lookback), least):
            for row in np.flatnonzero(excess.any(axis=1)):
                cut = int(case.cuts[np.searchsorted(case.cuts, case.rows[row])])
                suspected[cut] = max(suspected.get(cut, 0.0), float(excess[row].max()))
        return sorted(sorted(suspected, key=suspected.__getitem__)[-_COMB_CUTS:])

    def _combs(self, lookback: int) -> Iterator[_Case]:
        """Yield bars of which single ones, far apart, are replaced."""
        apart = lookback + 1 + _GAP
        affordable = int(_COMB_SECONDS / max(self.seconds, 1e-9))
        for offset in self.rng.permutation(apart)[: min(_COMBS, affordable)]:
            at = np.arange(offset, self.n_rows, apart)
            since = (np.arange(self.n_rows) - offset) % apart  # bars since the last replaced one
            since[:offset] = lookback + 1
            rows = np.flatnonzero(since > lookback)
            rows = rows[(rows >= self.full.lookback) & (rows < at[-1] if len(at) else False)]
            if len(rows):
                yield _Case(with_other_bars(self.bars, at, self.rng), 0, rows, at - 1)

    def _repeated(self) -> list[Finding]:
        """Set the tolerance; return what does not repeat, and what rounding decides."""
        results = self.place.compute([self.bars, self.bars, *jitters(self.bars, self.rng)])
        with self._named("repetition", deque()):
            first, second, *others = map(self._checked, results)
        self.tolerance = Tolerance.of(first, iter(others))
        limit, scale = self.tolerance.allowed, self.tolerance.scale
        differs = exceeds(first, second, np.zeros_like(first))
        differs |= exceeds(first, self.full.values, limit)
        usual = np.median(limit[self.full.lookback :], axis=0)
        hides = (limit >= usual) & (usual > _ROUNDING_SHARE * scale) & (scale > 0)
        case = _until(self.n_rows - 1, self.bars)
        found = self._findings("repetition", [(case, differs)])
        return found or self._findings("rounding", [(case, hides)])

    def _compare(self, check: Check, cases: Iterator[_Case], share: float = 0.0) -> list[Finding]:
        """Compare modified bars with all bars, with a tolerance of at least `share` deviations."""
        exact = self.place.exact and check != "level"
        least = 0.0 * self.tolerance.scale if exact else share * self.tolerance.scale
        changed = list(self._changed(check, cases, least))
        if not exact and changed:
            columns = np.zeros(len(least), dtype=bool)
            for case, _ in sorted(changed, key=lambda c: -c[1].max())[:_SUSPECTS]:
                columns |= self._confirmed(case, least)
            changed = [(case, excess * columns) for case, excess in changed]
        return self._findings(check, [(case, excess > 0) for case, excess in changed])

    def _changed(
        self, check: Check, cases: Iterator[_Case], least: F64
    ) -> Iterator[tuple[_Case, F64]]:
        """Yield the modified bars on which values changed, and by how much beyond the tolerance.

        The excess has the shape (rows, k): the change over its tolerance, 0 where it is allowed.
        """
        waiting: deque[_Case] = deque()

        def series() -> Iterator[Bars]:
            for case in cases:
                waiting.append(case)
                yield case.bars

        results = self.place.compute(series())
        while True:
            with self._named(check, waiting):
                values = next(results, None)
            if values is None:
                return
            case = waiting.popleft()
            seen = self._checked(values)[case.rows - case.start]
            truth = self.full.values[case.rows]
            limit = np.fmax(self.tolerance.allowed[case.rows], least)
            differs = exceeds(seen, truth, limit)
            if differs.any():
                with np.errstate(all="ignore"):
                    ratio = np.nan_to_num(np.abs(seen - truth) / limit, nan=_HUGE, posinf=_HUGE)
                yield case, np.where(differs, np.fmax(ratio, 1.0), 0.0)

    def _confirmed(self, case: _Case, least: F64) -> Bools:
        """Return the columns in which rounding does not explain what differs."""
        places = case.rows, case.rows - case.start
        return unexplained(self.place, self.bars, case.bars, places, least, self.rng)

    def _findings(self, check: Check, changed: list[tuple[_Case, Bools]]) -> list[Finding]:
        """Return a finding for each column that changed, with its first row."""
        found: list[Finding] = []
        for c, column in enumerate(self.full.columns):
            hits = [(case, differs[:, c]) for case, differs in changed if differs[:, c].any()]
            if hits:
                rows = [int(case.rows[differs.argmax()]) for case, differs in hits]
                first = rows.index(row := min(rows))
                cuts = hits[first][0].cuts
                cut = int(cuts[0] if check == "lookback" else cuts[cuts >= row][0])
                count = sum(int(differs.sum()) for _, differs in hits)
                advice = getattr(self.feature, "level_advice", "") if check == "level" else ""
                name = self.spec.name
                found.append(Finding(self.symbol, name, column, check, row, cut, count, advice))
        return found

    def _checked(self, values: F64) -> F64:
        if values.shape[1] != len(self.full.columns):
            raise FeatureError(
                f"{self.symbol or 'the audit'}: feature {self.spec.name!r} must always return the "
                f"same number of columns. Got {len(self.full.columns)}, and {values.shape[1]} for "
                "other bars."
            )
        return values

    @contextmanager
    def _named(self, check: Check, waiting: deque[_Case]) -> Iterator[None]:
        """Tell in errors which modified bars the feature failed on."""
        try:
            yield
        except FeatureError as error:
            bars = f", bars {waiting[0].start} to {waiting[0].rows[-1]}" if waiting else ""
            who = f"{self.symbol}: " if self.symbol else ""
            raise FeatureError(f"{who}{error} (in the audit's {check}{bars})") from error


def _until(cut: int, bars: Bars) -> _Case:
    return _Case(bars, 0, np.arange(cut + 1), np.array([cut]))


def _window(bars: Bars, start: int, row: int) -> _Case:
    return _Case(rows_of(bars, start, row + 1), start, np.array([row]), np.array([start]))
