"""Removal of runs: what goes, what stays, and what a kill in between leaves."""

from pathlib import Path

import pytest
from toy_pipeline import ARTIFACTS, ToyConfig, build_stages

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.pipeline.runner import Runner
from reinforcestrategycreator_pipeline.runs import removal
from reinforcestrategycreator_pipeline.runs.folder import find_run, list_runs, locked, sweep_store
from reinforcestrategycreator_pipeline.runs.manifest import load_manifest
from reinforcestrategycreator_pipeline.runs.promotion import is_promoted, promote
from reinforcestrategycreator_pipeline.runs.removal import remove_runs


@pytest.fixture
def store(tmp_path):
    """Three complete runs; the names are not in the order of time."""
    from rich.console import Console

    runner = Runner(build_stages(), ARTIFACTS, Console(quiet=True))
    for name in ("c", "a", "b"):
        runner.start(ToyConfig(), tmp_path / "runs", name)
    return tmp_path / "runs"


def names(store):
    return [run.name for run in list_runs(store)]


def latest(store):
    return find_run(store, "latest").name


def test_one_goes_and_the_others_stay(store):
    remove_runs([store / "a"])
    assert names(store) == ["b", "c"]
    assert latest(store) == "b"
    assert {path.name for path in store.iterdir()} == {"b", "c", "latest", ".lock"}


def test_latest_is_the_newest_that_stays(store):
    remove_runs([store / "b"])
    assert latest(store) == "a"  # created after c
    remove_runs([store / "a", store / "c"])
    assert not (store / "latest").is_symlink()
    assert names(store) == []


def test_a_run_in_progress_stays_and_so_do_the_others(store):
    with locked(store / "b"), pytest.raises(RunError, match="'b' is in use by another process"):
        remove_runs([store / "a", store / "b"], force=True)
    assert names(store) == ["a", "b", "c"]
    assert latest(store) == "b"


def test_the_promoted_run_needs_force_and_its_package_stays(store):
    created = load_manifest(store / "a").created
    promote(store / "a", created, store / "a" / "training/weights")
    with pytest.raises(RunError, match=r"'a' is the one that is promoted\. To remove it, add --f"):
        remove_runs([store / "b", store / "a"])
    assert names(store) == ["a", "b", "c"]
    remove_runs([store / "a"], force=True)
    assert names(store) == ["b", "c"]
    assert (store / "promoted/sum.json").is_file()
    assert is_promoted(store / "a", created)
    assert not is_promoted(store / "a", "2001-01-01")


def test_a_run_that_was_promoted_before_another_goes(store):
    for name in ("a", "b"):
        created = load_manifest(store / name).created
        promote(store / name, created, store / name / "training/weights")
    remove_runs([store / "a"])
    assert names(store) == ["b", "c"]


def test_links_are_not_followed(store, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    (store / "a/evaluation/link").symlink_to(precious)
    with pytest.raises(RunError, match=r"is a symbolic link.* add --force"):
        remove_runs([store / "a"])
    remove_runs([store / "a"], force=True)
    assert (precious / "file").read_text() == "x"
    (store / "mine").symlink_to(store / "b")
    for force in (False, True):
        with pytest.raises(RunError, match="is a symbolic link, which is not followed"):
            remove_runs([store / "mine"], force)
    assert names(store) == ["b", "c"]


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_run_stays(store, force):
    (store / "notes").mkdir()
    (store / "notes/file").write_text("x")
    with pytest.raises(RunError, match=r"notes: is not a run, as it has no manifest\.json"):
        remove_runs([store / "a", store / "notes"], force)
    assert names(store) == ["a", "b", "c"]


def test_a_damaged_run_needs_force(store):
    (store / "a/manifest.json").write_text("{")
    with pytest.raises(RunError, match=r"is damaged.*To remove the folder as it is, add --force"):
        remove_runs([store / "a"])
    remove_runs([store / "a"], force=True)
    assert names(store) == ["b", "c"]


def test_what_happens_before_sees_the_whole_run(store):
    seen = []
    remove_runs([store / "a"], before=lambda run_dir: seen.append(load_manifest(run_dir).run_id))
    assert seen == ["a"]


def test_a_kill_while_files_go_leaves_nothing_that_looks_like_a_run(store, monkeypatch):
    def killed(path):
        next(Path(path).rglob("*.json")).unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(removal, "remove", killed)
    with pytest.raises(KeyboardInterrupt):
        remove_runs([store / "b"])
    assert names(store) == ["a", "c"]
    assert latest(store) == "a"
    assert len(list(store.glob(".b.*.tmp"))) == 1
    sweep_store(store)  # as the next run does
    assert {path.name for path in store.iterdir()} == {"a", "c", "latest", ".lock"}


def test_a_kill_before_the_rename_leaves_the_run(store):
    def killed(run_dir):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remove_runs([store / "b"], before=killed)
    assert load_manifest(store / "b").status == "complete"
    assert names(store) == ["a", "b", "c"]
    assert latest(store) == "a"
    with locked(store / "b"):
        pass  # the lock was given back


def test_runs_of_two_stores(store, tmp_path):
    (tmp_path / "other").mkdir()
    (store / "c").rename(tmp_path / "other/c")
    remove_runs([store / "a", tmp_path / "other/c", store / "b"])
    assert names(store) == names(tmp_path / "other") == []
