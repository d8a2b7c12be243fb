"""What is there, what is needed, and one line with both when they do not fit."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from reinforcestrategycreator_pipeline import memory
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.market.sources.synthetic import SyntheticSource
from reinforcestrategycreator_pipeline.memory import (
    available_memory,
    require_memory,
    show_bytes,
)
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.models.learner.size import (
    batch_bytes,
    network_bytes,
    replay_bytes,
)
from reinforcestrategycreator_pipeline.models.population import Population
from reinforcestrategycreator_pipeline.policies.dqn import DQNStrategy
from reinforcestrategycreator_pipeline.replay.ring import RingReplay
from reinforcestrategycreator_pipeline.replay.sum_tree import SumTree
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR, random_asset

GB = 10**9


MEMINFO = "MemTotal:       16384000 kB\nMemFree: 1000 kB\nMemAvailable:   12000000 kB\n"


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_what_linux_has_available(tmp_path: Path) -> None:
    put(tmp_path, "proc/meminfo", MEMINFO)
    assert available_memory(tmp_path) == 12_000_000 * 1024


@pytest.mark.parametrize("path", ["sys/fs/cgroup", "sys/fs/cgroup/user.slice/job"])
def test_a_control_group_that_allows_less(tmp_path: Path, path: str) -> None:
    put(tmp_path, "proc/meminfo", MEMINFO)
    put(tmp_path, "proc/self/cgroup", "0::/user.slice/job\n")
    put(tmp_path, f"{path}/memory.max", f"{4 * GB}\n")
    put(tmp_path, f"{path}/memory.current", f"{3 * GB}\n")
    assert available_memory(tmp_path) == 1 * GB
    put(tmp_path, f"{path}/memory.stat", f"anon 5\ninactive_file {GB // 2}\n")
    assert available_memory(tmp_path) == 3 * GB // 2  # a cache of files gives way
    put(tmp_path, f"{path}/memory.max", "max\n")
    assert available_memory(tmp_path) == 12_000_000 * 1024


def test_a_control_group_of_the_first_version(tmp_path: Path) -> None:
    put(tmp_path, "proc/meminfo", MEMINFO)
    put(tmp_path, "proc/self/cgroup", "7:cpu:/a\n4:memory:/docker/b\n")
    put(tmp_path, "sys/fs/cgroup/memory/docker/b/memory.limit_in_bytes", f"{2 * GB}")
    put(tmp_path, "sys/fs/cgroup/memory/docker/b/memory.usage_in_bytes", f"{3 * GB}")
    assert available_memory(tmp_path) == 0


def test_this_machine_has_some() -> None:
    found = available_memory()
    assert found is not None
    assert 2**24 < found < 2**50


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.00 kB"),
        (12_345_678, "12.3 MB"),
        (999_600_000, "1.00 GB"),
        (8 * 10**12, "8.00 TB"),
        (456 * 10**15, "456 PB"),
        (10**22, "10000 EB"),
    ],
)
def test_bytes_in_three_digits(n: int, text: str) -> None:
    assert show_bytes(n) == text


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 100 MB."""
    monkeypatch.setattr(memory, "available_memory", lambda: 100 * 10**6)


def test_the_line_has_both_figures(small: None) -> None:
    with pytest.raises(ConfigError) as caught:
        require_memory(8 * 10**12, "DQN", "buffer_size", 10**9)
    assert str(caught.value) == (
        "The buffer_size parameter of DQN must be within the memory; this needs about 8.00 TB, "
        "this machine has 100 MB available. Got 1000000000 instead."
    )
    require_memory(99 * 10**6, "DQN", "buffer_size", 1)


def test_where_it_is_not_known_nothing_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    require_memory(8 * 10**12, "DQN", "buffer_size", 10**9)


def images(**settings: object) -> DQN:
    dqn = DQN(**settings)  # type: ignore[arg-type]
    dqn.build((210, 160, 3), (4,))
    return dqn


REJECTED = {
    "buffer_size": lambda: DQN(buffer_size=10**7).build((9,), (4,)),
    "hidden_layers": lambda: images(hidden_layers=[1_000], buffer_size=32),
    "batch_size": lambda: DQN(batch_size=10**6, buffer_size=10**6).build((50,), (4,)),
    "capacity": lambda: RingReplay(10**9, 4, np.random.default_rng(0)),
    "capacity ": lambda: SumTree(10**9),
    "positions": lambda: ExogenousMarket([random_asset(300)], [i / 100 for i in range(200)], DEAR),
    "n_bars": lambda: SyntheticSource(n_bars=10**6, bar_seconds=60.0),
    "configs": lambda: Population([{"hyperparameters": {"buffer_size": 32}}] * 20).build(
        (10_000,), (4,)
    ),
}


@pytest.mark.parametrize("name", REJECTED)
def test_what_does_not_fit_is_rejected_before_it_is_made(name: str, small: None) -> None:
    tracemalloc.start()
    with pytest.raises(ConfigError, match=rf"The {name.strip()} parameter of .*needs about"):
        REJECTED[name]()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 * 10**6


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden_layers": [4_000, 4_000]},
        {"batch_size": 100_000, "buffer_size": 100_000},
        {"buffer_size": 100_000_000},
    ],
    ids=str,
)
def test_a_strategy_is_rejected_with_its_configuration(
    settings: dict[str, object], small: None
) -> None:
    with pytest.raises(ConfigError, match="needs about"):
        DQNStrategy(hyperparameters=settings)  # type: ignore[arg-type]


def test_trajectories_are_counted(small: None) -> None:
    with pytest.raises(ConfigError, match=r"trajectories parameter .*needs about"):
        DQNStrategy(training={"trajectories": 10**6})  # type: ignore[arg-type]


CASES = [
    {"hidden_layers": [700, 700]},
    {"batch_size": 8_192},
    {"batch_size": 8_192, "head": "c51"},
    {"batch_size": 8_192, "dueling": True, "layer_norm": True},
    {"hidden_layers": [512, 512], "noisy": True},
    {"batch_size": 8_192, "head": "qr", "prioritized_replay": True},
    {"buffer_size": 400_000},
]


@pytest.mark.parametrize("settings", CASES, ids=str)
def test_the_estimates_are_within_a_factor_of_two(settings: dict[str, object]) -> None:
    size = int(settings.get("batch_size", 32))  # type: ignore[call-overload]
    dqn = DQN(**{"batch_size": size, "buffer_size": 2 * size, **settings})  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    states = rng.random((size, 10), dtype=np.float32)
    none = np.zeros(size, bool)
    tracemalloc.start()
    dqn.build((10,), (3,))
    dqn.replay_buffer.push_many(states, np.ones(size, int), states[:, 0], states, none, none)
    dqn.train_step()
    dqn.train_step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    estimate = (
        network_bytes(dqn.spec, dqn.dtype)
        + batch_bytes(dqn.spec, dqn.dtype, size)
        + replay_bytes(10, dqn.dtype, dqn.hyperparameters.buffer_size)
    )
    assert estimate / 2 < peak < estimate * 2


def test_the_estimate_of_a_market_is_within_a_factor_of_two() -> None:
    asset = random_asset(3_000)
    grid = [i / 40 for i in range(41)]
    tracemalloc.start()
    ExogenousMarket([asset], grid, DEAR)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 41 * 41 * 3_000 * 69 / 2 < peak < 41 * 41 * 3_000 * 69 * 2
