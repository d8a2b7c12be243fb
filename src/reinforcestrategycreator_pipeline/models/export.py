"""Export of a trained network to ONNX, to run it without this package and without Python.

The graph uses only standard operators of opset 13 (ONNX 1.8, 2020), so old runtimes accept it;
layer normalization, which became an operator later, is composed of simpler ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.arrays import F64, Array
from reinforcestrategycreator_pipeline.errors import PROJECT, ConfigError, needs
from reinforcestrategycreator_pipeline.files import sha256_bytes, write_bytes
from reinforcestrategycreator_pipeline.models.implementations.dqn_config import DQNConfig
from reinforcestrategycreator_pipeline.models.learner.state import config_record
from reinforcestrategycreator_pipeline.nn.network import LAYER_NORM_EPSILON, NetworkSpec
from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork
from reinforcestrategycreator_pipeline.storage.tensor_files import tensors_sha256

OPSET = 13
IR_VERSION = 7  # of ONNX 1.8; runtimes of that age would reject a newer one
MASK = "action_mask"  # name of the second input
NO_ACTION = -1


class Trained(Protocol):
    """A model with a greedy policy, such as `DQN`."""

    def policy_network(self) -> PolicyNetwork:
        """Return the network whose largest value is the greedy action."""
        ...


class Graph:
    """An ONNX graph under construction.

    Parameters
    ----------
    dtype : dtype
        Number type of the network.

    Attributes
    ----------
    dtype : dtype
        Type of a constant for which no other is given.
    nodes, constants, inputs, outputs : list
        Parts added so far, as ONNX objects; a constant is an initializer.

    Raises
    ------
    ConfigError
        If the extra ``onnx`` is not installed.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        with needs("onnx", "ONNX export"):
            import onnx
            import onnx.checker
            import onnx.helper
            import onnx.numpy_helper
        self._onnx: Any = onnx
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def constant(self, name: str, value: Any, dtype: DTypeLike | None = None) -> str:
        """Add a constant, by default of the network's dtype, and return its name."""
        array = np.array(value, dtype=self.dtype if dtype is None else dtype, order="C")
        self.constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output, and return the name of the output."""
        made = self._onnx.helper.make_node(operator, inputs, [output], output, **attributes)
        self.nodes.append(made)
        return output

    def cast(self, x: str, dtype: DTypeLike, output: str) -> str:
        """Add a conversion to `dtype`, and return the name of its output."""
        to = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.node("Cast", [x], output, to=to)

    def input(self, name: str, dtype: DTypeLike, *shape: str | int) -> str:
        """Add an input of the model, and return its name."""
        self.inputs.append(self._value(name, dtype, shape))
        return name

    def output(self, name: str, dtype: DTypeLike, *shape: str | int) -> None:
        """Make the output of a node an output of the model."""
        self.outputs.append(self._value(name, dtype, shape))

    def _value(self, name: str, dtype: DTypeLike, shape: tuple[str | int, ...]) -> Any:
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self._onnx.helper.make_tensor_value_info(name, kind, shape)

    def write(self, path: str | Path, name: str, metadata: Mapping[str, str]) -> str:
        """Write the model, atomically, and return the SHA-256 of the file."""
        helper = self._onnx.helper
        model = helper.make_model(
            helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name=PROJECT,
            producer_version=__version__,
        )
        helper.set_model_props(model, {"project_version": __version__, **metadata})
        self._onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString(deterministic=True)
        write_bytes(Path(path), content)
        return sha256_bytes(content)


HeadGraph = Callable[[Graph, str, PolicyNetwork], str]


def _expected(graph: Graph, outputs: str, network: PolicyNetwork) -> str:
    shape = graph.constant("values_shape", [-1, network.spec.n_actions], np.int64)
    return graph.node("Reshape", [outputs, shape], "values")


def _c51(graph: Graph, outputs: str, network: PolicyNetwork) -> str:
    of = network.head_settings
    atoms = np.linspace(of["v_min"], of["v_max"], of["n_atoms"])
    p = graph.node("Softmax", [outputs], "probabilities", axis=-1)
    weighted = graph.node("Mul", [p, graph.constant("atoms", atoms)], "weighted")
    axis = graph.constant("atoms_axis", [2], np.int64)
    return graph.node("ReduceSum", [weighted, axis], "values", keepdims=0)


def _qr(graph: Graph, outputs: str, network: PolicyNetwork) -> str:
    return graph.node("ReduceMean", [outputs], "values", axes=[2], keepdims=0)


HEAD_GRAPHS: dict[str, HeadGraph] = {"expected": _expected, "c51": _c51, "qr": _qr}
"""Functions ``f(graph, outputs, network) -> values`` by name of the head. Each adds the nodes that
compute the action values, shape (N, A), from the outputs, shape (N, A, n), and returns the name of
the values. Add an entry for a custom head."""


def export_onnx(source: Trained | PolicyNetwork, path: str | Path) -> str:
    """Write a greedy policy as an ONNX model, atomically; equal sources give equal bytes.

    Parameters
    ----------
    source : DQN or PolicyNetwork
        The trained model or network.
    path : str or Path
        File to write.

    Returns
    -------
    str
        The SHA-256 of the file.

    Raises
    ------
    ConfigError
        If the extra ``onnx`` is not installed, or the head has no ONNX export.
    RunError
        If the file cannot be written.

    Notes
    -----
    Input: ``states``, (N, n_inputs) with any N, of the network's dtype, as for
    `PolicyNetwork.values`; normalization of the observations is part of the graph. Outputs:
    ``q_values``, (N, A), and ``actions``, (N,), int64, the first largest of each row. A NaN or an
    infinity in a row makes all its q_values NaN, and its action meaningless.

    A network trained with action masks has a second input, ``action_mask``, (N, A), of booleans.
    The q_values of invalid actions are -inf; the action of a row without a valid one is -1.

    Metadata: project_version, network, head, head_settings, observation_clip, weights_sha256, with
    action masks action_mask, and for a model with a `config` also config_sha256.
    """
    network = source if isinstance(source, PolicyNetwork) else source.policy_network()
    graph, n_actions = Graph(network.dtype), network.spec.n_actions
    states = graph.input("states", network.dtype, "N", network.spec.n_inputs)
    if network.masked:
        graph.input(MASK, np.bool_, "N", n_actions)
    values = add_values(graph, network, states)
    # Runtimes differ in how Relu and Clip treat NaN, so it is added here.
    row = add_zero_or_nan(graph, states)
    if not network.masked:
        q = graph.node("Add", [values, row], "q_values")
        graph.node("ArgMax", [q], "actions", axis=1, keepdims=0)
    else:
        every = graph.node("Add", [values, row], "q_of_all_actions")
        worthless = graph.constant("worthless", -np.inf)
        q = graph.node("Where", [MASK, every, worthless], "q_values")
        best = graph.node("ArgMax", [q], "best", axis=1, keepdims=0)
        ones = graph.cast(MASK, np.int64, "mask_as_integers")
        some = graph.node("ReduceMax", [ones], "some_as_integer", axes=[1], keepdims=0)
        some = graph.cast(some, np.bool_, "some")
        none = graph.constant("no_action", NO_ACTION, np.int64)
        graph.node("Where", [some, best, none], "actions")
    graph.output("q_values", network.dtype, "N", n_actions)
    graph.output("actions", np.int64, "N")
    return graph.write(path, "greedy_policy", dict(_metadata(source, network)))


def json_texts(header: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a header as texts for the metadata; JSON unless they are texts."""
    return {
        k: v if isinstance(v, str) else json.dumps(v, sort_keys=True) for k, v in header.items()
    }


