"""One training step against torch and JAX, and against the count of its work; see `steps`."""

from __future__ import annotations

import time
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.measuring import bar, pin, repeated, run, us_per_call
from benchmarks.steps import (
    BATCH,
    N_ACTIONS,
    N_INPUTS,
    Step,
    jax_step,
    new_dqn,
    require_agreement,
    sizes_of,
    torch_step,
)

SMALL_BATCH = ([256, 128, 64], [64, 64])
LARGE_BATCH, LARGE_HIDDEN = 256, [256, 256]
# The large network's bar is the physical limit; where calls cost more than arithmetic, it is torch.
LIMITED, MOST_OF_LIMIT = [256, 128, 64], 1.25
LEAST = {(64, 64): 6, (256, 256): 1}
COLUMNS = (
    "network, batch",
    "this DQN",
    "torch eager",
    "torch fused Adam",
    "jitted JAX",
    "jitted JAX, one flat array",
    "best torch / ours",
    "best JAX / ours",
    "products",
    "Adam",
    "ours / (products + Adam)",
    "MFLOP",
    "MB",
    "count's time",
)


def matrix_products(hidden: list[int], batch: int) -> Step:
    """Return the matrix products of a step alone: a real step's calls, on its very buffers."""
    dqn = new_dqn(hidden, batch=batch)
    dqn.train_step()  # makes the buffers
    calls: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    genuine = np.matmul

    def recording(a: np.ndarray, b: np.ndarray, *, out: np.ndarray) -> Any:
        calls.append((a, b, out))
        return genuine(a, b, out=out)

    with mock.patch.object(np, "matmul", recording):
        dqn.train_step()
    found = sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in calls) / 1e6
    counted = count(hidden, batch)[0]
    if abs(found - counted) > 1e-9:
        raise RuntimeError(f"a step does {found} MFLOP in np.matmul, and {counted} were counted")

    def step() -> float:
        for a, b, out in calls:
            genuine(a, b, out=out)
        return 0.0

    return step


def adam_update(hidden: list[int]) -> Step:
    """Return the update of Adam alone, its twelve passes over the parameters of a DQN."""
    dqn = new_dqn(hidden)
    dqn.train_step()  # gives it a gradient
    networks, coefficients = dqn.learner.networks, dqn.adam.at(1_000)

    def step() -> float:
        networks.update(coefficients)
        return 0.0

    return step


def adam_pass(parameters: int) -> Step:
    """Return one pass over Adam's bytes: it reads w, g, m and v once, and writes w, m and v once.

    w + g into w, -m into m, -v into v: the least arithmetic that NumPy can move them with.
    """
    w, g, m, v = (np.full(parameters, x, dtype=np.float32) for x in (1.0, 0.0, 0.5, 0.5))

    def step() -> float:
        np.add(w, g, out=w)
        np.negative(m, out=m)
        np.negative(v, out=v)
        return 0.0

    return step


def count(hidden: list[int], batch: int) -> tuple[float, float, int]:
    """Return a step's MFLOP in matrix products, Adam's megabytes, and the parameters.

    A bias is a row of its matrix, so that a layer's product with N rows takes
    2 N (fan_in + 1) fan_out operations: online with s_tm1 and s_t, target with s_t, and dW, which
    makes 4 B rows; and 2 B fan_in fan_out for the delta of the layer before, if there is one.
    """
    sizes = sizes_of(hidden)
    parameters = sum((n + 1) * k for n, k in sizes)
    flop = 2 * (4 * batch * parameters + batch * sum(n * k for n, k in sizes[1:]))
    return flop / 1e6, 7 * 4 * parameters / 1e6, parameters


