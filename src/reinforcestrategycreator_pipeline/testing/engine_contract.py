"""The contract of engines. Inherit `EngineContract`, override `engine`, and run.

class TestMyEngine(EngineContract):
    @pytest.fixture
    def engine(self):
        return MyEngine()
"""

from __future__ import annotations

import errno
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError, Interrupted, RunError
from reinforcestrategycreator_pipeline.experiments.engines.base import Engine, kept_open
from reinforcestrategycreator_pipeline.experiments.engines.inline import Inline
from reinforcestrategycreator_pipeline.experiments.jobs import Listener, Report
from reinforcestrategycreator_pipeline.files import sha256_file, write_text
from reinforcestrategycreator_pipeline.models.population import Population
from reinforcestrategycreator_pipeline.storage.tensor_files import write_tensors


@dataclass(frozen=True)
class FileJob:
    """A job whose result is one file."""

    name: str
    folder: Path

    @property
    def result(self) -> Path:
        return self.folder / f"{self.name}.result"

    def done(self) -> bool:
        return self.result.is_file()


@dataclass(frozen=True)
class TrainingJob(FileJob):
    """Train a small population, and compute what another kernel would round otherwise."""

    seed: int = 0

    def run(self, report: Report) -> None:
        rng = np.random.default_rng(self.seed)
        common = {"hidden_layers": [17, 9], "batch_size": 16}
        population = Population(
            [{"seed": self.seed + k, "hyperparameters": common} for k in (0, 1)]
        )
        population.build((7,), (3,))
        for agent in population.agents:
            for _ in range(64):
                state, after = rng.normal(size=(2, 7))
                agent.replay_buffer.push(state, int(rng.integers(3)), rng.normal(), after, False)
        for _ in range(20):
            population.train_step()
        tensors = {
            f"{k}.{name}": array
            for k, agent in enumerate(population.agents)
            for name, array in agent.q_network["weights"].items()
        }
        a, b = rng.normal(size=(2, 97, 97))
        values = np.abs(rng.normal(size=1001))
        tensors |= {"product": a @ b, "log": np.log(values), "exp": np.exp(values)}
        write_tensors(self.result, tensors, {"seed": self.seed})


@dataclass(frozen=True)
class CountingJob(FileJob):
    """Report a lot, and say how often the job was run."""

    reports: int = 0

    def run(self, report: Report) -> None:
        report.say(f"{self.name} begins")
        for done in range(self.reports):
            report.progress(done + 1, self.reports, loss=f"{1 / (done + 1):.2f}")
            time.sleep(0.001)
        report.log("counted", value=np.float64(0.5), path=self.folder, strange={1})
        write_text(self.result, self.name)


@dataclass(frozen=True)
class RaisingJob(FileJob):
    """Raise the exception of one kind."""

    kind: str = ""

    def run(self, report: Report) -> None:
        if self.kind == "config":
            raise ConfigError(path=("a", 1), rule="must be > 0", value=-3, hint=" Try 3.")
        if self.kind == "without value":
            raise ConfigError(path=("a",), rule="must be > 0")
        if self.kind == "full disk":
            try:
                raise OSError(errno.ENOSPC, "No space left on device")
            except OSError as error:
                raise RunError("x: cannot write") from error
        if self.kind == "defect":
            self._deep_inside()
        if self.kind == "stopped":
            raise Interrupted("stopped")

    def _deep_inside(self) -> None:
        raise KeyError("no such thing")


