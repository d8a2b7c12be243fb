"""The decision: the conditions, how each came out, and the one sentence that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Check(NamedTuple):
    """One condition, and how it came out.

    Attributes
    ----------
    name : str
        What is looked at: ``"Sharpe ratio"``.
    rule : str
        The condition in words: ``"at least 0.50"``.
    value : str
        What was found: ``"0.31"``, or ``"undefined (no trades)"``.
    passed : bool
        Whether the condition holds. What is undefined does not pass.
    """

    name: str
    rule: str
    value: str
    passed: bool


@dataclass(frozen=True)
class Decision:
    """Whether a strategy is promoted, and why.

    Attributes
    ----------
    checks : tuple of Check
        The conditions; all must hold.
    """

    checks: tuple[Check, ...]

    def __str__(self) -> str:
        return self.sentence

    @property
    def promoted(self) -> bool:
        """Whether every condition holds."""
        return all(check.passed for check in self.checks)

    @property
    def reasons(self) -> str:
        """The conditions that do not hold, in words; empty if all do."""
        failed = (check for check in self.checks if not check.passed)
        return "; ".join(f"{c.name} is {c.value} and must be {c.rule}" for c in failed)

    @property
    def sentence(self) -> str:
        """The decision and its reason."""
        if not self.promoted:
            return f"Not promoted: {self.reasons}."
        if not self.checks:
            return "Promoted: no condition is set."
        return f"Promoted: it meets {len(self.checks)} of {len(self.checks)} conditions."

    def to_json(self) -> dict[str, Any]:
        """Return what ``metrics.json`` holds."""
        return {"promoted": self.promoted, "checks": [c._asdict() for c in self.checks]}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Decision:
        """Read what `to_json` returned."""
        return cls(tuple(Check(**check) for check in stored["checks"]))
