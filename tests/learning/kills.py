"""Kills learning processes with -9 at random moments, each resumed by the next, to the end.

    python kills.py FOLDER KILLS SEED

Prints JSON: kills, finished runs, and the hashes found and expected by kind of environment, or
for an ensemble on a market. A process of its own, with one thread: the workers are forked from it,
since starting Python and NumPy anew would take longer than the learning.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import gymnasium as gym
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "models"))

from gym_cases import dqn_of, learning_hash

from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.policies.ensemble_training import (
    EnsembleTrainer,
    EnsembleTraining,
)
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR, random_asset

STEPS = 600
SETTINGS = {
    "prioritized_replay": True,
    "n_step": 3,
    "noisy": True,
    "normalize_observations": True,
    "buffer_size": 300,
    "train_frequency": 4,
    "gradient_steps": 3,
    "gamma": 0.97,
}
ENSEMBLE = "ensemble"
KINDS = ("one", "NextStep", "SameStep", ENSEMBLE)
ENSEMBLE_TRAINING = EnsembleTraining(
    agents=3,
    hidden_layers=(8,),
    batch_size=16,
    value_interval=50,
    screening_steps=300,
    steps=300,
    caution=0.01,  # little enough for some features to stay, so that there is a second stage
    checkpoint_interval=20,
)


def make(kind: str) -> gym.Env | gym.vector.VectorEnv:
    if kind == "one":
        return gym.make("CartPole-v1")
    return gym.make_vec("CartPole-v1", 2, "sync", vector_kwargs={"autoreset_mode": kind})


def train_ensemble(folder: Path | None) -> str:
    market = ExogenousMarket([random_asset(200, 1, "A")], (-1.0, 0.0, 1.0), DEAR)
    store = CheckpointStore(folder) if folder else None
    trainer = EnsembleTrainer(market, ENSEMBLE_TRAINING, Seeds(5), store)
    trainer.resume()
    result = trainer.run()
    assert result.steps == 600
    found = hashlib.sha256(result.relevance.tobytes())
    for network in result.networks:
        for name, weights in sorted(network.weights.items()):
            found.update(name.encode() + weights.tobytes())
    return found.hexdigest()


def learn(kind: str, folder: Path | None) -> str:
    if kind == ENSEMBLE:
        return train_ensemble(folder)
    arguments = {"checkpoint_folder": folder, "checkpoint_interval": 20, "resume": True}
    dqn = dqn_of(**SETTINGS)
    result = dqn.learn(make(kind), STEPS, **(arguments if folder else {}))
    assert result.restarts == []
    return learning_hash(dqn, result)


def fork_learner(kind: str, folder: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        # The hash goes where no checkpoint goes, when all is done.
        (folder.parent / f"{folder.name}.hash").write_text(learn(kind, folder))
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may run on in the fork's copy of the parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def run_with_kills(kind: str, folder: Path, rng: np.random.Generator, longest: float) -> int:
    """Learn to the end, and return how often it was killed before."""
    kills = 0
    while True:
        pid = fork_learner(kind, folder)
        time.sleep(rng.uniform(0.0, longest))
        longest *= 1.1  # on a busy machine, a start alone may take as long as was measured
        os.kill(pid, signal.SIGKILL)  # of a process that has ended by itself: no effect
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            kills += 1
        elif os.WEXITSTATUS(status) == 0:
            return kills
        else:
            sys.exit("a learning process failed")


def main(folder: Path, kills: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    expected = {kind: learn(kind, None) for kind in KINDS}
    longest = {}
    for kind in ("one", ENSEMBLE):
        began = time.perf_counter()
        learn(kind, folder / f"warm-{kind}")
        longest[kind] = (time.perf_counter() - began) / 6
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    done = runs = left = 0
    # How often a run is killed depends on the machine; each kind is to end twice all the same.
    while done < kills or min(map(len, found.values())) < 2:
        kind = KINDS[runs % len(KINDS)]
        own = folder / f"run-{runs}"
        done += run_with_kills(kind, own, rng, longest.get(kind, longest["one"]))
        runs += 1
        found[kind].append((folder / f"{own.name}.hash").read_text())
        left += len([f for f in own.iterdir() if not f.name.startswith("step-")])
    json.dump({"kills": done, "expected": expected, "found": found, "left": left}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
