"""The command line, in process, over the toy pipeline; and as a process where that matters."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import toy_pipeline as toy
from rich.console import Console

from reinforcestrategycreator_pipeline import checks
from reinforcestrategycreator_pipeline.api import runs
from reinforcestrategycreator_pipeline.cli.entry import one_line, run_app
from reinforcestrategycreator_pipeline.cli.list_command import FAMILIES, family
from reinforcestrategycreator_pipeline.cli.results import print_rows, result_table, show_results
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.runs.manifest import Manifest, StageRecord

ROOT = Path(__file__).parents[3]
PACKAGE = "reinforcestrategycreator_pipeline"
HEAVY = ("numpy", "pandas", "pydantic", "ruamel", "rich", "plotly", "talib", "gymnasium", "pyarrow")


@dataclass
class Result:
    code: int
    out: str
    err: str


Rsc = Callable[..., Result]


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Put the toy where the product's configuration and stages are."""
    built = toy.build_stages()
    config: Any = types.ModuleType(f"{PACKAGE}.pipeline.config.root")
    config.RunConfig = toy.ToyConfig
    catalog: Any = types.ModuleType(f"{PACKAGE}.pipeline.stages.catalog")
    catalog.ARTIFACTS = toy.ARTIFACTS
    catalog.build_stages = lambda *_: built
    rehearsal: Any = types.ModuleType(f"{PACKAGE}.pipeline.rehearsal")
    rehearsal.rehearse = lambda config: None
    for module in (config, catalog, rehearsal):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(runs, "RunConfig", toy.ToyConfig)
    monkeypatch.setattr(runs, "ARTIFACTS", toy.ARTIFACTS)
    monkeypatch.setattr(runs, "build_stages", lambda *_: built)
    return built


@pytest.fixture
def rsc(stages, tmp_path, monkeypatch, capsys) -> Rsc:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")

    def _rsc(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["rsc", *arguments])
        code = run_app()
        said = capsys.readouterr()
        return Result(code, said.out, said.err)

    return _rsc


def refused(result: Result, message: str, code: int) -> None:
    """One line on standard error, nothing on standard output, that exit code."""
    lines = [line for line in result.err.splitlines() if not line.startswith(("run ", "["))]
    assert lines == [f"error: {message}"]
    assert result.out == ""
    assert result.code == code


def test_run_shows_the_result(rsc: Rsc) -> None:
    result = rsc("run", "--run-id", "mine", "--set", "seed=3")
    assert result.code == 0
    lines = [line.rstrip() for line in result.out.splitlines()]
    assert lines[0].split()[:3] == ["strategy", "┃", "Total"]
    assert lines[2].startswith("dqn [bold]")  # a name is text, not markup
    assert lines[4] == "run       mine: complete"
    assert re.match(r"stages    data \d+\.\d s, training \d", lines[5])
    assert lines[6] == "decision  Promoted. The only check passed."
    assert lines[7:] == ["report    runs/mine/evaluation/report.html"]
    assert "[3/3] evaluation: done" in result.err
    assert "\x1b" not in result.out + result.err


def test_run_with_a_file_and_the_environment(rsc: Rsc, monkeypatch) -> None:
    Path("my.yaml").write_text("report: {title: From file}\ntraining: {steps: 2}\n")
    monkeypatch.setenv("RSC_CONFIG__TRAINING__STEPS", "3")
    assert rsc("run", "-c", "my.yaml", "--runs-dir", "store").code == 0
    config = load_config(toy.ToyConfig, Path("store/latest/config.yaml"))
    assert config.report.title == "From file"
    assert config.training.steps == 3


def test_resume(rsc: Rsc, monkeypatch) -> None:
    rsc("run", "--run-id", "mine", "--set", "seed=3")
    monkeypatch.setenv("RSC_CONFIG__SEED", "8")  # a resume keeps the run's own configuration
    result = rsc("run", "--resume", "latest")
    assert result.code == 0
    assert "stages    data unchanged, training unchanged, evaluation unchanged" in result.out
    result = rsc("run", "--resume", "runs/mine", "--set", "report.threshold=100")
    assert re.search(r"data unchanged, training unchanged, evaluation \d+\.\d s", result.out)
    assert "decision  Not promoted. The only check failed: the sum 3." in result.out
    assert result.code == 0  # not to promote is a result, not an error


def test_resume_keeps_its_own_configuration_and_name(rsc: Rsc) -> None:
    rsc("run", "--run-id", "mine")
    tail = "cannot be combined with --resume: a run keeps its configuration and name. "
    tail += "Use --set to change a key, or start a new run."
    refused(rsc("run", "--resume", "mine", "--config", "x"), f"--config {tail}", 2)
    refused(rsc("run", "--resume", "mine", "--run-id", "x"), f"--run-id {tail}", 2)


