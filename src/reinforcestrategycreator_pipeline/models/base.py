"""What the pipeline needs of a model, and the registry of models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.registry import Registry
from reinforcestrategycreator_pipeline.replay.batch import Replay

M = TypeVar("M", bound="Model")


class LearningSettings(Protocol):
    """The hyperparameters that a training loop reads."""

    @property
    def buffer_size(self) -> int:
        """Transitions that the replay keeps."""

    @property
    def learning_starts(self) -> int:
        """Transitions stored before the first training step."""

    @property
    def batch_size(self) -> int:
        """Transitions a training step."""

    @property
    def train_frequency(self) -> int:
        """Environment steps between two rounds of training."""

    @property
    def gradient_steps(self) -> int:
        """Training steps a round."""

    @property
    def log_interval(self) -> int:
        """Training steps between two rows of diagnostics."""


class Model(Protocol):
    """A learner of action values from vector states and discrete actions."""

    exploration_rate: float
    diagnostics: dict[str, float]

    @property
    def hyperparameters(self) -> LearningSettings:
        """What the training loop must know."""

    def exploration_at(self, progress: float) -> float:
        """Return the exploration rate at a progress from 0 to 1."""

    def build(
        self,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        replay: Replay | None = None,
    ) -> None:
        """Make the networks."""

    def predict(self, states: NDArray[Any]) -> NDArray[Any]:
        """Return the action values of one state or a batch."""

    def train_step(self) -> float:
        """Learn from one batch of the replay and return its loss."""

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return everything that learning depends on: tensors, and a JSON-ready header."""

    def restore(self, tensors: dict[str, NDArray[Any]], header: dict[str, Any]) -> None:
        """Set everything that `state` returned."""

    def policy_weights(self) -> Mapping[str, NDArray[Any]]:
        """Return ``W0, b0, ...`` of the ReLU network whose largest output is the greedy action."""

    def save(self, path: Path) -> str:
        """Write the model, and return the SHA-256 of its content."""

    @classmethod
    def load(cls: type[M], path: Path) -> M:
        """Read what `save` wrote."""


_METHODS = "build predict train_step exploration_at state restore policy_weights save load"

MODELS: Registry[type[Model]] = Registry("model", _METHODS.split())
