"""Largest and smallest values of settings, one for each kind of number.

Every number in a configuration has a range in its rule. Where the subject itself sets none, these
do: they are far beyond all use, and keep counts from overflowing, loops from running for ever, and
numbers from vanishing in float32.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from reinforcestrategycreator_pipeline.checks import LARGEST_INT, Ge, Le

MAX_BARS = 10_000_000
"""Bars of one symbol: 19 years of minutes."""
MAX_PERIOD = 1_000_000
"""Bars of one window."""
MAX_STEPS = 1_000_000_000
"""Steps of training, and anything counted in them; rows of a replay."""
MAX_TOGETHER = 1_000_000
"""What is computed at once: the rows of a batch, trajectories."""
MAX_EXPOSURE = 1_000
"""Exposure, as a multiple of equity."""
TINY, HUGE = 1e-12, 1e12
"""Positive numbers without another range; both are exact enough in float32."""

Seed: TypeAlias = Annotated[int, Ge(0), Le(LARGEST_INT)]
Bars: TypeAlias = Annotated[int, Ge(0), Le(MAX_BARS)]
Period: TypeAlias = Annotated[int, Ge(1), Le(MAX_PERIOD)]
LongPeriod: TypeAlias = Annotated[int, Ge(2), Le(MAX_PERIOD)]
Steps: TypeAlias = Annotated[int, Ge(1), Le(MAX_STEPS)]
Together: TypeAlias = Annotated[int, Ge(1), Le(MAX_TOGETHER)]
Exposure: TypeAlias = Annotated[float, Ge(-MAX_EXPOSURE), Le(MAX_EXPOSURE)]
Positive: TypeAlias = Annotated[float, Ge(TINY), Le(HUGE)]
Signed: TypeAlias = Annotated[float, Ge(-HUGE), Le(HUGE)]
