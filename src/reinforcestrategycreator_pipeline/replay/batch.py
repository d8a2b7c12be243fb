"""What a replay gives to a learner."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray


class Batch(NamedTuple):
    """B transitions, of the action taken or of every action.

    Attributes
    ----------
    s_tm1 : ndarray, shape (B, n_inputs)
        States in which the actions were chosen.
    a_tm1 : ndarray of int, shape (B,), or None
        Actions taken. None: the batch tells what every action would have led to.
    r_t : ndarray, shape (B,) or (B, n_actions)
        Rewards.
    s_t : ndarray, shape (B, n_inputs) or (B, n_actions, n_inputs)
        The states that followed.
    terminated : ndarray of bool, shape (B,) or (B, n_actions)
        Where no reward follows any more. A truncated episode is not terminated.
    """

    s_tm1: NDArray[Any]
    a_tm1: NDArray[Any] | None
    r_t: NDArray[Any]
    s_t: NDArray[Any]
    terminated: NDArray[Any]


class Replay(Protocol):
    """What a learner needs of a replay."""

    def __len__(self) -> int:
        """Return the number of transitions that can be sampled."""

    def sample(self, batch_size: int) -> Batch:
        """Return `batch_size` transitions drawn uniformly."""
