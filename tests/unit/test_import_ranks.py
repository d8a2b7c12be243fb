"""Imports run one way; the learner imports NumPy alone; nothing unpickles or shares randomness.

The checker is a function over source text, so that planted violations can prove that it bites.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "reinforcestrategycreator_pipeline"
SOURCE = Path(__file__).parents[2] / "src" / PACKAGE

RANKS = {
    **dict.fromkeys(("", "action_masks", "arrays", "errors", "kernels"), 0),
    **dict.fromkeys(("registry", "checks", "seeding"), 0),
    **dict.fromkeys(
        ("files", "interrupts", "ohlcv", "storage", "runs", "trust", "limits", "memory"), 0
    ),
    **dict.fromkeys(("nn", "replay", "market", "features", "execution", "statistics"), 1),
    **dict.fromkeys(("envs", "models"), 2),
    **dict.fromkeys(("policies", "backtesting"), 3),
    **dict.fromkeys(("experiments", "tracking", "deployment", "verdict"), 4),
    "reporting": 5,
    "pipeline": 6,
    "api": 7,
    **dict.fromkeys(("cli", "dashboard"), 8),
    **dict.fromkeys(("testing", "__main__"), 9),
}

LIGHT_ROOTS = ("nn", "replay", "models.implementations.dqn")
LIGHT_INSIDE = ("nn", "replay", "models")  # and rank 0
# Imported by a function that one calls: to save, to export, to learn on a task.
LIGHT_WHEN_LAZY = {"safetensors", "gymnasium", "rich", "onnx", "threadpoolctl"}

UNPICKLERS = {"pickle", "cPickle", "_pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}
YAML_1_1 = {"yaml", "_yaml"}
GENERATORS = {"Generator", "BitGenerator", "SeedSequence", "PCG64", "default_rng"}


def family(module: str) -> str:
    """Return the entry of RANKS to which a module inside the package belongs."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in RANKS:
            return name
    return parts[0]


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[str, int, bool]]:
    """Yield every imported module, absolute, its line, and whether it is imported late or never."""
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        or (isinstance(function, ast.If) and ast.unparse(function.test) == "TYPE_CHECKING")
        for node in ast.walk(function)
    }
    here = [PACKAGE, *module.split(".")] if module else [PACKAGE]
    shown = {  # the root shows its names to type checkers; for Python they are lazy
        id(inner)
        for node in ast.walk(tree)
        if not module and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in shown:
            continue
        lazy = id(node) in inside
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, lazy
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = here if is_package else here[:-1]
                up = up[: len(up) - node.level + 1]
                base = ".".join([*up, *([node.module] if node.module else [])])
            yield base, node.lineno, lazy
            for alias in node.names:  # each may be a module, too
                yield f"{base}.{alias.name}", node.lineno, lazy
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("__import__", "import_module", "importlib.import_module")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value), node.lineno, lazy


def is_module(name: str) -> bool:
    """Tell whether a dotted name inside the package is a module of it, not a thing in one."""
    path = SOURCE.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def rank_violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return the imports of `module` that break the one-way rule."""
    own = family(module)
    if own not in RANKS:
        return [f"{module}: has no rank"]
    found = []
    for name, line, _ in imports(ast.parse(source), module, is_package):
        if name != PACKAGE and not name.startswith(f"{PACKAGE}."):
            continue
        target = name.removeprefix(PACKAGE).removeprefix(".")
        other = family(target)
        if other not in RANKS:
            if is_module(target):
                found.append(f"{module}:{line}: imports {target}, which has no rank")
            continue
        # A package itself is empty; from it one takes a module, which the next name is.
        if other == own or RANKS[other] == 0 or not target:
            continue
        if RANKS[other] >= RANKS[own]:
            found.append(f"{module}:{line}: rank {RANKS[own]} imports {other}, rank {RANKS[other]}")
    return found


def light_violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return the imports of a learner's module that are not NumPy, standard library or light."""
    found = []
    for name, line, lazy in imports(ast.parse(source), module, is_package):
        top = name.partition(".")[0]
        if top == PACKAGE:
            target = name.removeprefix(PACKAGE).removeprefix(".")
            inner = family(target)
            light = not target or RANKS.get(inner) == 0 or inner in LIGHT_INSIDE
            if (light and inner != "backtesting.results") or (inner not in RANKS):
                continue
        elif top in sys.stdlib_module_names or top == "numpy" or (top in LIGHT_WHEN_LAZY and lazy):
            continue
        found.append(f"{module}:{line}: imports {name}")
    return found


