"""Checks for NaN, infinity, divergence, and dead units during training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array, Bools
from reinforcestrategycreator_pipeline.errors import DivergenceError, NonFiniteError
from reinforcestrategycreator_pipeline.models.learner.networks import QNetworks
from reinforcestrategycreator_pipeline.models.learner.training_step import StepResult
from reinforcestrategycreator_pipeline.replay.batch import Batch

REWARD_FACTOR = 2.0
UNTRAINED_FACTOR = 10.0
"""Values of sound trainings without rewards were measured at up to 2 times the untrained ones."""
DEAD_SHARE_WARNED = 0.5
DEAD_STRETCH = 1_000
DEAD_BATCHES = 5


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
        *([] if batch.s_t is None else [("the sampled states s_t", batch.s_t)]),
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
    is the largest absolute reward seen. Values beyond twice this bound have diverged (van Hasselt
    et al. 2018, arXiv:1812.02648, call values beyond the bound itself soft divergence), unless they
    are still those of the untrained network: learning that contracts toward the returns starts from
    them. So the limit is at least `UNTRAINED_FACTOR` times their largest. They are those of the
    first step and, before an alarm, of the untrained network at the states of the batch, with the
    noise of a noisy network, because states spread as an agent explores.

    There is no limit with gamma = 1, nor before a reward other than 0 was seen: without it there is
    no scale to judge by. Values that grow without bound even so end in a `NonFiniteError`.

    Attributes
    ----------
    largest_reward, first_q : float
        R_max, and the largest absolute action value of an untrained network.
    """

    def __init__(self) -> None:
        self.largest_reward = 0.0
        self.first_q: float | None = None

    def check(
        self,
        step: int,
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
            If the limit is exceeded.
        """
        if self.first_q is None:
            self.first_q = largest_q
        self._note(rewards)
        if not largest_q > self.limit(discount):
            return
        for stored in all_rewards:
            self._note(stored)
        if largest_q > self.limit(discount):
            self.first_q = max(self.first_q, untrained_q())
        limit = self.limit(discount)
        if not largest_q > limit:
            return
        raise DivergenceError(
            f"training step {step}: learning diverges: an action value of {largest_q:.4g} exceeds "
            f"{limit:.4g}, the most that rewards up to {self.largest_reward:.4g} at a discount of "
            f"{discount:.4g} and untrained values up to {self.first_q:.4g} allow. A lower "
            f'learning_rate, a longer target_update_interval, double_dqn, or loss "huber" may help'
        )

    def limit(self, discount: float) -> float:
        """Return the largest plausible absolute action value."""
        assert self.first_q is not None
        if discount >= 1.0 or self.largest_reward == 0.0:
            return math.inf
        explained = REWARD_FACTOR * self.largest_reward / (1.0 - discount)
        return max(explained, UNTRAINED_FACTOR * self.first_q)

    def _note(self, rewards: Array) -> None:
        if rewards.size:
            largest = max(float(rewards.max()), -float(rewards.min()))
            self.largest_reward = max(self.largest_reward, largest)


class DeadUnits:
    """Counts hidden units whose output is 0, and warns if most stay so.

    A unit can be 0 for one batch by chance. It counts as dead for the warning if it was 0 in every
    row of every logged batch of a stretch of at least `DEAD_STRETCH` training steps and
    `DEAD_BATCHES` logged batches. There is one warning per training.
    """

    def __init__(self) -> None:
        self._silent: Bools | None = None  # by unit: 0 in every logged batch of the stretch
        self._batches = self._since = 0
        self._warned = False

    def note(self, step: int, hidden: Sequence[Array], who: str = "") -> float:
        """Note the hidden layers, (..., N, n_l), of the batch logged at `step`; warn if due.

        Parameters
        ----------
        step : int
            Number of the training step.
        hidden : sequence of ndarray, shape (..., N, n_l)
            Outputs of the hidden layers.
        who : str
            Name of the agent, for the warning.

        Returns
        -------
        float
            Fraction of the units that are 0 in all N rows.
        """
        silent = np.concatenate([(~(a > 0).any(axis=-2)).ravel() for a in hidden])
        if self._silent is None or step <= self._since:
            self._silent, self._batches, self._since = silent, 1, step
        else:
            self._silent &= silent
            self._batches += 1
        steps = step - self._since
        if steps >= DEAD_STRETCH and self._batches >= DEAD_BATCHES:
            share = float(self._silent.mean())
            if share > DEAD_SHARE_WARNED and not self._warned:
                self._warned = True
                warn(
                    f"{who}training step {step}: {100 * share:.0f}% of the hidden units are dead "
                    f"(their output was 0 for every logged batch of the last {steps} training "
                    f"steps); a lower learning_rate or layer_norm may help"
                )
            self._silent = None
        return float(np.count_nonzero(silent)) / silent.size


def warn(message: str) -> None:
    """Log a warning."""
    import logging  # lazy: importing the learner should cost little more than importing NumPy

    logging.getLogger(__name__).warning(message)
