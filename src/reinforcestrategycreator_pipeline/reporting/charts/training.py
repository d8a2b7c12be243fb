"""The charts of the training history, over training steps."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline.errors import shorten
from reinforcestrategycreator_pipeline.reporting.charts.base import Times, chart
from reinforcestrategycreator_pipeline.reporting.charts.plotting import (
    Figure,
    kept,
    label,
    line,
    numbers,
    rule,
)
from reinforcestrategycreator_pipeline.reporting.data import ReportData
from reinforcestrategycreator_pipeline.reporting.words import (
    STAGES_NOTE,
    floor_note,
    screening_note,
)

SECTION = "Training"
MOST_FEATURES = 20
_NAME = 26  # characters of a feature beside the axis; hovering shows all
Line = tuple[str, "pd.Series[Any]", str, float]


def _loss_caption(data: ReportData, asset: str) -> str:
    text, floor = floor_note(data.loss_floor), data.loss_floor
    if floor is not None:
        text += " A log axis cannot show this floor." if floor <= 0 else ""
    if data.stages:
        text = f"{STAGES_NOTE} {text}"
    speeds = data.history.get("steps_per_second", pd.Series(dtype=float)).dropna()
    return text + (f" Median speed: {speeds.median():,.0f} steps/s." if len(speeds) else "")


@chart("loss", "Loss", SECTION, caption=_loss_caption, per="run", height=320, wide=True)
def loss_figure(data: ReportData, asset: str, times: Times) -> Figure | None:
    """Draw the logged loss, its running median, and the market's noise as a line."""
    if not len(data.history):
        return None
    history = data.history.iloc[kept(len(data.history))]
    loss = history["loss"].astype(float).where(history["loss"] > 0)
    window = max(3, len(loss) // 40)
    smooth = loss.rolling(window, center=True, min_periods=1).median()
    lines = [
        ("logged", loss, "--c-policy-faint", 1.0),
        ("running median", smooth, "--c-policy", 2.2),
    ]
    figure = _over_steps(history, lines, "loss", log=True)
    floor = data.loss_floor
    if floor is not None and floor > 0:  # a log axis cannot show zero
        look = {"color": "--c-rule", "width": 1.8, "dash": "dash"}
        ends = [figure["data"][0]["x"][i] for i in (0, -1)]
        figure["data"].append(line(ends, [floor, floor], f"floor {floor:.3g}", look))
    begun = dict(zip(list(data.stages)[1:], data.stages.values(), strict=False))
    figure["layout"]["shapes"] = [rule(step) for step in begun.values()]
    figure["layout"]["annotations"] = [label(step, name) for name, step in begun.items()]
    return figure


def _agreement_caption(data: ReportData, asset: str) -> str:
    if data.screening is None:
        return ""
    count = len(data.screening.agreement)
    more = f" Drawn are the {MOST_FEATURES} of {count} features with the most agreement."
    return screening_note(data.screening) + (more if count > MOST_FEATURES else "")


@chart(
    "agreement",
    "Agreement of the agents on each feature",
    SECTION,
    caption=_agreement_caption,
    per="run",
    height=420,
    wide=True,
)
def agreement_figure(data: ReportData, asset: str, times: Times) -> Figure | None:
    """Draw the agents' agreement on each feature, and how much of it is needed."""
    found = data.screening
    if found is None:
        return None
    shown = sorted(found.agreement, key=lambda name: -found.agreement[name])[:MOST_FEATURES]
    traces = []
    for title, color, used in (("read", "--c-policy", True), ("not read", "--c-flat", False)):
        names = [name for name in shown if (found.relevance[name] > 0.0) == used]
        if names:
            bars: Figure = {"type": "bar", "orientation": "h", "name": title}
            bars |= {"x": numbers([found.agreement[name] for name in names])}
            bars |= {"y": [escape(name, quote=False) for name in names]}
            traces.append(bars | {"marker": {"color": color}, "hovertemplate": "%{y}: %{x:.3g}"})
    said = label(found.needed, f"needed: {found.needed:.3g}")
    layout = {
        "xaxis": {"title": {"text": "agreement"}, "rangemode": "tozero"},
        "yaxis": {
            "autorange": "reversed",
            "showgrid": False,
            "tickvals": [escape(name, quote=False) for name in shown],
            "ticktext": [escape(shorten(name, _NAME), quote=False) for name in shown],
        },
        "bargap": 0.3,
        "hovermode": "closest",
        "shapes": [rule(found.needed)],
        "annotations": [said | {"y": 0, "yanchor": "bottom"}],  # where the bars are shortest
    }
    return {"data": traces, "layout": layout}


@chart("q", "Q-values", SECTION, per="run", height=260)
def q_figure(data: ReportData, asset: str, times: Times) -> Figure | None:
    """Draw the mean and the largest Q-value."""
    columns = {"q_mean": ("mean Q", "--c-policy"), "q_max": ("max Q", "--c-hold")}
    return _columns(data, columns, "Q-value")


def _validation_caption(data: ReportData, asset: str) -> str:
    if data.best_step is None:
        return ""
    return f"This report evaluates the checkpoint of step {data.best_step:,}."


@chart(
    "validation",
    "Validation growth",
    SECTION,
    caption=_validation_caption,
    per="run",
    height=260,
)
def validation_figure(data: ReportData, asset: str, times: Times) -> Figure | None:
    """Draw the log growth on the validation bars, and the step of the chosen checkpoint.

    Beside it, that of the best constant exposure, which is held instead if it is not surpassed.
    """
    columns = {
        "validation_growth": ("validation growth", "--c-average"),
        "constant_growth": ("best constant exposure", "--c-hold"),
    }
    figure = _columns(data, columns, "log growth on validation")
    if figure is None:
        return None
    for trace in figure["data"][:1]:
        known = [i for i, y in enumerate(trace["y"]) if y is not None]
        trace["x"] = [trace["x"][i] for i in known]
        trace["y"] = [trace["y"][i] for i in known]
        trace |= {"mode": "lines+markers", "marker": {"size": 6, "color": "--c-average"}}
    if data.best_step is not None:
        figure["layout"]["shapes"] = [rule(data.best_step)]
        figure["layout"]["annotations"] = [label(data.best_step, "evaluated")]
    return figure


@chart("exploration", "Exploration", SECTION, per="run", height=260)
def exploration_figure(data: ReportData, asset: str, times: Times) -> Figure | None:
    """Draw the fraction of random actions."""
    columns = {"exploration_rate": ("exploration rate", "--c-policy")}
    return _columns(data, columns, "exploration rate")


@chart("norms", "Gradient and update norms", SECTION, per="run", height=260)
def norms_figure(data: ReportData, asset: str, times: Times) -> Figure | None:
    """Draw the norms of the gradient and of the update."""
    columns = {
        "grad_norm": ("gradient", "--c-policy"),
        "update_norm": ("update relative to weights", "--c-hold"),
    }
    return _columns(data, columns, "norm", log=True)


def _columns(
    data: ReportData, columns: dict[str, tuple[str, str]], title: str, *, log: bool = False
) -> Figure | None:
    """Draw columns of the history with their names and colors; None if there are none."""
    history = data.history.iloc[kept(len(data.history))]
    lines: list[Line] = []
    for column, (name, color) in columns.items():
        if column in history and history[column].notna().any():
            values = history[column].astype(float)
            lines.append((name, values.where(values > 0) if log else values, color, 1.7))
    return _over_steps(history, lines, title, log=log) if lines else None


def _over_steps(history: pd.DataFrame, lines: list[Line], title: str, *, log: bool) -> Figure:
    steps = history["step"].tolist()
    traces = [
        line(steps, values, name, {"color": color, "width": width}, "%{y:.4g}")
        for name, values, color, width in lines
    ]
    yaxis: dict[str, Any] = {"title": {"text": title}}
    if log:
        yaxis |= {"type": "log", "exponentformat": "power"}
    layout = {
        "xaxis": {"title": {"text": "training step"}},
        "yaxis": yaxis,
        "hovermode": "x unified",
        "showlegend": len(lines) > 1,
    }
    return {"data": traces, "layout": layout}
