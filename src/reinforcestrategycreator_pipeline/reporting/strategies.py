"""Names, notes and line styles of the known strategies in the report."""

from __future__ import annotations

from typing import Any, NamedTuple

from reinforcestrategycreator_pipeline.backtesting.results import BUY_AND_HOLD, ORACLE


class Look(NamedTuple):
    """A strategy's note for the reader, and its line: CSS color, width in pixels, dash."""

    note: str
    color: str
    width: float
    dash: str = "solid"

    @property
    def line(self) -> dict[str, Any]:
        """The line as Plotly's ``line`` option."""
        return {"color": self.color, "width": self.width, "dash": self.dash}


# Okabe and Ito's palette stays distinguishable under color blindness; dashes help in print.
POLICY = Look("the strategy under evaluation", "--c-policy", 2.4)
OTHER = Look("", "--c-other", 1.3, "longdashdot")
LOOKS = {
    BUY_AND_HOLD: Look("long from the first bar to the last", "--c-hold", 1.8),
    "flat": Look("never in the market", "--c-flat", 1.2, "dot"),
    "random (same turnover)": Look(
        "the policy's own exposures at shifted times, the same shift for all assets; median",
        "--c-random",
        1.3,
        "dash",
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
    """Return the look of a strategy; `policy` is the name of the judged one."""
    return POLICY if name == policy else LOOKS.get(name, OTHER)
