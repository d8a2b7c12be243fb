"""The main job as it comes: the default configuration on the bundled data.

Four more seeds have two windows instead of five: half the training, with nothing left out.
"""

from __future__ import annotations

import csv
import functools
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_runs import statuses

from reinforcestrategycreator_pipeline.cli import main
from reinforcestrategycreator_pipeline.deployment.package import load_package
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.features.store import FeatureSet
from reinforcestrategycreator_pipeline.files import sha256_bytes
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig

pytestmark = pytest.mark.slow

DEFAULT_SEED = 7


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, default_job: Path) -> Callable[[int], Path]:
    """Return a function that gives the folder of the run of a seed."""
    assert RunConfig().seed == DEFAULT_SEED

    @functools.cache
    def run_of(seed: int) -> Path:
        if seed == DEFAULT_SEED:
            return default_job / "runs/latest"
        folder = tmp_path_factory.mktemp(f"seed{seed}")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            other = ["--set", f"seed={seed}", "--set", "split.windows=2"]
            patch.setattr(sys, "argv", ["rsc", "run", *other])
            assert main() == 0
        return folder / "runs/latest"

    return run_of


@pytest.fixture(params=[DEFAULT_SEED, 1, 2, 3, 4])
def run_dir(request: pytest.FixtureRequest, runs: Callable[[int], Path]) -> Path:
    return runs(request.param)


@pytest.fixture
def default_run(runs: Callable[[int], Path]) -> Path:
    return runs(DEFAULT_SEED)


def history(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "training/history.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_loss_falls(run_dir: Path) -> None:
    assert statuses(run_dir) == ["complete"] * 6
    rows = history(run_dir)
    loss = np.array([float(row["loss"]) for row in rows])
    assert rows[0]["step"] == "100"  # a row is the mean since the row before
    tail = loss[-max(len(loss) // 10, 1) :]
    assert tail.mean() < loss[0]


def test_nothing_is_nan_or_infinite(run_dir: Path) -> None:
    for row in history(run_dir):
        for name, cell in row.items():
            missing = name == "validation_growth" and cell == ""
            assert missing or math.isfinite(float(cell)), (name, cell)
    equity = pd.read_csv(run_dir / "evaluation/equity.csv")
    numbers = equity[["equity", "exposure", "turnover", "costs"]].to_numpy()
    assert np.isfinite(numbers).all()
    assert (equity["equity"] > 0).all()

    def refuse(text: str) -> None:
        raise AssertionError(text)

    text = (run_dir / "evaluation/metrics.json").read_text(encoding="utf-8")
    found = json.loads(text, parse_constant=refuse)
    for strategies in found["metrics"].values():
        for metrics in strategies.values():
            for name, metric in metrics.items():
                # What is not defined says why.
                assert metric["value"] is not None or metric["reason"], name


def test_the_loss_floor_is_said(run_dir: Path) -> None:
    summary = json.loads((run_dir / "training/summary.json").read_text(encoding="utf-8"))
    floor = summary["loss_floor"]
    assert 0.0 < floor < 10.0
    for report in ("report.md", "report.html"):
        text = (run_dir / "evaluation" / report).read_text(encoding="utf-8")
        assert f"{floor:.4g}" in text
        assert "floor" in text


def test_paper_trading_equals_the_backtest(run_dir: Path) -> None:
    paper = json.loads((run_dir / "deployment/paper_trading.json").read_text(encoding="utf-8"))
    assert sorted(paper) == ["AAPL", "GOOG", "IBM", "MSFT"]
    for symbol, found in paper.items():
        assert found["largest_relative_gap"] <= 1e-9, symbol
        assert found["fills"] > 0


class Loads(HTMLParser):
    """The attributes by which a page may load something, and the page's styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []
        self.styles = ""
        self._in_style = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data", "poster", "background"):
                self.found.append((tag, name, value or ""))
            elif name == "style":
                self.styles += value or ""

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.styles += data


def outside_loads(html: str) -> list[tuple[str, str, str]]:
    page = Loads(html)
    found = [load for load in page.found if not load[2].startswith(("#", "data:"))]
    return found + [("style", "", word) for word in ("url(", "@import") if word in page.styles]


def test_the_report_needs_no_network(default_run: Path) -> None:
    html = (default_run / "evaluation/report.html").read_text(encoding="utf-8")
    assert outside_loads(html) == []
    assert "Plotly" in html
    for symbol in ("AAPL", "GOOG", "IBM", "MSFT"):
        assert symbol in html
    planted = html.replace("</head>", '<script src="https://cdn.example/x.js"></script></head>')
    assert outside_loads(planted) == [("script", "src", "https://cdn.example/x.js")]
    planted = html.replace("</style>", "@import 'https://fonts.example';</style>", 1)
    assert outside_loads(planted) == [("style", "", "@import")]


# Everything but NumPy, safetensors and the product itself is refused.
ALONE = """
import hashlib, importlib.abc, json, sys

ALLOWED = {*sys.stdlib_module_names, "numpy", "safetensors", "reinforcestrategycreator_pipeline"}

class OnlyNumPy(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and not top.startswith("_safetensors"):
            raise ImportError(f"{name} is refused")

sys.meta_path.insert(0, OnlyNumPy())
import numpy as np
from reinforcestrategycreator_pipeline.policies.base import load_policy
from pathlib import Path

policy = load_policy(Path(sys.argv[1]) / "policy.safetensors")
raw = np.load(sys.argv[2])
held, path, digest = policy.flat, [], hashlib.sha256()
for row in raw:
    held = policy.decide(row, held)
    path.append(policy.positions[held])
    digest.update(policy.values(row[None]).tobytes())
heavy = sorted({"pandas", "talib"} & set(sys.modules))
print(json.dumps([path, digest.hexdigest(), heavy]))
"""


def test_the_package_alone_decides_as_its_policy_does(default_run: Path, tmp_path: Path) -> None:
    """In a fresh process with NumPy and safetensors, from raw features to the same targets."""
    features = FeatureSet.read(
        default_run / "features/features.parquet", default_run / "features/spec.json"
    )
    raw = features.frames["IBM"].to_numpy()
    np.save(tmp_path / "raw.npy", raw[:-1])
    package = default_run / "deployment/package"
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(package), str(tmp_path / "raw.npy")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    path, values, heavy = json.loads(done.stdout)
    assert heavy == []
    policy = load_package(package)
    assert path == [policy.positions[i] for i in follow(policy.choose(raw[:-1], {}), policy.flat)]
    assert len(path) == len(raw) - 1 > 1_000
    # A policy that holds its baseline shows little by its path; the values behind it differ.
    own = policy.values(raw[:-1])
    assert len(np.unique(own)) > len(raw)
    assert values == sha256_bytes(own.tobytes())
    assert load_package(package).inputs == features.inputs


def test_the_table_and_the_reports_agree(
    default_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = shutil.copytree(default_run, tmp_path / "copy")  # a report may be rendered again
    monkeypatch.setattr(sys, "argv", ["rsc", "report", str(copy)])
    monkeypatch.setenv("COLUMNS", "140")  # no cell is folded
    assert main() == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if "│" in line]
    rows = [[cell.strip() for cell in line.split("│")] for line in shown]
    assert [row[0] for row in rows][:3] == ["DQN ensemble", "buy and hold", "flat"]
    report = (default_run / "evaluation/report.md").read_text(encoding="utf-8")
    for row in rows:
        assert row[1] in report
