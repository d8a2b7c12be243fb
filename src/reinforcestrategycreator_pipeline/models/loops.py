"""What the loop on a market and the loop on a Gymnasium task share.

When training steps are due, the model as it was at its best, and checkpoints of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.errors import CheckpointError, shorten
from reinforcestrategycreator_pipeline.models.base import LearningSettings, Model
from reinforcestrategycreator_pipeline.replay.store import RingStore, part
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore

Tensors = Mapping[str, Array]
Part = Callable[[str], dict[str, Array]]

FORMAT = "training/2"


def stored_before_training(settings: LearningSettings) -> int:
    """Return the transitions that a replay must hold before the first training step."""
    # A ring that is smaller than `learning_starts` never holds so many.
    return min(max(settings.learning_starts, settings.batch_size), settings.buffer_size)


def training_steps(settings: LearningSettings, rounds: int, environment_steps: int) -> int:
    """Return the training steps that so many rounds of environment steps make due."""
    steps = settings.gradient_steps
    return environment_steps if steps == -1 else rounds * steps


@dataclass
class Best:
    """The best look at a model, and the model as it was then.

    Attributes
    ----------
    value, step : float, int or None
        Of the best look; the first of equals.
    tensors, header
        What `Model.state` returned; None: it was not kept.
    """

    value: float = -math.inf
    step: int | None = None
    tensors: dict[str, Array] = field(default_factory=dict)
    header: dict[str, Any] | None = None

    def look(self, value: float, step: int, model: Model | None) -> bool:
        """Tell whether a look is the best so far; if so, keep it and the model, if given."""
        if not value > self.value:
            return False
        self.value, self.step = value, step
        if model is not None:
            tensors, self.header = model.state()
            self.tensors = {name: array.copy() for name, array in tensors.items()}
        return True

    def put_into(self, model: Model) -> None:
        """Leave the model as it was at the best look, if that was kept."""
        if self.header is not None:
            model.restore(self.tensors, self.header)


class Checkpoints:
    """Checkpoints of one training: model, best model, replay, and what else its loop remembers.

    `identity`, JSON-ready, is what a checkpoint must have been made from, to be continued here.
    """

    def __init__(
        self,
        store: CheckpointStore,
        model: Model,
        replay: RingStore,
        identity: Mapping[str, Any],
    ) -> None:
        self.store, self.model, self.replay, self.identity = store, model, replay, identity

    def save(self, step: int, best: Best, progress: object, parts: Mapping[str, Tensors]) -> None:
        """Write a checkpoint.

        Parameters
        ----------
        step : int
            Its number.
        best : Best
            The best look so far.
        progress : dataclass instance
            What else the future depends on, JSON-ready.
        parts : mapping of str to mapping of str to ndarray
            Tensors beside the model's and the replay's, by a name for `resume`.
        """
        tensors, header = self.model.state()
        parts = {"model": tensors, "best": best.tensors, "replay": self.replay.arrays(), **parts}
        self.store.save(
            step,
            {f"{prefix}.{k}": v for prefix, found in parts.items() for k, v in found.items()},
            {
                "format": FORMAT,
                "identity": self.identity,
                "model": header,
                "best": None if best.step is None else [best.value, best.step, best.header],
                "progress": vars(progress),
            },
        )

    def resume(self, best: Best) -> tuple[dict[str, Any] | None, Part, list[str]]:
        """Restore model, replay and `best` from the newest sound checkpoint, if there is one.

        Returns
        -------
        progress : dict or None
            The fields of what `save` was given; None: there is no checkpoint.
        part : callable
            Returns what `save` was given as parts, by its name.
        skipped : list of str
            A sentence for each checkpoint that is damaged.

        Raises
        ------
        CheckpointError
            If no checkpoint is sound, or they belong to another training.
        """
        found, skipped = self.store.load_newest()
        if found is None:
            return None, lambda _: {}, skipped
        tensors, header = found
        folder = self.store.folder
        if header.get("format") != FORMAT:
            raise CheckpointError(
                f"{folder}: its checkpoints are of another version of this project and cannot be "
                f"continued (format {header.get('format')!r}, not {FORMAT!r})"
            )
        if header["identity"] != self.identity:
            raise CheckpointError(
                f"{folder}: its checkpoints are of another training and cannot be continued: "
                f"{_differences(header['identity'], self.identity)}"
            )
        self.model.restore(part(tensors, "model."), header["model"])
        self.replay.restore(part(tensors, "replay."))
        if header["best"] is not None:
            best.value, best.step, best.header = header["best"]
            best.tensors = part(tensors, "best.")
        return header["progress"], lambda name: part(tensors, f"{name}."), skipped


def _differences(saved: Any, own: Any) -> str:
    """Name what two nested mappings differ in, three at most."""
    found: list[str] = []

    def compare(a: Any, b: Any, path: str) -> None:
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            for key in [*b, *(k for k in a if k not in b)]:
                compare(a.get(key), b.get(key), f"{path}.{key}" if path else str(key))
        elif a != b:
            found.append(f"{path} was {shorten(repr(a), 100)}, not {shorten(repr(b), 100)}")

    compare(saved, own, "")
    return "; ".join(found[:3])