def _metadata(source: Trained | PolicyNetwork, network: PolicyNetwork) -> Iterator[tuple[str, str]]:
    header = network.to_header()
    yield from json_texts(header).items()
    yield "weights_sha256", tensors_sha256(network.to_tensors(), json.dumps(header, sort_keys=True))
    config: Any = getattr(source, "config", None)
    if isinstance(config, DQNConfig):
        text = json.dumps(config_record(config), sort_keys=True)
        yield "config_sha256", sha256_bytes(text.encode())


def add_zero_or_nan(graph: Graph, x: str) -> str:
    """Add a column of 0, or NaN for each row of `x`, (N, n), with a NaN or an infinity."""
    zero = graph.node("Sub", [x, x], f"zero_or_nan_of_{x}")
    axis = graph.constant(f"{x}_axis", [1], np.int64)
    return graph.node("ReduceSum", [zero, axis], f"zero_or_nan_of_row_of_{x}", keepdims=1)


def add_values(graph: Graph, network: PolicyNetwork, states: str) -> str:
    """Add the values of all actions, (N, A), and return their name.

    Raises
    ------
    ConfigError
        If the head has no ONNX export.
    """
    if network.head_name not in HEAD_GRAPHS:
        raise ConfigError(
            f"the head {network.head_name!r} has no ONNX export; add one to HEAD_GRAPHS in "
            f"models.export."
        )
    x, n = states, network.normalization
    if n is not None:
        x = add_scaled(graph, x, n.mean, n.scale, n.clip, "observation")
        x = graph.cast(x, network.dtype, "observations")
    outputs = add_outputs(graph, network.spec, network.weights, x)
    return HEAD_GRAPHS[network.head_name](graph, outputs, network)


