"""What ``import reinforcestrategycreator_pipeline as rsc`` gives."""

import subprocess
import sys

import pytest

import reinforcestrategycreator_pipeline as rsc


def test_every_name_is_there():
    for name in rsc.__all__:
        assert getattr(rsc, name) is not None
    assert set(rsc.__all__) <= set(dir(rsc))
    assert set(rsc._PLACES) == set(rsc.__all__) - {"__version__"}


def test_completion_shows_the_public_names_alone():
    for module in (rsc, rsc.metrics, rsc.strategies):
        names = {name for name in dir(module) if not name.startswith("__")}
        assert names == set(module.__all__) - {"__version__"}


def test_a_misspelt_name_is_an_error():
    with pytest.raises(
        AttributeError, match=r"has no attribute 'bactest'\. Did you mean 'backtest'\?"
    ):
        _ = rsc.bactest


def test_names_are_functions_whatever_was_imported_before():
    script = (
        "import reinforcestrategycreator_pipeline as rsc\n"
        "for name in rsc.__all__: getattr(rsc, name)\n"
        "for name in ('backtest', 'report', 'run', 'read_bars', 'load_policy'):\n"
        "    assert type(getattr(rsc, name)).__name__ == 'function', name\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_importing_the_package_imports_the_standard_library_alone():
    script = (
        "import sys, reinforcestrategycreator_pipeline as rsc; dir(rsc)\n"
        "sys.exit(' '.join(n for n in ('numpy', 'pandas', 'typer') if n in sys.modules) or 0)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "reinforcestrategycreator_pipeline", "--version"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == f"rsc {rsc.__version__}\n"


def test_help_needs_no_extra():
    hidden = "import sys; sys.modules['gymnasium'] = None\n"
    script = hidden + f"import pydoc, {rsc.__name__} as rsc; pydoc.render_doc(rsc)"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    asked = hidden + f"import {rsc.__name__} as rsc; rsc.TradingEnv"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
    assert 'pip install "reinforcestrategycreator-pipeline[gym]"' in found.stderr
