"""A deep Q-learner with known shapes: from a batch to an update, alone or together with others.

`TrainingGroup.train` is the only implementation of a training step;
docs/explanation/one-training-step.md explains it line by line.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np

from reinforcestrategycreator_pipeline.action_masks import masked, random_actions
from reinforcestrategycreator_pipeline.arrays import Array, Bools, Ints
from reinforcestrategycreator_pipeline.errors import (
    ConfigError,
    DivergenceError,
    NonFiniteError,
)
from reinforcestrategycreator_pipeline.models.copies import NoCopies
from reinforcestrategycreator_pipeline.models.implementations.dqn_config import (
    MAX_LEARNING_RATE,
    MIN_EPSILON,
    DQNConfig,
)
from reinforcestrategycreator_pipeline.models.learner.guards import (
    DeadUnits,
    DivergenceGuard,
    refuse_non_finite,
    squared_norm_float64,
    warn,
)
from reinforcestrategycreator_pipeline.models.learner.networks import QNetworks, buffers_for
from reinforcestrategycreator_pipeline.models.learner.training_step import StepResult, TrainingStep
from reinforcestrategycreator_pipeline.nn.adam import Adam, Coefficients, flush
from reinforcestrategycreator_pipeline.nn.heads.base import Head
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec, apply, initialize
from reinforcestrategycreator_pipeline.nn.normalization import RunningNormalizer
from reinforcestrategycreator_pipeline.nn.tensors import NamedTensors
from reinforcestrategycreator_pipeline.replay.batch import Batch
from reinforcestrategycreator_pipeline.replay.ring import RingReplay
from reinforcestrategycreator_pipeline.replay.store import part
from reinforcestrategycreator_pipeline.seeding import (
    generator,
    generator_state,
    restore_generator,
)

DIVERGENCE_CHECK_INTERVAL = 10
WEIGHTS_CHECK_INTERVAL = 100  # must be a multiple of DIVERGENCE_CHECK_INTERVAL


class Learner(NoCopies):
    """Networks, guard, and generators of one learner, and the parts of its training step.

    Parameters
    ----------
    config : DQNConfig
        Configuration of the DQN.
    spec : NetworkSpec
        Architecture of both networks.
    head : Head
        Meaning of their outputs.
    replay : Replay
        Source of the batches. It receives new priorities, and its stored rewards are read before a
        divergence alarm.
    generators : mapping of str to numpy.random.Generator
        Generators "exploration", "noise", and "target-noise".

    Attributes
    ----------
    networks : QNetworks
        Both networks, gradients, moments, and noise.
    normalizer : RunningNormalizer or None
        Normalization of the states.
    guard : DivergenceGuard
        Guard that detects divergence.
    name : str
        Name in a population, for warnings: ``"agent 2 of 3: "``; empty if alone.
    diagnostics : dict of str to float
        Values of the latest logged update.
    alone : TrainingGroup
        Group of this learner only.
    """

    networks: QNetworks
    alone: TrainingGroup

    def __init__(
        self,
        config: DQNConfig,
        spec: NetworkSpec,
        head: Head,
        replay: Any,
        generators: Mapping[str, np.random.Generator],
    ) -> None:
        self.seed, self.hyperparameters = config.seed, config.hyperparameters
        self.spec, self.head, self.replay, self.generators = spec, head, replay, generators
        self.normalizer = (
            RunningNormalizer(spec.n_inputs, self.hyperparameters.observation_clip)
            if self.hyperparameters.normalize_observations
            else None
        )
        self.guard = DivergenceGuard()
        self._was_masked = False
        self.name = ""
        self._dead_units = DeadUnits()
        self._warned_of_divergence = False
        self.diagnostics: dict[str, float] = {}
        self._logged: tuple[Array, float] | None = None
        self._use(buffers_for(spec, np.dtype(config.dtype)))
        self.networks.weights.flat[:] = self.first_weights().flat
        self.networks.update_target(1.0)

    def _use(self, buffers: Array, noisy_buffers: Array | None = None) -> None:
        hp, rngs = self.hyperparameters, self.generators
        self.networks = networks = QNetworks(
            self.spec,
            self.head,
            hp.double_dqn,
            buffers,
            rngs["noise"],
            rngs["target-noise"],
            noisy_buffers,
        )
        self.alone = TrainingGroup(
            [self],
            networks.step,
            networks.gradients.flat,
            lambda numbers: networks.update(*numbers),
        )

    def move_to(self, buffers: Array, noisy_buffers: Array | None = None) -> None:
        """Move the networks to other buffers, such as rows of the buffer of a population."""
        before = self.networks
        self._use(buffers, noisy_buffers)
        self.networks.restore(before.tensors())
        self.networks.t = before.t
        self.networks.take_noise(before)

    def first_weights(self) -> NamedTensors:
        """Return the initial weights for the seed."""
        weights = NamedTensors(self.spec.shapes, self.networks.weights.flat.dtype)
        # The name selects the random numbers; do not respell it.
        rng = generator(self.seed, "dqn/initialisation")
        initialize(weights, self.spec, rng, self.hyperparameters.noisy_sigma)
        return weights

    # -- acting -----------------------------------------------------------------------------

    @property
    def masked(self) -> bool:
        """Whether the learner learns with action masks, or did so before it was saved."""
        return self._was_masked or bool(getattr(self.replay, "masked", False))

    @masked.setter
    def masked(self, value: bool) -> None:
        self._was_masked = value

    def values(
        self, rows: Annotated[Array, "rows {self.spec.n_inputs}"], weights: Mapping[str, Array]
    ) -> Annotated[Array, "rows {self.spec.n_actions}"]:
        """Return the action values (N, A) of states (N, n_inputs), without noise."""
        if self.normalizer is not None:
            rows = self.normalizer.apply(rows)
        return self.head.values(apply(self.spec, weights, rows))

    # Suppress NumPy's warnings: the outputs are checked.
    @np.errstate(over="ignore", invalid="ignore")
    def act(
        self,
        states: Annotated[Array, "rows {self.spec.n_inputs}"],
        exploration_rate: float,
        masks: Annotated[Bools, "rows {self.spec.n_actions}"] | None = None,
    ) -> Annotated[Ints, "rows"]:
        """Return the best action for each state (E, n_inputs), or a random one.

        With masks (E, n_actions), only valid actions are chosen; each row must have one.

        Raises
        ------
        NonFiniteError
            If an output of the network is not finite.
        """
        rng, rows, n_actions = self.generators["exploration"], len(states), self.spec.n_actions
        random = None
        if exploration_rate > 0.0:
            if rows == 1:  # drawing an array takes several times as long as drawing a number
                if rng.random() < exploration_rate:
                    if masks is not None:
                        return random_actions(rng, masks)
                    return np.array([rng.integers(n_actions)])
            else:
                random = rng.random(rows) < exploration_rate
                if random.all():
                    if masks is not None:
                        return random_actions(rng, masks)
                    return rng.integers(n_actions, size=rows)
        outputs = self.networks.outputs_for_acting(states, self.normalizer)
        flat = outputs.reshape(-1)
        if not math.isfinite(flat.dot(flat)):
            bad = ~np.isfinite(outputs).all(axis=(1, 2))
            if bad.any():  # else only the sum overflowed
                row = int(bad.argmax())
                raise NonFiniteError(
                    f"the network's outputs {outputs[row].tolist()} for state {row} are not finite"
                )
        values = self.head.values(outputs)
        if masks is not None:
            values = masked(values, masks)
        actions: Ints = values.argmax(axis=1)
        if random is not None and random.any():
            if masks is None:
                actions[random] = rng.integers(n_actions, size=int(random.sum()))
            else:
                actions[random] = random_actions(rng, masks[random])
        return actions

    # -- parts of a training step -----------------------------------------------------------

    def require_finite(self, batch: Batch, result: StepResult) -> None:
        """Raise `NonFiniteError` if any number is not finite; the message names the array.

        Loss and gradient alone do not reveal every case: not the value of an action never taken,
        not the state after a termination, and not a hidden unit's bias of -inf, which ReLU maps to
        0.
        """
        networks, gradient = self.networks, self.networks.gradients.flat
        squared_norm = float(gradient.dot(gradient))
        everything = result.loss() + squared_norm + result.checksum
        for weights in (networks.weights.flat, networks.target_weights.flat):
            everything += float(weights @ weights)
        if not abs(everything) < math.inf:
            if self.hyperparameters.max_grad_norm is not None:
                squared_norm = squared_norm_float64(gradient)  # clipped, it may be large
            refuse_non_finite(networks, batch, result, squared_norm)

    def require_convergence(self, batch: Batch, gamma: float, result: StepResult) -> None:
        """Compare the action values of a step with the limit; see `DivergenceGuard.check`.

        Raises
        ------
        DivergenceError
            If they exceed it and `on_divergence` is "stop"; "warn" logs the first time.
        """
        hp = self.hyperparameters
        if hp.on_divergence == "ignore":
            return
        q = result.valid_values(batch, following=True)

        def stored() -> Iterable[Array]:
            if isinstance(self.replay, RingReplay):
                yield self.replay.arrays()["r_t"]

        def untrained_q() -> float:
            both = [x for x in (batch.s_tm1, batch.s_t) if x is not None]
            states = [x.reshape(-1, self.spec.n_inputs) for x in both]
            first = self.first_weights()
            for noise in self.networks.noises[:1]:
                noise.add_to(first.flat)
            rows = np.concatenate(states).astype(first.flat.dtype, copy=False)
            return float(np.abs(self.values(rows, first)).max())

        try:
            self.guard.check(
                self.networks.t + 1,
                max(float(q.max()), -float(q.min())),
                batch.r_t,
                gamma**hp.n_step,
                stored(),
                untrained_q,
            )
        except DivergenceError as error:
            if hp.on_divergence == "stop":
                raise
            if not self._warned_of_divergence:
                self._warned_of_divergence = True
                warn(f"{self.name}{error}")

    def begin_update(self, squared_norm: float | None) -> None:
        """Clip the gradient, and record values for the log if due."""
        hp, networks = self.hyperparameters, self.networks
        t, limit, interval = networks.t + 1, hp.max_grad_norm, hp.log_interval
        due = interval > 0 and t % interval == 0
        self._logged = None
        if due or limit is not None:
            gradient = networks.gradients.flat
            square = float(gradient.dot(gradient)) if squared_norm is None else squared_norm
            norm = math.sqrt(square if square < math.inf else squared_norm_float64(gradient))
            if limit is not None and norm > limit:
                gradient *= limit / norm
            if due:
                self._logged = networks.weights.flat.copy(), norm

    def finish_update(self, adam: Adam) -> bool:
        """Count the update, and move the target network if due; tell whether to call `log`."""
        hp, networks = self.hyperparameters, self.networks
        networks.t = t = networks.t + 1
        flush(networks.m.flat, networks.v.flat, t, adam.beta1, adam.beta2)
        if t % hp.target_update_interval == 0:
            networks.update_target(hp.tau)
        return self._logged is not None

    def log(self, adam: Adam, batch: Batch, result: StepResult) -> None:
        """Set `diagnostics` from the latest update; warn if most hidden units stay dead."""
        assert self._logged is not None
        before, norm = self._logged  # weights, and the gradient's norm before clipping
        t, weight_norm = self.networks.t, float(np.linalg.norm(before))
        before -= self.networks.weights.flat
        q = result.valid_values(batch, following=False)
        self.diagnostics = {
            "step": t,
            "loss": result.loss(),
            "grad_norm": norm,
            "update_norm": float(np.linalg.norm(before)) / max(weight_norm, 1e-30),
            "q_mean": float(q.mean()),
            "q_max": float(q.max()),
            "dead_units": self._dead_units.note(t, result.hidden, self.name),
            "learning_rate": adam.learning_rate,
        }

    # -- state ------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Array]:
        """Return ``q.W0``, ``target.W0``, ``m.W0``, ``v.W0``, ..., ``normalizer.*``; views."""
        found = {} if self.normalizer is None else self.normalizer.state()
        return self.networks.tensors() | {f"normalizer.{k}": v for k, v in found.items()}

    def take_unsaved(self, other: Learner) -> None:
        """Take what `tensors` and `record` leave out: gradients, noise, and diagnostics."""
        self.networks.gradients.flat[:] = other.networks.gradients.flat
        self.networks.take_noise(other.networks)
        self.diagnostics = dict(other.diagnostics)
        self._dead_units = copy.deepcopy(other._dead_units)
        self._warned_of_divergence = other._warned_of_divergence

    def record(self) -> dict[str, Any]:
        """Return the rest of the state, JSON-serializable: updates, guard, and generators."""
        return {
            "t": self.networks.t,
            "guard": [self.guard.largest_reward, self.guard.first_q],
            "generators": {name: generator_state(rng) for name, rng in self.generators.items()},
        }

    def restore(
        self,
        tensors: Mapping[str, Array],
        t: int,
        guard: Sequence[Any],
        generators: Mapping[str, Any],
    ) -> None:
        """Restore a state returned by `tensors` and `record`, bit for bit.

        Raises
        ------
        CheckpointError
            If it belongs to a network of another shape.
        """
        self.networks.restore(tensors)
        if self.normalizer is not None:
            self.normalizer.restore(part(tensors, "normalizer."))
        self.networks.t = int(t)
        self.guard.largest_reward, self.guard.first_q = guard
        for name, rng in self.generators.items():
            restore_generator(rng, generators[name])


def coefficients_of(adam: Adam, t: int) -> Coefficients:
    """Return Adam's coefficients of update `t`.

    Raises
    ------
    ConfigError
        If a parameter of Adam is out of range.
    """
    rate, beta1, beta2, epsilon, _ = adam
    sound = 0 <= rate <= MAX_LEARNING_RATE and epsilon >= MIN_EPSILON
    if not (sound and 0 <= beta1 < 1 and 0 <= beta2 < 1):
        raise ConfigError(
            f"Adam needs a learning_rate in [0, {MAX_LEARNING_RATE}], betas in [0, 1), and an "
            f"epsilon >= {MIN_EPSILON}. Got {rate!r}, {beta1!r}, {beta2!r}, and {epsilon!r} "
            f"instead."
        )
    return adam.at(t)


class AgentAlarm(Exception):
    """The numbers of one agent of several are not finite, or diverge; nothing was updated.

    Attributes
    ----------
    k : int
        Index of the agent in the group.
    error : NonFiniteError or DivergenceError
        The alarm; the message names the agent.
    """

    def __init__(self, k: int, error: NonFiniteError | DivergenceError) -> None:
        super().__init__(str(error))
        self.k, self.error = k, error


class TrainingGroup:
    """Learners that make each training step together: one, or K with a leading axis of agents.

    Parameters
    ----------
    learners : sequence of Learner
        Learners with equal shapes and options of the computation.
    step : TrainingStep
        Training step of their networks.
    gradients : ndarray, shape (P,) or (K P,)
        Gradients of all learners, flat.
    update : callable
        ``update(coefficients)`` applies Adam to all learners, given one entry for each.
    """

    def __init__(
        self,
        learners: Sequence[Learner],
        step: TrainingStep,
        gradients: Array,
        update: Callable[[Sequence[Coefficients]], None],
    ) -> None:
        self.learners, self._step = list(learners), step
        self._stacked, self._gradients, self._update = bool(step.lead), gradients, update
        self._noisy = [each.networks for each in learners if each.networks.noises]
        normalizers = [each.normalizer for each in learners if each.normalizer is not None]
        self._normalizers = normalizers or None

    def compute(self, batch: Batch, gammas: Sequence[float]) -> tuple[StepResult, float]:
        """Compute the gradients; return the result and the squared norm of all gradients."""
        for networks in self._noisy:
            networks.apply_noise()
        gamma = np.array(gammas)[:, None] if self._stacked else gammas[0]
        result = self._step.run(batch, gamma, self._normalizers)
        for networks in self._noisy:
            networks.add_sigma_gradient()
        return result, float(self._gradients.dot(self._gradients))

    # Suppress NumPy's warnings: `_check` reports the same with a clearer message.
    @np.errstate(over="ignore", invalid="ignore")
    def train(
        self,
        batch: Batch,
        gammas: Sequence[float],
        adams: Sequence[Adam],
        new_noise: bool = True,
    ) -> list[float]:
        """Train every learner on one batch, and return their losses before the update.

        Parameters
        ----------
        batch : Batch
            The batches, with a leading axis of agents if `step` has one.
        gammas, adams : sequence of float, sequence of Adam
            Discount per step, and parameters of Adam, one entry per learner.
        new_noise : bool
            Whether noisy networks draw new noise.

        Returns
        -------
        list of float
            Loss of each learner.

        Raises
        ------
        NonFiniteError
            If a number is not finite; nothing is updated then.
        DivergenceError
            If the action values exceed what the rewards allow, and `on_divergence` is "stop".
        AgentAlarm
            In place of these two, with several learners.
        """
        learners, stacked = self.learners, self._stacked
        for networks in self._noisy if new_noise else ():
            networks.resample_noise()
        result, squared_norm = self.compute(batch, gammas)
        if stacked:
            rows = result.losses.reshape(len(learners), -1)
            losses = [total / rows.shape[1] for total in np.add.reduce(rows, axis=1).tolist()]
        else:
            losses = [result.loss()]
        # A sum of squares is finite only if every term is.
        sound = abs(squared_norm + result.checksum + sum(losses)) < math.inf
        for k, learner in enumerate(learners):
            if not sound or learner.networks.t % DIVERGENCE_CHECK_INTERVAL == 0:
                self._check(k, *self._agent(k, batch, result), gammas[k], sound)
        updates = [(adam, each.networks.t + 1) for adam, each in zip(adams, learners, strict=True)]
        if updates.count(updates[0]) == len(updates):
            coefficients = [coefficients_of(*updates[0])] * len(updates)
        else:
            coefficients = [coefficients_of(*update) for update in updates]
        for learner in learners:
            learner.begin_update(None if stacked else squared_norm)
        self._update(coefficients)
        for k, learner in enumerate(learners):
            if learner.finish_update(adams[k]):
                learner.log(adams[k], *self._agent(k, batch, result))
        if batch.weights is not None:  # sampled by priority
            new: tuple[Any, Any] = batch.indices, result.transition_priorities()
            new = new if stacked else ([new[0]], [new[1]])
            for learner, *own in zip(learners, *new, strict=True):
                learner.replay.update_priorities(*own)
        return losses

    def _check(self, k: int, batch: Batch, result: StepResult, gamma: float, sound: bool) -> None:
        """Raise if numbers are not finite or diverge; name the agent if there are several."""
        learner = self.learners[k]
        t = learner.networks.t
        try:
            if not sound or t % WEIGHTS_CHECK_INTERVAL == 0:
                learner.require_finite(batch, result)
            if t % DIVERGENCE_CHECK_INTERVAL == 0:
                learner.require_convergence(batch, gamma, result)
        except (NonFiniteError, DivergenceError) as error:
            if not self._stacked:
                raise
            raise AgentAlarm(k, type(error)(f"{learner.name}{error}")) from error

    def _agent(self, k: int, batch: Batch, result: StepResult) -> tuple[Batch, StepResult]:
        return (batch.agent(k), result.agent(k)) if self._stacked else (batch, result)
