"""Stepping a Gymnasium environment, or a vector of them, and storing what happened.

What a replay must hold of a step is (state, action, reward, state that followed, terminated). The
state that followed the last step of an episode is its final observation, never the first one of
the next episode, and where they are found depends on how a vector of environments resets itself
(Gymnasium's autoreset modes):

    NEXT_STEP  the step returns the final observation; the step after it is the reset, whatever
               the action, and no transition
    SAME_STEP  the step returns the next episode's first observation; the final one is in
               info["final_obs"]
    DISABLED   the step returns the final observation; the caller resets, by options["reset_mask"]
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array, Bools
from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError, shorten
from reinforcestrategycreator_pipeline.models.gym.recording import Recorder

OWNER = "DQN.learn"


@dataclass(frozen=True)
class Task:
    """What one environment shows and takes.

    Attributes
    ----------
    shape : tuple of int
        Of an observation.
    n_actions, first_action : int
        Actions are from `first_action` to ``first_action + n_actions - 1``.
    """

    shape: tuple[int, ...]
    n_actions: int
    first_action: int


@dataclass
class Episodes:
    """The finished episodes, in the order in which they ended.

    Attributes
    ----------
    returns : list of float
        Undiscounted sums of rewards.
    lengths, ended_at : list of int
        Steps of each episode, and the environment step at which it ended.
    """

    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    ended_at: list[int] = field(default_factory=list)

    def add(self, episode_return: float, length: int, step: int) -> None:
        """Take note of an episode that ended at environment step `step`."""
        self.returns.append(episode_return)
        self.lengths.append(length)
        self.ended_at.append(step)


def task_of(env: Any, name: str = "env") -> Task:
    """Return what an environment, or each of a vector, shows and takes.

    Raises
    ------
    ConfigError
        If it is no Gymnasium environment, or its observations are no vectors or its actions not
        discrete.
    """
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
        flat = " gymnasium.wrappers.FlattenObservation makes vectors of most spaces."
        raise wanted("have vector observations (gymnasium.spaces.Box)", observations, flat)
    if math.prod(observations.shape) < 1:
        raise wanted("have observations of one number or more", observations)
    return Task(observations.shape or (1,), int(actions.n), int(actions.start))


def is_vector(env: Any) -> bool:
    """Tell whether `env` is a vector of environments."""
    import gymnasium

    return isinstance(env, gymnasium.vector.VectorEnv)


class Collector(ABC):
    """What stepping one environment and stepping many have in common.

    Parameters
    ----------
    model : DQN
        Chooses the actions; its replay is where transitions go.
    env : gymnasium.Env or gymnasium.vector.VectorEnv
        See `task_of`.
    task : Task
        Its spaces.
    n_envs : int
        E.
    last_step : int
        Where training ends: no later step continues the episodes that are running then.

    Attributes
    ----------
    steps : int
        Environment steps so far, over all environments.
    episodes : Episodes
        The finished ones.
    states : ndarray, shape (E, n_inputs)
        What the environments show now, in the model's dtype.
    running_returns : ndarray, shape (E,), float64
        Of the episodes that are not finished.
    running_lengths : ndarray, shape (E,), int64
        Likewise.
    ended : ndarray, shape (E,), bool
        Where the next step is the reset of an episode that is over.
    recorders : list of Recorder
        By environment; empty if nothing is recorded.
    """

    def __init__(self, model: Any, env: Any, task: Task, n_envs: int, last_step: int) -> None:
        self.env, self.n_envs = env, n_envs
        self.steps = 0
        self.episodes = Episodes()
        self.states = np.zeros((n_envs, math.prod(task.shape)), dtype=model.dtype)
        self.running_returns = np.zeros(n_envs)
        self.running_lengths = np.zeros(n_envs, dtype=np.int64)
        self.ended = np.zeros(n_envs, dtype=bool)
        self.recorders: list[Recorder] = []
        self._model, self._task, self._last_step = model, task, last_step
        self._replay = model.replay_buffer
        self._observes = bool(model.hyperparameters.normalize_observations)

    @abstractmethod
    def start(self, seed: int) -> None:
        """Reset all environments, the first time with `seed`."""

    @abstractmethod
    def collect(self) -> None:
        """Step all environments once, and store what happened."""

    @abstractmethod
    def restart(self, i: int, seed: int) -> None:
        """Begin a new episode in environment `i`; its steps that wait for rewards are dropped."""

    def after_restore(self) -> None:  # noqa: B027 - a subclass may have nothing to do
        """Make everything else fit `states`, `ended` and the environments, which were restored."""

    def release(self) -> None:  # noqa: B027 - a subclass may have nothing to do
        """Leave the environment as it was given."""

    def _drop_running(self, i: int) -> None:
        self.running_returns[i], self.running_lengths[i], self.ended[i] = 0.0, 0, False
        self._replay.drop_pending([i])

    def _require_shape(self, observation: Any, lead: tuple[int, ...] = ()) -> None:
        expected = (*lead, *self._task.shape)
        shape = np.shape(observation)
        if shape != expected and (shape or (1,)) != expected:
            raise ConfigError(
                f"the environment of {OWNER} must show observations of the shape {expected}, as "
                f"its observation space says. Got {shape} instead."
            )

    def _refuse_non_finite(self, reward: Any, states: Array) -> None:
        """Raise for what the newest step brought, unless only a square overflowed."""
        for what, array in (("the reward", np.asarray(reward)), ("the observation", states)):
            bad = np.argwhere(~np.isfinite(array))
            if len(bad):
                where = f" at {bad[:5].tolist()}" if array.ndim else ""
                raise NonFiniteError(
                    f"environment step {self.steps}: NaN or infinity in {what}{where}"
                )


class SingleCollector(Collector):
    """Steps one environment, with as little as possible around its own work."""

    def __init__(
        self, model: Any, env: Any, task: Task, last_step: int, recording: bool = False
    ) -> None:
        super().__init__(model, env, task, 1, last_step)
        if recording:
            self.recorders = [Recorder(env)]
        stepped = self.recorders[0] if recording else env
        self._step, self._reset = stepped.step, stepped.reset
        self._return, self._length = 0.0, 0
        self._use(self.states, np.zeros_like(self.states))

    def _use(self, now: Array, then: Array) -> None:
        """Set the buffers of the state now and of the one that follows: rows, row, shaped."""
        shape = self._task.shape
        self._now = (now, now[0], now[0].reshape(shape))
        self._then = (then, then[0], then[0].reshape(shape))

    def start(self, seed: int) -> None:
        """Reset the environment, the first time with `seed`."""
        self._show(self._reset(seed=seed)[0])

    def restart(self, i: int, seed: int) -> None:
        """Begin a new episode; steps that wait for rewards are dropped."""
        self._drop_running(i)
        self._show(self._reset(seed=seed)[0])

    def after_restore(self) -> None:
        """Take over what was restored."""
        self._use(self.states, self._then[0])
        self._return, self._length = float(self.running_returns[0]), int(self.running_lengths[0])

    def _show(self, observation: Any) -> None:
        self._require_shape(observation)
        rows, row, shaped = self._now
        np.copyto(shaped, observation)
        self.states = rows
        if not math.isfinite(float(row.dot(row))):
            self._refuse_non_finite(0.0, row)

    def collect(self) -> None:
        """Step the environment once, and store what happened."""
        model, now, then = self._model, self._now, self._then
        state, following = now[1], then[1]
        if self._observes:
            model.observe(now[0])
        action = int(model.select_actions(now[0], model.exploration_rate)[0])
        observation, reward, terminated, truncated, _ = self._step(self._task.first_action + action)
        self.steps = step = self.steps + 1
        np.copyto(then[2], observation)
        reward = float(reward)
        if not math.isfinite(reward + float(following.dot(following))):
            self._refuse_non_finite(reward, following)
        cut = truncated or step >= self._last_step
        self._replay.push(state, action, reward, following, terminated, cut)
        self._return += reward
        self._length += 1
        self._now, self._then = then, now
        if terminated or truncated:
            self.episodes.add(self._return, self._length, step)
            self._return, self._length = 0.0, 0
            self._show(self._reset()[0])
        self.states = self._now[0]
        self.running_returns[0], self.running_lengths[0] = self._return, self._length


class VectorCollector(Collector):
    """Steps a vector of environments in any of Gymnasium's autoreset modes."""

    def __init__(
        self, model: Any, env: Any, task: Task, last_step: int, recording: bool = False
    ) -> None:
        super().__init__(model, env, task, int(env.num_envs), last_step)
        self.mode = autoreset_mode(env)
        self._shaped = (self.n_envs, *task.shape)
        self._following = np.zeros_like(self.states)
        self._envs: list[Any] | None = None
        if recording:
            require_resumable(env)
            self._envs = list(env.envs)
            self.recorders = [Recorder(e) for e in env.envs]
            env.envs[:] = self.recorders

    def release(self) -> None:
        """Take the recorders out of the vector."""
        if self._envs is not None:
            self.env.envs[:] = self._envs

    def start(self, seed: int) -> None:
        """Reset all environments, with seeds that follow from `seed`."""
        observations, _ = self.env.reset(seed=seed)
        self._require_shape(observations, (self.n_envs,))
        self.states.reshape(self._shaped)[...] = observations
        self._check(self.running_returns, self.states)

    def restart(self, i: int, seed: int) -> None:
        """Begin a new episode in environment `i`; its steps that wait are dropped."""
        self._drop_running(i)
        observation, _ = self.recorders[i].reset(seed=seed)
        self.states[i] = np.ravel(observation)

    def after_restore(self) -> None:
        """Tell the vector what it shows, and which environments it must reset."""
        # A SyncVectorEnv's own fields: `require_resumable` has made sure that it is one.
        self.env._env_obs = [recorder.observation for recorder in self.recorders]
        self.env._autoreset_envs = self.ended & (self.mode == "NextStep")

    def collect(self) -> None:
        """Step all environments once, and store what happened."""
        model, states, following = self._model, self.states, self._following
        acting = ~self.ended  # elsewhere the action is ignored, and the step a reset
        whole = bool(acting.all())
        if self._observes:
            model.observe(states if whole else states[acting])
        actions = model.select_actions(states, model.exploration_rate)
        result = self.env.step(actions + self._task.first_action)
        observations, rewards, terminated, truncated, infos = result
        self.steps += self.n_envs if whole else int(acting.sum())
        shaped = following.reshape(self._shaped)
        np.copyto(shaped, observations)
        over = np.logical_or(terminated, truncated) & acting
        any_over = bool(over.any())
        first_states = following
        if any_over and self.mode == "SameStep":
            first_states = following.copy()
            self._put_final(shaped, infos, over)
        self._check(rewards, following)
        cut = truncated if self.steps < self._last_step else np.ones(self.n_envs, dtype=bool)
        row = (states, actions, rewards, following, terminated, cut)
        self._replay.push_many(*row, present=None if whole else acting)
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
                self._check(self.running_returns, self.states)
            elif self.mode == "Disabled":
                self._reset_masked(over)
        if self.mode == "NextStep":
            self.ended[...] = over

    def _check(self, rewards: Any, states: Array) -> None:
        flat, r = states.reshape(-1), np.asarray(rewards, dtype=np.float64)
        if not math.isfinite(float(r.dot(r)) + float(flat.dot(flat))):
            self._refuse_non_finite(rewards, states)

    def _put_final(self, shaped: Array, infos: Any, over: Bools) -> None:
        """Put the final observations where the first ones of the next episodes are."""
        final = infos.get("final_obs")
        for i in over.nonzero()[0].tolist():
            if final is None or final[i] is None:
                raise ConfigError(
                    f"{self.env} resets in the step that ends an episode (SAME_STEP), but has no "
                    f'info["final_obs"] for environment {i}; use AutoresetMode.NEXT_STEP.'
                )
            shaped[i] = final[i]

    def _reset_masked(self, over: Bools) -> None:
        observations, _ = self.env.reset(options={"reset_mask": over.copy()})
        reset = np.asarray(observations, dtype=self.states.dtype).reshape(self.states.shape)
        if not np.array_equal(reset[~over], self.states[~over], equal_nan=True):
            raise ConfigError(
                f"{self.env} has AutoresetMode.DISABLED, but its reset does not keep to "
                f'options["reset_mask"]; use AutoresetMode.NEXT_STEP or SAME_STEP.'
            )
        self.states[...] = reset
        self._check(self.running_returns, self.states)


def autoreset_mode(env: Any) -> str:
    """Return "NextStep", "SameStep" or "Disabled"; without a word, as Gymnasium, the first.

    Raises
    ------
    ConfigError
        If it is another.
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
    """Raise unless the environments of a vector can be recorded one by one.

    Raises
    ------
    ConfigError
        Unless it is a SyncVectorEnv, without wrappers.
    """
    import gymnasium

    if type(env) is not gymnasium.vector.SyncVectorEnv:
        raise ConfigError(
            f"The checkpoint_folder parameter of {OWNER} must be None for {env}: only a single "
            f"environment or a SyncVectorEnv without wrappers can be continued exactly."
        )
