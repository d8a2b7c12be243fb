"""The engine that runs jobs in worker processes: same bits, whatever happens to them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_jobs import Holding, Killed, Noisy, Patient, Raising, Stubborn

from reinforcestrategycreator_pipeline import kernels
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError, blame
from reinforcestrategycreator_pipeline.experiments.engines import crew
from reinforcestrategycreator_pipeline.experiments.engines.base import kept_open
from reinforcestrategycreator_pipeline.experiments.engines.inline import Inline
from reinforcestrategycreator_pipeline.experiments.engines.processes import Processes, processors
from reinforcestrategycreator_pipeline.experiments.jobs import Listener
from reinforcestrategycreator_pipeline.testing.engine_contract import (
    EngineContract,
    Recorder,
    TrainingJob,
)
from reinforcestrategycreator_pipeline.trust import allowing

ROOT = Path(__file__).parents[3]
PATH = os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests" / "shared")))
needs_avx2 = pytest.mark.skipif(not kernels.can_be_common(), reason="needs Linux, x86-64, AVX2")


class TestProcesses(EngineContract):
    @pytest.fixture
    def engine(self) -> Processes:
        return Processes(workers=2)


# -- workers that are lost ------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 3])
def test_the_job_of_a_killed_worker_is_done_again(tmp_path: Path, times: int) -> None:
    heard = Recorder()
    jobs = [Killed("a", tmp_path, times), Killed("b", tmp_path, 0)]
    Processes(2).run(jobs, heard)
    assert all(job.done() for job in jobs)
    assert len(list(tmp_path.glob("a.attempt*"))) == times + 1
    said = "its worker was lost by signal 9 (SIGKILL); the job is done again"
    assert heard.of("a") == [*[("began",), ("say", said)] * times, ("began",), ("ended",)]
    assert heard.of("b") == [("began",), ("ended",)]


def test_a_job_that_kills_every_worker_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        Processes(1).run([Killed("heavy", tmp_path, 99)], Listener())
    assert str(caught.value) == (
        "job 'heavy' cannot be done: its worker was lost 4 times, the last time by signal 9 "
        "(SIGKILL). A system that runs out of memory kills workers."
    )
    assert len(list(tmp_path.glob("heavy.attempt*"))) == 4


def test_prints_and_warnings_of_a_job_leave_the_messages_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    heard = Recorder()
    with caplog.at_level(logging.WARNING, "reinforcestrategycreator_pipeline"):
        Processes(1).run([Noisy("noisy", tmp_path)], heard)
    assert heard.of("noisy") == [("began",), ("say", "heard"), ("ended",)]
    assert [(r.name, r.getMessage()) for r in caplog.records] == [
        ("reinforcestrategycreator_pipeline.x", "logged 7")
    ]
    out, err = capfd.readouterr()
    assert "x" * 5_000 in out
    assert "raw bytes\nchild" in out.replace("x" * 5_000 + "\x00\n", "")
    assert "a warning of a library" in err


# -- exceptions -----------------------------------------------------------------------------------


def raised_by(job: Raising | Holding) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the callers check the kind
        Processes(1).run([job], Listener())
    return caught.value


def test_a_value_that_cannot_be_sent_is_shown(tmp_path: Path) -> None:
    error = raised_by(Raising("bad", tmp_path, "unsendable value"))
    assert isinstance(error, ConfigError)
    assert error.path == ("a", 1)
    assert str(error).startswith("a[1]: must be a number. Got <function Raising.run.<locals>")


def test_a_class_that_cannot_be_sent_is_named(tmp_path: Path) -> None:
    error = raised_by(Raising("bad", tmp_path, "odd"))
    assert str(error) == "OddError: 1 and 2"
    assert "engine_jobs.py" in "".join(traceback.format_exception(error))


def test_an_error_of_the_users_is_at_least_one_of_its_base_class(tmp_path: Path) -> None:
    error = raised_by(Raising("bad", tmp_path, "odd error of a user"))
    assert isinstance(error, RunError)
    assert str(error) == "1 and 2"


def test_a_text_is_not_made_twice(tmp_path: Path) -> None:
    error = raised_by(Raising("bad", tmp_path, "text from a name"))
    assert isinstance(error, RunError)
    assert (str(error), error.exit_code) == ("x is bad", 9)


def test_all_of_several_errors_arrive(tmp_path: Path) -> None:
    error = raised_by(Raising("bad", tmp_path, "several errors"))
    assert isinstance(error, ConfigError)
    assert str(error) == "a: must be > 0. Got -1 instead. (and 1 more: b: must be a list)"
    assert error.others[0].path == ("b",)


def test_the_line_of_user_code_is_known_here(tmp_path: Path) -> None:
    error = raised_by(Raising("bad", tmp_path, "defect of a user"))
    assert isinstance(error, AssertionError)
    lines = (ROOT / "tests" / "shared" / "engine_jobs.py").read_text().splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if "raise AssertionError" in line]
    assert blame(error) == f"engine_jobs.py:{number}"


def test_a_job_that_exits_has_failed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        Processes(1).run([Raising("bad", tmp_path, "exit")], Listener())


def test_a_job_that_cannot_be_sent_says_so(tmp_path: Path) -> None:
    error = raised_by(Holding("bad", tmp_path, held=lambda: None))
    assert isinstance(error, ConfigError)
    assert str(error).startswith("job 'bad' cannot be sent to a worker: what it holds must be")


# -- the same surroundings as in this process -----------------------------------------------------


def test_a_worker_may_import_what_this_process_may(tmp_path: Path) -> None:
    trusted, strange = tmp_path / "trusted", tmp_path / "strange"
    for folder, name in ((trusted, "engine_reward_one"), (strange, "engine_reward_two")):
        folder.mkdir()
        (folder / f"{name}.py").write_text(
            "from reinforcestrategycreator_pipeline import reward\n"
            "@reward\ndef gain(growth, before, after, scale: float = 1.0):\n    return growth\n"
        )
    with allowing([trusted], beside=strange):
        Processes(1).run([Holding("one", tmp_path, "engine_reward_one:gain")], Listener())
        assert "engine_reward_one" not in sys.modules
        two = Holding("two", tmp_path, "engine_reward_two:gain")
        error = raised_by(two)
        with pytest.raises(ConfigError) as here:
            Inline().run([two], Listener())
    assert json.loads((tmp_path / "one.result").read_text()) == {"module": "engine_reward_one"}
    assert isinstance(error, ConfigError)
    assert str(error) == str(here.value)
    assert str(error).endswith(f"not trusted; if you trust them, add --trust {strange}.")


def test_a_worker_knows_the_names_that_the_users_modules_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine_reward_three.py").write_text(
        "from reinforcestrategycreator_pipeline.envs.rewards import REWARDS\n"
        "@REWARDS.register('engine_three')\ndef three(growth, before, after):\n    return growth\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    __import__("engine_reward_three")
    Processes(1).run([Holding("three", tmp_path, "engine_three")], Listener())
    assert json.loads((tmp_path / "three.result").read_text()) == {"module": "engine_reward_three"}


COMPARE = """
import sys
from pathlib import Path
{before}
from reinforcestrategycreator_pipeline.experiments.engines.inline import Inline
from reinforcestrategycreator_pipeline.experiments.engines.processes import Processes
from reinforcestrategycreator_pipeline.experiments.jobs import Listener
from reinforcestrategycreator_pipeline.testing.engine_contract import TrainingJob
from reinforcestrategycreator_pipeline import kernels
folder = Path({folder!r})
Inline().run([TrainingJob("inline", folder)], Listener())
Processes(1).run([TrainingJob("processes", folder)], Listener())
print(kernels.loaded()["blas"], kernels.loaded()["simd"], sep=":")
"""
WIDE = "X86_V4 AVX512_ICL AVX512_SPR" if np.__version__ >= "2.4" else "AVX2 FMA3"


@needs_avx2
@pytest.mark.parametrize(
    ("environment", "before"),
    [
        ({"OPENBLAS_CORETYPE": "Prescott"}, ""),
        # NumPy came first, and the variables changed since.
        ({}, "import numpy, os; os.environ['OPENBLAS_CORETYPE'] = 'Prescott'"),
        ({}, "import numpy, os; os.environ['NPY_DISABLE_CPU_FEATURES'] = 'X86_V3'"),
        ({}, "from reinforcestrategycreator_pipeline import kernels as k; k.choose()"),
    ],
)
def test_a_worker_has_the_kernel_of_this_process(
    tmp_path: Path, environment: dict[str, str], before: str
) -> None:
    code = COMPARE.format(folder=str(tmp_path), before=before)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": PATH, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    if environment:
        assert done.stdout.startswith("Katmai:")  # OpenBLAS's name for its oldest kernel
    bits = [(tmp_path / f"{name}.result").read_bytes() for name in ("inline", "processes")]
    assert bits[0] == bits[1]


@needs_avx2
def test_another_kernel_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {**kernels.environment(), "OPENBLAS_CORETYPE": "Prescott"}
    monkeypatch.setattr(kernels, "environment", lambda: other)
    error = raised_by(Raising("bad", tmp_path, "defect"))
    assert isinstance(error, RunError)
    assert str(error).startswith("a worker has BLAS kernel Katmai and SIMD features")


def test_the_processors_are_those_that_this_process_may_use() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity")
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert processors() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert processors() == len(before)


# -- scripts --------------------------------------------------------------------------------------

SCRIPT = """
import sys
from pathlib import Path
from engine_jobs import *
from reinforcestrategycreator_pipeline.experiments.engines.processes import Processes
from reinforcestrategycreator_pipeline.experiments.jobs import Listener
print("the script runs")
folder = Path({folder!r})

