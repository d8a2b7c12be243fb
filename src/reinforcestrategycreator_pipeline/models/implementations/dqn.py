"""The deep Q-network in pure NumPy: our own backpropagation and Adam.

One training step, with B transitions (or bars), discount gamma:

    targets    y = r_t + gamma * (1 - terminated) * Q_target(s_t, argmax_a Q(s_t, a))
    loss       L = mean((y - Q(s_tm1, a_tm1))^2)
    gradient   dL/dQ(s_tm1, a_tm1) = 2 (Q(s_tm1, a_tm1) - y) / B, no gradient flows through y
    update     backpropagation (`nn.mlp.backward`), then Adam (`nn.adam.adam_step`)

Sources: Mnih et al. 2015 (doi:10.1038/nature14236); double DQN: van Hasselt et al. 2016
(arXiv:1509.06461). NumPy and the standard library alone.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.errors import CheckpointError, ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.models.base import MODELS
from reinforcestrategycreator_pipeline.models.implementations.dqn_config import (
    MAX_LEARNING_RATE,
    MIN_EPSILON,
    DQNConfig,
    DQNHyperparameters,
)
from reinforcestrategycreator_pipeline.nn.adam import BLOCK, adam_step
from reinforcestrategycreator_pipeline.nn.mlp import (
    activation_buffers,
    backward,
    forward,
    he_initialise,
)
from reinforcestrategycreator_pipeline.nn.serialization import read_tensors, write_tensors
from reinforcestrategycreator_pipeline.nn.tensors import (
    NamedTensors,
    NetworkState,
    iter_tensors,
    layers_of,
    mlp_shapes,
)
from reinforcestrategycreator_pipeline.replay.batch import Batch, Replay
from reinforcestrategycreator_pipeline.replay.ring import RingReplay
from reinforcestrategycreator_pipeline.seeding import (
    generator,
    generator_state,
    restore_generator,
)

Array = NDArray[Any]

WEIGHTS_CHECK_INTERVAL = 100

__all__ = ["DQN", "DQNConfig", "DQNHyperparameters"]


@MODELS.register("dqn")
class DQN:
    """Deep Q-network on vector states and discrete actions.

    Parameters
    ----------
    config : mapping or DQNConfig, optional
        ``{"hyperparameters": {"hidden_layers": [64, 64], "learning_rate": 1e-3, ...}, "seed": 0,
        "dtype": "float32"}``; what is left out has its default.

    Attributes
    ----------
    learning_rate, beta1, beta2, epsilon : float
        Adam's parameters. Training never changes them.
    exploration_rate : float
        Probability of a random action, as the schedule of `learn` has set it last.
    q_network : mapping
        ``{"weights": {"W0", "b0", ...}, "optimizer_state": {"t", "m", "v"}}``.
    target_network : mapping
        ``{"weights": {...}}``.
    replay_buffer : RingReplay, or what `build` was given
        Where the transitions are.
    diagnostics : dict
        Of the newest logged step: step, loss, grad_norm, update_norm (relative to the norm of the
        weights), q_mean and q_max (over the batch and all actions).

    Raises
    ------
    ConfigError
        For an unknown key or a wrong value.

    Examples
    --------
    >>> dqn = DQN({"hyperparameters": {"hidden_layers": [32]}, "seed": 1})
    >>> dqn.build((4,), (2,))
    >>> dqn.predict(np.zeros(4)).shape
    (2,)
    """

    def __init__(self, config: Mapping[str, Any] | DQNConfig | None = None) -> None:
        self.config = DQNConfig.of(config)
        self.hyperparameters = self.config.hyperparameters
        self.dtype = np.dtype(self.config.dtype)
        self.learning_rate = float(self.hyperparameters.learning_rate)
        self.beta1 = float(self.hyperparameters.adam_beta1)
        self.beta2 = float(self.hyperparameters.adam_beta2)
        self.epsilon = float(self.hyperparameters.adam_epsilon)
        self.exploration_rate = float(self.hyperparameters.exploration_initial)
        self.diagnostics: dict[str, float] = {}
        self._exploration_rng = generator(self.config.seed, "dqn/exploration")
        self._replay_rng = generator(self.config.seed, "dqn/replay")

    def __getattr__(self, name: str) -> Any:
        # Only for what is not there: most of it comes with `build`.
        hint = (
            "" if "n_inputs" in self.__dict__ else "; call build(input_shape, output_shape) first"
        )
        raise AttributeError(f"this DQN has no attribute {name!r}{hint}")

    # -- networks ---------------------------------------------------------------------------

    def build(
        self,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        replay: Replay | None = None,
    ) -> None:
        """Make the online and the target network, equal, and an empty replay.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one state; more than one axis is flattened.
        output_shape : tuple of int
            ``(n_actions,)``.
        replay : Replay, optional
            Anything with ``sample(batch_size)``, in the place of the ring buffer.

        Raises
        ------
        ConfigError
            If a shape is empty or not positive.
        """
        for name, shape in (("input_shape", input_shape), ("output_shape", output_shape)):
            ok = isinstance(shape, tuple | list) and len(shape) > 0
            if not ok or not all(isinstance(n, int | np.integer) and n >= 1 for n in shape):
                raise ConfigError(
                    f"The {name} parameter of DQN.build must be a tuple of integers >= 1. "
                    f"Got {shape!r} instead."
                )
        self.input_shape = tuple(int(n) for n in input_shape)
        self.n_inputs = int(np.prod(self.input_shape))
        self.n_actions = int(np.prod(output_shape))
        sizes = (self.n_inputs, *self.hyperparameters.hidden_layers, self.n_actions)
        shapes = mlp_shapes(sizes)
        online, target, m, v = (NamedTensors(shapes, self.dtype) for _ in range(4))
        he_initialise(online, generator(self.config.seed, "dqn/initialisation"))
        target.flat[:] = online.flat
        self._weights, self._target_weights, self._m, self._v = online, target, m, v
        self._q_network = NetworkState(weights=online, optimizer_state=NetworkState(t=0, m=m, v=v))
        self._target_network = NetworkState(weights=target)
        self._gradients = NamedTensors(shapes, self.dtype)
        self._scratch = np.empty(min(BLOCK, online.flat.size), dtype=self.dtype)
        self._buffers: dict[tuple[str, int], list[Array]] = {}
        self._starts = np.empty(0, dtype=np.int64)
        if replay is None:  # not `or`: an empty replay is falsy
            replay = RingReplay(
                self.hyperparameters.buffer_size,
                self.n_inputs,
                self._replay_rng,
                self.dtype,
                self.n_actions,
            )
        self.replay_buffer: Any = replay

    @property
    def q_network(self) -> NetworkState:
        """The online network; assigning a mapping copies its tensors in."""
        return self._q_network

    @q_network.setter
    def q_network(self, value: Mapping[str, Any]) -> None:
        self._q_network.replace(value)

    @property
    def target_network(self) -> NetworkState:
        """The target network; assigning a mapping copies its tensors in."""
        return self._target_network

    @target_network.setter
    def target_network(self, value: Mapping[str, Any]) -> None:
        self._target_network.replace(value)

    def update_target_network(self) -> None:
        """Copy the online weights to the target network."""
        self._target_weights.flat[:] = self._weights.flat

    # -- acting -----------------------------------------------------------------------------

    def _forward(self, state: ArrayLike, network: Mapping[str, Any]) -> Array:
        """Return the outputs of `network` for one state (n_actions,) or a batch (B, n_actions)."""
        layers = layers_of(network["weights"])
        x = np.asarray(state, dtype=layers[0][0].dtype)
        single = x.ndim < 2 or x.shape == self.input_shape
        shape = (1, x.size) if single else (len(x), math.prod(x.shape[1:]))
        rows = np.ascontiguousarray(x.reshape(shape))
        if rows.shape[1] != self.n_inputs:
            raise ConfigError(
                f"a state of DQN must have the shape {self.input_shape}. Got {x.shape} instead."
            )
        q = forward(rows, layers, activation_buffers(layers, len(rows)))
        return q[0] if single else q

    def predict(self, states: ArrayLike) -> Array:
        """Return the Q-values of one state, (n_actions,), or of a batch, (B, n_actions).

        NaN in a state gives NaN.
        """
        return self._forward(states, self._q_network)

    def select_action(self, state: ArrayLike, exploration_rate: float = 0.0) -> int:
        """Return a random action with probability `exploration_rate`, else the best one.

        Raises
        ------
        NonFiniteError
            If a Q-value is not finite: there is no best action then.
        """
        if exploration_rate > 0.0 and self._exploration_rng.random() < exploration_rate:
            return int(self._exploration_rng.integers(self.n_actions))
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            q = self.predict(state)
        if not np.isfinite(q).all():
            raise NonFiniteError(f"the Q-values {q.tolist()} of a state are not finite")
        return int(q.argmax())

    # -- learning ---------------------------------------------------------------------------

    def train_step(self, batch_size: int | None = None, gamma: float | None = None) -> float:
        """Learn from one batch of the replay; the defaults are the hyperparameters.

        Returns
        -------
        float
            The batch's loss before the update.

        Raises
        ------
        NonFiniteError
            If the loss or a gradient is not finite; the weights and moments are left as they were.
        """
        return self._train_step(
            self.hyperparameters.batch_size if batch_size is None else batch_size,
            self.hyperparameters.gamma if gamma is None else gamma,
        )

    # What NumPy would warn of is checked in one place, and said better.
    @np.errstate(over="ignore", invalid="ignore")
    def _train_step(self, batch_size: int, gamma: float) -> float:
        batch = self.replay_buffer.sample(batch_size)
        q, targets, activations, target_q = self._values_and_targets(batch, gamma)
        if batch.a_tm1 is None:
            error = q - targets
            d_q = error * (2.0 / error.size)
        else:
            taken = self._row_starts(len(q)) + batch.a_tm1
            error = q.ravel().take(taken) - targets
            d_q = np.zeros(q.shape, dtype=self.dtype)
            d_q.ravel()[taken] = error * (2.0 / error.size)
        flat_error = error.ravel()
        loss = float(flat_error @ flat_error) / error.size
        backward(
            batch.s_tm1,
            activations,
            d_q,
            self._weights.layers,
            self._gradients.layers,
            self._get_buffers("delta", len(q)),
        )
        gradient = self._gradients.flat
        squared_norm = float(gradient @ gradient)
        # A sum of squares is finite only if every term is. Loss and gradient alone do not show
        # everything: not the action that nobody took, not the state behind a termination.
        everything = loss + squared_norm
        for array in (batch.s_tm1, batch.s_t, activations[-1], target_q):
            everything += float(np.vdot(array, array))
        if self._q_network["optimizer_state"]["t"] % WEIGHTS_CHECK_INTERVAL == 0:
            # A hidden unit's bias of -inf is 0 behind ReLU, and shows nowhere else.
            for weights in (self._weights.flat, self._target_weights.flat):
                everything += float(np.vdot(weights, weights))
        if not abs(everything) < np.inf:
            self._refuse_non_finite(batch, activations, target_q, targets, loss, squared_norm)
        self._apply_update(loss, squared_norm, q)
        return loss

    def _values_and_targets(
        self, batch: Batch, gamma: float
    ) -> tuple[Array, Array, list[Array], Array]:
        """Return Q(s_tm1, .), the targets, the online activations and the target network's Q."""
        n = len(batch.s_tm1)
        s_t = batch.s_t.reshape(-1, self.n_inputs)
        if self.hyperparameters.double_dqn:
            # The online network's two forwards are one.
            x = self._get_buffers("input", n + len(s_t))[0]
            x[:n] = batch.s_tm1
            x[n:] = s_t
            activations = self._get_buffers("online", len(x))
            q_both = forward(x, self._weights.layers, activations)
            q, best = q_both[:n], q_both[n:].argmax(axis=1)
            best += self._row_starts(len(s_t))
            target_q = self._target_forward(s_t)
            value = target_q.ravel().take(best)
        else:
            activations = self._get_buffers("online", n)
            q = forward(batch.s_tm1, self._weights.layers, activations)
            target_q = self._target_forward(s_t)
            value = target_q.max(axis=1)
        value *= gamma
        value[batch.terminated.ravel().astype(bool, copy=False)] = 0.0
        return q, value.reshape(batch.r_t.shape) + batch.r_t, activations, target_q

    def _target_forward(self, s_t: Array) -> Array:
        layers = self._target_weights.layers
        return forward(s_t, layers, self._get_buffers("target", len(s_t)))

    def _apply_update(self, loss: float, squared_norm: float, q: Array) -> None:
        """Apply Adam, update the target network, and log, each when it is due."""
        sound = 0 <= self.learning_rate <= MAX_LEARNING_RATE and self.epsilon >= MIN_EPSILON
        if not (sound and 0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise ConfigError(
                f"Adam needs a learning_rate from 0 to {MAX_LEARNING_RATE}, betas in [0, 1) and an "
                f"epsilon >= {MIN_EPSILON}. Got {self.learning_rate!r}, {self.beta1!r}, "
                f"{self.beta2!r} and {self.epsilon!r} instead."
            )
        state = self._q_network["optimizer_state"]
        t = int(state["t"]) + 1
        interval = self.hyperparameters.log_interval
        due = interval > 0 and t % interval == 0
        before = self._weights.flat.copy() if due else None
        adam_step(
            self._weights.flat,
            self._gradients.flat,
            self._m.flat,
            self._v.flat,
            self._scratch,
            t=t,
            learning_rate=self.learning_rate,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
        )
        state["t"] = t
        if t % self.hyperparameters.target_update_interval == 0:
            self.update_target_network()
        if before is not None:
            weight_norm = float(np.linalg.norm(before))
            before -= self._weights.flat
            self.diagnostics = {
                "step": t,
                "loss": loss,
                "grad_norm": squared_norm**0.5,
                "update_norm": float(np.linalg.norm(before)) / max(weight_norm, 1e-30),
                "q_mean": float(q.mean()),
                "q_max": float(q.max()),
            }

    def _get_buffers(self, kind: str, rows: int) -> list[Array]:
        """Return the buffers of one use and row count, made at their first use."""
        found = self._buffers.get((kind, rows))
        if found is None:
            if kind == "input":
                found = [np.empty((rows, self.n_inputs), dtype=self.dtype)]
            else:
                found = activation_buffers(self._weights.layers, rows)
            if len(self._buffers) > 64:  # batch sizes that vary must not pile up memory
                self._buffers.clear()
            self._buffers[(kind, rows)] = found
        return found

    def _row_starts(self, rows: int) -> NDArray[np.int64]:
        """Return the flat index of each row's first action in a (rows, n_actions) array."""
        if rows > self._starts.size:
            self._starts = np.arange(rows) * self.n_actions
        return self._starts[:rows]

    def _refuse_non_finite(
        self,
        batch: Batch,
        activations: list[Array],
        target_q: Array,
        targets: Array,
        loss: float,
        squared_norm: float,
    ) -> None:
        """Raise for the first array with a number that is not finite, in order of computation.

        Nothing is raised where only a sum of finite squares overflowed that no update needs.
        """
        suspects: list[tuple[str, Array]] = [
            *((f"the weights {name}", w) for name, w in self._weights.items()),
            *((f"the target network's {name}", w) for name, w in self._target_weights.items()),
            ("the sampled states s_tm1", batch.s_tm1),
            ("the sampled states s_t", batch.s_t),
            ("the sampled rewards", batch.r_t),
            *((f"the outputs of layer {i}", a) for i, a in enumerate(activations)),
            ("the target network's outputs", target_q),
            ("the targets", targets),
            ("the loss", np.array(loss)),
            *((f"the gradient of {name}", g) for name, g in self._gradients.items()),
        ]
        for name, array in suspects:
            bad = int(array.size - np.count_nonzero(np.isfinite(array)))
            if bad:
                place = f"{name} ({bad} of {array.size} numbers)"
                break
        else:
            if abs(squared_norm) < np.inf:
                return
            place = "the norm of the gradient, which overflows"
        step = int(self._q_network["optimizer_state"]["t"]) + 1
        raise NonFiniteError(
            f"training step {step}: NaN or infinity in {place}; "
            f"the update was not applied and the weights are as before"
        )

    # -- a Gymnasium task -------------------------------------------------------------------

    def learn(
        self,
        env: Any,
        total_steps: int,
        callback: Callable[[int, dict[str, float]], None] | None = None,
    ) -> list[float]:
        """Train on a Gymnasium environment with vector observations and discrete actions.

        Parameters
        ----------
        env : gymnasium.Env
            Its spaces give the networks' shapes when `build` was not called before.
        total_steps : int
            Environment steps.
        callback : callable, optional
            Called as ``callback(env_step, row)`` at every logged training step; the row is
            `diagnostics` with the exploration rate and environment steps per second.

        Returns
        -------
        list of float
            The undiscounted return of every finished episode.

        Raises
        ------
        ConfigError
            If the observations are no vectors or the actions not discrete.
        """
        hp = self.hyperparameters
        if not hasattr(env.action_space, "n"):
            raise ConfigError(f"DQN needs discrete actions. Got {env.action_space} instead.")
        if not hasattr(self, "n_inputs"):
            self.build(env.observation_space.shape, (int(env.action_space.n),))
        first_action = int(getattr(env.action_space, "start", 0))
        # A ring that is smaller than `learning_starts` never holds so many.
        starts = min(max(hp.learning_starts, hp.batch_size), hp.buffer_size)
        returns: list[float] = []
        episode_return = 0.0
        state, _ = env.reset(seed=self.config.seed)
        started = time.perf_counter()
        for step in range(1, total_steps + 1):
            self.exploration_rate = self.exploration_at(step / total_steps)
            action = self.select_action(state, self.exploration_rate)
            next_state, reward, terminated, truncated, _ = env.step(first_action + action)
            self.replay_buffer.push(state, action, reward, next_state, terminated)
            state = next_state
            episode_return += float(reward)
            if terminated or truncated:
                returns.append(episode_return)
                episode_return = 0.0
                state, _ = env.reset()
            if step % hp.train_frequency or len(self.replay_buffer) < starts:
                continue
            for _ in range(hp.gradient_steps):
                logged = self.diagnostics
                self.train_step()
                if callback is not None and self.diagnostics is not logged:
                    seconds = time.perf_counter() - started
                    row = {**self.diagnostics, "exploration_rate": self.exploration_rate}
                    callback(step, {**row, "steps_per_second": step / seconds})
        return returns

    def exploration_at(self, progress: float) -> float:
        """Return the scheduled exploration rate at `progress` (0 start, 1 end) of training."""
        hp = self.hyperparameters
        share = min(progress / hp.exploration_fraction, 1.0)
        return hp.exploration_initial + share * (hp.exploration_final - hp.exploration_initial)

    # -- state ------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> DQN:
        # Networks are views into flat buffers, which a copy must make for itself; its replay, if
        # it draws from this model's generator, draws from the copy's.
        twin = type(self)(self.config)
        memo[id(self)] = twin
        memo[id(self._replay_rng)] = twin._replay_rng
        if hasattr(self, "n_inputs"):
            replay = copy.deepcopy(self.replay_buffer, memo)
            twin.build(self.input_shape, (self.n_actions,), replay)
            twin.restore(*self.state())
        twin.diagnostics = dict(self.diagnostics)
        return twin

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return what learning depends on, the replay's content apart.

        Returns
        -------
        tensors : dict of str to ndarray
            ``q.W0``, ``target.W0``, ``m.W0``, ``v.W0``, ...; views, not copies.
        header : dict
            JSON-ready: config, shapes, t, exploration rate, generators, versions.
        """
        tensors = {
            **dict(iter_tensors("q", self._weights)),
            **dict(iter_tensors("target", self._target_weights)),
            **dict(iter_tensors("m", self._m)),
            **dict(iter_tensors("v", self._v)),
        }
        header = {
            "format": "dqn/1",
            "config": dataclasses.asdict(self.config),
            "adam": [self.learning_rate, self.beta1, self.beta2, self.epsilon],
            "input_shape": list(self.input_shape),
            "n_actions": self.n_actions,
            "t": int(self._q_network["optimizer_state"]["t"]),
            "exploration_rate": self.exploration_rate,
            "generators": {
                "exploration": generator_state(self._exploration_rng),
                "replay": generator_state(self._replay_rng),
            },
            "versions": {
                "project": __version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        }
        return tensors, header

    def restore(self, tensors: dict[str, Array], header: dict[str, Any]) -> None:
        """Set everything that `state` returned, bit by bit.

        Raises
        ------
        CheckpointError
            If the state belongs to a network of another shape.
        """
        parts = {"q": self._weights, "target": self._target_weights, "m": self._m, "v": self._v}
        for prefix, part in parts.items():
            for name, view in part.items():
                saved = tensors.get(f"{prefix}.{name}")
                if saved is None or saved.shape != view.shape or saved.dtype != view.dtype:
                    got = "nothing" if saved is None else f"{saved.dtype} {saved.shape}"
                    raise CheckpointError(
                        f"the saved state does not fit this network: {prefix}.{name} "
                        f"must be {view.dtype} {view.shape}. Got {got} instead."
                    )
                view[...] = saved
        self._q_network["optimizer_state"]["t"] = int(header["t"])
        self.learning_rate, self.beta1, self.beta2, self.epsilon = header["adam"]
        self.exploration_rate = float(header["exploration_rate"])
        restore_generator(self._exploration_rng, header["generators"]["exploration"])
        restore_generator(self._replay_rng, header["generators"]["replay"])

    def policy_weights(self) -> dict[str, Array]:
        """Return a copy of the online network's weights: all that the greedy policy needs."""
        return {name: array.copy() for name, array in self._weights.items()}

    def save(self, path: str | Path) -> str:
        """Write networks, Adam and generators to one safetensors file, atomically.

        Returns
        -------
        str
            The SHA-256 of the content.
        """
        return write_tensors(Path(path), *self.state())

    @classmethod
    def load(cls, path: str | Path) -> DQN:
        """Read what `save` wrote; the same bytes come back, Adam included.

        Raises
        ------
        CheckpointError
            If the file is missing, damaged, or not a DQN's.
        """
        tensors, header = read_tensors(Path(path))
        if header.get("format") != "dqn/1":
            raise CheckpointError(f"{path}: not a saved DQN (format {header.get('format')!r})")
        try:
            dqn = cls(header["config"])
            dqn.build(tuple(header["input_shape"]), (header["n_actions"],))
            dqn.restore(tensors, header)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path}: its header does not fit this version: {error}"
            ) from error
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        return dqn
