"""What a replay gives to a learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.errors import ConfigError


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


def stored_place(arrays: Mapping[str, NDArray[Any]], n: int, capacity: int) -> int:
    """Return where a restored ring of `n` transitions writes next.

    Raises
    ------
    ConfigError
        If the ring that was stored had another capacity: its place would not fit this one.
    """
    place = int(arrays["next"][0])
    if not (place == n < capacity or 0 <= place < n == capacity):
        raise ConfigError(
            f"{n} stored transitions with the next place {place} do not fit "
            f"a replay of capacity {capacity}"
        )
    return place


class Replay(Protocol):
    """What a learner needs of a replay."""

    def __len__(self) -> int:
        """Return the number of transitions that can be sampled."""

    def sample(self, batch_size: int) -> Batch:
        """Return `batch_size` transitions drawn uniformly."""
