"""Findings of reading and validation: notes, and those that may change every result."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Findings:
    """Sentences on the data, in the order in which they were found.

    Attributes
    ----------
    notes : list of str
        All of them.
    warnings : list of str
        Those that may change every result: a guess, a dropped row, a suspicion.
    """

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a note."""
        self.notes.append(text)

    def warn(self, text: str) -> None:
        """Add a note that is a warning."""
        self.notes.append(text)
        self.warnings.append(text)
