"""CartPole-v1 with the DQN alone, as `examples/cartpole.py` trains it.

The hyperparameters were chosen on the seeds 100 to 107; the seeds here had no part in it.
"""

import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest
from shared_runs import made_once

EXAMPLE = Path(__file__).parents[2] / "examples" / "cartpole.py"
SEEDS = range(5)
EPISODES = range(10_000, 10_020)


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("cartpole_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def mean_of(example, tmp_path_factory):
    """Return a function that gives the mean return of a seed, learned once for all tests."""

    def mean(seed):
        def make(folder):
            dqn = example.train(seed, total_steps=50_000)
            returns = [example.greedy_return(dqn, episode) for episode in EPISODES]
            (folder / "mean.txt").write_text(repr(float(np.mean(returns))))

        folder = made_once(tmp_path_factory, f"cartpole-{seed}", make)
        return float((folder / "mean.txt").read_text())

    return mean


# 475 solves the task (Gymnasium's threshold). On a processor with other bits, one seed of five may
# stay a little below it.
@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_stays_at_most_a_little_below(mean_of, seed, record_property):
    started = time.process_time()
    mean = mean_of(seed)
    record_property("mean", f"{mean}, {time.process_time() - started:.1f} s of CPU")
    assert mean >= 400


@pytest.mark.slow
def test_the_worst_of_five_seeds_solves_it(mean_of):
    means = [mean_of(seed) for seed in SEEDS]
    assert np.median(means) >= 475, means
    assert min(means) >= 400, means


def test_without_learning_it_falls(example):
    dqn = example.train(seed=0, total_steps=500)  # fewer than learning_starts
    assert dqn.q_network["optimizer_state"]["t"] == 0
    assert np.mean([example.greedy_return(dqn, episode) for episode in EPISODES]) < 200
