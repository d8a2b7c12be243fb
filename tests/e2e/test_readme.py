"""What README and docs/ say is so: their snippets run, their tables and links are true."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import re
import runpy
import shlex
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from snippets import ROOT, Snippet, anchors, commands, links, pages, snippets, tables

import reinforcestrategycreator_pipeline as rsc
from reinforcestrategycreator_pipeline import errors
from reinforcestrategycreator_pipeline.backtesting.compare import RANDOM
from reinforcestrategycreator_pipeline.cli.app import app
from reinforcestrategycreator_pipeline.cli.entry import INTERNAL, TRACEBACK
from reinforcestrategycreator_pipeline.cli.list_command import FAMILIES, family
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source, list_sources
from reinforcestrategycreator_pipeline.models.gym.loop import LearningResult
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.pipeline.config.loading import (
    ENVIRONMENT_PREFIX,
    load_config,
)
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.config.yaml_file import parse_yaml
from reinforcestrategycreator_pipeline.policies.catalog import BENCHMARKS, labeled
from reinforcestrategycreator_pipeline.policies.dqn import DQNStrategy

PAGES = {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in pages()}
# Set up, or not for a test to do; a fresh clone and `.ci/run` show that they work.
NOT_RUN = ("git", "pip", ".venv/bin/pre-commit", ".ci/run", "ray", "aws", "flock")
# Runs that are long enough to go through everything.
TINY = {
    "RSC_CONFIG__STRATEGY__TRAINING__STEPS": "200",
    "RSC_CONFIG__FEATURES__AUDIT_CUTS": "2",
    "RSC_CONFIG__SPLIT__WINDOWS": "2",
}
# After so few steps the agents agree on no feature. The policy trades all the same without the
# caution that then leaves it its baseline.
TINY_ENSEMBLE = {
    "RSC_CONFIG__STRATEGY__TRAINING__SCREENING_STEPS": "200",
    "RSC_CONFIG__STRATEGY__TRAINING__AGENTS": "4",
    "RSC_CONFIG__STRATEGY__TRAINING__CAUTION": "0",
    "RSC_CONFIG__STRATEGY__KAPPA": "0",
}
FEW_BARS = {
    "sample": {"RSC_CONFIG__DATA__PARAMS__SYMBOLS": "[IBM, MSFT]"},
    "synthetic": {"RSC_CONFIG__DATA__PARAMS__N_BARS": "3000"},
}
# Covered by a test of its own, with the objects that the pages speak of.
ELSEWHERE = dict.fromkeys(
    (
        "docs/how-to/package-and-deploy.md",
        "docs/how-to/export-onnx.md",
        "docs/how-to/connect-a-broker.md",
    ),
    "tests/unit/deployment/test_deployment_docs.py",
)
HOW_TO = sorted(name for name in PAGES if name.startswith("docs/how-to/"))


def every(language: str) -> list[Any]:
    """Return a test's parameters: the page and its snippets of one language, if it has some."""
    found = []
    for name, page in PAGES.items():
        chosen = [s for s in snippets(page, name) if s.language == language]
        if chosen:
            found.append(pytest.param(name, chosen, id=name))
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which a reader tries a page, with the data that the pages speak of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    for registry in map(family, FAMILIES):  # imported now, so that none is made by a snippet
        monkeypatch.setattr(registry, "_members", dict(registry._members))
    kept = set(sys.modules)
    params = {"kind": "regime", "n_bars": 900, "symbols": ["ABC", "XYZ"]}
    data = build_source("synthetic", params).load(np.random.default_rng(0))
    frame = data.bars["ABC"].drop(columns="signal")
    frame.set_axis(frame.index.strftime("%Y-%m-%d").rename("date")).to_csv("prices.csv")
    write_exports(frame)
    with closing(sqlite3.connect("prices.db")) as database:
        for symbol, bars in data.bars.items():
            rows = bars.drop(columns="signal").reset_index().assign(symbol=symbol)
            rows["timestamp"] = rows["timestamp"].astype(str)
            rows.to_sql("bars", database, index=False, if_exists="append")
        database.commit()
    Path("tests").symlink_to(ROOT / "tests")
    yield tmp_path
    for name in set(sys.modules) - kept:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def write_exports(bars: pd.DataFrame) -> None:
    """Write bars as Yahoo, Binance and MetaTrader 5 export them, for the first tutorial."""
    yahoo = bars.round(4).rename(columns=str.capitalize)
    yahoo.insert(4, "Adj Close", yahoo["Close"])
    yahoo.set_axis(yahoo.index.strftime("%Y-%m-%d").rename("Date")).to_csv("AAPL.csv")
    hours = pd.date_range("2024-01-01", periods=len(bars), freq="h")
    Path("BTCUSDT").mkdir()
    klines = bars.assign(close_time=hours.as_unit("ms").asi8 + 3_599_999)
    for zero in ("quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume", "ignore"):
        klines[zero] = 0
    for month in range(1, 3):
        part = klines[hours.month == month]
        part = part.set_axis(hours[hours.month == month].as_unit("ms").asi8)
        part.to_csv(f"BTCUSDT/BTCUSDT-1h-2024-{month:02}.csv", header=False)
    names = {"open": "<OPEN>", "high": "<HIGH>", "low": "<LOW>", "close": "<CLOSE>"}
    terminal = bars.rename(columns={**names, "volume": "<TICKVOL>"}).assign(**{"<SPREAD>": 2})
    terminal.insert(0, "<TIME>", hours.strftime("%H:%M:%S"))
    index = hours.strftime("%Y.%m.%d").rename("<DATE>")
    terminal.set_axis(index).to_csv("EURUSD_H1.csv", sep="\t")


