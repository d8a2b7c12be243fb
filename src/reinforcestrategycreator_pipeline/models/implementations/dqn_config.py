"""The deep Q-network's configuration: frozen, checked, NumPy-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from reinforcestrategycreator_pipeline.checks import (
    from_mapping,
    is_int,
    require,
    require_bool,
    require_choice,
    require_int,
    require_number,
)

# Beyond these, Adam's update of finite gradients may itself not be finite in float32.
MAX_LEARNING_RATE = 1e30
MIN_EPSILON = 1e-12
MAX_UNITS = 1_000_000


@dataclass(frozen=True)
class DQNHyperparameters:
    """What the deep Q-network learns with.

    Attributes
    ----------
    hidden_layers : tuple of int
        Units of each hidden layer, one or more layers.
    learning_rate, adam_beta1, adam_beta2, adam_epsilon : float
        Adam's parameters.
    gamma : float
        Discount a step, in [0, 1].
    batch_size : int
        Transitions (or bars, in the market) a training step.
    buffer_size : int
        Transitions that the replay keeps.
    double_dqn : bool
        The online network chooses the next action, the target network values it
        (van Hasselt et al. 2016, arXiv:1509.06461); else the target network does both.
    target_update_interval : int
        Training steps between two copies of the online to the target network.
    exploration_initial, exploration_final : float
        Probability of a random action at the start and at the end of the schedule.
    exploration_fraction : float
        Share of training over which the probability falls linearly, in (0, 1].
    learning_starts : int
        Transitions stored before the first training step.
    train_frequency, gradient_steps : int
        Every `train_frequency` environment steps, `gradient_steps` training steps.
    log_interval : int
        Training steps between two rows of diagnostics; 0 switches them off.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    hidden_layers: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    gamma: float = 0.99
    batch_size: int = 32
    buffer_size: int = 100_000
    double_dqn: bool = True
    target_update_interval: int = 250
    exploration_initial: float = 1.0
    exploration_final: float = 0.05
    exploration_fraction: float = 0.2
    learning_starts: int = 1_000
    train_frequency: int = 4
    gradient_steps: int = 1
    log_interval: int = 100

    def __post_init__(self) -> None:
        owner = "DQN"
        layers = self.hidden_layers
        require(
            isinstance(layers, tuple)
            and len(layers) > 0
            and all(is_int(n) and 0 < n <= MAX_UNITS for n in layers),
            owner,
            "hidden_layers",
            f"a list of one or more integers from 1 to {MAX_UNITS}",
            list(layers) if isinstance(layers, tuple) else layers,
        )
        rate = self.learning_rate
        require_number(owner, "learning_rate", rate, above=0, high=MAX_LEARNING_RATE)
        require_number(owner, "adam_beta1", self.adam_beta1, low=0, below=1)
        require_number(owner, "adam_beta2", self.adam_beta2, low=0, below=1)
        require_number(owner, "adam_epsilon", self.adam_epsilon, low=MIN_EPSILON)
        require_number(owner, "gamma", self.gamma, low=0, high=1)
        require_bool(owner, "double_dqn", self.double_dqn)
        for name in ("exploration_initial", "exploration_final"):
            require_number(owner, name, getattr(self, name), low=0, high=1)
        require_number(owner, "exploration_fraction", self.exploration_fraction, above=0, high=1)
        for name in (
            "batch_size",
            "buffer_size",
            "target_update_interval",
            "learning_starts",
            "train_frequency",
            "gradient_steps",
        ):
            require_int(owner, name, getattr(self, name), 1)
        require_int(owner, "log_interval", self.log_interval, 0)
        require(
            self.batch_size <= self.buffer_size,
            owner,
            "buffer_size",
            f"at least batch_size ({self.batch_size})",
            self.buffer_size,
        )


@dataclass(frozen=True)
class DQNConfig:
    """Hyperparameters, seed and number format of one deep Q-network.

    Attributes
    ----------
    hyperparameters : DQNHyperparameters
        See there.
    seed : int
        Of initialisation, replay sampling and exploration.
    dtype : {"float32", "float64"}
        Of weights, activations, moments and stored states.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    hyperparameters: DQNHyperparameters = field(default_factory=DQNHyperparameters)
    seed: int = 0
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        require(
            isinstance(self.hyperparameters, DQNHyperparameters),
            "DQN",
            "hyperparameters",
            "a mapping of names to values",
            self.hyperparameters,
        )
        require_int("DQN", "seed", self.seed, 0)
        require_choice("DQN", "dtype", self.dtype, ("float32", "float64"))

    @classmethod
    def of(cls, config: DQNConfig | Mapping[str, Any] | None) -> DQNConfig:
        """Return the typed config of a mapping, of nothing (defaults), or itself.

        Raises
        ------
        ConfigError
            For an unknown key (the message names the nearest valid one) or a wrong value.
        """
        if isinstance(config, cls):
            return config
        given: Any = {} if config is None else config
        if isinstance(given, Mapping) and isinstance(given.get("hyperparameters"), Mapping):
            owner = "DQN's hyperparameters"
            inner = from_mapping(DQNHyperparameters, given["hyperparameters"], owner)
            given = {**given, "hyperparameters": inner}
        return from_mapping(cls, given, "DQN's config")
