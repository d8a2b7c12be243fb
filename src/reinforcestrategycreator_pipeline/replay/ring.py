"""A ring buffer of complete transitions, for any task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from reinforcestrategycreator_pipeline.action_masks import as_masks, packed, unpacked
from reinforcestrategycreator_pipeline.arrays import Array, Bools
from reinforcestrategycreator_pipeline.checks import require_int, require_number
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.batch import Batch
from reinforcestrategycreator_pipeline.replay.n_step import NStepWindows
from reinforcestrategycreator_pipeline.replay.sampling import Sampler
from reinforcestrategycreator_pipeline.replay.store import RingStore, part
from reinforcestrategycreator_pipeline.replay.values import (
    largest_number,
    one_action,
    one_flag,
    one_number,
    require_storable,
)


class RingReplay(RingStore):
    """A replay of the last `capacity` transitions.

    Parameters
    ----------
    capacity : int
        Maximum number of transitions, >= 1; the oldest are overwritten.
    n_inputs : int
        Length of a state vector.
    rng : numpy.random.Generator
        Generator for sampling.
    dtype : dtype
        Type of states, rewards, and importance weights.
    n_actions : int, optional
        Number of actions; others are rejected. By default any action is accepted.
    n_step : int
        Environment steps that a transition spans, >= 1 (see `n_step.NStepWindows`). Above 1, a
        step is stored only once its rewards are complete.
    gamma : float
        Discount per step in the sums of rewards, in [0, 1]; not used if `n_step` is 1.
    sampler : Sampler, optional
        Chooses the transitions of a batch; by default uniformly, without replacement.

    Raises
    ------
    ConfigError
        If a number is out of range, or the sampler's capacity differs.

    Attributes
    ----------
    masked : bool
        Whether the action mask of every next state is stored, packed to ceil(n_actions / 8) bytes.
        Every transition must have a mask, or none; one that ended the task needs none.
    """

    def __init__(
        self,
        capacity: int,
        n_inputs: int,
        rng: np.random.Generator,
        dtype: DTypeLike = np.float32,
        n_actions: int | None = None,
        *,
        n_step: int = 1,
        gamma: float = 0.99,
        sampler: Sampler | None = None,
    ) -> None:
        require_int("RingReplay", "capacity", capacity, 1)
        require_int("RingReplay", "n_inputs", n_inputs, 1)
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
        self.masked = False
        self._dtype = np.dtype(dtype)
        self._largest = largest_number(dtype)
        self._first_invalid = 0 if n_actions is None else n_actions
        self._windows: NStepWindows | None = None

    def push(
        self,
        state: ArrayLike,
        action: int,
        reward: float,
        next_state: ArrayLike,
        terminated: bool,
        truncated: bool = False,
        next_mask: ArrayLike | None = None,
    ) -> None:
        """Store one transition.

        Parameters
        ----------
        state : array_like
            State in which the action was chosen; any shape with `n_inputs` elements.
        action : int
            Index of the action taken.
        reward : float
            Reward of the transition.
        next_state : array_like
            State that followed; any shape with `n_inputs` elements.
        terminated : bool
            True if the task ended; False if the episode was only truncated.
        truncated : bool
            True if the episode was truncated, so the next state pushed belongs to another one. Not
            used if `n_step` is 1.
        next_mask : array_like of bool, shape (n_actions,), optional
            Valid actions in the next state; by default all. Not used if the task ended.

        Raises
        ------
        ConfigError
            If a state has another length, there is no such action, the reward is not one real
            number, a flag not one bool, or the mask is invalid or missing; nothing is stored then.
        NonFiniteError
            If the reward, or with `n_step` the sum of rewards, is not finite once it is stored.
        """
        a: Any = action  # what is usual takes the quick way
        r: Any = reward
        ends: Any = terminated
        stops: Any = truncated
        if type(r) is not float:
            r = one_number(reward, "the reward")
        if not -self._largest <= r <= self._largest:
            require_storable(r, self._dtype, "cannot store a transition")
        if type(ends) is not bool or type(stops) is not bool:
            ends, stops = one_flag(ends, "terminated"), one_flag(stops, "truncated")
        s_tm1, s_t = _flat(state), _flat(next_state)
        if not s_tm1.size == s_t.size == self.n_inputs:
            raise ConfigError(
                f"a state must have {self.n_inputs} numbers. "
                f"Got {s_tm1.size} for the state and {s_t.size} for the next state instead."
            )
        if type(a) is not int or not 0 <= a < self._first_invalid:
            a = one_action(action, self.n_actions)
        bits = None
        if next_mask is not None or self.masked:
            bits = self._mask_bits(next_mask, np.array(not ends))
        if self.n_step > 1:
            a_tm1, r_t = np.array([a]), np.array([r])
            ended, cut = np.array([ends]), np.array([stops])
            row_of_bits = None if bits is None else bits[None]
            self._push_windows(s_tm1[None], a_tm1, r_t, s_t[None], ended, cut, row_of_bits)
            return
        slot = self._next
        row: tuple[Any, ...] = (s_tm1, a, r, s_t, ends)
        if bits is not None:
            self.use_masks()
            row = (*row, bits)
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
        next_masks: ArrayLike | None = None,
    ) -> None:
        """Store one transition of each of E environments that are stepped together.

        Transitions are stored in the order of the environments. With E = 1 this equals `push`.

        Parameters
        ----------
        states, next_states : array_like, shape (E, ...)
            States of `n_inputs` elements. Where an episode ended, the next state is its final
            observation, not the first observation of the next episode.
        actions : array_like of int, shape (E,)
            Indices of the actions taken.
        rewards : array_like, shape (E,)
            Reward of each transition.
        terminated, truncated : array_like of bool, shape (E,)
            Flags of transitions that ended the task, and of those that were truncated.
        present : ndarray of bool, shape (E,), optional
            Environments that made a step; by default all. The others were only reset, as
            Gymnasium's vectors do in the step after the end of an episode, and store nothing.
        next_masks : array_like of bool, shape (E, n_actions), optional
            Valid actions in each next state; by default all. Rows of transitions that ended the
            task are not used.

        Raises
        ------
        ConfigError
            If a shape is wrong, there is no such action, a mask is invalid or missing, flags are
            not bools or rewards not real numbers, the E transitions (with n_step > 1, E n_step)
            exceed the capacity, or steps of another number of environments are pending; nothing is
            stored then.
        NonFiniteError
            If a reward, or with `n_step` a sum of rewards, is not finite once it is stored.
        """
        a_tm1, r_t = np.asarray(actions), np.asarray(rewards)
        ended, cut = np.asarray(terminated), np.asarray(truncated)
        s_tm1, s_t = np.asarray(states), np.asarray(next_states)
        n = a_tm1.size
        if not a_tm1.shape == r_t.shape == ended.shape == cut.shape == (n,):
            raise ConfigError(
                f"actions, rewards, terminated, and truncated must have the shape ({n},). "
                f"Got {a_tm1.shape}, {r_t.shape}, {ended.shape}, and {cut.shape} instead."
            )
        if not s_tm1.size == s_t.size == n * self.n_inputs or {*s_tm1.shape[:1], n} != {n}:
            raise ConfigError(
                f"{n} states must have {self.n_inputs} numbers each. "
                f"Got shapes {s_tm1.shape} for the states and {s_t.shape} for the next states."
            )
        if not n:
            return
        if ended.dtype != bool or cut.dtype != bool or r_t.dtype.kind not in "biuf":
            raise ConfigError(
                f"terminated and truncated must be bools, and rewards real numbers. "
                f"Got {ended.dtype}, {cut.dtype}, and {r_t.dtype} instead."
            )
        of_steps = r_t if present is None else r_t[present]
        require_storable(of_steps, self._dtype, "cannot store transitions")
        last = np.iinfo(np.int64).max if self.n_actions is None else self.n_actions - 1
        if a_tm1.dtype.kind not in "iu" or (
            self.n_actions is not None and not 0 <= a_tm1.min() <= a_tm1.max() <= last
        ):
            raise ConfigError(
                f"an action must be an integer from 0 to {last}. Got {a_tm1.tolist()!r} instead."
            )
        s_tm1, s_t = s_tm1.reshape(n, -1), s_t.reshape(n, -1)
        bits = None
        if next_masks is not None or self.masked:
            bits = self._mask_bits(next_masks, ~ended if present is None else ~ended & present)
        if self.n_step > 1:
            self._push_windows(s_tm1, a_tm1, r_t, s_t, ended, cut, bits, present)
            return
        self._require_room(n)
        values: tuple[Array, ...] = (s_tm1, a_tm1, r_t, s_t, ended)
        if bits is not None:
            self.use_masks()
            values = (*values, bits)
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
        bits: Array | None,
        present: Bools | None = None,
    ) -> None:
        """Add a step of every environment to the windows, and store completed transitions."""
        n = len(a_tm1)
        if self._windows is None or self._windows.n_environments != n:
            if self._windows is not None and len(self._windows):
                raise ConfigError(
                    f"cannot push steps of {n} environments while steps of "
                    f"{self._windows.n_environments} are pending ({len(self._windows)} of them); "
                    f"call drop_pending before starting another task"
                )
            self._require_room(n * self.n_step)
            self._windows = self._new_windows(n)
        if bits is not None:
            self.use_masks()
        *completed, i = self._windows.push(s_tm1, a_tm1, r_t, s_t, terminated, truncated, present)
        if not len(i):
            return
        if bits is not None:
            completed.append(bits[i])
        # Rewards that fit may have a sum that does not.
        require_storable(completed[2], self._dtype, "cannot store transitions")
        self._append(len(i), completed)

    def use_masks(self) -> None:
        """Store an action mask with every transition from now on.

        Raises
        ------
        ConfigError
            If transitions that need a mask are stored without one, or the number of actions is not
            known.
        """
        if self.masked:
            return
        self._require_unmixed()
        shape = (self.capacity, -(-self._known_actions() // 8))
        self._columns["mask_t"] = np.zeros(shape, dtype=np.uint8)
        self.masked = True

    def _mask_bits(self, masks: ArrayLike | None, needed: Bools) -> Array:
        """Return the packed masks of next states; those not `needed` may lack a valid action."""
        if not self.masked:
            self._require_unmixed()
        shape = (*needed.shape, self._known_actions())
        if masks is None:
            if needed.any():
                raise ConfigError(
                    "this replay stores action masks, so every next state must have one. Got none."
                )
            masks = np.zeros(shape, dtype=bool)
        return packed(as_masks(masks, shape, "the action mask of a next state", needed))

    def _require_unmixed(self) -> None:
        ended = self._columns["terminated"][: len(self)]  # these need no mask
        if not ended.all():
            raise ConfigError(
                f"a replay must hold an action mask with every transition or with none. "
                f"Got a mask after {np.count_nonzero(~ended)} transitions without one."
            )

    def _known_actions(self) -> int:
        if self.n_actions is None:
            raise ConfigError("a RingReplay needs n_actions to store action masks. Got None.")
        return self.n_actions

    def _new_windows(self, environments: int) -> NStepWindows:
        return NStepWindows(self.n_step, self.gamma, environments, self.n_inputs, self._dtype)

    def drop_pending(self, environments: Sequence[int] | None = None) -> None:
        """Drop the pending steps of all environments, or of those with the given indices.

        Call this when an environment is reset before the end of its episode; otherwise the next
        step would count as its continuation. Has no effect if `n_step` is 1.
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
            Copies, with the slots as `indices`, `steps` if `n_step` is above 1, `weights` if the
            sampler computes importance weights, and `mask_t` if the masks are stored.

        Raises
        ------
        ConfigError
            If fewer are stored.
        """
        i, weights = self.sampler.draw(self.rng, self._size, batch_size)
        fields = [column.take(i, axis=0) for column in self._columns.values()]
        mask_t = unpacked(fields.pop(), self._known_actions()) if self.masked else None
        steps = fields.pop() if self.n_step > 1 else None
        if weights is not None:
            weights = weights.astype(self._dtype, copy=False)
        s_tm1, a_tm1, r_t, s_t, terminated = fields
        return Batch(s_tm1, a_tm1, r_t, s_t, terminated, steps, weights, i, mask_t)

    def arrays(self) -> dict[str, Array]:
        """Return all content for a checkpoint, including pending steps."""
        windows = {} if self._windows is None else self._windows.arrays()
        return {**super().arrays(), **{f"window.{k}": v for k, v in windows.items()}}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Restore content returned by `arrays` of a replay with the same parameters.

        Raises
        ------
        ConfigError
            If the stored replay has another capacity, `n_step`, or sampler, or other columns; the
            content is unchanged then.
        """
        stored = part(arrays, "window.")
        windows = None
        if stored and self.n_step == 1:
            raise ConfigError("the stored replay has n-step transitions; this one has n_step 1")
        if stored:
            windows = self._new_windows(len(stored["pending"]))
            windows.restore(stored)
        if "mask_t" in arrays and not self.masked and not len(self):
            self.use_masks()
        super().restore(arrays)
        self._windows = windows


def _flat(state: ArrayLike) -> Array:
    return state if type(state) is np.ndarray and state.ndim == 1 else np.ravel(state)
