"""Proof that it learns: Gymnasium's classic tasks, five seeds, the zoo's settings and our best.

Each task is learnt with rl-baselines3-zoo's DQN hyperparameters and with our best preset, and
CartPole by stable-baselines3 itself with the zoo's, in the same run on the same machine. With our
best preset, `learn` evaluates 20 times in an environment of its own and keeps the best model; the
zoo's settings are scored by their final network, as stable-baselines3's are. A seed's score is the
mean return of 100 greedy episodes in an environment that training never sees. The presets were
chosen on seeds 100 to 107; the seeds reported, from 0, took no part in that.

    python -m benchmarks.learning                                everything
    python -m benchmarks.learning --tasks cartpole --seeds 10    more seeds of one task

Only a whole benchmark (all tasks, 5 seeds or more) writes learning.json, docs/images and its
section of RESULTS.md. A finished run is kept in a folder under `runs/`, named by what it depends
on (settings, seed, steps, the learner's source), so that an interrupted benchmark goes on where it
stopped.
"""

from __future__ import annotations

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy and torch are loaded

import argparse
import dataclasses
import json
import multiprocessing
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks import kept
from benchmarks.kept import IMAGES, key_of, replace_section, source_sha256, versions, write
from benchmarks.learning_report import pictures, summary, table
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN

RESULTS = kept.HERE / "learning.json"
SCRATCH = kept.SCRATCH / "learning"
EPISODES = 100
EVALUATIONS = 20
FIRST_EVALUATION_SEED = 1_000_000  # far from every training seed
# rl-baselines3-zoo's hyperparams/dqn.yml, in stable-baselines3's names.
ZOO_CARTPOLE = {
    "learning_rate": 2.3e-3,
    "batch_size": 64,
    "buffer_size": 100_000,
    "learning_starts": 1_000,
    "gamma": 0.99,
    "target_update_interval": 10,
    "train_freq": 256,
    "gradient_steps": 128,
    "exploration_fraction": 0.16,
    "exploration_final_eps": 0.04,
    "policy_kwargs": {"net_arch": [256, 256]},
}


@dataclasses.dataclass(frozen=True)
class Task:
    """A Gymnasium task: its goal, and how many steps each side trains."""

    environment: str
    goal: float
    goal_of: str  # "worst" or "median" of the seeds
    zoo_steps: int
    best_steps: int


