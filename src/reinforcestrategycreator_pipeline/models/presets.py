"""Named sets of hyperparameters.

``rainbow`` has the components of Hessel et al. 2018 (arXiv:1710.02298), with their values in its
table 1. Settings in table 1 made for 200 million frames of Atari keep the defaults here: network,
learning rate, replay size, target update interval, and the support of c51.

The ``zoo_`` presets are those of rl-baselines3-zoo for the DQN of stable-baselines3
(``hyperparams/dqn.yml``), without double DQN, with a Huber loss, and with gradients clipped at a
norm of 10. The ``best_`` presets are this project's, chosen on seeds 100 to 107, for 50,000 steps
of CartPole, 100,000 of Acrobot, and 150,000 of LunarLander; their benchmark keeps the best model of
20 evaluations (`keep_best`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from reinforcestrategycreator_pipeline.errors import ConfigError, nearest

_STABLE_BASELINES = {
    "hidden_layers": [256, 256],
    "double_dqn": False,
    "loss": "huber",
    "max_grad_norm": 10.0,
    "gamma": 0.99,
}
_ZOO_ACROBOT = {
    **_STABLE_BASELINES,
    "learning_rate": 6.3e-4,
    "batch_size": 128,
    "buffer_size": 50_000,
    "learning_starts": 0,
    "target_update_interval": 250,
    "train_frequency": 4,
    "gradient_steps": -1,
    "exploration_fraction": 0.12,
    "exploration_final": 0.1,
}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "rainbow": {
            "double_dqn": True,
            "dueling": True,
            "noisy": True,
            "exploration_initial": 0.0,
            "exploration_final": 0.0,
            "head": "c51",
            "n_atoms": 51,
            "n_step": 3,
            "prioritized_replay": True,
            "priority_alpha": 0.5,
            "priority_beta_initial": 0.4,
            "priority_beta_final": 1.0,
            "adam_epsilon": 1.5e-4,
        },
        "zoo_cartpole": {
            **_STABLE_BASELINES,
            "learning_rate": 2.3e-3,
            "batch_size": 64,
            "buffer_size": 100_000,
            "learning_starts": 1_000,
            # The zoo's interval of 10 counts environment steps, and there are none within a round
            # of training: in effect, the target network is copied once per round.
            "target_update_interval": 128,
            "train_frequency": 256,
            "gradient_steps": 128,
            "exploration_fraction": 0.16,
            "exploration_final": 0.04,
        },
        "zoo_acrobot": _ZOO_ACROBOT,
        "zoo_lunarlander": _ZOO_ACROBOT,
        "best_cartpole": {
            "hidden_layers": [128, 128],
            "learning_rate": 2.3e-3,
            "batch_size": 128,
            "train_frequency": 256,  # every 256 environment steps ...
            "gradient_steps": 128,  # ... 128 training steps, with one fixed target network
            "target_update_interval": 128,
            "exploration_fraction": 0.16,
            "exploration_final": 0.1,
        },
        "best_acrobot": {
            **_ZOO_ACROBOT,
            "double_dqn": True,
            "learning_rate_schedule": "linear",
            "learning_rate_final": 0.0,
        },
        "best_lunarlander": {
            "hidden_layers": [128, 128],
            "learning_rate": 1e-3,
            "learning_rate_schedule": "linear",
            "learning_rate_final": 0.0,
            "batch_size": 32,
            "n_step": 4,
            "loss": "huber",
            "max_grad_norm": 10.0,
            "train_frequency": 4,
            "gradient_steps": 4,
            "target_update_interval": 500,
            "exploration_fraction": 0.4,
            "exploration_final": 0.05,
        },
    }
)


def preset(name: str) -> dict[str, Any]:
    """Return a copy of the hyperparameters of the preset `name`.

    Raises
    ------
    ConfigError
        If there is no preset of that name; the message offers the nearest.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}.{nearest(str(name), PRESETS)}")
    return copy.deepcopy(dict(PRESETS[name]))