class Recorder(Listener):
    """A listener that keeps what it receives, and in which thread."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.threads: set[int] = set()

    def _keep(self, *event: Any) -> None:
        self.events.append(event)
        self.threads.add(threading.get_ident())

    def began(self, job, /):
        self._keep(job, "began")

    def progress(self, job, done, total, /, **texts):
        self._keep(job, "progress", done, total, texts)

    def say(self, job, sentence, /):
        self._keep(job, "say", sentence)

    def log(self, job, event, /, **values):
        self._keep(job, "log", event, values)

    def ended(self, job, /):
        self._keep(job, "ended")

    def of(self, job: str) -> list[tuple[Any, ...]]:
        """Return the events of one job, without its name."""
        return [event[1:] for event in self.events if event[0] == job]


class EngineContract:
    """The contract of an engine, one test per promise."""

    @pytest.fixture
    def engine(self) -> Engine:
        raise NotImplementedError("override the fixture engine")

    def test_all_jobs_are_done_to_the_bits_of_inline(self, engine, tmp_path):
        (tmp_path / "inline").mkdir()
        (tmp_path / "engine").mkdir()
        here = [TrainingJob(f"job{k}", tmp_path / "inline", k) for k in range(5)]
        there = [TrainingJob(f"job{k}", tmp_path / "engine", k) for k in range(5)]
        Inline().run(here, Listener())
        engine.run(there, Listener())
        hashes = [sha256_file(job.result) for job in there]
        assert hashes == [sha256_file(job.result) for job in here]
        assert len(set(hashes)) == 5

    def test_no_jobs_are_no_work(self, engine):
        heard = Recorder()
        engine.run([], heard)
        assert heard.events == []

    def test_what_is_done_is_not_run_again(self, engine, tmp_path):
        jobs = [CountingJob(name, tmp_path) for name in ("a", "b")]
        jobs[0].result.write_text("from before")
        heard = Recorder()
        engine.run(iter(jobs), heard)
        assert jobs[0].result.read_text() == "from before"
        assert jobs[1].result.read_text() == "b"
        assert heard.of("a") == [("ended",)]
        assert [event[0] for event in heard.of("b")] == ["began", "say", "log", "ended"]

    def test_reports_arrive_in_order_in_the_calling_thread(self, engine, tmp_path):
        heard = Recorder()
        engine.run([CountingJob(name, tmp_path, reports=50) for name in ("a", "b")], heard)
        assert heard.threads == {threading.get_ident()}
        for job in ("a", "b"):
            events = heard.of(job)
            assert events[:2] == [("began",), ("say", f"{job} begins")]
            assert events[2] == ("progress", 1, 50, {"loss": "1.00"})
            assert events[-1] == ("ended",)
            values = {"value": 0.5, "path": str(tmp_path), "strange": "{1}"}
            assert ("log", "counted", values) in events

    def test_frequent_progress_is_thinned_and_its_end_arrives(self, engine, tmp_path):
        heard, begin = Recorder(), time.monotonic()
        engine.run([CountingJob("a", tmp_path, reports=400)], heard)
        most = 2 + (time.monotonic() - begin) / 0.1
        steps = [event[1] for event in heard.of("a") if event[0] == "progress"]
        assert 2 <= len(steps) <= most
        assert steps == sorted(steps)
        assert steps[-1] == 400

    @pytest.mark.parametrize("kind", ["config", "without value", "full disk", "stopped"])
    def test_an_error_for_the_user_arrives_as_it_was(self, engine, tmp_path, kind):
        job = RaisingJob("bad", tmp_path, kind)
        with pytest.raises(Exception) as here:  # noqa: PT011 - the same as there, that is the test
            job.run(Report(lambda event: None))
        with pytest.raises(type(here.value)) as there:
            engine.run([job], Listener())
        assert type(there.value) is type(here.value)
        assert str(there.value) == str(here.value)
        assert there.value.exit_code == here.value.exit_code
        for name in ("path", "rule", "hint", "message"):
            assert getattr(there.value, name, None) == getattr(here.value, name, None)
        if kind == "config":
            assert str(there.value) == "a[1]: must be > 0. Got -3 instead. Try 3."
            assert there.value.value == -3
        if kind == "full disk":
            assert isinstance(there.value.__cause__, OSError)
            assert there.value.__cause__.errno == errno.ENOSPC

    def test_a_defect_arrives_with_the_traceback_of_its_origin(self, engine, tmp_path):
        with pytest.raises(KeyError, match="no such thing") as caught:
            engine.run([RaisingJob("bad", tmp_path, "defect")], Listener())
        text = "".join(traceback.format_exception(caught.value))
        assert "_deep_inside" in text

    def test_a_failure_leaves_what_is_done_and_the_next_call_goes_on(self, engine, tmp_path):
        good = CountingJob("good", tmp_path)
        with pytest.raises(ConfigError):
            engine.run([good, RaisingJob("bad", tmp_path, "config")], Listener())
        good.result.write_text("kept")
        engine.run([good, CountingJob("bad", tmp_path)], Listener())
        assert good.result.read_text() == "kept"
        assert (tmp_path / "bad.result").read_text() == "bad"

    def test_it_can_be_kept_open_for_batch_after_batch(self, engine, tmp_path):
        with kept_open(engine) as same:
            same.run([CountingJob(name, tmp_path) for name in ("a", "b")], Listener())
            with pytest.raises(ConfigError):
                same.run([RaisingJob("bad", tmp_path, "config")], Listener())
            heard = Recorder()
            same.run([CountingJob(name, tmp_path) for name in ("b", "c")], heard)
        assert all((tmp_path / f"{name}.result").read_text() == name for name in "abc")
        assert heard.of("b") == [("ended",)]
        assert [event[0] for event in heard.of("c")] == ["began", "say", "log", "ended"]

    def test_a_job_that_leaves_no_result_is_an_error(self, engine, tmp_path):
        with pytest.raises(RunError, match=r"^job 'lazy' ended, but its result is not there"):
            engine.run([RaisingJob("lazy", tmp_path, "nothing")], Listener())

    def test_names_are_unique(self, engine, tmp_path):
        jobs = [CountingJob("a", tmp_path), CountingJob("a", tmp_path)]
        with pytest.raises(ConfigError, match=r"must be unique\. Got 'a' twice"):
            engine.run(jobs, Listener())
        assert not jobs[0].done()

    def test_an_exception_of_the_listener_ends_the_batch(self, engine, tmp_path):
        class Failing(Listener):
            def say(self, job, sentence, /):
                raise ZeroDivisionError(sentence)

        with pytest.raises(ZeroDivisionError, match="a begins"):
            engine.run([CountingJob("a", tmp_path)], Failing())
