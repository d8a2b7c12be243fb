"""The training of an ensemble's agents by torch, JAX, and stable-baselines3; see `agents`.

torch and JAX do what `EnsembleTrainer` does in an interval of steps between two evaluations of the
target networks: evaluate them on all bars, compute the returns to learn, and make the steps, each
of a gather, the forward pass, backpropagation of the mean squared error, and AdamW. They train all
agents at once and read the losses once an interval. stable-baselines3 trains one agent, on what it
experienced: of each bar, the outcome of one target.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.envs.afterstates import Afterstates
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.trading_env import TradingEnv
from reinforcestrategycreator_pipeline.policies.ensemble_training import (
    EnsembleTrainer,
    EnsembleTraining,
)

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
Interval = Callable[[Ints, float], np.ndarray]
"""``interval(rows, gamma)`` makes a step on each of rows (steps, K, B); losses (steps, K)."""


@dataclass(frozen=True)
class Task:
    """What all sides start from.

    Attributes
    ----------
    features : ndarray, shape (N, F)
        Features of all bars.
    parts : Afterstates
        Parts of the rewards.
    layers : list of tuple of ndarray, shapes (K, fan_in, fan_out) and (K, 1, fan_out)
        First weights and biases of all agents.
    config : EnsembleTraining
        Settings; those of the ensemble that decides.
    """

    features: np.ndarray
    parts: Afterstates
    layers: list[tuple[np.ndarray, np.ndarray]]
    config: EnsembleTraining

    @classmethod
    def of(cls, trainer: EnsembleTrainer) -> Task:
        """Return the task of a trainer that has made no step yet."""
        weights = [agent.q_network["weights"] for agent in trainer.population.agents]
        layers = [
            (
                np.stack([w[f"W{i}"] for w in weights]),
                np.stack([w[f"b{i}"] for w in weights])[:, None],
            )
            for i in range(len(trainer.config.hidden_layers) + 1)
        ]
        return cls(trainer.market.features, trainer.afterstates, layers, trainer.config)


def interval_of(task: Task, side: str) -> Interval:
    """Return a side by its name."""
    library, way = side.split()
    return (torch_interval if library == "torch" else jax_interval)(task, way)


def torch_interval(task: Task, way: str) -> Interval:
    """Return torch's side: stacked products, and one AdamW for all agents.

    ``"autograd"`` differentiates the sum of all agents' losses; ``"vmap"`` maps the gradient of
    one agent's loss over the agents.
    """
    import torch

    torch.set_num_threads(1)
    parameters = [torch.tensor(a, requires_grad=True) for pair in task.layers for a in pair]
    config, agents = task.config, len(task.layers[0][0])
    adam = torch.optim.AdamW(
        parameters,
        lr=config.learning_rate,
        betas=(BETA1, BETA2),
        eps=EPSILON,
        weight_decay=config.weight_decay,
        fused=True,
    )
    features, gap, held, cost, alive = (
        torch.tensor(a)
        for a in (
            task.features,
            *(getattr(task.parts, n) for n in ("gap", "held", "cost", "alive")),
        )
    )
    bars, targets = len(features) - 1, gap.shape[1]
    offsets = torch.arange(agents)[:, None] * bars

    def forward(weights: Any, x: Any) -> Any:
        for i in range(0, len(weights), 2):
            x = torch.baddbmm(weights[i + 1], x, weights[i])
            if i < len(weights) - 2:
                x = torch.relu(x)
        return x

    def loss_of_one(weights: Any, x: Any, y: Any) -> Any:
        for i in range(0, len(weights), 2):
            x = x @ weights[i] + weights[i + 1]
            if i < len(weights) - 2:
                x = torch.relu(x)
        loss = (x - y).square().mean()
        return loss, loss

    mapped = torch.func.vmap(torch.func.grad(loss_of_one, has_aux=True))

    def gradients(x: Any, y: Any) -> Any:
        if way == "vmap":
            found, losses = mapped([p.detach() for p in parameters], x, y)
            for parameter, gradient in zip(parameters, found, strict=True):
                parameter.grad = gradient
            return losses
        adam.zero_grad(set_to_none=True)
        losses = (forward(parameters, x) - y).square().mean(dim=(1, 2))
        losses.sum().backward()
        return losses.detach()

    def interval(rows: Ints, gamma: float) -> np.ndarray:
        with torch.no_grad():
            values = forward(parameters, features[1:].expand(agents, -1, -1))
            moves = [values[..., q, None] - cost[:, q] for q in range(targets)]
            best = functools.reduce(torch.maximum, moves) + gap[1:]
            returns = (held[:-1] + gamma * best * alive[:-1]).reshape(-1, targets)
        at = torch.as_tensor(rows)
        picks, losses = at + offsets, torch.empty(at.shape[:2])
        for t in range(len(at)):
            x = features.index_select(0, at[t].reshape(-1)).reshape(agents, -1, features.shape[1])
            y = returns.index_select(0, picks[t].reshape(-1)).reshape(agents, -1, targets)
            losses[t] = gradients(x, y)
            adam.step()
        return losses.numpy()

    return interval


def jax_interval(task: Task, way: str) -> Interval:
    """Return JAX's side: a whole interval in one compiled call, its steps a ``lax.scan``.

    ``"vmap"`` makes each step for all agents at once; ``"map"`` makes all steps of an interval for
    one agent after the other.
    """
    import jax
    import jax.numpy as jnp

    config = task.config
    names = ("gap", "held", "cost", "alive")
    data = tuple(jnp.asarray(a) for a in (task.features, *(getattr(task.parts, n) for n in names)))

    def forward(weights: Any, x: Any) -> Any:
        *hidden, (w, b) = weights
        for w_l, b_l in hidden:
            x = jax.nn.relu(x @ w_l + b_l)
        return x @ w + b

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        return jnp.mean((forward(weights, x) - y) ** 2)

    def interval_of_one(state: Any, rows: Any, gamma: Any, data: Any) -> Any:
        features, gap, held, cost, alive = data
        values = forward(state[0], features[1:])
        best = (values[:, None, :] - cost).max(axis=2) + gap[1:]
        returns = held[:-1] + gamma * best * alive[:-1]

        def step(state: Any, rows: Any) -> Any:
            weights, m, v, t = state
            loss, g = jax.value_and_grad(loss_of)(weights, features[rows], returns[rows])
            t = t + 1
            m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
            v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
            c1, c2 = 1 - BETA1**t, 1 - BETA2**t
            rate, keep = config.learning_rate, 1 - config.learning_rate * config.weight_decay
            weights = jax.tree.map(
                lambda w, m, v: keep * w - rate * (m / c1) / (jnp.sqrt(v / c2) + EPSILON),
                weights,
                m,
                v,
            )
            return (weights, m, v, t), loss

        return jax.lax.scan(step, state, rows)

    def all_agents(state: Any, rows: Any, gamma: Any, data: Any) -> Any:
        if way == "vmap":
            return jax.vmap(interval_of_one, in_axes=(0, 0, None, None))(state, rows, gamma, data)
        return jax.lax.map(lambda both: interval_of_one(*both, gamma, data), (state, rows))

    compiled = jax.jit(all_agents, donate_argnums=0)
    weights: Any = [(jnp.array(w), jnp.array(b)) for w, b in task.layers]
    zeros = [jax.tree.map(jnp.zeros_like, weights) for _ in range(2)]
    state = (weights, *zeros, jnp.zeros(len(task.layers[0][0])))

    def interval(rows: Ints, gamma: float) -> np.ndarray:
        nonlocal state
        state, losses = compiled(state, rows.swapaxes(0, 1).astype(np.int32), gamma, data)
        return np.asarray(losses).T

    return interval


def stable_baselines3_steps(
    market: ExogenousMarket, config: EnsembleTraining
) -> Callable[[int], None]:
    """Return the gradient steps of stable-baselines3's DQN, once its replay is full.

    Its time to act and to step the environment is left out, as are the copies to its target
    network.
    """
    import stable_baselines3
    import torch

    torch.set_num_threads(1)
    asset = market.assets[0]
    env = TradingEnv(asset, tuple(market.positions), market.costs, market.reward)
    stored = len(asset.close) - 1
    model = stable_baselines3.DQN(
        "MlpPolicy",
        env,
        learning_rate=config.learning_rate,
        buffer_size=stored,
        learning_starts=stored + 1,
        batch_size=config.batch_size,
        gamma=config.gamma,
        policy_kwargs={
            "net_arch": list(config.hidden_layers),
            "optimizer_class": torch.optim.AdamW,
            "optimizer_kwargs": {"weight_decay": config.weight_decay},
        },
        seed=0,
        device="cpu",
    )
    model.learn(stored)
    return lambda steps: model.train(steps, config.batch_size)
