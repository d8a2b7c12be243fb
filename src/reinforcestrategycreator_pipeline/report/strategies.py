"""How the known strategies look, by the names under which they are registered."""

from __future__ import annotations

from typing import Any, NamedTuple

from reinforcestrategycreator_pipeline.backtest.results import BUY_AND_HOLD, ORACLE


class Look(NamedTuple):
    """What a strategy is, in a clause for the reader, and its line: a CSS color, width, dash."""

    note: str
    color: str
    width: float
    dash: str = "solid"

    @property
    def line(self) -> dict[str, Any]:
        """What Plotly is told."""
        return {"color": self.color, "width": self.width, "dash": self.dash}


# Okabe and Ito's palette tells apart under all common color blindness; dashes do it in print.
POLICY = Look("the policy that is judged", "--c-policy", 2.4)
OTHER = Look("", "--c-other", 1.3, "longdashdot")
LOOKS = {
    BUY_AND_HOLD: Look("long from the first bar to the last", "--c-hold", 1.8),
    "flat": Look("never in the market", "--c-flat", 1.2, "dot"),
    "random (same turnover)": Look(
        "random positions that trade as much as the policy", "--c-random", 1.3, "dash"
    ),
    "moving-average crossover": Look(
        "long while the fast average is above the slow one", "--c-average", 1.5, "dashdot"
    ),
    ORACLE: Look(
        "perfect foresight by dynamic programming: an upper bound, not a strategy",
        "--c-oracle",
        1.5,
        "longdash",
    ),
}


def look_of(name: str, policy: str) -> Look:
    """Return the look of a strategy, where `policy` is the judged one's name."""
    return POLICY if name == policy else LOOKS.get(name, OTHER)
