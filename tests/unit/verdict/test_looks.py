"""The ledger of looks: what is written stays, what is seen again is recognized."""

import dataclasses
import json
import multiprocessing
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.verdict.decision import Check, Decision, Earlier
from reinforcestrategycreator_pipeline.verdict.looks import (
    LOOKS,
    Look,
    Looked,
    append,
    count_looks,
    looks_at,
    read,
    record,
    seal,
    sketch,
)

DAY = 86_400 * 10**9


def bars(seed, n=600, first=0, factor=1.0):
    close = np.exp(np.random.default_rng(seed).normal(0, 0.01, n).cumsum())
    return np.arange(first, first + n) * DAY, factor * close


def seen(*assets):
    return sketch([a[0] for a in assets], [a[1] for a in assets])


def look(run="one", sketched=("aa", "bb"), promoted=False, **conditions):
    known = {"data": "d", "policy": f"policy of {run}", "trading": "t", "thresholds": "1"}
    return Look(
        run=run,
        started="2026-01-01T00:00:00Z",
        time="2026-01-01T00:01:00Z",
        config="c",
        start="2020-01-01",
        end="2021-01-01",
        symbols=("A",),
        conditions=known | conditions,
        bars=tuple(sketched),
        figures={"sharpe": 0.3, "trades": None},
        promoted=promoted,
        sentence="Not promoted.",
    )


class TestSketch:
    def test_the_same_bars_are_recognized_in_other_company(self):
        times, close = bars(0)
        own = set(seen((times, close)))
        assert len(own) == 128
        for other in (
            seen((times, close), bars(1)),  # another asset beside it
            seen((times[100:], close[100:])),  # a later start
            seen((times[:-30], close[:-30])),  # an earlier end
            seen((times, 0.5 * close)),  # adjusted for a split that came later
        ):
            assert len(own & set(other)) > 20

    def test_other_bars_are_not(self):
        own = set(seen(bars(0)))
        assert own.isdisjoint(seen(bars(1)))  # another market at the same times
        assert own.isdisjoint(seen(bars(0, first=600)))  # the same moves later
        times, close = bars(0, n=1200)
        assert set(seen((times[:600], close[:600]))).isdisjoint(seen((times[600:], close[600:])))


