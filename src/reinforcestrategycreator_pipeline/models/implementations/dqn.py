"""The deep Q-network in pure NumPy: our own backpropagation and Adam.

One training step is written in the order of `DQN._train_step`: sample (`replay`), targets, loss
and gradients (`models.learner.training_step`, `nn.heads`, `nn.network`), clipping and Adam
(`nn.adam`), the target network, new priorities. docs/how-the-learner-works.md follows it line by
line.

Sources: Mnih et al. 2015 (doi:10.1038/nature14236); double DQN: van Hasselt et al. 2016
(arXiv:1509.06461); the other parts' are at their hyperparameters. NumPy and the standard library
alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.models.base import MODELS
from reinforcestrategycreator_pipeline.models.implementations.dqn_config import (
    MAX_LEARNING_RATE,
    MIN_EPSILON,
    DQNConfig,
    DQNHyperparameters,
)
from reinforcestrategycreator_pipeline.models.learner.acting import explore
from reinforcestrategycreator_pipeline.models.learner.diagnostics import diagnose
from reinforcestrategycreator_pipeline.models.learner.guards import (
    DivergenceGuard,
    refuse_non_finite,
    require_convergence,
    squared_norm_float64,
)
from reinforcestrategycreator_pipeline.models.learner.networks import QNetworks, buffers_for
from reinforcestrategycreator_pipeline.models.learner.state import (
    load_state,
    restore_state,
    save_state,
    state_of,
)
from reinforcestrategycreator_pipeline.models.learner.training_step import StepResult
from reinforcestrategycreator_pipeline.nn.adam import Coefficients, flush
from reinforcestrategycreator_pipeline.nn.heads.catalog import build_head
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec, apply, initialise
from reinforcestrategycreator_pipeline.nn.normalization import RunningNormalizer
from reinforcestrategycreator_pipeline.nn.schedules import schedule
from reinforcestrategycreator_pipeline.nn.tensors import NamedTensors, NetworkState
from reinforcestrategycreator_pipeline.replay.batch import Batch, Replay
from reinforcestrategycreator_pipeline.replay.prioritized import PrioritizedSampler
from reinforcestrategycreator_pipeline.replay.ring import RingReplay
from reinforcestrategycreator_pipeline.replay.sampling import UniformSampler
from reinforcestrategycreator_pipeline.seeding import generator

if TYPE_CHECKING:
    from pathlib import Path

    from reinforcestrategycreator_pipeline.models.gym.loop import LearningResult
    from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork

Array = NDArray[Any]

WEIGHTS_CHECK_INTERVAL = 100
DIVERGENCE_CHECK_INTERVAL = 10

__all__ = ["DQN", "DQNConfig", "DQNHyperparameters"]


@MODELS.register("dqn")
class DQN:
    """Deep Q-network on vector states and discrete actions.

    Parameters
    ----------
    config : mapping or DQNConfig, optional
        ``{"hyperparameters": {"hidden_layers": [64, 64], "learning_rate": 1e-3, ...}, "seed": 0,
        "dtype": "float32"}``; what is left out has its default. ``"preset": "rainbow"`` sets
        hyperparameters that belong together (`models.presets`).

    Attributes
    ----------
    learning_rate, beta1, beta2, epsilon : float
        Adam's parameters. Training never changes them.
    learning_rate_scale : float
        What the schedule multiplies the learning rate by, as `set_progress` has set it last.
    exploration_rate : float
        Probability of a random action, as `set_progress` has set it last.
    q_network : mapping
        ``{"weights": {"W0", "b0", ...}, "optimizer_state": {"t", "m", "v"}}``.
    target_network : mapping
        ``{"weights": {...}}``.
    gradients : mapping
        Of the newest training step, by the weights' names.
    replay_buffer : RingReplay, or what `build` was given
        Where the transitions are.
    normalizer : RunningNormalizer or None
        Of the states, with `normalize_observations`.
    diagnostics : dict
        Of the newest logged step: step, loss, grad_norm (before clipping), update_norm (relative
        to the norm of the weights), q_mean and q_max (over the batch and all actions), dead_units
        (share of the hidden units that no state of the batch woke), learning_rate.

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
        self.hyperparameters = hp = self.config.hyperparameters
        self.dtype = np.dtype(self.config.dtype)
        self.head = build_head(hp)
        self.learning_rate = float(hp.learning_rate)
        self.beta1 = float(hp.adam_beta1)
        self.beta2 = float(hp.adam_beta2)
        self.epsilon = float(hp.adam_epsilon)
        self.diagnostics: dict[str, float] = {}
        self._generators = {
            name: generator(self.config.seed, f"dqn/{name}")
            for name in ("exploration", "replay", "noise", "target-noise")
        }
        # Refuses an unknown schedule now, not at the end of a long training.
        schedule(hp.learning_rate_schedule, 1.0, 0.5, 1.0)
        self.exploration_rate = self.exploration_at(0.0)
        self.learning_rate_scale = 1.0
        self.progress = 0.0

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
            Anything with ``sample(batch_size)``, in the place of the ring buffer. With
            `prioritized_replay`, a batch must have `weights` and `indices`, and the replay
            ``update_priorities(indices, priorities)`` and a `sampler` with an attribute `beta`.

        Raises
        ------
        ConfigError
            If a shape is empty or not positive, or the replay has no priorities and should.
        """
        for name, shape in (("input_shape", input_shape), ("output_shape", output_shape)):
            ok = isinstance(shape, tuple | list) and len(shape) > 0
            if not ok or not all(isinstance(n, int | np.integer) and n >= 1 for n in shape):
                raise ConfigError(
                    f"The {name} parameter of DQN.build must be a tuple of integers >= 1. "
                    f"Got {shape!r} instead."
                )
        hp = self.hyperparameters
        self.input_shape = tuple(int(n) for n in input_shape)
        self.n_inputs = int(np.prod(self.input_shape))
        self.n_actions = int(np.prod(output_shape))
        self.spec = NetworkSpec(
            self.n_inputs,
            hp.hidden_layers,
            self.n_actions,
            self.head.n_outputs,
            hp.dueling,
            hp.layer_norm,
            hp.noisy,
        )
        if replay is None:  # not `or`: an empty replay is falsy
            replay = self._make_replay()
        self.replay_buffer: Any = replay
        if hp.prioritized_replay:
            sampler: Any = getattr(replay, "sampler", None)
            uniform = sampler is None or isinstance(sampler, UniformSampler)
            if uniform or not hasattr(replay, "update_priorities"):
                raise ConfigError(
                    f"prioritized_replay needs a replay with update_priorities and a sampler that "
                    f"draws by them. Got {type(replay).__name__} with {type(sampler).__name__} "
                    f"instead."
                )
            sampler.beta = hp.priority_beta_initial
        self.normalizer = (
            RunningNormalizer(self.n_inputs, hp.observation_clip)
            if hp.normalize_observations
            else None
        )
        self._guard = DivergenceGuard()
        self._use(buffers_for(self.spec, self.dtype))
        self._weights.flat[:] = self.first_weights().flat
        self.update_target_network()

    def first_weights(self) -> NamedTensors:
        """Return the weights that the seed gives an untrained network."""
        weights = NamedTensors(self.spec.shapes, self.dtype)
        rng = generator(self.config.seed, "dqn/initialisation")
        initialise(weights, self.spec, rng, self.hyperparameters.noisy_sigma)
        return weights

    def _make_replay(self) -> RingReplay:
        hp = self.hyperparameters
        sampler = None
        if hp.prioritized_replay:
            sampler = PrioritizedSampler(hp.buffer_size, hp.priority_alpha, hp.priority_epsilon)
        return RingReplay(
            hp.buffer_size,
            self.n_inputs,
            self._generators["replay"],
            self.dtype,
            self.n_actions,
            n_step=hp.n_step,
            gamma=hp.gamma,
            sampler=sampler,
        )

    def _use(self, buffers: Array, noisy_buffers: Array | None = None) -> None:
        """Put everything that is learned into the rows of `buffers`; see `QNetworks`."""
        hp, rngs = self.hyperparameters, self._generators
        noises = rngs["noise"], rngs["target-noise"]
        self._networks = QNetworks(
            self.spec, self.head, hp.double_dqn, buffers, *noises, noisy_buffers
        )
        self._weights, self._m, self._v = (
            getattr(self._networks, n) for n in ("weights", "m", "v")
        )
        self.gradients = self._networks.gradients
        self._weight_decay = hp.weight_decay

    def move_to(self, buffers: Array, noisy_buffers: Array | None = None) -> None:
        """Go on in other buffers, those of a population: the networks' content moves there."""
        tensors, t = self._networks.tensors(), self._networks.t
        self._use(buffers, noisy_buffers)
        self._networks.restore(tensors)
        self._networks.t = t

    @property
    def q_network(self) -> NetworkState:
        """The online network; assigning a mapping copies its tensors in."""
        return self._networks.online

    @q_network.setter
    def q_network(self, value: Mapping[str, Any]) -> None:
        self._networks.online.replace(value)

    @property
    def target_network(self) -> NetworkState:
        """The target network; assigning a mapping copies its tensors in."""
        return self._networks.target

    @target_network.setter
    def target_network(self, value: Mapping[str, Any]) -> None:
        self._networks.target.replace(value)

    def update_target_network(self, tau: float = 1.0) -> None:
        """Move the target weights by the share `tau` towards the online weights; 1 copies them."""
        self._networks.update_target(tau)

    @property
    def noise(self) -> dict[str, Array] | None:
        """The online network's noise e_W, e_b by layer, ``{"W0": ..., "b0": ...}``; or None."""
        return self._networks.noises[0].named() if self.spec.noisy else None

    @property
    def target_noise(self) -> dict[str, Array] | None:
        """The target network's noise; see `noise`."""
        return self._networks.noises[1].named() if self.spec.noisy else None

    def resample_noise(self) -> None:
        """Draw new noise for both networks of a noisy DQN; others have none."""
        self._networks.resample_noise()

    # -- acting -----------------------------------------------------------------------------

    def set_progress(self, progress: float) -> None:
        """Set what is scheduled: exploration, learning rate and the importance weights' beta.

        Parameters
        ----------
        progress : float
            Share of training that is done, from 0 to 1.
        """
        hp = self.hyperparameters
        self.progress = progress
        self.exploration_rate = self.exploration_at(progress)
        if hp.learning_rate_schedule != "constant":
            kind, final = hp.learning_rate_schedule, hp.learning_rate_final
            now = schedule(kind, hp.learning_rate, final, progress)
            self.learning_rate_scale = now / hp.learning_rate
        if hp.prioritized_replay:
            low, high = hp.priority_beta_initial, hp.priority_beta_final
            self.replay_buffer.sampler.beta = low + min(progress, 1.0) * (high - low)

    def exploration_at(self, progress: float) -> float:
        """Return the scheduled exploration rate at `progress` (0 start, 1 end) of training."""
        hp = self.hyperparameters
        kind, share = hp.exploration_schedule, progress / hp.exploration_fraction
        return schedule(kind, hp.exploration_initial, hp.exploration_final, share)

    def observe(self, states: Array) -> None:
        """Count states (E, n_inputs) in the running normalisation, if there is one."""
        if self.normalizer is not None:
            self.normalizer.update(np.reshape(states, (-1, self.n_inputs)))

    @np.errstate(over="ignore", invalid="ignore")
    def _forward(self, state: ArrayLike, network: Mapping[str, Any]) -> Array:
        """Return the Q-values of `network` for one state (n_actions,) or a batch (B, n_actions).

        A noisy network answers without its noise.
        """
        weights = network["weights"]
        x = np.asarray(state, dtype=weights["W0"].dtype)
        single = x.ndim < 2 or x.shape == self.input_shape
        shape = (1, x.size) if single else (len(x), math.prod(x.shape[1:]))
        rows = np.ascontiguousarray(x.reshape(shape))
        if rows.shape[1] != self.n_inputs:
            raise ConfigError(
                f"a state of DQN must have the shape {self.input_shape}. Got {x.shape} instead."
            )
        if self.normalizer is not None:
            rows = self.normalizer.apply(rows)
        q = self.head.values(apply(self.spec, weights, rows))
        return q[0] if single else q

    def predict(self, states: ArrayLike) -> Array:
        """Return the Q-values of one state, (n_actions,), or of a batch, (B, n_actions).

        NaN in a state gives NaN.
        """
        return self._forward(states, self._networks.online)

    def select_action(self, state: ArrayLike, exploration_rate: float = 0.0) -> int:
        """Return a random action with probability `exploration_rate`, else the best one.

        Raises
        ------
        NonFiniteError
            If a Q-value is not finite: there is no best action then.
        """
        rng = self._generators["exploration"]
        if exploration_rate > 0.0 and rng.random() < exploration_rate:
            return int(rng.integers(self.n_actions))
        q = self.predict(state)
        if not np.isfinite(q).all():
            raise NonFiniteError(f"the Q-values {q.tolist()} of a state are not finite")
        return int(q.argmax())

    def select_actions(self, states: Array, exploration_rate: float = 0.0) -> NDArray[np.int64]:
        """Return an action for each state (E, n_inputs), as in training: a noisy network's noise
        is drawn anew, and each state by itself explores with probability `exploration_rate`.

        Raises
        ------
        NonFiniteError
            If a Q-value is not finite.
        """  # noqa: D205
        return explore(
            self._networks,
            states,
            self.normalizer,
            self._generators["exploration"],
            exploration_rate,
        )

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
        DivergenceError
            If the action values have left what the rewards allow, and `on_divergence` is "stop".
        """
        return self._train_step(
            self.hyperparameters.batch_size if batch_size is None else batch_size,
            self.hyperparameters.gamma if gamma is None else gamma,
        )

    # What NumPy would warn of is checked in one place, and said better.
    @np.errstate(over="ignore", invalid="ignore")
    def _train_step(self, batch_size: int, gamma: float) -> float:
        networks, t = self._networks, self._networks.t
        batch = self.replay_buffer.sample(batch_size)
        networks.resample_noise()
        result, squared_norm = networks.compute(batch, gamma, self.normalizer)
        loss = result.loss()
        self._require_finite_step(batch, result, loss, squared_norm)
        if t % DIVERGENCE_CHECK_INTERVAL == 0:
            require_convergence(self, batch, gamma, result)
        adam = self._adam(t + 1)
        before, norm = self._begin_update(t + 1, squared_norm)
        networks.update(adam)
        self._finish_update(t + 1, before, norm, result)
        if batch.weights is not None:  # drawn by priority
            self.replay_buffer.update_priorities(batch.indices, result.transition_priorities())
        return loss

    def compute_gradients(self, batch: Batch, gamma: float) -> float:
        """Return the loss of a batch and fill `gradients`, unclipped; nothing is updated.

        Raises
        ------
        NonFiniteError
            If the loss or a gradient is not finite.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            result, squared_norm = self._networks.compute(batch, gamma, self.normalizer)
            loss = result.loss()
            self._require_finite_step(batch, result, loss, squared_norm)
        return loss

    def _require_finite_step(
        self, batch: Batch, result: StepResult, loss: float, squared_norm: float
    ) -> None:
        # A sum of squares is finite only if every term is. Loss and gradient alone do not show
        # everything: not the action that nobody took, not the state behind a termination.
        everything = loss + squared_norm + result.checksum
        networks = self._networks
        if networks.t % WEIGHTS_CHECK_INTERVAL == 0:
            # A hidden unit's bias of -inf is 0 behind ReLU, and shows nowhere else.
            for weights in (networks.weights.flat, networks.target_weights.flat):
                everything += float(weights @ weights)
        if not abs(everything) < math.inf:
            self._refuse_non_finite(batch, result, squared_norm)

    def _refuse_non_finite(self, batch: Batch, result: StepResult, squared_norm: float) -> None:
        if self.hyperparameters.max_grad_norm is not None:
            squared_norm = squared_norm_float64(self.gradients.flat)  # clipped, it may be large
        refuse_non_finite(self._networks, batch, result, squared_norm)

    def _adam(self, t: int) -> Coefficients:
        """Return what Adam's update `t` needs."""
        sound = 0 <= self.learning_rate <= MAX_LEARNING_RATE and self.epsilon >= MIN_EPSILON
        if not (sound and 0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise ConfigError(
                f"Adam needs a learning_rate from 0 to {MAX_LEARNING_RATE}, betas in [0, 1) and an "
                f"epsilon >= {MIN_EPSILON}. Got {self.learning_rate!r}, {self.beta1!r}, "
                f"{self.beta2!r} and {self.epsilon!r} instead."
            )
        rate, decay = self.learning_rate * self.learning_rate_scale, self._weight_decay
        return Coefficients.of(t, rate, self.beta1, self.beta2, self.epsilon, decay)

    def _begin_update(
        self, t: int, squared_norm: float | None = None
    ) -> tuple[Array | None, float]:
        """Clip the gradient; return the weights, if update `t` is logged, and the norm.

        The norm is 0 where nothing needs it.
        """
        hp = self.hyperparameters
        limit, interval = hp.max_grad_norm, hp.log_interval
        due = interval > 0 and t % interval == 0
        norm = 0.0
        if due or limit is not None:
            gradient = self.gradients.flat
            square = float(gradient.dot(gradient)) if squared_norm is None else squared_norm
            norm = math.sqrt(square if square < math.inf else squared_norm_float64(gradient))
            if limit is not None and norm > limit:
                gradient *= limit / norm
        return (self._weights.flat.copy() if due else None), norm

    def _finish_update(self, t: int, before: Array | None, norm: float, result: StepResult) -> None:
        """Count the update, move the target network when it is due, and log against `before`."""
        hp, networks = self.hyperparameters, self._networks
        networks.t = t
        flush(networks.m.flat, networks.v.flat, t, self.beta1, self.beta2)
        if t % hp.target_update_interval == 0:
            self.update_target_network(hp.tau)
        if before is not None:
            self.diagnostics = diagnose(self, t, before, norm, result)

    # -- a Gymnasium task -------------------------------------------------------------------

    def learn(
        self,
        env: Any,
        total_steps: int,
        callback: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None,
        *,
        eval_env: Any = None,
        eval_interval: int = 10_000,
        eval_episodes: int = 10,
        keep_best: bool = False,
        checkpoint_folder: str | Path | None = None,
        checkpoint_interval: int = 10_000,
        resume: bool = False,
        progress_bar: bool = False,
    ) -> LearningResult:
        """Train on a Gymnasium environment, or a vector of them; see `models.gym.loop.learn`."""
        from reinforcestrategycreator_pipeline.models.gym import loop as gym_loop

        return gym_loop.learn(
            self, env, total_steps, callback, eval_env=eval_env, eval_interval=eval_interval,
            eval_episodes=eval_episodes, keep_best=keep_best, checkpoint_folder=checkpoint_folder,
            checkpoint_interval=checkpoint_interval, resume=resume, progress_bar=progress_bar,
        )  # fmt: skip

    # -- state ------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> DQN:
        # Networks are views into flat buffers, which a copy must make for itself; its replay, if
        # it draws from this model's generator, draws from the copy's.
        twin = type(self)(self.config)
        memo[id(self)] = twin
        for name, rng in self._generators.items():
            memo[id(rng)] = twin._generators[name]
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
            ``q.W0``, ``target.W0``, ``m.W0``, ``v.W0``, ..., ``normalizer.*``; views, not copies.
        header : dict
            JSON-ready: config, shapes, t, progress, guard, generators, versions.
        """
        return state_of(self)

    def restore(self, tensors: dict[str, Array], header: dict[str, Any]) -> None:
        """Set everything that `state` returned, bit by bit.

        Raises
        ------
        CheckpointError
            If the state belongs to a network of another shape.
        """
        restore_state(self, tensors, header)

    def policy_network(self) -> PolicyNetwork:
        """Return a frozen copy of all that the greedy policy needs: weights, head, normalisation.

        Its values are `predict`'s, row by row; noise and its sigmas are left out.
        """
        from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork

        return PolicyNetwork.of(self.spec, self._weights, self.hyperparameters, self.normalizer)

    def export_onnx(self, path: str | Path) -> str:
        """Write the greedy policy as ONNX; see `models.export.export_onnx`."""
        from reinforcestrategycreator_pipeline.models.export import export_onnx

        return export_onnx(self, path)

    def save(self, path: str | Path) -> str:
        """Write networks, Adam, normalisation and generators to one safetensors file, atomically.

        Returns
        -------
        str
            The SHA-256 of the content.
        """
        return save_state(self, path)

    @classmethod
    def load(cls, path: str | Path) -> DQN:
        """Read what `save` wrote; the same bytes come back, Adam included.

        Raises
        ------
        CheckpointError
            If the file is missing, damaged, or not a DQN's.
        """
        return load_state(cls, path)
