"""``rsc runs list|show|compare|best|rm`` on the product's own runs."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from small_runs import QUICK, Rsc, environment, rsc_in

import reinforcestrategycreator_pipeline as package
from reinforcestrategycreator_pipeline.cli.entry import run_app
from reinforcestrategycreator_pipeline.runs import manifest as manifest_module
from reinforcestrategycreator_pipeline.runs.folder import locked
from reinforcestrategycreator_pipeline.runs.manifest import load_manifest
from reinforcestrategycreator_pipeline.runs.summary import read_summary
from reinforcestrategycreator_pipeline.verdict.looks import read

RULE = "strategy: {name: buy_and_hold}\ndata: {source: synthetic, params: {n_bars: 300}}\n"
RULE += "features: {columns: [{name: returns, horizons: [1, 2]}]}\nevaluation: {random_draws: 11}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two runs on the same bars, one on others, and one that failed."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "quick.yaml").write_text(QUICK)
    (folder / "rule.yaml").write_text(RULE)
    starts = {
        "learned": (["-c", "quick.yaml", "--set", "split.test=0.5"], 0),  # the same test bars
        "held": (["-c", "rule.yaml"], 0),
        "other": (["-c", "rule.yaml", "--set", "seed=8"], 0),
        "broken": (["--set", "data={source: csv, params: {path: none.csv}}"], 1),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, (options, code) in starts.items():
            patch.setattr("sys.argv", ["rsc", "run", *options, "--run-id", name])
            assert run_app() == code
    return folder / "runs"


@pytest.fixture
def rsc(made: Path, tmp_path: Path, monkeypatch: Any, capsys: Any) -> Rsc:
    shutil.copytree(made, tmp_path / "runs", symlinks=True)
    return rsc_in(tmp_path, monkeypatch, capsys)


def rows(text: str) -> list[list[str]]:
    """Return the cells of a printed table, the head first."""
    lines = [line for line in text.splitlines() if re.search("[│┃]", line)]
    return [[cell.strip() for cell in re.split("[│┃]", line)] for line in lines]


def metrics(run: str) -> dict[str, Any]:
    """Return the portfolio's metrics of the judged strategy, from the file itself."""
    stored = json.loads(Path(f"runs/{run}/evaluation/metrics.json").read_text("utf-8"))
    found: dict[str, Any] = stored["metrics"]["PORTFOLIO"][stored["strategy"]]
    return {key: value["value"] for key, value in found.items()}


def sharpe(run: str) -> float:
    return float(metrics(run)["sharpe"])


COMPLETE = ("learned", "held", "other")


