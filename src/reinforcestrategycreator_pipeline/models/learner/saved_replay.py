"""The replay of a deep Q-network, saved and loaded in the file of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.checks import require
from reinforcestrategycreator_pipeline.errors import CheckpointError, NonFiniteError
from reinforcestrategycreator_pipeline.replay.ring import RingReplay
from reinforcestrategycreator_pipeline.replay.store import part
from reinforcestrategycreator_pipeline.seeding import generator_state, restore_generator

PREFIX = "replay."


def replay_state(
    replay: Any, own: RingReplay, rng: np.random.Generator
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return tensors and header of a replay.

    Parameters
    ----------
    replay : RingReplay
        Replay of the model.
    own : RingReplay
        Empty replay that the model makes by itself: what a loaded model will have.
    rng : numpy.random.Generator
        Generator whose state is saved with the model.

    Returns
    -------
    tensors : dict of str to ndarray
        The content, under names that begin with `PREFIX`; views, not copies.
    header : dict
        JSON-serializable: number of rows, and the state of a generator of its own.

    Raises
    ------
    ConfigError
        If the replay is not like `own`.
    NonFiniteError
        If a stored number is not finite.
    """
    rule = "false for a replay that was passed to build: save its arrays() by yourself"
    require(_form(replay) == _form(own), "DQN.save", "replay", rule, True)
    tensors = {f"{PREFIX}{name}": array for name, array in replay.arrays().items()}
    require_finite_tensors(tensors, "the replay was not saved")
    state = None if replay.rng is rng else generator_state(replay.rng)
    return tensors, {"rows": len(replay), "generator": state}


def restore_replay(
    replay: RingReplay, tensors: Mapping[str, Array], header: Mapping[str, Any]
) -> None:
    """Restore the state returned by `replay_state`, bit for bit.

    Raises
    ------
    CheckpointError
        If the content is not that of a replay of this model.
    ConfigError
        If it has another form.
    """
    arrays = part(tensors, PREFIX)
    replay.restore(arrays)
    extra = sorted(set(arrays) - set(replay.arrays()))
    if extra or len(replay) != header["rows"]:
        raise CheckpointError(
            f"the saved replay must have {header['rows']} transitions and nothing else. "
            f"Got {len(replay)}{' and ' if extra else ''}{', '.join(extra)} instead."
        )
    require_finite_tensors(arrays, "the saved replay")
    actions, known = arrays["a_tm1"], replay.n_actions
    if known is not None and actions.size and not 0 <= actions.min() <= actions.max() < known:
        raise CheckpointError(f"the saved replay has actions that are not from 0 to {known - 1}")
    if header["generator"] is not None:
        restore_generator(replay.rng, header["generator"])


def require_finite_tensors(tensors: Mapping[str, Array], where: str) -> None:
    """Raise `NonFiniteError`, beginning with `where`, for the first that is not finite."""
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise NonFiniteError(f"{where}: NaN or infinity in {name}")


def _form(replay: Any) -> Any:
    if type(replay) is not RingReplay:
        return type(replay)
    columns = {name: (c.shape, c.dtype) for name, c in replay.columns.items() if name != "mask_t"}
    numbers = (replay.capacity, replay.n_actions, replay.n_step, replay.gamma)
    sampler = replay.sampler
    settings = [getattr(sampler, name, None) for name in ("alpha", "epsilon")]
    return columns, numbers, type(sampler), settings
