"""The charts of the training history, as plain Plotly dictionaries like those of `figures`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline.report.data import ReportData
from reinforcestrategycreator_pipeline.report.plotting import (
    Figure,
    kept,
    label,
    numbers,
    rule,
)


def training_figures(data: ReportData) -> dict[str, Figure]:
    """Loss, Q-values, exploration, validation growth and norms over training steps."""
    history = data.history
    if not len(history):
        return {}
    history = history.iloc[kept(len(history))]
    figures: dict[str, Figure] = {}
    loss = history["loss"].astype(float).where(history["loss"] > 0)
    window = max(3, len(loss) // 40)
    smooth = loss.rolling(window, center=True, min_periods=1).median()
    figures["loss"] = _training(
        history,
        [("logged", loss, "--c-policy-faint", 1.0), ("running median", smooth, "--c-policy", 2.2)],
        "loss",
        log=True,
    )
    floor = data.loss_floor
    if floor is not None and floor > 0:  # a log axis has no place for zero
        line = {"color": "--c-rule", "width": 1.8, "dash": "dash"}
        ends = [figures["loss"]["data"][0]["x"][i] for i in (0, -1)]
        figures["loss"]["data"].append(
            {
                "x": ends,
                "y": numbers([floor, floor]),
                "name": f"floor {floor:.3g}",
                "type": "scatter",
                "mode": "lines",
                "line": line,
                "hoverinfo": "skip",
            }
        )
    groups = {
        "q": (
            "Q-value",
            False,
            (("q_mean", "mean Q", "--c-policy"), ("q_max", "max Q", "--c-hold")),
        ),
        "validation": (
            "log growth on validation",
            False,
            (("validation_growth", "validation growth", "--c-average"),),
        ),
        "exploration": (
            "exploration rate",
            False,
            (("exploration_rate", "exploration rate", "--c-policy"),),
        ),
        "norms": (
            "norm",
            True,
            (
                ("grad_norm", "gradient", "--c-policy"),
                ("update_norm", "update relative to weights", "--c-hold"),
            ),
        ),
    }
    for key, (title, log, columns) in groups.items():
        lines = []
        for column, name, color in columns:
            if column in history and history[column].notna().any():
                values = history[column].astype(float)
                lines.append((name, values.where(values > 0) if log else values, color, 1.7))
        if lines:
            figures[key] = _training(history, lines, title, log=log)
    if "validation" in figures:
        for trace in figures["validation"]["data"]:
            known = [i for i, y in enumerate(trace["y"]) if y is not None]
            trace["x"] = [trace["x"][i] for i in known]
            trace["y"] = [trace["y"][i] for i in known]
            trace |= {"mode": "lines+markers", "marker": {"size": 6, "color": "--c-average"}}
        if data.best_step is not None:
            layout = figures["validation"]["layout"]
            layout["shapes"] = [rule(data.best_step)]
            layout["annotations"] = [label(data.best_step, "evaluated")]
    return figures


def _training(
    history: pd.DataFrame,
    lines: list[tuple[str, pd.Series[Any], str, float]],
    title: str,
    *,
    log: bool,
) -> Figure:
    steps = history["step"].tolist()
    traces = [
        {
            "x": steps,
            "y": numbers(values),
            "name": name,
            "type": "scatter",
            "mode": "lines",
            "line": {"color": color, "width": width},
            "hovertemplate": "%{y:.4g}",
        }
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
