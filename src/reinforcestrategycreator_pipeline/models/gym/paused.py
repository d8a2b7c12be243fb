"""A training that may go on: what `learn` leaves behind when it ends, is stopped, or is saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.errors import CheckpointError
from reinforcestrategycreator_pipeline.models.gym.collectors import Episodes


@dataclass
class Progress:
    """State of a training besides its model, replay, and environments.

    Attributes
    ----------
    steps : int
        Environment steps done; set only in a checkpoint, since the collector counts them.
    last_round : int
        Environment step of the last round of training.
    owed : int
        Training steps of that round still to be done.
    evaluations, restarts : list
        As in `LearningResult`.
    evaluated_at : int
        Environment step of the last evaluation.
    environments : list of dict
        Header of each environment's snapshot; set only in a checkpoint.
    """

    steps: int = 0
    last_round: int = 0
    owed: int = 0
    evaluations: list[tuple[int, float]] = field(default_factory=list)
    evaluated_at: int = 0
    restarts: list[int] = field(default_factory=list)
    environments: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.evaluations = [(step, value) for step, value in self.evaluations]


@dataclass
class PausedTraining:
    """A training without its environment, as it is saved with a model.

    Attributes
    ----------
    progress : Progress
        Its progress, with the steps done.
    episodes : Episodes
        Its finished episodes.
    total_steps : int
        Environment steps at which it was to end.
    """

    progress: Progress
    episodes: Episodes
    total_steps: int

    @property
    def steps(self) -> int:
        """Environment steps done."""
        return self.progress.steps

    def paused(self) -> PausedTraining:
        """Return a copy."""
        return PausedTraining(
            replace(self.progress, evaluations=list(self.progress.evaluations)),
            Episodes(**{name: list(values) for name, values in vars(self.episodes).items()}),
            self.total_steps,
        )

    def tensors(self) -> dict[str, Array]:
        """Return the episodes as arrays."""
        kinds = {"returns": np.float64, "lengths": np.int64, "ended_at": np.int64}
        columns = vars(self.episodes)
        return {name: np.array(columns[name], dtype=kind) for name, kind in kinds.items()}

    def header(self) -> dict[str, Any]:
        """Return the rest, JSON-serializable."""
        return {"progress": asdict(self.progress), "total_steps": self.total_steps}

    @classmethod
    def of(cls, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> Self:
        """Return a training from its `tensors` and `header`.

        Raises
        ------
        CheckpointError
            If they do not belong to one.
        """
        try:
            episodes = Episodes(**{name: column.tolist() for name, column in tensors.items()})
            found = cls(Progress(**header["progress"]), episodes, header["total_steps"])
            forms = {name: (a.shape, a.dtype) for name, a in found.tensors().items()}
            given = {name: (a.shape, a.dtype) for name, a in tensors.items()}
            if given != forms or len({shape for shape, _ in forms.values()}) > 1:
                raise ValueError("its episodes need a return, a length and an end each")
            counts = (found.total_steps, found.steps, found.progress.last_round)
            if not all(type(n) is int and n >= 0 for n in (*counts, found.progress.owed)):
                raise ValueError("a number of steps is not an integer >= 0")
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the saved training does not fit: {error}") from error
        return found
