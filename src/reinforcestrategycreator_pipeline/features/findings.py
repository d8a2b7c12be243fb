"""The findings of the audit of features, as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from reinforcestrategycreator_pipeline.errors import FeatureError

Check: TypeAlias = Literal[
    "truncation",
    "perturbation",
    "lookback",
    "level",
    "repetition",
    "rounding",
    "stress",
    "clock",
    "environment",
]


@dataclass(frozen=True)
class Finding:
    """A column of a feature that changed although it must not.

    Attributes
    ----------
    symbol, feature, column : str
        Symbol, name of the feature in the configuration, and name of the column; ``""`` for what
        concerns all of them.
    check : str
        Check that failed: one of `Check`.
    row, cut : int
        First row that changed, from 0, and the last bar that was kept (for the lookback check: the
        first one; where no bars were cut: the last one of all).
    count : int
        Number of (row, cut) pairs that changed.
    advice : str
        How to mend it, if the feature knows, or what was read; a clause without a capital.
    before, after : float
        The value of the row from all bars, and from the modified ones; NaN where there is none.
    """

    symbol: str
    feature: str
    column: str
    check: Check
    row: int
    cut: int
    count: int
    advice: str = ""
    before: float = float("nan")
    after: float = float("nan")

    def __str__(self) -> str:
        who = f"{self.symbol}: " if self.symbol else ""
        if self.check in ("clock", "environment"):
            return f"{who}feature {self.feature!r} {self._read()}"
        advice = f": {self.advice}" if self.advice else ""
        return f"{who}feature {self.feature!r}: column {self.column!r} {self._what()}{advice}"

    def _read(self) -> str:
        said = f"denied is the read of {self.advice}"
        if self.check == "clock":
            return f"must use its bars alone, because another day gives another value: {said}"
        return f"must use its bars alone, because another shell gives another value: {said}"

    def _what(self) -> str:
        row, all_ = f"its row {self.row}", f"({self.check}, {self.count} changes in all)"
        if self.check == "lookback":
            need = f"needs more than its declared lookback of {self.row - self.cut} bars"
            return f"{need}: {row} changes with bars before {self.cut} {all_}"
        if self.check == "level":
            return (
                "depends on the level of prices or volume: a later split or dividend changes "
                f"{row} {all_}"
            )
        if self.check == "repetition":
            return (
                f"is computed from more than its bars: {row} differs where nothing was computed "
                f"before {all_}: it may keep earlier results, draw random numbers, or its file was "
                "edited since it was imported"
            )
        if self.check == "rounding":
            return (
                f"depends on the last bits of the prices, as in {row} {all_}, where a look-ahead "
                "could hide"
            )
        where = " where a shock is put into the bars" if self.check == "stress" else ""
        return f"looks ahead{where}: {row} changes with bars after {self.cut} {all_}"


def require_none(findings: Sequence[Finding]) -> None:
    """Raise `FeatureError` with the first finding, if there is any."""
    if findings:
        others = len(findings) - 1
        more = f"; {others} more {'finding' if others == 1 else 'findings'}" if others else ""
        raise FeatureError(f"{findings[0]}{more}.")