def banned(source: str, module: str) -> list[str]:
    """Return uses of unpickling, YAML 1.1, unsafe loads and shared random state."""
    tree = ast.parse(source)
    found = []
    numpy_names, random_names = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name
                if alias.name == "numpy":
                    numpy_names.add(bound)
                if alias.name == "numpy.random":
                    random_names.add(bound)
        if isinstance(node, ast.ImportFrom) and node.module == "numpy":
            random_names |= {a.asname or a.name for a in node.names if a.name == "random"}
        if isinstance(node, ast.ImportFrom) and node.module == "numpy.random":
            found += [
                f"{module}:{node.lineno}: numpy.random.{a.name}"
                for a in node.names
                if a.name not in GENERATORS
            ]
    random_names |= {f"{name}.random" for name in numpy_names}
    for name, line, _ in imports(tree, module, False):
        top = name.partition(".")[0]
        if top in UNPICKLERS | YAML_1_1 | {"random"}:
            found.append(f"{module}:{line}: imports {top}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if owner in random_names and node.attr not in GENERATORS:
                found.append(f"{module}:{node.lineno}: {owner}.{node.attr}")
            if node.attr in ("read_pickle", "to_pickle"):
                found.append(f"{module}:{node.lineno}: {node.attr}")
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.endswith("default_rng") and not (node.args or node.keywords):
                found.append(f"{module}:{node.lineno}: {called}() without a seed")
            for keyword in node.keywords:
                safe = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg == "allow_pickle" and not safe:
                    found.append(f"{module}:{node.lineno}: {called}(allow_pickle)")
            loads = called in {f"{n}.load" for n in numpy_names}
            if loads and len(node.args) > 2:  # allow_pickle is the third
                found.append(f"{module}:{node.lineno}: {called} with allow_pickle by position")
            if called in ("eval", "exec"):
                found.append(f"{module}:{node.lineno}: {called}")
    return found


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name inside it."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = list(path.relative_to(SOURCE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def light_modules() -> list[str]:
    """Return the learner's modules and all of the package that they import, at any distance."""
    todo = [m for m in MODULES if any(m == r or m.startswith(f"{r}.") for r in LIGHT_ROOTS)]
    seen: set[str] = set()
    while todo:
        module = todo.pop()
        if module in seen:
            continue
        seen.add(module)
        path = MODULES[module]
        names = imports(ast.parse(path.read_text("utf-8")), module, path.name == "__init__.py")
        inner = [n.removeprefix(f"{PACKAGE}.") for n, _, _ in names if n.startswith(f"{PACKAGE}.")]
        todo += [n for n in inner if n in MODULES]
    return sorted(seen)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    path = MODULES[module]
    assert rank_violations(path.read_text("utf-8"), module, path.name == "__init__.py") == []


def imported() -> dict[str, set[str]]:
    """Return each module's imports from the package, those for type checkers and late ones too."""
    found = {}
    for module, path in MODULES.items():
        names = imports(ast.parse(path.read_text("utf-8")), module, path.name == "__init__.py")
        inner = {name.removeprefix(f"{PACKAGE}.") for name, _, _ in names}
        # A module has its own package anyway: `from package import other` names it.
        own = {module, *(name for name in inner if module.startswith(f"{name}."))}
        found[module] = {name for name in inner if name in MODULES} - own
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of a circle of imports, of any length; empty if there is none."""
    done: set[str] = set()

    def visit(module: str, way: list[str]) -> list[str]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module not in done:
            for other in sorted(graph[module]):
                if found := visit(other, [*way, module]):
                    return found
            done.add(module)
        return []

    return next(filter(None, (visit(module, []) for module in graph)), [])


def test_no_modules_import_each_other_not_even_for_type_checkers() -> None:
    assert circle(imported()) == []


def test_a_planted_circle_is_caught() -> None:
    graph = imported()
    assert "nn.network" in graph["models.implementations.dqn"]
    graph["nn.network"] = {*graph["nn.network"], "models.implementations.dqn"}
    assert circle(graph)[0] == circle(graph)[-1]
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


@pytest.mark.parametrize("module", [m for m in MODULES if not m.startswith("testing")])
def test_nothing_banned(module: str) -> None:
    assert banned(MODULES[module].read_text("utf-8"), module) == []


@pytest.mark.parametrize("module", light_modules())
def test_the_learner_is_light(module: str) -> None:
    path = MODULES[module]
    assert light_violations(path.read_text("utf-8"), module, path.name == "__init__.py") == []


def test_package_files_import_nothing() -> None:
    for module, path in MODULES.items():
        if path.name == "__init__.py":
            tree = ast.parse(path.read_text("utf-8"))
            names = [n for n, _, lazy in imports(tree, module, True) if not lazy]
            foreign = [n for n in names if n.partition(".")[0] not in sys.stdlib_module_names]
            assert foreign == [], module


def test_importing_the_dqn_loads_numpy_and_nothing_heavier() -> None:
    script = (
        f"import sys, {PACKAGE}.models.implementations.dqn\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        f"allowed = sys.stdlib_module_names | {{'numpy', {PACKAGE!r}}}\n"
        # what site puts there by itself in an editable installation
        "before = {'_distutils_hack', 'sitecustomize', 'usercustomize', '__mp_main__'}\n"
        "foreign = {t for t in tops - allowed - before if not t.startswith('_')}\n"
        "sys.exit(' '.join(sorted(foreign)) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stderr == ""
    assert result.returncode == 0


P = PACKAGE


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("nn.network", f"from {P}.models.base import MODELS"),
        ("nn.network", f"from {P}.replay import ring"),
        ("nn.network", f"import {P}.replay.ring"),
        ("nn.network", "from ..replay import ring"),
        ("nn.network", "from ..replay.ring import Ring"),
        ("nn", "from ..replay import ring"),
        ("market.bars", f"def f():\n    from {P}.pipeline import runner"),
        ("market.sources.files.csv_source", f"from {P} import features"),
        ("errors", f"from {P}.nn import network"),
        ("models.base", f"from {P}.envs import market"),
        ("verdict.decision", f"from {P}.reporting import data"),
        ("policies.loop", f"from {P}.backtesting.metrics import sharpe"),
        ("deployment.package", f"from {P}.cli import main"),
        ("pipeline.runner", f"import importlib\nimportlib.import_module('{P}.cli.app')"),
        ("brandnew.thing", "import numpy"),
    ],
)
def test_planted_rank_violations_are_caught(module: str, source: str) -> None:
    assert rank_violations(source, module, is_package=module == "nn")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("nn.network", f"from {P} import __version__\nfrom {P}.errors import NonFiniteError"),
        ("nn.network", "from . import adam\nfrom .adam import adam_step"),
        ("nn", "from . import adam"),
        (
            "models.implementations.dqn",
            f"from {P}.models.base import MODELS\nfrom {P}.nn import network",
        ),
        ("reporting.data", f"from {P}.backtesting.results import StrategyResult"),
        ("cli.app", f"import {P}.pipeline.runner, os, numpy"),
    ],
)
def test_lawful_imports_pass(module: str, source: str) -> None:
    assert rank_violations(source, module, is_package=module == "nn") == []


@pytest.mark.parametrize(
    "source",
    [
        "import pandas",
        "import scipy.linalg",
        "from safetensors.numpy import load_file",
        "def f():\n    import pandas as pd",
        "import gymnasium",
        "from rich.progress import Progress",
        f"from {P}.market.bars import MarketData",
        f"from {P} import market",
        f"from {P}.backtesting.results import StrategyResult",
        "from ..features import table",
    ],
)
def test_planted_weight_is_caught(source: str) -> None:
    assert light_violations(source, "nn.network")


def test_light_imports_pass() -> None:
    source = (
        "from __future__ import annotations\nimport math, numpy.typing\nimport numpy as np\n"
        f"from {P}.checks import require\nfrom {P}.seeding import generator\n"
        f"from {P} import __version__\nfrom ..replay.batch import Batch\n"
        "def save():\n    import safetensors.numpy\n"
        "def learn():\n    import gymnasium\n"
    )
    assert light_violations(source, "nn.network") == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "def f():\n    import cloudpickle as c",
        "import yaml\nyaml.load(x)",
        "import numpy as np\nnp.load(f, allow_pickle=True)",
        "import numpy as np\nnp.load(f, allow_pickle=flag)",
        "import numpy\nnumpy.load(f, None, True)",
        "import numpy as np\nnp.random.seed(0)",
        "import numpy as np\nx = np.random.rand(3)",
        "import numpy\nnumpy.random.shuffle(x)",
        "import numpy.random as npr\nnpr.normal()",
        "from numpy import random\nrandom.normal()",
        "from numpy.random import rand",
        "import numpy as np\nrng = np.random.default_rng()",
        "from numpy.random import default_rng\nrng = default_rng()",
        "import random\nrandom.random()",
        "import pandas as pd\npd.read_pickle(f)",
        "frame.to_pickle(f)",
        "eval(text)",
    ],
)
def test_planted_dangers_are_caught(source: str) -> None:
    assert banned(source, "nn.network")


def test_harmless_code_passes() -> None:
    source = (
        "import numpy as np\nfrom ruamel.yaml import YAML\n"
        "rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(1)))\n"
        "other = np.random.default_rng(3)\nx = rng.normal()\n"
        "y = np.load(f, allow_pickle=False)\n"
    )
    assert banned(source, "nn.network") == []
