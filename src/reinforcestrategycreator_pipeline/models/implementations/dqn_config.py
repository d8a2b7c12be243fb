"""The deep Q-network's configuration: frozen and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias, TypedDict

from reinforcestrategycreator_pipeline.checks import (
    Ge,
    Gt,
    Le,
    Len,
    Lt,
    Strict,
    field_types,
    from_mapping,
    require,
)
from reinforcestrategycreator_pipeline.errors import ConfigError, nearest
from reinforcestrategycreator_pipeline.models.presets import preset as preset_of
from reinforcestrategycreator_pipeline.nn.components import Component, Specified
from reinforcestrategycreator_pipeline.nn.heads.catalog import HEADS, MakeHead
from reinforcestrategycreator_pipeline.nn.losses import LOSSES, Loss
from reinforcestrategycreator_pipeline.nn.schedules import SCHEDULES, Schedule

# Beyond these, Adam's update of finite gradients may itself not be finite in float32.
MAX_LEARNING_RATE = 1e30
MIN_EPSILON = 1e-12
MAX_UNITS = 1_000_000
MAX_ATOMS = 10_000

Share: TypeAlias = Annotated[float, Ge(0), Le(1)]
SomeShare: TypeAlias = Annotated[float, Gt(0), Le(1)]
Decay: TypeAlias = Annotated[float, Ge(0), Lt(1)]
NotNegative: TypeAlias = Annotated[float, Ge(0)]
Positive: TypeAlias = Annotated[float, Gt(0)]
Count: TypeAlias = Annotated[int, Ge(1)]
Units: TypeAlias = Annotated[int, Ge(1), Le(MAX_UNITS)]


@dataclass(frozen=True)
class DQNHyperparameters(Strict):
    """What the deep Q-network learns with.

    Attributes
    ----------
    hidden_layers : tuple of int
        Units of each hidden layer, one or more layers.
    learning_rate, adam_beta1, adam_beta2, adam_epsilon : float
        Adam's parameters.
    weight_decay : float
        Every update takes learning_rate * weight_decay of each weight away, beside Adam (AdamW,
        Loshchilov & Hutter 2019, arXiv:1711.05101).
    learning_rate_schedule : str
        "constant", "linear", "cosine" or "exponential": how the learning rate goes from
        `learning_rate` to `learning_rate_final` over training.
    learning_rate_final : float
        Where it ends; a constant one does not read it.
    gamma : float
        Discount a step, in [0, 1].
    batch_size : int
        Transitions (or bars, in the market) a training step.
    buffer_size : int
        Transitions that the replay keeps.
    n_step : int
        Rewards that a target sums up before it bootstraps (Sutton 1988).
    prioritized_replay : bool
        Sample transitions in proportion to (priority + priority_epsilon)^priority_alpha, and weigh
        them by (N P)^-beta, where beta goes linearly from priority_beta_initial to
        priority_beta_final over training (Schaul et al. 2016, arXiv:1511.05952).
    priority_alpha, priority_beta_initial, priority_beta_final, priority_epsilon : float
        See prioritized_replay.
    double_dqn : bool
        The online network chooses the next action, the target network values it
        (van Hasselt et al. 2016, arXiv:1509.06461); else the target network does both.
    dueling : bool
        Value and advantage streams (Wang et al. 2016, arXiv:1511.06581).
    layer_norm : bool
        Layer normalisation before each ReLU (Ba et al. 2016, arXiv:1607.06450).
    noisy : bool
        Factorised Gaussian noise on all weights (Fortunato et al. 2018, arXiv:1706.10295): the
        network explores by itself, so that `exploration_initial` and `exploration_final` can be 0.
    noisy_sigma : float
        The noise's first standard deviation, times the square root of a layer's inputs.
    head : str
        What the outputs mean: "expected" returns; "c51", their distribution over fixed atoms
        (Bellemare et al. 2017, arXiv:1707.06887); "qr", its quantiles (Dabney et al. 2018,
        arXiv:1710.10044); or ``"module:Class"``.
    n_atoms : int
        Atoms of c51 and quantiles of qr.
    v_min, v_max : float
        The lowest and the highest return that c51 can represent.
    loss : str
        Of the head "expected": "squared", "huber" or ``"module:function"``; the others have theirs.
    huber_delta : float
        The error at which "huber", and the quantile Huber loss of qr, become linear.
    max_grad_norm : float, optional
        Gradients with a larger global norm are scaled down to it (Pascanu et al. 2013,
        arXiv:1211.5063).
    tau, target_update_interval : float, int
        Every `target_update_interval` training steps the target network moves by the share `tau`
        towards the online network: 1 copies it (Mnih et al. 2015), a small share every step
        follows it softly (Lillicrap et al. 2016, arXiv:1509.02971).
    exploration_initial, exploration_final : float
        Probability of a random action at the start and at the end of the schedule.
    exploration_fraction : float
        Share of training over which the probability falls, in (0, 1].
    exploration_schedule : str
        "linear", "cosine", "exponential" or "constant".
    normalize_observations : bool
        Shift and scale every input by its running mean and standard deviation.
    observation_clip : float
        Normalised inputs are cut off at this many standard deviations.
    learning_starts : int
        Transitions stored before the first training step, and never fewer than `batch_size`.
    train_frequency, gradient_steps : int
        Every `train_frequency` environment steps, `gradient_steps` training steps; -1: as many as
        there were environment steps.
    on_divergence : {"stop", "warn", "ignore"}
        What follows when the action values exceed twice what the rewards allow.
    log_interval : int
        Training steps between two rows of diagnostics; 0 switches them off.
    """

    hidden_layers: Annotated[tuple[Units, ...], Len(1)] = (64, 64)
    learning_rate: Annotated[float, Gt(0), Le(MAX_LEARNING_RATE)] = 1e-3
    adam_beta1: Decay = 0.9
    adam_beta2: Decay = 0.999
    adam_epsilon: Annotated[float, Ge(MIN_EPSILON)] = 1e-8
    weight_decay: NotNegative = 0.0
    learning_rate_schedule: Annotated[Component[Schedule], Specified(SCHEDULES)] = "constant"
    learning_rate_final: Annotated[float, Ge(0), Le(MAX_LEARNING_RATE)] = 0.0
    gamma: Share = 0.99
    batch_size: Count = 32
    buffer_size: Count = 100_000
    n_step: Count = 1
    prioritized_replay: bool = False
    priority_alpha: Share = 0.6
    priority_beta_initial: Share = 0.4
    priority_beta_final: Share = 1.0
    priority_epsilon: SomeShare = 1e-6
    double_dqn: bool = True
    dueling: bool = False
    layer_norm: bool = False
    noisy: bool = False
    noisy_sigma: NotNegative = 0.5
    head: Annotated[Component[MakeHead], Specified(HEADS)] = "expected"
    n_atoms: Annotated[int, Ge(2), Le(MAX_ATOMS)] = 51
    v_min: float = -10.0
    v_max: float = 10.0
    loss: Annotated[Component[Loss], Specified(LOSSES)] = "squared"
    huber_delta: Positive = 1.0
    max_grad_norm: Positive | None = None
    tau: SomeShare = 1.0
    target_update_interval: Count = 250
    exploration_initial: Share = 1.0
    exploration_final: Share = 0.05
    exploration_fraction: SomeShare = 0.2
    exploration_schedule: Annotated[Component[Schedule], Specified(SCHEDULES)] = "linear"
    normalize_observations: bool = False
    observation_clip: Positive = 10.0
    learning_starts: Annotated[int, Ge(0)] = 1_000
    train_frequency: Count = 4
    gradient_steps: Literal[-1] | Count = 1
    on_divergence: Literal["stop", "warn", "ignore"] = "stop"
    log_interval: Annotated[int, Ge(0)] = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        slow = self.exploration_schedule == "exponential"
        for holds, name, rule in (
            (self.v_min < self.v_max, "v_max", f"greater than v_min ({self.v_min})"),
            (
                self.batch_size <= self.buffer_size,
                "buffer_size",
                f"at least batch_size ({self.batch_size})",
            ),
            (
                self.learning_rate_schedule != "exponential" or self.learning_rate_final > 0,
                "learning_rate_final",
                "> 0 with an exponential learning_rate_schedule",
            ),
            (
                not slow or min(self.exploration_initial, self.exploration_final) > 0,
                "exploration_final",
                "> 0, as exploration_initial, with an exponential exploration_schedule",
            ),
        ):
            require(holds, "DQNHyperparameters", name, rule, getattr(self, name))


class HyperparameterKeywords(TypedDict, total=False):
    """The fields of `DQNHyperparameters` as keywords of `DQN`, for editors and type checkers."""

    hidden_layers: Sequence[int]
    learning_rate: float
    adam_beta1: float
    adam_beta2: float
    adam_epsilon: float
    weight_decay: float
    learning_rate_schedule: Component[Schedule]
    learning_rate_final: float
    gamma: float
    batch_size: int
    buffer_size: int
    n_step: int
    prioritized_replay: bool
    priority_alpha: float
    priority_beta_initial: float
    priority_beta_final: float
    priority_epsilon: float
    double_dqn: bool
    dueling: bool
    layer_norm: bool
    noisy: bool
    noisy_sigma: float
    head: Component[MakeHead]
    n_atoms: int
    v_min: float
    v_max: float
    loss: Component[Loss]
    huber_delta: float
    max_grad_norm: float | None
    tau: float
    target_update_interval: int
    exploration_initial: float
    exploration_final: float
    exploration_fraction: float
    exploration_schedule: Component[Schedule]
    normalize_observations: bool
    observation_clip: float
    learning_starts: int
    train_frequency: int
    gradient_steps: int
    on_divergence: Literal["stop", "warn", "ignore"]
    log_interval: int


@dataclass(frozen=True)
class DQNConfig(Strict):
    """Hyperparameters, seed and number format of one deep Q-network.

    Attributes
    ----------
    hyperparameters : DQNHyperparameters
        See there.
    seed : int
        Of initialisation, replay sampling, exploration and noise.
    dtype : {"float32", "float64"}
        Of weights, activations, moments and stored states.
    """

    hyperparameters: DQNHyperparameters = field(default_factory=DQNHyperparameters)
    seed: Annotated[int, Ge(0)] = 0
    dtype: Literal["float32", "float64"] = "float32"

    @classmethod
    def of(
        cls,
        config: DQNConfig | Mapping[str, Any] | None,
        *,
        preset: str | None = None,
        seed: int | None = None,
        dtype: str | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
    ) -> DQNConfig:
        """Return the typed config of a mapping, of nothing (the defaults), or of itself.

        Parameters
        ----------
        config : DQNConfig or mapping, optional
            A mapping may name a ``"preset"`` (see `models.presets`), whose hyperparameters its
            own override.
        preset, seed, dtype, hyperparameters : optional
            What overrides `config`; of hyperparameters, those that are given.

        Raises
        ------
        ConfigError
            For an unknown key (the message names the nearest valid one) or a wrong value.
        """
        own = hyperparameters or {}
        above = {"preset": preset, "seed": seed, "dtype": dtype}
        above = {name: value for name, value in above.items() if value is not None}
        if isinstance(config, cls) and not own and not above:
            return config
        known = field_types(DQNHyperparameters)
        for name in own:
            if name not in known:
                hint = nearest(name, [*known, "preset", "seed", "dtype"])
                raise ConfigError(f"DQN has no parameter {name!r}.{hint}")
        if isinstance(config, cls):
            hp = config.hyperparameters
            settings = {name: getattr(hp, name) for name in known}
            config = {"hyperparameters": settings, "seed": config.seed, "dtype": config.dtype}
        given: Any = {} if config is None else config
        if isinstance(given, Mapping) and (own or above or "preset" in given):
            given = {**given, **above}
            beside = given.get("hyperparameters", {})
            if not isinstance(beside, Mapping):
                raise ConfigError(
                    f"The hyperparameters parameter of DQN must be a mapping beside a preset or "
                    f"keywords. Got {beside!r} instead."
                )
            settings = preset_of(given.pop("preset")) if "preset" in given else {}
            given["hyperparameters"] = {**settings, **beside, **own}
        return from_mapping(cls, given, "DQN's config")
