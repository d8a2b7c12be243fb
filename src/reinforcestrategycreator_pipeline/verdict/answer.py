"""The answer to the question whether a strategy has an edge, with its reasons.

The rule and its levels are fixed, see `calibration`: no result changes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from reinforcestrategycreator_pipeline.statistics.detectable import bars_needed, smallest_strength
from reinforcestrategycreator_pipeline.verdict.calibration import CALIBRATION
from reinforcestrategycreator_pipeline.verdict.chance import Chance

Level: TypeAlias = Literal["strong", "weak", "eaten by costs", "no evidence", "not enough data"]
LEVELS: tuple[Level, ...] = get_args(Level)

STRONG, WEAK = CALIBRATION.strong, CALIBRATION.weak
_SHOWABLE = 2.0  # annualized: data that cannot show even such a timing are not enough
_POWER = 0.8

_FINDINGS: Mapping[Level, str] = {
    "strong": "strong evidence of an edge",
    "weak": "weak evidence of an edge",
    "eaten by costs": "real timing, but no gain: it earns less than what is free",
    "no evidence": "no evidence of an edge",
    "not enough data": "not enough data to say",
}


@dataclass(frozen=True)
class Answer:
    """Whether a strategy has an edge, and why this is the answer.

    Attributes
    ----------
    level : str
        "strong" or "weak" evidence; "eaten by costs", when the timing is better than chance and
        the result worse than what is free; "no evidence", also when the policy would have
        held nearly the same positions in any order; or "not enough data", when so few bars could
        hardly show an edge.
    p : float or None
        One-sided p-value against chance, after counting all looks; None without timing to test.
    looks : int
        Number of policies that were tried on these bars, this one included.
    sharpe : float or None
        Annualized Sharpe ratio net of costs; None if it is undefined.
    free : float
        The best one of what is free: of cash, which is 0, and of constant positions.
    best_free : str
        Name of the best free one.
    bars : int
        Number of test bars.
    needed : int or None
        Bars in all after which timing as good as this would be shown with a probability of 80%;
        None if it did not do better than the mean of chance.
    smallest : float
        Sharpe ratio of timing, annualized, that so many bars show with a probability of 80%.
    """

    level: Level
    p: float | None
    looks: int
    sharpe: float | None
    free: float
    best_free: str
    bars: int
    needed: int | None
    smallest: float

    def __str__(self) -> str:
        return f"{self.finding}. {' '.join(self.reasons)}"

    @property
    def finding(self) -> str:
        """The answer in a few words."""
        words = _FINDINGS[self.level]
        return words[0].upper() + words[1:]

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons, one sentence each."""
        if self.p is None:
            return (
                "In any order of these bars the policy would have held nearly the same positions, "
                "as one that always holds its baseline does: there is no timing to test.",
            )
        times = _times(self.p)
        said = [
            f"In other orders of the same bars, chance timed them as well {times} (p {_p(self.p)})."
        ]
        if self.looks > 1:
            said.append(f"This counts all {self.looks:,} policies that were tried on these bars.")
        if self.sharpe is None:
            said.append("Its Sharpe ratio is undefined.")
        else:
            own, free = _apart(self.sharpe, self.free)
            said.append(
                f"Its Sharpe ratio, net of costs, is {own}; {self.best_free}, which is free, has "
                f"{free}."
            )
        if self.level in ("strong", "eaten by costs"):
            return tuple(said)
        said.append(
            f"So many bars ({self.bars:,}) show timing with a Sharpe ratio of {self.smallest:.1f} "
            f"in {_POWER:.0%} of cases."
        )
        if self.needed is None:
            said.append("Its timing was no better than the mean of chance.")
        elif self.needed > self.bars:
            more = float(f"{self.needed - self.bars:.2g}")  # it is a guess
            said.append(
                f"To show timing of the strength seen here takes about {more:,.0f} bars more."
            )
        return tuple(said)

    def to_json(self) -> dict[str, Any]:
        """Return a mapping for JSON, with the answer in words."""
        return asdict(self) | {"finding": self.finding, "reasons": list(self.reasons)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Answer:
        """Restore from the result of `to_json`.

        Raises
        ------
        ValueError
            If there is no such answer.
        """
        if found["level"] not in LEVELS:
            raise ValueError(f"no answer is called {found['level']!r}")
        return cls(**{k: v for k, v in found.items() if k not in ("finding", "reasons")})


def answer(
    chance: Chance,
    p: float | None,
    looks: int,
    free: Mapping[str, float],
    sharpe: float | None,
    bars: int,
    periods_per_year: float,
) -> Answer:
    """Apply the rule.

    Parameters
    ----------
    chance : Chance
        Test against chance of the policies alone.
    p : float or None
        Its p-value after counting all looks, >= that of `chance`.
    looks : int
        Number of policies that were tried on these bars, >= 1.
    free : mapping of str to float
        Sharpe ratios of constant positions, by name; cash is added.
    sharpe : float or None
        Annualized Sharpe ratio net of costs; None if it is undefined.
    bars : int
        Number of test bars, >= 1.
    periods_per_year : float
        Test bars per year, > 0.
    """
    names = {"cash": 0.0, **free}
    best = max(names, key=names.__getitem__)
    beats = sharpe is not None and sharpe > names[best]
    smallest = smallest_strength(bars, STRONG, _POWER, periods_per_year)
    needed = None
    if chance.z is not None and chance.z > 0.0:
        needed = math.ceil(bars_needed(chance.z / math.sqrt(bars), STRONG, _POWER))
    level: Level = "no evidence"
    if p is None:
        level = "no evidence"
    elif p <= STRONG:
        level = "strong" if beats else "eaten by costs"
    elif p <= WEAK and beats:
        level = "weak"
    elif smallest > _SHOWABLE:
        level = "not enough data"
    return Answer(level, p, looks, sharpe, names[best], best, bars, needed, smallest)


def _apart(one: float, other: float) -> tuple[str, str]:
    """Return two numbers with two digits after the point, or so many that they differ."""
    for digits in (2, 3, 4):
        texts = f"{one:.{digits}f}", f"{other:.{digits}f}"
        if texts[0] != texts[1]:
            break
    return texts


def _times(p: float) -> str:
    """Return a probability as a share of cases."""
    if p >= 0.1:
        return f"in {p:.0%} of cases"
    return f"in {p:.1%} of cases" if p >= 0.001 else "in less than 0.1% of cases"


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 0.001 else f"{p:.1e}"
