"""A deep Q-learner on one page, in plain NumPy: read this first.

    python examples/dqn_in_one_page.py [total_steps] [seed]    (CartPole, a minute; needs Gymnasium)

It computes what the package's `DQN` computes with its default options: a multilayer perceptron,
backpropagation, Adam, uniform replay, double-DQN targets and a target network. A test compares the
two after every training step. Arrays are never changed in place; functions return new ones.

Subscripts are times: in state s_tm1 ("t minus 1") the agent took action a_tm1; reward r_t and
state s_t followed. Shapes: B transitions in a batch, F numbers in a state, A actions.
"""

import sys
from collections import deque
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = dict[str, Array]  # W0 (F, units), b0 (units,), W1, b1, ... up to the output layer


class Settings(NamedTuple):
    """Hyperparameters; these numbers suit CartPole."""

    hidden_layers: tuple[int, ...] = (128, 128)
    learning_rate: float = 2.3e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    gamma: float = 0.99  # discount per environment step
    batch_size: int = 128
    buffer_size: int = 100_000  # transitions that the replay keeps
    learning_starts: int = 1_000  # environment steps before the first training step
    train_frequency: int = 256  # environment steps between two rounds of training ...
    gradient_steps: int = 128  # ... and the training steps of a round
    target_update_interval: int = 128  # training steps
    exploration_final: float = 0.1  # the probability of a random action falls from 1 to this ...
    exploration_fraction: float = 0.16  # ... linearly, over this share of all environment steps


class Batch(NamedTuple):
    """Transitions, one per row."""

    s_tm1: Array  # (B, F)
    a_tm1: NDArray[np.int64]  # (B,)
    r_t: Array  # (B,)
    s_t: Array  # (B, F)
    terminated: NDArray[np.bool_]  # (B,) whether s_t ended the task; a time limit does not


class Learner(NamedTuple):
    """Everything that training changes."""

    online: Weights
    target: Weights  # a former `online`
    t: int  # training steps done
    m: Weights  # Adam's first moments
    v: Weights  # and second


def new_learner(rng: np.random.Generator, sizes: list[int]) -> Learner:
    """Draw W from N(0, 2 / fan_in) and set b to 0 (He et al. 2015, arXiv:1502.01852)."""
    online = {}
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        online[f"W{i}"] = rng.normal(0.0, np.sqrt(2.0 / fan_in), (fan_in, fan_out))
        online[f"b{i}"] = np.zeros(fan_out)
    zeros = {name: np.zeros_like(w) for name, w in online.items()}
    return Learner(online, online, 0, zeros, zeros)


def forward(weights: Weights, states: Array) -> tuple[Array, list[Array]]:
    """Return the action values Q (B, A) of states (B, F), and the input of every layer."""
    inputs, last = [states], len(weights) // 2 - 1
    for i in range(last):
        inputs.append(np.maximum(inputs[i] @ weights[f"W{i}"] + weights[f"b{i}"], 0.0))
    return inputs[last] @ weights[f"W{last}"] + weights[f"b{last}"], inputs


def backward(weights: Weights, inputs: list[Array], d_q: Array) -> Weights:
    """Return dLoss/dW and dLoss/db of every layer, given d_q = dLoss/dQ (B, A).

    Layer i computes z = a W + b. With delta = dLoss/dz: dW = a^T delta, db = delta summed over the
    batch, da = delta W^T. The ReLU before the layer passes da on where its output a is positive.
    """
    gradients, delta = {}, d_q
    for i in reversed(range(len(inputs))):
        gradients[f"W{i}"] = inputs[i].T @ delta
        gradients[f"b{i}"] = delta.sum(axis=0)
        if i > 0:
            delta = (delta @ weights[f"W{i}"].T) * (inputs[i] > 0.0)
    return gradients


def td_targets(online: Weights, target: Weights, batch: Batch, gamma: float) -> Array:
    """Return y (B,) of double DQN (van Hasselt et al. 2016, arXiv:1509.06461).

    y = r_t + gamma Q_target(s_t, argmax_a Q_online(s_t, a)), but r_t if the task terminated.
    """
    best = forward(online, batch.s_t)[0].argmax(axis=1)
    bootstrap: Array = forward(target, batch.s_t)[0][np.arange(len(best)), best]
    return batch.r_t + gamma * (1.0 - batch.terminated) * bootstrap


