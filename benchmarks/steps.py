"""The same training step thrice: this DQN's, torch's and JAX's.

All do the same work a step: draw a batch from 10,000 transitions, the online forward on s_tm1 and
s_t, the target forward on s_t, backpropagation of the mean squared error, Adam, a copy to the
target network every 500 steps, and read the loss as a float. torch and JAX keep the transitions as
their own arrays and draw with replacement; JAX gathers inside the compiled step, by indices from
NumPy, and reuses the memory of what it replaces.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN

BATCH, GAMMA, STORED, N_INPUTS, N_ACTIONS = 32, 0.99, 10_000, 10, 3
LEARNING_RATE, BETA1, BETA2, EPSILON, TARGET_INTERVAL = 1e-3, 0.9, 0.999, 1e-8, 500
SETTINGS = {
    "gamma": GAMMA,
    "learning_rate": LEARNING_RATE,
    "adam_beta1": BETA1,
    "adam_beta2": BETA2,
    "adam_epsilon": EPSILON,
    "target_update_interval": TARGET_INTERVAL,
    "buffer_size": STORED,
    # Rewards and next states that have nothing to do with the actions teach nothing: in a million
    # steps the values may well drift beyond what such rewards allow.
    "on_divergence": "ignore",
}
Step = Callable[[], float]
Draw = Callable[[], np.ndarray]
Weights = Mapping[str, np.ndarray]


def transitions(seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return s_tm1, a_tm1, r_t, s_t and terminated of random transitions."""
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((STORED, N_INPUTS)).astype(np.float32),
        rng.integers(N_ACTIONS, size=STORED),
        rng.standard_normal(STORED).astype(np.float32),
        rng.standard_normal((STORED, N_INPUTS)).astype(np.float32),
        rng.random(STORED) < 0.05,
    )


def new_dqn(
    hidden: list[int], *, batch: int = BATCH, seed: int = 0, rewards: bool = True, **settings: Any
) -> DQN:
    """Return a DQN of double targets whose replay is full; without `rewards` they are all 0."""
    hyperparameters = {**SETTINGS, "hidden_layers": hidden, "batch_size": batch, **settings}
    dqn = DQN({"seed": seed, "hyperparameters": hyperparameters})
    dqn.build((N_INPUTS,), (N_ACTIONS,))
    fill(dqn, rewards)
    return dqn


def fill(dqn: DQN, rewards: bool = True) -> None:
    """Fill a DQN's replay with the transitions of its seed."""
    s_tm1, a_tm1, r_t, s_t, terminated = transitions(dqn.config.seed)
    never = np.zeros(STORED, dtype=bool)
    dqn.replay_buffer.push_many(s_tm1, a_tm1, r_t * rewards, s_t, terminated, never)