def test_user_errors_are_one_line(rsc: Rsc) -> None:
    Path("bad.yaml").write_text("seed: 1\ntraning: {}\n")
    message = "bad.yaml:2: traning: unknown key. Did you mean 'training'?"
    for command in (["run"], ["config", "show"], ["config", "check"]):
        refused(rsc(*command, "--config", "bad.yaml"), message, 2)
    refused(
        rsc("run", "--config", "bed.yaml"),
        "bed.yaml: no such file. Did you mean 'bad.yaml'?",
        2,
    )
    assert not Path("runs").exists()  # nothing written half
    refused(rsc("report", "nope"), "runs: no run named 'nope'. There are no runs in runs.", 1)
    refused(rsc("run", "--resume", "latest"), "runs/latest: there is no latest run yet.", 1)
    result = rsc("run", "--run-id", "a/b")
    assert result.err.startswith("error: a run's name must be 1 to 100 letters, digits")
    rsc("run", "--run-id", "mine")
    refused(
        rsc("run", "--run-id", "mine"),
        "the run 'mine' already exists in runs. Continue it with: rsc run --resume mine; or choose "
        "another name.",
        1,
    )


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (DataError("a.csv: line 3\x1b[31m:\nbad"), "a.csv: line 3\\x1b[31m:\\nbad", 1),
        (
            KeyboardInterrupt(),
            "interrupted in stage training; continue with: rsc run --resume mine",
            130,
        ),
        (
            ValueError("oh"),
            "in stage training: user code at test_cli.py:LINE raised ValueError: oh",
            1,
        ),
    ],
)
def test_a_stage_that_fails(rsc: Rsc, stages, error, message: str, code: int) -> None:
    def fail(step: int) -> None:
        raise error

    stages[1].at_step = fail
    result = rsc("run", "--run-id", "mine")
    refused(replace(result, err=re.sub(r"py:\d+ ", "py:LINE ", result.err)), message, code)
    said = rsc("report", "mine").err
    assert said.startswith("error: the run 'mine' has no report yet (status: ")
    assert said.endswith("continue the run with: rsc run --resume mine\n")


def test_out_of_memory_beyond_the_estimates(rsc: Rsc, monkeypatch) -> None:
    def load(*_: object) -> None:
        raise MemoryError("Unable to allocate 4.00 EiB")

    monkeypatch.setattr(f"{PACKAGE}.pipeline.config.loading.load_config", load)
    refused(rsc("config", "show"), "out of memory: Unable to allocate 4.00 EiB", 1)


def test_a_defect_outside_a_run(rsc: Rsc, monkeypatch) -> None:
    monkeypatch.setattr(f"{PACKAGE}.pipeline.config.loading.load_config", None)
    message = "internal error: TypeError: 'NoneType' object is not callable"
    refused(rsc("config", "check"), f"{message} (set RSC_TRACEBACK=1 for the traceback)", 70)
    monkeypatch.setenv("RSC_TRACEBACK", "1")
    with pytest.raises(TypeError):
        rsc("config", "check")


def test_the_operating_systems_refusals_are_one_line(rsc: Rsc, monkeypatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise PermissionError(13, "Permission denied", "x.yaml")

    monkeypatch.setattr(f"{PACKAGE}.pipeline.config.loading.load_config", refuse)
    refused(rsc("config", "check"), "x.yaml: Permission denied", 1)


def test_config_show_loads_back(rsc: Rsc) -> None:
    result = rsc("config", "show", "--set", "report.title=NO")
    Path("back.yaml").write_text(result.out)
    assert load_config(toy.ToyConfig, Path("back.yaml")).report.title == "NO"
    result = rsc("config", "check", "--config", "back.yaml")
    assert (result.code, result.out) == (0, "back.yaml: valid\n")
    assert rsc("config", "check").out == "the default configuration: valid\n"


def test_config_schema(rsc: Rsc) -> None:
    schema = json.loads(rsc("config", "schema").out)
    assert schema["properties"]["seed"] == {"default": 0, "type": "integer"}
    count = schema["$defs"]["DataConfig"]["properties"]["count"]
    assert count["description"] == "How many numbers are drawn."


def test_report(rsc: Rsc, monkeypatch) -> None:
    rsc("run", "--run-id", "mine")
    for name in ("mine", "latest", "runs/mine"):
        result = rsc("report", name)
        assert result.code == 0
        assert "dqn [bold]" in result.out
        assert "report    runs/mine/evaluation/report.html" in result.out
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda uri: opened.append(uri) or True)
    assert rsc("report", "mine", "--open").code == 0
    assert opened == [Path("runs/mine/evaluation/report.html").resolve().as_uri()]
    monkeypatch.setattr("webbrowser.open", lambda uri: False)
    result = rsc("report", "mine", "--open")
    assert result.code == 1
    assert result.err.startswith("error: cannot open a browser; the report is runs/mine/")


