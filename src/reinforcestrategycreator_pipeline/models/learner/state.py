"""The header of a saved deep Q-network: its training state besides the tensors."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.errors import CheckpointError, ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn_config import DQNConfig
from reinforcestrategycreator_pipeline.nn.components import Unavailable, name_of, reference
from reinforcestrategycreator_pipeline.nn.heads.base import HEADS
from reinforcestrategycreator_pipeline.nn.losses import LOSSES
from reinforcestrategycreator_pipeline.nn.schedules import SCHEDULES
from reinforcestrategycreator_pipeline.registry import Registry
from reinforcestrategycreator_pipeline.trust import require_imported

FORMAT = "dqn/2"
COMPONENTS: dict[str, Registry[Any]] = {
    "head": HEADS,
    "loss": LOSSES,
    "exploration_schedule": SCHEDULES,
    "learning_rate_schedule": SCHEDULES,
}
"""Hyperparameters that may be user code, and their registries."""


def _versions() -> dict[str, str]:
    python = platform.python_version()
    return {"project": __version__, "numpy": np.__version__, "python": python}


@dataclass(frozen=True)
class SavedDQN:
    """Header of a saved DQN, JSON-serializable.

    Attributes
    ----------
    config : dict
        Hyperparameters, seed, and dtype, as accepted by `DQN`.
    input_shape, n_actions : list of int, int
        Shape of a state and number of actions, from `DQN.build`.
    adam : list of float
        Learning rate, beta1, beta2, and epsilon.
    schedules : list of float
        Progress, exploration rate, and learning rate scale.
    t, guard, generators : int, list, dict
        State returned by `Learner.record`.
    versions : dict of str to str
        Versions of this package, NumPy, and Python that wrote the file.
    masked : bool
        Whether it learned with action masks.
    format : str
        Version of the format.
    """

    config: Mapping[str, Any]
    input_shape: Any
    n_actions: Any
    adam: Any
    schedules: Any
    t: int
    guard: Any
    generators: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=_versions)
    masked: bool = False
    format: str = FORMAT


def config_record(config: DQNConfig, strict: bool = False) -> dict[str, Any]:
    """Return a configuration as JSON-serializable values.

    Parameters
    ----------
    config : DQNConfig
        The configuration. Objects given as loss, head, or schedule are replaced by their names.
    strict : bool
        Whether an object that cannot be imported by its name is an error; otherwise it becomes
        None.

    Raises
    ------
    ConfigError
        If `strict`, and an object cannot be imported by its name.
    """
    hyperparameters = dict(vars(config.hyperparameters))
    for key, registry in COMPONENTS.items():
        try:
            hyperparameters[key] = reference(registry, hyperparameters[key])
        except ConfigError:
            if strict:
                raise
            hyperparameters[key] = None
    return {**vars(config), "hyperparameters": hyperparameters}


def loadable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a saved configuration, with `Unavailable` for schedules that are not imported.

    No module is imported: the file may come from someone else.

    Raises
    ------
    CheckpointError
        If the head or the loss is not part of this package, nor imported.
    """
    hyperparameters = dict(config["hyperparameters"])
    for key, registry in COMPONENTS.items():
        try:
            if key in hyperparameters:
                require_imported(name_of(registry, hyperparameters[key]))
                registry.build(hyperparameters[key])
        except ConfigError as error:
            if key in ("head", "loss"):
                raise CheckpointError(f"the saved DQN needs its {key}: {error}") from error
            reason = f"training cannot continue without the {key}: {error}"
            hyperparameters[key] = Unavailable(hyperparameters[key], reason)
    return {**config, "hyperparameters": hyperparameters}
