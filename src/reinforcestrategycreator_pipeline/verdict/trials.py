"""The entry of a trial in the ledger: what was tried, and how it did out of sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

KIND = "trial"
"""Value of ``kind`` in the ledger's lines about trials; a look has none."""
_TEXTS = ("study", "started", "time", "config", "state", "start", "end", "returns", "sha256")


@dataclass(frozen=True)
class Trial:
    """One configuration that a search tried on bars before the test bars.

    Attributes
    ----------
    study, started : str
        Name of the study, and the time at which it was created: a name may be used again.
    number : int
        Number of the trial in the study, from 0.
    time : str
        Time at which it was finished, UTC, ISO 8601.
    parameters : mapping of str to value
        What was varied: dotted key to value.
    config : str
        SHA-256 of the trial's whole configuration.
    state : str
        ``"complete"``, ``"pruned"`` or ``"failed"``.
    metric : str
        Metric by which the study compares its trials.
    objective : float or None
        Its value on the out-of-sample bars; None if it is undefined or the trial failed.
    figures : mapping of str to float or None
        Main metrics on these bars.
    start, end : str
        First and last close of the out-of-sample bars, UTC, ISO 8601; empty if the trial failed.
    symbols : tuple of str
        Assets that were traded.
    bars : tuple of str
        Sketch of these bars; see `looks.sketch`.
    returns, sha256 : str
        File with the return of each bar, relative to the store, and SHA-256 of its content (not of
        the file); empty if the trial failed.
    """

    study: str
    started: str
    number: int
    time: str
    parameters: Mapping[str, Any]
    config: str
    state: str
    metric: str
    objective: float | None
    figures: Mapping[str, float | None]
    start: str
    end: str
    symbols: tuple[str, ...]
    bars: tuple[str, ...]
    returns: str
    sha256: str

    @property
    def of_study(self) -> tuple[str, str]:
        """Identity of the study: its name and the time of its creation."""
        return self.study, self.started

    @property
    def name(self) -> str:
        """The name of the trial, ``STUDY/NUMBER``."""
        return f"{self.study}/{self.number}"

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Trial:
        """Restore a trial from its line in the ledger.

        Raises
        ------
        KeyError, TypeError
            If it is not what a trial writes.
        """
        values = {f.name: found[f.name] for f in fields(cls)}
        for name in ("symbols", "bars"):
            if not all(isinstance(item, str) for item in values[name]):
                raise TypeError(name)
            values[name] = tuple(values[name])
        if not all(isinstance(values[name], str) for name in (*_TEXTS, "metric")):
            raise TypeError("not a text")
        if type(values["number"]) is not int or not isinstance(values["parameters"], dict):
            raise TypeError("number, parameters")
        return cls(**values)
