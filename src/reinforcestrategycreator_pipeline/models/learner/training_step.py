"""One training step of one network, or of K at once: targets, loss, and gradients.

With B transitions, and M = B rows, or M = B A if a batch holds the outcome of every action:

    online     outputs for s_tm1 and (double DQN) for s_t, in one forward pass
    best       argmax_a Q(s_t, a) over the valid actions, by the online network (double DQN) or the
               target network
    bootstrap  outputs of the target network for the best actions          (M, n)
    discount   gamma^steps, 0 where terminated                             (M,)
               (both are 0 if the batch has no s_t: its rewards are whole returns)
    loss       L = mean over rows of weight * head.loss(predicted, bootstrap, r_t, discount)
    gradient   dL/d outputs, then backpropagation; no gradient flows through the targets

Sources: Mnih et al. 2015 (doi:10.1038/nature14236); double DQN: van Hasselt et al. 2016
(arXiv:1509.06461), eq. 4; importance weights: Schaul et al. 2016 (arXiv:1511.05952), section 3.4.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.action_masks import masked
from reinforcestrategycreator_pipeline.arrays import Array, Bools
from reinforcestrategycreator_pipeline.nn.heads.base import Head
from reinforcestrategycreator_pipeline.nn.network import Backward, NetworkSpec, Pass, Views
from reinforcestrategycreator_pipeline.nn.normalization import RunningNormalizer
from reinforcestrategycreator_pipeline.replay.batch import Batch

MOST_BUFFERS = 16  # limits memory if batch sizes vary


class _Buffers:
    """Buffers for batches of one shape, and views of them; created at first use."""

    def __init__(self, step: TrainingStep, b: int, every: bool, follows: bool) -> None:
        spec, lead = step.spec, step.lead
        a, n = spec.n_actions, spec.n_outputs
        self.m = m = b * a if every else b
        self.online = Pass(spec, step.online, b + m if follows and step.double_dqn else b)
        self.s_tm1 = self.online.x[..., :b, :]
        self.following = Following(step, self.online, b, m) if follows else None
        self.backward = Backward(self.online, b, step.gradients)
        d_outputs = np.zeros((*lead, b, a * n), dtype=step.dtype)
        self.d_outputs, self.d_rows = d_outputs, d_outputs.reshape(-1, n)
        self.d_flat = d_outputs.reshape(-1)
        self.rows = self.online.outputs.reshape(-1, n)
        # Flat index of each row's first action: in the online outputs, and in d_outputs (as an
        # offset from the first).
        agent = np.arange(math.prod(lead))[:, None]
        self.first = ((agent * self.online.rows + np.arange(b)) * a).ravel()
        self.first_gradient = ((agent * b + np.arange(b)) * a).ravel() - self.first
        self.every = (self.first[:, None] + np.arange(a)).ravel() if every else None
        self.share = np.array(1.0 / m, dtype=step.dtype)
        self.discounts = np.zeros((*lead, m), dtype=step.dtype)
        self.flat_discounts = self.discounts.reshape(-1)
        self.nothing = np.zeros((math.prod(lead) * m, n), dtype=step.dtype)


class Following:
    """Buffers for the states that follow a batch, and their values."""

    def __init__(self, step: TrainingStep, online: Pass, b: int, m: int) -> None:
        spec, lead = step.spec, step.lead
        shared = online.inputs[..., b:, :] if step.double_dqn else None
        self.target = Pass(spec, step.target, m, shared)
        self.s_t, self.shape = self.target.x, (*lead, m, spec.n_inputs)
        self._rows = self.target.outputs.reshape(-1, spec.n_outputs)
        chooser = online.outputs[..., b:, :] if step.double_dqn else self.target.outputs
        self._choices, self._head = step.by_action(chooser), step.head
        agent = np.arange(math.prod(lead))[:, None]
        self._first = ((agent * m + np.arange(m)) * spec.n_actions).ravel()

    def bootstrap(self, mask_t: Bools | None) -> Array:
        """Return the target network's outputs for the best valid actions, once both passed."""
        values = self._head.values(self._choices)
        if mask_t is not None:
            values = masked(values, mask_t.reshape(values.shape))
        best = values.argmax(axis=-1).ravel()
        best += self._first
        outputs: Array = self._rows.take(best, axis=0)
        return outputs