class Shown(Listener):
    def say(self, job, sentence, /):
        print(job, sentence, flush=True)

@dataclass(frozen=True)
class Mine(FileJob):
    def run(self, report):
        write_bytes(self.result, b"")

{body}
"""


def script(folder: Path, body: str) -> str:
    return SCRIPT.format(folder=str(folder), body=textwrap.dedent(body))


@contextlib.contextmanager
def running(folder: Path, body: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", script(folder, body)],
        env={**os.environ, "PYTHONPATH": PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        ended = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return not ended or len(threads) > 1  # which may end later
    return False


def workers(folder: Path) -> list[int]:
    return [int(text) for f in folder.glob("*.attempt*") if (text := f.read_text())]


@pytest.mark.parametrize("how", ["file", "standard input"])
def test_a_script_without_a_guard_is_not_run_again(tmp_path: Path, how: str) -> None:
    text = script(tmp_path, "Processes(2).run([Noisy(n, folder) for n in 'abc'], Shown())")
    (tmp_path / "script.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "script.py" if how == "file" else "-"],
        input=text,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": PATH},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the script runs") == 1
    assert len(list(tmp_path.glob("*.result"))) == 3


def test_what_a_script_defines_cannot_be_sent(tmp_path: Path) -> None:
    with running(tmp_path, "Processes(1).run([Mine('mine', folder)], Shown())") as process:
        _, err = process.communicate(timeout=30)
    last = err.splitlines()[-2]  # before the note
    assert "ConfigError: job 'mine' cannot be sent to a worker: what it holds must be" in last


# -- Ctrl-C, SIGTERM, and kill -9 of the process that runs the engine ------------------------------

PATIENT = """
try:
    Processes(2).run([Patient("a", folder), Patient("b", folder)], Shown())