def add_scaled(graph: Graph, x: str, mean: F64, scale: F64, clip: float | None, name: str) -> str:
    """Add (x - mean) / scale, limited to [-clip, clip], in double precision."""
    double = np.float64
    offset, divisor = (
        graph.constant(f"{name}_{part}", array, double)
        for part, array in (("mean", mean), ("scale", scale))
    )
    x = graph.cast(x, double, f"{name}_double")
    x = graph.node("Sub", [x, offset], f"{name}_centered")
    x = graph.node("Div", [x, divisor], f"{name}_scaled")
    if clip is None:
        return x
    least, most = (
        graph.constant(f"{name}_{part}", limit, double)
        for part, limit in (("least", -clip), ("most", clip))
    )
    return graph.node("Clip", [x, least, most], f"{name}_clipped")


def add_outputs(graph: Graph, spec: NetworkSpec, weights: Mapping[str, Array], x: str) -> str:
    """Add the network: from (N, n_inputs) to (N, A, n), or for stacked weights to (K, N, A, n).

    The weights may have a leading axis of K agents, as in `nn.network.apply`; the biases and gains
    then have the shape (K, 1, width).
    """
    top, agents = len(spec.hidden), weights["W0"].shape[:-2]
    for i in range(top - 1):
        x = _hidden(graph, spec, weights, x, i)
    ends = [*agents, -1, spec.n_actions, spec.n_outputs]
    shape = graph.constant("outputs_shape", ends, np.int64)
    if not spec.dueling:
        z = _dense(graph, weights, _hidden(graph, spec, weights, x, top - 1), top)
        return graph.node("Reshape", [z, shape], "outputs")
    width = spec.hidden_layers[-1]
    of_value = _hidden(graph, spec, weights, x, top - 1, "_value", slice(None, width))
    of_advantage = _hidden(graph, spec, weights, x, top - 1, "_advantage", slice(width, None))
    value, advantage = (
        _dense(graph, weights, hidden, top + k) for k, hidden in enumerate((of_value, of_advantage))
    )
    one = graph.constant("value_shape", [*agents, -1, 1, spec.n_outputs], np.int64)
    value = graph.node("Reshape", [value, one], "value")
    advantage = graph.node("Reshape", [advantage, shape], "advantage")
    mean = graph.node("ReduceMean", [advantage], "advantage_mean", axes=[-2], keepdims=1)
    base = graph.node("Sub", [value, mean], "base")
    return graph.node("Add", [advantage, base], "outputs")


def _dense(
    graph: Graph,
    weights: Mapping[str, Array],
    x: str,
    i: int,
    stream: str = "",
    part: slice = slice(None),
) -> str:
    """Add x W_i + b_i, or its columns that belong to one stream."""
    w, b = (graph.constant(f"{k}{i}{stream}", weights[f"{k}{i}"][..., part]) for k in "Wb")
    if weights[f"W{i}"].ndim == 2:
        return graph.node("Gemm", [x, w, b], f"dense{i}{stream}")
    product = graph.node("MatMul", [x, w], f"product{i}{stream}")
    return graph.node("Add", [product, b], f"dense{i}{stream}")


def _hidden(
    graph: Graph,
    spec: NetworkSpec,
    weights: Mapping[str, Array],
    x: str,
    i: int,
    stream: str = "",
    part: slice = slice(None),
) -> str:
    """Add hidden layer `i`, or its columns that belong to one stream."""
    z, end = _dense(graph, weights, x, i, stream, part), f"{i}{stream}"
    if spec.layer_norm:
        mean = graph.node("ReduceMean", [z], f"mean{end}", axes=[-1], keepdims=1)
        centered = graph.node("Sub", [z, mean], f"centered{end}")
        square = graph.node("Mul", [centered, centered], f"square{end}")
        variance = graph.node("ReduceMean", [square], f"variance{end}", axes=[-1], keepdims=1)
        epsilon = graph.constant(f"epsilon{end}", LAYER_NORM_EPSILON)
        spread = graph.node("Add", [variance, epsilon], f"spread{end}")
        spread = graph.node("Sqrt", [spread], f"deviation{end}")
        z = graph.node("Div", [centered, spread], f"normal{end}")
        gain, offset = (
            graph.constant(f"{kind}{end}", weights[f"{kind}{i}"][..., part])
            for kind in ("gain", "offset")
        )
        z = graph.node("Mul", [z, gain], f"gained{end}")
        z = graph.node("Add", [z, offset], f"shifted{end}")
    return graph.node("Relu", [z], f"hidden{end}")
