"""A ring buffer of whole transitions, for any task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.arrays import Array, Bools
from reinforcestrategycreator_pipeline.checks import require_int, require_number
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.batch import Batch
from reinforcestrategycreator_pipeline.replay.n_step import NStepWindows
from reinforcestrategycreator_pipeline.replay.sampling import Sampler
from reinforcestrategycreator_pipeline.replay.store import RingStore, part


class RingReplay(RingStore):
    """Keeps the last `capacity` transitions; its sampler draws from them.

    Parameters
    ----------
    capacity : int
        Transitions kept; the oldest is overwritten.
    n_inputs : int
        Length of a state vector.
    rng : numpy.random.Generator
        Source of the sampling.
    dtype : dtype
        Of states, rewards and importance weights.
    n_actions : int, optional
        Actions from 0 to n_actions - 1 are taken; without it, any.
    n_step : int
        Environment steps that a transition spans (see `n_step.NStepWindows`); with more than 1, a
        step is not stored before its rewards are there.
    gamma : float
        Discount of one step, of the sums of rewards; without effect if `n_step` is 1.
    sampler : Sampler, optional
        Uniform without replacement if None.

    Raises
    ------
    ConfigError
        If `n_step` or `gamma` is out of its range or the sampler of another capacity.
    """

    def __init__(
        self,
        capacity: int,
        n_inputs: int,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        n_actions: int | None = None,
        *,
        n_step: int = 1,
        gamma: float = 0.99,
        sampler: Sampler | None = None,
    ) -> None:
        require_int("RingReplay", "n_step", n_step, 1)
        require_number("RingReplay", "gamma", gamma, low=0, high=1)
        columns = {
            "s_tm1": ((n_inputs,), dtype),
            "a_tm1": ((), np.int64),
            "r_t": ((), dtype),
            "s_t": ((n_inputs,), dtype),
            "terminated": ((), bool),
        }
        if n_step > 1:
            columns["steps"] = ((), np.int64)
        assert tuple(columns) == Batch._fields[: len(columns)]
        super().__init__(capacity, columns, rng, sampler)
        self.n_inputs = n_inputs
        self.n_actions = n_actions
        self.n_step = n_step
        self.gamma = gamma
        self._dtype = np.dtype(dtype)
        self._windows: NStepWindows | None = None

    def push(
        self,
        state: ArrayLike,
        action: int,
        reward: float,
        next_state: ArrayLike,
        terminated: bool,
        truncated: bool = False,
    ) -> None:
        """Store one transition.

        Parameters
        ----------
        state, next_state : array_like
            State vectors; any shape with `n_inputs` elements.
        action : int
            Index of the action taken.
        reward : float
            Reward received.
        next_state : array_like
            The state that followed.
        terminated : bool
            True where the task ended; False where an episode was only cut off.
        truncated : bool
            True where an episode was cut off: the next state pushed belongs to another one. Without
            effect if `n_step` is 1.

        Raises
        ------
        ConfigError
            If a state has another length or there is no such action; nothing is stored then.
        """
        s_tm1, s_t = np.ravel(state), np.ravel(next_state)
        if not s_tm1.size == s_t.size == self.n_inputs:
            raise ConfigError(
                f"a state must hold {self.n_inputs} numbers. "
                f"Got {s_tm1.size} and, for the next state, {s_t.size} instead."
            )
        if self.n_actions is not None and not 0 <= action < self.n_actions:
            raise ConfigError(
                f"an action must be an integer from 0 to {self.n_actions - 1}. "
                f"Got {action!r} instead."
            )
        if self.n_step > 1:
            a_tm1, r_t = np.array([action]), np.array([reward])
            ended, cut = np.array([terminated], dtype=bool), np.array([truncated], dtype=bool)
            self._push_windows(s_tm1[None], a_tm1, r_t, s_t[None], ended, cut)
            return
        slot = self._next
        row = (s_tm1, action, reward, s_t, terminated)
        for column, value in zip(self._columns.values(), row, strict=True):
            column[slot] = value
        self._next = (slot + 1) % self.capacity
        self._size = min(self._size + 1, self.capacity)
        self.sampler.added(slot)

    def push_many(
        self,
        states: ArrayLike,
        actions: ArrayLike,
        rewards: ArrayLike,
        next_states: ArrayLike,
        terminated: ArrayLike,
        truncated: ArrayLike,
        present: Bools | None = None,
    ) -> None:
        """Store one transition of each of E environments that are stepped together.

        With E = 1 the content is that of `push`. Transitions are stored by environment.

        Parameters
        ----------
        states, next_states : array_like, shape (E, ...)
            States of `n_inputs` elements. Where an episode ended, the next state is the final
            observation, not the first one of the next episode.
        actions : array_like of int, shape (E,)
            Indices of the actions taken.
        rewards : array_like, shape (E,)
            Rewards received.
        terminated, truncated : array_like of bool, shape (E,)
            Where the task ended, and where an episode was cut off.
        present : ndarray of bool, shape (E,), optional
            Which environments made a step; all if None. The others, of which nothing is stored,
            were only reset (Gymnasium's vectors do so in the step after an episode's end).

        Raises
        ------
        ConfigError
            If a shape is wrong, there is no such action, E transitions (E n_step if that is more
            than 1) exceed the capacity, or windows of another number of environments wait; nothing
            is stored then.
        """
        a_tm1, r_t = np.asarray(actions), np.asarray(rewards)
        ended, cut = np.asarray(terminated, dtype=bool), np.asarray(truncated, dtype=bool)
        s_tm1, s_t = np.asarray(states), np.asarray(next_states)
        n = a_tm1.size
        if not a_tm1.shape == r_t.shape == ended.shape == cut.shape == (n,):
            raise ConfigError(
                f"actions, rewards, terminated and truncated must have the shape ({n},). "
                f"Got {a_tm1.shape}, {r_t.shape}, {ended.shape} and {cut.shape} instead."
            )
        if not s_tm1.size == s_t.size == n * self.n_inputs or {*s_tm1.shape[:1], n} != {n}:
            raise ConfigError(
                f"{n} states must hold {self.n_inputs} numbers each. "
                f"Got {s_tm1.shape} and, for the next states, {s_t.shape} instead."
            )
        if not n:
            return
        last = np.iinfo(np.int64).max if self.n_actions is None else self.n_actions - 1
        if a_tm1.dtype.kind not in "iu" or (
            self.n_actions is not None and not 0 <= a_tm1.min() <= a_tm1.max() <= last
        ):
            raise ConfigError(
                f"an action must be an integer from 0 to {last}. Got {a_tm1.tolist()!r} instead."
            )
        s_tm1, s_t = s_tm1.reshape(n, -1), s_t.reshape(n, -1)
        if self.n_step > 1:
            self._push_windows(s_tm1, a_tm1, r_t, s_t, ended, cut, present)
            return
        self._require_room(n)
        values = (s_tm1, a_tm1, r_t, s_t, ended)
        if present is None:
            self._append(n, values)
        elif present.any():
            self._append(int(present.sum()), [value[present] for value in values])

    def _push_windows(
        self,
        s_tm1: Array,
        a_tm1: Array,
        r_t: Array,
        s_t: Array,
        terminated: Bools,
        truncated: Bools,
        present: Bools | None = None,
    ) -> None:
        """Hand a step of every environment to the windows and store what it completes."""
        n = len(a_tm1)
        if self._windows is None or self._windows.n_environments != n:
            if self._windows is not None and len(self._windows):
                raise ConfigError(
                    f"{len(self._windows)} steps of {self._windows.n_environments} environments "
                    f"wait for their rewards, and {n} environments cannot go on with them; "
                    f"call drop_pending before another task begins"
                )
            self._require_room(n * self.n_step)
            self._windows = self._new_windows(n)
        completed = self._windows.push(s_tm1, a_tm1, r_t, s_t, terminated, truncated, present)
        if len(completed[0]):
            self._append(len(completed[0]), completed)

    def _new_windows(self, environments: int) -> NStepWindows:
        return NStepWindows(self.n_step, self.gamma, environments, self.n_inputs, self._dtype)

    def drop_pending(self, environments: Sequence[int] | None = None) -> None:
        """Forget the steps that wait for rewards, of all or some environments, by index.

        To be called where an environment is reset before its episode has ended; the next step
        would be taken for the continuation. Without effect if `n_step` is 1.
        """
        if environments is None:
            self._windows = None
        elif self._windows is not None:
            self._windows.drop(np.array(environments, dtype=np.int64))

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` transitions.

        Returns
        -------
        Batch
            Copies, with the slots as `indices`; `steps` if `n_step` is more than 1, and `weights`
            if the sampler weighs.

        Raises
        ------
        ConfigError
            If fewer are stored.
        """
        i, weights = self.sampler.draw(self.rng, self._size, batch_size)
        fields: list[Any] = [column.take(i, axis=0) for column in self._columns.values()]
        if self.n_step == 1:
            fields.append(None)
        fields.append(None if weights is None else weights.astype(self._dtype, copy=False))
        fields.append(i)
        return Batch(*fields)

    def arrays(self) -> dict[str, Array]:
        """Return all content for a checkpoint, the steps that wait included."""
        windows = {} if self._windows is None else self._windows.arrays()
        return {**super().arrays(), **{f"window.{k}": v for k, v in windows.items()}}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Set the content to what `arrays` returned, of a replay made with the same parameters.

        Raises
        ------
        ConfigError
            If the replay that was stored had another capacity, other columns, another `n_step` or
            another sampler; the content is as before then.
        """
        stored = part(arrays, "window.")
        windows = None
        if stored and self.n_step == 1:
            raise ConfigError(
                "the stored replay has windows of several steps; this one has n_step 1"
            )
        if stored:
            windows = self._new_windows(len(stored["pending"]))
            windows.restore(stored)
        super().restore(arrays)
        self._windows = windows
