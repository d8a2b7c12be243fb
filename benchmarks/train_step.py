"""One training step against torch: double DQN, Adam, MSE, one thread, interleaved rounds.

Both sides do the same work a step: sample 32 distinct transitions of 10,000, the online forward
on s_tm1 and s_t, the target forward on s_t, backpropagation, Adam, and read the loss as a float.
The torch side keeps its replay as tensors and samples with its own generator.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.nn.adam import adam_step

BATCH, GAMMA, STORED, N_INPUTS, N_ACTIONS = 32, 0.99, 10_000, 10, 3
Step = Callable[[], float]


def transitions(seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((STORED, N_INPUTS)).astype(np.float32),
        rng.integers(N_ACTIONS, size=STORED),
        rng.standard_normal(STORED).astype(np.float32),
        rng.standard_normal((STORED, N_INPUTS)).astype(np.float32),
        rng.random(STORED) < 0.05,
    )


def numpy_step(hidden: list[int]) -> Step:
    dqn = DQN({"hyperparameters": {"hidden_layers": hidden, "target_update_interval": 500}})
    dqn.build((N_INPUTS,), (N_ACTIONS,))
    for row in zip(*transitions(), strict=True):
        dqn.replay_buffer.push(*row)
    return lambda: dqn._train_step(BATCH, GAMMA)


def torch_step(hidden: list[int], fused: bool) -> Step:
    import torch
    from torch import nn

    def mlp() -> nn.Sequential:
        sizes = [N_INPUTS, *hidden, N_ACTIONS]
        parts: list[Any] = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            parts += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        return nn.Sequential(*parts[:-1])

    torch.manual_seed(0)
    online, target = mlp(), mlp()
    target.load_state_dict(online.state_dict())
    adam = torch.optim.Adam(online.parameters(), lr=1e-3, fused=fused)
    s_tm1, a_tm1, r_t, s_t, terminated = (torch.as_tensor(x) for x in transitions())
    t = 0

    def step() -> float:
        nonlocal t
        i = torch.randint(STORED, (BATCH,))
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
        if t % 500 == 0:
            target.load_state_dict(online.state_dict())
        return loss.item()

    return step


def measure(steps: dict[str, Step], rounds: int = 20, inner: int = 200) -> dict[str, float]:
    """Return each side's median microseconds a step over interleaved rounds."""
    for step in steps.values():
        for _ in range(200):
            step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(inner):
                step()
            times[name].append((time.perf_counter() - start) / inner * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


def matrix_products(hidden: list[int]) -> Step:
    """Return the step's matrix products alone, on arrays that nothing else touches."""
    rng = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    sizes = [N_INPUTS, *hidden, N_ACTIONS]
    calls = []
    for i, (n, k) in enumerate(itertools.pairwise(sizes)):
        w, both, one, delta = array(n, k), array(2 * BATCH, n), array(BATCH, n), array(BATCH, k)
        calls.append((both, w, array(2 * BATCH, k)))  # online, s_tm1 and s_t
        calls.append((one, w, array(BATCH, k)))  # target, s_t
        calls.append((one.T, delta, array(n, k)))  # dW
        if i:
            calls.append((delta, w.T, array(BATCH, n)))  # delta of the layer before

    def step() -> float:
        for a, b, out in calls:
            np.matmul(a, b, out=out)
        return 0.0

    return step


def adam_alone(hidden: list[int]) -> Step:
    """Return the step's Adam alone."""
    sizes = [N_INPUTS, *hidden, N_ACTIONS]
    count = sum(n * k + k for n, k in itertools.pairwise(sizes))
    w, g, m, v, scratch = (np.full(count, 0.5, dtype=np.float32) for _ in range(5))

    def step() -> float:
        adam_step(
            w, g, m, v, scratch, t=7, learning_rate=1e-9, beta1=0.9, beta2=0.999, epsilon=1e-8
        )
        return 0.0

    return step


def count_of(hidden: list[int]) -> tuple[float, float]:
    """Return the step's floating-point operations in matrix products, and Adam's bytes, millions.

    Bytes: gradient, both moments and weights are read once, moments and weights written once.
    """
    sizes = [N_INPUTS, *hidden, N_ACTIONS]
    products = [n * k for n, k in itertools.pairwise(sizes)]
    forwards_and_dw, deltas = 4 * BATCH, BATCH
    flops = 2 * (sum(products) * forwards_and_dw + sum(products[1:]) * deltas)
    parameters = sum(n * k + k for n, k in itertools.pairwise(sizes))
    return flops / 1e6, 7 * 4 * parameters / 1e6


def main() -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    import torch

    torch.set_num_threads(1)
    lines = [
        "## Training step: this DQN against torch",
        "",
        f"Double DQN, Adam, batch {BATCH}, one thread; medians of interleaved rounds, us a step. "
        "The columns of parts are what NumPy needs for the matrix products and for Adam alone.",
        "",
        "| network | this DQN | torch eager | torch fused Adam | best torch / ours | "
        "matrix products | Adam | MFLOP in products | Adam's MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for hidden in ([256, 128, 64], [64, 64]):
        us = measure(
            {
                "ours": numpy_step(hidden),
                "eager": torch_step(hidden, fused=False),
                "fused": torch_step(hidden, fused=True),
                "products": matrix_products(hidden),
                "adam": adam_alone(hidden),
            }
        )
        name = "-".join(map(str, [N_INPUTS, *hidden, N_ACTIONS]))
        ratio = min(us["eager"], us["fused"]) / us["ours"]
        flops, megabytes = count_of(hidden)
        lines.append(
            f"| {name} | {us['ours']:.0f} | {us['eager']:.0f} | {us['fused']:.0f} | {ratio:.2f}x | "
            f"{us['products']:.0f} | {us['adam']:.0f} | {flops:.1f} | {megabytes:.1f} |"
        )
    return lines


if __name__ == "__main__":
    print("\n".join(main()))
