"""A rule that trades one feature by its sign: what survives of a signal without any learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.checks import Ge, Le, Len, Strict
from reinforcestrategycreator_pipeline.envs.span import MarketSpan
from reinforcestrategycreator_pipeline.errors import ConfigError, nearest
from reinforcestrategycreator_pipeline.limits import HUGE
from reinforcestrategycreator_pipeline.policies.base import (
    STRATEGIES,
    Choices,
    Columns,
    Features,
    Policy,
    Work,
)


@dataclass(frozen=True, eq=False)
class FollowSignalPolicy(Policy):
    """Highest exposure while a feature is above a threshold, lowest while it is below minus that.

    In between, the previous target is kept.

    Parameters
    ----------
    feature : int
        Index of the feature.
    threshold : float
        Threshold in the feature's own unit, >= 0.
    """

    feature: int
    threshold: float

    def choose(self, features: Features, bars: Columns) -> Choices:
        """Compare the feature with the threshold; see `Policy.choose`."""
        signal, n = features[:, self.feature, None], len(self.positions)
        kept = np.broadcast_to(np.arange(n), (len(features), n))
        target: Ints = np.where(signal < -self.threshold, 0, kept)
        return np.where(signal > self.threshold, n - 1, target)

    def describe(self) -> str:
        """Return the feature and the threshold."""
        name = self.inputs.names[self.feature]
        return f"follows {name}: high above {self.threshold:g}, low below {-self.threshold:g}"


@STRATEGIES.register("follow_signal")
@dataclass(frozen=True)
class FollowSignal(Strict):
    """Follow one feature by its sign, to see how much of a signal survives costs.

    Attributes
    ----------
    feature : str
        Name of the feature, such as that of a column of your data.
    threshold : float
        The target changes only if the feature is beyond this distance from 0, in its own unit; a
        larger one trades less.
    """

    learns: ClassVar[bool] = False

    feature: Annotated[str, Len(1)] = "signal"
    threshold: Annotated[float, Ge(0), Le(HUGE)] = 0.0

    @property
    def label(self) -> str:
        """Display name."""
        return f"follow {self.feature}"

    def fit(self, train: MarketSpan, validation: MarketSpan, work: Work) -> Policy:
        """Return the policy; of the spans, only the grid and the names of features are used.

        Raises
        ------
        ConfigError
            If there is no such feature.
        """
        names = train.inputs.names
        if self.feature not in names:
            raise ConfigError(
                f"follow_signal: there is no feature {self.feature!r}."
                f"{nearest(self.feature, names)}"
            )
        where = names.index(self.feature)
        return FollowSignalPolicy(train.rules.positions, train.inputs, where, self.threshold)