def torch_step(
    weights: Weights, batch: int = BATCH, fused: bool = False, draw: Draw | None = None
) -> Step:
    """Return torch's step, from the given first weights; by `draw`'s batches, if there is one."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    layers = len(weights) // 2

    def network() -> nn.Sequential:
        parts: list[Any] = []
        for i in range(layers):
            w, b = weights[f"W{i}"], weights[f"b{i}"]
            linear = nn.Linear(*w.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.tensor(w.T))
                linear.bias.copy_(torch.tensor(b))
            parts += [linear, nn.ReLU()]
        return nn.Sequential(*parts[:-1])

    online, target = network(), network()
    adam = torch.optim.Adam(
        online.parameters(), lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, fused=fused
    )
    s_tm1, a_tm1, r_t, s_t, terminated = (torch.as_tensor(x) for x in transitions())
    t = 0

    def step() -> float:
        nonlocal t
        i = torch.randint(STORED, (batch,)) if draw is None else torch.as_tensor(draw())
        following = s_t[i]
        with torch.no_grad():
            best = online(following).argmax(1, keepdim=True)
            value = target(following).gather(1, best).squeeze(1)
            y = r_t[i] + GAMMA * value * ~terminated[i]
        q = online(s_tm1[i]).gather(1, a_tm1[i].unsqueeze(1)).squeeze(1)
        loss = ((y - q) ** 2).mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        t += 1
        if t % TARGET_INTERVAL == 0:
            target.load_state_dict(online.state_dict())
        return loss.item()

    return step


def jax_step(
    weights: Weights, batch: int = BATCH, flat: bool = False, draw: Draw | None = None
) -> Step:
    """Return jitted JAX's step, from the given first weights; see `torch_step`.

    With `flat` all parameters are one array, as here; without it, one a layer, as usual.
    """
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree

    first: Any = [(weights[f"W{i}"], weights[f"b{i}"]) for i in range(len(weights) // 2)]
    layers_of: Callable[[Any], Any] = list
    if flat:
        first, layers_of = ravel_pytree(first)

    def forward(parameters: Any, x: Any) -> Any:
        *hidden, (w, b) = layers_of(parameters)
        for w_l, b_l in hidden:
            x = jax.nn.relu(x @ w_l + b_l)
        return x @ w + b

    @partial(jax.jit, donate_argnums=(0,))
    def update(state: Any, target: Any, i: Any, data: Any) -> Any:
        online, m, v, t = state
        s_tm1, a_tm1, r_t, s_t, terminated = (column[i] for column in data)
        best = forward(online, s_t).argmax(1)[:, None]
        value = jnp.take_along_axis(forward(target, s_t), best, 1)[:, 0]
        y = r_t + GAMMA * jnp.where(terminated, 0.0, value)

        def loss_of(parameters: Any) -> Any:
            q = jnp.take_along_axis(forward(parameters, s_tm1), a_tm1[:, None], 1)[:, 0]
            return jnp.mean((y - q) ** 2)

        loss, g = jax.value_and_grad(loss_of)(online)
        t = t + 1
        m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
        v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
        c1, c2 = 1 - BETA1**t, 1 - BETA2**t
        online = jax.tree.map(
            lambda w, m, v: w - LEARNING_RATE * (m / c1) / (jnp.sqrt(v / c2) + EPSILON),
            online,
            m,
            v,
        )
        return (online, m, v, t), loss

    online, target = (jax.tree.map(jnp.array, first) for _ in range(2))
    m, v = (jax.tree.map(jnp.zeros_like, online) for _ in range(2))
    state = (online, m, v, jnp.float32(0))
    data = tuple(jnp.asarray(x) for x in transitions())
    rng, t = np.random.default_rng(0), 0

    def step() -> float:
        nonlocal state, target, t
        i = (rng.random(batch) * STORED).astype(np.int32) if draw is None else draw()
        state, loss = update(state, target, i, data)
        t += 1
        if t % TARGET_INTERVAL == 0:
            target = jax.tree.map(jnp.array, state[0])  # the state's own memory is given away
        return float(loss)

    return step


class _Given:
    """A sampler that draws what it is told."""

    beta = 1.0

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def draw(self, rng: np.random.Generator, size: int, batch_size: int) -> tuple[Any, None]:
        return self._draw(), None


def require_agreement(hidden: list[int], batch: int = BATCH, steps: int = 20) -> None:
    """Refuse to measure unless all three give the same losses from the same batches.

    They round differently, and Adam's first steps of lr * sign(g) turn a rounding error in a
    gradient near 0 into a step, so that they part slowly.
    """
    dqn = new_dqn(hidden, batch=batch)
    first = {name: array.copy() for name, array in dqn.q_network["weights"].items()}
    batches = np.random.default_rng(1).integers(STORED, size=(steps, batch))

    def draw() -> Draw:
        return partial(next, iter(batches))

    dqn.replay_buffer.sampler = _Given(draw())
    sides = {
        "ours": dqn.train_step,
        "torch": torch_step(first, batch, draw=draw()),
        "fused": torch_step(first, batch, fused=True, draw=draw()),
        "jax": jax_step(first, batch, draw=draw()),
        "flat jax": jax_step(first, batch, flat=True, draw=draw()),
    }
    losses = {name: [step() for _ in range(steps)] for name, step in sides.items()}
    for name, found in losses.items():
        np.testing.assert_allclose(found, losses["ours"], rtol=1e-3, err_msg=name)


def sizes_of(hidden: list[int]) -> list[tuple[int, int]]:
    """Return (fan_in, fan_out) of every layer."""
    return list(itertools.pairwise([N_INPUTS, *hidden, N_ACTIONS]))
