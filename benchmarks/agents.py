"""Trained agents a minute: the default ensemble against torch, JAX, and stable-baselines3."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from multiprocessing.connection import Connection
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.agent_sides import Task, interval_of, stable_baselines3_steps
from benchmarks.measuring import Segment, bar, interleaved, repeated, run
from benchmarks.train_step import machine_rates
from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.span import MarketSpan
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source, load_source
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.stages.feature_engineering import engineer
from reinforcestrategycreator_pipeline.policies.dqn_ensemble import DQNEnsemble
from reinforcestrategycreator_pipeline.policies.ensemble_training import (
    EnsembleTrainer,
    EnsembleTraining,
)
from reinforcestrategycreator_pipeline.seeding import Seeds, generator

DEFAULT = EnsembleTraining()
OURS, SB3 = "this ensemble", "stable-baselines3"
TORCH, JAX = ("torch autograd", "torch vmap"), ("jax vmap", "jax map")
SIDES = {
    OURS: "this ensemble",
    TORCH[0]: "torch, stacked products, autograd, fused AdamW",
    TORCH[1]: "torch, `torch.func.vmap` of the gradient, fused AdamW",
    JAX[0]: "JAX, all agents at once: `vmap`",
    JAX[1]: "JAX, one agent after the other: `lax.map`",
    SB3: "stable-baselines3, `DQN.train` alone, one agent after the other",
}
BARS = (
    (50, "stable-baselines3", (SB3,)),
    (8, "the better torch", TORCH),
    (1, "the better JAX", JAX),
)
CHECKED, TOLERANCE = 20, 1e-4


@cache
def market() -> ExogenousMarket:
    """Return what the default ensemble learns from: the bundled data's first two spans."""
    strategy = DQNEnsemble()
    config = RunConfig(strategy=strategy)
    source = build_source(config.data.source, config.data.params)
    data = load_source(source, config.data.source, generator(config.seed, "data"))
    features, window, _ = engineer(data, config)
    rules = config.trading
    assets = [
        asset
        for span in (window.train, window.validation)
        for asset in MarketSpan.cut(data, features, span, rules, "training").assets
    ]
    scaler = strategy.scaler.fit(np.concatenate([a.features for a in assets]))
    return ExogenousMarket(assets, rules.positions, rules.costs, rules.reward, scaler=scaler)


def deciding(agents: int, **changes: Any) -> EnsembleTrainer:
    """Return a trainer of the ensemble that decides, without the one that screens."""
    config = replace(DEFAULT, agents=agents, caution=0.0, **changes)
    return EnsembleTrainer(market(), config, Seeds(0))


