"""The root of the configuration: what each stage may be told, composed of the parts' configs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from reinforcestrategycreator_pipeline.checks import Ge, Le, Len, Strict, require
from reinforcestrategycreator_pipeline.deployment.brokers.catalog import BROKERS
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import SimulatedBroker
from reinforcestrategycreator_pipeline.envs.span import TradingRules
from reinforcestrategycreator_pipeline.errors import at
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES, parse_specs
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source
from reinforcestrategycreator_pipeline.market.windows import SplitConfig
from reinforcestrategycreator_pipeline.policies.catalog import BENCHMARKS, STRATEGIES
from reinforcestrategycreator_pipeline.policies.dqn import DQNStrategy
from reinforcestrategycreator_pipeline.verdict.thresholds import Thresholds


@dataclass(frozen=True)
class DataConfig(Strict):
    """Where market data come from.

    Attributes
    ----------
    source : str
        A registered source (``rsc data list``), or ``"module:Class"``.
    params : mapping
        The source's own parameters.
    """

    source: str = "sample"
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        with at("source"):
            SOURCES.get(self.source)
        with at("params"):
            build_source(self.source, self.params)


@dataclass(frozen=True)
class FeaturesConfig(Strict):
    """What the policy sees of a bar.

    Attributes
    ----------
    columns : list of names and mappings
        One entry a feature: ``rsi``, or ``{name: rsi, period: 14}``; a name ``"module:function"``
        is yours.
    audit_cuts : int
        Cuts of the look-ahead audit that every run makes, for each feature and symbol; 0: none.
    """

    columns: Annotated[tuple[str | Mapping[str, Any], ...], Len(1)] = tuple(
        s.to_mapping() for s in DEFAULT_FEATURES
    )
    audit_cuts: Annotated[int, Ge(0)] = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        with at("columns"):
            columns = tuple(spec.to_mapping() for spec in parse_specs(self.columns))
        object.__setattr__(self, "columns", columns)


@dataclass(frozen=True)
class EvaluationConfig(Strict):
    """What the policy is compared with.

    Attributes
    ----------
    benchmarks : list of names and mappings
        Strategies that trade the same bars: a name, or ``{name: ..., **parameters}``.
    random_draws : int
        Policies of random timing drawn for each asset; the one shown has the median result.
    """

    benchmarks: tuple[Annotated[Any, STRATEGIES], ...] = BENCHMARKS
    random_draws: Annotated[int, Ge(1), Le(10_000)] = 201


@dataclass(frozen=True)
class DeploymentConfig(Strict):
    """When a model is promoted, and who trades on paper.

    Attributes
    ----------
    thresholds : Thresholds
        What the test result must reach.
    broker : str or mapping
        A registered broker for the paper-trading replay, or ``"module:Class"``; ``{name: ...,
        **parameters}``.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    broker: Annotated[Any, BROKERS] = SimulatedBroker


@dataclass(frozen=True)
class RunConfig(Strict):
    """A run, completely.

    Attributes
    ----------
    seed : int
        The one seed; every generator descends from it.
    imports : list of str
        Modules of yours that register components (metrics, charts, strategies, ...) by name.
    data, features, split, trading, strategy, evaluation, deployment
        The parts.
    """

    seed: Annotated[int, Ge(0)] = 7
    imports: tuple[str, ...] = ()
    data: DataConfig = field(default_factory=DataConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    trading: TradingRules = field(default_factory=TradingRules)
    strategy: Annotated[Any, STRATEGIES] = field(default_factory=DQNStrategy)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    deployment: DeploymentConfig = field(default_factory=DeploymentConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.strategy, type):
            rule = "a frozen dataclass, whose fields are its configuration"
            require(False, "RunConfig", "strategy", rule, self.strategy)
        if getattr(self.strategy, "benchmark_only", False):
            rule = "one that decides from what is known; this is a benchmark only"
            require(False, "RunConfig", "strategy", rule, STRATEGIES.name_of(self.strategy))
