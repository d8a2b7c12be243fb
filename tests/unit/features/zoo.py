"""The zoo: its bars, its members, and the table of detector by leak.

``python tests/unit/features/zoo.py`` writes the table, in half a minute.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from dataclasses import is_dataclass
from pathlib import Path

import honest_zoo
import leak_zoo
import numpy as np

from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.fresh import FreshProcesses, Here
from reinforcestrategycreator_pipeline.pipeline.auditing.feature_job import (
    FeatureAudit,
    compute_all,
)
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars

BARS, SAMPLES = 126, 8
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "leaks.md"
DETECTORS = {
    "truncation": "truncation",
    "perturbation": "perturbation",
    "level": "level",
    "stress": "stress",
    "repetition": "repetition",
    "files": "files",
    "clock": "clock",
    "environment": "shell",
    "foresight": "foresight",
}


def make_zoo_bars(n=BARS):
    bars = make_bars(n, seed=11).drop(columns="rate")
    rng = np.random.default_rng(12)
    t = np.arange(n)
    bars.loc[bars.index[t % 17 == 5], "volume"] = 0.0
    bars["hour"] = (t // 6).astype(float)
    bars["event"] = (t % 23 == 11).astype(float)
    bars["estimate"] = np.repeat(rng.normal(size=n // 23 + 2), 23)[:n]
    bars["label"] = bars["close"].pct_change().shift(-1).fillna(0.0)
    early = bars["sentiment"] + 40.0 * bars["close"].pct_change(2).fillna(0.0)
    bars["stamped_early"] = early.shift(-2).fillna(0.0)
    return bars


def members(module):
    """Return the names of a module's features, in its order, with what each says of itself."""
    found = [
        (inspect.getsourcelines(member)[1], name, (inspect.getdoc(member) or "").split("\n\n")[0])
        for name, member in vars(module).items()
        if getattr(member, "__module__", "") == module.__name__
        and not name.startswith("_")
        and name not in ("returns", "series", "frame")
        and (is_dataclass(member) or list(inspect.signature(member).parameters)[:1] == ["bars"])
    ]
    return {name: " ".join(doc.split()) for _, name, doc in sorted(found)}


LEAKS, HONEST = members(leak_zoo), members(honest_zoo)
_ORDER = list(LEAKS)
OUTSIDE = _ORDER[_ORDER.index("module_memory") : _ORDER.index("target_among_the_columns")]
"""Leaks through memory, files, hosts and clocks, which need processes of their own."""
RARE = ("one_bar", "one_percent_of_the_bars", "after_a_crash", "on_special_days")
"""Leaks that few cuts would miss."""


class InProcess(FreshProcesses):
    """Audits in this process what neither remembers nor opens anything, in a tenth of the time."""

    def place(self, spec, seconds=0.0):
        return Here(spec)


class Zoo:
    """The bars, and the audit of members as ``rsc audit`` makes it.

    Parameters
    ----------
    folder : Path
        Folder for the files that some leaks read.
    """

    def __init__(self, folder):
        self.bars = make_zoo_bars()
        self.bars.to_csv(folder / "later.csv")
        np.save(folder / "later.npy", self.bars["close"].to_numpy())
        os.environ["ZOO_FOLDER"] = str(folder)
        leak_zoo.LATER = folder
        self.fresh, self.here = FreshProcesses(), InProcess()

    def close(self):
        self.fresh.close()
        del os.environ["ZOO_FOLDER"]
        os.environ.pop("ZOO_MEAN", None)

    def audited(self, module, name, cuts=None):
        """Return the findings and the notes on a member; all cuts by default."""
        spec = FeatureSpec(f"{module}:{name}")
        compute_all({"ZOO": self.bars}, [spec])
        processes = self.fresh if name in OUTSIDE else self.here
        audit = FeatureAudit(spec, processes, cuts, samples=SAMPLES)
        audit.run({"ZOO": self.bars}, self.bars.index[-1])
        return audit


HEAD = """\
# Planted leaks, and what finds them

The tests have a zoo of {leaks} features that know the future, or depend on more than their bars, \
each in a way of its own, and {honest} honest ones that look as if they might. \
[`rsc audit`](../how-to/audit.md) finds all of the first and accuses none of the second. \
`tests/unit/features/zoo.py` writes this page, and a test compares it with what is found; the \
features are in `leak_zoo.py` and `honest_zoo.py` beside it.

## Detector by leak

| leak | {titles} | what it does |
|---|{rules}|---|
"""


def page(found):
    """Return the page, given the checks that find each leak."""
    titles = DETECTORS.values()
    text = HEAD.format(
        leaks=len(LEAKS), honest=len(HONEST), titles=" | ".join(titles), rules="---|" * len(titles)
    ).replace("|---||", "|---|")
    for name, doc in LEAKS.items():
        marks = " | ".join("x" if check in found[name] else "" for check in DETECTORS)
        text += f"| `{name}` | {marks} | {doc} |\n"
    text += "\n## Honest features that are not accused\n\n| feature | what it does |\n|---|---|\n"
    text += "".join(f"| `{name}` | {doc} |\n" for name, doc in HONEST.items())
    return text


def main():
    with tempfile.TemporaryDirectory() as folder:
        zoo = Zoo(Path(folder))
        found = {n: {f.check for f in zoo.audited("leak_zoo", n).faults} for n in LEAKS}
        zoo.close()
    PAGE.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
