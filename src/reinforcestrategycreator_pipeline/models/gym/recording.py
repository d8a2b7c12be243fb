"""Restoring a Gymnasium environment to the same state in another process.

The state of an environment is not accessible in general. It is restored with the environment's own
`get_state` and `set_state` if it has both; otherwise by resetting it with the same generator state
and replaying the actions of the episode. The result is compared with the saved observation,
generator state, and return.
"""

from __future__ import annotations

import contextlib
import json
from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.values import one_number

# Wrappers without state other than what `_wrappers_elapsed` reads; any other wrapper could have
# state that `get_state` of the environment does not include.
_PLAIN_WRAPPERS = ("TimeLimit", "OrderEnforcing", "PassiveEnvChecker")


class Recorder:
    """A wrapper that records what is needed to restore the state of an environment.

    Parameters
    ----------
    env : gymnasium.Env
        The environment, to which all calls are passed.

    Attributes
    ----------
    observation : array_like
        Observation after the latest step.

    Notes
    -----
    Replaying takes as long as the episode so far, and recording 4 bytes per step. Replaying is
    exact if the environment draws random numbers only from its ``np_random``, and neither it nor
    its wrappers keep state between episodes; `restore` detects if that fails.
    """

    def __init__(self, env: Any) -> None:
        self.env = env
        self.observation: Any = None
        self._start: dict[str, Any] = {}
        self._actions = array("i")
        self._return = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Reset the environment, and start recording."""
        known = seed is not None
        self._start = {"seed": int(seed)} if known else {"random": self._random()}  # type: ignore[arg-type]
        self._actions = array("i")
        self._return = 0.0
        result = self.env.reset(seed=seed, options=options)
        if isinstance(result, tuple):  # else the caller rejects it
            self.observation = result[0]
        return result

    def step(self, action: Any) -> Any:
        """Step the environment, and record the action."""
        result = self.env.step(action)
        self._actions.append(int(action))
        with contextlib.suppress(ConfigError, TypeError, LookupError):  # the caller rejects it
            self.observation = result[0]
            self._return += one_number(result[1], "the reward")
        return result

    # -- saving and restoring ---------------------------------------------------------------

    def snapshot(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the state for `restore`: arrays, and a JSON-serializable mapping.

        Raises
        ------
        ConfigError
            If `get_state` of the environment returns values that cannot be stored.
        """
        tensors = {"observation": np.array(self.observation)}
        header: dict[str, Any] = {"random": self._random(), "return": self._return}
        if self._states_itself():
            arrays, values = self._own_state()
            tensors |= {f"state.{name}": value for name, value in arrays.items()}
            header |= {"state": values, "elapsed": self._wrappers_elapsed()}
        else:
            tensors["actions"] = np.array(self._actions, dtype=np.int32)
            header["start"] = self._start
        return tensors, header

    def restore(self, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> bool:
        """Restore the environment to the state of a `snapshot`, and tell whether that succeeded.

        Returns
        -------
        bool
            False if the state differs; the environment must then be reset.
        """
        own = "state" in header
        if own != self._states_itself():
            return False
        arrived = self._set_own_state(tensors, header) if own else self._replay(tensors, header)
        self._return = header["return"] if own else self._return
        return (
            arrived
            and self._return == header["return"]
            and self._random() == header["random"]
            and _same(np.asarray(self.observation), tensors["observation"])
        )

    def _replay(self, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> bool:
        start = header["start"]
        if "seed" in start:
            self.reset(seed=start["seed"])
        else:
            if not self._set_random(start["random"]):
                return False
            self.reset()
        over = False
        for action in tensors["actions"].tolist():
            if over:
                return False
            _, _, terminated, truncated, _ = self.step(action)
            over = bool(terminated or truncated)
        return True

    def _set_own_state(self, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> bool:
        arrays = {
            name.removeprefix("state."): value
            for name, value in tensors.items()
            if name.startswith("state.")
        }
        self.reset()  # wrappers and simulators require it first
        self.env.unwrapped.set_state({**header["state"], **arrays})
        self.observation = tensors["observation"]
        self._set_wrappers_elapsed(header["elapsed"])
        if not self._set_random(header["random"]):
            return False
        now, values = self._own_state()
        same_arrays = now.keys() == arrays.keys() and all(
            _same(now[name], arrays[name]) for name in now
        )
        return same_arrays and values == header["state"]

    # -- the environment's own parts --------------------------------------------------------

    def _states_itself(self) -> bool:
        base = self.env.unwrapped
        both = all(callable(getattr(base, name, None)) for name in ("get_state", "set_state"))
        return both and all(type(w).__name__ in _PLAIN_WRAPPERS for w in self._wrappers())

    def _own_state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        state = self.env.unwrapped.get_state()
        try:
            arrays = {k: np.array(v) for k, v in state.items() if isinstance(v, np.ndarray)}
            values = {k: v for k, v in state.items() if k not in arrays}
            if any(a.dtype.kind not in "biuf" for a in arrays.values()):
                raise TypeError("an array is not numeric")
            return arrays, json.loads(json.dumps(values, allow_nan=False))
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"get_state of {self.env} must return a mapping of names to numeric NumPy arrays "
                f"or JSON-serializable values: {error}."
            ) from error

    def _wrappers(self) -> list[Any]:
        found, env = [], self.env
        while env is not env.unwrapped:
            found.append(env)
            env = env.env
        return found

    def _wrappers_elapsed(self) -> list[int]:
        return [w._elapsed_steps for w in self._wrappers() if type(w).__name__ == "TimeLimit"]

    def _set_wrappers_elapsed(self, elapsed: list[int]) -> None:
        limits = [w for w in self._wrappers() if type(w).__name__ == "TimeLimit"]
        for wrapper, steps in zip(limits, elapsed, strict=True):
            wrapper._elapsed_steps = steps

    def _random(self) -> Any:
        state = self.env.unwrapped.np_random.bit_generator.state
        return json.loads(json.dumps(state, default=np.ndarray.tolist))

    def _set_random(self, state: Any) -> bool:
        bits = self.env.unwrapped.np_random.bit_generator
        if bits.state["bit_generator"] != state["bit_generator"]:
            return False
        bits.state = state
        return True


def _same(a: Array, b: Array) -> bool:
    """Tell whether two arrays are bit-identical."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
