"""Networks, batches, and the Q-learning loss written out plainly, for the tests of the DQN."""

import numpy as np

from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.replay.batch import Batch


class FixedReplay:
    """A replay that always gives the same batch."""

    def __init__(self, batch):
        self.batch = batch

    def __len__(self):
        return len(self.batch.s_tm1)

    def sample(self, batch_size):
        return self.batch


def make_dqn(n_inputs=4, n_actions=3, replay=None, seed=0, dtype="float32", **hyperparameters):
    settings = {"hidden_layers": [8, 6], "buffer_size": 1000, "learning_starts": 1}
    dqn = DQN({"hyperparameters": {**settings, **hyperparameters}, "seed": seed, "dtype": dtype})
    dqn.build((n_inputs,), (n_actions,), replay)
    return dqn


def push_random(dqn, n, seed=1):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        s, s_next = rng.normal(size=(2, dqn.n_inputs))
        dqn.replay_buffer.push(
            s, int(rng.integers(dqn.n_actions)), rng.normal(), s_next, bool(rng.random() < 0.2)
        )


def filled_dqn(n=100, **settings):
    dqn = make_dqn(**settings)
    push_random(dqn, n)
    return dqn


def random_batch(rng, n=6, n_inputs=4, n_actions=3, all_actions=False, dtype="float64"):
    shape = (n, n_actions) if all_actions else (n,)
    return Batch(
        rng.normal(size=(n, n_inputs)).astype(dtype),
        None if all_actions else rng.integers(n_actions, size=n),
        rng.normal(size=shape).astype(dtype),
        rng.normal(size=(*shape, n_inputs)).astype(dtype),
        rng.random(shape) < 0.3,
    )


def set_random_weights(dqn, rng):
    """Give both networks weights and biases that differ everywhere."""
    for network in (dqn.q_network, dqn.target_network):
        for w in network["weights"].values():
            w[...] = rng.normal(size=w.shape) * (0.7 if w.ndim == 2 else 0.3)


def plain_weights(network, dtype=np.float64):
    return {name: np.array(w, dtype=dtype) for name, w in network["weights"].items()}


def plain_q(s, weights, xp=np):
    """Q-values by the definition, for one state or a batch; `xp` may be autograd's NumPy."""
    last = len(weights) // 2 - 1
    a = s
    for i in range(last):
        a = xp.maximum(xp.dot(a, weights[f"W{i}"]) + weights[f"b{i}"], 0.0)
    return xp.dot(a, weights[f"W{last}"]) + weights[f"b{last}"]


def plain_targets(batch, online, target, gamma, double=True):
    """The targets, one transition at a time."""
    y = np.empty(batch.r_t.shape)
    for where in np.ndindex(*batch.r_t.shape):
        y[where] = batch.r_t[where]
        if not batch.terminated[where]:
            s_t = batch.s_t[where].astype(np.float64)
            values = plain_q(s_t, target)
            chosen = np.argmax(plain_q(s_t, online if double else target))
            y[where] += gamma * values[chosen]
    return y


def plain_loss(weights, batch, y, xp=np):
    """mean((y - Q(s_tm1, a_tm1))^2), or over all actions; y is a constant."""
    q = plain_q(batch.s_tm1, weights, xp)
    if batch.a_tm1 is not None:
        q = q[np.arange(len(batch.a_tm1)), batch.a_tm1]
    return xp.mean((y - q) ** 2)


def learning_state(dqn):
    """Every byte that an update may change."""
    state = dqn.q_network["optimizer_state"]
    parts = (dqn.q_network["weights"], dqn.target_network["weights"], state["m"], state["v"])
    return (int(state["t"]), *(a.tobytes() for part in parts for a in part.values()))