def fastest(step: Step, times: int) -> float:
    """Return the shortest seconds of a call."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - start)
    return best


def machine_rates(quick: bool) -> tuple[float, float, float]:
    """Return the best GFLOP/s of a 1024^3 product, and GB/s of `adam_pass`: from memory, cached."""
    n, times = 1024, 2 if quick else 20
    a, b = np.random.default_rng(0).standard_normal((2, n, n), dtype=np.float32)
    out = np.empty((n, n), np.float32)
    product = fastest(lambda: float(np.matmul(a, b, out=out)[0, 0]), times)
    size = 2**23  # 32 MiB an array
    memory = fastest(adam_pass(size), times)
    gb_per_s = 7 * 4 * size / memory / 1e9
    calls, cached = 50, 0.0
    for small in (2**12, 2**14, 2**16):
        seconds = fastest(repeated(adam_pass(small), calls), times) / calls  # type: ignore[arg-type]
        cached = max(cached, 7 * 4 * small / seconds / 1e9)
    return 2 * n**3 / product / 1e9, gb_per_s, cached


def measure(hidden: list[int], batch: int, quick: bool) -> dict[str, float]:
    """Return every column's microseconds."""
    require_agreement(hidden, batch)
    dqn = new_dqn(hidden, batch=batch)
    first = {name: array.copy() for name, array in dqn.q_network["weights"].items()}
    steps = {
        "ours": dqn.train_step,
        "eager": torch_step(first, batch),
        "fused": torch_step(first, batch, fused=True),
        "jax": jax_step(first, batch),
        "flat jax": jax_step(first, batch, flat=True),
        "products": matrix_products(hidden, batch),
        "adam": adam_update(hidden),
    }
    rounds, calls = (2, 20) if quick else (20, 200 if batch == BATCH else 50)
    return us_per_call(steps, rounds, calls)


def main(quick: bool = False) -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    pin()
    gflops, memory, cached = machine_rates(quick)
    lines = [
        "## Training step: this DQN against torch and JAX",
        "",
        "Double DQN, Adam, float32, one thread on one processor; medians of interleaved rounds, us "
        "a step. Before it is timed, the losses of all sides from the same batches and weights are "
        "compared over 20 steps. *Products*: the step's own calls of `np.matmul`, recorded from a "
        "real step and repeated on its buffers. *Adam*: the step's own update, twelve passes.",
        "",
        f"The count: MFLOP in matrix products, and the MB that Adam must read and write once; the "
        f"time is what they take at this machine's best measured rates, {gflops:.0f} GFLOP/s "
        f"(float32 product of 1024^3) and {cached:.0f} GB/s (w + g into w, -m into m, -v into v, "
        f"in cache; from memory {memory:.0f} GB/s).",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---|" + "---:|" * (len(COLUMNS) - 1),
    ]
    bars = []
    for hidden, batch in [*((h, BATCH) for h in SMALL_BATCH), (LARGE_HIDDEN, LARGE_BATCH)]:
        us = measure(hidden, batch, quick)
        name = "-".join(map(str, [N_INPUTS, *hidden, N_ACTIONS])) + f", {batch}"
        torch = min(us["eager"], us["fused"]) / us["ours"]
        jax = min(us["jax"], us["flat jax"]) / us["ours"]
        own = us["ours"] / (us["products"] + us["adam"])
        flop, megabytes, _ = count(hidden, batch)
        least = flop / gflops * 1e3 + megabytes / cached * 1e3
        cells = [
            name,
            *(f"{us[side]:.0f}" for side in ("ours", "eager", "fused", "jax", "flat jax")),
            *(f"{torch:.2f}x", f"{jax:.2f}x", f"{us['products']:.0f}", f"{us['adam']:.0f}"),
            *(f"{own:.2f}x", f"{flop:.1f}", f"{megabytes:.2f}", f"{least:.0f}"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
        bars.append(
            bar(own <= MOST_OF_LIMIT, f"{name}: at most 1.25x its products and Adam: {own:.2f}x")
            if hidden == LIMITED
            else bar(
                torch >= LEAST[tuple(hidden)],
                f"{name}: at least {LEAST[tuple(hidden)]}x the speed of the better torch: "
                f"{torch:.2f}x",
            )
        )
    return [*lines, "", *bars]


if __name__ == "__main__":
    run(main)
