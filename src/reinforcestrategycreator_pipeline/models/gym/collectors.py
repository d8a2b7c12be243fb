"""Stepping a Gymnasium environment, or a vector of them, and storing the transitions.

A replay stores (state, action, reward, next state, terminated) for each step. The next state of the
last step of an episode is its final observation, never the first observation of the next episode.
Where these are found depends on how a vector of environments resets itself (Gymnasium's autoreset
modes):

    NEXT_STEP  the step returns the final observation; the following step is the reset, whatever
               the action, and not a transition
    SAME_STEP  the step returns the first observation of the next episode; the final one is in
               info["final_obs"]
    DISABLED   the step returns the final observation; the caller resets with options["reset_mask"]
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array, Bools, Ints
from reinforcestrategycreator_pipeline.errors import ConfigError, needs, shorten
from reinforcestrategycreator_pipeline.models.base import Model
from reinforcestrategycreator_pipeline.models.gym.masks import KEY, ActionMasking, MaskReader
from reinforcestrategycreator_pipeline.models.gym.recording import Recorder
from reinforcestrategycreator_pipeline.models.gym.returned import CheckedEnv, Returned
from reinforcestrategycreator_pipeline.models.implementations.dqn_config import (
    DQNConfig,
    DQNHyperparameters,
)

if TYPE_CHECKING:
    import gymnasium

OWNER = "DQN.learn"

Environment: TypeAlias = "gymnasium.Env[Any, Any] | gymnasium.vector.VectorEnv[Any, Any, Any]"


class TaskModel(Model, Protocol):
    """A model that learns on a task: a `DQN`."""

    config: DQNConfig
    dtype: np.dtype[Any]
    input_shape: tuple[int, ...]
    n_inputs: int
    n_actions: int
    last_training: Any

    @property
    def hyperparameters(self) -> DQNHyperparameters:
        """Hyperparameters of the model."""
        ...

    @property
    def replay_buffer(self) -> Any:
        """Replay that the transitions go to."""
        ...

    @property
    def learner(self) -> Any:
        """Networks of the model; its attribute ``networks.t`` counts the updates."""
        ...

    @property
    def masked(self) -> bool:
        """Whether the model was trained with action masks."""
        ...

    def predict(self, states: Array, mask: Bools | None = None) -> Array:
        """Return the action values of one state or a batch; -inf for invalid actions."""
        ...

    def select_actions(
        self, states: Array, exploration_rate: float = 0.0, mask: Bools | None = None
    ) -> Ints:
        """Return an action for each state (E, n_inputs), a valid one if there is a mask."""
        ...


@dataclass(frozen=True)
class Task:
    """Spaces of one environment.

    Attributes
    ----------
    shape : tuple of int
        Shape of an observation.
    n_actions, first_action : int
        Actions are the integers from `first_action` to ``first_action + n_actions - 1``.
    """

    shape: tuple[int, ...]
    n_actions: int
    first_action: int


@dataclass
class Episodes:
    """Finished episodes, in the order in which they ended.

    Attributes
    ----------
    returns : list of float
        Undiscounted sum of rewards of each episode.
    lengths, ended_at : list of int
        Number of steps of each episode, and the environment step at which it ended.
    """

    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    ended_at: list[int] = field(default_factory=list)

    def add(self, episode_return: float, length: int, step: int) -> None:
        """Add an episode that ended at environment step `step`."""
        self.returns.append(episode_return)
        self.lengths.append(length)
        self.ended_at.append(step)


def task_of(env: Any, name: str = "env") -> Task:
    """Return the spaces of an environment, or of each environment in a vector.

    Parameters
    ----------
    env : gymnasium.Env or gymnasium.vector.VectorEnv
        Environment to step.
    name : str
        Name of the parameter in messages.

    Raises
    ------
    ConfigError
        If it is not a Gymnasium environment, its observations are not a Box of numbers, or its
        actions are not Discrete; if the extra ``gym`` is not installed.
    """
    with needs("gym", OWNER):
        import gymnasium

    def wanted(what: str, got: object, hint: str = "") -> ConfigError:
        return ConfigError(
            f"The {name} parameter of {OWNER} must {what}. Got {shorten(str(got))} instead.{hint}"
        )

    if is_vector(env):
        observations, actions = env.single_observation_space, env.single_action_space
    elif isinstance(env, gymnasium.Env):
        observations, actions = env.observation_space, env.action_space
    else:
        raise wanted("be a gymnasium.Env or gymnasium.vector.VectorEnv", type(env).__name__)
    if not isinstance(actions, gymnasium.spaces.Discrete):
        raise wanted("have discrete actions (gymnasium.spaces.Discrete)", actions)
    if not isinstance(observations, gymnasium.spaces.Box) or observations.dtype.kind not in "fiub":
        flat = " gymnasium.wrappers.FlattenObservation converts most spaces to vectors."
        raise wanted("have vector observations (gymnasium.spaces.Box)", observations, flat)
    if math.prod(observations.shape) < 1:
        raise wanted("have observations of at least one number", observations)
    return Task(observations.shape or (1,), int(actions.n), int(actions.start))


def is_vector(env: Any) -> bool:
    """Tell whether `env` is a vector of environments."""
    import gymnasium

    return isinstance(env, gymnasium.vector.VectorEnv)


class Collector(ABC):
    """Base class for stepping one environment or a vector of them.

    Parameters
    ----------
    model : DQN
        Model that chooses the actions, and whose replay stores the transitions.
    env : gymnasium.Env or gymnasium.vector.VectorEnv
        Environment to step.
    task : Task
        Spaces of the environment.
    n_envs : int
        Number of environments E.
    last_step : int
        Environment step at which training ends; episodes running then are truncated.
    action_masking : {"auto", "on", "off"}
        Whether action masks are used; see `DQN.learn`.

    Attributes
    ----------
    steps : int
        Environment steps so far, over all environments.
    action_masking : str
        The setting, as given.
    episodes : Episodes
        Record of finished episodes.
    states : ndarray, shape (E, n_inputs)
        Current observations, in the model's dtype.
    running_returns : ndarray, shape (E,), float64
        Sums of rewards of the unfinished episodes.
    running_lengths : ndarray, shape (E,), int64
        Steps of the unfinished episodes.
    ended : ndarray, shape (E,), bool
        Whether the next step of an environment is a reset.
    masks : ndarray, shape (E, n_actions), bool, or None
        Valid actions in `states`; None without action masks.
    recorders : list of Recorder
        One per environment; empty without recording.
    """

    def __init__(
        self,
        model: TaskModel,
        env: Any,
        task: Task,
        n_envs: int,
        last_step: int,
        action_masking: ActionMasking = "auto",
    ) -> None:
        self.env, self.n_envs = env, n_envs
        self.action_masking = action_masking
        self.masks: Bools | None = None
        vector = n_envs if is_vector(env) else None
        self._reader = MaskReader(env, vector, task.n_actions, action_masking)
        self.steps = 0
        self.episodes = Episodes()
        self.states = np.zeros((n_envs, math.prod(task.shape)), dtype=model.dtype)
        self.running_returns = np.zeros(n_envs)
        self.running_lengths = np.zeros(n_envs, dtype=np.int64)
        self.ended = np.zeros(n_envs, dtype=bool)
        self.recorders: list[Recorder] = []
        self._model, self._task, self.last_step = model, task, last_step
        self._replay = model.replay_buffer
        self._observes = bool(model.hyperparameters.normalize_observations)

    @abstractmethod
    def start(self, seed: int) -> None:
        """Reset all environments with seeds derived from `seed`."""

    @abstractmethod
    def collect(self) -> None:
        """Step all environments once, and store the transitions."""

    @abstractmethod
    def restart(self, i: int, seed: int) -> None:
        """Begin a new episode in environment `i`, dropping its pending steps."""

    def after_restore(self) -> None:  # noqa: B027 - a subclass may have nothing to do
        """Update internal state after `states`, `ended`, and the environments were restored."""

    def attach(self) -> None:  # noqa: B027 - a subclass may have nothing to do
        """Change the environment object again, after `release`."""

    def release(self) -> None:  # noqa: B027 - a subclass may have nothing to do
        """Undo all changes to the environment object."""

    def _drop_running(self, i: int) -> None:
        self.running_returns[i], self.running_lengths[i], self.ended[i] = 0.0, 0, False
        self._replay.drop_pending([i])


class SingleCollector(Collector):
    """Steps a single environment with minimal overhead."""

    def __init__(
        self,
        model: TaskModel,
        env: Any,
        task: Task,
        last_step: int,
        recording: bool = False,
        action_masking: ActionMasking = "auto",
    ) -> None:
        super().__init__(model, env, task, 1, last_step, action_masking)
        if recording:
            self.recorders = [Recorder(env)]
        stepped = self.recorders[0] if recording else env
        self._step, self._reset = stepped.step, stepped.reset
        self._returned = Returned(str(env), task.shape, model.dtype)
        self._return, self._length = 0.0, 0
        self._use(self.states, np.zeros_like(self.states))

    def _use(self, now: Array, then: Array) -> None:
        """Set the buffers of the current and the next state, each as rows, row, and shaped."""
        shape = self._task.shape
        self._now = (now, now[0], now[0].reshape(shape))
        self._then = (then, then[0], then[0].reshape(shape))

    def start(self, seed: int) -> None:
        """Reset the environment with `seed`."""
        answer = self._reset(seed=seed)
        _, info = self._returned.first(answer)
        if self._reader.begin(info, self._model):
            self.masks = np.ones((1, self._task.n_actions), dtype=bool)
        self._show(answer)

    def restart(self, i: int, seed: int) -> None:
        """Begin a new episode, dropping pending steps."""
        self._drop_running(i)
        self._show(self._reset(seed=seed))

    def after_restore(self) -> None:
        """Use the restored state."""
        self._use(self.states, self._then[0])
        self._return, self._length = float(self.running_returns[0]), int(self.running_lengths[0])

    def _show(self, answer: Any) -> None:
        observation, info = self._returned.first(answer)
        self._note_mask(info)
        rows, row, shaped = self._now
        shaped[...] = observation
        self.states = rows
        if not math.isfinite(row.dot(row)):
            self._returned.refuse_non_finite(row, None)

    def collect(self) -> None:
        """Step the environment once, and store the transition."""
        model, now, then = self._model, self._now, self._then
        state, following = now[1], then[1]
        if self._observes:
            model.observe(now[0])
        if self.masks is None:
            actions = model.select_actions(now[0], model.exploration_rate)
        else:
            actions = model.select_actions(now[0], model.exploration_rate, self.masks)
        action = int(actions[0])
        answer = self._step(self._task.first_action + action)
        self.steps = step = self.steps + 1
        observation, reward, terminated, truncated, info = self._returned.step(answer, step)
        then[2][...] = observation
        if not math.isfinite(following.dot(following)):
            self._returned.refuse_non_finite(following, step)
        cut = truncated or step >= self.last_step
        next_mask = self._note_mask(info, not terminated)
        row = (state, action, reward, following, terminated, cut)
        if next_mask is None:
            self._replay.push(*row)
        else:
            self._replay.push(*row, next_mask)
        self._return += reward
        self._length += 1
        self._now, self._then = then, now
        if terminated or truncated:
            self.episodes.add(self._return, self._length, step)
            self._return, self._length = 0.0, 0
            self._show(self._reset())
        self.states = self._now[0]
        self.running_returns[0], self.running_lengths[0] = self._return, self._length

    def _note_mask(self, info: Any, needed: bool = True) -> Bools | None:
        """Take the mask of the new state from the info, and return it; None without masks."""
        if self.masks is None:
            if KEY in info and self._reader.watches:
                raise self._reader.appeared(self.steps)
            return None
        mask = self._reader.one(info, self.steps, needed)
        if mask is not None and needed:
            self.masks[0] = mask
        return mask


class VectorCollector(Collector):
    """Steps a vector of environments in any of Gymnasium's autoreset modes."""

    def __init__(
        self,
        model: TaskModel,
        env: Any,
        task: Task,
        last_step: int,
        recording: bool = False,
        action_masking: ActionMasking = "auto",
    ) -> None:
        super().__init__(model, env, task, int(env.num_envs), last_step, action_masking)
        self.mode = autoreset_mode(env)
        self._shaped = (self.n_envs, *task.shape)
        self._following = np.zeros_like(self.states)
        self._envs: list[Any] | None = None
        self._coming = 0  # environment step at the end of the current one
        self._returned = Returned(str(env), task.shape, model.dtype, self.n_envs)
        self._alone = [
            Returned(f"environment {i} of {env}", task.shape, model.dtype)
            for i in range(self.n_envs)
        ]
        if recording:
            require_resumable(env)
        if _is_plain(env):
            self._envs = list(env.envs)
            if recording:
                self.recorders = [Recorder(e) for e in self._envs]
            wrapped = self.recorders if recording else self._envs
            # The vector itself converts what it gets in silence.
            self._checked = [
                CheckedEnv(e, returned, lambda: self._coming, partial(self._reader.check, i))
                for i, (e, returned) in enumerate(zip(wrapped, self._alone, strict=True))
            ]
            self.attach()

    def attach(self) -> None:
        """Put the checks, and the recorders, around the environments of the vector."""
        if self._envs is not None:
            self.env.envs[:] = self._checked

    def release(self) -> None:
        """Put the environments back into the vector as they were."""
        if self._envs is not None:
            self.env.envs[:] = self._envs

    def start(self, seed: int) -> None:
        """Reset all environments, with the seeds that the vector derives from `seed`."""
        observations, infos = self._returned.first(self.env.reset(seed=seed))
        if self._reader.begin(infos, self._model, self.mode):
            self.masks = self._reader.many(infos, self.steps, np.ones(self.n_envs, dtype=bool))
        self.states.reshape(self._shaped)[...] = observations
        self._check(self.states, None)

    def restart(self, i: int, seed: int) -> None:
        """Begin a new episode in environment `i`, dropping its pending steps."""
        self._drop_running(i)
        observation, info = self.recorders[i].reset(seed=seed)
        self.states[i] = np.ravel(observation)
        self._check(self.states, None)
        if self.masks is not None:
            self.masks[i] = self._reader.row(i, info, self.recorders[i], self.steps)

    def after_restore(self) -> None:
        """Set the vector's observations, and the environments that it must reset."""
        # Private fields of SyncVectorEnv; `require_resumable` has checked the type.
        self.env._env_obs = [recorder.observation for recorder in self.recorders]
        self.env._autoreset_envs = self.ended & (self.mode == "NextStep")

    def collect(self) -> None:
        """Step all environments once, and store the transitions."""
        model, states, following = self._model, self.states, self._following
        acting = ~self.ended  # the others ignore the action and are reset
        whole = bool(acting.all())
        if self._observes:
            model.observe(states if whole else states[acting])
        if self.masks is None:
            actions = model.select_actions(states, model.exploration_rate)
        else:
            actions = model.select_actions(states, model.exploration_rate, self.masks)
        self._coming = self.steps + (self.n_envs if whole else int(acting.sum()))
        answer = self.env.step(actions + self._task.first_action)
        self.steps = step = self._coming
        returned = self._returned
        observations, rewards, terminated, truncated, infos = returned.parts(answer, step)
        rewards = returned.rewards(rewards, step)
        terminated = returned.flags("terminated", terminated, step)
        truncated = returned.flags("truncated", truncated, step)
        returned.info(infos, step)
        shaped = following.reshape(self._shaped)
        shaped[...] = returned.observation(observations, step)
        over = np.logical_or(terminated, truncated) & acting
        any_over = bool(over.any())
        first_states = following
        if any_over and self.mode == "SameStep":
            first_states = following.copy()
            self._put_final(shaped, infos, over)
        self._check(following, step)
        cut = truncated if self.steps < self.last_step else np.ones(self.n_envs, dtype=bool)
        row = (states, actions, rewards, following, terminated, cut)
        present = None if whole else acting
        if self.masks is None:
            if KEY in infos and self._reader.watches:
                raise self._reader.appeared(self.steps)
            self._replay.push_many(*row, present=present)
        else:
            read = self._reader.after_step(infos, self.steps, self.mode, over, terminated)
            stored, self.masks = read
            self._replay.push_many(*row, present=present, next_masks=stored)
        self.running_returns += rewards if whole else np.where(acting, rewards, 0.0)
        self.running_lengths += acting
        self.states, self._following = following, states
        if any_over:
            for i in over.nonzero()[0].tolist():
                length = int(self.running_lengths[i])
                self.episodes.add(float(self.running_returns[i]), length, self.steps)
            self.running_returns[over] = 0.0
            self.running_lengths[over] = 0
            if self.mode == "SameStep":
                self.states[...] = first_states
                self._check(self.states, step)
            elif self.mode == "Disabled":
                self._reset_masked(over)
        if self.mode == "NextStep":
            self.ended[...] = over

    def _check(self, states: Array, step: int | None) -> None:
        flat = states.reshape(-1)
        if not math.isfinite(flat.dot(flat)):
            self._returned.refuse_non_finite(states, step)

    def _put_final(self, shaped: Array, infos: Any, over: Bools) -> None:
        """Replace first observations of new episodes with the final ones of ended episodes."""
        final = infos.get("final_obs")
        for i in over.nonzero()[0].tolist():
            if final is None or final[i] is None:
                raise ConfigError(
                    f"{self.env} resets in the step that ends an episode (SAME_STEP) but has no "
                    f'info["final_obs"] for environment {i}; use AutoresetMode.NEXT_STEP.'
                )
            shaped[i] = self._alone[i].observation(final[i], self.steps)

    def _reset_masked(self, over: Bools) -> None:
        answer = self.env.reset(options={"reset_mask": over.copy()})
        observations, infos = self._returned.first(answer)
        if self.masks is not None:
            first = self._reader.many(infos, self.steps, over)
            self.masks = np.where(over[:, None], first, self.masks)
        reset = observations.reshape(self.states.shape)
        if not np.array_equal(reset[~over], self.states[~over], equal_nan=True):
            raise ConfigError(
                f"{self.env} has AutoresetMode.DISABLED, but its reset does not respect "
                f'options["reset_mask"]; use AutoresetMode.NEXT_STEP or SAME_STEP.'
            )
        self.states[...] = reset
        self._check(self.states, None)


def autoreset_mode(env: Any) -> str:
    """Return "NextStep", "SameStep", or "Disabled"; undeclared means "NextStep", as in Gymnasium.

    Raises
    ------
    ConfigError
        If the declared mode is none of these.
    """
    mode = env.metadata.get("autoreset_mode", "NextStep")
    mode = getattr(mode, "value", mode)
    if mode not in ("NextStep", "SameStep", "Disabled"):
        raise ConfigError(
            f"The env parameter of {OWNER} must have one of Gymnasium's autoreset modes in "
            f'metadata["autoreset_mode"]. Got {mode!r} instead.'
        )
    return str(mode)


def require_resumable(env: Any) -> None:
    """Check that the environments of a vector can be recorded one by one.

    Raises
    ------
    ConfigError
        If it is not a SyncVectorEnv, or has wrappers.
    """
    if not _is_plain(env):
        raise ConfigError(
            f"The checkpoint_folder parameter of {OWNER} must be None for {env}: only a single "
            f"environment or a SyncVectorEnv without wrappers can be resumed exactly."
        )


def _is_plain(env: Any) -> bool:
    import gymnasium

    return type(env) is gymnasium.vector.SyncVectorEnv
