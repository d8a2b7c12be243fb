"""The engine that runs jobs on a Ray cluster: same bits, and nothing lost with a worker or node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_jobs import Holding, Killed, Patient, Placed, Raising

from reinforcestrategycreator_pipeline.errors import ConfigError, RunError
from reinforcestrategycreator_pipeline.experiments.engines.inline import Inline
from reinforcestrategycreator_pipeline.experiments.engines.ray_engine import Ray
from reinforcestrategycreator_pipeline.experiments.jobs import Listener
from reinforcestrategycreator_pipeline.files import sha256_file
from reinforcestrategycreator_pipeline.testing.engine_contract import (
    EngineContract,
    Recorder,
    TrainingJob,
)

ray = pytest.importorskip("ray", reason="needs the extra distributed")

pytestmark = [
    pytest.mark.slow,
    # Ray's own, about its sockets, files and settings.
    pytest.mark.filterwarnings("default"),
]
ROOT = Path(__file__).parents[3]
PATH = os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests" / "shared")))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Start one cluster for all tests that need no other: it takes seconds."""
    before = signal.getsignal(signal.SIGTERM)
    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="error")
    yield
    ray.shutdown()
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("cluster")
class TestRay(EngineContract):
    @pytest.fixture
    def engine(self) -> Ray:
        return Ray()


@pytest.mark.usefixtures("cluster")
def test_the_job_of_a_killed_worker_is_done_again(tmp_path: Path) -> None:
    heard = Recorder()
    jobs = [Killed("a", tmp_path, 2), Killed("b", tmp_path, 0)]
    Ray().run(jobs, heard)
    assert all(job.done() for job in jobs)
    said = ("say", "its worker was lost; the job is done again")
    assert heard.of("a") == [("began",), *[said, ("began",)] * 2, ("ended",)]
    assert heard.of("b") == [("began",), ("ended",)]


@pytest.mark.usefixtures("cluster")
def test_a_job_that_kills_every_worker_is_named(tmp_path: Path) -> None:
    rule = "^job 'heavy' cannot be done: its worker was lost 4 times"
    with pytest.raises(RunError, match=rule):
        Ray().run([Killed("heavy", tmp_path, 99)], Listener())
    assert len(list(tmp_path.glob("heavy.attempt*"))) == 4


@pytest.mark.usefixtures("cluster")
def test_the_others_are_interrupted_when_a_job_fails(tmp_path: Path) -> None:
    jobs = [Patient("a", tmp_path), Raising("bad", tmp_path, "once another runs")]
    with pytest.raises(RunError, match="the other runs"):
        Ray().run(jobs, Listener())
    assert (tmp_path / "a.checkpoint").is_file()


@pytest.mark.usefixtures("cluster")
def test_what_cannot_be_sent_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^job 'bad' cannot be sent to a worker"):
        Ray().run([Holding("bad", tmp_path, held=lambda: None)], Listener())


SCRIPT = """
import sys
from pathlib import Path
from engine_jobs import Patient
from reinforcestrategycreator_pipeline.experiments.engines.ray_engine import Ray
from reinforcestrategycreator_pipeline.experiments.jobs import Listener
folder = Path({folder!r})
try:
    Ray().run([Patient("a", folder), Patient("b", folder)], Listener())
except KeyboardInterrupt as error:
    sys.exit(f"interrupted: {{error}}")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_jobs_write_their_checkpoints_when_interrupted(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(folder=str(tmp_path))],
        env={**os.environ, "PYTHONPATH": PATH},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 60
        while len(list(tmp_path.glob("*.attempt*"))) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        os.killpg(process.pid, number) if number == signal.SIGINT else process.terminate()
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1, err
    (line,) = [line for line in err.splitlines() if line.startswith("interrupted: ")]
    said = ["a: a checkpoint was written", "b: a checkpoint was written"]
    assert sorted(line.removeprefix("interrupted: ").split("; ")) == said
    assert len(list(tmp_path.glob("*.checkpoint"))) == 2


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    ray.shutdown()  # that of the other tests
    job = Killed("a", tmp_path)
    with pytest.raises(RunError, match=r"^no Ray cluster answers at '127\.0\.0\.1:1': Connection"):
        Ray("127.0.0.1:1").run([job], Listener())


class Removing(Recorder):
    """A listener that removes a node once jobs run on both."""

    def __init__(self, cluster: Any, node: Any, folder: Path) -> None:
        super().__init__()
        self._cluster, self._node, self._folder = cluster, node, folder
        self.removed = False

    def ended(self, job: str, /) -> None:
        super().ended(job)
        if not self.removed and list(self._folder.glob(f"*.{self._node.node_id}.node")):
            self.removed = True
            self._cluster.remove_node(self._node, allow_graceful=False)


def test_a_node_is_removed_and_a_worker_killed_and_nothing_is_lost(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    ray.shutdown()  # that of the other tests
    here, there = tmp_path / "inline", tmp_path / "ray"
    here.mkdir()
    there.mkdir()
    Inline().run([TrainingJob(f"job{k}", here, k) for k in range(10)], Listener())
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        second = nodes.add_node(num_cpus=2)
        nodes.wait_for_nodes()
        jobs: list[Any] = [Placed(f"job{k}", there, k) for k in range(10)]
        heard = Removing(nodes, second, there)
        before = signal.getsignal(signal.SIGTERM)
        Ray(address=nodes.address).run([*jobs[:5], Killed("killed", there), *jobs[5:]], heard)
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        nodes.shutdown()
    assert heard.removed
    assert not ray.is_initialized()
    assert len({path.name.split(".")[1] for path in there.glob("*.node")}) == 2
    again = [event for event in heard.events if event[1] == "say"]
    assert len(again) >= 2  # the killed worker, and one of the node
    hashes = [sha256_file(job.result) for job in jobs]
    assert hashes == [sha256_file(here / f"job{k}.result") for k in range(10)]