def require_agreement() -> None:
    """Refuse to measure unless all give the same losses from the same weights and bars.

    The target networks are evaluated in the middle of the steps.
    """
    trainer = deciding(DEFAULT.agents, value_interval=CHECKED // 2)
    task, losses = Task.of(trainer), []
    genuine = trainer.population.train_on

    def recording(batch: Any) -> np.ndarray:
        losses.append(genuine(batch))
        return losses[-1]

    sides = {side: interval_of(task, side) for side in (*TORCH, *JAX)}
    with mock.patch.object(trainer.population, "train_on", recording):
        for gamma in (0.0, DEFAULT.gamma):  # as in the first interval, and after it
            losses.clear()
            repeated(trainer._learn, CHECKED // 2)()
            for side, interval in sides.items():
                found = interval(trainer._rows, gamma)
                np.testing.assert_allclose(found, losses, rtol=TOLERANCE, err_msg=side)


def segment_of(side: str, agents: int) -> Segment:
    """Return an interval of steps of all agents; of stable-baselines3, of a single agent."""
    steps = DEFAULT.value_interval
    trainer = deciding(agents, steps=10**9)
    if side == OURS:
        return repeated(trainer._learn, steps)
    if side == SB3:
        return partial(stable_baselines3_steps(market(), trainer.config), steps)
    interval, rng = interval_of(Task.of(trainer), side), np.random.default_rng(0)

    def rows() -> Ints:
        shape = (steps, DEFAULT.batch_size)
        drawn = [pool[rng.integers(len(pool), size=shape)] for pool in trainer._pools]
        return np.stack(drawn, axis=1)

    return lambda: interval(rows(), DEFAULT.gamma)


def work(connection: Connection, side: str, agents: int) -> None:
    """Make a segment whenever the other process asks for one, and say that it is done."""
    segment = segment_of(side, agents)
    segment()  # warms up, and compiles
    connection.send(True)
    while connection.recv():
        segment()
        connection.send(True)


def available_cores() -> list[int]:
    """Return the processors on which this process may run."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Keep this process, and those that it starts, on one processor, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def seconds_of(cores: Sequence[int], rounds: int) -> dict[str, float]:
    """Return each side's seconds for an interval of all agents, divided among the cores.

    Every side has a process on each core, which waits while others are measured.
    """
    start, agents = multiprocessing.get_context("spawn"), DEFAULT.agents // len(cores)
    workers: dict[str, list[Connection]] = {side: [] for side in SIDES}
    for side, connections in workers.items():
        for core in cores:
            here, there = start.Pipe()
            with on_core(core):  # before NumPy is loaded there: it counts its processors then
                start.Process(target=work, args=(there, side, agents), daemon=True).start()
            connections.append(here)

    def segment(connections: list[Connection]) -> None:
        for connection in connections:
            connection.send(True)
        for connection in connections:
            connection.recv()

    for connections in workers.values():
        for connection in connections:
            connection.recv()  # warm
    seconds = interleaved({s: partial(segment, c) for s, c in workers.items()}, rounds)
    for connections in workers.values():
        for connection in connections:
            connection.send(False)
    seconds[SB3] *= agents
    return seconds


def whole_training() -> float:
    """Return the seconds of the default training: samples, both ensembles, and the screening."""
    start = time.perf_counter()
    EnsembleTrainer(market(), DEFAULT, Seeds(0)).run()
    return time.perf_counter() - start


def count() -> tuple[float, float, float]:
    """Return a step's MFLOP in matrix products, and the megabytes of AdamW and of the gathers.

    A bias is a row of its matrix, so that a product with N rows takes 2 N (fan_in + 1) fan_out
    operations: the forward pass and dW on the B bars of a batch, and a share of the evaluation of
    all bars; and 2 B fan_in fan_out for the delta of the layer before, if there is one. AdamW reads
    w, g, m, and v, and writes w, m, and v. A gather reads and writes a bar's features and returns.
    """
    bars, inputs = market().features.shape
    targets, batch = market().n_positions, DEFAULT.batch_size
    sizes = [inputs, *DEFAULT.hidden_layers, targets]
    layers = list(itertools.pairwise(sizes))
    parameters = sum((n + 1) * k for n, k in layers)
    rows = 2 * batch + (bars - 1) / DEFAULT.value_interval
    flop = 2 * (rows * parameters + batch * sum(n * k for n, k in layers[1:]))
    adam, gathers = 7 * 4 * parameters, 2 * 4 * batch * (inputs + targets)
    return tuple(DEFAULT.agents * n / 1e6 for n in (flop, adam, gathers))  # type: ignore[return-value]


def main(quick: bool = False) -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    cores, rounds = available_cores(), 2 if quick else 15
    with on_core(cores[-1]):
        require_agreement()
        gflops, _, cached = machine_rates(quick)
        whole = statistics.median(whole_training() for _ in range(1 if quick else 3))
    found = {"one core": seconds_of(cores[-1:], rounds)}
    if len(cores) > 1:
        found["two cores"] = seconds_of(cores[:2], rounds)
    one, steps = found["one core"], DEFAULT.value_interval
    flop, adam, gathers = count()
    least = flop / gflops * 1e3 + (adam + gathers) / cached * 1e3
    (bars, inputs), targets = market().features.shape, market().n_positions
    network = "-".join(map(str, [inputs, *DEFAULT.hidden_layers, targets]))
    stages = " + ".join(f"{count:,}" for _, count, _ in DEFAULT.stages)
    columns = ["", "us a step of all agents"]
    for name in found:
        columns += [f"agents a minute, {name}", f"this ensemble's speed, {name}"]
    lines = [
        "## Trained agents a minute",
        "",
        f"The default strategy `dqn_ensemble` on the bundled data: {DEFAULT.agents} agents, "
        f"{network}, {stages} steps each, batches of {DEFAULT.batch_size} of {bars:,} bars with "
        f"the outcomes of all targets, AdamW, float32, and every {steps} steps an evaluation of "
        f"the target network on all bars. Medians of {rounds} interleaved intervals of {steps} "
        "steps of all agents, scaled to all steps. Two cores: two processes, each with half of the "
        f"agents. Before it is timed, the losses of {CHECKED} steps with an evaluation in their "
        f"middle, from equal weights and bars, are compared to {TOLERANCE:g}. torch and JAX make "
        "no check for NaN or divergence and keep no record of the training; JAX runs an interval "
        "as one compiled call. stable-baselines3 gets what favors it: only its gradient steps "
        "count, on one of the assets, not its acting; and it learns the outcome of one target.",
        "",
        "| " + " | ".join(columns) + " |",
        "|---|" + "---:|" * (len(columns) - 1),
    ]
    for side, text in SIDES.items():
        cells = [text, f"{one[side] / steps * 1e6:,.0f}"]
        for seconds in found.values():
            minute = 60 * DEFAULT.agents / (seconds[side] * DEFAULT.total_steps / steps)
            cells += [f"{minute:,.1f}", f"{seconds[side] / seconds[OURS]:.2f}x"]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "The whole training of this ensemble, with the drawing of its samples and the screening "
        f"of the features, takes {whole:.1f} s on one core: {60 * DEFAULT.agents / whole:.0f} "
        "agents a minute.",
        "",
        f"The count: a step of all agents takes {flop:.1f} MFLOP in matrix products, {adam:.2f} MB "
        f"of AdamW, and {gathers:.2f} MB of gathers, which is {least:.0f} us at this machine's "
        f"best rates, {gflops:.0f} GFLOP/s and {cached:.0f} GB/s (see the training step). This "
        f"ensemble takes {one[OURS] / steps * 1e6 / least:.1f} times as long.",
        "",
    ]
    for needed, text, sides in BARS:
        ratio = min(one[side] for side in sides) / one[OURS]
        said = f"agents a minute, one core: at least {needed}x {text}: {ratio:.2f}x"
        lines.append(bar(ratio >= needed, said))
    return lines


if __name__ == "__main__":
    run(main)