TASKS = {
    "cartpole": Task("CartPole-v1", 475.0, "worst", 50_000, 50_000),
    "acrobot": Task("Acrobot-v1", -76.0, "median", 100_000, 100_000),
    "lunarlander": Task("LunarLander-v3", 200.0, "median", 100_000, 150_000),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: what a worker process is told."""

    task: str
    side: str  # "best", "zoo" or "sb3"
    seed: int
    steps: int

    @property
    def name(self) -> str:
        return f"{self.task} {self.side} seed {self.seed}"


# -- one run, in a worker process -----------------------------------------------------------------


def train_ours(run: Run) -> tuple[Callable[[Any], int], list[float], list[int]]:
    """Train this project's DQN; return its greedy policy, and its episodes."""
    # stable-baselines3 does not stop where learning diverges, so the zoo's settings do not either;
    # a run that the guard would not stop is the same with it.
    guard = {"on_divergence": "warn"} if run.side == "zoo" else {}
    preset = f"{run.side}_{run.task}"
    dqn = DQN({"preset": preset, "seed": run.seed, "hyperparameters": guard})
    environment, evaluated = TASKS[run.task].environment, {}
    if run.side == "best":  # 20 evaluations; their episodes are neither trained on nor reported
        evaluated = {
            "eval_env": gym.make(environment),
            "eval_interval": run.steps // EVALUATIONS,
            "eval_episodes": 20,
            "keep_best": True,
        }
    result = dqn.learn(gym.make(environment), run.steps, **evaluated)
    return dqn.select_action, list(result.returns), list(result.lengths)


def train_sb3(run: Run) -> tuple[Callable[[Any], int], list[float], list[int]]:
    """Train stable-baselines3's DQN with the zoo's hyperparameters."""
    import stable_baselines3
    import torch
    from stable_baselines3.common.monitor import Monitor

    assert run.task == "cartpole"
    torch.set_num_threads(1)
    env = Monitor(gym.make(TASKS[run.task].environment))
    model = stable_baselines3.DQN("MlpPolicy", env, **ZOO_CARTPOLE, seed=run.seed, device="cpu")
    model.learn(run.steps)

    def act(state: Any) -> int:
        return int(model.predict(state, deterministic=True)[0])

    return act, env.get_episode_rewards(), env.get_episode_lengths()


def evaluate(environment: str, act: Callable[[Any], int]) -> list[float]:
    """Return the returns of `EPISODES` episodes, the same starts for every run."""
    env, returns = gym.make(environment), []
    for episode in range(EPISODES):
        state, _ = env.reset(seed=FIRST_EVALUATION_SEED + episode)
        total, over = 0.0, False
        while not over:
            state, reward, terminated, truncated, _ = env.step(act(state))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    return returns


def random_score(environment: str) -> float:
    """Return the mean return of uniformly random actions."""
    rng, n_actions = np.random.default_rng(0), int(gym.make(environment).action_space.n)
    return float(np.mean(evaluate(environment, lambda _: int(rng.integers(n_actions)))))


def learner_sha256() -> str:
    """Return a hash over the source of everything that a training runs through."""
    return source_sha256("nn", "replay", "models")


def perform(run: Run, learner: str) -> dict[str, Any]:
    """Train and evaluate, by the learner whose hash is given and no other."""
    if learner_sha256() != learner:
        raise RuntimeError("the learner's source has changed since the benchmark began")
    wall, cpu = time.perf_counter(), time.process_time()
    act, returns, lengths = (train_sb3 if run.side == "sb3" else train_ours)(run)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    greedy = evaluate(TASKS[run.task].environment, act)
    return {
        **dataclasses.asdict(run),
        "score": float(np.mean(greedy)),
        "score_sd": float(np.std(greedy)),  # over the episodes
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "returns": [float(value) for value in returns],
        "lengths": [int(value) for value in lengths],
    }


# -- all runs, kept one by one --------------------------------------------------------------------


def hyperparameters(run: Run) -> dict[str, Any]:
    """Return all that `run` learns with, our own defaults included."""
    if run.side == "sb3":
        return {**ZOO_CARTPOLE, "versions": versions("stable-baselines3", "torch")}
    config = DQN({"preset": f"{run.side}_{run.task}"}).config
    return dataclasses.asdict(config.hyperparameters)


def kept_as(run: Run, learner: str, processes: int) -> Path:
    """Return the file of a finished run; other settings or another learner have another name."""
    depends_on = {
        **dataclasses.asdict(run),
        "hyperparameters": hyperparameters(run),
        "environment": TASKS[run.task].environment,
        "evaluation": [FIRST_EVALUATION_SEED, EPISODES],
        "learner": "" if run.side == "sb3" else learner,
        "gymnasium": version("gymnasium"),
        "processes": processes,  # the seconds depend on them
    }
    return SCRATCH / f"{run.task}-{run.side}-{run.seed}-{key_of(depends_on)}.json"


def perform_all(runs: list[Run], processes: int) -> list[dict[str, Any]]:
    """Return every run's result, in the order of `runs`, computing what is not kept yet."""
    learner = learner_sha256()
    files = {run: kept_as(run, learner, processes) for run in runs}
    missing = [run for run in runs if not files[run].is_file()]
    print(f"{len(runs)} runs, {len(runs) - len(missing)} of them kept from before", flush=True)
    started, failed = time.perf_counter(), []
    # A fresh process each: no run finds another's caches, memory or threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, max_tasks_per_child=1)
    try:
        futures = {pool.submit(perform, run, learner): run for run in missing}
        for done, future in enumerate(as_completed(futures), 1):
            run, error = futures[future], future.exception()
            if error is not None:
                failed.append(run.name)
                outcome = f"FAILED: {error!r}"
            else:
                result = future.result()
                write(files[run], result)
                outcome = f"{result['score']:8.1f} after {result['wall_s']:.0f} s"
            minutes = (time.perf_counter() - started) / 60
            print(f"[{done}/{len(missing)}, {minutes:4.1f} min] {run.name}: {outcome}", flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
    if failed:
        sys.exit(f"{len(failed)} runs failed: {', '.join(failed)}. Run again to go on.")
    return [json.loads(files[run].read_text(encoding="utf-8")) for run in runs]


def plan(tasks: list[str], seeds: int, sb3: bool) -> list[Run]:
    """Return all runs, the slowest first so that the processes end together."""
    runs = []
    for task in tasks:
        steps = {"zoo": TASKS[task].zoo_steps, "best": TASKS[task].best_steps}
        if sb3 and task == "cartpole":
            steps["sb3"] = steps["zoo"]
        runs += [Run(task, side, seed, n) for side, n in steps.items() for seed in range(seeds)]
    slow = {("lunarlander", "zoo"): 0, ("acrobot", "zoo"): 1, ("cartpole", "sb3"): 2}
    return sorted(runs, key=lambda run: slow.get((run.task, run.side), 3))  # stable


def report() -> list[str]:
    """Return the lines for RESULTS.md from the newest `learning.json`, or none."""
    if not RESULTS.is_file():
        return []
    return table(json.loads(RESULTS.read_text(encoding="utf-8")))


def options(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N - 1 (default 5)")
    parser.add_argument("--processes", type=int, default=2, help="trainings at once (default 2)")
    parser.add_argument("--sb3", action=argparse.BooleanOptionalAction, default=True)
    chosen = parser.parse_args(arguments)
    if chosen.seeds < 1 or chosen.processes < 1:
        parser.error("--seeds and --processes must be 1 or more")
    return chosen


def main(arguments: list[str] | None = None) -> list[str]:
    """Train, evaluate, and write learning.json, the pictures and RESULTS.md's section."""
    chosen = options(arguments)
    runs = plan(chosen.tasks, chosen.seeds, chosen.sb3)
    results = perform_all(runs, chosen.processes)
    tasks = {}
    for task in chosen.tasks:
        sides = {}
        for side in ("best", "zoo", "sb3"):
            of_side = [r for r in results if (r["task"], r["side"]) == (task, side)]
            if of_side:
                first = next(run for run in runs if (run.task, run.side) == (task, side))
                sides[side] = {"hyperparameters": hyperparameters(first), "runs": of_side}
        spec = TASKS[task]
        tasks[task] = {
            **dataclasses.asdict(spec),
            "random": random_score(spec.environment),
            "sides": sides,
        }
    written = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": versions("numpy", "gymnasium")
        | (versions("torch", "stable-baselines3") if chosen.sb3 else {}),
        "episodes": EPISODES,
        "processes": chosen.processes,
        **summary(tasks),
    }
    lines = table(written)
    print("\n".join(lines))
    if set(chosen.tasks) == set(TASKS) and chosen.seeds >= 5 and chosen.sb3:
        pictures(tasks, IMAGES)
        write(RESULTS, written)
        replace_section(lines)
    else:  # a part must not replace the whole
        pictures(tasks, SCRATCH / "part")
        write(SCRATCH / "part" / RESULTS.name, written)
        print(f"A part of the benchmark: written to {SCRATCH / 'part'} alone.")
    return lines


if __name__ == "__main__":
    main()
