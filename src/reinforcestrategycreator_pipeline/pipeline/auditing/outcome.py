"""The outcome of an audit: what was proved, at how many cuts, and what was found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import FeatureError
from reinforcestrategycreator_pipeline.files import write_json

WARM_UP = "warm-up"
"""Check whose number is that of the bars before the first row with a value."""


@dataclass(frozen=True)
class Proof:
    """One check of one subject, and how far it went.

    Attributes
    ----------
    subject : str
        What was checked: ``"feature rsi"``, ``"side data"``, ``"training"``.
    check : str
        Name of the check: ``"truncation"``.
    tried, possible : int
        Number of cuts, bars or columns that were tried, and that there are; the check is a proof
        for these bars where they are equal.
    how : str
        What was done, as a clause.
    """

    subject: str
    check: str
    tried: int
    possible: int
    how: str = ""

    @property
    def complete(self) -> bool:
        """Whether everything was tried that there is."""
        return self.tried >= self.possible

    @property
    def is_enough(self) -> bool:
        """Whether the check is a proof.

        Truncation at every cut proves that no row changes with later bars; other later bars may be
        a sample beside it, as may a stream that keeps fewer. A decision from the bars so far, at
        every bar, proves the same of decisions; fills are those of one accounting kernel.
        """
        return self.complete or self.check in ("perturbation", "lookback", "fills")


@dataclass(frozen=True)
class Fault:
    """Something that knows the future, or more than its bars.

    Attributes
    ----------
    subject, check : str
        As in `Proof`.
    symbol, column : str
        Symbol and column; ``""`` for what concerns all.
    row, cut : int or None
        First row that changed, from 0, and the last bar before the change.
    time : str
        Close of that row's bar, UTC, ISO 8601; ``""`` without a row.
    before, after : float or None
        The row's value from all bars, and from the modified ones.
    text : str
        The finding as a sentence without its end.
    """

    subject: str
    check: str
    text: str
    symbol: str = ""
    column: str = ""
    row: int | None = None
    cut: int | None = None
    time: str = ""
    before: float | None = None
    after: float | None = None

    def __str__(self) -> str:
        at = f" at {self.time}" if self.time else ""
        if self.before is None or self.after is None:
            return f"{self.text}{at}"
        return f"{self.text}{at}: {self.before:.10g} became {self.after:.10g}"


@dataclass(frozen=True)
class AuditOutcome:
    """The proofs and the findings of an audit.

    Attributes
    ----------
    proofs : tuple of Proof
        The checks that were made.
    faults : tuple of Fault
        What was found; empty if nothing looks ahead.
    notes : tuple of str
        What was left out, and what a feature needs.
    seconds : float
        Time that the audit took.
    """

    proofs: tuple[Proof, ...]
    faults: tuple[Fault, ...]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.faults

    @property
    def proved(self) -> bool:
        """Whether nothing was found, and what proves it was tried at every cut."""
        return self.passed and all(proof.is_enough for proof in self.proofs)

    def __str__(self) -> str:
        if self.faults:
            n = len(self.faults)
            return f"{n} {'finding' if n == 1 else 'findings'}"
        if self.proved:
            return "proved free of look-ahead on these bars: truncated after every bar"
        return "no look-ahead found; a sample of cuts is no proof"

    def require_none(self) -> None:
        """Raise `FeatureError` with the first finding, if there is any."""
        if self.faults:
            others = len(self.faults) - 1
            more = f"; {others} more {'finding' if others == 1 else 'findings'}" if others else ""
            raise FeatureError(f"{self.faults[0]}{more}.")

    def to_json(self) -> dict[str, Any]:
        """Return a mapping for JSON."""
        return {
            "passed": self.passed,
            "proved": self.proved,
            "seconds": round(self.seconds, 3),
            "findings": [_finite(asdict(fault)) for fault in self.faults],
            "checks": [asdict(proof) for proof in self.proofs],
            "notes": list(self.notes),
        }

    @classmethod
    def merged(cls, parts: Iterable[Mapping[str, Any]], seconds: float) -> AuditOutcome:
        """Return the outcome of several parts that `write` wrote; equal checks are added up."""
        sums: dict[tuple[str, str, str], tuple[int, int]] = {}
        faults: list[Fault] = []
        notes: list[str] = []
        for part in parts:
            for found in part["checks"]:
                proof = Proof(**found)
                key = proof.subject, proof.check, proof.how
                tried, possible = sums.get(key, (0, 0))
                both = (tried, proof.tried), (possible, proof.possible)
                add = max if proof.check == WARM_UP else sum
                sums[key] = add(both[0]), add(both[1])
            faults += [Fault(**found) for found in part["findings"]]
            notes += part["notes"]
        proofs = (Proof(s, check, *counts, how) for (s, check, how), counts in sums.items())
        return cls(tuple(proofs), tuple(faults), tuple(dict.fromkeys(notes)), seconds)


def write(
    path: Path, proofs: Iterable[Proof], faults: Iterable[Fault], notes: Iterable[str] = ()
) -> None:
    """Write a part of an audit, for `read`."""
    write_json(path, AuditOutcome(tuple(proofs), tuple(faults), tuple(notes)).to_json())


def read(path: Path) -> dict[str, Any]:
    """Read a part of an audit that `write` wrote."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _finite(found: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping with None for what JSON cannot hold."""
    return {k: None if isinstance(v, float) and not abs(v) < float("inf") else v
            for k, v in found.items()}  # fmt: skip