class StepResult(NamedTuple):
    """Result of `TrainingStep.run`, besides the gradients.

    Attributes
    ----------
    losses, priorities : ndarray, shape (K M,)
        Losses and priorities from the head, by row; losses are multiplied by importance weights.
    hidden : list of ndarray, shape (..., N, n_l)
        Hidden layers of the online network for s_tm1, and with double DQN then for s_t.
    outputs, target_outputs : ndarray, shape (..., N, A n) and (..., M, A n)
        Outputs of both networks; of the target network none (M = 0) if the batch has no s_t. Like
        `hidden`, they are overwritten by the next step.
    rows : int
        Number of transitions B.
    checksum : float
        Sum of squares of inputs and outputs; finite only if each of them is.
    step : TrainingStep
        The step that computed it.
    """

    losses: Array
    priorities: Array
    hidden: list[Array]
    outputs: Array
    target_outputs: Array
    rows: int
    checksum: float
    step: TrainingStep

    def loss(self) -> float:
        """Return the mean loss over the rows."""
        return float(np.add.reduce(self.losses)) / self.losses.size

    def agent(self, k: int) -> StepResult:
        """Return the result of agent `k` of several; `checksum` remains that of all."""
        agents = self.outputs.shape[0]
        return self._replace(
            losses=self.losses.reshape(agents, -1)[k],
            priorities=self.priorities.reshape(agents, -1)[k],
            hidden=[a[k] for a in self.hidden],
            outputs=self.outputs[k],
            target_outputs=self.target_outputs[k],
        )

    def transition_priorities(self) -> Annotated[Array, "*agents {self.rows}"]:
        """Return the priority of each transition, (..., B): the mean over its actions."""
        by_action = self.priorities.reshape(*self.outputs.shape[:-2], self.rows, -1)
        priorities: Array = by_action.mean(axis=-1)
        return priorities

    def action_values(self) -> Array:
        """Return Q (..., N, A) for s_tm1 of the batch, and with double DQN then for s_t."""
        return self.step.head.values(self.step.by_action(self.outputs))

    def valid_values(self, batch: Batch, following: bool) -> Array:
        """Return `action_values` for s_tm1, or if `following` also for s_t.

        With masks, only those of actions known to be valid, flat: in s_tm1 the actions taken. The
        values of invalid actions are not trained.
        """
        q, rows = self.action_values(), self.rows
        if batch.mask_t is None:
            return q if following else q[..., :rows, :]
        now, then = q[..., :rows, :], q[..., rows:, :]
        if batch.a_tm1 is not None:
            now = np.take_along_axis(now, batch.a_tm1[..., None], axis=-1)
        if not (following and then.size):
            return now.ravel()
        return np.concatenate([now.ravel(), then[batch.mask_t.reshape(then.shape)]])