def write_files(name: str) -> None:
    """Write the files that a page shows; the pages in how-to/ share one folder."""
    for page in dict.fromkeys((*(HOW_TO if name in HOW_TO else ()), name)):
        for snippet in snippets(PAGES[page], page):
            if snippet.file:
                Path(snippet.file).write_text(snippet.text, encoding="utf-8")


def test_the_how_to_pages_agree_about_their_files() -> None:
    shown = [(s.file, s.text) for n in HOW_TO for s in snippets(PAGES[n], n) if s.file]
    assert len(shown) > 20
    assert sorted({file for file, _ in shown}) == sorted(file for file, _ in shown)


def run_python(snippet: Snippet, names: dict[str, Any]) -> None:
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(snippet.text, snippet.place, "exec", dont_inherit=True), names)
    if snippet.printed is not None:
        assert printed.getvalue() == snippet.printed, snippet.place


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Cut the training on a Gymnasium task short; return what was asked for."""
    asked = []
    learn = DQN.learn

    def short(self: DQN, env: Any, total_steps: int, *args: Any, **options: Any) -> LearningResult:
        asked.append(total_steps)
        return learn(self, env, min(total_steps, 1500), *args, **options)

    monkeypatch.setattr(DQN, "learn", short)
    return asked


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the runs of all stages short."""
    run = rsc.run

    def short(*args: Any, **options: Any) -> rsc.Run:
        return run(*args, **options, quick="from_trial" not in options)  # which has its training

    monkeypatch.setattr(rsc, "run", short)
    for name in ("FEATURES__AUDIT_CUTS", "SPLIT__WINDOWS"):
        monkeypatch.setenv(ENVIRONMENT_PREFIX + name, TINY[ENVIRONMENT_PREFIX + name])


def is_signal(snippet: Snippet) -> bool:
    """Whether this is the README's run that shows its result: a test of its own runs it."""
    return "DQN ensemble" in (snippet.printed or "")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "found"), every("python"))
def test_python_snippets_run(
    name: str, found: list[Snippet], folder: Path, few_steps: list[int], short_runs: None
) -> None:
    if name in ELSEWHERE:
        assert (ROOT / ELSEWHERE[name]).is_file()
        return
    write_files(name)
    names: dict[str, Any] = {"__name__": "snippet"}
    for snippet in found:
        if is_signal(snippet):
            names["rsc"] = rsc  # which the page goes on with
        elif snippet.file is None:
            run_python(snippet, names)
        elif not snippet.file.startswith("test_"):  # the page's own command runs tests
            importlib.import_module(snippet.file.removesuffix(".py"))


@pytest.mark.parametrize(("name", "found"), every("yaml"))
def test_yaml_snippets_are_configurations(name: str, found: list[Snippet], folder: Path) -> None:
    write_files(name)
    for snippet in found:
        Path("it.yaml").write_text(snippet.text, encoding="utf-8")
        load_config(RunConfig, Path("it.yaml"))