def loss_and_gradients(learner: Learner, batch: Batch, gamma: float) -> tuple[float, Weights]:
    """Return mean((Q(s_tm1, a_tm1) - y)^2) and its gradients; y is held constant."""
    y = td_targets(learner.online, learner.target, batch, gamma)
    q, inputs = forward(learner.online, batch.s_tm1)
    taken = np.arange(len(y)), batch.a_tm1
    errors = q[taken] - y
    d_q = np.zeros_like(q)  # the actions that were not taken have no part in the loss
    d_q[taken] = 2.0 * errors / len(y)
    return float(np.mean(errors**2)), backward(learner.online, inputs, d_q)


def adam(learner: Learner, gradients: Weights, settings: Settings) -> Learner:
    """Return the learner after an update (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1)."""
    beta1, beta2, t = settings.beta1, settings.beta2, learner.t + 1
    online, m, v = {}, {}, {}
    for name, g in gradients.items():
        m[name] = beta1 * learner.m[name] + (1.0 - beta1) * g
        v[name] = beta2 * learner.v[name] + (1.0 - beta2) * g**2
        m_hat, v_hat = m[name] / (1.0 - beta1**t), v[name] / (1.0 - beta2**t)
        update = m_hat / (np.sqrt(v_hat) + settings.epsilon)
        online[name] = learner.online[name] - settings.learning_rate * update
    return Learner(online, learner.target, t, m, v)


def train_step(learner: Learner, batch: Batch, settings: Settings) -> tuple[Learner, float]:
    """Return the learner after one batch, and the batch's loss before."""
    loss, gradients = loss_and_gradients(learner, batch, settings.gamma)
    learner = adam(learner, gradients, settings)
    # In between the target network stands still (Mnih et al. 2015, doi:10.1038/nature14236).
    if learner.t % settings.target_update_interval == 0:
        learner = learner._replace(target=learner.online)
    return learner, loss


def sample(rng: np.random.Generator, replay: deque[Any], batch_size: int) -> Batch:
    """Draw distinct transitions, all equally likely."""
    rows = rng.choice(len(replay), batch_size, replace=False)
    return Batch(*(np.array(column) for column in zip(*(replay[i] for i in rows), strict=True)))


def greedy_action(online: Weights, state: Array) -> int:
    """Return the action with the largest value in a state (F,)."""
    return int(forward(online, state[None, :])[0][0].argmax())


def train(env: Any, total_steps: int, seed: int, settings: Settings) -> Learner:
    """Learn on a Gymnasium environment; print every 5,000 steps how its episodes went."""
    rng = np.random.default_rng(seed)
    n_inputs, n_actions = env.observation_space.shape[0], int(env.action_space.n)
    learner = new_learner(rng, [n_inputs, *settings.hidden_layers, n_actions])
    replay: deque[Any] = deque(maxlen=settings.buffer_size)
    s_tm1, returns = env.reset(seed=seed)[0], [0.0]
    until = settings.exploration_fraction * total_steps
    for step in range(1, total_steps + 1):
        explore = rng.random() < np.interp(step, [0, until], [1.0, settings.exploration_final])
        a_tm1 = int(rng.integers(n_actions)) if explore else greedy_action(learner.online, s_tm1)
        s_t, r_t, terminated, truncated, _ = env.step(a_tm1)
        replay.append((s_tm1, a_tm1, r_t, s_t, terminated))
        s_tm1, returns[-1] = s_t, returns[-1] + r_t
        if terminated or truncated:
            s_tm1 = env.reset()[0]
            returns.append(0.0)
        if step >= settings.learning_starts and step % settings.train_frequency == 0:
            for _ in range(settings.gradient_steps):
                learner, _ = train_step(learner, sample(rng, replay, settings.batch_size), settings)
        if step % 5_000 == 0 and len(returns) > 1:
            print(f"step {step:6,}: mean return {np.mean(returns[:-1]):5.1f}", flush=True)
            returns = returns[-1:]
    return learner


def greedy_return(env: Any, online: Weights, seed: int) -> float:
    """Play one episode without exploration."""
    state, total, over = env.reset(seed=seed)[0], 0.0, False
    while not over:
        state, reward, terminated, truncated, _ = env.step(greedy_action(online, state))
        total, over = total + reward, terminated or truncated
    return total


def main(total_steps: int = 50_000, seed: int = 0) -> None:
    """Train on CartPole-v1 and play greedily: seeds 0 to 4 reached 500, 500, 495, 265 and 500."""
    try:
        import gymnasium
    except ImportError:
        sys.exit("CartPole needs Gymnasium: pip install gymnasium")
    env = gymnasium.make("CartPole-v1")
    learner = train(env, total_steps, seed, Settings())
    returns = [greedy_return(env, learner.online, episode) for episode in range(20)]
    print(f"20 greedy episodes: mean return {np.mean(returns):.1f} of 500, worst {min(returns)}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
