"""The engine that runs jobs in this process."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from functools import partial

import pytest

from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.experiments.engines.catalog import ENGINES, SHIPPED
from reinforcestrategycreator_pipeline.experiments.engines.inline import Inline
from reinforcestrategycreator_pipeline.experiments.engines.processes import Processes
from reinforcestrategycreator_pipeline.testing.engine_contract import EngineContract


class TestInline(EngineContract):
    @pytest.fixture
    def engine(self) -> Inline:
        return Inline()


def test_engines_are_built_by_name() -> None:
    assert ENGINES.build("inline") == Inline()
    assert ENGINES.build({"name": "processes", "workers": 3}) == Processes(3)
    assert {ENGINES.get(name) for name in ENGINES} >= set(SHIPPED)
    with pytest.raises(ConfigError, match=r"unknown engine 'process'\. Did you mean 'processes'"):
        ENGINES.build("process")
    with pytest.raises(ConfigError, match=r'must be "host:port" or "auto"\. Got \'ray://head:1'):
        ENGINES.build({"name": "ray", "address": "ray://head:1"})
    with pytest.raises(ConfigError, match="workers"):
        from_mapping(Processes, {"workers": 0}, "engine 'processes'")


class AllAgain(Inline):
    """Runs what is done."""

    def run(self, jobs, listener):
        for job in jobs:
            job.result.unlink(missing_ok=True)
            super().run([job], listener)


class OtherThread(Inline):
    """Calls the listener from a thread."""

    def run(self, jobs, listener):
        thread = threading.Thread(target=super().run, args=(jobs, listener))
        thread.start()
        thread.join()


class Swallowing(Inline):
    """Goes on after an exception."""

    def run(self, jobs, listener):
        with contextlib.suppress(Exception):
            super().run(jobs, listener)


class Rewording(Inline):
    """Raises the text alone."""

    def run(self, jobs, listener):
        try:
            super().run(jobs, listener)
        except ConfigError as error:
            raise ConfigError(str(error)) from None


class OtherBits(Inline):
    """Computes with other seeds."""

    def run(self, jobs, listener):
        super().run([replace(job, seed=job.seed + 1) for job in jobs], listener)


CONTRACT = EngineContract()


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (AllAgain(), CONTRACT.test_what_is_done_is_not_run_again),
        (OtherThread(), CONTRACT.test_reports_arrive_in_order_in_the_calling_thread),
        (
            Swallowing(),
            partial(CONTRACT.test_an_error_for_the_user_arrives_as_it_was, kind="config"),
        ),
        (Swallowing(), CONTRACT.test_an_exception_of_the_listener_ends_the_batch),
        (
            Rewording(),
            partial(CONTRACT.test_an_error_for_the_user_arrives_as_it_was, kind="config"),
        ),
        (OtherBits(), CONTRACT.test_all_jobs_are_done_to_the_bits_of_inline),
    ],
)
def test_the_contract_fails_for_a_broken_engine(broken, promise, tmp_path) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        promise(broken, tmp_path)