def test_csv_snippets_show_the_file_that_the_commands_use(folder: Path) -> None:
    shown = [s for page in PAGES.values() for s in snippets(page) if s.language == "csv"]
    assert shown
    with Path("prices.csv").open(encoding="utf-8") as file:
        header = file.readline()
    for snippet in shown:
        assert snippet.text.splitlines(keepends=True)[0] == header
        Path("shown.csv").write_text(snippet.text, encoding="utf-8")
        assert build_source("csv", {"path": "shown.csv"}).load(np.random.default_rng(0)).bars


@pytest.mark.slow
@pytest.mark.parametrize(("name", "found"), every("bash"))
def test_shell_snippets_run(name: str, found: list[Snippet], folder: Path) -> None:
    write_files(name)
    for snippet in found:
        for command in commands(snippet):
            words = [w for w in shlex.split(command) if not re.match(r"[A-Z_]+=", w)]
            if words[0] == "make":
                assert make_targets().issuperset(w for w in words[1:] if "=" not in w), command
            elif words[0] not in NOT_RUN and not lacks_ray(words):
                run_shell(command, snippet.place)


def lacks_ray(words: list[str]) -> bool:
    """Return whether a command needs the extra ``distributed``, which is not installed."""
    return "ray" in words and importlib.util.find_spec("ray") is None


