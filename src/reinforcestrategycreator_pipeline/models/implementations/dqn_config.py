"""The deep Q-network's configuration: frozen and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from reinforcestrategycreator_pipeline.checks import (
    Ge,
    Gt,
    Le,
    Len,
    Lt,
    Strict,
    from_mapping,
    require,
)
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.presets import preset
from reinforcestrategycreator_pipeline.nn.components import Component, Specified
from reinforcestrategycreator_pipeline.nn.heads.catalog import HEADS
from reinforcestrategycreator_pipeline.nn.losses import LOSSES
from reinforcestrategycreator_pipeline.nn.schedules import SCHEDULES

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
    learning_rate_schedule: Annotated[Component, Specified(SCHEDULES)] = "constant"
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
    head: Annotated[Component, Specified(HEADS)] = "expected"
    n_atoms: Annotated[int, Ge(2), Le(MAX_ATOMS)] = 51
    v_min: float = -10.0
    v_max: float = 10.0
    loss: Annotated[Component, Specified(LOSSES)] = "squared"
    huber_delta: Positive = 1.0
    max_grad_norm: Positive | None = None
    tau: SomeShare = 1.0
    target_update_interval: Count = 250
    exploration_initial: Share = 1.0
    exploration_final: Share = 0.05
    exploration_fraction: SomeShare = 0.2
    exploration_schedule: Annotated[Component, Specified(SCHEDULES)] = "linear"
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
    def of(cls, config: DQNConfig | Mapping[str, Any] | None) -> DQNConfig:
        """Return the typed config of a mapping, of nothing (defaults), or itself.

        A mapping may name a ``"preset"`` (see `models.presets`), whose hyperparameters its own
        override.

        Raises
        ------
        ConfigError
            For an unknown key (the message names the nearest valid one) or a wrong value.
        """
        if isinstance(config, cls):
            return config
        given: Any = {} if config is None else config
        if isinstance(given, Mapping) and "preset" in given:
            own = given.get("hyperparameters", {})
            if not isinstance(own, Mapping):
                raise ConfigError(
                    f"The hyperparameters parameter of DQN must be a mapping beside a preset. "
                    f"Got {own!r} instead."
                )
            given = {k: v for k, v in given.items() if k != "preset"} | {
                "hyperparameters": {**preset(config["preset"]), **own}  # type: ignore[index]
            }
        return from_mapping(cls, given, "DQN's config")