def test_data_list(rsc: Rsc) -> None:
    result = rsc("data", "list")
    assert result.code == 0
    for name in ("sample", "csv", "parquet", "synthetic"):
        assert name in result.out.splitlines()
    assert "    path: required" in result.out.splitlines()


def test_list(rsc: Rsc) -> None:
    result = rsc("list")
    assert (result.code, result.err) == (0, "")
    assert [line.split()[0] for line in result.out.splitlines()] == list(FAMILIES)
    for of in FAMILIES:
        result = rsc("list", of)
        assert (result.code, result.err) == (0, "")
        for name in family(of):
            assert name in result.out.splitlines()
    assert "    period: 14" in rsc("list", "features").out.splitlines()
    assert "    path: required" in rsc("list", "sources").out.splitlines()
    assert "    training.steps: 8000" in rsc("list", "strategies").out.splitlines()
    charts = rsc("list", "charts").out.splitlines()
    assert len({line for line in charts if line.startswith("  ")}) == len(charts) // 2
    refused(rsc("list", "featurs"), "unknown family 'featurs'. Did you mean 'features'?", 2)


def test_every_family_is_listed() -> None:
    source = Path(checks.__file__).parent
    made = set()
    for path in source.rglob("*.py"):
        made |= set(
            re.findall(r"^([A-Z_]+): (?:Registry|Components)\[", path.read_text("utf-8"), re.M)
        )
    assert made == {at.partition(":")[2] for at in FAMILIES.values()}, "add it to cli/list_command"


def test_usage_errors(rsc: Rsc) -> None:
    result = rsc("runn")
    assert result.code == 2
    assert "Error: No such command 'runn'. Did you mean" in result.err
    assert "'run'" in result.err
    assert rsc("run", "--nope").code == 2


def test_one_line() -> None:
    assert one_line("a\nb\x1b[0m\tü\u2028") == "a\\nb\\x1b[0m\\tü\\u2028"


def test_a_run_without_results_shows_its_stages() -> None:
    stages = {
        "evaluation": StageRecord("failed", seconds=1.0),
        "deployment": StageRecord("complete", seconds=2.0),
    }
    text = io.StringIO()
    manifest = Manifest("r", 0, "0", {}, status="failed", stages=stages)
    show_results(Console(file=text, width=80), Path("nowhere"), manifest)
    assert text.getvalue().splitlines() == [
        "run       r: failed",
        "stages    evaluation failed, deployment 2.0 s",
    ]


def test_a_row_may_lack_a_column() -> None:
    table = result_table([{"a": "1"}, {"a": "2", "b": "3"}])
    assert [str(column.header) for column in table.columns] == ["a", "b"]


ROWS = [{"run": "a日本 [bold]", "x": "1", "y": "no, yes"}, {"run": "bb\x07", "x": "22,222"}]


@pytest.mark.parametrize("width", [140, 12])
@pytest.mark.parametrize("rows", [ROWS, ROWS[1:], [{"run": "a\nb"}]])
def test_the_quick_table_looks_like_the_other(width: int, rows: list[dict[str, str]]) -> None:
    quick, other = (Console(file=io.StringIO(), width=width, highlight=False) for _ in range(2))
    print_rows(quick, rows)
    other.print(result_table(rows))
    assert quick.file.getvalue() == other.file.getvalue() != ""


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, **options
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["config", "-h"],
        ["config", "show", "--help"],
        ["config", "check", "--help"],
        ["config", "schema", "--help"],
        ["data", "--help"],
        ["runs", "--help"],
        ["runs", "list", "--help"],
        ["runs", "show", "--help"],
        ["runs", "compare", "--help"],
        ["runs", "best", "--help"],
        ["runs", "rm", "--help"],
        ["list", "--help"],
        ["data", "list", "--help"],
        ["data", "check", "--help"],
        ["report", "--help"],
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    # Newer typer imports pydantic by itself for a command's options, but not for the overview.
    heavy = HEAVY if len(arguments) == 1 else [m for m in HEAVY if m != "pydantic"]
    script = (
        "import sys\n"
        f"from {PACKAGE}.cli import main\n"
        f"sys.argv = ['rsc', *{arguments}]\n"
        "code = main()\n"
        f"found = [m for m in {heavy} if m in sys.modules]\n"
        "sys.exit(f'heavy: {found}' if found else code)"
    )
    result = python("-c", script)
    assert result.stderr == ""
    assert result.returncode == 0
    if "--version" in arguments:
        assert result.stdout.startswith("rsc 0.")
    else:
        assert "Usage: rsc" in result.stdout


