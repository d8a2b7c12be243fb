"""CartPole-v1 with the DQN alone, as `examples/cartpole.py` trains it.

The hyperparameters were chosen on the seeds 100 to 107; the seeds here had no part in it.
"""

import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "cartpole.py"
EPISODES = range(10_000, 10_020)


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("cartpole_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_worst_of_five_seeds_solves_it(example, record_property):
    means = []
    for seed in range(5):
        started = time.process_time()
        dqn = example.train(seed, total_steps=50_000)
        seconds = time.process_time() - started
        returns = [example.greedy_return(dqn, episode) for episode in EPISODES]
        means.append(float(np.mean(returns)))
        record_property(f"seed_{seed}", f"mean {means[-1]}, {seconds:.1f} s of CPU")
    record_property("means", means)
    # 475 solves the task (Gymnasium's threshold). On a processor with other bits, one seed of five
    # may stay a little below it.
    assert np.median(means) >= 475, means
    assert min(means) >= 400, means


def test_without_learning_it_falls(example):
    dqn = example.train(seed=0, total_steps=500)  # fewer than learning_starts
    assert dqn.q_network["optimizer_state"]["t"] == 0
    assert np.mean([example.greedy_return(dqn, episode) for episode in EPISODES]) < 200
