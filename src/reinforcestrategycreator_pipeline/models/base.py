"""The interface of models, and their registry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from reinforcestrategycreator_pipeline.arrays import Array, Ints
from reinforcestrategycreator_pipeline.registry import Registry
from reinforcestrategycreator_pipeline.replay.batch import Replay

if TYPE_CHECKING:
    from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork


class LearningSettings(Protocol):
    """Hyperparameters that a training loop reads."""

    @property
    def buffer_size(self) -> int:
        """Capacity of the replay, in transitions."""
        ...

    @property
    def learning_starts(self) -> int:
        """Number of transitions stored before the first training step."""
        ...

    @property
    def batch_size(self) -> int:
        """Transitions per training step."""
        ...

    @property
    def train_frequency(self) -> int:
        """Environment steps between two rounds of training."""
        ...

    @property
    def gradient_steps(self) -> int:
        """Training steps per round; -1 for as many as environment steps."""
        ...

    @property
    def log_interval(self) -> int:
        """Training steps between two rows of diagnostics."""
        ...


class Model(Protocol):
    """A learner of action values from vector states and discrete actions."""

    exploration_rate: float

    @property
    def diagnostics(self) -> Mapping[str, float]:
        """Diagnostics of the latest logged training step; each is a column of the history."""
        ...

    @property
    def squared_error(self) -> bool:
        """Whether the loss is the unweighted mean of squared errors of the action values."""
        ...

    @property
    def hyperparameters(self) -> LearningSettings:
        """Hyperparameters for the training loop."""
        ...

    def set_progress(self, progress: float) -> None:
        """Set `exploration_rate` and all other scheduled values, for a progress from 0 to 1."""

    def build(
        self,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        replay: Replay | None = None,
    ) -> None:
        """Create the networks; may set the sampler of a given replay."""

    def predict(self, states: Array) -> Array:
        """Return the action values of one state or a batch."""
        ...

    def observe(self, states: Array) -> None:
        """Update the running normalization, if any, with states (E, n_inputs)."""

    def select_actions(self, states: Array, exploration_rate: float = 0.0) -> Ints:
        """Return an action for each state (E, n_inputs), random with the given probability."""
        ...

    def train_step(self) -> float:
        """Learn from one batch of the replay and return its loss."""
        ...

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the complete training state: tensors, and a JSON-serializable header."""
        ...

    def restore(self, tensors: dict[str, Array], header: dict[str, Any]) -> None:
        """Restore a state returned by `state`."""

    def policy_network(self) -> PolicyNetwork:
        """Return a frozen copy of the network whose largest value is the greedy action."""
        ...

    def save(self, path: Path) -> str:
        """Write the model to a file, and return the SHA-256 of its content."""
        ...

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a model written by `save`."""
        ...


_METHODS = (
    "build predict set_progress observe select_actions train_step "
    "state restore policy_network save load"
)

MODELS: Registry[type[Model]] = Registry("model", _METHODS.split())
