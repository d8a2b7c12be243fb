"""What a deep Q-network must remember, to go on as if it had never stopped."""

from __future__ import annotations

import dataclasses
import platform
from typing import TYPE_CHECKING, Any

import numpy as np

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.errors import CheckpointError
from reinforcestrategycreator_pipeline.nn.network import Array
from reinforcestrategycreator_pipeline.seeding import generator_state, restore_generator

if TYPE_CHECKING:
    from pathlib import Path

    from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN

FORMAT = "dqn/2"
_NORMALIZER = "normalizer."


def state_of(dqn: DQN) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the tensors and the JSON-ready header; see `DQN.state`."""
    tensors = dqn._networks.tensors()
    if dqn.normalizer is not None:
        found = dqn.normalizer.state().items()
        tensors.update({f"{_NORMALIZER}{name}": array for name, array in found})
    header = {
        "format": FORMAT,
        "config": dataclasses.asdict(dqn.config),
        "adam": [dqn.learning_rate, dqn.beta1, dqn.beta2, dqn.epsilon],
        "input_shape": list(dqn.input_shape),
        "n_actions": dqn.n_actions,
        "t": dqn._networks.t,
        "schedules": [dqn.progress, dqn.exploration_rate, dqn.learning_rate_scale],
        "guard": [dqn._guard.largest_reward, dqn._guard.first_q],
        "generators": {name: generator_state(rng) for name, rng in dqn._generators.items()},
        "versions": {
            "project": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    return tensors, header


def restore_state(dqn: DQN, tensors: dict[str, Array], header: dict[str, Any]) -> None:
    """Set everything that `state_of` returned; see `DQN.restore`."""
    dqn._networks.restore(tensors)
    if dqn.normalizer is not None:
        found = {
            name.removeprefix(_NORMALIZER): array
            for name, array in tensors.items()
            if name.startswith(_NORMALIZER)
        }
        dqn.normalizer.restore(found)
    dqn._networks.t = int(header["t"])
    dqn.learning_rate, dqn.beta1, dqn.beta2, dqn.epsilon = header["adam"]
    progress, exploration_rate, scale = header["schedules"]
    dqn.set_progress(progress)  # the replay's beta, too
    dqn.exploration_rate, dqn.learning_rate_scale = exploration_rate, scale
    dqn._guard.largest_reward, dqn._guard.first_q = header["guard"]
    for name, rng in dqn._generators.items():
        restore_generator(rng, header["generators"][name])


def save_state(dqn: DQN, path: str | Path) -> str:
    """Write what `state_of` returns; see `DQN.save`."""
    from reinforcestrategycreator_pipeline.storage.tensor_files import write_tensors

    return write_tensors(path, *state_of(dqn))


def load_state(kind: type[DQN], path: str | Path) -> DQN:
    """Read a file that `DQN.save` wrote; see `DQN.load`."""
    # Here, so that importing the learner costs little more than importing NumPy.
    from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors

    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a saved DQN (format {header.get('format')!r})")
    try:
        dqn = kind(header["config"])
        dqn.build(tuple(header["input_shape"]), (header["n_actions"],))
        dqn.restore(tensors, header)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its header does not fit this version: {error}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return dqn