def run_shell(command: str, place: str) -> str:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        shell=True,
        env={**os.environ, "PATH": programs, "BROWSER": "true", "COLUMNS": "140", **tiny(command)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{place}: {command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def tiny(command: str) -> dict[str, str]:
    """Return the environment that makes a command's run short: it depends on its configuration."""
    if not re.match(r"([A-Z_]+=\S+ )*rsc ", command):
        return TINY
    file = re.search(r"--config (\S+)", command)
    config = parse_yaml(Path(file[1]).read_text(encoding="utf-8"), str).value if file else {}
    strategy = config.get("strategy", {})
    of_ensemble = isinstance(strategy, dict) and "name" not in strategy
    named = re.search(r"data\.source=(\w+)", command)
    source = named[1] if named else config.get("data", {}).get("source", "sample")
    return {**TINY, **(TINY_ENSEMBLE if of_ensemble else {}), **FEW_BARS.get(source, {})}


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+):", text, re.MULTILINE))


def test_programs_that_are_not_run_exist() -> None:
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    used = [c for p in PAGES.values() for s in snippets(p) if s.language == "bash"
            for c in commands(s)]  # fmt: skip
    assert used
    assert {c.split()[0] for c in used} & {"rsc", "make"} == {"rsc", "make"}


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.py")), ids=lambda p: p.name)
def test_examples_run(path: Path, folder: Path, few_steps, monkeypatch) -> None:
    if path.name == "sb3_trading.py":
        pytest.importorskip("stable_baselines3", reason="it comes with torch")
    few = ["1500"] if path.name == "dqn_in_one_page.py" else []  # others learn by `DQN.learn`
    monkeypatch.setattr(sys, "argv", [str(path), *few])
    monkeypatch.syspath_prepend(path.parent)  # as where it is run from the shell
    snippet = Snippet("python", path.read_text(encoding="utf-8"), path.name, None, None)
    run_python(snippet, {"__name__": "__main__", "__file__": str(path)})


def test_the_readme_trains_as_the_example_does(few_steps: list[int]) -> None:
    [shown] = [s for s in snippets(PAGES["README.md"], "README.md") if "CartPole" in s.text]
    names: dict[str, Any] = {}
    run_python(shown, names)
    example = runpy.run_path(str(ROOT / "examples" / "cartpole.py"))
    trained = example["train"](names["dqn"].config.seed)
    assert trained.config == names["dqn"].config
    assert few_steps[0] == few_steps[1]


# -- what the pages claim ------------------------------------------------------------------


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Return the keys that have no keys of their own, dotted, with their values."""
    if isinstance(value, dict) and value:
        return {
            k: v for name, item in value.items() for k, v in leaves(item, f"{path}.{name}").items()
        }
    return {path.lstrip("."): value}


def shown_default(cell: str) -> Any:
    """Return the value that a table's cell shows between backquotes."""
    return parse_yaml(cell.strip("`"), lambda _: cell).value


ONE_DQN = (
    "One deep Q-network",
    "Network and optimizer",
    "Returns and replay",
    "Variants of the learner",
    "Target network, exploration and rounds",
    "Training",
)


def described(of_one_dqn: bool) -> dict[str, str]:
    """Return the described keys of a run, or of the strategy `dqn`, and their defaults."""
    found = tables(PAGES["docs/reference/configuration.md"])
    assert set(ONE_DQN) <= set(found)
    rows = [r for heading, t in found.items() if (heading in ONE_DQN) == of_one_dqn for r in t]
    assert all(r["meaning"] for r in rows)
    return {r["key"].strip("`"): r["default"] for r in rows if "unit" in r}


def require_defaults(shown: dict[str, str], truth: dict[str, Any]) -> None:
    for key, cell in shown.items():
        value = shown_default(cell)
        assert (value, type(value)) == (truth[key], type(truth[key])), key


def test_every_key_of_the_configuration_is_described_with_its_default() -> None:
    shown, truth = described(of_one_dqn=False), leaves(to_plain(RunConfig()))
    assert list(shown) == list(truth)
    assert shown.pop("features.columns") == "17 columns"
    assert shown.pop("evaluation.benchmarks") == "4 strategies"
    require_defaults(shown, truth)


def test_every_key_of_one_dqn_is_described_with_its_default() -> None:
    shown = described(of_one_dqn=True)
    truth = leaves(to_plain(RunConfig(strategy=DQNStrategy()))["strategy"], "strategy")
    assert truth.pop("strategy.name") == "dqn"
    assert list(shown) == list(truth)
    require_defaults(shown, truth)


def test_costs_are_described_with_their_defaults() -> None:
    rows = tables(PAGES["docs/time-money-and-truth.md"])["Costs"]
    shown = {r["key under `trading.costs`"].strip("`"): float(r["default"]) for r in rows}
    assert shown == to_plain(RunConfig())["trading"]["costs"]


def test_every_parameter_of_the_sources_is_described_with_its_default() -> None:
    shown = tables(PAGES["docs/reference/configuration.md"])
    for source in list_sources():
        files = ("csv", "parquet", "feather", "json")
        together = "`csv`, `parquet`, `feather` and `json`"
        rows = shown[together if source.name in files else f"`{source.name}`"]
        described = {r["key"].strip("`"): r["default"] for r in rows}
        if source.name in files[1:]:
            lines = {"header": described["header"]} if source.name == "json" else {}
            described = dict(list(described.items())[: list(described).index("delimiter")]) | lines
        assert list(described) == list(source.parameters)
        for name, default in source.parameters.items():
            if default == "required":
                assert described[name] == "required"
            else:
                value = shown_default(described[name])
                value = tuple(value) if isinstance(value, list) else value
                assert repr(value) == default, name


def test_the_check_of_defaults_sees_a_wrong_one() -> None:
    assert shown_default("`0.2`") == 0.2
    assert shown_default("`null`") is None
    assert shown_default("`[0.0, 1.0]`") == [0.0, 1.0]
    page = "## Data\n\n| key | default |\n|---|---|\n| `a.b` | `1` |\n"
    assert tables(page) == {"Data": [{"key": "`a.b`", "default": "`1`"}]}
    assert leaves({"a": {"b": 1, "c": {}}}) == {"a.b": 1, "a.c": {}}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    assert broken(name, PAGES[name]) == []


def broken(name: str, page: str) -> list[str]:
    found = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        ok = file.exists() and file.resolve().is_relative_to(ROOT)
        if ok and anchor:
            ok = anchor in anchors(file.read_text(encoding="utf-8") if path else page)
        if not ok:
            found.append(target)
    return found


def test_a_broken_link_is_seen() -> None:
    page = "[a](README.md) [b](nowhere.md) [c](#here) [d](https://a.org) ![e](x.png)\n# Here\n"
    assert broken("README.md", page) == ["nowhere.md", "x.png"]
    assert broken("README.md", "[c](#there)\n# Here\n") == ["#there"]


def test_pages_that_the_code_names_exist() -> None:
    named = {
        name
        for tree in ("src", "benchmarks", "examples", "tests")
        for path in (ROOT / tree).rglob("*.py")
        for name in re.findall(r"docs/[\w/-]+\.(?:md|ipynb)", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 5
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    listed = {t for t in links(PAGES["docs/index.md"]) if not t.startswith("..")}
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.ipynb")]
    assert listed == {p.relative_to(ROOT / "docs").as_posix() for p in pages} - {"index.md"}


def test_the_site_has_every_page_and_pins_what_builds_it() -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {name.removeprefix("docs/") for name in PAGES if name.startswith("docs/")}
    shown = re.findall(r"^ +- ([\w/-]+\.md)$", site, re.MULTILINE)
    assert sorted(shown) == sorted(pages | {"tutorial/notebook.md"})
    pins = (ROOT / "scripts" / "docs_requirements.txt").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for wanted in project["project"]["optional-dependencies"]["docs"]:
        name = re.match(r"[\w-]+", wanted)[0]
        assert re.search(rf"^{name}==", pins, re.MULTILINE), name


def test_the_citation_names_this_version() -> None:
    cited = parse_yaml((ROOT / "CITATION.cff").read_text(encoding="utf-8"), str).value
    assert (cited["version"], cited["license"]) == (rsc.__version__, "MIT")


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob(".github/ISSUE_TEMPLATE/*.yml")), ids=lambda p: p.name
)
def test_issue_forms_are_sound(path: Path) -> None:
    form = parse_yaml(path.read_text(encoding="utf-8"), str).value
    if path.name != "config.yml":
        assert {"name", "description", "body"} <= set(form)
        labels = [field["attributes"]["label"] for field in form["body"]]
        assert len(set(labels)) == len(labels)


def test_the_command_line_is_described_as_it_is() -> None:
    page = PAGES["docs/reference/cli.md"]
    described = {r["command"].strip("`") for r in tables(page)["Commands"]}
    described = {re.sub(r" \[?[A-Z]+\]?$", "", command) for command in described}
    options = set(re.findall(r"`(--[a-z-]+)", page)) - {"--help", "--version"}
    commands_found, options_found = set(), set()
    for path, command in leaf_commands():
        commands_found.add(f"rsc {path}")
        flags = [o for p in command.params if p.param_type_name == "option" for o in p.opts]
        options_found |= {o for o in flags if o.startswith("--")}
    assert described - {"rsc --version"} == commands_found
    assert options == options_found - {"--help"}


def leaf_commands() -> list[tuple[str, Any]]:
    """Return every command that does something, with its path: ``"config show"``."""
    found: list[tuple[str, Any]] = []
    pending = [("", typer.main.get_command(app))]
    while pending:
        path, command = pending.pop()
        if hasattr(command, "commands"):
            pending += [(f"{path} {name}".strip(), c) for name, c in command.commands.items()]
        else:
            found.append((path, command))
    return found


def test_exit_codes_and_environment_variables_are_described() -> None:
    shown = tables(PAGES["docs/reference/cli.md"])
    codes = {int(r["code"]) for r in shown["Exit codes"]}
    kinds = [kind for kind in vars(errors).values() if is_error(kind)]
    assert codes == {0, INTERNAL, *(kind.exit_code for kind in kinds)}
    variables = {r["variable"].strip("`").removesuffix("SECTION__KEY")
                 for r in shown["Environment variables"]}  # fmt: skip
    assert variables == {ENVIRONMENT_PREFIX, TRACEBACK, "NO_COLOR", "COLUMNS"}


def is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, errors.RscError)


