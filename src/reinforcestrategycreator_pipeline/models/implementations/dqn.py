"""The deep Q-network in pure NumPy, with its own backpropagation and Adam.

One training step samples a batch (`replay`) and passes it to `models.learner.learner`: targets,
loss, and gradients (`models.learner.training_step`, `nn.heads`, `nn.network`), clipping and Adam
(`nn.adam`), the target network, and new priorities. docs/explanation/one-training-step.md explains
it line by line. Read examples/dqn_in_one_page.py first: the same step with the default options.

Sources: Mnih et al. 2015 (doi:10.1038/nature14236); double DQN: van Hasselt et al. 2016
(arXiv:1509.06461); for the other components see `DQNHyperparameters`. Requires only NumPy and the
standard library.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.action_masks import as_masks, random_actions
from reinforcestrategycreator_pipeline.action_masks import masked as masked_values
from reinforcestrategycreator_pipeline.arrays import Array, Bools, Ints
from reinforcestrategycreator_pipeline.checks import (
    from_mapping,
    require,
    require_bool,
    require_int,
    require_number,
)
from reinforcestrategycreator_pipeline.errors import (
    CheckpointError,
    ConfigError,
    NonFiniteError,
    nearest,
    shorten,
)
from reinforcestrategycreator_pipeline.memory import require_memory
from reinforcestrategycreator_pipeline.models.base import MODELS
from reinforcestrategycreator_pipeline.models.copies import DeepCopiesOnly
from reinforcestrategycreator_pipeline.models.implementations.dqn_config import (
    DQNConfig,
    DQNHyperparameters,
    HyperparameterKeywords,
)
from reinforcestrategycreator_pipeline.models.learner.learner import Learner
from reinforcestrategycreator_pipeline.models.learner.saved_replay import (
    PREFIX,
    replay_state,
    restore_replay,
)
from reinforcestrategycreator_pipeline.models.learner.size import (
    replay_bytes,
    require_network_memory,
)
from reinforcestrategycreator_pipeline.models.learner.state import (
    FORMAT,
    SavedDQN,
    config_record,
    loadable,
)
from reinforcestrategycreator_pipeline.nn.adam import Adam
from reinforcestrategycreator_pipeline.nn.heads.catalog import Head, build_head
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec
from reinforcestrategycreator_pipeline.nn.normalization import RunningNormalizer
from reinforcestrategycreator_pipeline.nn.schedules import checked_schedule
from reinforcestrategycreator_pipeline.nn.tensors import NamedTensors, NetworkState
from reinforcestrategycreator_pipeline.replay.batch import Batch, Replay
from reinforcestrategycreator_pipeline.replay.prioritized import PrioritizedSampler
from reinforcestrategycreator_pipeline.replay.ring import RingReplay
from reinforcestrategycreator_pipeline.replay.sampling import UniformSampler
from reinforcestrategycreator_pipeline.replay.store import RingStore, part
from reinforcestrategycreator_pipeline.seeding import generator

if TYPE_CHECKING:
    from pathlib import Path

    from reinforcestrategycreator_pipeline.models.gym.collectors import Environment
    from reinforcestrategycreator_pipeline.models.gym.masks import ActionMasking
    from reinforcestrategycreator_pipeline.models.gym.paused import PausedTraining
    from reinforcestrategycreator_pipeline.models.gym.rounds import Callback, LearningResult, Loop
    from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork


__all__ = ["DQN", "DQNConfig", "DQNHyperparameters"]


@MODELS.register("dqn")
class DQN(DeepCopiesOnly):
    """Deep Q-network for vector states and discrete actions.

    Parameters
    ----------
    config : mapping or DQNConfig, optional
        ``{"hyperparameters": {"hidden_layers": [64, 64], "learning_rate": 1e-3, ...}, "seed": 0,
        "dtype": "float32"}``; omitted keys have their defaults. ``"preset": "rainbow"`` sets a
        named group of hyperparameters (`models.presets`).
    preset : str, optional
        Name of a preset; overrides that of the mapping.
    seed : int, optional
        Seed of initialization, replay sampling, exploration, and noise, >= 0; 0 by default.
    dtype : {"float32", "float64"}, optional
        Type of weights, activations, moments, and stored states; float32 by default.
    **hyperparameters
        Fields of `DQNHyperparameters`; they override those of the mapping and the preset.

    Attributes
    ----------
    learning_rate, beta1, beta2, epsilon : float
        Parameters of Adam. Training never changes them.
    learner : Learner
        Networks, guard, generators, and the training step, created by `build`.
    learning_rate_scale : float
        Factor of the learning rate from its schedule, last set by `set_progress`.
    exploration_rate : float
        Probability of a random action, last set by `set_progress`.
    q_network : mapping
        Online network: ``{"weights": {"W0", "b0", ...}, "optimizer_state": {"t", "m", "v"}}``.
    target_network : mapping
        Target network: ``{"weights": {...}}``.
    gradients : mapping
        Gradients of the latest training step, by name of the weights.
    replay_buffer : RingReplay, or the replay passed to `build`
        Store of past transitions.
    masked : bool
        Whether it was trained with action masks, and so needs them to choose actions.
    normalizer : RunningNormalizer or None
        Normalization of the states, with `normalize_observations`.
    diagnostics : dict
        Values of the latest logged step: step, loss, grad_norm (before clipping), update_norm
        (relative to the norm of the weights), q_mean and q_max (over the batch and all actions,
        with action masks over the actions taken),
        dead_units (fraction of hidden units that are inactive for the whole batch), and
        learning_rate.

    Raises
    ------
    ConfigError
        If a key is unknown or a value invalid.

    Examples
    --------
    >>> dqn = DQN(hidden_layers=[32], seed=1)
    >>> dqn.build((4,), (2,))
    >>> dqn
    DQN(4 -> 32 -> 2, 226 weights, t=0)
    >>> dqn.predict(np.zeros(4)).shape
    (2,)
    """

    config: DQNConfig
    hyperparameters: DQNHyperparameters
    dtype: np.dtype[Any]
    head: Head
    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    exploration_rate: float
    learning_rate_scale: float
    progress: float
    # Set by `build`:
    input_shape: tuple[int, ...]
    n_inputs: int
    n_actions: int
    spec: NetworkSpec
    learner: Learner

    def __init__(
        self,
        config: Mapping[str, Any] | DQNConfig | None = None,
        *,
        preset: str | None = None,
        seed: int | None = None,
        dtype: Literal["float32", "float64"] | None = None,
        **hyperparameters: Unpack[HyperparameterKeywords],
    ) -> None:
        self.config = DQNConfig.of(
            config, preset=preset, seed=seed, dtype=dtype, hyperparameters=hyperparameters
        )
        self.hyperparameters = hp = self.config.hyperparameters
        self.dtype = np.dtype(self.config.dtype)
        self.head = build_head(hp)
        self.learning_rate = float(hp.learning_rate)
        self.beta1 = float(hp.adam_beta1)
        self.beta2 = float(hp.adam_beta2)
        self.epsilon = float(hp.adam_epsilon)
        self._generators = {
            name: generator(self.config.seed, f"dqn/{name}")
            for name in ("exploration", "replay", "noise", "target-noise")
        }
        self._exploration = checked_schedule(hp.exploration_schedule, largest=1.0)
        self._learning_rates = checked_schedule(hp.learning_rate_schedule)
        self.exploration_rate = hp.exploration_initial
        self.learning_rate_scale = 1.0
        self.progress = 0.0
        self.last_training: Loop | PausedTraining | None = None

    if not TYPE_CHECKING:  # type checkers would accept any name

        def __getattr__(self, name):
            # Called only for missing attributes, most of which are set by `build`.
            built = "learner" in self.__dict__
            near = nearest(name, (n for n in dir(type(self)) if not n.startswith("_")))
            hint = "" if built else "; call build(input_shape, output_shape) first"
            if name not in type(self).__annotations__ and "Did you mean" in near:
                hint = f".{near}"
            raise AttributeError(f"this DQN has no attribute {name!r}{hint}")

    def __repr__(self) -> str:
        hp = self.hyperparameters
        if not hasattr(self, "learner"):
            layers = " -> ".join(map(str, hp.hidden_layers))
            return f"DQN(? -> {layers} -> ?, not built)"
        layers = " -> ".join(map(str, (self.n_inputs, *hp.hidden_layers, self.n_actions)))
        networks = self.learner.networks
        head = "" if hp.head == "expected" else f"head={hp.head}, "
        return f"DQN({layers}, {head}{networks.weights.flat.size:,} weights, t={networks.t:,})"

    # -- networks ---------------------------------------------------------------------------

    def build(
        self,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        replay: Replay | None = None,
    ) -> None:
        """Create the online network, an equal target network, and an empty replay.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one state; several axes are flattened.
        output_shape : tuple of int
            ``(n_actions,)``, the number of actions.
        replay : Replay, optional
            Any object with ``sample(batch_size)``, instead of a new ring buffer. With
            `prioritized_replay`, a `RingStore` is set to sample by priority; any other replay needs
            ``update_priorities(indices, priorities)`` and a `sampler` with an attribute `beta`, and
            its batches need `weights` and `indices`.

        Raises
        ------
        ConfigError
            If a shape is empty or not positive, networks, batch or replay are estimated to need
            more memory than is available, the replay lacks priorities that are required, or
            its transitions do not span `n_step` steps.
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
        require_network_memory(self.spec, self.dtype, hp.batch_size, hp.batch_size)
        if replay is None:  # not `or`: an empty replay is falsy
            needed = replay_bytes(self.n_inputs, self.dtype, hp.buffer_size)
            require_memory(needed, "DQN", "buffer_size", hp.buffer_size)
            replay = self._own_replay()
        if isinstance(replay, RingStore):
            rule = f"{replay.n_step}, the number of steps that a transition of its replay spans"
            require(hp.n_step == replay.n_step, "DQN", "n_step", rule, hp.n_step)
        if hp.prioritized_replay:
            self._prioritize(replay)
        self.learner = Learner(self.config, self.spec, self.head, replay, self._generators)
        self.last_training = None

    def _own_replay(self) -> RingReplay:
        hp = self.hyperparameters
        return RingReplay(
            hp.buffer_size,
            self.n_inputs,
            self._generators["replay"],
            self.dtype,
            self.n_actions,
            n_step=hp.n_step,
            gamma=hp.gamma,
        )

    def _prioritize(self, replay: Any) -> None:
        """Set a `RingStore` to sample by priority; any other replay must do so already."""
        hp = self.hyperparameters
        sampler: Any = getattr(replay, "sampler", None)
        if isinstance(replay, RingStore) and isinstance(sampler, UniformSampler):
            sampler = PrioritizedSampler(replay.capacity, hp.priority_alpha, hp.priority_epsilon)
            replay.draw_by(sampler)
        by_priority = hasattr(replay, "update_priorities")
        if sampler is None or isinstance(sampler, UniformSampler) or not by_priority:
            raise ConfigError(
                f"prioritized_replay needs a replay with update_priorities and a sampler that uses "
                f"them. Got {type(replay).__name__} with {type(sampler).__name__} instead."
            )
        sampler.beta = hp.priority_beta_initial

    @property
    def replay_buffer(self) -> Any:
        """Stored transitions: a `RingReplay`, or the replay passed to `build`."""
        return self.learner.replay

    @property
    def normalizer(self) -> RunningNormalizer | None:
        """Normalization of the states, with `normalize_observations`."""
        return self.learner.normalizer

    @property
    def gradients(self) -> NamedTensors:
        """Gradients of the latest training step, by name of the weights."""
        return self.learner.networks.gradients

    @property
    def diagnostics(self) -> dict[str, float]:
        """Values of the latest logged step; see `DQN`."""
        return self.learner.diagnostics

    @property
    def masked(self) -> bool:
        """Whether it was trained with action masks, and so needs them to choose actions."""
        return self.learner.masked

    @property
    def squared_error(self) -> bool:
        """Whether the loss is the unweighted mean of squared errors."""
        hp = self.hyperparameters
        return (hp.head, hp.loss, hp.prioritized_replay) == ("expected", "squared", False)

    @property
    def q_network(self) -> NetworkState:
        """The online network; assigning a mapping copies its tensors."""
        return self.learner.networks.online

    @q_network.setter
    def q_network(self, value: Mapping[str, Any]) -> None:
        self.learner.networks.online.replace(value)

    @property
    def target_network(self) -> NetworkState:
        """The target network; assigning a mapping copies its tensors."""
        return self.learner.networks.target

    @target_network.setter
    def target_network(self, value: Mapping[str, Any]) -> None:
        self.learner.networks.target.replace(value)

    def update_target_network(self, tau: float = 1.0) -> None:
        """Move the target weights by the fraction `tau` toward the online weights (1: copy)."""
        self.learner.networks.update_target(tau)

    @property
    def noise(self) -> dict[str, Array] | None:
        """Noise e_W, e_b of the online network, ``{"W0": ..., "b0": ...}``; None if not noisy."""
        return self.learner.networks.noises[0].named() if self.spec.noisy else None

    @property
    def target_noise(self) -> dict[str, Array] | None:
        """Noise of the target network; see `noise`."""
        return self.learner.networks.noises[1].named() if self.spec.noisy else None

    def resample_noise(self) -> None:
        """Draw new noise for both networks of a noisy DQN; does nothing otherwise."""
        self.learner.networks.resample_noise()

    # -- acting -----------------------------------------------------------------------------

    def set_progress(self, progress: float) -> None:
        """Set the scheduled values: exploration, learning rate, and beta of prioritized replay.

        Parameters
        ----------
        progress : float
            Fraction of training done, in [0, 1].

        Raises
        ------
        ConfigError
            If a schedule returns an invalid value.
        """
        hp = self.hyperparameters
        self._set_beta(progress)
        self.exploration_rate = self.exploration_at(progress)
        if hp.learning_rate_schedule != "constant":
            now = self._learning_rates(hp.learning_rate, hp.learning_rate_final, progress)
            self.learning_rate_scale = now / hp.learning_rate

    def _set_beta(self, progress: float) -> None:
        hp, self.progress = self.hyperparameters, progress
        if hp.prioritized_replay:
            low, high = hp.priority_beta_initial, hp.priority_beta_final
            self.replay_buffer.sampler.beta = low + min(progress, 1.0) * (high - low)

    def exploration_at(self, progress: float) -> float:
        """Return the scheduled exploration rate at `progress`, from 0 (start) to 1 (end)."""
        hp = self.hyperparameters
        share = progress / hp.exploration_fraction
        return self._exploration(hp.exploration_initial, hp.exploration_final, share)

    def observe(self, states: Array) -> None:
        """Update the running normalization, if any, with states (E, n_inputs)."""
        if self.normalizer is not None:
            self.normalizer.update(np.reshape(states, (-1, self.n_inputs)))

    @np.errstate(over="ignore", invalid="ignore")
    def _forward(self, state: ArrayLike, network: Mapping[str, Any]) -> Array:
        """Return the Q-values of `network` for one state (n_actions,) or a batch (B, n_actions).

        A noisy network is evaluated without its noise.
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
        q = self.learner.values(rows, weights)
        return q[0] if single else q

    def predict(self, states: ArrayLike, mask: ArrayLike | None = None) -> Array:
        """Return the Q-values of one state, (n_actions,), or of a batch, (B, n_actions).

        NaN in, NaN out. A noisy network is evaluated without its noise.

        Parameters
        ----------
        states : array_like
            One state or a batch.
        mask : array_like of bool, shape (n_actions,) or (B, n_actions), optional
            Valid actions; the value of an invalid one is -inf. Without a mask, the network's values
            of all actions are returned; those of invalid actions were never trained.

        Raises
        ------
        ConfigError
            If the mask has another shape or type, or a row has no valid action.
        """
        q = self._forward(states, self.learner.networks.online)
        if mask is None:
            return q
        return masked_values(q, as_masks(mask, q.shape, "The mask parameter of DQN.predict"))

    def select_action(
        self, state: ArrayLike, exploration_rate: float = 0.0, mask: ArrayLike | None = None
    ) -> int:
        """Return a random action with probability `exploration_rate`, else the best action.

        Parameters
        ----------
        state : array_like
            One state, as for `predict`.
        exploration_rate : float
            Probability of a random action, in [0, 1].
        mask : array_like of bool, shape (n_actions,), optional
            Valid actions, to which the choice is limited; required if the DQN was trained with
            action masks.

        Raises
        ------
        ConfigError
            If the mask is missing, has another shape or type, or has no valid action; if the
            exploration rate is out of range.
        NonFiniteError
            If a Q-value is not finite.
        """
        if type(exploration_rate) is not float or not 0.0 <= exploration_rate <= 1.0:
            exploration_rate = _checked_rate("select_action", exploration_rate)
        valid = self._checked_mask(mask, (self.n_actions,), "select_action")
        rng = self._generators["exploration"]
        if exploration_rate > 0.0 and rng.random() < exploration_rate:
            if valid is not None:
                return int(random_actions(rng, valid[None])[0])
            return int(rng.integers(self.n_actions))
        q = self.predict(state)
        if not np.isfinite(q).all():
            raise NonFiniteError(f"the Q-values {q.tolist()} of a state are not finite")
        return int((q if valid is None else masked_values(q, valid)).argmax())

    def select_actions(
        self, states: Array, exploration_rate: float = 0.0, mask: ArrayLike | None = None
    ) -> Ints:
        """Return an action for each state (E, n_inputs), as in training.

        Each action is random with probability `exploration_rate`, independently. A noisy network
        draws new noise.

        Parameters
        ----------
        states : ndarray, shape (E, n_inputs)
            States, one row each.
        exploration_rate : float
            Probability of a random action, in [0, 1].
        mask : array_like of bool, shape (E, n_actions), optional
            Valid actions in each state; see `select_action`.

        Raises
        ------
        ConfigError
            If the mask is missing, has another shape or type, or a row has no valid action; if the
            exploration rate is out of range.
        NonFiniteError
            If a Q-value is not finite.
        """
        if type(exploration_rate) is not float or not 0.0 <= exploration_rate <= 1.0:
            exploration_rate = _checked_rate("select_actions", exploration_rate)
        valid = self._checked_mask(mask, (len(states), self.n_actions), "select_actions")
        return self.learner.act(states, exploration_rate, valid)

    def _checked_mask(
        self, mask: ArrayLike | None, shape: tuple[int, ...], caller: str
    ) -> Bools | None:
        if mask is not None:
            return as_masks(mask, shape, f"The mask parameter of DQN.{caller}")
        if self.learner.masked:
            raise ConfigError(
                f"The mask parameter of DQN.{caller} must be given, because this DQN was trained "
                f"with action masks. Got None instead."
            )
        return None

    # -- learning ---------------------------------------------------------------------------

    def train_step(self, batch_size: int | None = None, gamma: float | None = None) -> float:
        """Train on one batch of the replay.

        Parameters
        ----------
        batch_size : int, optional
            Transitions in the batch; by default the hyperparameter.
        gamma : float, optional
            Discount per step; by default the hyperparameter.

        Returns
        -------
        float
            Loss of the batch before the update.

        Raises
        ------
        ConfigError
            If the replay holds fewer transitions, or a parameter is out of range.
        NonFiniteError
            If the loss or a gradient is not finite; weights and moments are unchanged.
        DivergenceError
            If the action values exceed what the rewards allow, and `on_divergence` is "stop".
        """
        hp = self.hyperparameters
        if batch_size is not None:
            require_int("DQN.train_step", "batch_size", batch_size, 1)
        if gamma is not None:
            require_number("DQN.train_step", "gamma", gamma, low=0, high=1)
        size = hp.batch_size if batch_size is None else int(batch_size)
        return self._train_step(size, hp.gamma if gamma is None else float(gamma))

    def _train_step(self, batch_size: int, gamma: float) -> float:
        batch = self.learner.replay.sample(batch_size)
        return self.learner.alone.train(batch, [gamma], [self.adam])[0]

    @property
    def adam(self) -> Adam:
        """Parameters of Adam for the next update, with the scheduled learning rate."""
        rate = self.learning_rate * self.learning_rate_scale
        decay = self.hyperparameters.weight_decay
        return Adam(rate, self.beta1, self.beta2, self.epsilon, decay)

    @np.errstate(over="ignore", invalid="ignore")
    def compute_gradients(self, batch: Batch, gamma: float) -> float:
        """Return the loss of a batch, and compute `gradients` without clipping or an update.

        Raises
        ------
        NonFiniteError
            If the loss or a gradient is not finite.
        """
        result, _ = self.learner.alone.compute(batch, [gamma])
        self.learner.require_finite(batch, result)
        return result.loss()

    # -- a Gymnasium task -------------------------------------------------------------------

    def learn(
        self,
        env: Environment,
        total_steps: int,
        callback: Callback | Sequence[Callback] | None = None,
        *,
        eval_env: Environment | None = None,
        eval_interval: int = 10_000,
        eval_episodes: int = 10,
        eval_max_steps: int | None = None,
        keep_best: bool = False,
        checkpoint_folder: str | Path | None = None,
        checkpoint_interval: int = 10_000,
        resume: bool = False,
        progress_bar: bool = False,
        action_masking: ActionMasking = "auto",
        continue_training: bool = False,
    ) -> LearningResult:
        """Train on a Gymnasium environment with vector observations and discrete actions.

        If this DQN is not built yet, the spaces of the environment define the networks' shapes.

        Parameters
        ----------
        env : gymnasium.Env or gymnasium.vector.VectorEnv
            Observations must be a Box of any shape, which is flattened; actions a Discrete space
            with any start. A vector may use any of Gymnasium's autoreset modes. With DISABLED, its
            reset must support ``options["reset_mask"]``.
        total_steps : int
            Environment steps, summed over all environments. A vector of E environments may exceed
            it by up to E - 1.
        callback : callable or sequence of callables, optional
            Called as ``callback(env_step, row)`` at every logged training step; the row is
            `diagnostics` plus exploration rate and environment steps per second. After an
            evaluation, the row is ``{"evaluation_return": mean}``. Returning False, Python's or
            NumPy's, ends training.
        eval_env : gymnasium.Env, optional
            A separate environment for evaluating the greedy policy. Its seeds derive from the
            model's seed; evaluation does not affect training.
        eval_interval, eval_episodes : int
            Environment steps between two evaluations, and episodes per evaluation, >= 1. A final
            evaluation follows the last step.
        eval_max_steps : int, optional
            Steps after which an evaluation's episode is cut off, >= 1; a warning says so once, and
            the return counts up to there. By default the time limit of `eval_env`, or 10,000 if it
            has none.
        keep_best : bool
            At the end, restore the model of the best evaluation; the earliest wins ties.
        checkpoint_folder : str or Path, optional
            Folder for checkpoints, written every `checkpoint_interval` environment steps, on Ctrl-C
            or SIGTERM, and at the end. They contain the complete state, including the replay.
        checkpoint_interval : int
            Environment steps between two checkpoints, >= 1. After as many training steps without an
            environment step, one is written, too.
        resume : bool
            Continue from the newest valid checkpoint in the folder, if there is one; the result is
            bit-identical to that of an uninterrupted training. `total_steps` may be larger than it
            was, as with `continue_training`. The environment's state is restored
            with its ``get_state()`` and ``set_state(state)`` (a mapping of names to arrays or JSON
            values) if it has both, otherwise by replaying the episode; see `models.gym.recording`.
            If that fails, a new episode begins, a warning is logged, and the step is added to
            `LearningResult.restarts`.
        progress_bar : bool
            Show a progress bar on standard error.
        action_masking : {"auto", "on", "off"}
            Whether only valid actions are chosen and bootstrapped from. They are read from
            ``info["action_mask"]`` or, if that is missing, from the method `action_masks` of the
            environment, at every reset and step: booleans or the integers 0 and 1, shape
            (n_actions,). "auto" uses masks if the first reset gives them; "on" requires them; "off"
            ignores them.
        continue_training : bool
            Go on with this model's last training, which ended, was stopped, or was saved by
            ``save(path, replay=True)``, up to `total_steps` steps in all. These may be more than
            before: schedules then follow the fraction of the new total. With the same `env`, which
            must not have been stepped or reset since, its running episode goes on, and a training
            that was stopped gets the bits of one that was not; otherwise a new episode begins.
            False begins another training: steps and schedules from 0, other episodes, but the same
            networks and replay.

        Returns
        -------
        LearningResult
            Episodes, evaluations, and steps of the training, with those before it was continued.

        Raises
        ------
        ConfigError
            If a parameter is invalid, or the spaces do not fit the model.
        CheckpointError
            If no checkpoint can be read, or they belong to another training.
        NonFiniteError
            If a number from the environment or the learner is not finite. The last checkpoint is
            kept.
        KeyboardInterrupt
            On Ctrl-C or SIGTERM, after finishing the step and writing a checkpoint.
        """
        from reinforcestrategycreator_pipeline.models.gym import loop as gym_loop

        return gym_loop.learn(
            self, env, total_steps, callback, eval_env=eval_env, eval_interval=eval_interval,
            eval_episodes=eval_episodes, eval_max_steps=eval_max_steps, keep_best=keep_best,
            checkpoint_folder=checkpoint_folder, checkpoint_interval=checkpoint_interval,
            resume=resume, progress_bar=progress_bar, action_masking=action_masking,
            continue_training=continue_training,
        )  # fmt: skip

    # -- state ------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> DQN:
        # Networks are views into flat buffers, so a copy needs its own. If the replay uses this
        # model's generator, its copy must use the generator of the new model.
        twin = type(self)(self.config)
        memo[id(self)] = twin
        for name, rng in self._generators.items():
            memo[id(rng)] = twin._generators[name]
        if hasattr(self, "learner"):
            replay = copy.deepcopy(self.replay_buffer, memo)
            twin.build(self.input_shape, (self.n_actions,), replay)
            twin.restore(*self.state())
            twin.learner.take_unsaved(self.learner)
        if self.last_training is not None:
            twin.last_training = self.last_training.paused()
        return twin

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the complete training state, except the content of the replay.

        Returns
        -------
        tensors : dict of str to ndarray
            ``q.W0``, ``target.W0``, ``m.W0``, ``v.W0``, ..., ``normalizer.*``; views, not copies.
        header : dict
            JSON-serializable: config, shapes, t, progress, guard, generators, and versions.
        """
        saved = SavedDQN(
            config=config_record(self.config),
            input_shape=list(self.input_shape),
            n_actions=self.n_actions,
            adam=[self.learning_rate, self.beta1, self.beta2, self.epsilon],
            schedules=[self.progress, self.exploration_rate, self.learning_rate_scale],
            masked=self.masked,
            **self.learner.record(),
        )
        return self.learner.tensors(), dataclasses.asdict(saved)

    def restore(self, tensors: dict[str, Array], header: dict[str, Any]) -> None:
        """Restore a state returned by `state`, bit for bit.

        Raises
        ------
        CheckpointError
            If the state belongs to a network of another shape.
        """
        saved = from_mapping(SavedDQN, header, "a saved DQN's header")
        self.learner.restore(tensors, saved.t, saved.guard, saved.generators)
        self.learning_rate, self.beta1, self.beta2, self.epsilon = saved.adam
        # Schedules may be user code that is not available now, so their values are restored.
        progress, self.exploration_rate, self.learning_rate_scale = saved.schedules
        self._set_beta(progress)
        self.learner.masked = saved.masked

    def policy_network(self) -> PolicyNetwork:
        """Return a frozen copy for the greedy policy: weights, head, and normalization.

        Its values are those of `predict`, computed row by row; noise and its sigmas are omitted. If
        the DQN was trained with action masks, they need a mask.
        """
        from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork

        weights = self.learner.networks.weights
        return PolicyNetwork.of(
            self.spec, weights, self.hyperparameters, self.normalizer, self.masked
        )

    def export_onnx(self, path: str | Path) -> str:
        """Write the greedy policy as ONNX; see `models.export.export_onnx`."""
        from reinforcestrategycreator_pipeline.models.export import export_onnx

        return export_onnx(self, path)

    def save(self, path: str | Path, replay: bool = False) -> str:
        """Write networks, Adam, normalization, and generators to one safetensors file, atomically.

        Parameters
        ----------
        path : str or Path
            Path of the file.
        replay : bool
            Write the replay, too, with pending n-step windows and priorities: the loaded DQN then
            trains on to the same bits as this one.

        Returns
        -------
        str
            The SHA-256 of the content.

        Raises
        ------
        ConfigError
            If the loss, the head, or a schedule is an object that cannot be imported by its name;
            if `replay`, and it was passed to `build`.
        NonFiniteError
            If `replay`, and a stored number is not finite.
        CheckpointError
            If the file would be larger than `load` accepts.
        """
        from reinforcestrategycreator_pipeline.storage.tensor_files import write_tensors

        require_bool("DQN.save", "replay", replay)
        config_record(self.config, strict=True)
        tensors, header = self.state()
        if replay:
            own = self._own_replay()
            if self.hyperparameters.prioritized_replay:
                self._prioritize(own)
            found = replay_state(self.replay_buffer, own, self._generators["replay"])
            tensors, header = tensors | found[0], header | {"replay": found[1]}
            if self.last_training is not None:
                paused = self.last_training.paused()
                tensors |= {f"training.{k}": v for k, v in paused.tensors().items()}
                header["training"] = paused.header()
        return write_tensors(path, tensors, header)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a DQN written by `save`; all state, including Adam, is restored bit for bit.

        The replay is empty unless it was saved.

        A schedule that cannot be imported raises only when training continues.

        Raises
        ------
        CheckpointError
            If the file is missing, damaged, or not a DQN, or its head or loss cannot be imported.
        """
        # Lazy: importing the learner should cost little more than importing NumPy.
        from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors

        tensors, header = read_tensors(path)
        if header.get("format") != FORMAT:
            raise CheckpointError(f"{path}: not a saved DQN (format {header.get('format')!r})")
        header = dict(header)
        replay, training = header.pop("replay", None), header.pop("training", None)
        try:
            saved = from_mapping(SavedDQN, header, "a saved DQN's header")
            dqn = cls(loadable(saved.config))
            dqn.build(tuple(saved.input_shape), (saved.n_actions,))
            dqn.restore(tensors, header)
            if replay is not None:
                restore_replay(dqn.replay_buffer, tensors, replay)
            if training is not None:
                from reinforcestrategycreator_pipeline.models.gym.paused import PausedTraining

                dqn.last_training = PausedTraining.of(part(tensors, "training."), training)
            expected = set(dqn.learner.tensors())
            for prefix, given in ((PREFIX, replay), ("training.", training)):
                expected |= {n for n in tensors if given is not None and n.startswith(prefix)}
            if set(tensors) != expected:
                names = ", ".join(sorted(set(tensors) ^ expected))
                raise CheckpointError(f"its header does not name what it holds: {shorten(names)}")
        except (CheckpointError, NonFiniteError) as error:
            raise CheckpointError(f"{path}: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path}: its header does not fit this version, {__version__}: {error}"
            ) from error
        return dqn


def _checked_rate(method: str, rate: Any) -> float:
    require_number(f"DQN.{method}", "exploration_rate", rate, low=0, high=1)
    return float(rate)
