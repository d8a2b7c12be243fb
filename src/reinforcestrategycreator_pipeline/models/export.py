"""Export of a trained network to ONNX, to run it without this package and without Python.

The graph uses only standard operators of opset 13 (ONNX 1.8, 2020), so old runtimes accept it;
layer normalization, which became an operator later, is composed of simpler ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.errors import PROJECT, ConfigError, needs
from reinforcestrategycreator_pipeline.files import sha256_bytes, write_bytes
from reinforcestrategycreator_pipeline.models.implementations.dqn_config import DQNConfig
from reinforcestrategycreator_pipeline.models.learner.state import config_record
from reinforcestrategycreator_pipeline.nn.network import LAYER_NORM_EPSILON
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
    """Nodes and constants of an ONNX graph under construction.

    Parameters
    ----------
    onnx : module
        The onnx package.
    dtype : dtype
        Number type of the network.

    Attributes
    ----------
    nodes, constants : list
        Nodes and constants (initializers) added so far, as ONNX objects.
    """

    def __init__(self, onnx: Any, dtype: np.dtype[Any]) -> None:
        self._onnx, self.dtype = onnx, dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

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
    with needs("onnx", "ONNX export"):
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    network = source if isinstance(source, PolicyNetwork) else source.policy_network()
    if network.head_name not in HEAD_GRAPHS:
        raise ConfigError(
            f"the head {network.head_name!r} has no ONNX export; add one to HEAD_GRAPHS in "
            f"models.export."
        )
    graph = Graph(onnx, network.dtype)
    helper, spec = onnx.helper, network.spec
    kind = helper.np_dtype_to_tensor_dtype(network.dtype)
    _build(graph, network)
    inputs = [helper.make_tensor_value_info("states", kind, ["N", spec.n_inputs])]
    if network.masked:
        bits = onnx.TensorProto.BOOL
        inputs.append(helper.make_tensor_value_info(MASK, bits, ["N", spec.n_actions]))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "greedy_policy",
            inputs,
            [
                helper.make_tensor_value_info("q_values", kind, ["N", spec.n_actions]),
                helper.make_tensor_value_info("actions", onnx.TensorProto.INT64, ["N"]),
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name=PROJECT,
        producer_version=__version__,
    )
    helper.set_model_props(model, dict(_metadata(source, network)))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    write_bytes(Path(path), content)
    return sha256_bytes(content)


def _metadata(source: Trained | PolicyNetwork, network: PolicyNetwork) -> Iterator[tuple[str, str]]:
    header = network.to_header()
    yield "project_version", __version__
    for name, value in header.items():
        yield name, value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    yield "weights_sha256", tensors_sha256(network.to_tensors(), json.dumps(header, sort_keys=True))
    config: Any = getattr(source, "config", None)
    if isinstance(config, DQNConfig):
        text = json.dumps(config_record(config), sort_keys=True)
        yield "config_sha256", sha256_bytes(text.encode())


def _build(graph: Graph, network: PolicyNetwork) -> None:
    """Add everything between the inputs and the two outputs."""
    x = _normalized(graph, network)
    values = HEAD_GRAPHS[network.head_name](graph, _outputs(graph, network, x), network)
    # Runtimes differ in how Relu and Clip treat NaN, so NaN is added here: states - states is 0, or
    # NaN for NaN and infinity.
    zero = graph.node("Sub", ["states", "states"], "zero_or_nan")
    axis = graph.constant("states_axis", [1], np.int64)
    row = graph.node("ReduceSum", [zero, axis], "zero_or_nan_of_row", keepdims=1)
    if not network.masked:
        q = graph.node("Add", [values, row], "q_values")
        graph.node("ArgMax", [q], "actions", axis=1, keepdims=0)
        return
    every = graph.node("Add", [values, row], "q_of_all_actions")
    q = graph.node("Where", [MASK, every, graph.constant("worthless", -np.inf)], "q_values")
    best = graph.node("ArgMax", [q], "best", axis=1, keepdims=0)
    ones = graph.cast(MASK, np.int64, "mask_as_integers")
    some = graph.node("ReduceMax", [ones], "some_as_integer", axes=[1], keepdims=0)
    some = graph.cast(some, np.bool_, "some")
    graph.node("Where", [some, best, graph.constant("no_action", NO_ACTION, np.int64)], "actions")


def _normalized(graph: Graph, network: PolicyNetwork) -> str:
    """Add (states - mean) / scale, clipped, in double precision as in `nn.normalization`."""
    n = network.normalization
    if n is None:
        return "states"
    double, limits = np.float64, {"least": -n.clip, "most": n.clip}
    mean, scale = (
        graph.constant(f"observation_{name}", getattr(n, name), double)
        for name in ("mean", "scale")
    )
    least, most = (graph.constant(name, limit, double) for name, limit in limits.items())
    x = graph.cast("states", double, "states_double")
    x = graph.node("Sub", [x, mean], "centered")
    x = graph.node("Div", [x, scale], "scaled")
    x = graph.node("Clip", [x, least, most], "clipped")
    return graph.cast(x, network.dtype, "observations")


def _outputs(graph: Graph, network: PolicyNetwork, x: str) -> str:
    """Add the network: from (N, n_inputs) to (N, A, n)."""
    spec, top = network.spec, len(network.spec.hidden)
    for i in range(top - 1):
        x = _hidden(graph, network, x, i)
    shape = graph.constant("outputs_shape", [-1, spec.n_actions, spec.n_outputs], np.int64)
    if not spec.dueling:
        z = _dense(graph, network, _hidden(graph, network, x, top - 1), top)
        return graph.node("Reshape", [z, shape], "outputs")
    width = spec.hidden_layers[-1]
    of_value = _hidden(graph, network, x, top - 1, "_value", slice(None, width))
    of_advantage = _hidden(graph, network, x, top - 1, "_advantage", slice(width, None))
    value, advantage = (
        _dense(graph, network, hidden, top + k) for k, hidden in enumerate((of_value, of_advantage))
    )
    one = graph.constant("value_shape", [-1, 1, spec.n_outputs], np.int64)
    value = graph.node("Reshape", [value, one], "value")
    advantage = graph.node("Reshape", [advantage, shape], "advantage")
    mean = graph.node("ReduceMean", [advantage], "advantage_mean", axes=[1], keepdims=1)
    base = graph.node("Sub", [value, mean], "base")
    return graph.node("Add", [advantage, base], "outputs")


def _weight(graph: Graph, network: PolicyNetwork, name: str, stream: str, part: slice) -> str:
    return graph.constant(f"{name}{stream}", network.weights[name][..., part])


def _dense(
    graph: Graph,
    network: PolicyNetwork,
    x: str,
    i: int,
    stream: str = "",
    part: slice = slice(None),
) -> str:
    """Add x W_i + b_i, or its columns that belong to one stream."""
    w, b = (_weight(graph, network, f"{kind}{i}", stream, part) for kind in "Wb")
    return graph.node("Gemm", [x, w, b], f"dense{i}{stream}")


def _hidden(
    graph: Graph,
    network: PolicyNetwork,
    x: str,
    i: int,
    stream: str = "",
    part: slice = slice(None),
) -> str:
    """Add hidden layer `i`, or its columns that belong to one stream."""
    z, end = _dense(graph, network, x, i, stream, part), f"{i}{stream}"
    if network.spec.layer_norm:
        mean = graph.node("ReduceMean", [z], f"mean{end}", axes=[1], keepdims=1)
        centered = graph.node("Sub", [z, mean], f"centered{end}")
        square = graph.node("Mul", [centered, centered], f"square{end}")
        variance = graph.node("ReduceMean", [square], f"variance{end}", axes=[1], keepdims=1)
        epsilon = graph.constant(f"epsilon{end}", LAYER_NORM_EPSILON)
        spread = graph.node("Add", [variance, epsilon], f"spread{end}")
        spread = graph.node("Sqrt", [spread], f"deviation{end}")
        z = graph.node("Div", [centered, spread], f"normal{end}")
        gain, offset = (
            _weight(graph, network, f"{kind}{i}", stream, part) for kind in ("gain", "offset")
        )
        z = graph.node("Mul", [z, gain], f"gained{end}")
        z = graph.node("Add", [z, offset], f"shifted{end}")
    return graph.node("Relu", [z], f"hidden{end}")
