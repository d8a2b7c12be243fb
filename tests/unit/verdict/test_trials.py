"""Trials in the ledger: counted once, never fewer, and shown where they bear on a run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from test_looks import look

from reinforcestrategycreator_pipeline.verdict.looks import (
    LOOKS,
    Looked,
    append,
    count_looks,
    read,
    read_trials,
    record,
    trials_before,
)
from reinforcestrategycreator_pipeline.verdict.trials import Trial


def trial(number=0, study="s1", sketched=("xx", "yy"), **changed):
    made = Trial(
        study=study,
        started="2026-01-01T00:00:00Z",
        number=number,
        time="2026-01-01T00:01:00Z",
        parameters={"strategy.alpha": 0.5, "trading.positions": [0.0, 1.0]},
        config="c",
        state="complete",
        metric="sharpe",
        objective=0.5,
        figures={"sharpe": 0.5, "trades": None},
        start="2019-01-01",
        end="2020-01-01",
        symbols=("A",),
        bars=tuple(sketched),
        returns=f"studies/{study}/trials/{number}/returns.parquet",
        sha256="f" * 64,
    )
    return replace(made, **changed)


def ledger(folder, *entries):
    for entry in entries:
        append(folder / LOOKS, entry)
    return folder / LOOKS


def run(folder, name="one", **changed):
    (folder / name).mkdir()
    record(folder / name, replace(look(name), **changed))
    return folder / name


def test_looks_and_trials_share_a_file(tmp_path):
    entries = [look("one"), trial(0), look("two"), trial(1, state="pruned"), trial(2, "zwei ä")]
    path = ledger(tmp_path, *entries)
    assert read(path) == ([entries[0], entries[2]], 0)
    assert read_trials(path) == [entries[1], entries[3], entries[4]]
    kinds = [json.loads(line).get("kind") for line in path.read_text("utf-8").splitlines()]
    assert kinds == [None, "trial", None, "trial", "trial"]


def test_lines_from_before_there_were_trials_are_looks(tmp_path):
    path = ledger(tmp_path, look())
    old = json.loads(path.read_text("utf-8"))
    assert old.pop("trial") == ""
    path.write_text(json.dumps(old) + "\n")
    assert read(path) == ([look()], 0)


@pytest.mark.parametrize(
    "change",
    [{"kind": "else"}, {"number": "0"}, {"bars": [1]}, {"study": None}, {"parameters": 3}],
)
def test_what_is_no_trial_is_counted_as_damaged(tmp_path, change):
    path = ledger(tmp_path, trial())
    line = json.loads(path.read_text("utf-8")) | change
    path.write_text(json.dumps(line) + "\n")
    assert (read(path), read_trials(path)) == (([], 1), [])


def test_a_trial_that_lacks_a_key_is_damaged(tmp_path):
    path = ledger(tmp_path, trial())
    line = json.loads(path.read_text("utf-8"))
    del line["sha256"]
    path.write_text(json.dumps(line) + "\n")
    assert read(path) == ([], 1)


class TestBefore:
    def test_a_run_that_no_search_chose_has_none_on_other_bars(self, tmp_path):
        ledger(tmp_path, trial(0), trial(1))
        found = run(tmp_path)
        assert trials_before(found) == ()
        assert count_looks(found) == Looked(1, 1, 0, 0, 0, 0)
        assert count_looks(found).alone

    def test_all_trials_of_its_own_search_count(self, tmp_path):
        failed = trial(2, state="failed", sketched=(), sha256="", returns="")
        ledger(tmp_path, trial(0), trial(1, state="pruned", sketched=("zz",)), failed)
        found = run(tmp_path, trial="s1/1")
        assert [t.number for t in trials_before(found)] == [0, 1, 2]
        text = str(count_looks(found))
        assert "3 configurations were tried by a search of this store before" in text
        assert not count_looks(found).alone

    def test_those_of_another_search_count_on_bars_that_it_shares(self, tmp_path):
        shared, other = trial(0, "s2", ("yy",)), trial(0, "s3", ("qq",))
        ledger(tmp_path, trial(0), shared, other, trial(1, "s2", ("pp",)))
        found = run(tmp_path, trial="s1/0")
        assert [t.name for t in trials_before(found)] == ["s1/0", "s2/0"]
        assert "2 configurations were tried by 2 searches" in str(count_looks(found))

    def test_so_do_those_that_saw_the_test_bars_themselves(self, tmp_path):
        ledger(tmp_path, trial(0, sketched=("bb", "x")))
        text = str(count_looks(run(tmp_path)))
        assert "One configuration was tried by a search of this store before" in text

    def test_a_trial_that_two_processes_recorded_is_one(self, tmp_path):
        ledger(tmp_path, trial(0), trial(0, time="2026-01-02T00:00:00Z"), trial(1))
        assert count_looks(run(tmp_path, trial="s1/0")).trials == 2

    def test_the_search_may_be_gone(self, tmp_path):
        (tmp_path / "studies" / "s1").mkdir(parents=True)
        ledger(tmp_path, trial(0))
        shutil.rmtree(tmp_path / "studies")
        assert count_looks(run(tmp_path, trial="s1/0")).trials == 1
