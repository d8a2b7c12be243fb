"""The levels of the verdict, and how often they were wrong when they were measured.

``calibration.json`` is written by ``python -m benchmarks.calibration``, with a hash of the code
that decides. A test compares the hash with the code, for a rule that changed must be measured
again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Calibration:
    """Levels that decide, and what they did on simulated markets without an edge.

    Attributes
    ----------
    strong, weak : float
        Largest p-value against chance, after counting all looks, of a strong and a weak answer.
    markets : int
        Simulated markets without an edge, each through the whole pipeline with a search.
    false_strong, false_strong_high : float
        Share of them that was called strong, and the upper end of its 95% interval (Clopper and
        Pearson).
    date : str
        Day of the measurement, ISO 8601.
    code_sha256 : str
        Hash of the code that decided.
    """

    strong: float
    weak: float
    markets: int
    false_strong: float
    false_strong_high: float
    date: str
    code_sha256: str

    def __str__(self) -> str:
        return (
            f"Of {self.markets:,} simulated markets without an edge, this rule called "
            f"{self.false_strong:.1%} strong (95% interval up to {self.false_strong_high:.1%})."
        )


CALIBRATION = Calibration(**json.loads(TABLE.read_text(encoding="utf-8")))