@pytest.mark.parametrize("group", [[], ["config"], ["data"]])
def test_a_group_without_a_command_shows_its_help(rsc: Rsc, group: list[str]) -> None:
    result = rsc(*group)
    assert result.code == 2
    assert f"Usage: {' '.join(['rsc', *group])}" in result.err.splitlines()[0]
    assert "Commands:" in result.err.splitlines()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["run", "my.yaml"], "Did you mean --config my.yaml?"),
        (["config", "check", "my.yaml"], "Did you mean --config my.yaml?"),
        (["run", "seed=3"], "Did you mean --set seed=3?"),
    ],
)
def test_an_argument_too_many_names_the_option(rsc: Rsc, arguments: list[str], hint: str) -> None:
    result = rsc(*arguments)
    assert result.code == 2
    assert result.err.rstrip().endswith(hint)


def test_the_name_of_a_component_is_no_family(rsc: Rsc) -> None:
    hint = "It is one of the features: rsc list features"
    refused(rsc("list", "rsi"), f"unknown family 'rsi'. {hint}", 2)


def test_every_command_shows_an_example(rsc: Rsc) -> None:
    pages = [["--help"], ["run", "-h"], ["report", "-h"], ["data", "check", "-h"]]
    pages += [["config", name, "-h"] for name in ("show", "check", "schema")]
    pages += [["runs", *name, "-h"] for name in ([], ["list"], ["show"], ["compare"])]
    pages += [["runs", name, "-h"] for name in ("best", "rm")]
    for page in pages:
        lines = rsc(*page).out.splitlines()
        first = lines[lines.index("  Examples:") + 1]
        assert first.startswith("    rsc ")


def test_a_reader_that_goes_away_gets_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    for command in (["data", "list"], ["--help"]):
        script = f"import sys; sys.argv = ['rsc', *{command}]\n"
        script += f"from {PACKAGE}.cli import main; sys.exit(main())"
        result = subprocess.run(
            [sys.executable, "-c", script], stdout=write, stderr=subprocess.PIPE, text=True
        )
        assert (result.returncode, result.stderr) == (0, "")
    os.close(write)


def main_script_on(version: tuple[int, int], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the main script's checks as if this were another version of Python."""
    program = (
        "import runpy, sys\n"
        f"sys.version_info = (*{version}, 0, 'final', 0)\n"
        f"runpy.run_path({str(ROOT / 'run_main_pipeline.py')!r})"
    )
    return python("-c", program, cwd=cwd)


def test_the_main_script_on_other_pythons(tmp_path: Path) -> None:
    old = main_script_on((3, 8), tmp_path)
    assert old.returncode == 1
    assert old.stderr == "error: Python 3.11 or newer is needed; this is 3.8.\n"
    new = main_script_on((3, 99), tmp_path)
    assert new.returncode == 0
    assert new.stderr == "note: this is Python 3.99; the tests were run with 3.11 to 3.14.\n"
    assert main_script_on((3, 14), tmp_path).stderr == ""


def test_every_place_names_the_same_pythons() -> None:
    names = runpy.run_path(str(ROOT / "run_main_pipeline.py"), run_name="read")
    oldest, newest = names["OLDEST"], names["NEWEST"]
    tried = [f"3.{minor}" for minor in range(oldest[1], newest[1] + 1)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == f">={tried[0]}"
    classifier = "Programming Language :: Python :: "
    assert [c for c in project["classifiers"] if c.startswith(classifier)] == [
        classifier + version for version in tried
    ]
    between = f"Python {tried[0]} to {tried[-1]}"
    for name in ("README.md", "CONTRIBUTING.md", "constraints.txt", "Makefile"):
        assert between in (ROOT / name).read_text("utf-8"), name


def test_the_main_script_is_rsc_run(tmp_path: Path) -> None:
    script = str(ROOT / "run_main_pipeline.py")
    result = python(script, "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: rsc run [OPTIONS]")
    (tmp_path / "bad.yaml").write_text("- 1")
    # Without the site module the package is not to be found, as in a fresh clone.
    result = python("-E", "-S", script, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        "error: the package is not installed: call `make run`, or `pip install .` first.\n"
    )
