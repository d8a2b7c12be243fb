"""What a developer's shell sets does not reach the tests, nor the processes that they start."""

import os
import subprocess
import sys

import pytest

PLANTED = {
    "RSC_CONFIG__SEED": "3",
    "RSC_TRACEBACK": "1",
    "NO_COLOR": "1",
    "FORCE_COLOR": "1",
    "COLUMNS": "17",
    "GITHUB_ACTIONS": "true",
    "_RSC_COMPLETE": "complete_bash",
}
AT_IMPORT = set(os.environ)


@pytest.fixture(scope="session")
def of_a_session():
    return set(os.environ)


def test_nothing_planted_is_seen(of_a_session):
    assert not PLANTED.keys() & (AT_IMPORT | of_a_session | os.environ.keys())


@pytest.mark.parametrize(("option", "seen"), [("-q", False), ("--noconftest", True)])
def test_planted_variables_are_scrubbed(option, seen):
    """Without our conftest the test above must fail: it can see what is planted."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", option]
    done = subprocess.run(
        [*command, __file__, "-k", "nothing_planted"],
        env={**os.environ, **PLANTED},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == int(seen), done.stdout
    assert ("1 failed" if seen else "1 passed") in done.stdout
