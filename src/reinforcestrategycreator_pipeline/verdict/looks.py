"""The ledger of looks: every evaluation of test bars and every trial of a search, in one file.

A test span says something only to the first who asks. The ledger, ``looks.jsonl`` in the store,
has one line per evaluation, and one per configuration that a search tried, and is only ever
appended to. A run's folder has a copy of its own lines: a run that is moved still knows its first
decision.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.files import sha256_bytes
from reinforcestrategycreator_pipeline.runs.artifacts import LOOKS
from reinforcestrategycreator_pipeline.verdict.decision import Decision, Earlier
from reinforcestrategycreator_pipeline.verdict.trials import KIND, Trial

if TYPE_CHECKING:  # a list of runs needs no bars
    from reinforcestrategycreator_pipeline.envs.span import MarketSpan

_SKETCH = 128
_WORDS = {
    "thresholds": "other thresholds",
    "policy": "another policy",
    "trading": "other rules of trading",
    "data": "another choice of the bars",
}


@dataclass(frozen=True)
class Look:
    """One evaluation of a test span.

    Attributes
    ----------
    run, started : str
        Name of the run, and the time at which it was created: a name may be used again.
    time : str
        Time of the evaluation, UTC, ISO 8601.
    config : str
        SHA-256 of the run's whole configuration.
    start, end : str
        First and last close of the test bars, UTC, ISO 8601.
    symbols : tuple of str
        Assets that were traded.
    conditions : mapping of str to str
        SHA-256 of the ``data`` (the test bars), the ``policy``, the rules of ``trading`` and the
        ``thresholds``.
    bars : tuple of str
        Sketch of the test bars: the smallest hashes of single bars; see `sketch`.
    figures : mapping of str to float or None
        Main metrics of the judged strategy's portfolio.
    promoted : bool
        Whether the decision was to promote.
    sentence : str
        Decision in words, with its reasons.
    trial : str
        Name of the trial whose configuration the run has, ``STUDY/NUMBER``; empty if it has none.
    """

    run: str
    started: str
    time: str
    config: str
    start: str
    end: str
    symbols: tuple[str, ...]
    conditions: Mapping[str, str]
    bars: tuple[str, ...]
    figures: Mapping[str, float | None]
    promoted: bool
    sentence: str
    trial: str = ""

    @property
    def of_run(self) -> tuple[str, str]:
        """Identity of the run: its name and the time of its creation."""
        return self.run, self.started

    def sees(self, other: Look) -> bool:
        """Return whether the two saw some of the same bars."""
        return not set(self.bars).isdisjoint(other.bars)


def fingerprint(value: Any) -> str:
    """Return the SHA-256 of a plain value."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode("utf-8"))


def sketch(times: Sequence[Ints], closes: Sequence[F64]) -> tuple[str, ...]:
    """Return a sample of the bars by which two looks recognize that they saw the same ones.

    Each bar has a hash of its close time and its return since the close before; the smallest
    hashes are kept. Two looks at the same bars keep the same ones, whatever other bars and assets
    they have, what an asset is called, and by what factor its prices were adjusted. Two spans that
    share less than a few percent of their bars may go unnoticed.

    Parameters
    ----------
    times : sequence of ndarray of int64, shapes (n_i,)
        Close times of each asset, nanoseconds since 1970 UTC.
    closes : sequence of ndarray of float64, shapes (n_i,)
        Close prices of each asset, > 0.
    """
    parts = []
    for stamps, close in zip(times, closes, strict=True):
        moves = np.rint(np.diff(np.log(close)) * 1e8).astype(np.int64)
        parts.append(_mixed(_mixed(stamps[1:].astype(np.uint64)) ^ moves.astype(np.uint64)))
    smallest = np.unique(np.concatenate(parts))[:_SKETCH]
    return tuple(f"{int(x):016x}" for x in smallest)


def sketch_of(span: MarketSpan) -> tuple[str, ...]:
    """Return the `sketch` of a span."""
    return sketch([a.times for a in span.assets], [a.close for a in span.assets])


