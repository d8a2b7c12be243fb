"""The audit of one feature on the bars of all symbols, as a job that any process can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.errors import FeatureError
from reinforcestrategycreator_pipeline.experiments.jobs import Report
from reinforcestrategycreator_pipeline.features.audit import Examination, examine
from reinforcestrategycreator_pipeline.features.base import FeatureSpec, evaluate
from reinforcestrategycreator_pipeline.features.catalog import build_feature, parse_specs
from reinforcestrategycreator_pipeline.features.findings import Finding
from reinforcestrategycreator_pipeline.features.foresight import (
    MOST_SHARE,
    copied_from,
    share_of_later_returns,
)
from reinforcestrategycreator_pipeline.features.fresh import Denied, FreshProcesses
from reinforcestrategycreator_pipeline.features.table import bars_of
from reinforcestrategycreator_pipeline.features.warm_up import settle
from reinforcestrategycreator_pipeline.market.bars import read_bars
from reinforcestrategycreator_pipeline.pipeline.auditing import outcome
from reinforcestrategycreator_pipeline.pipeline.auditing.outcome import Fault, Proof
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig

HOW = {
    "truncation": "no row changes when the bars after it are removed",
    "perturbation": "no row changes when the bars after it are others",
    "lookback": "a stream that keeps the lookback's bars gives the same last row",
    "level": "no later split or dividend changes a row",
    "repetition": "the same bars give the same values in another process",
    "stress": "no row changes with later bars after crashes, halts and extremes put in",
    "rounding": "no digits that are noise",
    "clock": "the clock is not read",
    "environment": "no variable of the shell is read",
    "files": "no file, host or program is opened",
    outcome.WARM_UP: "bars before the first row with a value",
    "foresight": "no column says what later returns are",
}
"""What each check of a feature shows, as a clause."""
_BY_CUT = ("truncation", "perturbation", "lookback")


@dataclass(frozen=True)
class FeatureAuditJob:
    """The audit of one feature; what it needs is on disk.

    Attributes
    ----------
    name : str
        Name of the job.
    config : mapping
        Keys ``seed`` and ``imports`` of the configuration, as plain values.
    bars : Path
        Bars as `market.bars.write_bars` writes them.
    specs : sequence of mapping
        Specifications of all features, as in a configuration.
    place : int
        Position of the feature to audit.
    training_end : str
        Close of the last bar that may choose a lookback, ISO 8601.
    cuts : int or None
        Number of cuts; None for as many as the time allows.
    seconds : float
        Time for one symbol.
    results : Path
        File to write.
    """

    name: str
    config: Mapping[str, Any]
    bars: Path
    specs: Sequence[Mapping[str, Any]]
    place: int
    training_end: str
    cuts: int | None
    seconds: float
    results: Path

    def done(self) -> bool:
        """Return whether the result is there."""
        return self.results.is_file()

    def run(self, report: Report) -> None:
        """Audit the feature and write what was proved and found."""
        config = load_config(RunConfig, None, (), given=self.config)
        bars, specs = read_bars(self.bars).bars, parse_specs(self.specs)
        compute_all(bars, specs)
        end = pd.Timestamp(self.training_end)
        with FreshProcesses() as processes:
            audit = FeatureAudit(specs[self.place], processes, self.cuts, self.seconds, config.seed)
            audit.run(bars, end, report.progress)
        outcome.write(self.results, audit.proofs, audit.faults, audit.notes)


def compute_all(bars: Mapping[str, pd.DataFrame], specs: Sequence[FeatureSpec]) -> None:
    """Compute all features of all symbols in this process, as a run does.

    What one of them leaves in a module is then there for the others, which the comparison with
    fresh processes shows.
    """
    for symbol, frame in bars.items():
        columns = bars_of(frame, symbol)
        for spec in specs:
            with suppress(FeatureError):  # its own audit says so
                evaluate(build_feature(spec), spec.name, columns, symbol)


class FeatureAudit:
    """The audit of one feature, symbol by symbol.

    Parameters
    ----------
    spec : FeatureSpec
        Specification of the feature.
    processes : FreshProcesses
        Processes for user features.
    cuts : int, optional
        Number of cuts; by default as many as the time allows.
    seconds : float
        Time for one symbol.
    seed : int
        Seed of sampled cuts and perturbations.
    samples : int, optional
        Number of cuts for perturbation and lookback; by default that of `cuts`.

    Attributes
    ----------
    proofs, faults, notes : list
        Checks, findings, and sentences on what the feature needs.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        processes: FreshProcesses,
        cuts: int | None = None,
        seconds: float = np.inf,
        seed: int = 0,
        samples: int | None = None,
    ) -> None:
        self._samples = samples
        self._spec, self._processes, self._seed = spec, processes, seed
        self._cuts, self._seconds = cuts, seconds
        self._subject = f"feature {spec.name}"
        self.proofs: list[Proof] = []
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        self._failed = False
        self._unsettled = ""

    def run(
        self,
        bars: Mapping[str, pd.DataFrame],
        training_end: pd.Timestamp,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Audit the feature on the bars of all symbols.

        Parameters
        ----------
        bars : mapping of str to DataFrame
            Bars by symbol.
        training_end : Timestamp
            Close of the last bar that may choose a lookback.
        progress : callable, optional
            ``progress(done, total)`` reports the symbols audited.
        """
        spec = self._settled(bars, training_end)
        for done, (symbol, frame) in enumerate(bars.items()):
            if progress is not None:
                progress(done, len(bars))
            self._examine(symbol, frame, spec)
        if self._unsettled and not self.faults:
            self.notes.append(self._unsettled)

    def _settled(self, bars: Mapping[str, pd.DataFrame], training_end: pd.Timestamp) -> FeatureSpec:
        """Return the feature with the lookback that it needs, or as it is if it never settles."""
        known = {s: frame[frame.index <= training_end] for s, frame in bars.items()}
        known = {s: frame for s, frame in known.items() if len(frame) > 1}
        try:
            (settled,), notes = settle(known, [self._spec], self._processes, self._seed)
        except Denied as error:
            self._fail("files", error)
            return self._spec
        except FeatureError as error:  # it may know too much of the past, and nothing of the future
            self._unsettled = f"a run rejects it: {error}"
            return self._spec
        self.notes += notes
        return settled

    def _examine(self, symbol: str, frame: pd.DataFrame, spec: FeatureSpec) -> None:
        """Audit the feature on the bars of a symbol."""
        try:
            found = examine(
                frame,
                spec,
                self._processes,
                cuts=self._cuts,
                samples=self._samples,
                seconds=self._seconds,
                seed=self._seed,
                symbol=symbol,
            )
        except FeatureError as error:
            self._fail("files" if isinstance(error, Denied) else "computation", error, symbol)
            return
        faults = [fault_of(self._subject, finding, frame) for finding in found.findings]
        if self._unsettled or any(fault.check in _BY_CUT[:2] for fault in faults):
            faults = [fault for fault in faults if fault.check != "lookback"]  # none is enough
        self.faults += faults
        if found.widened is not None:
            self.notes.append(
                f"{symbol}: some rows of feature {self._spec.name!r} need a lookback of "
                f"{found.widened} bars, and a run may find {found.lookback}: state lookback: "
                f"{found.widened}."
            )
        self._prove(found)
        columns = bars_of(frame, symbol)
        computed = evaluate(build_feature(spec), spec.name, columns, symbol)
        for c, name in enumerate(computed.columns):
            fault = foresight(computed.values[:, c], columns, self._subject, symbol, name)
            self.faults += [] if fault is None else [fault]
        n = len(computed.columns)
        self.proofs.append(Proof(self._subject, "foresight", n, n, HOW["foresight"]))

    def _prove(self, found: Examination) -> None:
        for check, tried in found.tried.items():
            possible = found.possible if check in _BY_CUT else tried
            self.proofs.append(Proof(self._subject, check, tried, possible, HOW[check]))
        if not self._unsettled:
            n, how = found.lookback, HOW[outcome.WARM_UP]
            self.proofs.append(Proof(self._subject, outcome.WARM_UP, n, n, how))
        if found.where != "this process":
            self.proofs.append(Proof(self._subject, "files", 1, 1, HOW["files"]))

    def _fail(self, check: str, error: FeatureError, symbol: str = "") -> None:
        """Note an error once: the checks of every symbol would raise it."""
        text = str(error).rstrip(".")
        if not self._failed or check == "files":
            self.faults.append(Fault(self._subject, check, text, symbol))
        self._failed = True


def foresight(
    values: F64, bars: Mapping[str, F64], subject: str, symbol: str, column: str
) -> Fault | None:
    """Return that a column knows later bars, if it does."""
    who = f"{symbol}: {subject}: column {column!r}"
    if (copy := copied_from(values, bars)) is not None:
        name, ahead = copy
        text = f"{who} is {name!r} of {ahead} {'bar' if ahead == 1 else 'bars'} later"
        return Fault(subject, "foresight", text, symbol, column)
    share = share_of_later_returns(values, bars)
    if share > MOST_SHARE:
        text = (
            f"{who} knows the future: the next returns explain {share:.0%} of what the past leaves "
            f"unexplained ({MOST_SHARE:.0%} are allowed)"
        )
        return Fault(subject, "foresight", text, symbol, column)
    return None


def fault_of(subject: str, finding: Finding, frame: pd.DataFrame) -> Fault:
    """Return the finding of a feature's audit as a fault, with the time of its row."""
    stamp = pd.Timestamp(frame.index[finding.row]).isoformat() if finding.column else ""
    known = not (np.isnan(finding.before) and np.isnan(finding.after))
    return Fault(
        subject,
        finding.check,
        str(finding),
        finding.symbol,
        finding.column,
        finding.row,
        finding.cut,
        stamp,
        finding.before if known else None,
        finding.after if known else None,
    )
