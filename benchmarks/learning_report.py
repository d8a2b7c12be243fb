"""Statistics, table and pictures of `benchmarks.learning`.

The statistics are rliable's (Agarwal et al. 2021, arXiv:2108.13264): the interquartile mean of all
runs, and a percentile interval of a bootstrap that resamples the runs within each task.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

RESAMPLES = 20_000
EPISODES_SHOWN = 10  # a curve's value is the mean return of so many latest episodes
GRID = 200

NAMES = {
    "best": "this DQN, best preset",
    "zoo": "this DQN, zoo's settings",
    "sb3": "stable-baselines3, zoo's settings",
}
# Blue, orange and green of Okabe and Ito: apart for the colour-blind, too.
COLOURS = {"best": "#0072B2", "zoo": "#E69F00", "sb3": "#009E73"}


def interquartile_mean(scores: NDArray[Any]) -> float:
    """Return the mean of what is left of all runs when a quarter is cut off at each end."""
    return float(trim_mean(scores, proportiontocut=0.25, axis=None))


def bootstrap_interval(scores: list[NDArray[Any]], share: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of the interquartile mean.

    Parameters
    ----------
    scores : list of ndarray, shape (runs,)
        One array a task (a stratum): its runs are resampled among themselves.
    share : float
        Of the resamples that lie within the interval.
    """
    rng = np.random.default_rng(0)
    drawn = [task[rng.integers(len(task), size=(RESAMPLES, len(task)))] for task in scores]
    means = trim_mean(np.concatenate(drawn, axis=1), proportiontocut=0.25, axis=1)
    low, high = np.quantile(means, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def summary(tasks: dict[str, Any]) -> dict[str, Any]:
    """Return all figures for learning.json, without the episodes of training.

    Parameters
    ----------
    tasks : dict
        Task by name, with `goal`, `goal_of`, `random` and `sides`: by side the hyperparameters and
        `runs`, the results of `benchmarks.learning.perform`.

    Returns
    -------
    dict
        ``{"tasks": ..., "overall": ...}``. Overall: the interquartile mean over all tasks of
        scores on a scale where random actions have 0 and the goal has 1.
    """
    figures: dict[str, Any] = {}
    normalised: dict[str, list[NDArray[Any]]] = {}
    for name, task in tasks.items():
        sides = {}
        for side, content in task["sides"].items():
            runs = content["runs"]
            scores = np.array([run["score"] for run in runs])
            low, high = bootstrap_interval([scores])
            goal_score = min(scores) if task["goal_of"] == "worst" else np.median(scores)
            sides[side] = {
                "hyperparameters": content["hyperparameters"],
                "steps": runs[0]["steps"],
                "seeds": [run["seed"] for run in runs],
                "scores": scores.tolist(),
                "score_sds": [run["score_sd"] for run in runs],
                "median": float(np.median(scores)),
                "worst": float(scores.min()),
                "iqm": interquartile_mean(scores),
                "iqm_interval_95": [low, high],
                "goal_reached": bool(goal_score >= task["goal"]),
                "wall_s": [run["wall_s"] for run in runs],
                "cpu_s": [run["cpu_s"] for run in runs],
            }
            scale = task["goal"] - task["random"]
            normalised.setdefault(side, []).append((scores - task["random"]) / scale)
        figures[name] = {
            **{key: value for key, value in task.items() if key != "sides"},
            "sides": sides,
        }
    overall = {}
    for side, scores_of_tasks in normalised.items():
        if len(scores_of_tasks) == len(tasks) > 1:
            low, high = bootstrap_interval(scores_of_tasks)
            iqm = interquartile_mean(np.concatenate(scores_of_tasks))
            overall[side] = {"iqm": iqm, "iqm_interval_95": [low, high]}
    return {"tasks": figures, "overall": overall}


def table(results: dict[str, Any]) -> list[str]:
    """Return RESULTS.md's section from the content of learning.json."""
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    lines = [
        "## Learning: Gymnasium's classic tasks",
        "",
        f"Written by `python -m benchmarks.learning` on {results['date']}; {versions}. A seed's "
        f"score is the mean return of {results['episodes']} greedy episodes in a separate "
        "environment. The presets were chosen on other seeds than those reported. IQM: "
        "interquartile mean with a 95% interval from a stratified bootstrap over the runs "
        "(rliable, arXiv:2108.13264); so few runs make it too narrow rather than too wide. "
        f"Seconds: the median of a seed's training, evaluations within it included, with "
        f"{results['processes']} at once on one thread each; wall time grows where the machine "
        "does something else.",
        "",
        "| task | learner | steps | median | worst | IQM [95%] | each seed | goal | "
        "wall s | CPU s |",
        "|---|---|---:|---:|---:|---|---|---|---:|---:|",
    ]
    for task in results["tasks"].values():
        for side, figures in task["sides"].items():
            low, high = figures["iqm_interval_95"]
            each = ", ".join(f"{score:.1f}" for score in figures["scores"])
            reached = "reached" if figures["goal_reached"] else "missed"
            lines.append(
                f"| {task['environment']} | {NAMES[side]} | {figures['steps']:,} | "
                f"{figures['median']:.1f} | {figures['worst']:.1f} | "
                f"{figures['iqm']:.1f} [{low:.1f}, {high:.1f}] | {each} | "
                f"{task['goal_of']} >= {task['goal']:g}: {reached} | "
                f"{statistics.median(figures['wall_s']):.0f} | "
                f"{statistics.median(figures['cpu_s']):.0f} |"
            )
    if results["overall"]:
        parts = [
            f"{NAMES[side]} {figures['iqm']:.3f} [{figures['iqm_interval_95'][0]:.3f}, "
            f"{figures['iqm_interval_95'][1]:.3f}]"
            for side, figures in results["overall"].items()
        ]
        lines += [
            "",
            "IQM over all tasks, where random actions have 0 and the goal has 1: "
            + "; ".join(parts)
            + ".",
        ]
    return lines


def curve(returns: list[float], lengths: list[int], steps: NDArray[Any]) -> NDArray[Any]:
    """Return the mean of the latest episodes' returns at each of `steps`; NaN before the first."""
    ends = np.cumsum(lengths)
    sums = np.concatenate([[0.0], np.cumsum(returns)])
    finished = np.searchsorted(ends, steps, side="right")
    count = np.minimum(finished, EPISODES_SHOWN)
    with np.errstate(invalid="ignore"):
        return (sums[finished] - sums[finished - count]) / count


def pictures(tasks: dict[str, Any], folder: Path) -> list[Path]:
    """Draw one picture a task: training returns against steps, median and range of the seeds."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, task in tasks.items():
        figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
        for side, content in task["sides"].items():
            runs = content["runs"]
            steps = np.linspace(0, runs[0]["steps"], GRID + 1)[1:]
            curves = np.stack([curve(run["returns"], run["lengths"], steps) for run in runs])
            shown = np.isfinite(curves).all(axis=0)  # from when every seed has an episode
            if not shown.any():
                continue
            x, y = steps[shown] / 1000, curves[:, shown]
            axes.fill_between(x, y.min(0), y.max(0), color=COLOURS[side], alpha=0.16, linewidth=0)
            axes.plot(x, np.median(y, axis=0), color=COLOURS[side], label=NAMES[side])
        goal = f"goal of greedy episodes: {task['goal_of']} {task['goal']:g}"
        axes.axhline(task["goal"], color="0.35", linewidth=1, linestyle="--", label=goal)
        n_seeds = max(len(content["runs"]) for content in task["sides"].values())
        axes.set_title(
            f"{task['environment']}: training episodes, exploration included "
            f"(median and range of {n_seeds} seeds)",
            fontsize=10,
        )
        axes.set_xlabel("environment steps (thousands)")
        axes.set_ylabel(f"return of an episode (mean of the latest {EPISODES_SHOWN})")
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="best", fontsize=8, framealpha=0.9, edgecolor="none")
        paths.append(folder / f"learning_{name}.png")
        # No version or date inside: the same curves give the same bytes.
        figure.savefig(paths[-1], dpi=130, facecolor="white", metadata={"Software": None})
        plt.close(figure)
    return paths
