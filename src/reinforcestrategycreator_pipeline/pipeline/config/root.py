"""The root of the configuration: what each stage may be told, composed of the parts' configs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from reinforcestrategycreator_pipeline.checks import (
    from_mapping,
    require,
    require_choice,
    require_int,
    require_number,
)
from reinforcestrategycreator_pipeline.deployment.broker import BROKERS
from reinforcestrategycreator_pipeline.envs.grid import check_positions
from reinforcestrategycreator_pipeline.envs.rewards import REWARDS
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES, parse_specs
from reinforcestrategycreator_pipeline.features.scaling import ScalerConfig
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source
from reinforcestrategycreator_pipeline.market.splits import SplitConfig
from reinforcestrategycreator_pipeline.models.base import MODELS
from reinforcestrategycreator_pipeline.models.implementations.dqn import (
    DQN,
    DQNConfig,
    DQNHyperparameters,
)
from reinforcestrategycreator_pipeline.models.presets import preset
from reinforcestrategycreator_pipeline.policies.benchmarks import BenchmarkConfig
from reinforcestrategycreator_pipeline.policies.dqn_training import (
    TrainingConfig,
    require_single_steps,
)
from reinforcestrategycreator_pipeline.verdict.thresholds import Thresholds

STRICT = {"extra": "forbid"}
# Key path of a preset's name -> key path of the section that it fills, and what gives its values.
Presets = Mapping[tuple[str, ...], tuple[tuple[str, ...], Callable[[str], Mapping[str, Any]]]]

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
    columns : list of mappings
        One entry a feature: ``{name: rsi, period: 14}``; a name ``"module:function"`` is yours.
    scaler : ScalerConfig
        How they are scaled; fitted on the training split alone.
    audit_cuts : int
        Cuts of the look-ahead audit that every run makes, for each feature and symbol; 0: none.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    columns: tuple[Mapping[str, Any], ...] = tuple(s.to_mapping() for s in DEFAULT_FEATURES)
    scaler: ScalerConfig = field(default_factory=ScalerConfig)
    audit_cuts: int = 16

    def __post_init__(self) -> None:
        require_int("features", "audit_cuts", self.audit_cuts, 0)
        require(len(self.columns) > 0, "features", "columns", "a list of one or more", [])
        parse_specs(self.columns)


@dataclass(frozen=True)
class TradingConfig:
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

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    positions: tuple[float, ...] = (0.0, 1.0)
    costs: CostConfig = field(default_factory=CostConfig)
    reward: str = "log_growth"
    initial_equity: float = 100_000.0

    def __post_init__(self) -> None:
        check_positions(self.positions, "trading")
        require_number("trading", "initial_equity", self.initial_equity, above=0)
        REWARDS.get(self.reward)


@dataclass(frozen=True)
class ModelConfig:
    """Which learner, and how it learns.

    Attributes
    ----------
    name : str
        A registered model, or ``"module:Class"``.
    preset : str, optional
        Hyperparameters that belong together, by name: they take the defaults' place, and those that
        are given beside the preset override them.
    hyperparameters : DQNHyperparameters
        See there; the defaults here suit markets.
    dtype : {"float32", "float64"}
        Of the network's numbers.
    options : mapping
        Further keys of the config of a model from outside.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    name: str = "dqn"
    preset: str | None = None
    hyperparameters: DQNHyperparameters = MARKET_HYPERPARAMETERS
    dtype: Literal["float32", "float64"] = "float32"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_choice("model", "dtype", self.dtype, ("float32", "float64"))
        if self.preset is not None:
            values = preset(self.preset)
            # Only Python code leaves the default: the loader has laid out every hyperparameter.
            if self.hyperparameters is MARKET_HYPERPARAMETERS:
                values = asdict(MARKET_HYPERPARAMETERS) | values
                known = from_mapping(DQNHyperparameters, values, "model.hyperparameters")
                object.__setattr__(self, "hyperparameters", known)
        require_single_steps(self.hyperparameters)
        if MODELS.get(self.name) is DQN:
            rule = "empty: the model dqn has hyperparameters only"
            require(not self.options, "model", "options", rule, dict(self.options))
            DQN(DQNConfig(self.hyperparameters, dtype=self.dtype))  # refuses unknown names


@dataclass(frozen=True)
class EvaluationConfig:
    """What the policy is held against.

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
    data, features, split, trading, model, training, evaluation, deployment
        The parts.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT
    presets: ClassVar[Presets] = {("model", "preset"): (("model", "hyperparameters"), preset)}

    seed: int = 7
    data: DataConfig = field(default_factory=DataConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    trading: TradingConfig = field(default_factory=TradingConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    deployment: DeploymentConfig = field(default_factory=DeploymentConfig)

    def __post_init__(self) -> None:
        require_int("the run", "seed", self.seed, 0, 2**63 - 1)
