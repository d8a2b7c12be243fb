"""The decision: the checks, their outcomes, and the sentences that state them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


class Check(NamedTuple):
    """One condition and its outcome.

    Attributes
    ----------
    name : str
        Quantity that is checked: ``"Sharpe ratio"``.
    rule : str
        Condition in words: ``"at least 0.50"``.
    value : str
        Actual value: ``"0.31"``, or ``"undefined (no trades)"``.
    passed : bool
        Whether the condition holds; an undefined value fails.
    phrase : str
        Value and condition as a part of a sentence: ``"Sharpe ratio 0.31 (minimum 0.50)"``. If
        empty, `name`, `value` and `rule` are used.
    """

    name: str
    rule: str
    value: str
    passed: bool
    phrase: str = ""


@dataclass(frozen=True)
class Earlier:
    """The first decision on bars that are judged again.

    Attributes
    ----------
    run : str
        Name of the run that made it.
    promoted : bool
        Whether that decision was to promote.
    sentence : str
        That decision in words, with its reasons.
    changed : tuple of str
        What is not as it was then, in words: ``"other thresholds"``.
    """

    run: str
    promoted: bool
    sentence: str
    changed: tuple[str, ...]

    def __str__(self) -> str:
        was = "promoted" if self.promoted else "not promoted"
        return (
            f"Judged again on bars already seen, with {' and '.join(self.changed)}; the first "
            f"decision was: {was} (run {self.run})."
        )


@dataclass(frozen=True)
class Decision:
    """The decision whether a strategy is promoted, with its reasons.

    Attributes
    ----------
    checks : tuple of Check
        Conditions for promotion; all must hold.
    first : Earlier or None
        The first decision on these bars, if this is not it. That one stays the answer of an
        untouched test; this one was made by somebody who had seen the result.
    """

    checks: tuple[Check, ...]
    first: Earlier | None = None

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return f"Decision({self.sentence!r})"

    def __bool__(self) -> bool:
        return self.promoted

    @property
    def promoted(self) -> bool:
        """Whether every condition holds."""
        return all(check.passed for check in self.checks)

    @property
    def reasons(self) -> str:
        """The failed checks as phrases; empty if all passed."""
        failed = (check for check in self.checks if not check.passed)
        return "; ".join(c.phrase or f"{c.name} {c.value} ({c.rule})" for c in failed)

    @property
    def sentence(self) -> str:
        """The decision and its reasons, in two sentences, and what the first one was."""
        return f"{self._own} {self.first}" if self.first else self._own

    @property
    def _own(self) -> str:
        total = len(self.checks)
        failed = sum(not check.passed for check in self.checks)
        if not total:
            return "Promoted. No checks were set."
        if failed:
            return f"Not promoted. {_share(failed, total)} failed: {self.reasons}."
        return f"Promoted. {_share(total, total)} passed."

    def to_json(self) -> dict[str, Any]:
        """Return the decision as ``metrics.json`` holds it."""
        checks = [c._asdict() for c in self.checks]
        return {
            "promoted": self.promoted,
            "checks": checks,
            "first": self.first and asdict(self.first),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Decision:
        """Restore a decision from the result of `to_json`."""
        first = stored["first"]
        if first is not None:
            first = Earlier(**{**first, "changed": tuple(first["changed"])})
        return cls(tuple(Check(**check) for check in stored["checks"]), first)


def _share(count: int, total: int) -> str:
    """Return the subject of a sentence: ``"Three of five checks"``, ``"Both checks"``."""
    if count == total <= 2:
        return ("The only check", "Both checks")[total - 1]
    first = "All" if count == total else f"{spelled(count)} of".capitalize()
    return f"{first} {spelled(total)} checks"


def spelled(count: int) -> str:
    """Return a number as it stands in a sentence: in letters up to ten."""
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)
