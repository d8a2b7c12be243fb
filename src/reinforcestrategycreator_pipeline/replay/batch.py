"""Batches of transitions, and the interface of a replay."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array, Bools, Ints


class Batch(NamedTuple):
    """B transitions, of the action taken or of every action.

    Attributes
    ----------
    s_tm1 : ndarray, shape (B, n_inputs)
        States in which the actions were chosen.
    a_tm1 : ndarray of int, shape (B,), or None
        Actions taken. None: the batch holds the outcome of every action.
    r_t : ndarray, shape (B,) or (B, n_actions)
        Rewards; their discounted sum if a transition spans several steps.
    s_t : ndarray, shape (B, n_inputs) or (B, n_actions, n_inputs), or None
        States that followed. None: `r_t` is the whole return, so nothing is added to it.
    terminated : ndarray of bool, shape (B,) or (B, n_actions)
        True where no further rewards follow. A truncated episode is not terminated.
    steps : ndarray of int, shape (B,), or None
        Environment steps from s_tm1 to s_t, the number of rewards in r_t. None: 1 each.
    weights : ndarray, shape (B,), or None
        Importance weight of each transition's loss, in (0, 1]. None: all equal.
    indices : ndarray of int64, shape (B,), or None
        Slots of the transitions in the replay, for `update_priorities`.
    mask_t : ndarray of bool, shape (B, n_actions) or (B, n_actions, n_actions), or None
        Valid actions in s_t. None: all. Rows of terminated transitions have no effect.
    """

    s_tm1: Array
    a_tm1: Array | None
    r_t: Array
    s_t: Array | None
    terminated: Array
    steps: Ints | None = None
    weights: Array | None = None
    indices: Ints | None = None
    mask_t: Bools | None = None

    def agent(self, k: int) -> Batch:
        """Return the batch of agent `k`, of a batch with a leading axis of agents."""
        return Batch._make(None if column is None else column[k] for column in self)

    def without(self, k: int) -> Batch:
        """Return the batch of all agents but `k`, of a batch with a leading axis of agents."""
        return Batch._make(None if c is None else np.delete(c, k, axis=0) for c in self)


class Replay(Protocol):
    """Interface of a replay, as a learner uses it."""

    def __len__(self) -> int:
        """Return the number of transitions that can be sampled."""
        ...

    def sample(self, batch_size: int) -> Batch:
        """Return `batch_size` transitions."""
        ...
