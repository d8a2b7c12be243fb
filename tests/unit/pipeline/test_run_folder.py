from __future__ import annotations

import re
from pathlib import Path

import pytest

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.runs import folder as run_folder
from reinforcestrategycreator_pipeline.runs.folder import (
    create_run,
    find_run,
    list_runs,
    locked,
    new_run,
    new_run_id,
    point_latest,
    resume_command,
)


def test_ids_sort_by_time_and_differ() -> None:
    ids = {new_run_id() for _ in range(50)}
    assert len(ids) == 50
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", i) for i in ids)


def test_a_taken_id_is_never_shared(tmp_path: Path, monkeypatch) -> None:
    ids = iter(["a", "a", "b"])
    monkeypatch.setattr(run_folder, "new_run_id", lambda: next(ids))
    assert create_run(tmp_path) == tmp_path / "a"
    assert create_run(tmp_path) == tmp_path / "b"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "../a", "/etc", "a\\b", "a\0b", "a\n", ".hidden", "-x", "latest",
     "Latest", "promoted", "PROMOTED", "looks.jsonl", ".lock",
     ".promoted", "x" * 101, "ä", "%2e%2e", "a b"],
)  # fmt: skip
def test_names_that_may_not_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="a run's name must be 1 to 100 letters, digits") as error:
        create_run(tmp_path / "runs", name)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    run = create_run(tmp_path, "mine")
    (run / "manifest.json").write_text("{}")
    with pytest.raises(RunError, match=r"'mine' already exists in .* Continue it with: rsc run"):
        create_run(tmp_path, "mine")
    (run / "manifest.json").rename(run / "notes.json")
    with pytest.raises(RunError, match=r"It is not a run, as it has no manifest.json: choose ano"):
        create_run(tmp_path, "mine")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"'file' already exists in .* It is not a run"):
        create_run(tmp_path, "file")


def test_the_name_of_a_run_that_never_began_is_free(tmp_path: Path) -> None:
    run = create_run(tmp_path, "mine")
    for name in (".lock", ".lock.owner", ".manifest.json.a1b2c3d4.tmp"):
        (run / name).touch()
    with new_run(tmp_path, "mine") as found:
        assert found == run
        assert sorted(p.name for p in run.iterdir()) == [".lock", ".lock.owner"]
        with (
            pytest.raises(RunError, match="'mine' is in use by another process"),
            new_run(tmp_path, "mine"),
        ):
            raise AssertionError("must not get here")


def test_what_killed_processes_left_in_the_store_is_swept(tmp_path: Path) -> None:
    left = [".latest.0a1b2c3d.tmp", ".promoted.0a1b2c3d.tmp"]
    for name in left:
        (tmp_path / name).symlink_to("gone")
    (tmp_path / ".promoted" / ".x-1.abcd_123.tmp" / "deep").mkdir(parents=True)
    never = create_run(tmp_path, "20261122-183000-a1b2c3")
    (never / ".lock").touch()
    kept = create_run(tmp_path, "mine")  # by a name that a user gave: it is free, but stays
    begun = create_run(tmp_path, "20261122-183000-a1b2c4")
    (begun / "manifest.json").touch()
    busy = create_run(tmp_path, "20261122-183000-a1b2c5")
    with locked(busy), new_run(tmp_path, "next"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [".lock", ".promoted", begun.name, busy.name, kept.name, "next"]
    )
    assert list((tmp_path / ".promoted").iterdir()) == []


@pytest.mark.parametrize(
    ("run_dir", "command"),
    [
        ("runs/a", "rsc run --resume a"),
        ("my runs/a", "rsc run --resume a --runs-dir 'my runs'"),
        ("store/a run", "rsc run --resume 'store/a run'"),
        ("a run", "rsc run --resume './a run'"),
        ("a", "rsc run --resume a --runs-dir ."),
        ("/x;y/$a", "rsc run --resume '/x;y/$a'"),
    ],
)
def test_commands_are_quoted(run_dir: str, command: str) -> None:
    assert resume_command(Path(run_dir)) == command


def test_a_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match=r"runs: is not a folder\.$"):
        create_run(tmp_path / "runs")
    with pytest.raises(RunError, match="cannot be created: Not a directory"):
        create_run(tmp_path / "runs" / "deeper")


def test_finding(tmp_path: Path) -> None:
    run = create_run(tmp_path, "20261122-183000-a1b2c3")
    assert list_runs(tmp_path) == list_runs(Path("nowhere")) == []
    (run / "manifest.json").write_text("{}")
    with pytest.raises(RunError, match=r"latest: there is no latest run yet\.$"):
        find_run(tmp_path, "latest")
    point_latest(run)
    assert (tmp_path / "latest").readlink() == Path(run.name)
    assert find_run(tmp_path, "latest") == run
    assert list_runs(tmp_path) == [run]
    assert find_run(tmp_path, run.name) == run
    assert find_run(Path("elsewhere"), str(run)) == run
    assert find_run(Path("elsewhere"), f"{tmp_path}/latest").name == run.name
    with pytest.raises(RunError, match=r"Did you mean '20261122-183000-a1b2c3'\?$"):
        find_run(tmp_path, "20261122-183000-a1b2c4")
    with pytest.raises(RunError, match=r"no run named 'x'. There are no runs in nowhere\.$"):
        find_run(Path("nowhere"), "x")
    with pytest.raises(RunError, match=r"no/run: no such run folder\.$"):
        find_run(tmp_path, "no/run")
    with pytest.raises(RunError, match="cannot contain a NUL character"):
        find_run(tmp_path, "a/\0")


def test_latest_moves_and_leaves_nothing_behind(tmp_path: Path) -> None:
    for name in ("a", "b"):
        point_latest(create_run(tmp_path, name))
    assert find_run(tmp_path, "latest").name == "b"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "a", "b", "latest"]


def test_a_latest_that_leads_out_of_the_store_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "runs" / "latest").symlink_to("../outside")
    with pytest.raises(RunError, match=r"points to '\.\./outside', which is not a run"):
        find_run(tmp_path / "runs", "latest")


def test_something_else_called_latest_is_not_replaced(tmp_path: Path) -> None:
    run = create_run(tmp_path, "a")
    (tmp_path / "latest").mkdir()
    with pytest.raises(RunError, match=r"latest: cannot write: Is a directory$"):
        point_latest(run)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "a", "latest"]