def test_every_public_name_is_described() -> None:
    rows = tables(PAGES["docs/reference/python-api.md"])["Names"]
    assert [r["name"].strip("`") for r in rows] == sorted(set(rsc.__all__) - {"__version__"})
    entries = re.findall(r"^::: (\S+)$", PAGES["docs/reference/python-api.md"], re.MULTILINE)
    assert len(entries) > 20
    for entry in entries:
        load_name(entry)


def load_name(dotted: str) -> Any:
    """Return the module, or the attribute of one, of this dotted name."""
    try:
        return importlib.import_module(dotted)
    except ModuleNotFoundError:
        module, _, name = dotted.rpartition(".")
        return getattr(importlib.import_module(module), name)


def test_every_exception_is_described() -> None:
    rows = tables(PAGES["docs/reference/errors.md"])["Errors"]
    shown = {r["exception"].strip("`"): (r["also a"].strip("`"), int(r["exit code"])) for r in rows}
    found = {}
    for name, kind in vars(errors).items():
        if is_error(kind):
            bases = [b.__name__ for b in kind.__bases__ if b is not errors.RscError]
            found[name] = (", ".join(bases), kind.exit_code)
    assert shown == found


def test_measured_figures_are_those_of_the_benchmarks() -> None:
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    known = figures(results)
    shown = tables(PAGES["docs/explanation/measured.md"])
    for heading, columns in (
        ("Learning", ("steps", "median", "worst seed", "CPU s")),
        ("Speed", ("this DQN", "torch, the better", "JAX, the better", "stable-baselines3")),
        ("The market", ("figure",)),
        ("Much data", ("seconds", "CPU s", "GB")),
    ):
        assert shown[heading]
        for row in shown[heading]:
            for column in columns:
                assert figures(row[column]) <= known, (heading, row)