except KeyboardInterrupt as error:
    sys.exit(f"interrupted: {error}")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_write_their_checkpoints_when_interrupted(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path, PATIENT) as process:
        assert eventually(lambda: len(workers(tmp_path)) == 2)
        # As a terminal does: the whole group gets it.
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 1
        said = ["a: a checkpoint was written", "b: a checkpoint was written"]
        assert sorted(err.strip().removeprefix("interrupted: ").split("; ")) == said
        assert len(list(tmp_path.glob("*.checkpoint"))) == 2
        assert not any(map(lives, workers(tmp_path)))
    (tmp_path / "go").touch()
    with running(tmp_path, PATIENT) as process:
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 0
    assert sorted(out.splitlines()[1:]) == ["a resumed", "b resumed"]


def test_a_second_interruption_waits_for_nothing(tmp_path: Path) -> None:
    body = "Processes(1).run([Stubborn('a', folder)], Shown())"
    with running(tmp_path, body) as process:
        assert eventually(lambda: len(workers(tmp_path)) == 1)
        process.send_signal(signal.SIGINT)
        time.sleep(1.0)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert not any(map(lives, workers(tmp_path)))


def test_no_worker_outlives_a_killed_process(tmp_path: Path) -> None:
    with running(tmp_path, PATIENT) as process:
        assert eventually(lambda: len(workers(tmp_path)) == 2)
        process.kill()
        process.communicate(timeout=10)
        assert eventually(lambda: not any(map(lives, workers(tmp_path))), 5.0)
    (tmp_path / "go").touch()
    with running(tmp_path, PATIENT) as process:
        process.communicate(timeout=30)
        assert process.returncode == 0
    assert len(list(tmp_path.glob("*.result"))) == 2


def test_a_worker_that_somebody_else_interrupts_is_not_the_end(tmp_path: Path) -> None:
    with running(tmp_path, PATIENT) as process:
        assert eventually(lambda: len(workers(tmp_path)) == 2)
        os.kill(workers(tmp_path)[0], signal.SIGTERM)
        assert eventually(lambda: len(workers(tmp_path)) == 3)
        (tmp_path / "go").touch()
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 0
    assert "its worker was lost by an interruption; the job is done again" in out