class TestList:
    def test_alone_and_by_its_name_it_is_the_same(self, rsc: Rsc) -> None:
        said = rsc("runs")
        assert (said.code, said.err) == (0, "")
        assert said == rsc("runs", "list")
        assert said == rsc("runs", "list", "--runs-dir", "runs")
        head, *table = rows(said.out)
        assert head == ["run", "status", "strategy", "return", "Sharpe", "promoted"]
        assert [row[0] for row in table] == [*COMPLETE, "broken"]  # by time
        assert table[3] == ["broken", "failed", "dqn_ensemble", "", "", ""]
        assert table[1][1:3] == ["complete", "buy and hold"]
        for row in table[:3]:
            assert row[3] == f"{metrics(row[0])['total_return'] * 100:.2f}%"
            assert row[4] == f"{sharpe(row[0]):.2f}"

    def test_the_store_may_be_named_before_or_after_the_command(self, rsc: Rsc) -> None:
        Path("runs").rename("other store")
        options = ("--runs-dir", "other store")
        expected = rsc("runs", *options)
        assert len(rows(expected.out)) == 5
        assert rsc("runs", *options, "list") == rsc("runs", "list", *options) == expected
        assert rsc("runs", *options, "show", "held").code == 0
        assert "no runs in runs" in rsc("runs").out

    def test_sorting(self, rsc: Rsc) -> None:
        def order(key: str) -> list[str]:
            return [row[0] for row in rows(rsc("runs", "list", "--sort", key).out)[1:]]

        best = sorted(COMPLETE, key=sharpe, reverse=True)
        assert order("sharpe") == order("Sharpe") == [*best, "broken"]
        assert order("run") == ["broken", "held", "learned", "other"]
        assert order("status") == [*COMPLETE, "broken"]
        lowest = sorted(COMPLETE, key=lambda run: metrics(run)["costs_paid"])
        assert order("costs_paid") == [*lowest, "broken"]
        head = rows(rsc("runs", "list", "--sort", "costs_paid").out)[0]
        assert head[3:6] == ["return", "Sharpe", "costs_paid"]
        said = rsc("runs", "list", "--sort", "sharp")
        assert said.code == 2
        assert said.err == "error: no run has the metric 'sharp'. Did you mean 'sharpe'?\n"

    def test_filters(self, rsc: Rsc) -> None:
        def listed(*options: str) -> list[str]:
            return [row[0] for row in rows(rsc("runs", "list", *options).out)[1:]]

        assert listed("--status", "failed") == ["broken"]
        assert listed("--strategy", "buy_and_hold") == ["held", "other"]
        assert listed("--strategy", "buy and hold") == ["held", "other"]
        assert listed("--strategy", "dqn_ensemble", "--status", "complete") == []
        none = rsc("runs", "list", "--status", "interrupted")
        assert (none.code, none.out) == (0, "None of the 4 runs is such a run.\n")
        said = rsc("runs", "list", "--status", "fail")
        assert (said.code, said.err) == (
            2,
            "error: unknown status 'fail'. Did you mean 'failed'?\n",
        )
        said = rsc("runs", "list", "--strategy", "dqn_ensemblee")
        assert said.err.endswith("Did you mean 'dqn_ensemble'?\n")

    def test_json(self, rsc: Rsc) -> None:
        Path("runs/other/manifest.json").write_text("{")
        found = {run["run"]: run for run in json.loads(rsc("runs", "list", "--json").out)}
        assert found["held"]["figures"] == metrics("held")
        assert found["held"]["promoted"] is False
        assert found["held"]["created"] == load_manifest(Path("runs/held")).created
        assert found["broken"]["status"] == "failed"
        assert found["broken"]["figures"] == {}
        assert found["other"]["status"] == "unreadable"
        assert "is damaged" in found["other"]["error"]
        assert json.loads(rsc("runs", "list", "--json", "--runs-dir", "none").out) == []

    def test_a_run_of_a_version_without_figures_in_the_manifest(self, rsc: Rsc) -> None:
        expected = rsc("runs").out
        before = read_summary(Path("runs/held"))
        for name in COMPLETE:
            manifest = load_manifest(Path("runs") / name)
            for key in ("figures", "strategy", "promoted"):
                del manifest.stages["evaluation"].summary[key]
            manifest.save(Path("runs") / name)
        assert read_summary(Path("runs/held")) == before
        assert rsc("runs").out == expected

    def test_a_run_that_goes_while_it_is_read_spoils_nothing(
        self, rsc: Rsc, monkeypatch: Any
    ) -> None:
        hashed = manifest_module.hash_artifact

        def gone(path: Path) -> str | None:
            if "held" in path.parts:
                raise FileNotFoundError(2, "No such file or directory", str(path))
            return hashed(path)

        monkeypatch.setattr(manifest_module, "hash_artifact", gone)
        said = rsc("runs", "list")
        assert said.code == 0
        assert [row[1] for row in rows(said.out)[1:] if row[0] == "held"] == ["unreadable"]
        assert "runs/held/evaluation/metrics.json: cannot be read: No such file" in said.out

    def test_only_small_files_are_read(self, rsc: Rsc, tmp_path: Path) -> None:
        """Parquet and pages are neither read nor hashed: a thousand runs take half a second."""
        program = """
import sys
from reinforcestrategycreator_pipeline.cli import main
opened = []
def hook(event, args):
    if event == "open" and str(args[0]).startswith("runs/"):
        opened.append(str(args[0]))
sys.addaudithook(hook)
sys.argv = ["rsc", "runs", "list"]
code = main()
heavy = [name for name in ("pandas", "numpy", "pyarrow", "plotly") if name in sys.modules]
sys.stderr.write("\\n".join(sorted(opened + heavy)))
sys.exit(code)
"""
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env=environment({}),
        )
        assert done.stderr.split() == [
            "runs/broken/manifest.json",
            *(
                f"runs/{name}/{file}"
                for name in sorted(COMPLETE)
                for file in ("evaluation/metrics.json", "manifest.json")
            ),
        ]
        assert Path("runs/learned/manifest.json").stat().st_size < 20_000

    def test_a_reader_that_goes_away_is_no_error(self, rsc: Rsc, tmp_path: Path) -> None:
        manifest = Path("runs/held")
        for i in range(300):  # more than a pipe holds
            shutil.copytree(manifest, f"runs/copy-{i}", copy_function=os.link)
        for command in ("runs list", "runs list --json", "runs show held --json"):
            line = f"{sys.executable} -m reinforcestrategycreator_pipeline {command}"
            done = subprocess.run(
                ["bash", "-c", f"{line} | head -1; exit ${{PIPESTATUS[0]}}"],
                capture_output=True,
                text=True,
                cwd=tmp_path,
                env=environment({}),
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, ""), command
            assert done.stdout.count("\n") == 1


