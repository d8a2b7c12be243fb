"""Side data (sentiment, macro series, anything joined to the bars) as features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from reinforcestrategycreator_pipeline.checks import Len, Strict, require
from reinforcestrategycreator_pipeline.errors import FeatureError, nearest
from reinforcestrategycreator_pipeline.features.base import (
    FEATURES,
    Bars,
    FloatArray,
)
from reinforcestrategycreator_pipeline.features.windows import stack
from reinforcestrategycreator_pipeline.ohlcv import OHLCV


@FEATURES.register("column")
@dataclass(frozen=True)
class Column(Strict):
    """Columns of side data, unchanged.

    Price and volume columns are rejected: adjusting for a later split or dividend changes their
    level, and with it every past decision.

    Parameters
    ----------
    columns : tuple of str
        Names of columns in the data; the features keep these names.
    """

    columns: Annotated[tuple[str, ...], Len(1, max_length=1_000)]

    def __post_init__(self) -> None:
        super().__post_init__()
        barred = [n for n in self.columns if n in OHLCV]
        rule = f"names of side data, not {', '.join(OHLCV)}, whose level a later split changes"
        require(not barred, "Column", "columns", rule, self.columns)

    @property
    def lookback(self) -> int:
        return 0

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, len(columns)), in the data's own units."""
        for name in self.columns:
            if name not in bars:
                side = [c for c in bars if c not in OHLCV]
                has = nearest(name, side) or " It has no side data."
                raise FeatureError(f"the data has no column {name!r}.{has}")
        return stack([bars[name] for name in self.columns])