def test_the_others_are_interrupted_when_a_job_fails(tmp_path: Path) -> None:
    jobs = [Patient("a", tmp_path), Raising("bad", tmp_path, "once another runs")]
    with pytest.raises(RunError, match="the other runs"):
        Processes(2).run(jobs, Listener())
    assert (tmp_path / "a.checkpoint").is_file()
    assert not any(map(lives, workers(tmp_path)))


def test_a_job_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "GRACE", 0.5)
    jobs = [Stubborn("a", tmp_path), Raising("bad", tmp_path, "once another runs")]
    with pytest.raises(RunError, match="the other runs"):
        Processes(2).run(jobs, Listener())
    assert not any(map(lives, workers(tmp_path)))


def test_no_more_jobs_at_once_than_workers(tmp_path: Path) -> None:
    class Counted(Recorder):
        now = most = 0

        def began(self, job: str, /) -> None:
            self.now += 1
            self.most = max(self.most, self.now)

        def ended(self, job: str, /) -> None:
            self.now -= 1

    heard = Counted()
    Processes(2).run([Killed(f"job{k}", tmp_path, 0) for k in range(12)], heard)
    assert (heard.now, heard.most) == (0, 2)
    assert len(set(workers(tmp_path))) == 2  # they are used again


def worked(folder: Path, name: str) -> int:
    """Return the worker that ran a job."""
    return int((folder / f"{name}.attempt0").read_text())


def test_kept_workers_stay_for_the_next_batch_and_end_with_the_last(tmp_path: Path) -> None:
    with kept_open(Processes(1)) as engine:
        for name in "abc":
            engine.run([Killed(name, tmp_path, 0)], Listener())
        assert lives(worked(tmp_path, "a"))
    assert len({worked(tmp_path, name) for name in "abc"}) == 1
    assert not lives(worked(tmp_path, "a"))


def test_a_kept_worker_that_went_between_two_batches_is_no_loss(tmp_path: Path) -> None:
    heard = Recorder()
    with kept_open(Processes(1)) as engine:
        engine.run([Killed("a", tmp_path, 0)], heard)
        os.kill(worked(tmp_path, "a"), signal.SIGKILL)
        assert eventually(lambda: not lives(worked(tmp_path, "a")))
        engine.run([Killed("b", tmp_path, 0)], heard)
    assert worked(tmp_path, "b") != worked(tmp_path, "a")
    assert heard.of("b") == [("began",), ("ended",)]


def test_workers_do_not_outlive_a_change_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    with kept_open(Processes(1)) as engine:
        engine.run([Killed("a", tmp_path, 0)], Listener())
        monkeypatch.chdir(tmp_path / "other")
        engine.run([Killed("b", Path(), 0)], Listener())  # its folder is the current one
    assert worked(tmp_path / "other", "b") != worked(tmp_path, "a")
    assert not lives(worked(tmp_path, "a"))


def test_kept_workers_end_when_an_exception_leaves_the_context(tmp_path: Path) -> None:
    def fails() -> None:
        with kept_open(Processes(1)) as engine:
            engine.run([Killed("a", tmp_path, 0)], Listener())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert not lives(worked(tmp_path, "a"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs Linux")
def test_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    """Workers and the process that runs the engine are killed, until one run gets to the end."""
    here, there = tmp_path / "inline", tmp_path / "processes"
    here.mkdir()
    there.mkdir()
    Inline().run([TrainingJob(f"job{k}", here, k) for k in range(64)], Listener())
    rng = np.random.default_rng(5)
    body = """
    from reinforcestrategycreator_pipeline.testing.engine_contract import TrainingJob
    Processes(2).run([TrainingJob(f"job{k}", folder, k) for k in range(64)], Shown())
    """
    code, kills = None, 0
    while code != 0 and kills < 60:
        with running(there, body) as process:
            while process.poll() is None and kills < 60:
                time.sleep(float(rng.uniform(0.1, 1.2)))
                found = [process.pid, *children(process.pid)]
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(rng.choice(found)), signal.SIGKILL)
                    kills += 1
            code = process.wait()
    assert code == 0
    assert kills > 3
    for k in range(64):
        results = [(folder / f"job{k}.result").read_bytes() for folder in (here, there)]
        assert results[0] == results[1]


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and not yet waited for."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found
