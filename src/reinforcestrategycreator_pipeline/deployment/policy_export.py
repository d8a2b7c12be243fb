"""Export of a whole policy to ONNX: from raw features and the previous target to the next one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from reinforcestrategycreator_pipeline.envs.grid import toward
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.models.export import (
    Graph,
    add_outputs,
    add_scaled,
    add_values,
    add_zero_or_nan,
    json_texts,
)
from reinforcestrategycreator_pipeline.policies.base import Policy
from reinforcestrategycreator_pipeline.policies.baselines import ConstantPolicy, FallbackPolicy
from reinforcestrategycreator_pipeline.policies.ensemble_policy import (
    BaselinePolicy,
    EnsemblePolicy,
)
from reinforcestrategycreator_pipeline.policies.linear import LinearPolicy
from reinforcestrategycreator_pipeline.policies.q_policy import QPolicy
from reinforcestrategycreator_pipeline.storage.tensor_files import tensors_sha256

FEATURES, HELD = "features", "held"
NO_TARGET = -1


@dataclass(frozen=True)
class Decision:
    """Names of the nodes of a decision, in float64.

    Attributes
    ----------
    scores : str
        Numbers of which the policy chooses the largest, (N, n).
    inputs : tuple of str
        Numbers on the way, (N, any), that must be finite as well.
    of_target : mapping of str to str
        Further outputs by name: numbers of all targets, (N, n), of which the chosen one is given.
    """

    scores: str
    inputs: tuple[str, ...] = ()
    of_target: Mapping[str, str] = field(default_factory=dict)


PolicyGraph = Callable[[Graph, Any, str], Decision]


def _scaled(graph: Graph, scaler: FittedScaler, *dtypes: DTypeLike) -> str:
    """Add the scaled features, converted to each of the types in turn."""
    if scaler.ranks is not None:
        raise ConfigError("a policy whose scaler is rank_gauss has no ONNX export.")
    # A feature that was constant in training gives 0, as does a division by infinity.
    divisor = np.where(scaler.scale > 0.0, scaler.scale, np.inf)
    x = add_scaled(graph, FEATURES, scaler.center, divisor, scaler.clip, "feature")
    for dtype in dtypes:
        x = graph.cast(x, dtype, f"{x}_{np.dtype(dtype)}")
    return x


def _rows_of(graph: Graph, name: str, table: Any, held: str, dtype: DTypeLike = np.float64) -> str:
    """Add the row of a table (n, any) that belongs to each previous target."""
    rows = graph.constant(f"{name}_by_target", table, dtype)
    return graph.node("Gather", [rows, held], name, axis=0)


def _ensemble(graph: Graph, policy: EnsemblePolicy, held: str) -> Decision:
    network, n, agents = policy.networks[0], len(policy.positions), len(policy.networks)
    graph.dtype = network.dtype
    x = _scaled(graph, policy.scaler, np.float32, network.dtype)
    u = graph.cast(
        add_outputs(graph, network.spec, policy.weights, x), np.float64, "outputs_double"
    )
    shape = graph.constant("values_shape", [agents, -1, n], np.int64)
    u = graph.node("Reshape", [u, shape], "values")
    column = graph.node("Reshape", [held, graph.constant("column", [1, -1, 1], np.int64)], "held_k")
    each = graph.constant("agents", [agents, 1, 1], np.int64)
    column = graph.node("Expand", [column, each], "held_of_agents")
    stay = graph.node("GatherElements", [u, column], "value_of_staying", axis=2)
    gain = graph.node("Sub", [u, stay], "gains")
    mean = graph.node("ReduceMean", [gain], "mean_gain", axes=[0], keepdims=0)
    deviation = graph.node("Sub", [gain, mean], "deviations")
    square = graph.node("Mul", [deviation, deviation], "squares")
    axis = graph.constant("agents_axis", [0], np.int64)
    total = graph.node("ReduceSum", [square, axis], "sum_of_squares", keepdims=0)
    others = graph.constant("other_agents", agents - 1, np.float64)
    variance = graph.node("Div", [total, others], "variance")
    sd = graph.node("Sqrt", [variance], "sd")
    cost = _rows_of(graph, "cost", policy.cost, held)
    advantage = graph.node("Sub", [mean, cost], "net_advantage")
    doubted = policy.kappa * ~toward(n, policy.baseline)
    doubt = graph.node("Mul", [_rows_of(graph, "kappa", doubted, held), sd], "doubt")
    scores = graph.node("Sub", [advantage, doubt], "scores_of_targets")
    bps = graph.constant("unit_bps", policy.unit_bps, np.float64)
    of_target = {
        f"{name}_bps": graph.node("Mul", [number, bps], f"{name}_bps_of_targets")
        for name, number in (("advantage", advantage), ("spread", sd))
    }
    return Decision(scores, (x,), of_target)


def _q(graph: Graph, policy: QPolicy, held: str) -> Decision:
    network = policy.network
    if network.masked:
        raise ConfigError("a policy whose network needs action masks has no ONNX export.")
    graph.dtype = network.dtype
    x = _scaled(graph, policy.scaler, np.float32, network.dtype)
    previous = _rows_of(graph, "previous", np.eye(len(policy.positions)), held, network.dtype)
    states = graph.node("Concat", [x, previous], "states", axis=1)
    values = add_values(graph, network, states)
    return Decision(graph.cast(values, np.float64, "values_double"), (states,))


def _linear(graph: Graph, policy: LinearPolicy, held: str) -> Decision:
    x = _scaled(graph, policy.scaler)
    weighted = graph.node("Mul", [x, graph.constant("weights", policy.weights)], "weighted")
    axis = graph.constant("weighted_axis", [1], np.int64)
    total = graph.node("ReduceSum", [weighted, axis], "sum", keepdims=1)
    intercept = graph.constant("intercept", policy.intercept)
    forecast = graph.node("Add", [total, intercept], "forecast")
    held_gain = graph.node("Mul", [forecast, graph.constant("positions", policy.positions)], "gain")
    cost = _rows_of(graph, "cost", policy.cost, held)
    return Decision(graph.node("Sub", [held_gain, cost], "scores_of_targets"))


def _constant(graph: Graph, policy: ConstantPolicy, held: str) -> Decision:
    n = len(policy.positions)
    table = np.tile(np.arange(n) == policy.target, (n, 1))
    return Decision(_rows_of(graph, "scores_of_targets", table, held))


POLICY_GRAPHS: dict[type[Policy], PolicyGraph] = {
    EnsemblePolicy: _ensemble,
    QPolicy: _q,
    LinearPolicy: _linear,
    ConstantPolicy: _constant,
    BaselinePolicy: _constant,
    FallbackPolicy: _constant,
}
"""Functions ``f(graph, policy, held) -> Decision`` by class of the policy; not for its subclasses,
which may decide otherwise. Each adds the nodes that compute the scores of all targets from the
input `FEATURES`, (N, F) in float64, and from `held`, (N,). Add an entry for your own policy."""


def export_policy_onnx(policy: Policy, path: str | Path) -> str:
    """Write a policy as an ONNX model, atomically; equal policies give equal bytes.

    Parameters
    ----------
    policy : Policy
        The policy; its class must be in `POLICY_GRAPHS`.
    path : str or Path
        File to write.

    Returns
    -------
    str
        The SHA-256 of the file.

    Raises
    ------
    ConfigError
        If the extra ``onnx`` is not installed, or the policy or its head has no ONNX export.
    RunError
        If the file cannot be written.

    Notes
    -----
    Inputs: ``features``, (N, F) with any N, float64, unscaled; ``held``, (N,), int64, the indices
    of the previous targets. Outputs: ``target``, (N,), int64, the index of the target chosen;
    ``scores``, (N, n), float64, of which it is the first largest. An ensemble also gives
    ``advantage_bps`` and ``spread_bps``, (N,), float64, as in `Confidence`.

    Where `Policy.decide` would raise, because a number is not finite or the previous target not on
    the grid, the target is -1 and the other outputs are NaN.

    Metadata: project_version, the policy's header, in which positions and inputs say what the
    indices and features are, and policy_sha256, what `Policy.save` returns.
    """
    build = POLICY_GRAPHS.get(type(policy))
    if build is None:
        raise ConfigError(
            f"a {type(policy).__name__} has no ONNX export; add one to POLICY_GRAPHS in "
            f"deployment.policy_export."
        )
    graph, n, double = Graph(np.dtype(np.float64)), len(policy.positions), np.float64
    graph.input(FEATURES, double, "N", len(policy.inputs.names))
    graph.input(HELD, np.int64, "N")
    first, last = (graph.constant(f"target_{i}", i, np.int64) for i in (0, n - 1))
    known = graph.node("Clip", [HELD, first, last], "held_on_grid")
    decision = build(graph, policy, known)
    row = _zero_or_nan(graph, known, (FEATURES, *decision.inputs, decision.scores))
    best = graph.node("ArgMax", [decision.scores], "best", axis=1, keepdims=1)
    bad = graph.node("IsNaN", [row], "not_finite")
    none = graph.constant("no_target", NO_TARGET, np.int64)
    target = graph.node("Where", [bad, none, best], "target_column")
    flat = graph.constant("flat", [-1], np.int64)
    graph.node("Reshape", [target, flat], "target")
    graph.output("target", np.int64, "N")
    graph.node("Add", [decision.scores, row], "scores")
    graph.output("scores", double, "N", n)
    for name, numbers in decision.of_target.items():
        chosen = graph.node("GatherElements", [numbers, best], f"{name}_chosen", axis=1)
        chosen = graph.node("Add", [chosen, row], f"{name}_column")
        graph.node("Reshape", [chosen, flat], name)
        graph.output(name, double, "N")
    tensors, header = policy.content()
    sha256 = tensors_sha256(tensors, json.dumps(header, sort_keys=True, allow_nan=False))
    return graph.write(path, "policy", {**json_texts(header), "policy_sha256": sha256})


def _zero_or_nan(graph: Graph, known: str, numbers: tuple[str, ...]) -> str:
    """Add a column of 0, or NaN for each row without a decision."""
    same = graph.node("Equal", [known, HELD], "on_grid")
    zero, nan = graph.constant("zero", 0.0, np.float64), graph.constant("nan", np.nan, np.float64)
    row = graph.node("Where", [same, zero, nan], "zero_or_nan_of_held")
    shape = graph.constant("rows", [-1, 1], np.int64)
    row = graph.node("Reshape", [row, shape], "zero_or_nan_of_row_of_held")
    for x in numbers:
        other = graph.cast(add_zero_or_nan(graph, x), np.float64, f"zero_or_nan_double_of_{x}")
        row = graph.node("Add", [row, other], f"zero_or_nan_up_to_{x}")
    return row
