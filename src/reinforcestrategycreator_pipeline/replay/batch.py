"""What a replay gives to a learner."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from reinforcestrategycreator_pipeline.arrays import Array, Ints


class Batch(NamedTuple):
    """B transitions, of the action taken or of every action.

    Attributes
    ----------
    s_tm1 : ndarray, shape (B, n_inputs)
        States in which the actions were chosen.
    a_tm1 : ndarray of int, shape (B,), or None
        Actions taken. None: the batch tells what every action would have led to.
    r_t : ndarray, shape (B,) or (B, n_actions)
        Rewards; of several steps, their discounted sum.
    s_t : ndarray, shape (B, n_inputs) or (B, n_actions, n_inputs)
        The states that followed.
    terminated : ndarray of bool, shape (B,) or (B, n_actions)
        Where no reward follows any more. A truncated episode is not terminated.
    steps : ndarray of int, shape (B,), or None
        Environment steps from s_tm1 to s_t, over which r_t sums. None: one each.
    weights : ndarray, shape (B,), or None
        Importance of each transition's loss, above 0 and at most 1. None: all the same.
    indices : ndarray of int64, shape (B,), or None
        The replay's slots of the transitions, for `update_priorities`.
    """

    s_tm1: Array
    a_tm1: Array | None
    r_t: Array
    s_t: Array
    terminated: Array
    steps: Ints | None = None
    weights: Array | None = None
    indices: Ints | None = None

    def agent(self, k: int) -> Batch:
        """Return the part of agent `k` of a batch with a leading axis of agents."""
        return Batch._make(None if column is None else column[k] for column in self)


class Replay(Protocol):
    """What a learner needs of a replay."""

    def __len__(self) -> int:
        """Return the number of transitions that can be sampled."""
        ...

    def sample(self, batch_size: int) -> Batch:
        """Return `batch_size` transitions."""
        ...
