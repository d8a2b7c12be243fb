"""Checks for NaN, infinity, divergence, and dead units during training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.errors import DivergenceError, NonFiniteError
from reinforcestrategycreator_pipeline.models.learner.networks import QNetworks
from reinforcestrategycreator_pipeline.models.learner.training_step import StepResult
from reinforcestrategycreator_pipeline.replay.batch import Batch


def refuse_non_finite(
    networks: QNetworks, batch: Batch, result: StepResult, squared_norm: float
) -> None:
    """Raise for the first array with a number that is not finite, in order of computation.

    Nothing is raised if only a sum of finite squares overflowed that no update uses.

    Raises
    ------
    NonFiniteError
        The message names the step and the array.
    """
    suspects: list[tuple[str, Array]] = [
        *((f"the weights {name}", w) for name, w in networks.weights.items()),
        *((f"the target network's {name}", w) for name, w in networks.target_weights.items()),
        ("the sampled states s_tm1", batch.s_tm1),
        ("the sampled states s_t", batch.s_t),
        ("the sampled rewards", batch.r_t),
        *((f"the outputs of layer {i}", a) for i, a in enumerate(result.hidden)),
        (f"the outputs of layer {len(result.hidden)}", result.outputs),
        ("the target network's outputs", result.target_outputs),
        ("the loss", result.losses),
        ("the loss", np.array(result.loss())),
        *((f"the gradient of {name}", g) for name, g in networks.gradients.items()),
    ]
    for name, array in suspects:
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        if bad:
            place = f"{name} ({bad} of {array.size} numbers)"
            break
    else:
        if abs(squared_norm) < math.inf:
            return
        place = "the norm of the gradient, which overflows"
    raise NonFiniteError(
        f"training step {networks.t + 1}: NaN or infinity in {place}; "
        f"the update was not applied and the weights are unchanged"
    )


def squared_norm_float64(gradient: Array) -> float:
    """Return the sum of squares in float64, which cannot overflow for float32 numbers."""
    return float(np.add.reduce(np.square(gradient, dtype=np.float64)))


class DivergenceGuard:
    """Detects action values that the rewards cannot explain.

    A return is at most R_max / (1 - gamma), for n-step rewards R_max / (1 - gamma^n), where R_max
    is the largest absolute reward seen. An estimate that converges to the returns also never
    exceeds its initial value. The limit is twice the larger of the two (van Hasselt et al. 2018,
    arXiv:1812.02648, call values beyond the first bound soft divergence). The initial value is the
    largest absolute action value at the first step; before an alarm, that of the untrained network
    at the states of the batch counts too, because states, and with them the values of an untrained
    network, grow as an agent explores. With gamma = 1 there is no limit.

    Attributes
    ----------
    largest_reward, first_q : float
        R_max, and the largest absolute action value of an untrained network.
    """

    def __init__(self) -> None:
        self.largest_reward = 0.0
        self.first_q: float | None = None
        self._warned = False

    def check(
        self,
        step: int,
        mode: str,
        largest_q: float,
        rewards: Array,
        discount: float,
        all_rewards: Iterable[Array],
        untrained_q: Callable[[], float],
    ) -> None:
        """Compare the action values with the limit.

        Parameters
        ----------
        step : int
            Number of the training step, for the message.
        mode : {"stop", "warn"}
            Whether to raise or to log a warning.
        largest_q : float
            Largest absolute action value of the batch.
        rewards : ndarray
            Rewards of the batch.
        discount : float
            Discount over a transition of n steps, gamma^n.
        all_rewards : iterable of ndarray
            All stored rewards; read only before an alarm, in case a large one was never sampled.
        untrained_q : callable
            Returns the largest absolute action value of the untrained network at the states of the
            batch; called only before an alarm.

        Raises
        ------
        DivergenceError
            If `mode` is "stop" and the limit is exceeded.
        """
        if self.first_q is None:
            self.first_q = largest_q
        self._note(rewards)
        if discount >= 1.0 or largest_q <= self.limit(discount):
            return
        for stored in all_rewards:
            self._note(stored)
        if largest_q > self.limit(discount):
            self.first_q = max(self.first_q, untrained_q())
        limit = self.limit(discount)
        if largest_q <= limit:
            return
        message = (
            f"training step {step}: learning diverges: an action value of {largest_q:.4g} exceeds "
            f"{limit:.4g}, twice what rewards up to {self.largest_reward:.4g} at a discount of "
            f"{discount:.4g} allow. A lower learning_rate, a longer target_update_interval, "
            f'double_dqn, or loss "huber" may help'
        )
        if mode == "stop":
            raise DivergenceError(message)
        if not self._warned:
            self._warned = True
            warn(message)

    def limit(self, discount: float) -> float:
        """Return the largest plausible absolute action value."""
        assert self.first_q is not None
        return 2.0 * max(self.first_q, self.largest_reward / (1.0 - discount))

    def _note(self, rewards: Array) -> None:
        if rewards.size:
            largest = max(float(rewards.max()), -float(rewards.min()))
            self.largest_reward = max(self.largest_reward, largest)


def dead_share(hidden: Sequence[Array]) -> float:
    """Return the fraction of hidden units, (..., N, n_l), that are 0 in all N rows."""
    dead = sum(int(np.count_nonzero(~(a > 0).any(axis=-2))) for a in hidden)
    units: int = sum(a.shape[-1] for a in hidden)
    return dead / units


def warn(message: str) -> None:
    """Log a warning."""
    import logging  # lazy: importing the learner should cost little more than importing NumPy

    logging.getLogger(__name__).warning(message)
