"""The root of the configuration: what each stage may be told, composed of the parts' configs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from reinforcestrategycreator_pipeline.checks import Ge, Gt, Len, Strict, require
from reinforcestrategycreator_pipeline.deployment.broker import BROKERS
from reinforcestrategycreator_pipeline.envs.grid import check_positions
from reinforcestrategycreator_pipeline.envs.rewards import REWARDS
from reinforcestrategycreator_pipeline.errors import at
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES, parse_specs
from reinforcestrategycreator_pipeline.features.scaling import ScalerConfig
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source
from reinforcestrategycreator_pipeline.market.splits import SplitConfig
from reinforcestrategycreator_pipeline.models.base import MODELS
from reinforcestrategycreator_pipeline.models.implementations.dqn import (
    DQN,
    DQNConfig,
    DQNHyperparameters,
)
from reinforcestrategycreator_pipeline.nn.heads.base import HEADS
from reinforcestrategycreator_pipeline.nn.losses import LOSSES
from reinforcestrategycreator_pipeline.nn.schedules import SCHEDULES
from reinforcestrategycreator_pipeline.policies.benchmarks import BenchmarkConfig
from reinforcestrategycreator_pipeline.policies.dqn_training import (
    TrainingConfig,
    require_single_steps,
)
from reinforcestrategycreator_pipeline.registry import Registry
from reinforcestrategycreator_pipeline.verdict.decision import Thresholds

# Chosen on the sample's training and validation splits, never on a test split: a larger network
# learns the training bars by heart within seconds. A training step sees 128 bars, all actions.
MARKET_HYPERPARAMETERS = DQNHyperparameters(
    hidden_layers=(32, 32),
    learning_rate=3e-4,
    gamma=0.9,
    batch_size=128,
    buffer_size=100_000,
    target_update_interval=200,
    exploration_final=0.1,
    exploration_fraction=0.5,
    learning_starts=4_096,
    train_frequency=1,
    gradient_steps=4,
)

NAMED: Mapping[str, Registry[Any]] = {
    "head": HEADS,
    "loss": LOSSES,
    "learning_rate_schedule": SCHEDULES,
    "exploration_schedule": SCHEDULES,
}


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
    columns : list of mappings
        One entry a feature: ``{name: rsi, period: 14}``; a name ``"module:function"`` is yours.
    scaler : ScalerConfig
        How they are scaled; fitted on the training split alone.
    audit_cuts : int
        Cuts of the look-ahead audit that every run makes, for each feature and symbol; 0: none.
    """

    columns: Annotated[tuple[Mapping[str, Any], ...], Len(1)] = tuple(
        s.to_mapping() for s in DEFAULT_FEATURES
    )
    scaler: ScalerConfig = field(default_factory=ScalerConfig)
    audit_cuts: Annotated[int, Ge(0)] = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        with at("columns"):
            parse_specs(self.columns)


@dataclass(frozen=True)
class TradingConfig(Strict):
    """The game: what can be held, what it costs, what is rewarded.

    Attributes
    ----------
    positions : list of float
        Target exposures that an action selects, as fractions of equity; increasing, with 0.
    costs : CostConfig
        Of trading and carrying.
    reward : str
        A registered reward, or ``"module:function"``.
    initial_equity : float
        Money at the start of a backtest, divided equally among the assets.
    """

    positions: tuple[float, ...] = (0.0, 1.0)
    costs: CostConfig = field(default_factory=CostConfig)
    reward: str = "log_growth"
    initial_equity: Annotated[float, Gt(0)] = 100_000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positions(self.positions, "trading")
        with at("reward"):
            REWARDS.get(self.reward)


@dataclass(frozen=True)
class ModelConfig(Strict):
    """Which learner, and how it learns.

    Attributes
    ----------
    name : str
        A registered model, or ``"module:Class"``.
    hyperparameters : DQNHyperparameters
        See there; the defaults here suit markets.
    dtype : {"float32", "float64"}
        Of the network's numbers.
    options : mapping
        Further keys of the config of a model from outside.
    """

    name: str = "dqn"
    hyperparameters: DQNHyperparameters = MARKET_HYPERPARAMETERS
    dtype: Literal["float32", "float64"] = "float32"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        with at("hyperparameters"):
            require_single_steps(self.hyperparameters)
        with at("name"):
            model = MODELS.get(self.name)
        if model is DQN:
            rule = "empty: the model dqn has hyperparameters only"
            require(not self.options, "model", "options", rule, dict(self.options))
            for name, family in NAMED.items():
                with at("hyperparameters", name):
                    family.get(getattr(self.hyperparameters, name))
            with at("hyperparameters"):
                DQN(DQNConfig(self.hyperparameters, dtype=self.dtype))  # the parts refuse theirs


@dataclass(frozen=True)
class EvaluationConfig(Strict):
    """What the policy is held against.

    Attributes
    ----------
    benchmarks : BenchmarkConfig
        Parameters of the benchmark strategies.
    """

    benchmarks: BenchmarkConfig = field(default_factory=BenchmarkConfig)


@dataclass(frozen=True)
class DeploymentConfig(Strict):
    """When a model is promoted, and who trades on paper.

    Attributes
    ----------
    thresholds : Thresholds
        What the test result must reach.
    broker : str
        A registered broker for the paper-trading replay, or ``"module:Class"``.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    broker: str = "simulated"

    def __post_init__(self) -> None:
        super().__post_init__()
        with at("broker"):
            BROKERS.get(self.broker)


@dataclass(frozen=True)
class RunConfig(Strict):
    """A run, completely.

    Attributes
    ----------
    seed : int
        The one seed; every generator descends from it.
    data, features, split, trading, model, training, evaluation, deployment
        The parts.
    """

    seed: Annotated[int, Ge(0)] = 7
    data: DataConfig = field(default_factory=DataConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    trading: TradingConfig = field(default_factory=TradingConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    deployment: DeploymentConfig = field(default_factory=DeploymentConfig)