class TestFile:
    def test_what_is_appended_is_read_back(self, tmp_path):
        path = tmp_path / LOOKS
        assert read(path) == ([], 0)
        looks = [look("one"), look("zwei ä", promoted=True)]
        for one in looks:
            append(path, one)
        assert read(path) == (looks, 0)
        assert path.read_text("utf-8").count("\n") == 2

    @pytest.mark.parametrize("cut", [1, 30, -1])
    def test_a_line_that_a_kill_cut_off_spoils_no_other(self, tmp_path, cut):
        path = tmp_path / LOOKS
        append(path, look("one"))
        whole = path.read_bytes()
        path.write_bytes(whole + whole[:cut])
        before = path.read_bytes()
        append(path, look("two"))
        assert path.read_bytes().startswith(before)
        looks, damaged = read(path)
        # All but its end of line was written: the look is there.
        assert [one.run for one in looks] == (
            ["one", "one", "two"] if cut == -1 else ["one", "two"]
        )
        assert damaged == (0 if cut == -1 else 1)

    @pytest.mark.parametrize(
        "line", ["[]", "1", "null", "{}", '{"run": 1}', "\x00\xff", json.dumps({"run": "x"})]
    )
    def test_what_is_no_look_is_counted(self, tmp_path, line):
        path = tmp_path / LOOKS
        append(path, look())
        path.write_bytes(path.read_bytes() + line.encode("latin-1") + b"\n")
        assert read(path) == ([look()], 1)

    @pytest.mark.parametrize("killed_after", [0, 1, 2])
    def test_a_look_that_is_recorded_again_after_a_kill_is_one(self, tmp_path, killed_after):
        run = tmp_path / "one"
        run.mkdir()
        ledgers = (tmp_path / LOOKS, run / LOOKS)
        for path in ledgers[:killed_after]:
            append(path, look())
        record(run, dataclasses.replace(look(), time="2026-01-01T00:09:00Z"))
        first, second = (path.read_bytes() for path in ledgers)
        assert first == second
        assert first.count(b"\n") == 1
        record(run, look(thresholds="2"))  # another one
        assert count_looks(run).evaluations == 2

    def test_wrong_types_are_no_look(self, tmp_path):
        path = tmp_path / LOOKS
        for change in ({"bars": [1]}, {"promoted": "yes"}, {"conditions": []}, {"run": 3}):
            path.write_text(json.dumps(dataclasses.asdict(look()) | change) + "\n")
            assert read(path) == ([], 1)

    def test_a_link_is_not_followed(self, tmp_path):
        aim, path = tmp_path / "precious", tmp_path / LOOKS
        aim.write_text("mine\n")
        path.symlink_to(aim)
        with pytest.raises(RunError, match="cannot write"):
            append(path, look())
        with pytest.raises(RunError, match="is a symbolic link, which is not followed"):
            read(path)
        assert aim.read_text() == "mine\n"

    def test_two_processes_at_once_lose_nothing(self, tmp_path):
        path = tmp_path / LOOKS
        context = multiprocessing.get_context("fork")
        jobs = [context.Process(target=many, args=(path, f"run{i}")) for i in range(2)]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
        looks, damaged = read(path)
        assert damaged == 0
        assert sorted(one.run for one in looks) == ["run0"] * 20 + ["run1"] * 20

    @pytest.mark.slow
    def test_a_kill_while_appending_leaves_what_was_there(self, tmp_path):
        path = tmp_path / LOOKS
        append(path, look("first"))
        code = f"""
            import sys
            sys.path.insert(0, {str(tmp_path)!r})
            from test_looks_parts import LOOK, PATH
            from reinforcestrategycreator_pipeline.verdict.looks import append
            print("ready", flush=True)
            while True:
                append(PATH, LOOK)
        """
        parts = f"from pathlib import Path\nPATH = Path({str(path)!r})\n"
        parts += "from reinforcestrategycreator_pipeline.verdict.looks import Look\n"
        parts += f"LOOK = {look('killed')!r}\n"
        (tmp_path / "test_looks_parts.py").write_text(parts)
        for _ in range(5):
            command = [sys.executable, "-c", textwrap.dedent(code)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout.readline() == b"ready\n"
                process.kill()
            before = path.read_bytes()
            append(path, look("after"))
            assert path.read_bytes().startswith(before)
            assert read(path)[0][-1] == look("after")
        assert read(path)[0][0] == look("first")


def many(path, run):
    for _ in range(20):
        append(path, look(run))


class TestSeal:
    decision = Decision((Check("a", "at least 1", "2", True),))

    def test_other_thresholds_name_the_first_decision(self):
        first, second = look(), look(thresholds="2", promoted=True)
        assert seal(self.decision, first, []) is self.decision
        found = seal(self.decision, second, [first])
        assert found.first == Earlier("one", False, "Not promoted.", ("other thresholds",))
        assert found.promoted
        # The third names the first as well, and the first made again is itself.
        assert seal(self.decision, look(thresholds="3"), [first, second]).first == found.first
        assert seal(self.decision, first, [first, second]) is self.decision

    def test_a_new_run_of_the_same_policy_is_no_way_around(self):
        first = look("one", policy="p")
        found = seal(self.decision, look("two", policy="p", thresholds="2"), [first])
        assert found.first.run == "one"
        assert seal(self.decision, look("two", policy="p"), [first]) is self.decision

    def test_the_same_run_with_another_policy_says_so(self):
        found = seal(self.decision, look(policy="q", trading="u"), [look()])
        assert found.first.changed == ("another policy", "other rules of trading")

    def test_other_bars_or_another_policy_of_another_run_are_new(self):
        first = look()
        for other in (
            look(sketched=("cc",), thresholds="2"),
            look("two", thresholds="2"),
            dataclasses.replace(look(thresholds="2", policy="q"), started="a name used again"),
        ):
            assert seal(self.decision, other, [first]) is self.decision


def test_looks_of_the_store_are_counted_by_run(tmp_path):
    run = tmp_path / "one"
    run.mkdir()
    assert count_looks(run) is None
    own = look()
    for path in (tmp_path / LOOKS, run / LOOKS):
        append(path, own)
    assert count_looks(run) == Looked(1, 1, 0, 0)
    assert str(count_looks(run)) == "This is the first evaluation of these test bars in this store."
    append(tmp_path / LOOKS, look("two", ("bb", "cc"), promoted=True))
    append(tmp_path / LOOKS, look("three", ("dd",)))
    append(tmp_path / LOOKS, look(thresholds="2"))
    assert count_looks(run) == Looked(2, 3, 1, 0)
    assert [one.run for one in looks_at(run)] == ["one", "two", "one"]
    assert "evaluated 3 times by 2 runs of this store, 1 of them with a promotion" in str(
        count_looks(run)
    )
    # A run that was moved still knows its own.
    moved = tmp_path / "elsewhere" / "one"
    moved.parent.mkdir()
    run.rename(moved)
    assert count_looks(moved) == Looked(1, 1, 0, 0)
