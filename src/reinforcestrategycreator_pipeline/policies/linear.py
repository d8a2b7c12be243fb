"""A linear forecast of returns, traded when it exceeds the costs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.checks import Ge, Le, Strict
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler, ScalerConfig
from reinforcestrategycreator_pipeline.limits import HUGE, Period
from reinforcestrategycreator_pipeline.policies.base import (
    STRATEGIES,
    Choices,
    Columns,
    Features,
    Policy,
    Work,
)

if TYPE_CHECKING:  # a package's policy must load with NumPy and safetensors alone
    from reinforcestrategycreator_pipeline.envs.span import MarketSpan


@dataclass(frozen=True, eq=False)
class LinearPolicy(Policy):
    """Chooses the target q that maximizes q * forecast - cost of moving from the last target to q.

    Parameters
    ----------
    scaler : FittedScaler
        Scaler of the features, fitted on the training span.
    weights : ndarray of float64, shape (F,)
        Forecast log return per unit of each scaled feature.
    intercept : float
        Forecast log return if all scaled features are 0.
    buy_cost, sell_cost : float
        Costs of buying or selling a value of 1.
    """

    scaler: FittedScaler
    weights: F64
    intercept: float
    buy_cost: float
    sell_cost: float

    def choose(self, features: Features, bars: Columns) -> Choices:
        """Weigh the forecast against the cost; see `Policy.choose`."""
        scaled = self.scaler.transform(features, np.float64)
        # Not a matrix product, whose rounding depends on the number of rows.
        forecast = (scaled * self.weights).sum(axis=1) + self.intercept
        best: Ints = (forecast[:, None, None] * self.positions - self.cost).argmax(axis=2)
        return best

    @property
    def cost(self) -> F64:
        """Cost of a move from each target to each target, shape (n, n)."""
        grid = np.array(self.positions)
        move = grid - grid[:, None]
        cost: F64 = np.where(move > 0, self.buy_cost, -self.sell_cost) * move
        return cost

    def describe(self) -> str:
        """Return the number of weights."""
        return f"linear forecast with {len(self.weights)} weights, traded when it exceeds the costs"


@STRATEGIES.register("linear")
@dataclass(frozen=True)
class Linear(Strict):
    """Ridge regression of the next bars' log return on the scaled features (Hoerl & Kennard 1970).

    Attributes
    ----------
    alpha : float
        Penalty on the squared weights, per training row, >= 0.
    horizon : int
        Number of bars of the forecast return, starting at the next open, >= 1.
    scaler : ScalerConfig
        Scaling of the features; fitted on the training span.
    """

    alpha: Annotated[float, Ge(0), Le(HUGE)] = 1e-3
    horizon: Period = 5
    scaler: ScalerConfig = field(default_factory=ScalerConfig)

    def rehearsal(self) -> Linear:
        """Return a copy that needs few bars, to check that all parts work together."""
        return replace(self, horizon=1)

    def fit(self, train: MarketSpan, validation: MarketSpan, work: Work) -> Policy:
        """Solve the normal equations on the training span; the validation span is not used.

        Raises
        ------
        DataError
            If no asset has more bars than the horizon.
        """
        h = self.horizon
        scaler = self.scaler.fit(np.concatenate([a.features for a in train.assets]))
        long = [a for a in train.assets if len(a.close) > h + 1]
        if not long:
            raise DataError(f"a forecast over {h} bars needs an asset with {h + 2} training bars")
        x = np.concatenate([scaler.transform(a.features[:-h], np.float64) for a in long])
        y = np.concatenate([np.log(a.close[h:] / a.open[1 : len(a.open) - h + 1]) for a in long])
        center = x.mean(axis=0)
        x = x - center
        penalty = self.alpha * len(x) * np.eye(x.shape[1])
        weights = np.linalg.lstsq(x.T @ x + penalty, x.T @ (y - y.mean()), rcond=None)[0]
        work.facts["unused_columns"] = scaler.unused(train.inputs.names)
        work.facts["r2"] = float(1.0 - np.var(y - x @ weights) / max(np.var(y), 1e-300))
        return LinearPolicy(
            train.rules.positions,
            train.inputs,
            scaler,
            weights,
            float(y.mean() - center @ weights),
            train.rules.costs.buy_cost,
            train.rules.costs.sell_cost,
        )
