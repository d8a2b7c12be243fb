"""All strategies: importing this registers the shipped ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from reinforcestrategycreator_pipeline.checks import Ge, Le, Strict
from reinforcestrategycreator_pipeline.policies import baselines, dqn, linear, oracle
from reinforcestrategycreator_pipeline.policies.base import STRATEGIES, Strategy

SHIPPED = (
    dqn.DQNStrategy,
    linear.Linear,
    baselines.Constant,
    baselines.BuyAndHold,
    baselines.Flat,
    baselines.MovingAverageCrossover,
    oracle.Oracle,
)

__all__ = ["SHIPPED", "STRATEGIES", "Strategy", "label_of"]


def label_of(name: str, strategy: object) -> str:
    """Return what people call a strategy: its own `label`, or the last part of its name."""
    return str(getattr(strategy, "label", None) or name.rpartition(":")[2])


@dataclass(frozen=True)
class BenchmarkConfig(Strict):
    """Parameters of the benchmarks.

    Attributes
    ----------
    fast, slow : int
        Bars of the moving averages of the crossover.
    random_draws : int
        Random policies drawn an asset; the shown one has the median result.
    """

    fast: Annotated[int, Ge(1)] = 20
    slow: Annotated[int, Ge(2)] = 100
    random_draws: Annotated[int, Ge(1), Le(10_000)] = 201

    def __post_init__(self) -> None:
        super().__post_init__()
        baselines.MovingAverageCrossover(self.fast, self.slow)

    def strategies(self) -> dict[str, Strategy]:
        """Return the benchmarks by label."""
        crossover = baselines.MovingAverageCrossover(self.fast, self.slow)
        chosen = (baselines.BuyAndHold(), baselines.Flat(), crossover, oracle.Oracle())
        return {label_of(type(s).__name__.lower(), s): s for s in chosen}