def _mixed(x: Any) -> Any:
    """Scramble 64-bit integers by the finalizer of splitmix64 (Steele, Lea and Flood, 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def append(path: Path, entry: Look | Trial) -> None:
    """Append a look or a trial to a ledger.

    Processes take turns. A line that a killed process left unfinished is ended first, and stays
    as it is.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    from filelock import FileLock  # only a run needs it

    known = asdict(entry) if isinstance(entry, Look) else {"kind": KIND, **asdict(entry)}
    line = json.dumps(known, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        with FileLock(path.with_name(f".{path.name}.lock")):
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            descriptor = os.open(path, flags, 0o644)  # a link in a foreign folder leads anywhere
            with os.fdopen(descriptor, "rb+", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                if end:
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":
                        line = "\n" + line
                rest = line.encode("utf-8")
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(descriptor)
    except OSError as error:
        raise RunError(f"{path}: cannot write: {error.strerror or error}") from error


def record(run_dir: Path, look: Look) -> None:
    """Append a look to the ledger of the store, then to that of the run.

    A stage that was killed evaluates the same again. That is the same look, so an entry that
    differs by nothing but its time is kept, and copied to the ledger that lacks it.

    Raises
    ------
    RunError
        If a file cannot be read or written.
    """
    ledgers = run_dir.parent / LOOKS, run_dir / LOOKS
    written = [read(path)[0] for path in ledgers]
    again = [old for looks in written for old in looks if replace(old, time=look.time) == look]
    look = next(iter(again), look)
    for path, looks in zip(ledgers, written, strict=True):
        if look not in looks:
            append(path, look)


def read(path: Path) -> tuple[list[Look], int]:
    """Read the looks of a ledger.

    Returns
    -------
    looks : list of Look
        In the order in which they were written; empty if there is no file.
    damaged : int
        Number of lines that are neither a look nor a trial, such as one that a kill cut off.

    Raises
    ------
    RunError
        If the file is there and cannot be read, or is a symbolic link.
    """
    entries, damaged = _entries(path)
    return [entry for entry in entries if isinstance(entry, Look)], damaged


def read_trials(path: Path) -> list[Trial]:
    """Read the trials of a ledger, in the order in which they were written; see `read`."""
    return [entry for entry in _entries(path)[0] if isinstance(entry, Trial)]


def _entries(path: Path) -> tuple[list[Look | Trial], int]:
    if path.is_symlink():
        raise RunError(f"{path}: is a symbolic link, which is not followed.")
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    found: list[Look | Trial] = []
    damaged = 0
    for line in filter(None, lines):
        try:
            found.append(_entry(json.loads(line)))
        except (ValueError, TypeError, KeyError):
            damaged += 1
    return found, damaged


def _entry(found: Any) -> Look | Trial:
    if not isinstance(found, dict):
        raise TypeError("not a mapping")
    kind = found.get("kind")
    if kind not in (None, KIND):
        raise ValueError("of an unknown kind")
    return _look(found) if kind is None else Trial.from_json(found)


def _look(found: dict[str, Any]) -> Look:
    found = {"trial": "", **found}  # lines from before there were trials
    values = {f.name: found[f.name] for f in fields(Look)}
    for name in ("symbols", "bars"):
        if not all(isinstance(item, str) for item in values[name]):
            raise TypeError(name)
        values[name] = tuple(values[name])
    texts = ("run", "started", "time", "sentence", "trial")
    if not all(isinstance(values[name], str) for name in texts):
        raise TypeError("not a text")
    if not (isinstance(values["promoted"], bool) and isinstance(values["conditions"], dict)):
        raise TypeError("promoted, conditions")
    return Look(**values)


def known(run_dir: Path) -> tuple[list[Look], int]:
    """Return the looks that a run's store and folder know, in order; and the damaged lines."""
    (store, damaged), (own, _) = read(run_dir.parent / LOOKS), read(run_dir / LOOKS)
    missing = [look for look in own if look not in store]
    return [*missing, *store], damaged


def keep(run_dir: Path) -> None:
    """Append to the store's ledger the looks that only the run's own knows, before that goes.

    They are those of a run that was moved here, or of a store whose ledger was lost.

    Raises
    ------
    RunError
        If a file cannot be read or written.
    """
    ledger = run_dir.parent / LOOKS
    written = read(ledger)[0]
    for look in read(run_dir / LOOKS)[0]:
        if look not in written:
            append(ledger, look)


def seal(decision: Decision, look: Look, earlier: Iterable[Look]) -> Decision:
    """Return the decision, which names the first one if the bars were already judged.

    That is so if the same run, or the same policy in another run, was evaluated on some of these
    bars before, and something has changed since.
    """
    for first in earlier:
        same = first.of_run == look.of_run or (
            first.conditions.get("policy") == look.conditions["policy"]
        )
        if same and first.sees(look):
            changed = tuple(
                words
                for name, words in _WORDS.items()
                if first.conditions.get(name) != look.conditions[name]
            )
            if not changed:
                return decision
            named = Earlier(first.run, first.promoted, first.sentence, changed)
            return Decision(decision.checks, named)
    return decision


@dataclass(frozen=True)
class Looked:
    """Count of the evaluations of some test bars, and of the trials that came before.

    Attributes
    ----------
    runs, evaluations : int
        Number of runs that evaluated some of these bars, and of their evaluations, this one
        included.
    promoted : int
        Number of those evaluations that promoted.
    damaged : int
        Number of unreadable lines in the ledger, of which each may be another look or trial.
    trials, studies : int
        Number of configurations that searches tried on some of these bars, or on some of those on
        which the run's own configuration was chosen, and the number of these searches.
    """

    runs: int
    evaluations: int
    promoted: int
    damaged: int
    trials: int = 0
    studies: int = 0

    @property
    def alone(self) -> bool:
        """Whether this is the first evaluation, and nothing was tried before."""
        return self.evaluations == 1 and not self.trials

    def __str__(self) -> str:
        if self.evaluations == 1:
            text = "This is the first evaluation of these test bars in this store."
        else:
            runs = "one run" if self.runs == 1 else f"{self.runs:,} runs"
            text = (
                f"These test bars, or some of them, were evaluated {self.evaluations:,} times by "
                f"{runs} of this store, {self.promoted:,} of them with a promotion: the best of "
                "many looks is better than the strategy is."
            )
        if self.trials:
            one = "One configuration was"
            tried = one if self.trials == 1 else f"{self.trials:,} configurations were"
            searches = "a search" if self.studies == 1 else f"{self.studies:,} searches"
            text += (
                f" {tried} tried by {searches} of this store before: the best of many is better "
                "there than it will be later."
            )
        if self.damaged:
            lines = "A line" if self.damaged == 1 else f"{self.damaged:,} lines"
            text += f" {lines} of the ledger cannot be read, and may be further ones."
        return text


def looks_at(run_dir: Path) -> tuple[Look, ...]:
    """Return all known evaluations of the bars of the run's newest evaluation, in order."""
    own, _ = read(run_dir / LOOKS)
    if not own:
        return ()
    looks, _ = known(run_dir)
    return tuple(look for look in looks if look.sees(own[-1]))


def count_looks(run_dir: Path) -> Looked | None:
    """Count the evaluations of a run's test bars; None if the run has none yet."""
    looks = looks_at(run_dir)
    if not looks:
        return None
    runs = {look.of_run for look in looks}
    promoted = sum(look.promoted for look in looks)
    damaged = read(run_dir.parent / LOOKS)[1]
    trials = trials_before(run_dir)
    studies = len({trial.of_study for trial in trials})
    return Looked(len(runs), len(looks), promoted, damaged, len(trials), studies)


def trials_before(run_dir: Path) -> tuple[Trial, ...]:
    """Return the trials of all searches of the store that bear on a run's newest evaluation.

    They saw some of its test bars, or some of those on which its own configuration was chosen. The
    same trial, which a search that was killed recorded twice, is one.
    """
    own, _ = read(run_dir / LOOKS)
    if not own:
        return ()
    trials = {(*t.of_study, t.number): t for t in read_trials(run_dir.parent / LOOKS)}
    name = own[-1].trial.rpartition("/")[0]
    bars = set(own[-1].bars)
    for trial in trials.values():
        bars |= set(trial.bars) if name and trial.study == name else set()
    return tuple(
        trial
        for trial in trials.values()
        if (name and trial.study == name) or not bars.isdisjoint(trial.bars)
    )
