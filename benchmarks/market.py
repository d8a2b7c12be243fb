"""The market: walks with their features gathered, the Gymnasium environments, and the replay."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np

from benchmarks.measuring import bar, pin, run
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.envs.trading_env import ID
from reinforcestrategycreator_pipeline.envs.trajectories import MarketTrajectories
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.policies.oracle import OraclePolicy
from reinforcestrategycreator_pipeline.replay.index import IndexReplay

GRID = (-1.0, 0.0, 1.0)
FEATURES = 17  # of the default job
BARS, WALKS = 20_000, 1_024
TRANSITIONS = 10_000_000


def bars_of(count: int) -> AssetBars:
    """Return a random walk with random features."""
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(count)))
    times = np.arange(count) * 86_400 * 10**9
    return AssetBars("X", times, close, close, rng.standard_normal((count, FEATURES)))


def rate(segment: Callable[[], object], count: int, rounds: int) -> float:
    """Return how many a second, the median of some rounds."""
    segment()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        segment()
        times.append(time.perf_counter() - start)
    return count / statistics.median(times)


def walks(rounds: int) -> dict[str, float]:
    """Step 1,024 walks with random actions, without and with their states; return bars a second."""
    rng = np.random.default_rng(0)
    walk = MarketTrajectories(ExogenousMarket([bars_of(BARS)], GRID, CostConfig()), WALKS, rng)
    actions = rng.integers(3, size=WALKS)

    def bare() -> None:
        for _ in range(500):
            walk.step(actions)

    def gathered() -> None:
        for _ in range(500):
            walk.states()
            walk.step(actions)

    return {
        "walks": rate(bare, 500 * WALKS, rounds),
        "gathered": rate(gathered, 500 * WALKS, rounds),
    }


def environments(rounds: int) -> dict[str, float]:
    """Step the registered environments with random actions; return bars a second."""
    bars, found = bars_of(BARS), {}
    env = gymnasium.make(ID, bars=bars, positions=GRID)
    alone = np.random.default_rng(0).integers(3, size=BARS - 1)

    def episode() -> None:
        env.reset()
        for action in alone:
            env.step(action)

    found["alone"] = rate(episode, BARS - 1, rounds)
    envs = gymnasium.make_vec(ID, WALKS, bars=bars, positions=GRID, start="random")
    envs.reset(seed=0)
    together = np.random.default_rng(0).integers(3, size=(200, WALKS))

    def steps() -> None:
        for actions in together:
            envs.step(actions)

    found["vector"] = rate(steps, 200 * WALKS, rounds)
    return found


def peak_mb() -> float:
    """Return the highest resident set of this process so far, in MB; 0 where it is not told."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0.0
    lines = status.read_text().splitlines()
    line = next(line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def replay_mb(transitions: int) -> float:
    """Fill a replay, sample from it, and return by how much the peak of memory rose."""
    rng = np.random.default_rng(0)
    market = ExogenousMarket([bars_of(BARS)], GRID, CostConfig())
    before = peak_mb()
    replay = IndexReplay(transitions, market.gather, rng)
    for _ in range(0, transitions, 100_000):
        rows = rng.integers(BARS - 1, size=100_000)
        replay.push_many(rows, rng.integers(3, size=100_000), rng.integers(3, size=100_000))
    for _ in range(100):
        replay.sample(256)
    return peak_mb() - before


def oracle_ms(costs: CostConfig, rounds: int) -> float:
    """Return the milliseconds of the oracle's table of decisions for 5,000 bars by 5 positions."""
    bars, policy = bars_of(5_001), OraclePolicy((-1.0, -0.5, 0.0, 0.5, 1.0), Inputs(()), costs)
    return 1e3 / rate(lambda: policy.table(bars), 1, rounds)


def main(quick: bool = False) -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    pin()
    rounds = 2 if quick else 15
    # First, as the peak of memory never falls.
    held = replay_mb(TRANSITIONS // (100 if quick else 1))
    found = {**walks(rounds), **environments(rounds)}
    costs = CostConfig(commission_per_share=0.005, impact_bps=30.0, funding_bps_per_year=300.0)
    usual, oracle = (oracle_ms(each, rounds) for each in (CostConfig(), costs))
    million = {name: value / 1e6 for name, value in found.items()}
    return [
        "## The market",
        "",
        f"{FEATURES} features, 3 positions, {BARS:,} bars; medians of {rounds} rounds.",
        "",
        "| what | figure |",
        "|---|---:|",
        f"| stepping {WALKS:,} trajectories, no features gathered | "
        f"{million['walks']:.1f} million bars/s |",
        f"| the same, their states gathered | {million['gathered']:.1f} million bars/s |",
        f'| `gymnasium.make("rsc/Trading-v0")`, alone | {found["alone"]:,.0f} bars/s |',
        f"| `gymnasium.make_vec`, {WALKS:,} accounts | {million['vector']:.1f} million bars/s |",
        f"| replay of {TRANSITIONS:,} transitions | {held:.0f} MB |",
        f"| oracle, 5,000 bars by 5 positions | {usual:.0f} ms |",
        f"| the same with all costs | {oracle:.0f} ms |",
        "",
        bar(
            million["gathered"] >= 10,
            f"at least 10 million bars/s a core, features gathered: {million['gathered']:.1f}",
        ),
        bar(
            found["alone"] >= 100_000,
            f"at least 100,000 bars/s of the environment alone: {found['alone']:,.0f}",
        ),
        bar(held < 300, f"a replay of 10 million transitions below 300 MB: {held:.0f} MB"),
        bar(oracle < 50, f"the oracle with all costs below 50 ms: {oracle:.0f} ms"),
    ]


if __name__ == "__main__":
    run(main)
