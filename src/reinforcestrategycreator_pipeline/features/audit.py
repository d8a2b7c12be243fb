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
- *rounding*: the last bits of the bars do not decide;
- *stress*: with crashes, halts and extremes put into the bars, no row changes with those after it;
- *clock*, *environment*: a user feature reads neither the time nor a variable of the shell.

User features are computed in fresh processes without files and network (`fresh`), and compared
with a tolerance that they show themselves (`tolerance`). Shipped features must agree in every bit.

Of more than `WHOLE_BARS` bars, those checks of a shipped feature see the `NEAR_BARS` bars before
and after each cut, and not all; user features are compared on all bars.

A leak from bar t + 1 into row t alone shows only at the cut t. So only an audit of all cuts is a
proof; a sampled audit finds leaks that affect many rows.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64, Bools
from reinforcestrategycreator_pipeline.errors import FeatureError
from reinforcestrategycreator_pipeline.features.base import Bars, FeatureSpec, evaluate
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.findings import Check, Finding, require_none
from reinforcestrategycreator_pipeline.features.fresh import (
    Computing,
    Denied,
    FreshProcesses,
    Here,
)
from reinforcestrategycreator_pipeline.features.hits import Case, Change, Hit, first_of, hits_of
from reinforcestrategycreator_pipeline.features.stress import (
    stressed_rows,
    with_halts,
    with_moves,
)
from reinforcestrategycreator_pipeline.features.table import bars_of
from reinforcestrategycreator_pipeline.features.tolerance import (
    JITTERS,
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
_LEAST_CUTS = 16
_FLOOR = 1e-12
"""Relative change below which nothing is suspected on bars with shocks."""
_TRUNCATION_SHARE = 0.85
_OVERHEAD_SECONDS = (1e-4, 4e-4)
"""Time to modify, send and compare 2,500 bars: of a shipped feature, of a user's."""
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


class Examination(NamedTuple):
    """The findings of one feature on the bars of one symbol, and how far they were looked for.

    Attributes
    ----------
    findings : tuple of Finding
        What it found; empty if all checks passed.
    tried : mapping of str to int
        Number of modified series by check: of cuts for truncation, perturbation and lookback.
    possible : int
        Number of cuts that there are.
    lookback : int
        Number of bars before the first row with a value.
    widened : int or None
        Lookback that some rows need, if the declared one is too short for them.
    where : str
        The processes in which the feature was computed.
    """

    findings: tuple[Finding, ...]
    tried: dict[Check, int]
    possible: int
    lookback: int
    widened: int | None
    where: str


def examine(
    frame: pd.DataFrame,
    spec: FeatureSpec,
    processes: FreshProcesses,
    *,
    cuts: int | None = None,
    samples: int | None = None,
    seconds: float = np.inf,
    seed: int = 0,
    symbol: str = "",
) -> Examination:
    """Audit one feature at as many cuts as the time allows, all of them if it can.

    Parameters
    ----------
    frame : DataFrame
        Bars of one symbol.
    spec : FeatureSpec
        Specification of the feature.
    processes : FreshProcesses
        Processes for user features.
    cuts : int, optional
        Number of cuts per check, >= 1; by default as many as `seconds` allow.
    samples : int, optional
        Number of cuts for perturbation and lookback, >= 1; by default that of `cuts`.
    seconds : float
        Time for the audit, by an estimate from the time that the feature takes for all bars.
        Truncation comes first, which alone is a proof if it is at every cut.
    seed : int
        Seed of sampled cuts and perturbations.
    symbol : str
        Symbol for error messages.

    Raises
    ------
    FeatureError
        As `audit_features`.
    """
    rng = generator(seed, "feature-audit")
    audit = _Audit(spec, processes, bars_of(frame, symbol), symbol, rng, frame.index)
    count, others = (cuts, cuts) if cuts is not None else _affordable(audit, seconds)
    others = others if samples is None else samples
    count, others = min(count, audit.possible), min(others, audit.possible)
    findings = tuple(audit.run(count, others, thorough=True))
    return Examination(
        findings,
        dict(audit.tried),
        audit.possible,
        audit.full.lookback,
        audit.widened,
        audit.place.where,
    )


def _affordable(audit: _Audit, seconds: float) -> tuple[int, int]:
    """Return for how many cuts of truncation, and of the other checks, the time is enough."""
    each = np.inf
    for _ in range(3):  # the first computation may have imported something
        start = time.perf_counter()
        evaluate(audit.feature, audit.spec.name, audit.bars, audit.symbol)
        each = min(each, time.perf_counter() - start)
    each += _OVERHEAD_SECONDS[0 if audit.place.exact else 1]
    seconds = min(seconds, 1e6)
    one = 0.5 * each  # a truncated series has half of the bars
    count = min(audit.possible, int(_TRUNCATION_SHARE * seconds / one))
    others = int((seconds - count * one) / (1.5 * each))
    return max(_LEAST_CUTS, count), max(_LEAST_CUTS, others)


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
        self.tried: Counter[Check] = Counter()
        self.widened: int | None = None

    @property
    def possible(self) -> int:
        """Number of cuts that there are."""
        return self.n_rows - 1 - self.full.lookback

    def run(
        self, count: int, others: int | None = None, thorough: bool = False
    ) -> Iterator[Finding]:
        """Yield the findings of all checks at up to `count` cuts.

        Parameters
        ----------
        count : int
            Number of cuts for truncation.
        others : int, optional
            Number of cuts for perturbation and lookback; by default the same.
        thorough : bool
            Whether to try bars with shocks, and to look for a longer lookback where the declared
            one is too short, which `widened` then is.
        """
        bars, n_rows, rng = self.bars, self.n_rows, self.rng
        unstable = [] if self.place.exact else [*self._repeated(), *self._reads()]
        cuts = choose_cuts(rng, self.full.lookback, n_rows, count).tolist()
        if self.near and count < n_rows:
            yield from self._near(cuts)
            return
        yield from self._compare("truncation", (_until(t, rows_of(bars, 0, t + 1)) for t in cuts))
        if others is not None and others < count:
            cuts, count = choose_cuts(rng, self.full.lookback, n_rows, others).tolist(), others
        back, more = self.feature.lookback, list[int]()
        short: list[Finding] = []
        if back is not None:
            windows = (_window(bars, t - back, t) for t in cuts)
            short = self._compare("lookback", windows, LOOKBACK_SHARE)
            if short and not self.place.exact and thorough:
                short = self._widen(cuts, back, short)
            if not (short or self.place.exact) and count < self.possible:
                more = self._suspected_cuts(back)
        futures = (_until(t, with_other_future(bars, t, rng)) for t in sorted({*cuts, *more}))
        yield from self._compare("perturbation", futures)
        yield from short
        yield from self.levels()
        if thorough and not self.place.exact:
            yield from self._stressed()
        yield from unstable

    def _widen(self, cuts: Sequence[int], back: int, short: list[Finding]) -> list[Finding]:
        """Grow the lookback until no row needs more; return the findings if it never is enough.

        Rows that need more than most, such as those after a rare event, are not among the few on
        which the lookback was found.
        """
        tried = self.tried["lookback"]
        while short and back < self.n_rows // 2:
            back += max(1, back // 2)
            windows = (_window(self.bars, t - back, t) for t in cuts if t >= back)
            left = self._compare("lookback", windows, LOOKBACK_SHARE)
            self.tried["lookback"] = tried  # of the declared one
            if not left:
                self.widened = back
                return []
        return short

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

        def case(cut: int, after: int) -> Case:
            start = max(0, cut + 1 - NEAR_BARS - back)
            part = rows_of(bars, start, min(cut + 1 + after, self.n_rows))
            if after:
                part = with_other_future(part, cut - start, self.rng)
            first = start + back if start else 0
            return Case(part, start, np.arange(first, cut + 1), np.array([cut]))

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
        cases = (Case(at_level(bars, *f), start, rows, cut) for f in LEVELS.values())
        return self._compare("level", cases, _LEVEL_SHARE)

    def _stressed(self) -> list[Finding]:
        """Return what looks ahead on bars with shocks, after each of them."""
        hits: list[Hit] = []
        for change in (with_moves, with_halts):
            rows = stressed_rows(self.full.lookback, self.n_rows, self.rng)
            bars = change(self.bars, rows)
            cuts = np.unique(np.concatenate([rows, rows + 1])).tolist()
            parts = [rows_of(bars, 0, cut + 1) for cut in cuts]
            try:
                *seen, truth = map(self._checked, self.place.compute([*parts, bars]))
            except Denied:
                raise
            except FeatureError:  # a sound feature may have no value for such bars
                continue
            self.tried["stress"] += len(cuts)
            found = []
            for cut, part, values in zip(cuts, parts, seen, strict=True):
                case, before = _until(cut, part), truth[: cut + 1]
                least = np.fmax(_FLOOR * np.abs(before), _FLOOR * self.tolerance.scale)
                differs = exceeds(values, before, least)
                if differs.any():
                    found.append(Change(case, differs.astype(np.float64), before, values))
            hits += self._beyond_rounding(bars, found)
        return self._findings("stress", hits)

    def _beyond_rounding(self, bars: Bars, found: Sequence[Change]) -> list[Hit]:
        """Return what changed of bars with shocks, but for columns where rounding explains it."""
        columns = np.zeros(len(self.full.columns), dtype=bool)
        for change in sorted(found, key=lambda c: -_largest(c))[:_SUSPECTS]:
            places = change.case.rows, change.case.rows
            least = np.zeros(len(columns))
            try:
                columns |= unexplained(self.place, bars, change.case.bars, places, least, self.rng)
            except FeatureError:  # for bars with other last bits, which are few of many
                continue
        return [hit for change in found for hit in hits_of(change) if columns[hit.column]]

    def _suspected_cuts(self, lookback: int) -> list[int]:
        """Return the cuts that single bars, replaced far apart, make most suspicious.

        Many cuts are tried at a time: a row may not change that lies before one replaced bar and
        more than the lookback after another. What remains of that one may change it, too, so this
        is no proof yet.
        """
        least = LOOKBACK_SHARE * self.tolerance.scale
        suspected: dict[int, float] = {}
        # Bars replaced everywhere may be none that a sound feature has values for.
        with suppress(FeatureError):
            for case, excess, *_ in self._changed("perturbation", self._combs(lookback), least):
                for row in np.flatnonzero(excess.any(axis=1)):
                    cut = int(case.cuts[np.searchsorted(case.cuts, case.rows[row])])
                    suspected[cut] = max(suspected.get(cut, 0.0), float(excess[row].max()))
        return sorted(sorted(suspected, key=suspected.__getitem__)[-_COMB_CUTS:])

    def _combs(self, lookback: int) -> Iterator[Case]:
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
                yield Case(with_other_bars(self.bars, at, self.rng), 0, rows, at - 1)

    def _repeated(self) -> list[Finding]:
        """Set the tolerance; return what does not repeat, and what rounding decides."""
        results = self.place.compute([self.bars, self.bars, *jitters(self.bars, self.rng)])
        with self._named("repetition", deque()):
            first, second, *others = map(self._checked, results)
        self.tolerance = Tolerance.of(first, iter(others))
        self.tried["repetition"] = self.tried["rounding"] = 2 + JITTERS
        limit, scale, truth = self.tolerance.allowed, self.tolerance.scale, self.full.values
        elsewhere = exceeds(first, truth, limit)
        differs = elsewhere | exceeds(first, second, np.zeros_like(first))
        usual = np.median(limit[self.full.lookback :], axis=0)
        hides = (limit >= usual) & (usual > _ROUNDING_SHARE * scale) & (scale > 0)
        case = _until(self.n_rows - 1, self.bars)
        seen = np.where(elsewhere, first, second)
        changed = Change(case, differs.astype(np.float64), truth, seen)
        found = self._findings("repetition", hits_of(changed))
        unknown = np.full_like(truth, np.nan)
        hidden = Change(case, hides.astype(np.float64), truth, unknown)
        return found or self._findings("rounding", hits_of(hidden))

    def _reads(self) -> Iterator[Finding]:
        """Yield what the feature's code reads beside the bars."""
        with self._named("repetition", deque()):
            reads = self.place.reads(self.bars)
        kinds: tuple[tuple[Check, tuple[str, ...]], ...] = (
            ("clock", reads.clock),
            ("environment", reads.environment),
        )
        for check, found in kinds:
            self.tried[check] = 1
            if found:
                last, n = self.n_rows - 1, len(found)
                yield Finding(self.symbol, self.spec.name, "", check, 0, last, n, found[0])

    def _compare(self, check: Check, cases: Iterator[Case], share: float = 0.0) -> list[Finding]:
        """Compare modified bars with all bars, with a tolerance of at least `share` deviations."""
        exact = self.place.exact and check != "level"
        least = 0.0 * self.tolerance.scale if exact else share * self.tolerance.scale
        hits: list[Hit] = []
        suspects: list[tuple[float, Case]] = []
        for change in self._changed(check, self._counted(check, cases), least):
            hits += hits_of(change, check == "lookback")
            suspects.append((float(change.excess.max()), change.case))
            suspects = sorted(suspects, key=lambda suspect: -suspect[0])[:_SUSPECTS]
        if not exact and hits:
            columns = np.zeros(len(least), dtype=bool)
            for _, case in suspects:
                columns |= self._confirmed(case, least)
            hits = [hit for hit in hits if columns[hit.column]]
        return self._findings(check, hits)

    def _counted(self, check: Check, cases: Iterator[Case]) -> Iterator[Case]:
        for case in cases:
            self.tried[check] += 1
            yield case

    def _changed(self, check: Check, cases: Iterator[Case], least: F64) -> Iterator[Change]:
        """Yield what changed on each series of modified bars on which anything did."""
        waiting: deque[Case] = deque()

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
                yield Change(case, np.where(differs, np.fmax(ratio, 1.0), 0.0), truth, seen)

    def _confirmed(self, case: Case, least: F64) -> Bools:
        """Return the columns in which rounding does not explain what differs."""
        places = case.rows, case.rows - case.start
        return unexplained(self.place, self.bars, case.bars, places, least, self.rng)

    def _findings(self, check: Check, hits: Sequence[Hit]) -> list[Finding]:
        """Return a finding for each column that changed, with its first row."""
        advice = getattr(self.feature, "level_advice", "") if check == "level" else ""
        found: list[Finding] = []
        for c, column in enumerate(self.full.columns):
            if own := [hit for hit in hits if hit.column == c]:
                _, row, cut, count, before, after = first_of(own)
                who = self.symbol, self.spec.name, column, check
                found.append(Finding(*who, row, cut, count, advice, before, after))
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
    def _named(self, check: Check, waiting: deque[Case]) -> Iterator[None]:
        """Tell in errors which modified bars the feature failed on."""
        try:
            yield
        except FeatureError as error:
            bars = f", bars {waiting[0].start} to {waiting[0].rows[-1]}" if waiting else ""
            who = f"{self.symbol}: " if self.symbol else ""
            raise FeatureError(f"{who}{error} (in the audit's {check}{bars})") from error


def _largest(change: Change) -> float:
    """Return the largest change, infinite where a value is missing."""
    moved = np.abs(change.seen - change.truth)[change.excess > 0]
    return float(np.nan_to_num(moved, nan=np.inf).max())


def _until(cut: int, bars: Bars) -> Case:
    return Case(bars, 0, np.arange(cut + 1), np.array([cut]))


def _window(bars: Bars, start: int, row: int) -> Case:
    return Case(rows_of(bars, start, row + 1), start, np.array([row]), np.array([start]))
