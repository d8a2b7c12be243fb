"""The charts of a search: its map, its trials in order, and its inner windows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from reinforcestrategycreator_pipeline.errors import shorten
from reinforcestrategycreator_pipeline.reporting.charts.plotting import Figure, line, numbers
from reinforcestrategycreator_pipeline.reporting.search.data import SearchData
from reinforcestrategycreator_pipeline.reporting.search.points import (
    Group,
    KeyAxis,
    marked_groups,
    objective_of,
    plain_groups,
    points,
)

_MOST_LINES = 100


class Picture(NamedTuple):
    """A chart with its place in the page.

    Attributes
    ----------
    key : str
        Name of the figure in the page, with a hyphen, which no registered chart has in its key.
    title, alt, caption : str
        Heading, description for screen readers, and the text below.
    figure : Figure
        Plotly figure, with names of CSS variables as colors.
    height : int
        Height, in pixels.
    wide : bool
        Whether it has its own row.
    """

    key: str
    title: str
    alt: str
    caption: str
    figure: Figure
    height: int = 300
    wide: bool = False


def figures_of(pictures: Iterable[Picture]) -> dict[str, Figure]:
    """Return the figures of some pictures by their keys, for the page's script."""
    return {picture.key: picture.figure for picture in pictures}


def trial_map(data: SearchData, run_trial: int | None = None) -> list[Picture]:
    """Return the map of the trials: the objective by each key, and by the two main keys at once.

    Parameters
    ----------
    data : SearchData
        Data of the search.
    run_trial : int, optional
        Number of the trial whose configuration a run has.
    """
    if not any(trial.objective is not None for trial in data.trials):
        return []
    groups, label = [*plain_groups(data), *marked_groups(data, run_trial)], data.metric.label
    found = []
    for place, (key, share) in enumerate(data.shares.items()):
        axis = KeyAxis(key, data.search.space[key])
        traces = points(data, groups, axis.at, objective_of)
        said = "too few trials to say" if share is None else f"{share:.0%}"
        found.append(
            Picture(
                f"search-{place}",
                key,
                f"{label} of the trials by {key}{_best(data, key)}",
                f"Share of the objective's ranks that this key explains: {said}.",
                {"data": traces, "layout": {"xaxis": axis.layout, "yaxis": _objective(data)}},
            )
        )
    if len(data.shares) > 1 and data.best is not None:
        found.append(_pair(data, run_trial))
    return found


def _best(data: SearchData, key: str) -> str:
    if data.best is None:
        return ""
    value = shorten(json.dumps(data.best.parameters[key]), 60)
    return f"; the best, {data.text(data.best.objective)}, is at {value}"


def _objective(data: SearchData) -> dict[str, Any]:
    """Return the axis of the objective."""
    layout: dict[str, Any] = {"title": {"text": data.metric.label}}
    return layout | ({"tickformat": ".1%"} if data.metric.unit == "percent" else {})


def _pair(data: SearchData, run_trial: int | None) -> Picture:
    first, second = list(data.shares)[:2]
    x = KeyAxis(first, data.search.space[first])
    y = KeyAxis(second, data.search.space[second], vertical=True)
    ranked = [trial for trial in data.trials if trial.ranks]
    label = data.metric.label
    percent = ".1%" if data.metric.unit == "percent" else ".3~g"
    marker: dict[str, Any] = {
        "size": 10,
        "color": numbers([objective_of(trial) for trial in ranked]),
        "colorscale": [[0, "--c-short"], [0.5, "--c-none"], [1, "--c-long"]],
        "line": {"width": 1, "color": "--c-other"},
        "colorbar": {"thickness": 10, "outlinewidth": 0, "tickformat": percent},
    }
    groups = [Group("complete", ranked, marker), *marked_groups(data, run_trial)]
    traces = points(data, groups, x.at, y.at)
    layout = {"xaxis": x.layout, "yaxis": y.layout}
    return Picture(
        "search-pair",
        f"{first} and {second}",
        f"{label} of the complete trials, as color, by {first} and {second}",
        f"The complete trials by the two keys that explain most. Color: {label}, from orange for "
        "the lowest to blue for the highest.",
        {"data": traces, "layout": layout},
        height=380,
        wide=True,
    )


def in_order(data: SearchData) -> Picture | None:
    """Return the chart of the objectives by number, with the best so far; None without any."""
    if not any(trial.objective is not None for trial in data.trials):
        return None
    best, so_far = math.nan, []
    for trial in data.trials:
        if trial.ranks:
            value = objective_of(trial)
            ahead = value > best if data.search.maximizes else value < best
            best = value if ahead or math.isnan(best) else best
        so_far.append(best)
    look = {"color": "--c-hold", "width": 2, "shape": "hv"}
    numbered = [trial.number for trial in data.trials]
    traces = [line(numbered, so_far, "best so far", look, "best so far: %{y:.4g}")]
    groups = [*plain_groups(data), *marked_groups(data, None)]
    traces += points(data, groups, lambda trial: float(trial.number), objective_of)
    return Picture(
        "search-order",
        "Trials in order",
        f"{data.metric.label} of each trial by its number, and the best so far",
        "Trials that ended early have fewer inner windows, and cannot be the best.",
        {
            "data": traces,
            "layout": {"xaxis": {"title": {"text": "trial"}}, "yaxis": _objective(data)},
        },
        height=320,
    )


def inner_windows(data: SearchData) -> Picture | None:
    """Return the chart of the objectives up to each inner window; None if there is only one."""
    tried = [t for t in data.ordered if any(value is not None for value in t.objectives)]
    if data.search.folds < 2 or not tried:
        return None
    caption = "Each figure is that of the stitched out-of-sample part up to the window."
    if len(tried) > _MOST_LINES:
        tried = tried[:_MOST_LINES]
        caption += f" Drawn are the first {_MOST_LINES} trials of the table."
    steps: list[int | None] = []
    values: list[float] = []
    for trial in tried:
        steps += [*range(1, len(trial.objectives) + 1), None]  # a gap between two trials
        values += [*_known(trial.objectives), math.nan]
    faint = {"color": "--c-policy-faint", "width": 1.2}
    dots: dict[str, Any] = {"mode": "lines+markers", "marker": {"size": 4, "color": "--c-policy"}}
    traces = [line(steps, values, "trials", faint, **dots)]
    if (best := data.best) is not None:
        own, strong = _known(best.objectives), {"color": "--c-hold", "width": 3}
        traces.append(line(list(range(1, len(own) + 1)), own, "best", strong, "%{y:.4g}"))
    xaxis = {"title": {"text": "inner windows so far"}, "dtick": 1}
    return Picture(
        "search-windows",
        "Inner windows",
        f"{data.metric.label} of each trial up to each inner window",
        caption,
        {"data": traces, "layout": {"xaxis": xaxis, "yaxis": _objective(data)}},
        height=320,
    )


def _known(objectives: tuple[float | None, ...]) -> list[float]:
    return [math.nan if value is None else value for value in objectives]
