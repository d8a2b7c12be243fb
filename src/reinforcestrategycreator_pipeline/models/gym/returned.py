"""Checks of what an environment returns: shapes, numbers, flags, and the form of the answer.

NumPy would broadcast an observation of one number to a whole state, take ``"False"`` for true, and
store a reward of 1e39 as infinity, all without a word. Each message names step and environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array, Bools
from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError, shorten
from reinforcestrategycreator_pipeline.replay.values import (
    largest_number,
    one_flag,
    one_number,
    require_storable,
)


class Returned:
    """Checks of the answers of one environment, or of a vector of E.

    Parameters
    ----------
    env : str
        Name of the environment, for messages.
    shape : tuple of int
        Shape of one observation.
    dtype : dtype
        Type in which states and rewards are stored.
    n_envs : int, optional
        Number of environments of a vector; None for a single environment.

    Attributes
    ----------
    shape : tuple of int
        Shape of an answer's observations: with a leading axis of E for a vector.
    """

    def __init__(
        self, env: str, shape: tuple[int, ...], dtype: np.dtype[Any], n_envs: int | None = None
    ) -> None:
        self._env, self._dtype, self._lead = env, dtype, () if n_envs is None else (n_envs,)
        self.shape = (*self._lead, *shape)
        self._largest = largest_number(dtype)

    def parts(self, answer: Any, step: int | None) -> Any:
        """Require the five parts of a step's answer, or with None for `step` the two of a reset."""
        names = "(observation, info)"
        if step is not None:
            names = "(observation, reward, terminated, truncated, info)"
        if not isinstance(answer, tuple) or len(answer) != names.count(",") + 1:
            got = (
                f"a tuple of {len(answer)}" if isinstance(answer, tuple) else type(answer).__name__
            )
            what = "reset" if step is None else "step"
            raise ConfigError(
                f"{self._at(step)}: {what} must return a tuple {names}. Got {got} instead."
            )
        return answer

    def first(self, answer: Any) -> tuple[Array, Any]:
        """Return the checked observation and info of a reset's answer."""
        observation, info = self.parts(answer, None)
        return self.observation(observation, None), self.info(info, None)

    def step(self, answer: Any, step: int) -> tuple[Array, float, bool, bool, Any]:
        """Return the checked parts of a step's answer; what is usual takes the quick way."""
        if type(answer) is not tuple or len(answer) != 5:
            self.parts(answer, step)
        observation, reward, terminated, truncated, info = answer
        usual = type(observation) is np.ndarray and observation.dtype is self._dtype
        if not usual or observation.shape != self.shape:
            observation = self.observation(observation, step)
        if type(reward) is not float or not -self._largest <= reward <= self._largest:
            reward = self.reward(reward, step)
        if type(terminated) is not bool:
            terminated = self.flag("terminated", terminated, step)
        if type(truncated) is not bool:
            truncated = self.flag("truncated", truncated, step)
        if type(info) is not dict:
            self.info(info, step)
        return observation, reward, terminated, truncated, info

    def evaluated(self, answer: Any, step: int) -> tuple[Array, float, bool, Any]:
        """Return observation, reward, whether it is the last, and info of a step not stored.

        The reward may be any number, also NaN or infinity.
        """
        observation, reward, terminated, truncated, info = self.parts(answer, step)
        self.info(info, step)
        ended = self.flag("terminated", terminated, step)
        cut = self.flag("truncated", truncated, step)
        number = one_number(reward, f"{self._at(step)}: the reward")
        return self.observation(observation, step), number, ended or cut, info

    def observation(self, observation: Any, step: int | None) -> Array:
        """Return an observation, or E of them, as an array of the shape and the stored type.

        A number of a wider type may overflow to infinity here; see `refuse_non_finite`.
        """
        try:
            array = np.asarray(observation)
        except ValueError:  # rows of different lengths
            array = np.asarray(None)
        if array.dtype.kind not in "biuf":
            raise ConfigError(
                f"{self._at(step)}: an observation must be an array of numbers. "
                f"Got {shorten(repr(observation), 80)} instead."
            )
        alone = not array.shape and self.shape == (1,)
        if array.shape != self.shape and not alone:
            raise ConfigError(
                f"{self._at(step)}: the environment must return observations of shape "
                f"{self.shape}, as declared by its observation space. Got {array.shape} instead."
            )
        with np.errstate(over="ignore"):  # the caller looks for infinities
            return array.astype(self._dtype, copy=False).reshape(self.shape)

    def reward(self, reward: Any, step: int) -> float:
        """Return the reward as a finite float that can be stored."""
        at = self._at(step)
        number = one_number(reward, f"{at}: the reward")
        require_storable(number, self._dtype, at)
        return number

    def flag(self, name: str, value: Any, step: int) -> bool:
        """Return `terminated` or `truncated` as a bool."""
        return one_flag(value, f"{self._at(step)}: {name}")

    def rewards(self, rewards: Any, step: int) -> Array:
        """Return the E rewards of a vector, finite numbers that can be stored."""
        array = self._column("the rewards", rewards, step, "biuf", "real numbers")
        require_storable(array, self._dtype, self._at(step))
        return array

    def flags(self, name: str, values: Any, step: int) -> Bools:
        """Return `terminated` or `truncated` of a vector."""
        return self._column(name, values, step, "b", "bools")

    def info(self, info: Any, step: int | None) -> Mapping[str, Any]:
        """Require the info of an answer to be a mapping."""
        if not isinstance(info, Mapping):
            raise ConfigError(
                f"{self._at(step)}: info must be a dictionary. "
                f"Got {shorten(repr(info), 80)} instead."
            )
        return info

    def refuse_non_finite(self, states: Array, step: int | None) -> None:
        """Raise if a number of the observations is not finite; the sum of squares may overflow."""
        finite = np.isfinite(states)
        if not finite.all():
            bad = np.argwhere(~finite)
            raise NonFiniteError(
                f"{self._at(step)}: NaN or infinity, as {self._dtype}, in the observation at "
                f"{bad[:5].tolist()}"
            )

    def _column(self, what: str, values: Any, step: int, kinds: str, words: str) -> Array:
        array = np.asarray(values)
        if array.shape != self._lead or array.dtype.kind not in kinds:
            raise ConfigError(
                f"{self._at(step)}: {what} must be {words} of shape {self._lead}, one for "
                f"each environment. Got {array.dtype} of shape {array.shape} instead."
            )
        return array

    def _at(self, step: int | None) -> str:
        place = "reset" if step is None else f"environment step {step}"
        return f"{place}: {shorten(self._env, 120)}"


class CheckedEnv:
    """An environment of a vector whose answers are checked before the vector converts them.

    Parameters
    ----------
    env : gymnasium.Env
        The environment, to which all calls are passed.
    returned : Returned
        Checks of this environment, with its name for the messages.
    step_now : callable
        Returns the number of the current environment step.
    check_info : callable
        Called as ``check_info(info, step)`` with every info.
    """

    def __init__(
        self,
        env: Any,
        returned: Returned,
        step_now: Callable[[], int],
        check_info: Callable[[Mapping[str, Any], int], None],
    ) -> None:
        self.env, self._returned, self._step_now = env, returned, step_now
        self._check_info = check_info

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def reset(self, **options: Any) -> Any:
        """Reset the environment, and check the answer."""
        answer = self.env.reset(**options)
        observation, info = self._returned.first(answer)
        self._returned.refuse_non_finite(observation, None)
        self._check_info(info, self._step_now())
        return answer

    def step(self, action: Any) -> Any:
        """Step the environment, and check the answer."""
        answer, step = self.env.step(action), self._step_now()
        observation, reward, terminated, truncated, info = self._returned.step(answer, step)
        self._returned.refuse_non_finite(observation, step)
        self._check_info(info, step)
        return answer[0], reward, terminated, truncated, info