def figures(text: str) -> set[str]:
    """Return the numbers in a text, as they are written."""
    return set(re.findall(r"-?\d+(?:,\d{3})*(?:\.\d+)?", text))


def test_the_notebook_shows_what_it_prints(folder: Path) -> None:
    notebook = json.loads((ROOT / "docs/tutorial/notebook.ipynb").read_text(encoding="utf-8"))
    cells = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    assert cells
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        assert run_cell("".join(cell["source"]), names) == shown_by(cell), cell["source"]


def shown_by(cell: dict[str, Any]) -> str:
    """Return the text of a cell's stored outputs."""
    texts = []
    for output in cell["outputs"]:
        text = output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"]
        texts.append("".join(text).rstrip("\n"))
    return "\n".join(texts)


def run_cell(source: str, names: dict[str, Any]) -> str:
    """Run a cell as a notebook does; return what it prints, and its last expression."""
    tree, value = ast.parse(source), None
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    text = printed.getvalue().rstrip("\n")
    return text if value is None else "\n".join([*filter(None, [text]), repr(value)])


@pytest.mark.slow
def test_the_results_in_the_readme_are_of_the_default_run(default_job: Path) -> None:
    """The strategies that learn nothing have the figures shown; the learner is in the table."""
    shown = result_rows(next(t for t in texts("README.md") if "oracle" in t))
    benchmarks = labeled(BENCHMARKS)
    assert set(shown) == {"strategy", "DQN ensemble", *benchmarks, RANDOM}
    found = result_rows((default_job / "printed.txt").read_text(encoding="utf-8"))
    for name in ("strategy", *benchmarks):  # random timing trades as often as the policy
        assert shown[name] == found[name]


@pytest.mark.slow
def test_the_results_of_the_signal_in_the_readme_are_those_of_its_code(folder: Path) -> None:
    """Every figure, with the kernel of ``rsc run``, on which the last digits of learning depend."""
    [snippet] = filter(is_signal, snippets(PAGES["README.md"], "README.md"))
    code = (
        "from reinforcestrategycreator_pipeline import kernels; kernels.choose()\n" + snippet.text
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == snippet.printed, snippet.place


def texts(name: str) -> list[str]:
    return [s.text for s in snippets(PAGES[name]) if s.language in ("", "text")]


def result_rows(text: str) -> dict[str, list[str]]:
    """Return the cells of a result table, keyed by strategy."""
    rows = ([cell.strip() for cell in re.split("[┃│]", line)] for line in text.splitlines())
    return {cells[0]: cells[1:] for cells in rows if len(cells) > 1}


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a clone of the repository")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


MACHINE = re.compile(
    r"(?<![\w.:/-])/(work|root|home|tmp|opt)/\w"
    # Options that point an installer somewhere; a registry is not named by its host anywhere.
    r"|--(extra-)?index-url|--find-links|https?://[\w.-]+/simple\b"
)


def test_no_file_names_a_place_on_a_machine_or_a_registry() -> None:
    found = {}
    for path in tracked():
        if path.is_file() and path != Path(__file__):  # which names what it looks for
            text = path.read_bytes().decode("utf-8", errors="ignore")
            if match := MACHINE.search(text):
                found[str(path.relative_to(ROOT))] = match[0]
    assert found == {}


@pytest.mark.parametrize("text", ["see /{}/main", "https://host.example/simple", "'/{}/x'"])
def test_a_place_on_a_machine_is_seen(text: str) -> None:
    assert MACHINE.search(text.format("home"))
    assert not MACHINE.search("https://example.org/work/x, a/work/b")
