"""Bad inputs through the real command line: each is refused in one clear line, nothing half done.

The line says where (file and line, key, environment variable, option), the rule, the value, and
the nearest valid name if there is one. The exit code is 2 for the configuration, 1 for the rest.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_data import BAD_CSV, good_rows, text
from small_runs import (
    QUICK,
    STAGES,
    Rsc,
    Said,
    manifest,
    rsc_in,
    script,
    statuses,
    temporaries,
)

from reinforcestrategycreator_pipeline.cli import main
from reinforcestrategycreator_pipeline.cli.entry import one_line
from reinforcestrategycreator_pipeline.files import sealed_text
from reinforcestrategycreator_pipeline.pipeline.stages.catalog import ARTIFACTS, build_stages

LONGEST = 600
CLOSED = "'math': a module of the standard library has no components."
PLACEHOLDER = re.compile(r"\{[A-Za-z_][\w.\[\]()]*(![rsa])?(:[^{}]*)?\}")
"""What an f-string without its f leaves behind."""

# The user's own code, in the folder where the command runs.
USER_PARTS = """\
import numpy as np
from reinforcestrategycreator_pipeline import feature, reward
number = 3
class Thing: pass
@feature
def raises(bars): raise KeyError("clse")
@feature
def talks(bars): raise ValueError("many words\\n" * 500)
@feature
def short(bars): return bars["close"][1:]
@feature
def cube(bars): return np.ones((len(bars["close"]), 2, 2))
@feature
def texts(bars): return np.array(["a"] * len(bars["close"]))
@feature
def holes(bars): return np.where(np.arange(len(bars["close"])) == 100, np.nan, 1.0)
@feature
def tomorrow(bars): return np.append(bars["close"][1:] / bars["close"][:-1], 1.0)
@feature
def whole_mean(bars): return bars["close"] - bars["close"].mean()
@feature
def periodic(bars, period): return bars["close"]
@reward
def reward_raises(growth): raise ZeroDivisionError("oh")
@reward
def reward_short(growth): return growth[1:]
@reward
def reward_nan(growth): return growth * np.nan
"""


@pytest.fixture
def rsc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Rsc:
    (tmp_path / "quick.yaml").write_text(QUICK)
    (tmp_path / "user_parts.py").write_text(USER_PARTS)
    (tmp_path / "broken_parts.py").write_text("1 / 0\n")
    (tmp_path / "syntax_parts.py").write_text("def f(:\n")
    (tmp_path / "exit_parts.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "prices.csv").write_text(text(good_rows()))
    return rsc_in(tmp_path, monkeypatch, capsys)


def refused(said: Said, code: int, *fragments: str, began: bool = False) -> str:
    """Check that a command ended with one clear line, and return the line."""
    lines = said.errors if began else said.err.splitlines()
    assert len(lines) == 1, said.err
    assert said.err.endswith("\n")
    assert said.code == code, said
    line = lines[0]
    assert line.startswith("error: ")
    assert line.isprintable()
    assert len(line) < LONGEST, len(line)
    assert "Traceback" not in line
    assert not PLACEHOLDER.search(line), line
    for fragment in fragments:
        assert fragment in line
    assert said.out == ""
    return line


def nothing_began() -> None:
    assert not Path("runs").exists()


def nothing_half_done(stage: str, line: str) -> None:
    """Check that the one run says that `stage` failed, and that nothing of it or later is there."""
    run_dir = Path("runs/latest").resolve()
    names = {p.name for p in run_dir.parent.iterdir() if not p.is_symlink()}
    assert names == {".lock", run_dir.name}
    at = STAGES.index(stage)
    rest = ["pending"] * (len(STAGES) - at - 1)
    assert statuses(run_dir) == ["failed", *["complete"] * at, "failed", *rest]
    record = manifest(run_dir)["stages"][stage]
    assert record["outputs"] == {}
    assert one_line(record["error"]) == line.removeprefix("error: ")
    for later in build_stages()[at:]:
        for artifact in later.outputs:
            assert not (run_dir / ARTIFACTS[artifact]).exists(), artifact
    assert temporaries(run_dir.parent) == []
    assert not (run_dir.parent / "promoted").exists()


def test_what_the_refusals_are_held_to_can_fail() -> None:
    fine = Said(2, "", "error: seed: must be an integer. Got {'x': 1} instead.\n")
    refused(fine, 2, "seed")
    for bad in (
        Said(1, "", fine.err),
        Said(2, "half a result", fine.err),
        Said(2, "", fine.err + "Traceback (most recent call last):\n"),
        Said(2, "", "error: {name} must be {rule}\n"),
        Said(2, "", "error: " + "x" * LONGEST + "\n"),
        Said(2, "", "warning: odd\n"),
        Said(2, "", "error: \x1b[31mred\n"),
        Said(2, "", "error: something else\n"),
        Said(2, "", ""),
    ):
        with pytest.raises(AssertionError):
            refused(bad, 2, "seed")


# --- The configuration: a file, --set, the environment ------------------------------------------

DEEP = "a: " + "[" * 40 + "]" * 40
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
HYPER = "strategy.hyperparameters."
ONE_DQN = (
    HYPER,
    "strategy.model=dqm",
    "strategy.model=math",
    "strategy.model=user",
    "strategy.dtype=",
    "strategy.training.patience=-",
)
"""What begins so is tried on the strategy `dqn`."""
TRAINING = "strategy.training"

# Name -> content of my.yaml, and what the refusal must say.
BAD_FILES: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "unknown section": (
        "seed: 1\nstratgy: {}\n",
        ("my.yaml:2: stratgy: unknown key. Did you mean 'strategy'?",),
    ),
    "unknown key deep down": (
        "strategy:\n  name: dqn\n  hyperparameters:\n    lerning_rate: 1e-3\n",
        ("my.yaml:4: strategy.hyperparameters.lerning_rate: unknown key.", "'learning_rate'?"),
    ),
    "duplicate key": (
        "seed: 1\nstrategy: {}\nseed: 2\n",
        ("my.yaml:3: seed: duplicate key, first given on line 1.",),
    ),
    "wrong type": (
        "seed: ten\n",
        ("seed: must be an integer in [0, 9223372036854775807]. Got 'ten' instead.",),
    ),
    "NO is text": (
        "strategy: {name: dqn, training: {counterfactual: NO}}\n",
        ("my.yaml:1: strategy.training.counterfactual: must be true or false. Got 'NO' instead.",),
    ),
    "a clock time is text": (
        "seed: 12:30\n", ("seed: must be an integer in [0, 9223372036854775807]. Got '12:30'",),
    ),
    "alias": ("seed: &s 1\nsplit: {test: *s}\n", ("my.yaml:1: seed: anchors (&s) are not",)),
    "alias bomb": (BOMB, ("my.yaml:1: a: anchors (&a) are not allowed.",)),
    "alias alone": ("seed: *s\n", ("my.yaml:1: seed: aliases (*s) are not allowed.",)),
    "deep nesting": (DEEP, ("my.yaml:1: a", "nested deeper than 32 levels.")),
    "too large": ("# " + "x" * 300_000, ("my.yaml: a configuration may have at most 262144 by",)),
    "tab": ("strategy:\n\tdtype: 5\n", ("my.yaml:2: not valid YAML", "YAML indents with spaces.")),
    "tag": (
        "seed: !!python/object/apply:os.system ['true']\n",
        ("my.yaml:1: seed: tags are not allowed. Got 'tag:yaml.org,2002:python/object",),
    ),
    "root is a list": ("- seed: 1\n", ("my.yaml:1: must be a mapping of keys to values, not a l",)),
    "root is a word": ("seed\n", ("my.yaml:1: must be a mapping of keys to values, not a single",)),
    "two documents": ("seed: 1\n---\nseed: 2\n", ("a second document ('---') is not allowed.",)),
    "YAML 1.1": ("%YAML 1.1\n---\nseed: 1\n", ("my.yaml:", "must be YAML 1.2, not %YAML 1.1.")),
    "open bracket": ("trading:\n  positions: [0, 1\n", ("my.yaml:3: not valid YAML: expected",)),
    "control character": ("seed: 1\n# \x07\n", ("my.yaml:2: not valid YAML: the character U+00",)),
    "key that is a list": ("? [a]\n: 1\n", ("my.yaml:1: a key must be plain, non-empty text.",)),
    "not UTF-8": (b"seed: 1\n# caf\xe9\n", ("my.yaml:2: must be UTF-8. Got the byte 0xe9.",)),
    "number too large": ("seed: 1e999\n", ("seed: the number is too large for a 64-bit float",)),
    "section is null": ("strategy:\n", ("my.yaml:1: strategy: must be a strategy: a name, or",)),
    "section is a list": ("trading: [1]\n", ("my.yaml:1: trading: must be a section (a mapping",)),
    "unknown feature": (
        "features:\n  columns:\n    - {name: atr}\n    - {name: rsii}\n",
        ("my.yaml:4: features.columns[1]: ", "unknown feature 'rsii'. Did you mean 'rsi"),
    ),
    "unknown parameter of a feature": (
        "features:\n  columns:\n    - {name: rsi, perod: 3}\n",
        ("my.yaml:3: features.columns[0].perod: ", "unknown key. Did you mean 'period'?"),
    ),
    "feature without a name": (
        "features:\n  columns:\n    - {period: 3}\n",
        ("my.yaml:3: features.columns[0]", "must be a mapping with a name and parameters."),
    ),
    "feature is a number": ("features: {columns: [3]}\n", ("my.yaml:1: features.columns[0]",)),
    "feature's period 0": (
        "features:\n  columns:\n    - {name: rsi, period: 0}\n",
        ("my.yaml:3: features.columns[0].period: ", "must be an integer in [1, 1e6]. Got 0"),
    ),
    "no features": ("features: {columns: []}\n", ("features.columns: must be a non-empty list",)),
    "a price as a feature": (
        "features: {columns: [{name: column, columns: [close]}]}\n",
        ("must be names of side data, not open, high, low, close, volume", "('close',)"),
    ),
    "user's module is missing": (
        "features:\n  columns:\n    - {name: 'user_prats:raises'}\n",
        ("my.yaml:3: ", "cannot import 'user_prats': it is not installed, and not in"),
    ),
    "user's function is missing": (
        "features:\n  columns:\n    - {name: 'user_parts:riases'}\n",
        ("my.yaml:3: ", "cannot find 'riases' in 'user_parts:riases'. Did you mean 'raises'?"),
    ),
    "user's function wants more": (
        "features:\n  columns:\n    - {name: 'user_parts:periodic'}\n",
        ("must take (bars, **params): missing a required argument: 'period'.",),
    ),
    "user's function has no such parameter": (
        "features:\n  columns:\n    - {name: 'user_parts:periodic', perod: 3}\n",
        ("feature 'user_parts:periodic' has no parameter 'perod'. Did you mean 'period'?",),
    ),
    "user's function is a number": (
        "features:\n  columns:\n    - {name: 'user_parts:number'}\n",
        ("feature 'user_parts:number' must be a class or function. Got 3.",),
    ),
    "unknown parameter of a source": (
        "data:\n  source: csv\n  params:\n    path: prices.csv\n    symbl: X\n",
        ("my.yaml:5: data.params.symbl: ", "unknown key. Did you mean 'symbol'?"),
    ),
    "source without its path": (
        "data: {source: csv}\n",
        ("my.yaml:1: data.params.path: is required and has no default.",),
    ),
    "NUL in a path": (
        'data: {source: csv, params: {path: "a\\0b"}}\n',
        (r"data.params.path: must be a path. Got 'a\x00b' instead.",),
    ),
    "unknown symbol of the sample": (
        "data:\n  params:\n    symbols: [IBM, APPL]\n",
        ("my.yaml:3: data.params.symbols[1]: must be 'AAPL', 'GOOG'", "Did you mean 'AAPL'?"),
    ),
    "unknown synthetic market": (
        "data: {source: synthetic, params: {kind: sinusoid}}\n",
        ("must be 'random_walk', 'ornstein", "Got 'sinusoid'", "Did you mean 'sinusoids'?"),
    ),
    "parameter of another market": (
        "data: {source: synthetic, params: {phi: 0.5}}\n",
        (
            "The phi parameter of SyntheticSource belongs to the kind ar1_signal, product_signal, "
            "gated_momentum, but the kind is random_walk.",
        ),
    ),
    "unknown time zone": (
        "data: {source: csv, params: {path: prices.csv, timezone: Europe/Berln}}\n",
        ("Got 'Europe/Berln' instead. Did you mean 'Europe/Berlin'?",),
    ),
    "fractions leave no training": (
        "split:\n  validation: 0.6\n  test: 0.8\n",
        ("my.yaml:2: split.validation: ", "to train on beside a test share of 0.8. Got 0.6"),
    ),
    "validation after test": (
        "split:\n  kind: single\n  validation_start: 2010-01-01\n  test_start: 2009-01-01\n",
        ("my.yaml:3: split.validation_start: ", "must be before test_start (2009-01-01)."),
    ),
    "several mistakes": (
        "seed: x\nstrategy: {training: {steps: y}}\n",
        ("my.yaml:1: seed: must be an integer", "Got 'x' instead. (and 1 more: strategy.training"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_configuration_file(rsc: Rsc, case: str) -> None:
    content, fragments = BAD_FILES[case]
    Path("my.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    lines = [
        refused(rsc(*command, "--config", "my.yaml"), 2, *fragments)
        for command in (["run"], ["config", "check"])
    ]
    assert lines[0] == lines[1]
    assert lines[0].startswith("error: my.yaml:")
    nothing_began()


# --set, and what the refusal must say behind "error: --set <override>: ".
BAD_OVERRIDES: dict[str, tuple[str, ...]] = {
    "": ("must have the form dotted.key=value.",),
    "seed": ("--set seed: must have the form dotted.key=value.",),
    "=5": ("--set =5: must have the form dotted.key=value.",),
    "strategy..training=1": ("must have the form dotted.key=value.",),
    "strategy.training.step=1": (TRAINING + ".step: unknown key. Did you mean 'steps'?",),
    "training.steps=1": ("training: unknown key. Did you mean 'strategy.training'?",),
    "steps=1": ("steps: unknown key. Did you mean 'strategy.training.steps'?",),
    "data.params.path=p.csv": (
        "unknown key. The source is 'sample'; to read with another, set data.source, too: csv or",
    ),
    "data.params.kind=x": ("set data.source, too: synthetic.",),
    "strategy.training.steps.x=1": (
        TRAINING + ".steps: must be an integer in [1, 1e9]. Got {'x': 1}",
    ),
    "strategy.training.steps=many": (
        TRAINING + ".steps: must be an integer in [1, 1e9]. Got 'many'",
    ),
    "strategy.training.steps=": (TRAINING + ".steps: must be an integer in [1, 1e9]. Got None",),
    "strategy.training.steps=1.5": (TRAINING + ".steps: must be an integer in [1, 1e9]. Got 1.5",),
    "strategy.training.steps=true": (
        TRAINING + ".steps: must be an integer in [1, 1e9]. Got True",
    ),
    "strategy.training.steps=0": ("must be an integer in [1, 1e9]. Got 0 instead.",),
    "strategy.training.steps=10000000000000000000000": ("an integer in [1, 1e9].",),
    "strategy.training.patience=-1": ("must be an integer in [0, 1e9]. Got -1 instead.",),
    "strategy.training.patience=3": (
        TRAINING + ".patience: unknown key. It is a key of 'dqn': set strategy.name, too.",
    ),
    "strategy.model=dqn": (
        "strategy.model: unknown key. It is a key of 'dqn': set strategy.name, too.",
    ),
    "strategy.training.agents=1": ("must be an integer in [2, 1000]. Got 1 instead.",),
    "strategy.training.batch_size=1000000": (
        TRAINING + ".batch_size: must be within the memory; this needs about 51.2 GB", "Got 100000",
    ),
    "strategy.kappa=-0.5": ("strategy.kappa: must be a number in [0, 1000]. Got -0.5 instead.",),
    "strategy.baseline=lng": ("Got 'lng' instead. Did you mean 'long'?",),
    "strategy.training=5": (TRAINING + ": must be a section (a mapping of keys to values). Got 5",),
    "trading.positions=[0, 1": ("not valid YAML: expected ',' or ']'",),
    "seed=*a": ("aliases (*a) are not allowed.",),
    "seed=!!int 3": ("tags are not allowed.",),
    "seed=-1": ("seed: must be an integer in [0, 9223372036854775807]. Got -1",),
    "seed=.nan": ("seed: must be an integer in [0, 9223372036854775807]. Got nan instead.",),
    "data.source=sampel": ("unknown data source 'sampel'. Did you mean 'sample'?",),
    "data.source=math:pi": (CLOSED,),
    "data.source=user_parts:number": ("must be a class or function. Got 3",),
    "data.source=nowhere:Source": ("cannot import 'nowhere': it is not installed, and not in",),
    "data.source=.here:Source": ("'.here': that is not the name of a module",),
    "data.source=broken_parts:S": ("importing 'broken_parts' raised ZeroDivisionError: division",),
    "data.source=syntax_parts:S": ("importing 'syntax_parts' raised SyntaxError: invalid syntax",),
    "data.source=exit_parts:S": ("importing 'exit_parts' raised SystemExit: 0",),
    "trading.reward=log_grwth": ("unknown reward 'log_grwth'. Did you mean 'log_growth'?",),
    "trading.reward=math:pi": (CLOSED,),
    "trading.reward=numpy:zzzq": ("cannot find 'zzzq' in 'numpy:zzzq'. Valid names: ", " more."),
    "strategy.model=dqm": ("strategy.model: unknown model 'dqm'. Did you mean 'dqn'?",),
    "strategy.model=math:pi": (CLOSED,),
    "strategy.model=user_parts:Thing": ("class 'user_parts:Thing' is not a model: it lacks build",),
    "strategy.dtype=float23": ("must be 'float32' or 'float64'. Got 'float23'", "mean 'float32'?"),
    "deployment.broker=simulatd": ("unknown broker 'simulatd'. Did you mean 'simulated'?",),
    "deployment.broker=math:pi": (CLOSED,),
    "deployment.broker=user_parts:Thing": ("is not a broker: it lacks submit, poll, posit",),
    HYPER + "hidden_layers=[]": ("must be a non-empty list of at most 100 items. Got [] instead.",),
    HYPER + "hidden_layers=[0]": ("hidden_layers[0]: must be an integer in [1, 100000].", "Got 0"),
    HYPER + "hidden_layers=[a]": ("hidden_layers[0]: must be an integer", "Got 'a' instead."),
    HYPER + "hidden_layers=64": (
        "hidden_layers: must be a non-empty list of at most 100 items. Got 64 instead.",
    ),
    HYPER + "hidden_layers=[10000000000000]": ("in [1, 100000]. Got 10000000000000 instead",),
    HYPER + "learning_rate=0": ("must be a number in [1e-12, 1e30]", "Got 0 instead."),
    HYPER + "learning_rate=-1": ("must be a number in [1e-12, 1e30]", "Got -1 instead."),
    HYPER + "learning_rate=.nan": ("must be a finite number in [1e-12, 1e30]", "Got nan instead."),
    HYPER + "learning_rate=.inf": ("must be a finite number in [1e-12, 1e30]", "Got inf instead."),
    HYPER + "learning_rate=fast": ("must be a number in [1e-12, 1e30]", "Got 'fast' instead."),
    HYPER + "adam_beta2=1": ("must be a number in [0, 1). Got 1 instead.",),
    HYPER + "gamma=1.5": ("must be a number in [0, 1]. Got 1.5 instead.",),
    HYPER + "exploration_final=2": ("must be a number in [0, 1]. Got 2",),
    HYPER + "batch_size=0": ("must be an integer in [1, 1e6]. Got 0 instead.",),
    HYPER + "batch_size=200000": ("must be at least batch_size (200000). Got 100000 instead.",),
    "trading.positions=[]": ("must be a list of 2 to 1000 items. Got [] instead.",),
    "trading.positions=[0]": ("must be a list of 2 to 1000 items. Got [0]",),
    "trading.positions=[0.5, 1]": ("list of finite exposures that includes 0. Got [0.5",),
    "trading.positions=[1, 0]": ("list of finite exposures that includes 0. Got [1.0, ",),
    "trading.positions=[0, 1, 1]": ("an increasing list of finite exposures that includes 0.",),
    "trading.positions=[0, .nan]": (
        "trading.positions[1]: must be a finite number in [-1000, 1000]. Got nan",
    ),
    "trading.positions=[0, long]": (
        "positions[1]: must be a number in [-1000, 1000]. Got 'long' instead.",
    ),
    f"trading.positions=[{', '.join(['0'] * 2000)}]": (
        "must be a list of 2 to 1000 items.", "... instead.",
    ),
    "trading.costs.commission_bps=-1": ("must be a number in [0, 5000). Got -1",),
    "trading.costs.spread_bps=6000": ("must be a number in [0, 5000). Got 6000",),
    "trading.costs.slippage_bps=.inf": ("must be a finite number in [0, 5000). Got inf",),
    "trading.costs.comission_bps=1": ("unknown key. Did you mean 'commission_bps'?",),
    "trading.initial_equity=0": ("must be a number in [0.001, 1e15]. Got 0 instead.",),
    "trading.rebalance=montly": (
        "must be 'never', 'daily', 'weekly' or 'monthly' or an integer in [1, 1e7].",
        "Got 'montly' instead. Did you mean 'monthly'?",
    ),
    "trading.rebalance=0": ("or an integer in [1, 1e7]. Got 0 instead.",),
    "split.test=0": ("must be a number in [0.0001, 1) or null. Got 0 instead.",),
    "split.test=20%": ("split.test: must be a number in [0.0001, 1) or null. Got '20%' instead.",),
    "split.test_start=yesterday": ("must be an ISO 8601 date or time such as '2012-06-30'.",),
    "split.embargo_bars=-1": ("must be an integer in [0, 1e7]. Got -1 instead.",),
    "strategy.scaler.kind=standrd": ("Got 'standrd' instead. Did you mean 'standard'?",),
    "features.columns=5": (
        "features.columns: must be a non-empty list of at most 1000 items. Got 5 instead.",
    ),
    'evaluation.benchmarks=[{"name": "moving_average_crossover", "slow": 20}]': (
        "evaluation.benchmarks[0].slow: must be above fast (20). Got 20 instead.",
    ),
    "evaluation.benchmarks=[falt]": ("unknown strategy 'falt'. Did you mean 'flat'?",),
    "strategy=oracle": ("strategy: must be a strategy without foresight",),
    "deployment.thresholds.max_drawdown=1.5": ("must be a number in (0, 1] or null.",),
    "deployment.thresholds.min_sharp=1": ("unknown key. Did you mean 'min_sharpe'?",),
}  # fmt: skip


@pytest.mark.parametrize("override", BAD_OVERRIDES, ids=lambda o: o[:50] or "empty")
def test_a_bad_override(rsc: Rsc, override: str) -> None:
    one = ("--set", "strategy.name=dqn") if override.startswith(ONE_DQN) else ()
    line = refused(rsc("run", *one, "--set", override), 2, *BAD_OVERRIDES[override])
    assert line.startswith(f"error: --set {override[:70]}")
    nothing_began()


@pytest.mark.parametrize(
    ("name", "value", "fragment"),
    [
        (
            "STRATEGY__TRAINING__STEPS",
            "x",
            "steps: must be an integer in [1, 1e9]. Got 'x' instead.",
        ),
        ("STRATGY__DTYPE", "5", "stratgy: unknown key. Did you mean 'strategy'?"),
        ("SEED", "[1", "not valid YAML"),
        ("", "1", "has an empty level."),
        ("STRATEGY____STEPS", "1", "has an empty level."),
        ("STRATEGY", "{name: dqn, model: dqm}", "unknown model 'dqm'. Did you mean 'dqn'?"),
    ],
)
def test_a_bad_environment_variable(
    rsc: Rsc, monkeypatch: pytest.MonkeyPatch, name: str, value: str, fragment: str
) -> None:
    monkeypatch.setenv(f"RSC_CONFIG__{name}", value)
    line = refused(rsc("run"), 2, fragment)
    assert line.startswith(f"error: environment variable RSC_CONFIG__{name}: ")
    nothing_began()


def test_an_environment_variable_with_one_underscore(
    rsc: Rsc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSC_CONFIG_STRATEGY__TRAINING__STEPS", "5")
    refused(
        rsc("run"),
        2,
        "environment variable RSC_CONFIG_STRATEGY__TRAINING__STEPS: levels are joined by",
    )
    nothing_began()


@pytest.mark.parametrize(
    ("path", "fragments"),
    [
        ("quik.yaml", ["quik.yaml: no such file. Did you mean 'quick.yaml'?"]),
        ("nowhere/my.yaml", ["nowhere/my.yaml: no such file. There is no folder 'nowhere'."]),
        (".", [".: is a directory, not a configuration file."]),
        ("socket", ["'socket': cannot be read: "]),
        ("loop", ["'loop': cannot be read: Too many levels of symbolic links."]),
    ],
)
def test_a_configuration_file_that_cannot_be_read(
    rsc: Rsc, path: str, fragments: list[str]
) -> None:
    Path("loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as unreadable:  # also for root
        unreadable.bind("socket")
        refused(rsc("run", "--config", path), 2, *fragments)
    nothing_began()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_without_permission(rsc: Rsc) -> None:
    for name in ("quick.yaml", "prices.csv"):
        Path(name).chmod(0)
    refused(rsc("run", "--config", "quick.yaml"), 2, "'quick.yaml': cannot be read: Permission")
    refused(rsc("data", "check", "prices.csv"), 1, "prices.csv: cannot be read: Permission denied")


# --- Data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", BAD_CSV)
def test_a_bad_csv_file(rsc: Rsc, case: str) -> None:
    content, fragments = BAD_CSV[case]
    Path("prices.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    checked = refused(rsc("data", "check", "prices.csv"), 1, *fragments)
    nothing_began()
    said = rsc("run", "-c", "quick.yaml", *source("csv", "path: prices.csv"))
    line = refused(said, 1, *fragments, began=True)
    assert line == checked or case == "the future"  # there, both tell the time
    nothing_half_done("data_ingestion", line)


def source(name: str, parameters: str) -> list[str]:
    return ["--set", f"data.source={name}", "--set", f"data.params={{{parameters}}}"]


# Source, its parameters, and what the refusal must say.
BAD_SOURCES: dict[str, tuple[str, str, str]] = {
    "no such file": ("csv", "path: price.csv", "price.csv: no such file. Did you mean 'prices"),
    "no such folder": ("csv", "path: no/p.csv", "no/p.csv: no such file. There is no folder 'no'."),
    "a folder without CSV": ("csv", "path: empty", "empty: the folder contains no .csv or"),
    "a bad file in a folder": ("csv", "path: folder", "folder/B.csv: B: close must be > 0: line 7"),
    "a symbol twice": ("csv", "path: twice", "twice/A.txt: the symbol 'A' occurs twice."),
    "a link to itself": ("csv", "path: loop.csv", "loop.csv: cannot be read: Too many levels of"),
    "too large": ("csv", "path: large.csv", "large.csv: has 3221225472 bytes; a file may have at"),
    "a pipe": ("csv", "path: pipe.csv", "pipe.csv: is not a regular file."),
    "no such column": (
        "csv", "path: prices.csv, columns: {close: clos}", "no column 'clos' for close. Did you m"),
    "nothing to ignore": (
        "csv", "path: prices.csv, ignore: [vol]", "no column 'vol' to ignore. Did you mean 'vol"),
    "another date format": (
        "csv", "path: prices.csv, date_format: '%d/%m/%Y'", "'2024-01-01' does not fit date_form"),
    "no date format": (
        "csv", "path: prices.csv, date_format: '%Q'", "'%Q' is not a strptime format"),
    "everything is later": (
        "csv", "path: prices.csv, as_of: 2020-01-01", "prices: no bar closes by 2020-01-01 "),
    "no adjusted close": (
        "csv", "path: prices.csv, adjusted_close: require", "no column for adj_close; the file"),
    "junk as Parquet": ("parquet", "path: junk.parquet", "junk.parquet: cannot be read as Parquet"),
    "CSV as Parquet": ("parquet", "path: prices.csv", "prices.csv: cannot be read as Parquet"),
    "no such Parquet": ("parquet", "path: jnk.parquet", "no such file. Did you mean 'junk.parquet"),
    "a sample of nothing": (
        "sample", "start: 2050-01-01", "AAPL has no bars from start 2050-01-01; its bars run from"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_SOURCES)
def test_a_bad_source(rsc: Rsc, case: str) -> None:
    for name in ("empty", "folder", "twice"):
        Path(name).mkdir()
    Path("folder/A.csv").write_text(text(good_rows()))
    content = BAD_CSV["price negative"][0]
    assert isinstance(content, str)
    Path("folder/B.csv").write_text(content)
    for name in ("twice/A.csv", "twice/A.txt"):
        Path(name).write_text(text(good_rows()))
    Path("loop.csv").symlink_to("loop.csv")
    os.mkfifo("pipe.csv")
    with Path("large.csv").open("wb") as file:
        file.truncate(3 * 1024**3)  # a hole: it takes no room
    Path("junk.parquet").write_bytes(b"PAR1junkPAR1")
    name, parameters, fragment = BAD_SOURCES[case]
    said = rsc("run", "-c", "quick.yaml", *source(name, parameters))
    line = refused(said, 1, fragment, began=True)
    nothing_half_done("data_ingestion", line)


@pytest.mark.parametrize(
    ("arguments", "code", "fragment"),
    [
        (["price.csv"], 1, "price.csv: no such file. Did you mean 'prices.csv'?"),
        (
            ["quick.yaml"],
            2,
            "quick.yaml: is a configuration, not data. Check the data that it names",
        ),
        (["prices.xls"], 1, "prices.xls: no such file. Did you mean 'prices.csv'?"),
        (["prices.csv", "-s", "symbl=X"], 2, "no parameter 'symbl'. Did you mean 'symbol'?"),
        (["prices.csv", "-s", "symbol"], 2, "--set symbol: must have the form dotted.key=value."),
        (["prices.csv", "-s", "path=x"], 2, "--set path=x: must be a parameter of the source"),
    ],
)
def test_a_bad_check_of_data(rsc: Rsc, arguments: list[str], code: int, fragment: str) -> None:
    refused(rsc("data", "check", *arguments), code, fragment)


# --- Features and rewards that only a market shows to be wrong ------------------------------------

USER = "features.columns=[{name: 'user_parts:%s'}]"
# Overrides, the exit code, the stage that fails, and what the refusal must say.
BAD_ON_A_MARKET: dict[str, tuple[list[str], int, str, str]] = {
    "too few bars": (
        ["data.params.n_bars=12"], 1, "feature_engineering",
        "SYN: the features' lookback (2 bars) and the split (20): 22 bars are needed. Got "
        "12, 10 too few.",
    ),
    "too few bars for a lookback": (
        ["features.columns=[{name: moving_average_distance, periods: [400]}]"], 1,
        "feature_engineering",
        "lookback (399 bars) and the split (20): 419 bars are needed. Got 300, 119 too few.",
    ),
    "a date after the data": (
        ["split.test_start=2100-01-01"], 1, "feature_engineering",
        "test 0; each span needs at least 2. The bars run from 2000-01-04 to 2000-10-27.",
    ),
    "a feature twice": (
        ["features.columns=[{name: rsi}, {name: rsi}]"], 2, "feature_engineering",
        "features must have different column names. Got 'rsi_14' from 'rsi' and 'rsi'.",
    ),
    "side data that is not there": (
        ["features.columns=[{name: column, columns: [sentiment]}]"], 1, "feature_engineering",
        "SYN: feature 'column': the data has no column 'sentiment'. It has no side data.",
    ),
    "side data misspelt": (
        ["features.columns=[{name: column, columns: [sinn1]}]", "data.params.kind=sinusoids"], 1,
        "feature_engineering", "the data has no column 'sinn1'. Did you mean 'sin1'?",
    ),
    "feature raises": ([USER % "raises"], 1, "feature_engineering", "raised KeyError: 'clse'"),
    "feature raises a novel": (
        [USER % "talks"], 1, "feature_engineering", r"raised ValueError: many words\nmany words\n",
    ),
    "feature too short": (
        [USER % "short"], 1, "feature_engineering",
        "must return an array of shape (300,) or (300, k). Got (299,) instead.",
    ),
    "feature of three dimensions": (
        [USER % "cube"], 1, "feature_engineering", "Got (300, 2, 2) instead.",
    ),
    "feature of text": (
        [USER % "texts"], 1, "feature_engineering", "raised ValueError: could not convert string",
    ),
    "feature with a NaN": (
        [USER % "holes"], 1, "feature_engineering",
        "column 'holes' must be finite from row 0 on. Got nan at row 100 (2000-04-11",
    ),
    "feature that sees tomorrow": (
        [USER % "tomorrow"], 1, "feature_engineering",
        "SYN: feature 'user_parts:tomorrow': column 'tomorrow' looks ahead: its row ",
    ),
    "feature with a mean of everything": (
        [USER % "whole_mean"], 1, "feature_engineering", "'whole_mean' looks ahead: its row 0 ",
    ),
    "reward raises": (
        ["trading.reward=user_parts:reward_raises"], 2, "training",
        "reward 'user_parts:reward_raises' raised ZeroDivisionError: oh",
    ),
    "reward of another shape": (
        ["trading.reward=user_parts:reward_short"], 2, "training",
        "must return one number per growth, shape (",
    ),
    "reward NaN": (
        ["trading.reward=user_parts:reward_nan"], 2, "training",
        "reward 'user_parts:reward_nan' must return finite numbers. Got nan for a growth of ",
    ),
    "learning that overflows": (
        ["strategy.hyperparameters.learning_rate=1e29"], 1, "training",
        "training step 2: NaN or infinity in the outputs of layer ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ON_A_MARKET)
def test_bad_on_a_market(rsc: Rsc, case: str) -> None:
    overrides, code, stage, fragment = BAD_ON_A_MARKET[case]
    said = rsc("run", "-c", "quick.yaml", *(x for o in overrides for x in ("--set", o)))
    line = refused(said, code, fragment, began=True)
    nothing_half_done(stage, line)
    refused(rsc("report", "latest"), 1, "has no report yet (status: failed); continue the run")


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("data.params.n_bars=12", "data.params.n_bars=300"),
        (USER % "tomorrow", "features.columns=[{name: returns}]"),
        ("trading.reward=user_parts:reward_nan", "trading.reward=log_growth"),
    ],
)
def test_a_mistake_put_right(rsc: Rsc, bad: str, good: str) -> None:
    assert rsc("run", "-c", "quick.yaml", "--set", bad).code > 0
    assert rsc("run", "--resume", "latest", "--set", good).code == 0
    assert statuses(Path("runs/latest")) == ["complete"] * 6


# --- Runs: names, resume, report ------------------------------------------------------------------

RULE = (
    "a run's name must be 1 to 100 letters, digits, '.', '_' or '-', begin with a letter or digit"
)
RESERVED = "'latest' or 'promoted' or 'looks.jsonl' or 'studies' or 'comparisons'"


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["run", "--run-id", "../x"], f"{RULE}, and not be {RESERVED}. Got '../x' instead."),
        (["run", "--run-id", "a/b"], RULE),
        (["run", "--run-id", "a\0b"], rf"{RULE}, and not be {RESERVED}. Got 'a\x00b' instead."),
        (["run", "--run-id", "a\\b"], RULE),
        (["run", "--run-id", ""], RULE),
        (["run", "--run-id", ".hidden"], RULE),
        (["run", "--run-id", "Latest"], RULE),
        (["run", "--run-id", "promoted"], RULE),
        (["run", "--run-id", "looks.jsonl"], RULE),
        (["run", "--run-id", "x" * 5000], RULE),
        (["run", "--run-id", "\x1b[31m"], RULE),
        (["run", "--resume", "nope"], "runs: no run named 'nope'. There are no runs in runs."),
        (["run", "--resume", "latest"], "runs/latest: there is no latest run yet."),
        (["run", "--resume", "../x"], "../x: no such run folder."),
        (["run", "--resume", "a\0b"], r"cannot contain a NUL character. Got 'a\x00b' instead."),
        (["run", "--resume", "x", "--config", "y"], "--config cannot be combined with --resume"),
        (["run", "--resume", "x", "--run-id", "y"], "--run-id cannot be combined with --resume"),
        (["run", "--runs-dir", "prices.csv"], "prices.csv: is not a folder."),
        (["run", "--runs-dir", "prices.csv/runs"], "cannot be created: Not a directory."),
        (["report", "nope"], "runs: no run named 'nope'. There are no runs in runs."),
        (["report", "latest"], "runs/latest: there is no latest run yet."),
        (["report", "./nowhere"], "./nowhere: no such run folder."),
        (["report", "./store"], "store/manifest.json: no such file: the run never started, or is"),
    ],
)
def test_a_bad_name_of_a_run(rsc: Rsc, arguments: list[str], fragment: str) -> None:
    Path("store").mkdir()
    refused(rsc(*arguments), 2 if "combined" in fragment else 1, fragment)
    nothing_began()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that is complete."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "quick.yaml").write_text(QUICK)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["rsc", "run", "-c", "quick.yaml", "--run-id", "mine"])
        assert main() == 0
    return folder / "runs"


@pytest.fixture
def mine(rsc: Rsc, finished: Path) -> Path:
    shutil.copytree(finished, "runs", symlinks=True)
    return Path("runs/mine")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_name_that_is_taken_or_misspelt(rsc: Rsc, mine: Path) -> None:
    before = snapshot(Path("runs"))
    refused(rsc("run", "--run-id", "mine"), 1, "the run 'mine' already exists in runs. Continue it")
    refused(rsc("run", "--resume", "mime"), 1, "no run named 'mime'. Did you mean 'mine'?")
    refused(rsc("report", "mime"), 1, "runs: no run named 'mime'. Did you mean 'mine'?")
    said = rsc("run", "--resume", "mine", "--set", "strategy.training.stps=3")
    refused(
        said,
        2,
        "strategy.training.stps=3: strategy.training.stps: unknown key. Did you mean 'steps'?",
    )
    assert snapshot(Path("runs")) == before


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Return an edit that a program with a defect could make: the seal is right."""

    def edit(run_dir: Path) -> None:
        found = manifest(run_dir)
        change(found)
        (run_dir / "manifest.json").write_text(sealed_text(found))

    return edit


