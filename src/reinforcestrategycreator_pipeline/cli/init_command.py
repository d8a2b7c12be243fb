"""``rsc init``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from reinforcestrategycreator_pipeline.errors import RunError

STARTER = """\
# A starting point: what most people change first. Every key that is left out has its default;
# `rsc config show` prints them all, `rsc list` names what can be chosen.
# Check this file with:  rsc config check --config {name}
# Run it with:           rsc run --config {name}

seed: 7                        # same seed, same bytes

data:
  source: sample               # AAPL, GOOG, IBM, MSFT, daily, bundled; your own files:
  # source: csv                # or parquet
  # params:
  #   path: prices.csv         # a file, or a folder with one file per symbol
  #   timezone: America/New_York
  #   session_close: "16:00"   # when the bar of a date closes

features:
  columns:                     # what the strategy sees of a bar: rsc list features
    - {{name: returns, horizons: [1, 5, 20]}}
    - {{name: rsi, period: 14}}
    - {{name: atr, period: 14}}
    # - {{name: "my_features:overnight_gap", window: 10}}   # a function of your own, with @feature

split:
  validation: 0.2              # fractions of the bars; training comes first, the test span last
  test: 0.2

trading:
  positions: [0.0, 1.0]        # target exposures; add -1.0 to go short
  costs:
    commission_bps: 1.0        # of the value traded
    spread_bps: 2.0
    slippage_bps: 2.0

strategy:
  name: dqn_ensemble           # rsc list strategies
  baseline: auto               # what to hold where the agents do not agree: flat, long or best
  training:
    agents: 16
    steps: 3000
    caution: 1.0               # factor of the agreement that a feature needs

deployment:
  thresholds:                  # what the test result must reach to be promoted
    min_sharpe: 0.5
    evidence: strong
"""


def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("rsc.yaml"),
) -> None:
    """Write a commented starter configuration."""
    from reinforcestrategycreator_pipeline.files import write_text

    if file.exists():
        raise RunError(f"{file}: exists already; choose another name: rsc init FILE.")
    name = shlex.quote(str(file)).encode("utf-8", "backslashreplace").decode()
    write_text(file, STARTER.format(name=name))
    typer.echo(f"{file} is written. Run it with: rsc run --config {shlex.quote(str(file))}")