class TestShow:
    def test_a_complete_run(self, rsc: Rsc) -> None:
        said = rsc("runs", "show", "learned")
        assert (said.code, said.err) == (0, "")
        lines = [line.rstrip() for line in said.out.splitlines()]
        assert len(lines) < 45
        assert "run       learned: complete" in lines
        assert "set       strategy.training.steps: 20" in lines
        assert "set       data.source: synthetic" in lines
        assert not any("seed" in line for line in lines)  # as by default
        assert "data      synthetic, bars: SYN 300" in lines
        assert any(re.match(r"data      test: \d{4}-\d\d-\d\d to ", line) for line in lines)
        assert "report    runs/learned/evaluation/report.html" in lines
        assert "package   runs/learned/deployment/package" in lines
        assert any(re.match(r"created   \d{4}-\d\d-\d\d \d\d:\d\d UTC", line) for line in lines)
        assert {"DQN", "buy and hold", "flat"} <= {row[0] for row in rows(said.out)}
        assert any(line.startswith("verdict   ") for line in lines)
        assert any(line.startswith("stages    data_ingestion ") for line in lines)

    def test_a_run_that_walks_forward(self, rsc: Rsc) -> None:
        lines = [line.rstrip() for line in rsc("runs", "show", "held").out.splitlines()]
        dates = r"\d{4}-\d\d-\d\d to \d{4}-\d\d-\d\d"
        (whole,) = (line for line in lines if re.match(rf"data      test: {dates}, 149 bars", line))
        own = [
            line for line in lines if re.match(rf"data      window \d: {dates}, \d+ bars$", line)
        ]
        assert len(own) == 5
        assert sum(int(line.split()[-2]) for line in own) == 149
        assert own[0].split()[3] == whole.split()[2]
        assert own[-1].split()[5].rstrip(",") == whole.split()[4].rstrip(",")
        data = json.loads(rsc("runs", "show", "held", "--json").out)["data"]
        assert len(data["windows"]) == 5
        assert set(data["deployed"]) == {"train", "validation"}

    def test_a_failed_run(self, rsc: Rsc) -> None:
        said = rsc("runs", "show", "broken")
        assert said.code == 0
        assert "run       broken: failed" in said.out
        assert re.search(r"^error     data_ingestion: none\.csv: no such file", said.out, re.M)
        assert "set       data.params.path: none.csv" in said.out
        found = json.loads(rsc("runs", "show", "broken", "--json").out)
        assert found["decision"] is found["package"] is found["strategy"] is None

    def test_json(self, rsc: Rsc) -> None:
        found = json.loads(rsc("runs", "show", "learned", "--json").out)
        assert found["changed"]["strategy.training.steps"] == 20
        assert found["data"]["bars"] == {"SYN": 300}
        (window,) = found["data"]["windows"]
        assert set(window) == {"train", "validation", "test"}
        assert found["data"]["deployed"] is None
        assert found["figures"][found["strategy"]] == metrics("learned")
        assert found["decision"]["sentence"].startswith("Not promoted.")
        assert Path(found["package"]).is_dir()
        assert [Path(page).name for page in found["reports"]] == ["report.html", "report.md"]

    def test_a_run_that_is_not_there(self, rsc: Rsc) -> None:
        said = rsc("runs", "show", "hold")
        assert (said.code, said.out) == (1, "")
        assert said.err == "error: runs: no run named 'hold'. Did you mean 'held'?\n"


