"""The root of the configuration: what each stage may be told, composed of the parts' configs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reinforcestrategycreator_pipeline.checks import require, require_int
from reinforcestrategycreator_pipeline.deployment.brokers.catalog import BROKERS
from reinforcestrategycreator_pipeline.envs.span import TradingRules
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES, parse_specs
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source
from reinforcestrategycreator_pipeline.market.windows import SplitConfig
from reinforcestrategycreator_pipeline.policies.catalog import BenchmarkConfig
from reinforcestrategycreator_pipeline.policies.dqn import DQNStrategy
from reinforcestrategycreator_pipeline.verdict.decision import Thresholds

STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class DataConfig:
    """Where market data come from.

    Attributes
    ----------
    source : str
        A registered source (``rsc data list``), or ``"module:Class"``.
    params : mapping
        The source's own parameters.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    source: str = "sample"
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        build_source(self.source, self.params)


@dataclass(frozen=True)
class FeaturesConfig:
    """What the policy sees of a bar.

    Attributes
    ----------
    columns : list of names and mappings
        One entry a feature: ``rsi``, or ``{name: rsi, period: 14}``; a name ``"module:function"``
        is yours.
    audit_cuts : int
        Cuts of the look-ahead audit that every run makes, for each feature and symbol; 0: none.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    columns: tuple[str | Mapping[str, Any], ...] = tuple(s.to_mapping() for s in DEFAULT_FEATURES)
    audit_cuts: int = 16

    def __post_init__(self) -> None:
        require_int("features", "audit_cuts", self.audit_cuts, 0)
        require(len(self.columns) > 0, "features", "columns", "a list of one or more", [])
        columns = tuple(spec.to_mapping() for spec in parse_specs(self.columns))
        object.__setattr__(self, "columns", columns)


@dataclass(frozen=True)
class EvaluationConfig:
    """What the policy is compared with.

    Attributes
    ----------
    benchmarks : BenchmarkConfig
        Parameters of the benchmark strategies.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    benchmarks: BenchmarkConfig = field(default_factory=BenchmarkConfig)


@dataclass(frozen=True)
class DeploymentConfig:
    """When a model is promoted, and who trades on paper.

    Attributes
    ----------
    thresholds : Thresholds
        What the test result must reach.
    broker : str
        A registered broker for the paper-trading replay, or ``"module:Class"``.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    thresholds: Thresholds = field(default_factory=Thresholds)
    broker: str = "simulated"

    def __post_init__(self) -> None:
        BROKERS.get(self.broker)


@dataclass(frozen=True)
class RunConfig:
    """A run, completely.

    Attributes
    ----------
    seed : int
        The one seed; every generator descends from it.
    data, features, split, trading, strategy, evaluation, deployment
        The parts.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    seed: int = 7
    data: DataConfig = field(default_factory=DataConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    trading: TradingRules = field(default_factory=TradingRules)
    strategy: DQNStrategy = field(default_factory=DQNStrategy)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    deployment: DeploymentConfig = field(default_factory=DeploymentConfig)

    def __post_init__(self) -> None:
        require_int("the run", "seed", self.seed, 0, 2**63 - 1)
