"""Configuration of the deep Q-network, frozen and validated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias, TypedDict

from reinforcestrategycreator_pipeline.checks import (
    Ge,
    Le,
    Len,
    Lt,
    Strict,
    field_types,
    from_mapping,
    is_int,
    require,
)
from reinforcestrategycreator_pipeline.errors import ConfigError, nearest
from reinforcestrategycreator_pipeline.limits import (
    MAX_STEPS,
    TINY,
    Positive,
    Seed,
    Signed,
    Steps,
    Together,
)
from reinforcestrategycreator_pipeline.memory import memory_note
from reinforcestrategycreator_pipeline.models.presets import preset as preset_of
from reinforcestrategycreator_pipeline.nn.components import Component, Specified
from reinforcestrategycreator_pipeline.nn.heads.catalog import HEADS, MakeHead
from reinforcestrategycreator_pipeline.nn.losses import LOSSES, Loss
from reinforcestrategycreator_pipeline.nn.schedules import SCHEDULES, Schedule

# Beyond these, Adam's update may overflow in float32 even if the gradients are finite.
MAX_LEARNING_RATE = 1e30
MIN_EPSILON = 1e-12
MAX_UNITS = 100_000
MAX_ATOMS = 10_000


class _Weight:
    """Marker that adds the memory of a layer to the message about its number of units."""

    def hint(self, value: object) -> str:
        """Return a sentence that begins with a space, or nothing."""
        if not is_int(value) or not MAX_UNITS < value <= 10**9:
            return ""
        weights = 4 * 5 * value**2  # weights, target, gradients, and two moments, in float32
        return f" A pair of such layers {memory_note(weights)}."


Share: TypeAlias = Annotated[float, Ge(0), Le(1)]
SomeShare: TypeAlias = Annotated[float, Ge(TINY), Le(1)]
Decay: TypeAlias = Annotated[float, Ge(0), Lt(1)]
NotNegative: TypeAlias = Annotated[float, Ge(0), Le(1_000)]
Units: TypeAlias = Annotated[int, Ge(1), Le(MAX_UNITS), _Weight()]


@dataclass(frozen=True)
class DQNHyperparameters(Strict):
    """Hyperparameters of the deep Q-network and its training.

    Attributes
    ----------
    hidden_layers : tuple of int
        Units of each hidden layer; at least one layer.
    learning_rate, adam_beta1, adam_beta2, adam_epsilon : float
        Parameters of Adam: step size > 0, decay rates in [0, 1), and epsilon >= 1e-12.
    weight_decay : float
        Each update shrinks every weight by the factor 1 - learning_rate * weight_decay, decoupled
        from Adam (AdamW, Loshchilov & Hutter 2019, arXiv:1711.05101); >= 0.
    learning_rate_schedule : str
        "constant", "linear", "cosine", "exponential", or ``"module:function"``: how the learning
        rate changes from `learning_rate` to `learning_rate_final` during training.
    learning_rate_final : float
        Final learning rate, >= 0; not used by the constant schedule.
    gamma : float
        Discount per step, in [0, 1].
    batch_size : int
        Transitions (on a market, bars) per training step, >= 1.
    buffer_size : int
        Capacity of the replay in transitions, >= batch_size.
    n_step : int
        Number of rewards that a target sums before it bootstraps, >= 1 (Sutton 1988).
    prioritized_replay : bool
        Sample transitions in proportion to (priority + priority_epsilon)^priority_alpha, and weight
        them by (N P)^-beta, where beta increases linearly from priority_beta_initial to
        priority_beta_final during training (Schaul et al. 2016, arXiv:1511.05952).
    priority_alpha, priority_beta_initial, priority_beta_final : float
        Exponents of prioritized replay, in [0, 1].
    priority_epsilon : float
        Added to each priority, in (0, 1], so that every transition can be sampled.
    double_dqn : bool
        The online network chooses the next action, and the target network evaluates it
        (van Hasselt et al. 2016, arXiv:1509.06461); if false, the target network does both.
    dueling : bool
        Value and advantage streams (Wang et al. 2016, arXiv:1511.06581).
    layer_norm : bool
        Layer normalization before each ReLU (Ba et al. 2016, arXiv:1607.06450).
    noisy : bool
        Factorized Gaussian noise on all weights (Fortunato et al. 2018, arXiv:1706.10295). The
        noise provides exploration, so `exploration_initial` and `exploration_final` can be 0.
    noisy_sigma : float
        Initial standard deviation of the noise times the square root of a layer's fan-in, >= 0.
    head : str
        Meaning of the outputs: "expected", the expected return; "c51", its distribution over fixed
        atoms (Bellemare et al. 2017, arXiv:1707.06887); "qr", its quantiles (Dabney et al. 2018,
        arXiv:1710.10044); or ``"module:Class"``.
    n_atoms : int
        Number of atoms of c51 or quantiles of qr, >= 2.
    v_min, v_max : float
        Smallest and largest return that c51 can represent; v_min < v_max.
    loss : str
        Loss of the head "expected": "squared", "huber", or ``"module:function"``; the other heads
        define their own.
    huber_delta : float
        Error above which the Huber loss, and the quantile Huber loss of qr, are linear; > 0.
    max_grad_norm : float, optional
        Gradients with a larger global norm are scaled down to it; > 0 (Pascanu et al. 2013,
        arXiv:1211.5063). None disables clipping.
    tau, target_update_interval : float, int
        Every `target_update_interval` training steps, the target network moves by the fraction
        `tau`, in (0, 1], toward the online network: 1 copies it (Mnih et al. 2015); a small
        fraction at every step is a soft update (Lillicrap et al. 2016, arXiv:1509.02971).
    exploration_initial, exploration_final : float
        Probability of a random action at the start and at the end of the schedule, in [0, 1].
    exploration_fraction : float
        Fraction of training over which the probability changes, in (0, 1].
    exploration_schedule : str
        "linear", "cosine", "exponential", "constant", or ``"module:function"``.
    normalize_observations : bool
        Shift and scale every input by its running mean and standard deviation.
    observation_clip : float
        Limit of normalized inputs, in standard deviations; > 0.
    learning_starts : int
        Transitions stored before the first training step; at least `batch_size` are needed anyway.
    train_frequency, gradient_steps : int
        Every `train_frequency` environment steps, `gradient_steps` training steps follow; -1 means
        as many as there were environment steps.
    on_divergence : {"stop", "warn", "ignore"}
        Action to take when the action values exceed what the rewards allow; see
        `DivergenceGuard`.
    log_interval : int
        Training steps between two rows of diagnostics; 0 disables them.
    """

    hidden_layers: Annotated[tuple[Units, ...], Len(1, max_length=100)] = (64, 64)
    learning_rate: Annotated[float, Ge(TINY), Le(MAX_LEARNING_RATE)] = 1e-3
    adam_beta1: Decay = 0.9
    adam_beta2: Decay = 0.999
    adam_epsilon: Annotated[float, Ge(MIN_EPSILON), Le(1_000)] = 1e-8
    weight_decay: NotNegative = 0.0
    learning_rate_schedule: Annotated[Component[Schedule], Specified(SCHEDULES)] = "constant"
    learning_rate_final: Annotated[float, Ge(0), Le(MAX_LEARNING_RATE)] = 0.0
    gamma: Share = 0.99
    batch_size: Together = 32
    buffer_size: Steps = 100_000
    n_step: Annotated[int, Ge(1), Le(10_000)] = 1
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
    v_min: Signed = -10.0
    v_max: Signed = 10.0
    loss: Annotated[Component[Loss], Specified(LOSSES)] = "squared"
    huber_delta: Positive = 1.0
    max_grad_norm: Positive | None = None
    tau: SomeShare = 1.0
    target_update_interval: Steps = 250
    exploration_initial: Share = 1.0
    exploration_final: Share = 0.05
    exploration_fraction: SomeShare = 0.2
    exploration_schedule: Annotated[Component[Schedule], Specified(SCHEDULES)] = "linear"
    normalize_observations: bool = False
    observation_clip: Annotated[float, Ge(1e-6), Le(1e6)] = 10.0
    learning_starts: Annotated[int, Ge(0), Le(MAX_STEPS)] = 1_000
    train_frequency: Steps = 4
    gradient_steps: Literal[-1] | Steps = 1
    on_divergence: Literal["stop", "warn", "ignore"] = "stop"
    log_interval: Annotated[int, Ge(0), Le(MAX_STEPS)] = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        spacing = (self.v_max - self.v_min) / (self.n_atoms - 1)
        distinct = spacing > 1e-6 * max(abs(self.v_min), abs(self.v_max))
        slow = self.exploration_schedule == "exponential"
        for holds, name, rule in (
            (self.v_min < self.v_max, "v_max", f"greater than v_min ({self.v_min})"),
            (
                distinct or self.head != "c51",
                "v_max",
                f"so far above v_min ({self.v_min}) that {self.n_atoms} atoms differ in float32",
            ),
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
                "> 0, like exploration_initial, with an exponential exploration_schedule",
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
    v_min: Signed
    v_max: Signed
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
    """Hyperparameters, seed, and number type of one deep Q-network.

    Attributes
    ----------
    hyperparameters : DQNHyperparameters
        Hyperparameters of the network and its training.
    seed : int
        Seed of initialization, replay sampling, exploration, and noise, >= 0.
    dtype : {"float32", "float64"}
        Type of weights, activations, moments, and stored states.
    """

    hyperparameters: DQNHyperparameters = field(default_factory=DQNHyperparameters)
    seed: Seed = 0
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
        """Return a typed configuration from a mapping, from None (defaults), or as given.

        Parameters
        ----------
        config : DQNConfig or mapping, optional
            Configuration. A mapping may name a ``"preset"`` (see `models.presets`); its own
            hyperparameters override those of the preset.
        preset, seed, dtype, hyperparameters : optional
            Values that override those of `config`; hyperparameters individually.

        Raises
        ------
        ConfigError
            If a key is unknown (the message names the nearest valid one) or a value invalid.
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
                    f"The hyperparameters parameter of DQN must be a mapping if there is a preset "
                    f"or keywords. Got {beside!r} instead."
                )
            settings = preset_of(given.pop("preset")) if "preset" in given else {}
            given["hyperparameters"] = {**settings, **beside, **own}
        return from_mapping(cls, given, "DQN's config")