class TestCompare:
    def test_two_seeds(self, rsc: Rsc) -> None:
        said = rsc("runs", "compare", "held", "other")
        assert (said.code, said.err) == (0, "")
        table = {row[0]: row[1:] for row in rows(said.out)}
        assert table[""] == ["held", "other"]
        assert table["seed"] == ["7", "8"]
        assert not any(key.startswith("strategy.") for key in table)
        assert table["Sharpe ratio"] == [f"{sharpe('held'):.2f}", f"{sharpe('other'):.2f}"]
        assert table["promoted"] == ["no", "no"]
        assert re.search(r"^held   +Not promoted\.", said.out, re.MULTILINE)

    def test_runs_of_all_kinds_as_json(self, rsc: Rsc) -> None:
        found = json.loads(rsc("runs", "compare", *COMPLETE, "broken", "--json").out)
        assert list(found["runs"]) == [*COMPLETE, "broken"]
        assert found["config"]["strategy.training.steps"] == {"learned": 20, "broken": 3000}
        assert found["config"]["seed"] == {"learned": 7, "held": 7, "other": 8, "broken": 7}
        assert found["metrics"]["sharpe"]["held"] == sharpe("held")
        assert found["metrics"]["sharpe"]["broken"] is None
        assert found["decision"]["broken"] is None
        assert rsc("runs", "compare", *COMPLETE, "broken").code == 0

    def test_other_test_bars_are_pointed_out(self, rsc: Rsc) -> None:
        assert "different test bars" not in rsc("runs", "compare", "learned", "held").out
        shorter = ["--set", "split.test=0.3", "--run-id", "shorter"]
        Path("rule.yaml").write_text(RULE)
        assert rsc("run", "-c", "rule.yaml", *shorter).code == 0
        assert "different test bars" in rsc("runs", "compare", "held", "shorter").out

    def test_a_page_in_the_store_links_to_the_reports(self, rsc: Rsc) -> None:
        said = rsc("compare", "held", "runs/learned", "broken")
        assert (said.code, said.err) == (0, "")
        [path] = re.findall(r"^page +(\S+)$", said.out, re.MULTILINE)
        assert re.fullmatch(r"runs/comparisons/held-and-2-more-[0-9a-f]{8}\.html", path)
        page = Path(path).read_text(encoding="utf-8")
        links = re.findall(r'<th scope="row"><a href="([^"]+)">', page)
        assert set(links) == {f"../{run}/evaluation/report.html" for run in ("held", "learned")}
        assert all((Path(path).parent / link).is_file() for link in links)
        assert "1 without a verdict" in page
        assert [row[0] for row in rows(rsc("runs", "list").out)[1:]].count("comparisons") == 0
        again = rsc("compare", "held", "learned", "broken")
        assert path in again.out
        Path("rule.yaml").write_text(RULE)
        assert rsc("run", "-c", "rule.yaml", "--run-id", "comparisons").code == 1

    def test_a_page_where_the_user_says(self, rsc: Rsc) -> None:
        said = rsc("runs", "compare", "held", "latest", "-o", "pages/mine.html")
        assert (said.code, said.err) == (0, "")
        assert Path("pages/mine.html").is_file()
        assert not Path("runs/comparisons").exists()
        assert rsc("compare", "held", "other", "--json").code == 0
        assert not Path("runs/comparisons").exists()
        Path("file").write_text("")
        said = rsc("compare", "held", "other", "-o", "file/page.html")
        assert said.code == 1
        assert said.err.startswith("error: file")
        assert len(said.err.splitlines()) == 1

    def test_python_gives_the_same(self, rsc: Rsc) -> None:
        names = "held", "other", "broken"
        found = package.compare("held", Path("runs/other"), package.Run.open("broken"))
        assert found.to_json() == json.loads(rsc("compare", *names, "--json").out)
        assert list(found.table["sharpe"].dropna()) == [sharpe("held"), sharpe("other")]
        assert list(found.table.index) == list(names)
        assert found.save("python.html").read_text() == found.save("python.html").read_text()
        rsc("compare", *names, "-o", "shell.html")
        assert Path("shell.html").read_bytes() == Path("python.html").read_bytes()
        assert repr(found).startswith("Comparison('3 runs: ")

    def test_no_such_run(self, rsc: Rsc) -> None:
        said = rsc("compare", "held", "othr")
        assert (said.code, said.out) == (1, "")
        assert said.err == "error: runs: no run named 'othr'. Did you mean 'other'?\n"

    def test_one_run_is_not_enough(self, rsc: Rsc) -> None:
        for names in (["held"], ["held", "runs/held"]):
            said = rsc("runs", "compare", *names)
            assert (said.code, said.out) == (2, "")
            assert said.err == "error: give two or more runs to compare. Got 1.\n"


