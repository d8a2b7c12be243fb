"""What importing the DQN costs above importing NumPy, and what it loads."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

from benchmarks.measuring import bar, run

PACKAGE = "reinforcestrategycreator_pipeline"
NUMPY = "import numpy"
DQN = f"from {PACKAGE}.models.implementations.dqn import DQN"
THEIRS = "from stable_baselines3 import DQN"

# What an interpreter loads by itself (editable installations, site) is not the import's.
LOADED = """
import sys
before = {name.partition(".")[0] for name in sys.modules}
IMPORT
after = {name.partition(".")[0] for name in sys.modules}
print(*sorted(after - before - sys.stdlib_module_names))
"""


def cpu_ms(code: str, bytecode: str) -> float:
    """Return the milliseconds of processor time, user and system, of a fresh interpreter.

    Installed packages are compiled, sources in a checkout perhaps not: all of it, NumPy too, is
    taken from the folder `bytecode`, which the first import fills.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{code}: exit code {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1e3


def third_party(code: str) -> list[str]:
    """Return the packages that are loaded by an import and not of the standard library."""
    script = LOADED.replace("IMPORT", code)
    result = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    return result.stdout.split()


def main(quick: bool = False) -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    sides = {"NumPy": NUMPY, "this DQN": DQN}
    times: dict[str, list[float]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as bytecode:
        for code in (*sides.values(), THEIRS):
            cpu_ms(code, bytecode)  # compiles, and fills the system's cache
        for _ in range(2 if quick else 25):
            for name, code in sides.items():
                times[name].append(cpu_ms(code, bytecode))
        theirs = min(cpu_ms(THEIRS, bytecode) for _ in range(1 if quick else 3))
    ms = {name: statistics.median(values) for name, values in times.items()}
    above = ms["this DQN"] - ms["NumPy"]
    loaded = [name for name in third_party(DQN) if name != PACKAGE]
    return [
        "## Importing",
        "",
        "Processor time of a fresh interpreter, user and system, with compiled sources; some 10 to "
        "20 ms of it are Python's own. Medians of interleaved runs (stable-baselines3: the best of "
        "3).",
        "",
        "| import | ms | third-party packages loaded |",
        "|---|---:|---|",
        f"| `{NUMPY}` | {ms['NumPy']:.0f} | {', '.join(third_party(NUMPY))} |",
        f"| `DQN` of this project | {ms['this DQN']:.0f} | {', '.join(loaded)} |",
        f"| `DQN` of stable-baselines3 | {theirs:.0f} | {len(third_party(THEIRS))} of them |",
        "",
        bar(above < 50, f"the DQN costs under 50 ms above NumPy: {above:.0f} ms"),
        bar(loaded == ["numpy"], f"it loads NumPy and no other package: {', '.join(loaded)}"),
    ]


if __name__ == "__main__":
    run(main)
