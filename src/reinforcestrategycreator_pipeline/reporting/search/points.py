"""The points of a search's charts: their places on the axis of a key, and their looks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from html import escape
from typing import Any, NamedTuple

from reinforcestrategycreator_pipeline.errors import shorten
from reinforcestrategycreator_pipeline.experiments.search import Listed, Range
from reinforcestrategycreator_pipeline.experiments.trials import FinishedTrial
from reinforcestrategycreator_pipeline.reporting.charts.plotting import Figure, line
from reinforcestrategycreator_pipeline.reporting.search.data import SearchData

_CHOICE, _TITLE = 14, 40  # characters of a choice and of a key beside an axis
# Multiples of these, modulo 1, fill a square evenly: the plastic number to the powers -1 and -2.
_SHIFT_X, _SHIFT_Y = 0.7548776662466927, 0.5698402909980532
_MANY = 300  # trials, of which the points are smaller
_WIDTH = 0.5  # of the points of one choice, in distances between two choices

Place = Callable[[FinishedTrial], float]


class Group(NamedTuple):
    """Trials that look alike: their name in the legend, and Plotly's marker."""

    name: str
    trials: list[FinishedTrial]
    marker: dict[str, Any]


def plain_groups(data: SearchData) -> list[Group]:
    """Return the complete trials and those that ended early."""
    size = 8 if len(data.trials) <= _MANY else 4.5
    hollow = {"size": size - 1, "symbol": "circle-open", "color": "--c-other"}
    looks = {
        "complete": ("complete", {"size": size, "color": "--c-policy", "opacity": 0.75}),
        "pruned": ("ended early", hollow),
    }
    return [
        Group(name, [t for t in data.trials if t.state == state], marker)
        for state, (name, marker) in looks.items()
    ]


def marked_groups(data: SearchData, run_trial: int | None) -> list[Group]:
    """Return the best trial, and the one that a run has if it is another."""
    edge = {"width": 1, "color": "--c-exit"}
    star = {"size": 16, "symbol": "star", "color": "--c-hold", "line": edge}
    diamond = {"size": 12, "symbol": "diamond", "color": "--c-average", "line": edge}
    best = [] if data.best is None else [data.best]
    own = [t for t in data.trials if t.number == run_trial and t not in best]
    return [Group("best", best, star), Group("this run", own, diamond)]


class KeyAxis:
    """The axis of a key: numbers, on a logarithmic scale if they are drawn so, or choices.

    Parameters
    ----------
    key : str
        Dotted key of the configuration.
    given : Range or tuple
        The values that the search chooses from.
    vertical : bool
        Whether it is the y axis, on which the points of a choice are spread in another order.
    """

    def __init__(self, key: str, given: Range | Listed, vertical: bool = False) -> None:
        self._key, self._given = key, given
        self._shift = _SHIFT_Y if vertical else _SHIFT_X
        self.layout: dict[str, Any] = {"title": {"text": short_key(key)}}
        if not isinstance(given, Range):
            texts = [c if isinstance(c, str) else json.dumps(c) for c in given]
            self.layout |= {
                "tickvals": list(range(len(given))),
                "ticktext": [escape(shorten(text, _CHOICE), quote=False) for text in texts],
                "range": [-0.5, len(given) - 0.5],
                "showgrid": False,
            }
        elif given.log:
            decades = math.log10(given.high / given.low)
            ticks: dict[str, Any] = {"exponentformat": "power", "dtick": math.ceil(decades / 5)}
            self.layout |= {"type": "log", **(ticks if decades >= 2 else {"tickformat": ".2~g"})}

    def at(self, trial: FinishedTrial) -> float:
        """Return the place of a trial; those of one choice are spread a little."""
        value = trial.parameters[self._key]
        if isinstance(self._given, Range):
            return float(value)
        choices = [json.dumps(choice) for choice in self._given]
        shift = (trial.number * self._shift) % 1.0 - 0.5
        return choices.index(json.dumps(value)) + shift * _WIDTH


def short_key(key: str) -> str:
    """Return the last parts of a dotted key that fit beside an axis, escaped for Plotly."""
    parts = key.split(".")
    while len(".".join(parts)) > _TITLE and len(parts) > 1:
        parts = parts[1:]
    return escape(shorten(".".join(parts), _TITLE), quote=False)


def objective_of(trial: FinishedTrial) -> float:
    """Return the objective of a trial; NaN, which is not drawn, if it has none."""
    return math.nan if trial.objective is None else trial.objective


def points(data: SearchData, groups: Iterable[Group], x: Place, y: Place) -> list[Figure]:
    """Return one trace for each group that has trials; hovering shows number and objective."""
    traces = []
    for name, trials, marker in groups:
        if trials:
            texts = [[t.number, escape(data.text(t.objective), quote=False)] for t in trials]
            look = {"mode": "markers", "marker": marker, "customdata": texts}
            hover = "trial %{customdata[0]}: %{customdata[1]}"
            places = [x(trial) for trial in trials]
            traces.append(line(places, [y(t) for t in trials], name, {}, hover, **look))
    return traces