def training(**values: Any) -> Callable[[Path], None]:
    return edited(lambda found: found["stages"]["training"].update(values))


def overwrite(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda run_dir: (run_dir / name).write_bytes(content) and None


def replaced(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def replace(run_dir: Path) -> None:
        content = (run_dir / name).read_bytes()
        assert old in content
        (run_dir / name).write_bytes(content.replace(old, new))

    return replace


def remove(name: str) -> Callable[[Path], None]:
    return lambda run_dir: (run_dir / name).unlink()


DAMAGED = "runs/mine/manifest.json: is damaged: "
BAD_RUNS: dict[str, tuple[Callable[[Path], None], int, str]] = {
    "no manifest": (remove("manifest.json"), 1, "the run never started, or is not a run."),
    "manifest cut off": (overwrite("manifest.json", b'{"format":'), 1, f"{DAMAGED}not valid JSON"),
    "manifest of junk": (overwrite("manifest.json", b"\xff\xfe"), 1, f"{DAMAGED}not valid JSON"),
    "manifest empty": (overwrite("manifest.json", b""), 1, f"{DAMAGED}not valid JSON"),
    "another format": (edited(lambda m: m.update(format=9)), 1, "was written by another version"),
    "no stages": (edited(lambda m: m.pop("stages")), 1, f"{DAMAGED}'stages'."),
    "unknown field": (edited(lambda m: m.update(extra=1)), 1, f"{DAMAGED}"),
    "unknown status": (training(status="done"), 1, f"{DAMAGED}stage 'training' is 'done'."),
    "outputs of another type": (training(outputs=[1]), 1, f"{DAMAGED}the outputs of stage 'train"),
    "a folder outside": (
        training(scratch=["training/../../../precious"], key="another"), 1,
        f"{DAMAGED}'training/../../../precious' is not a folder of stage 'training'.",
    ),
    "figures edited": (
        replaced("manifest.json", b'"promoted": false', b'"promoted": true'), 1,
        f"{DAMAGED}its content does not match its seal, so it was edited or cut. Start a new run "
        "with its configuration: rsc run --config runs/mine/config.yaml",
    ),
    "configuration of junk": (
        overwrite("config.yaml", b"a: [\n"), 2,
        "to have the run's own file written again, remove runs/mine/config.yaml.",
    ),
    "configuration edited": (
        replaced("config.yaml", b"seed: 7", b"seed: 8"), 2,
        "runs/mine/config.yaml: seed is 8 here, but 7 in the run's manifest. Change a key with "
        "--set; to have the run's own file written again, remove runs/mine/config.yaml.",
    ),
    "configuration cut": (
        overwrite("config.yaml", b"sed: 3\n"), 2,
        "runs/mine/config.yaml: sed is 3 here, but missing in the run's manifest.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_RUNS)
def test_a_damaged_run_is_not_continued(rsc: Rsc, mine: Path, case: str) -> None:
    Path("precious").mkdir()
    damage, code, fragment = BAD_RUNS[case]
    damage(mine)
    before = snapshot(mine)
    refused(rsc("run", "--resume", "mine"), code, fragment)
    assert snapshot(mine) == before
    assert Path("precious").is_dir()


def test_a_run_that_another_process_works_on(rsc: Rsc, mine: Path) -> None:
    with (mine / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused(rsc("run", "--resume", "mine"), 1, "the run 'mine' is in use by another")
    assert statuses(mine) == ["complete"] * 6


def test_a_latest_that_leads_astray(rsc: Rsc, mine: Path) -> None:
    latest = Path("runs/latest")
    for target in ("gone", "..", "/etc"):
        latest.unlink()
        latest.symlink_to(target)
        for command in (["report"], ["run", "--resume"]):
            said = rsc(*command, "latest")
            refused(said, 1, f"runs/latest: points to {target!r}, which is not a run in runs.")


def test_a_report_that_is_gone(rsc: Rsc, mine: Path) -> None:
    (mine / "evaluation/report.html").unlink()
    refused(
        rsc("report", "mine"),
        1,
        "has no report yet (status: complete); render it with: rsc report mine",
    )


def checkpoints(run_dir: Path) -> list[Path]:
    return sorted((run_dir / "training/checkpoints").iterdir())


def test_damaged_checkpoints_only(rsc: Rsc, mine: Path) -> None:
    training(status="running", outputs={})(mine)
    for path in checkpoints(mine):
        path.write_bytes(path.read_bytes()[:-50])
    fitted = mine / "training/fitted/policy.safetensors"
    fitted.write_bytes(fitted.read_bytes()[:-50])
    line = refused(rsc("run", "--resume", "mine"), 1, "no checkpoint can be read: ", began=True)
    for path in checkpoints(mine):
        assert path.name in line
    assert statuses(mine)[3:] == ["failed", "complete", "complete"]
    way = "rsc run --resume mine --restart training"
    assert line.endswith(f"Begin the stage again with: {way}")
    before = (mine / "training/policy.safetensors").read_bytes()
    assert rsc(*shlex.split(way)[1:]).code == 0
    assert statuses(mine) == ["complete"] * 6
    assert (mine / "training/policy.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "stage"), [("data/bars.parquet", 0), ("training/policy.safetensors", 2)]
)
def test_a_damaged_artifact_is_made_again_and_that_is_said(
    rsc: Rsc, mine: Path, name: str, stage: int
) -> None:
    before = (mine / name).read_bytes()
    (mine / name).write_bytes(b"junk")
    said = rsc("run", "--resume", "mine")
    assert said.code == 0
    artifact = next(a for a, where in ARTIFACTS.items() if where == name)
    title = f"[{stage + 1}/5] {STAGES[stage]}: "
    assert f"{title}{artifact} missing or damaged; running again\n" in said.err
    assert (mine / name).read_bytes() == before


# --- The main script, as a process ----------------------------------------------------------------


def as_process(folder: Path, *arguments: str, **environ: str) -> Said:
    done = script(folder, *arguments, **environ)
    return Said(done.returncode, done.stdout, done.stderr)


def test_the_main_script(rsc: Rsc, tmp_path: Path) -> None:
    said = as_process(tmp_path, "--set", "strategy.training.step=3")
    refused(
        said,
        2,
        "strategy.training.step=3: strategy.training.step: unknown key. Did you mean 'steps'?",
    )
    said = as_process(tmp_path, RSC_CONFIG__SEED="x")
    refused(
        said,
        2,
        "environment variable RSC_CONFIG__SEED: seed: must be an integer in [0, ",
    )
    nothing_began()


def test_the_main_script_on_bad_data(rsc: Rsc, tmp_path: Path) -> None:
    content, fragments = BAD_CSV["high below low"]
    assert isinstance(content, str)
    (tmp_path / "prices.csv").write_text(content)
    said = as_process(tmp_path, "-c", "quick.yaml", *source("csv", "path: prices.csv"))
    nothing_half_done("data_ingestion", refused(said, 1, *fragments, began=True))


def test_the_main_script_with_the_users_own_code(rsc: Rsc, tmp_path: Path) -> None:
    said = as_process(tmp_path, "-c", "quick.yaml", "--set", USER % "tomorrow")
    line = refused(said, 1, "column 'tomorrow' looks ahead", began=True)
    nothing_half_done("feature_engineering", line)


def test_there_are_more_than_fifty() -> None:
    configurations = len(BAD_FILES) + len(BAD_OVERRIDES)
    files = len(BAD_CSV) + len(BAD_SOURCES)
    assert min(configurations, files) > 50
    assert configurations + files + len(BAD_ON_A_MARKET) + len(BAD_RUNS) > 200