class TestBest:
    def test_of_how_many_it_is_the_best(self, rsc: Rsc) -> None:
        expected = max(COMPLETE, key=sharpe)
        said = rsc("runs", "best")
        assert (said.code, said.err) == (0, "")
        first, second, third, *_ = said.out.splitlines()
        assert first.startswith(f"{expected}: Sharpe ratio {sharpe(expected):.2f}, ")
        # Seed 8 makes another synthetic market, so one of the runs is alone on its bars.
        same = 1 if expected == "other" else 2
        assert second.startswith(f"It is the best of 3 complete runs by sharpe; {same} of them")
        assert ("first evaluation" in third) == (same == 1)
        found = json.loads(rsc("runs", "best", "--json").out)
        assert found["run"] == expected
        assert found["value"] == sharpe(expected)
        assert (found["best_of"], found["on_same_bars"]) == (3, same)
        assert found["looks"]["evaluations"] == same

    def test_removed_runs_still_count_as_looks(self, rsc: Rsc) -> None:
        assert rsc("runs", "rm", "learned", "other", "--yes").code == 0
        said = rsc("runs", "best", "--by", "total_return").out.splitlines()
        assert said[1] == "It is the only complete run with this metric (total_return)."
        assert "evaluated 2 times by 2 runs" in said[2]

    def test_by_a_metric_of_which_less_is_better(self, rsc: Rsc) -> None:
        found = json.loads(rsc("runs", "best", "--by", "costs_paid", "--json").out)
        assert found["value"] == min(metrics(run)["costs_paid"] for run in COMPLETE)

    def test_errors(self, rsc: Rsc) -> None:
        said = rsc("runs", "best", "--by", "sharp")
        assert said.err == "error: no run has the metric 'sharp'. Did you mean 'sharpe'?\n"
        assert said.code == 2
        said = rsc("runs", "best", "--runs-dir", "none")
        assert (said.code, said.err) == (1, "error: none: there is no complete run yet.\n")


class TestRemove:
    def left(self) -> list[str]:
        return sorted(p.name for p in Path("runs").iterdir() if not p.name.startswith("."))

    def test_a_removed_run_still_counts(self, rsc: Rsc) -> None:
        ledger = Path("runs/looks.jsonl").read_bytes()
        said = rsc("runs", "rm", "learned", "-y")
        assert (said.code, said.out, said.err) == (0, "removed: runs/learned\n", "")
        assert self.left() == ["broken", "held", "latest", "looks.jsonl", "other"]
        assert Path("runs/looks.jsonl").read_bytes() == ledger
        assert "evaluated 2 times by 2 runs" in rsc("report", "held").out

    def test_looks_that_only_the_run_knows_go_to_the_store(self, rsc: Rsc) -> None:
        own = Path("runs/held/looks.jsonl").read_bytes()
        Path("elsewhere").mkdir()
        Path("runs/held").rename("elsewhere/held")
        assert rsc("runs", "rm", "elsewhere/held", "--yes").code == 0
        assert Path("elsewhere/looks.jsonl").read_bytes() == own
        assert [look.run for look in read(Path("elsewhere/looks.jsonl"))[0]] == ["held"]

    def test_failed_ones(self, rsc: Rsc) -> None:
        assert rsc("runs", "rm", "--failed", "--yes").out == "removed: runs/broken\n"
        assert Path("runs/latest").readlink() == Path("other")
        said = rsc("runs", "rm", "--failed", "--yes")
        assert (said.code, said.out) == (0, "There are no failed runs in runs.\n")

    def test_nobody_can_be_asked(self, rsc: Rsc, monkeypatch: Any) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        said = rsc("runs", "rm", "held")
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith("error: nothing was removed, as nobody can be asked here. Add ")
        assert "held" in self.left()

    @pytest.mark.parametrize("answer", ["y", "yes", "Y", "", "n", "no", "held"])
    def test_in_a_terminal_it_asks(self, rsc: Rsc, monkeypatch: Any, answer: str) -> None:
        class Terminal:
            def isatty(self) -> bool:
                return True

            def readline(self) -> str:
                return f"{answer}\n"

        monkeypatch.setattr("sys.stdin", Terminal())
        said = rsc("runs", "rm", "held", "other")
        assert "runs/held, runs/other\nRemove these 2 runs for good? [y/N] " in said.err
        agreed = answer.lower() in ("y", "yes")
        assert said.code == (0 if agreed else 1)
        assert ("held" in self.left()) != agreed

    def test_one_in_progress(self, rsc: Rsc) -> None:
        with locked(Path("runs/held")):
            said = rsc("runs", "rm", "other", "held", "--yes", "--force")
        assert said.code == 1
        assert "the run 'held' is in use by another process" in said.err
        assert "other" in self.left()

    def test_latest_by_its_name_and_other_links(self, rsc: Rsc) -> None:
        assert rsc("runs", "rm", "latest", "--yes").out == "removed: runs/broken\n"
        Path("runs/mine").symlink_to("held")
        for name in ("mine", "runs/mine"):
            said = rsc("runs", "rm", name, "--yes", "--force")
            assert said.code == 1
            assert "is a symbolic link" in said.err
        assert {"held", "mine"} <= set(self.left())

    def test_nothing_is_named(self, rsc: Rsc) -> None:
        said = rsc("runs", "rm")
        assert (said.code, said.err) == (
            2,
            "error: name the runs to remove, or give --failed.\n",
        )
        said = rsc("runs", "rm", "held", "nope", "--yes")
        assert said.code == 1
        assert "held" in self.left()
