"""The root of the configuration, composed of the sections of all stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from reinforcestrategycreator_pipeline.checks import Ge, Le, Len, Strict, require
from reinforcestrategycreator_pipeline.deployment.brokers.catalog import BROKERS
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import SimulatedBroker
from reinforcestrategycreator_pipeline.envs.span import TradingRules
from reinforcestrategycreator_pipeline.errors import ConfigError, at
from reinforcestrategycreator_pipeline.experiments.search import SearchConfig
from reinforcestrategycreator_pipeline.features.base import FEATURES
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES, parse_specs
from reinforcestrategycreator_pipeline.limits import Seed
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source
from reinforcestrategycreator_pipeline.market.windows import SplitConfig
from reinforcestrategycreator_pipeline.policies.catalog import BENCHMARKS, STRATEGIES
from reinforcestrategycreator_pipeline.policies.dqn_ensemble import DQNEnsemble
from reinforcestrategycreator_pipeline.registry import NameOf, ParametersOf, parameters_of
from reinforcestrategycreator_pipeline.tracking.catalog import TRACKERS
from reinforcestrategycreator_pipeline.verdict.thresholds import Thresholds


@dataclass(frozen=True)
class DataConfig(Strict):
    """Source of the market data.

    Attributes
    ----------
    source : str
        Name of a registered source (``rsc data list``), or ``"module:Class"``.
    params : mapping
        Parameters of the source.
    calendar : str, optional
        Name of the calendar that the health of the data is measured by: ``24/7``, ``24/5``,
        ``forex``, or one of exchange_calendars, such as ``XNYS``. By default, the days and times at
        which bars mostly are.
    """

    source: Annotated[str, NameOf(SOURCES)] = "sample"
    params: Annotated[Mapping[str, Any], ParametersOf("source", SOURCES)] = field(
        default_factory=dict
    )
    calendar: Annotated[str, Len(1)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        with at("source"):
            SOURCES.get(self.source)
        with at("params"):
            try:
                build_source(self.source, self.params)
            except ConfigError as error:
                if error.rule == "unknown key" and "Did you mean" not in error.hint:
                    error.hint = self._with_it(error.path[-1]) or error.hint
                raise

    def _with_it(self, key: object) -> str:
        """Return a hint for a parameter of other sources, or ``""``."""
        others = [name for name in SOURCES if key in parameters_of(SOURCES.get(name))]
        have = f" The source is {self.source!r}; to read with another, set data.source, too: "
        return f"{have}{' or '.join(others)}." if others else ""


@dataclass(frozen=True)
class FeaturesConfig(Strict):
    """Features that the policy receives at each bar.

    Attributes
    ----------
    columns : list of names and mappings
        One entry per feature: ``rsi``, or ``{name: rsi, period: 14}``; ``"module:function"`` names
        your own. In Python, an entry may be the function itself.
    audit_cuts : int
        Number of cuts per feature and symbol in the look-ahead audit of every run, 0 to 10,000; 0
        disables the audit, and the search for the lookback that user features need.
    """

    columns: Annotated[tuple[Annotated[Any, NameOf(FEATURES)], ...], Len(1, max_length=1_000)] = (
        tuple(s.to_mapping() for s in DEFAULT_FEATURES)
    )
    audit_cuts: Annotated[int, Ge(0), Le(10_000)] = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        with at("columns"):
            columns = tuple(spec.to_mapping() for spec in parse_specs(self.columns))
        object.__setattr__(self, "columns", columns)


@dataclass(frozen=True)
class EvaluationConfig(Strict):
    """Benchmarks of the policy.

    Attributes
    ----------
    benchmarks : list of names and mappings
        Strategies that trade the same bars: a name, or ``{name: ..., **parameters}``.
    random_draws : int
        Largest number of circular shifts of the policy's exposures, 1 to 10,000; the median result
        is shown.
    """

    benchmarks: Annotated[tuple[Annotated[Any, STRATEGIES], ...], Len(max_length=100)] = BENCHMARKS
    random_draws: Annotated[int, Ge(1), Le(10_000)] = 201


@dataclass(frozen=True)
class DeploymentConfig(Strict):
    """Conditions for promotion, and the broker for paper trading.

    Attributes
    ----------
    thresholds : Thresholds
        Conditions on the test result.
    broker : str or mapping
        Broker for the paper-trading replay: a registered name or ``"module:Class"``, or ``{name:
        ..., **parameters}``.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    broker: Annotated[Any, BROKERS] = SimulatedBroker


@dataclass(frozen=True)
class RunConfig(Strict):
    """Complete configuration of a run.

    Attributes
    ----------
    seed : int
        Seed from which all random generators are derived, >= 0.
    reproducibility : {"exact", "fast"}
        "exact" gives the same bytes on every x86-64 processor with AVX2; "fast" takes the widest
        instructions that the processor has, and its last digits depend on them.
    imports : list of str
        Your modules that register components by name: metrics, charts, strategies, ...
    data, features, split, trading, strategy, evaluation, deployment
        Sections of the configuration.
    tracking : list of names and mappings
        Trackers that log the run at its end, beside its folder: a name, or ``{name: ...,
        **parameters}``. No result depends on them.
    search : SearchConfig, optional
        Search over configurations, whose best one is run.
    """

    seed: Seed = 7
    reproducibility: Literal["exact", "fast"] = "exact"
    imports: Annotated[tuple[str, ...], Len(max_length=100)] = ()
    data: DataConfig = field(default_factory=DataConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    trading: TradingRules = field(default_factory=TradingRules)
    strategy: Annotated[Any, STRATEGIES] = field(default_factory=DQNEnsemble)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    deployment: DeploymentConfig = field(default_factory=DeploymentConfig)
    tracking: Annotated[tuple[Annotated[Any, TRACKERS], ...], Len(max_length=100)] = ()
    search: SearchConfig | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.strategy, type):
            rule = "a frozen dataclass, whose fields are its configuration"
            require(False, "RunConfig", "strategy", rule, self.strategy)
        if getattr(self.strategy, "benchmark_only", False):
            rule = "a strategy without foresight; this one is only a benchmark"
            require(False, "RunConfig", "strategy", rule, STRATEGIES.name_of(self.strategy))