class TrainingStep:
    """Computes the gradients of a batch.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of both networks.
    head : Head
        Meaning of their outputs.
    double_dqn : bool
        If true, the online network chooses the next action; otherwise the target network.
    online, target, gradients : Views
        Effective weights of both networks, and the gradients to write; for one agent, or for K.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        head: Head,
        double_dqn: bool,
        online: Views,
        target: Views,
        gradients: Views,
    ) -> None:
        self.spec, self.head, self.double_dqn = spec, head, double_dqn
        self.online, self.target, self.gradients = online, target, gradients
        self.lead = online.w[0].shape[:-2]
        self.dtype = online.w[0].dtype
        self._buffers: dict[tuple[int, bool, bool], _Buffers] = {}

    def run(
        self, batch: Batch, gamma: float | Array, normalizers: list[RunningNormalizer] | None = None
    ) -> StepResult:
        """Compute the gradients of one batch.

        Parameters
        ----------
        batch : Batch
            The batch, with a leading axis of agents if there are several.
        gamma : float or ndarray, shape (K, 1)
            Discount per environment step, in [0, 1].
        normalizers : list of RunningNormalizer, optional
            Normalization of the states, one entry per agent.
        """
        b, every, follows = batch.s_tm1.shape[-2], batch.a_tm1 is None, batch.s_t is not None
        buffers = self._buffers.get((b, every, follows)) or self._make_buffers(b, every, follows)
        m, online, following = buffers.m, buffers.online, buffers.following
        if normalizers is not None:
            self._normalize(batch, buffers, normalizers)
        else:
            buffers.s_tm1[...] = batch.s_tm1
            if following is not None:
                following.s_t[...] = batch.s_t.reshape(following.shape)  # type: ignore[union-attr]

        online.forward()
        if following is None:
            bootstrap, discounts = buffers.nothing, buffers.flat_discounts
        else:
            following.target.forward()
            bootstrap = following.bootstrap(batch.mask_t)
            discounts = self._discounts(batch, gamma, buffers)

        taken = batch.a_tm1.ravel() + buffers.first if buffers.every is None else buffers.every  # type: ignore[union-attr]
        losses, d_predicted, priorities = self.head.loss(
            buffers.rows.take(taken, axis=0), bootstrap, batch.r_t.ravel(), discounts
        )
        if batch.weights is None:
            d_predicted *= buffers.share
        else:
            weights = batch.weights.astype(self.dtype, copy=False).ravel()
            if every:
                weights = np.repeat(weights, self.spec.n_actions)
            losses = losses * weights
            d_predicted *= (weights / m)[:, None]
        if every:
            d_outputs = d_predicted.reshape(buffers.d_outputs.shape)
        else:
            d_outputs = buffers.d_outputs
            d_outputs.fill(0.0)
            if self.lead:  # for one agent, the offset is 0
                taken += buffers.first_gradient
            if self.spec.n_outputs == 1:  # same as the other branch, in a quarter of the time
                buffers.d_flat[taken] = d_predicted.ravel()
            else:
                buffers.d_rows[taken] = d_predicted
        buffers.backward.run(d_outputs)
        checksum = float(online.ends.dot(online.ends))
        target_outputs = online.outputs[..., :0, :]
        if following is not None:
            ends, target_outputs = following.target.ends, following.target.outputs
            checksum += float(ends.dot(ends))
        return StepResult(
            losses, priorities, online.hidden, online.outputs, target_outputs, b, checksum, self
        )

    def by_action(
        self, outputs: Annotated[Array, "*rows both"]
    ) -> Annotated[Array, "*rows {self.spec.n_actions} {self.spec.n_outputs}"]:
        """Return outputs (..., A n) as a view (..., A, n)."""
        return outputs.reshape(*outputs.shape[:-1], self.spec.n_actions, self.spec.n_outputs)

    def _normalize(
        self, batch: Batch, buffers: _Buffers, normalizers: list[RunningNormalizer]
    ) -> None:
        pairs = [(buffers.s_tm1, batch.s_tm1)]
        if (following := buffers.following) is not None:
            assert batch.s_t is not None
            pairs.append((following.s_t, batch.s_t.reshape(following.shape)))
        for out, states in pairs:
            if self.lead:
                for k, normalizer in enumerate(normalizers):
                    normalizer.apply(states[k], out=out[k])
            else:
                normalizers[0].apply(states, out=out)

    def _discounts(self, batch: Batch, gamma: float | Array, buffers: _Buffers) -> Array:
        """Return gamma^steps, 0 where terminated, for each row, shape (K m,)."""
        if batch.steps is None:
            buffers.discounts[...] = gamma
        else:
            powers = np.power(gamma, batch.steps)
            if buffers.every is not None:  # one row per action, but one count per transition
                powers = np.repeat(powers, self.spec.n_actions, axis=-1)
            buffers.discounts[...] = powers
        np.putmask(buffers.flat_discounts, batch.terminated, 0.0)  # twice as fast as indexing
        return buffers.flat_discounts

    def _make_buffers(self, b: int, every: bool, follows: bool) -> _Buffers:
        if len(self._buffers) > MOST_BUFFERS:
            self._buffers.clear()
        buffers = self._buffers[(b, every, follows)] = _Buffers(self, b, every, follows)
        return buffers
