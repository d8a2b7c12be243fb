"""What must not happen unnoticed in training: NaN, infinity, divergence, dead units."""

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

    Nothing is raised where only a sum of finite squares overflowed that no update needs.

    Raises
    ------
    NonFiniteError
        Naming the step and the array.
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
        f"the update was not applied and the weights are as before"
    )


def squared_norm_float64(gradient: Array) -> float:
    """Return the sum of squares, summed in float64: that of float32 numbers cannot overflow."""
    return float(np.add.reduce(np.square(gradient, dtype=np.float64)))


class DivergenceGuard:
    """Notices action values that no rewards can explain.

    A return is at most R_max / (1 - gamma), for n-step rewards R_max / (1 - gamma^n); an estimate
    that contracts towards the returns also never exceeds where it started. Twice the larger of
    the two is the limit (van Hasselt et al. 2018, arXiv:1812.02648, call values beyond it soft
    divergence). R_max is the largest absolute reward seen. Where estimates started is the largest
    absolute value of the first step, and of the untrained network at every state that would be
    an alarm: states grow as an agent explores, and so do an untrained network's values. With
    gamma = 1 there is no limit.

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
            The number of the training step, for the message.
        mode : {"stop", "warn"}
            What follows.
        largest_q : float
            The largest absolute action value of the batch.
        rewards : ndarray
            Of the batch.
        discount : float
            gamma^n.
        all_rewards : iterable of ndarray
            All stored rewards; read only before an alarm, lest a rare one was never sampled.
        untrained_q : callable
            Returns the largest absolute action value of the untrained network at the batch's
            states; called only before an alarm.

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
            f"training step {step}: an action value of {largest_q:.4g} exceeds {limit:.4g}, twice "
            f"what rewards up to {self.largest_reward:.4g} at a discount of {discount:.4g} allow; "
            f"learning diverges. A lower learning_rate, a longer target_update_interval, "
            f'double_dqn or loss "huber" may help'
        )
        if mode == "stop":
            raise DivergenceError(message)
        if not self._warned:
            self._warned = True
            warn(message)

    def limit(self, discount: float) -> float:
        """Return the largest absolute action value that is believed."""
        assert self.first_q is not None
        return 2.0 * max(self.first_q, self.largest_reward / (1.0 - discount))

    def _note(self, rewards: Array) -> None:
        if rewards.size:
            largest = max(float(rewards.max()), -float(rewards.min()))
            self.largest_reward = max(self.largest_reward, largest)


def dead_share(hidden: Sequence[Array]) -> float:
    """Return the share of hidden units (..., N, n_l) that none of the N rows woke."""
    dead = sum(int(np.count_nonzero(~(a > 0).any(axis=-2))) for a in hidden)
    units: int = sum(a.shape[-1] for a in hidden)
    return dead / units


def warn(message: str) -> None:
    """Log a warning."""
    import logging  # here, so that importing the learner costs little more than importing NumPy

    logging.getLogger(__name__).warning(message)
