"""Shared parts of the training loops on a market and on a Gymnasium environment.

They count the training steps that are due, keep the best model, and write checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.errors import CheckpointError, shorten
from reinforcestrategycreator_pipeline.models.base import LearningSettings, Model
from reinforcestrategycreator_pipeline.models.learner.saved_replay import require_finite_tensors
from reinforcestrategycreator_pipeline.replay.store import RingStore, part
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore

Tensors = Mapping[str, Array]
Part = Callable[[str], dict[str, Array]]

FORMAT = "training/2"


def stored_before_training(settings: LearningSettings) -> int:
    """Return the number of transitions that a replay must hold before the first training step."""
    # A replay smaller than `learning_starts` never holds that many.
    return min(max(settings.learning_starts, settings.batch_size), settings.buffer_size)


def training_steps(settings: LearningSettings, rounds: int, environment_steps: int) -> int:
    """Return the number of training steps due after `rounds` rounds of environment steps."""
    steps = settings.gradient_steps
    return environment_steps if steps == -1 else rounds * steps


@dataclass
class Best:
    """The best evaluation of a model, and the state of the model at that time.

    Attributes
    ----------
    value, step : float, int or None
        Value and step of the best evaluation; the earliest wins ties.
    tensors : dict of str to ndarray
        Tensors of `Model.state`; empty if the model was not kept.
    header : dict or None
        Header of `Model.state`; None if the model was not kept.
    """

    value: float = -math.inf
    step: int | None = None
    tensors: dict[str, Array] = field(default_factory=dict)
    header: dict[str, Any] | None = None

    def look(self, value: float, step: int, model: Model | None) -> bool:
        """Record an evaluation, and keep `model` if given; tell whether it is the best so far."""
        if not value > self.value:
            return False
        self.value, self.step = value, step
        if model is not None:
            tensors, self.header = model.state()
            self.tensors = {name: array.copy() for name, array in tensors.items()}
        return True

    def put_into(self, model: Model) -> None:
        """Restore the best state into `model`, if one was kept."""
        if self.header is not None:
            model.restore(self.tensors, self.header)


class Checkpoints:
    """Checkpoints of one training: model, best model, replay, and the state of the loop.

    Parameters
    ----------
    store : CheckpointStore
        Store that reads and writes them.
    model : Model
        Model whose state is saved and restored.
    replay : RingStore
        Replay whose content is saved and restored.
    identity : mapping of str to object
        JSON-serializable description of the training; only checkpoints with an equal one can be
        resumed.
    grows : str, optional
        Key of a number in `identity` that may be larger than in the checkpoint.
    """

    def __init__(
        self,
        store: CheckpointStore,
        model: Model,
        replay: RingStore,
        identity: Mapping[str, Any],
        grows: str | None = None,
    ) -> None:
        self.store, self.model, self.replay, self.identity = store, model, replay, identity
        self._grows = grows

    def save(self, step: int, best: Best, progress: object, parts: Mapping[str, Tensors]) -> None:
        """Write a checkpoint.

        Parameters
        ----------
        step : int
            Step at which it is written.
        best : Best
            Best evaluation so far.
        progress : dataclass instance
            JSON-serializable state of the loop.
        parts : mapping of str to mapping of str to ndarray
            Further tensors, beside those of model and replay, under a name for `resume`.

        Raises
        ------
        NonFiniteError
            If a number of model or replay is not finite: training could not go on from there. The
            previous checkpoints are kept.
        """
        tensors, header = self.model.state()
        own = {"model": tensors, "best": best.tensors, "replay": self.replay.arrays()}
        where = f"{self.store.folder}: the checkpoint of step {step} was not written"
        require_finite_tensors(joined(own), where)
        parts = {**own, **parts}
        self.store.save(
            step,
            joined(parts),
            {
                "format": FORMAT,
                "identity": self.identity,
                "model": header,
                "best": None if best.step is None else [best.value, best.step, best.header],
                "progress": vars(progress),
            },
        )

    def resume(self, best: Best) -> tuple[dict[str, Any] | None, Part, list[str]]:
        """Restore model, replay, and `best` from the newest valid checkpoint, if there is one.

        Returns
        -------
        progress : dict or None
            Fields of the `progress` passed to `save`; None if there is no checkpoint.
        part : callable
            Returns one of the `parts` passed to `save`, by name.
        skipped : list of str
            One sentence for each damaged checkpoint.

        Raises
        ------
        CheckpointError
            If there are checkpoints and none is valid, or they belong to another training.
        """
        found, skipped = self.store.load_newest()
        if found is None:
            return None, lambda _: {}, skipped
        tensors, header = found
        require_same(self.store.folder, header, FORMAT, self.identity, self._grows)
        self.model.restore(part(tensors, "model."), header["model"])
        self.replay.restore(part(tensors, "replay."))
        if header["best"] is not None:
            best.value, best.step, best.header = header["best"]
            best.tensors = part(tensors, "best.")
        return header["progress"], lambda name: part(tensors, f"{name}."), skipped


def require_same(
    folder: Path,
    header: Mapping[str, Any],
    version: str,
    identity: Mapping[str, Any],
    grows: str | None = None,
) -> None:
    """Require that a checkpoint has the format `version` and belongs to the training `identity`.

    Parameters
    ----------
    folder : Path
        Folder of the checkpoint, for the message.
    header : mapping
        Header of the checkpoint, with ``format`` and ``identity``.
    version, identity : str, mapping
        Format and identity of the training at hand.
    grows : str, optional
        Key of a number that may be larger than in the checkpoint.

    Raises
    ------
    CheckpointError
        If either differs; the message names the difference.
    """
    if header.get("format") != version:
        raise CheckpointError(
            f"{folder}: cannot resume: the checkpoints are of another version of this project "
            f"(format {header.get('format')!r}, not {version!r})"
        )
    saved = dict(header["identity"])
    if grows is not None and grows in saved:
        saved[grows] = max(saved[grows], identity[grows])
    if saved != identity:
        raise CheckpointError(
            f"{folder}: cannot resume: the checkpoints belong to another training: "
            f"{_differences(saved, identity)}"
        )


def joined(parts: Mapping[str, Tensors]) -> dict[str, Array]:
    """Return the tensors of all parts under the names ``part.tensor``."""
    return {f"{prefix}.{k}": v for prefix, found in parts.items() for k, v in found.items()}


def _differences(saved: Any, own: Any) -> str:
    """Describe up to three differences between two nested mappings."""
    found: list[str] = []

    def compare(a: Any, b: Any, path: str) -> None:
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            for key in [*b, *(k for k in a if k not in b)]:
                compare(a.get(key), b.get(key), f"{path}.{key}" if path else str(key))
        elif a != b:
            found.append(f"{path} was {shorten(repr(a), 100)}, not {shorten(repr(b), 100)}")

    compare(saved, own, "")
    return "; ".join(found[:3])
