"""K deep Q-networks trained together, with stacked matrix products.

Networks for trading are so small that calls take more of a training step than arithmetic. A
population makes each call once: the weights of all agents are rows of one buffer, and every
operation of a step runs over a leading axis of agents. NumPy multiplies stacked matrices with the
routine for a single matrix, and everything else is elementwise, so every agent is bit-identical to
one trained alone. The training step in `models.learner.learner` serves one agent or K.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.errors import (
    ConfigError,
    DivergenceError,
    NonFiniteError,
)
from reinforcestrategycreator_pipeline.memory import require_memory
from reinforcestrategycreator_pipeline.models.copies import DeepCopiesOnly
from reinforcestrategycreator_pipeline.models.gym.collectors import Environment, task_of
from reinforcestrategycreator_pipeline.models.gym.loop import LearningResult
from reinforcestrategycreator_pipeline.models.gym.masks import ActionMasking
from reinforcestrategycreator_pipeline.models.gym.together import learn_together
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN, DQNConfig
from reinforcestrategycreator_pipeline.models.learner.guards import warn
from reinforcestrategycreator_pipeline.models.learner.learner import AgentAlarm, TrainingGroup
from reinforcestrategycreator_pipeline.models.learner.networks import buffers_for
from reinforcestrategycreator_pipeline.models.learner.size import (
    replay_bytes,
    require_network_memory,
)
from reinforcestrategycreator_pipeline.models.learner.training_step import TrainingStep
from reinforcestrategycreator_pipeline.nn.adam import BLOCK, adam_step_of_agents
from reinforcestrategycreator_pipeline.nn.network import Views
from reinforcestrategycreator_pipeline.replay.batch import Batch, Replay
from reinforcestrategycreator_pipeline.replay.stacked import StackedRings, require_same_masks

SAME = (
    "hidden_layers",
    "batch_size",
    "n_step",
    "prioritized_replay",
    "double_dqn",
    "dueling",
    "layer_norm",
    "noisy",
    "head",
    "n_atoms",
    "v_min",
    "v_max",
    "loss",
    "huber_delta",
    "normalize_observations",
)
"""Hyperparameters that must be equal in all agents of a population: they shape the computation."""

SAME_LOOP = ("learning_starts", "train_frequency", "gradient_steps")
"""Hyperparameters that must also be equal for `Population.learn`."""


class Population(DeepCopiesOnly):
    """Agents that are trained in lockstep.

    Parameters
    ----------
    configs : sequence of mapping or DQNConfig
        One configuration per agent. The hyperparameters in `SAME` and the dtype must be equal;
        seed, learning rate, gamma, exploration, and others may differ.

    Attributes
    ----------
    agents : list of DQN
        The agents. Each is complete and can also predict, train, save, and load on its own.
    stopped : dict of int to NonFiniteError or DivergenceError
        Agents that are no longer trained, by index, and why; see `train_step`.

    Raises
    ------
    ConfigError
        If there is no configuration, one is invalid, or two are incompatible.

    Examples
    --------
    >>> population = Population([{"seed": seed} for seed in range(16)])
    >>> population.build((4,), (2,))
    >>> len(population.agents)
    16
    """

    _instead = "save(path, replay=True) and load(path) of each of its agents"

    def __init__(self, configs: Sequence[Mapping[str, Any] | DQNConfig]) -> None:
        if not configs:
            raise ConfigError("a population needs at least one config. Got none.")
        self.agents = [DQN(config) for config in configs]
        self.stopped: dict[int, NonFiniteError | DivergenceError] = {}
        self._require_same(SAME)
        dtypes = {agent.dtype for agent in self.agents}
        if len(dtypes) > 1:
            raise ConfigError(
                f"the agents of a population must have the same dtype. "
                f"Got {', '.join(sorted(map(str, dtypes)))}."
            )

    def _require_same(self, names: Sequence[str]) -> None:
        for name in names:
            values = [getattr(agent.hyperparameters, name) for agent in self.agents]
            for k, value in enumerate(values):
                if value != values[0]:
                    raise ConfigError(
                        f"the agents of a population must have the same {name}. "
                        f"Got {values[0]!r} in agent 0 and {value!r} in agent {k}."
                    )

    def __len__(self) -> int:
        return len(self.agents)

    def __repr__(self) -> str:
        return f"Population({len(self)} x {self.agents[0]!r})"

    def build(
        self,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        replays: Sequence[Replay] | None = None,
    ) -> None:
        """Create all networks and replays; see `DQN.build`.

        Parameters
        ----------
        input_shape, output_shape : tuple of int
            Shapes of a state and of the action values, the same for all agents.
        replays : sequence of Replay, optional
            One replay per agent; by default new ones.

        Raises
        ------
        ConfigError
            If `DQN.build` raises it, or the number of replays is not that of agents.
        """
        if replays is not None and len(replays) != len(self.agents):
            n = len(self.agents)
            raise ConfigError(f"{n} agents need {n} replays. Got {len(replays)}.")
        for k, agent in enumerate(self.agents):
            agent.build(input_shape, output_shape, None if replays is None else replays[k])
            if k == 0:
                self._require_memory(own_replays=replays is None)
        self.stopped.clear()
        self._join()

    def _join(self) -> None:
        """Stack networks and replays of all agents that are not stopped."""
        for k, agent in enumerate(self.agents):
            agent.learner.name = f"agent {k} of {len(self.agents)}: "
        self._stack()
        own = [self.agents[k].learner.replay for k in self._active]
        self._rings = StackedRings(own) if StackedRings.fits(own) else None

    def _require_memory(self, own_replays: bool) -> None:
        """Require memory for as many agents, buffers, and replays as the first one has."""
        first, agents = self.agents[0], len(self.agents)
        size = first.hyperparameters.batch_size
        require_network_memory(first.spec, first.dtype, size, size, agents)
        if own_replays:
            rows = sum(agent.hyperparameters.buffer_size for agent in self.agents)
            needed = replay_bytes(first.n_inputs, first.dtype, rows)
            require_memory(needed, "Population", "buffer_size", f"{rows} rows in all")

    def __deepcopy__(self, memo: dict[int, Any]) -> Population:
        # The networks are rows of one buffer, so a copy needs its own.
        twin = type(self)([agent.config for agent in self.agents])
        memo[id(self)] = twin
        twin.agents = [copy.deepcopy(agent, memo) for agent in self.agents]
        twin.stopped = dict(self.stopped)
        if hasattr(self, "_together") and twin._active:
            twin._join()
        return twin

    @property
    def _active(self) -> list[int]:
        return [k for k in range(len(self.agents)) if k not in self.stopped]

    def _require_active(self) -> None:
        """Raise the last alarm if every agent was stopped."""
        if not self._active:
            raise next(reversed(self.stopped.values()))

    def _stack(self) -> None:
        """Move the networks of all agents that are not stopped into rows of one buffer."""
        learners = [self.agents[k].learner for k in self._active]
        spec, dtype, k = learners[0].spec, self.agents[0].dtype, len(learners)
        buffers = buffers_for(spec, dtype, k)
        size = buffers.shape[2]
        scratch = np.empty(min(k * size, max(size, BLOCK)), dtype=dtype)
        weights, target, gradients, m, v = buffers
        online, noisy = weights, None
        if spec.noisy:
            noisy = np.empty((2, k, spec.n_parameters - spec.n_dense), dtype)
            online, target = noisy
        for i, learner in enumerate(learners):
            learner.move_to(buffers[:, i], None if noisy is None else noisy[:, i])
        views = [Views(rows, spec) for rows in (online, target, gradients)]
        double_dqn = learners[0].hyperparameters.double_dqn
        self._together = TrainingGroup(
            learners,
            TrainingStep(spec, learners[0].head, double_dqn, *views),
            gradients.reshape(-1),
            partial(adam_step_of_agents, weights, gradients, m, v, scratch),
        )

    def freeze(self, k: int, error: NonFiniteError | DivergenceError) -> None:
        """Stop agent `k`: it keeps its weights and is not trained until `build`; the others go on.

        Parameters
        ----------
        k : int
            Index of the agent.
        error : NonFiniteError or DivergenceError
            The reason, kept in `stopped`.

        Raises
        ------
        NonFiniteError, DivergenceError
            `error`, if no other agent is left.
        """
        place = self._active.index(k)
        self.stopped[k] = error
        if not self._active:
            raise error
        warn(f"{error}; it is stopped, and the other agents go on")
        learner = self.agents[k].learner
        learner.move_to(buffers_for(learner.spec, self.agents[k].dtype))
        self._stack()
        if self._rings is not None:
            self._rings.drop(place)

    def set_progress(self, progress: float) -> None:
        """Set every agent's schedules; see `DQN.set_progress`."""
        for agent in self.agents:
            agent.set_progress(progress)

    def train_step(self) -> F64:
        """Train every agent on one batch of its replay.

        Returns
        -------
        ndarray, shape (K,)
            Loss of each agent before the update; NaN for a stopped one.

        Raises
        ------
        NonFiniteError, DivergenceError
            As in `DQN.train_step`, once it has stopped every agent. Until then, an agent whose
            numbers are not finite or diverge is added to `stopped`, with its weights as before this
            step, a warning names it, and the others are updated.
        """
        self._require_active()
        return self.train_on(self._sample())

    def train_on(self, batch: Batch) -> F64:
        """Train every agent on a batch of its own; as `train_step`, but from given transitions.

        Parameters
        ----------
        batch : Batch
            One batch of equal size for each agent that is not stopped: every array has a leading
            axis of agents.

        Returns
        -------
        ndarray, shape (K,)
            Loss of each agent before the update; NaN for a stopped one.
        """
        self._require_active()
        losses, new_noise = np.full(len(self.agents), np.nan), True
        while True:
            active = self._active
            agents = [self.agents[k] for k in active]
            gammas = [agent.hyperparameters.gamma for agent in agents]
            adams = [agent.adam for agent in agents]
            try:
                losses[active] = self._together.train(batch, gammas, adams, new_noise)
            except AgentAlarm as alarm:
                self.freeze(active[alarm.k], alarm.error)
                batch, new_noise = batch.without(alarm.k), False
            else:
                return losses

    def _sample(self) -> Batch:
        """Return the stacked batches of all agents that are not stopped."""
        size = self.agents[0].hyperparameters.batch_size
        if self._rings is not None:
            return self._rings.sample(size)
        batches = [self.agents[k].replay_buffer.sample(size) for k in self._active]
        require_same_masks([batch.mask_t is not None for batch in batches])
        stacked: list[Any] = [
            None if columns[0] is None else np.stack(columns)
            for columns in zip(*batches, strict=True)
        ]
        return Batch(*stacked)

    def learn(
        self,
        envs: Sequence[Environment],
        total_steps: int,
        *,
        action_masking: ActionMasking = "auto",
        continue_training: bool = False,
    ) -> list[LearningResult]:
        """Train every agent on its own environment, bit-identical to `DQN.learn` for each alone.

        Parameters
        ----------
        envs : sequence of gymnasium.Env or gymnasium.vector.VectorEnv
            One environment per agent, all of the same kind.
        total_steps : int
            Environment steps per agent, >= 0.
        action_masking : {"auto", "on", "off"}
            Whether action masks are used, as in `DQN.learn`. All agents have masks, each its own,
            or none has.
        continue_training : bool
            Go on with the last training of every agent, as in `DQN.learn`.

        Returns
        -------
        list of LearningResult
            One result per agent; `LearningResult.alarm` says why an agent was stopped.

        Raises
        ------
        NonFiniteError, DivergenceError
            If every agent was stopped; see `train_step`.
        ConfigError
            If `DQN.learn` raises it, the number of environments is not that of agents, or the
            hyperparameters in `SAME_LOOP` differ.
        """
        self._require_same(SAME_LOOP)
        if len(envs) != len(self.agents):
            n = len(self.agents)
            raise ConfigError(f"{n} agents need {n} environments. Got {len(envs)}.")
        for k, env in enumerate(envs):
            for i in range(k):
                if env is envs[i]:
                    raise ConfigError(
                        f"each agent needs an environment of its own. Got the same one for agents "
                        f"{i} and {k}."
                    )
        if not hasattr(self, "_together"):
            task = task_of(envs[0])
            self.build(task.shape, (task.n_actions,))
        self._require_active()
        return learn_together(self, envs, total_steps, action_masking, continue_training)
