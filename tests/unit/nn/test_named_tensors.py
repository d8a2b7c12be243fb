"""Names are views: whatever is written by name is in the buffer, and the other way round."""

import copy

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.nn.tensors import NamedTensors, NetworkState

SHAPES = {"W0": (3, 4), "b0": (4,), "W1": (4, 2), "b1": (2,)}


def tensors():
    t = NamedTensors(SHAPES, "float32")
    t.flat[:] = np.arange(t.flat.size)
    return t


def network():
    state = NetworkState(t=0, m=tensors(), v=tensors())
    return NetworkState(weights=tensors(), optimizer_state=state)


def intact(t):
    """Whether every value is still a view into the buffer, in order."""
    joined = np.concatenate([t[name].ravel() for name in SHAPES])
    views = all(np.shares_memory(t[name], t.flat) for name in SHAPES)
    layers = all(w is t[f"W{i}"] and b is t[f"b{i}"] for i, (w, b) in enumerate(t.layers))
    return list(t) == list(SHAPES) and views and layers and joined.tobytes() == t.flat.tobytes()


def test_a_given_buffer_is_used():
    rows = np.arange(2 * 26, dtype=np.float32).reshape(2, 26)
    t = NamedTensors(SHAPES, "float32", rows[1])
    assert intact(t)
    assert np.shares_memory(t.flat, rows)
    t["b1"] = [-1, -2]
    assert rows[1, -2:].tolist() == [-1, -2]
    assert rows[0].tolist() == list(range(26))


def test_a_buffer_of_another_size_is_refused():
    with pytest.raises(AssertionError):
        NamedTensors(SHAPES, "float32", np.zeros(25, np.float32))


def test_layers_are_the_dense_ones_in_order():
    shapes = {**SHAPES, "gain0": (4,), "offset0": (4,), "sigma_W0": (3, 4), "sigma_b0": (4,)}
    t = NamedTensors(shapes, "float64")
    assert [w.shape for w, _ in t.layers] == [(3, 4), (4, 2)]
    assert t.layers[1][1] is t["b1"]


WRITES = {
    "item": lambda t: t.__setitem__("W0", np.full((3, 4), 7)),
    "a list": lambda t: t.__setitem__("W0", [[7] * 4] * 3),
    "update": lambda t: t.update({"W0": np.full((3, 4), 7)}),
    "update by keyword": lambda t: t.update(W0=np.full((3, 4), 7)),
    "update by pairs": lambda t: t.update([("W0", np.full((3, 4), 7))]),
    "or": lambda t: t.__ior__({"W0": np.full((3, 4), 7)}),
    "assign": lambda t: t.assign({**t, "W0": np.full((3, 4), 7)}),
    "in place": lambda t: t["W0"].fill(7),
    "a buffer": lambda t: t.flat.__setitem__(slice(0, 12), 7),
}


@pytest.mark.parametrize("way", WRITES)
def test_every_way_of_writing_goes_through_to_the_buffer(way):
    t = tensors()
    WRITES[way](t)
    assert intact(t)
    assert (t["W0"] == 7).all()
    assert (t.flat[:12] == 7).all()
    assert t.flat[12:].tolist() == list(range(12, t.flat.size))


def test_the_check_of_views_sees_a_plain_dict_item():
    t = tensors()
    dict.__setitem__(t, "W0", np.zeros((3, 4)))
    assert not intact(t)


def test_arithmetic_on_an_item_stays_in_the_buffer():
    t = tensors()
    t["b1"] += 1
    t["b1"] = t["b1"] * 2
    assert intact(t)
    assert t["b1"].tolist() == [50, 52]  # was 24, 25


@pytest.mark.parametrize("method", ["pop", "popitem", "clear", "setdefault", "__delitem__"])
def test_no_tensor_can_be_removed_or_added(method):
    arguments = {"pop": ("W0",), "setdefault": ("W9", 1), "__delitem__": ("W0",)}.get(method, ())
    for part in (tensors(), network()):
        names = list(part)
        with pytest.raises(ConfigError, match="the parts of a network are fixed"):
            getattr(part, method)(*arguments)
        assert list(part) == names


def test_a_wrong_name_offers_the_nearest():
    with pytest.raises(ConfigError, match=r"no tensor 'b_0'\. Did you mean 'b0'\?"):
        tensors()["b_0"] = np.zeros(4)
    with pytest.raises(ConfigError, match=r"no part 'weight'\. Did you mean 'weights'\?"):
        network()["weight"] = {}


@pytest.mark.parametrize("shape", [(4, 3), (12,), (3, 4, 1), (1, 4), ()])
def test_a_wrong_shape_is_refused_and_never_broadcast(shape):
    t = tensors()
    with pytest.raises(ConfigError, match=r"W0 must have the shape \(3, 4\)\. Got "):
        t["W0"] = np.zeros(shape)
    assert t.flat.tobytes() == tensors().flat.tobytes()


@pytest.mark.parametrize("change", [{"b1": np.zeros(3)}, {"W7": np.zeros(3)}, {"b1": None}])
def test_assigning_all_tensors_is_all_or_nothing(change):
    t = tensors()
    new = {**{name: np.full(shape, 5.0) for name, shape in SHAPES.items()}, **change}
    new = {name: value for name, value in new.items() if value is not None}
    with pytest.raises(ConfigError):
        t.assign(new)
    assert t.flat.tobytes() == tensors().flat.tobytes()


def test_assigning_all_tensors_names_what_is_missing():
    with pytest.raises(ConfigError, match=r"W0, b0, W1, b1; missing or extra: \['b1', 'bias'\]"):
        tensors().assign({"W0": 0, "b0": 0, "W1": 0, "bias": 0})


@pytest.mark.parametrize("write", ["item", "update", "or", "replace"])
def test_a_networks_parts_are_copied_in(write):
    n = network()
    weights, optimizer_state = n["weights"], n["optimizer_state"]
    new = {name: np.full(shape, 9.0) for name, shape in SHAPES.items()}
    parts = {"weights": new, "optimizer_state": {"t": 4, "m": new}}
    if write == "item":
        for name, part in parts.items():
            n[name] = part
    else:
        getattr(n, {"update": "update", "or": "__ior__", "replace": "replace"}[write])(parts)
    assert n["weights"] is weights
    assert n["optimizer_state"] is optimizer_state
    assert (weights.flat == 9).all()
    assert intact(weights)
    assert optimizer_state["t"] == 4
    assert (optimizer_state["m"].flat == 9).all()
    assert optimizer_state["v"].flat.tobytes() == tensors().flat.tobytes()  # was not named
    new["W0"][:] = -1  # nothing is shared with what was given
    assert (weights.flat == 9).all()


def test_deepcopy_is_a_plain_snapshot_that_shares_nothing():
    n = network()
    snapshot = copy.deepcopy(n)
    assert type(snapshot) is type(snapshot["weights"]) is dict
    n["weights"].flat[:] = 0
    n["optimizer_state"]["t"] = 3
    n["optimizer_state"]["m"]["b1"] = [0, 0]
    assert snapshot["weights"]["W0"].tolist() == tensors()["W0"].tolist()
    assert snapshot["optimizer_state"]["t"] == 0
    assert snapshot["optimizer_state"]["m"]["b1"].any()
    assert snapshot["weights"]["W0"].base is None
    n.replace(snapshot)  # and it can be put back
    assert n["weights"].flat.tobytes() == tensors().flat.tobytes()
    assert intact(n["weights"])
