"""The length of a bar, as vendors' users write it: ``1m``, ``4h``, ``1d``."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from reinforcestrategycreator_pipeline.errors import ConfigError

_FORM = re.compile(r"([1-9]\d{0,2})(m|h|d)")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Interval:
    """The length of a bar.

    Attributes
    ----------
    count : int
        Number of units, >= 1.
    unit : str
        ``m`` for minutes, ``h`` for hours, ``d`` for days.
    """

    count: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Return the interval that a text such as ``15m`` names.

        Raises
        ------
        ConfigError
            If it names none; bars of several days are not among them.
        """
        found = _FORM.fullmatch(text)
        if found is None or (found[2] == "d" and found[1] != "1"):
            raise ConfigError(
                f"the interval must be minutes, hours or 1d, such as 1m, 4h or 1d. Got {text!r} "
                "instead."
            )
        return cls(int(found[1]), found[2])

    @property
    def seconds(self) -> int:
        """Length in seconds; a day has 86,400."""
        return self.count * _SECONDS[self.unit]

    @property
    def length(self) -> pd.Timedelta:
        """Length as a duration."""
        return pd.Timedelta(self.seconds, "s")

    @property
    def is_day(self) -> bool:
        """Whether the bar is that of a day."""
        return self.unit == "d"

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"
