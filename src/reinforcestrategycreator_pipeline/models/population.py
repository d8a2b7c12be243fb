"""K deep Q-networks trained together, as stacks of matrix products.

A network of trading's size is so small that most of a training step is the calls, not the numbers.
A population pays for each call once: the weights of all agents are rows of one buffer, and every
operation of a step runs over a leading axis of agents. NumPy multiplies a stack of matrices with
the routine that a single matrix gets, and the rest is elementwise, so that every agent's bits are
those that it would have alone. Seeds, hyperparameters and folds are trained in this way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.errors import ConfigError, DivergenceError, NonFiniteError
from reinforcestrategycreator_pipeline.models.gym.collectors import task_of
from reinforcestrategycreator_pipeline.models.gym.loop import LearningResult
from reinforcestrategycreator_pipeline.models.gym.together import learn_together
from reinforcestrategycreator_pipeline.models.implementations.dqn import (
    DIVERGENCE_CHECK_INTERVAL,
    DQN,
    WEIGHTS_CHECK_INTERVAL,
    DQNConfig,
)
from reinforcestrategycreator_pipeline.models.learner.guards import require_convergence
from reinforcestrategycreator_pipeline.models.learner.networks import buffers_for
from reinforcestrategycreator_pipeline.models.learner.training_step import StepResult, TrainingStep
from reinforcestrategycreator_pipeline.nn.adam import (
    BLOCK,
    adam_step_of_agents,
)
from reinforcestrategycreator_pipeline.nn.network import Views
from reinforcestrategycreator_pipeline.replay.batch import Batch, Replay
from reinforcestrategycreator_pipeline.replay.stacked import StackedRings

Array = NDArray[Any]

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
"""Hyperparameters in which the agents of a population must agree: they shape the computation."""

SAME_LOOP = ("learning_starts", "train_frequency", "gradient_steps")
"""And in these too, to `learn` together."""


class Population:
    """Agents that are trained in step.

    Parameters
    ----------
    configs : sequence of mapping or DQNConfig
        One an agent. They agree in what shapes the computation (`SAME`) and in the dtype; seed,
        learning rate, gamma, exploration and the rest may differ.

    Attributes
    ----------
    agents : list of DQN
        Each is whole: it predicts, trains, saves and loads by itself, too.

    Raises
    ------
    ConfigError
        If there is no config, one is wrong, or two do not go together.

    Examples
    --------
    >>> population = Population([{"seed": seed} for seed in range(16)])
    >>> population.build((4,), (2,))
    >>> len(population.agents)
    16
    """

    def __init__(self, configs: Sequence[Mapping[str, Any] | DQNConfig]) -> None:
        if not configs:
            raise ConfigError("a population needs one config or more. Got none.")
        self.agents = [DQN(config) for config in configs]
        self._require_same(SAME)
        dtypes = {agent.dtype for agent in self.agents}
        if len(dtypes) > 1:
            raise ConfigError(
                f"the agents of a population must have one dtype. "
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

    def build(
        self,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        replays: Sequence[Replay] | None = None,
    ) -> None:
        """Make all networks and replays; see `DQN.build`.

        Parameters
        ----------
        input_shape, output_shape : tuple of int
            One for all.
        replays : sequence of Replay, optional
            One an agent.

        Raises
        ------
        ConfigError
            What `DQN.build` refuses, or if there are not as many replays as agents.
        """
        if replays is not None and len(replays) != len(self.agents):
            raise ConfigError(f"{len(self.agents)} agents need as many replays, not {len(replays)}")
        for k, agent in enumerate(self.agents):
            agent.build(input_shape, output_shape, None if replays is None else replays[k])
        first, k = self.agents[0], len(self.agents)
        spec = first.spec
        self._buffers = buffers_for(spec, first.dtype, k)
        size = self._buffers.shape[2]
        self._scratch = np.empty(min(k * size, max(size, BLOCK)), dtype=first.dtype)
        online, target, gradients = self._buffers[:3]
        noisy = None
        if spec.noisy:
            noisy = np.empty((2, k, size - spec.n_dense), first.dtype)
            online, target = noisy
        for i, agent in enumerate(self.agents):
            agent.move_to(self._buffers[:, i], None if noisy is None else noisy[:, i])
        views = [Views(rows, spec) for rows in (online, target, gradients)]
        self._step = TrainingStep(spec, first.head, first.hyperparameters.double_dqn, *views)
        own = [agent.replay_buffer for agent in self.agents]
        self._rings = StackedRings(own) if StackedRings.fits(own) else None

    def set_progress(self, progress: float) -> None:
        """Set every agent's schedules; see `DQN.set_progress`."""
        for agent in self.agents:
            agent.set_progress(progress)

    @np.errstate(over="ignore", invalid="ignore")
    def train_step(self) -> NDArray[np.float64]:
        """Learn from one batch of every agent's replay.

        Returns
        -------
        ndarray, shape (K,)
            The agents' losses before the update.

        Raises
        ------
        NonFiniteError, DivergenceError
            As `DQN.train_step`, naming the agent; no agent is updated then.
        """
        batch = self._sample()
        networks = [agent._networks for agent in self.agents]
        for network in networks:
            network.resample_noise()
            network.apply_noise()
        gammas = np.array([[agent.hyperparameters.gamma] for agent in self.agents])
        normalizers = [agent.normalizer for agent in self.agents if agent.normalizer is not None]
        result = self._step.run(batch, gammas, normalizers or None)
        for network in networks:
            network.add_sigma_gradient()
        self._check(batch, result)
        ts = [network.t + 1 for network in networks]
        numbers = [agent._adam(t) for agent, t in zip(self.agents, ts, strict=True)]
        begun = [agent._begin_update(t) for agent, t in zip(self.agents, ts, strict=True)]
        weights, _, gradients, m, v = self._buffers
        adam_step_of_agents(weights, gradients, m, v, self._scratch, numbers)
        for k, agent in enumerate(self.agents):
            before, norm = begun[k]
            agent._finish_update(ts[k], before, norm, result if before is None else result.agent(k))
        if batch.weights is not None:
            assert batch.indices is not None
            pairs = zip(batch.indices, result.transition_priorities(), strict=True)
            for agent, (indices, priorities) in zip(self.agents, pairs, strict=True):
                agent.replay_buffer.update_priorities(indices, priorities)
        losses = result.losses.reshape(len(self.agents), -1)
        return np.array([float(np.add.reduce(row)) / row.size for row in losses])

    def _sample(self) -> Batch:
        """Return a batch of every agent, stacked."""
        size = self.agents[0].hyperparameters.batch_size
        if self._rings is not None:
            return self._rings.sample(size)
        batches = [agent.replay_buffer.sample(size) for agent in self.agents]
        stacked: list[Any] = [
            None if columns[0] is None else np.stack(columns)
            for columns in zip(*batches, strict=True)
        ]
        return Batch(*stacked)

    def _check(self, batch: Batch, result: StepResult) -> None:
        """Refuse what is not finite and what diverges, naming the agent."""
        gradients = self._buffers[2].reshape(-1)
        everything = float(gradients.dot(gradients)) + result.checksum
        everything += float(np.add.reduce(result.losses))
        sound = abs(everything) < np.inf
        for k, agent in enumerate(self.agents):
            t = agent._networks.t
            look = not sound or t % WEIGHTS_CHECK_INTERVAL == 0
            if not look and t % DIVERGENCE_CHECK_INTERVAL:
                continue
            columns: list[Any] = [None if column is None else column[k] for column in batch]
            own = Batch(*columns)
            of_agent = result.agent(k)
            try:
                if look:
                    gradient = agent.gradients.flat
                    norm = float(gradient.dot(gradient))
                    agent._require_finite_step(own, of_agent, of_agent.loss(), norm)
                if t % DIVERGENCE_CHECK_INTERVAL == 0:
                    require_convergence(agent, own, agent.hyperparameters.gamma, of_agent)
            except (NonFiniteError, DivergenceError) as error:
                raise type(error)(f"agent {k} of {len(self.agents)}: {error}") from error

    def learn(self, envs: Sequence[Any], total_steps: int) -> list[LearningResult]:
        """Train every agent on an environment of its own, each as `DQN.learn` would alone.

        Parameters
        ----------
        envs : sequence of gymnasium.Env or gymnasium.vector.VectorEnv
            One an agent, alike.
        total_steps : int
            Environment steps an agent.

        Returns
        -------
        list of LearningResult
            One an agent.

        Raises
        ------
        ConfigError
            What `DQN.learn` refuses, if there are not as many environments as agents, or the
            agents do not agree in when to train (`SAME_LOOP`).
        """
        self._require_same(SAME_LOOP)
        if len(envs) != len(self.agents):
            raise ConfigError(
                f"{len(self.agents)} agents need as many environments. Got {len(envs)}."
            )
        if not hasattr(self, "_step"):
            task = task_of(envs[0])
            self.build(task.shape, (task.n_actions,))
        return learn_together(self.agents, envs, total_steps, self.train_step)
