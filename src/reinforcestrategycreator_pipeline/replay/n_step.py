"""n-step returns: transitions that are held back until their n rewards are known.

Sutton 1988 (doi:10.1007/BF00115009); in deep Q-learning: Hessel et al. 2018, arXiv:1710.02298.
A transition from step t spans m steps, and the learner's target is

    r_{t+1} + gamma r_{t+2} + ... + gamma^{m-1} r_{t+m} + gamma^m max_a Q(s_{t+m}, a)

with m = n, or less if the episode ends earlier: after a termination without the last term, after a
truncation with the final observation of the episode as s_{t+m}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import DTypeLike

from reinforcestrategycreator_pipeline.arrays import Array, Bools
from reinforcestrategycreator_pipeline.errors import ConfigError


class NStepWindows:
    """Steps of E environments, stepped together, whose n rewards are not yet complete.

    Each environment has n columns, filled cyclically, the same column in all of them. One clock
    therefore gives the age of every column, and no loop over environments is needed.

    Parameters
    ----------
    n_step : int
        Rewards per complete transition, n.
    gamma : float
        Discount per step, in [0, 1].
    n_environments, n_inputs : int
        Number of environments E, and length of a state.
    dtype : dtype
        Type of the states. Rewards are summed in float64.
    """

    def __init__(
        self, n_step: int, gamma: float, n_environments: int, n_inputs: int, dtype: DTypeLike
    ) -> None:
        self.n_step = n_step
        self.n_environments = n_environments
        shape = (n_environments, n_step)
        self._state: dict[str, Array] = {
            "clock": np.zeros(1, dtype=np.int64),
            "pending": np.zeros(shape, dtype=bool),
            "states": np.zeros((*shape, n_inputs), dtype=dtype),
            "actions": np.zeros(shape, dtype=np.int64),
            "returns": np.zeros(shape),
        }
        columns = np.arange(n_step)
        # Row: the newest column. Discounts of all columns; the exponent is a column's age.
        self._discounts = float(gamma) ** ((columns[:, None] - columns) % n_step)
        # Row: the oldest column. All columns, oldest first.
        self._oldest_first = (columns[:, None] + columns) % n_step

    def __len__(self) -> int:
        """Return the number of pending steps."""
        return int(self._state["pending"].sum())

    def push(
        self,
        states: Annotated[Array, "envs inputs"],
        actions: Annotated[Array, "envs"],
        rewards: Annotated[Array, "envs"],
        next_states: Annotated[Array, "envs inputs"],
        terminated: Annotated[Bools, "envs"],
        truncated: Annotated[Bools, "envs"],
        present: Annotated[Bools, "envs"] | None = None,
    ) -> tuple[
        Annotated[Array, "n inputs"],
        Annotated[Array, "n"],
        Annotated[Array, "n"],
        Annotated[Array, "n inputs"],
        Annotated[Bools, "n"],
        Annotated[Array, "n"],
        Annotated[Array, "n"],
    ]:
        """Add one step of every environment; return the transitions that it completes.

        Parameters
        ----------
        states, next_states : ndarray, shape (E, n_inputs)
            States before and after the step.
        actions, rewards, terminated, truncated : ndarray, shape (E,)
            The step of each environment.
        present : ndarray of bool, shape (E,), optional
            Environments that made a step; by default all. The others were reset, and their pending
            steps are dropped.

        Returns
        -------
        s_tm1, a_tm1, r_t, s_t, terminated, steps : ndarray, shape (m, n_inputs) or (m,)
            m transitions, 0 <= m <= E n, ordered by environment, the oldest first.
        environments : ndarray of int, shape (m,)
            Environment of each transition; its s_t is the next state of that environment.
        """
        window, n = self._state, self.n_step
        column = int(window["clock"][0] % n)
        oldest = (column + 1) % n
        pending = window["pending"]
        window["states"][:, column] = states
        window["actions"][:, column] = actions
        window["returns"][:, column] = 0.0
        if present is None:
            pending[:, column] = True
        else:
            pending[:, column] = present
            self.drop(~present)
        window["clock"] += 1
        # Columns that are not pending accumulate garbage here; they are set to 0 before use.
        window["returns"] += rewards[:, None] * self._discounts[column]
        ended = terminated | truncated
        k: Any
        if np.logical_or.reduce(ended):
            ready = pending & ended[:, None]
            ready[:, oldest] |= pending[:, oldest]
            i, place = ready[:, self._oldest_first[oldest]].nonzero()
            k, steps = self._oldest_first[oldest][place], n - place
            pending[i, k] = False
        else:
            i, k = pending[:, oldest].nonzero()[0], oldest
            steps = np.full(len(i), n)
            pending[:, oldest] = False
        return (
            window["states"][i, k],
            window["actions"][i, k],
            window["returns"][i, k],
            next_states[i],
            terminated[i],
            steps,
            i,
        )

    def drop(self, environments: Array) -> None:
        """Drop the pending steps of some environments, given by indices or a mask."""
        self._state["pending"][environments] = False

    def arrays(self) -> dict[str, Array]:
        """Return the state for a checkpoint, as views."""
        return dict(self._state)

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Restore a state returned by `arrays`.

        Raises
        ------
        ConfigError
            If it has another shape.
        """
        for name, array in self._state.items():
            stored = arrays.get(name)
            if stored is None or stored.shape != array.shape:
                got = "nothing" if stored is None else f"shape {stored.shape}"
                raise ConfigError(
                    f"stored windows of {self.n_step} steps must have {name} of shape "
                    f"{array.shape}. Got {got} instead."
                )
        for name, array in self._state.items():
            array[...] = arrays[name]
