"""The network's forward and backward pass, its start, its agents, and its row-wise twin.

Expected values are worked by hand, or by the definition, one row and one unit at a time. The whole
family's gradients are checked against differences and a foreign autodiff in tests/unit/models.
"""

import itertools

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.nn.network import (
    Backward,
    NetworkSpec,
    Pass,
    Views,
    apply,
    apply_rowwise,
    initialize,
)
from reinforcestrategycreator_pipeline.nn.tensors import NamedTensors

PLAIN = NetworkSpec(3, (4, 4), 2)
VARIANTS = [
    NetworkSpec(3, (5,), 2, dueling=dueling, layer_norm=layer_norm, n_outputs=n)
    for dueling, layer_norm, n in itertools.product([False, True], [False, True], [1, 4])
] + [NetworkSpec(3, (6, 5, 4), 3, 2, dueling=True, layer_norm=True)]


def ids(spec):
    parts = [spec.dueling and "dueling", spec.layer_norm and "normal", f"{spec.n_outputs}"]
    return "-".join(str(p) for p in parts if p) + f"-{len(spec.hidden_layers)}"


def tensors(spec, dtype="float64", seed=0, scale=0.3):
    """Weights that are all different, biases, gains and offsets included."""
    weights = NamedTensors(spec.shapes, dtype)
    rng = np.random.default_rng(seed)
    initialize(weights, spec, rng, 0.5)
    weights.flat[:] += scale * rng.normal(size=weights.flat.size)
    return weights


def passed(spec, weights, x):
    """A forward pass that has been run."""
    forward = Pass(spec, Views(weights.flat, spec), len(x))
    forward.x[...] = x
    forward.forward()
    return forward


def plain_network(spec, weights, state):
    """Outputs (A, n) of one state by the definition, unit by unit."""
    w = {name: np.asarray(array, dtype=np.float64) for name, array in weights.items()}
    width, a = spec.hidden_layers[-1], [float(v) for v in state]
    top = len(spec.hidden_layers)
    for i in range(top):
        z = [
            sum(a[j] * w[f"W{i}"][j, k] for j in range(len(a))) + w[f"b{i}"][k]
            for k in range(w[f"b{i}"].size)
        ]
        if spec.layer_norm:
            streams = [z[:width], z[width:]] if spec.dueling and i == top - 1 else [z]
            y = []
            for part in streams:
                mean = sum(part) / len(part)
                variance = sum((v - mean) ** 2 for v in part) / len(part)
                y += [(v - mean) / (variance + 1e-5) ** 0.5 for v in part]
            z = [w[f"gain{i}"][k] * v + w[f"offset{i}"][k] for k, v in enumerate(y)]
        a = [max(v, 0.0) for v in z]

    def linear(i, inputs):
        return [
            sum(inputs[j] * w[f"W{i}"][j, k] for j in range(len(inputs))) + w[f"b{i}"][k]
            for k in range(w[f"b{i}"].size)
        ]

    n = spec.n_outputs
    if not spec.dueling:
        return np.reshape(linear(top, a), (spec.n_actions, n))
    value = linear(top, a[:width])
    advantages = np.reshape(linear(top + 1, a[width:]), (spec.n_actions, n))
    mean = [sum(advantages[:, k]) / spec.n_actions for k in range(n)]
    return np.array([[value[k] + row[k] - mean[k] for k in range(n)] for row in advantages])


def plain_outputs(spec, weights, x):
    return np.array([plain_network(spec, weights, state).ravel() for state in x])


# -- shapes and views -------------------------------------------------------------------------


def test_names_and_shapes():
    assert NetworkSpec(3, (4,), 2).shapes == {"W0": (3, 4), "b0": (4,), "W1": (4, 2), "b1": (2,)}
    assert list(NetworkSpec(5, (6, 7), 8).shapes) == ["W0", "b0", "W1", "b1", "W2", "b2"]
    # Two streams of 4: the trunk's last layer is 8 wide, then V of n = 5 numbers, then A n = 10.
    dueling = NetworkSpec(3, (6, 4), 2, 5, dueling=True, layer_norm=True)
    assert dueling.shapes == {
        "W0": (3, 6), "b0": (6,),
        "W1": (6, 8), "b1": (8,),
        "W2": (4, 5), "b2": (5,),
        "W3": (4, 10), "b3": (10,),
        "gain0": (6,), "offset0": (6,), "gain1": (8,), "offset1": (8,),
    }  # fmt: skip
    noisy = NetworkSpec(3, (4,), 2, noisy=True)
    assert list(noisy.shapes)[4:] == ["sigma_W0", "sigma_b0", "sigma_W1", "sigma_b1"]
    assert noisy.shapes["sigma_W0"] == (3, 4)
    assert noisy.n_dense == 3 * 4 + 4 + 4 * 2 + 2
    assert noisy.effective_shapes == NetworkSpec(3, (4,), 2).shapes


@pytest.mark.parametrize("spec", VARIANTS, ids=ids)
def test_views_are_the_named_tensors(spec):
    weights = tensors(spec)
    views = Views(weights.flat, spec)
    for i, (w, b) in enumerate(weights.layers):
        assert np.shares_memory(views.w[i], w)
        assert views.w[i].tobytes() == w.tobytes()
        assert views.b[i].ravel().tobytes() == b.tobytes()
        assert views.folded[i].tobytes() == w.tobytes() + b.tobytes()
    for i, gain in enumerate(views.gain):
        assert gain.ravel().tobytes() == weights[f"gain{i}"].tobytes()
        assert views.offset[i].ravel().tobytes() == weights[f"offset{i}"].tobytes()
    assert len(views.gain) == (len(spec.hidden) if spec.layer_norm else 0)


# -- forward ----------------------------------------------------------------------------------


def by_hand(b1):
    # x = (1, 2); W0 columns (1, 1) and (1, -1), b0 = (0, 0): z = (3, -1), ReLU (3, 0).
    # W1 = (2, 5): 3 * 2 + 0 * 5 = 6.
    weights = NamedTensors(NetworkSpec(2, (2,), 1).shapes, "float64")
    weights["W0"], weights["W1"], weights["b1"] = [[1, 1], [1, -1]], [[2], [5]], [b1]
    return weights


@pytest.mark.parametrize(("b1", "output"), [(1, 7), (-10, -4)])  # the output is linear
def test_forward_by_hand(b1, output):
    spec, x = NetworkSpec(2, (2,), 1), np.array([[1.0, 2.0]])
    forward = passed(spec, by_hand(b1), x)
    assert forward.outputs.tolist() == [[output]]
    assert forward.hidden[0].tolist() == [[3, 0]]
    assert apply(spec, by_hand(b1), x).tolist() == [[[output]]]


def test_dueling_by_hand():
    # One input, streams of one unit: h = (x, 2x). V = 10 h0 + 1; A = (h1, 3 h1, -h1) + (0, 0, 6).
    # x = 1: V = 11, A = (2, 6, 4), mean 4: Q = (9, 13, 11).
    spec = NetworkSpec(1, (1,), 3, dueling=True)
    weights = NamedTensors(spec.shapes, "float64")
    weights["W0"], weights["W1"], weights["b1"] = [[1, 2]], [[10]], [1]
    weights["W2"], weights["b2"] = [[1, 3, -1]], [0, 0, 6]
    assert passed(spec, weights, np.array([[1.0]])).outputs.tolist() == [[9, 13, 11]]
    # x = -1: both streams are dead; V = 1, A = (0, 0, 6).
    assert passed(spec, weights, np.array([[-1.0]])).outputs.tolist() == [[-1, -1, 5]]
    assert apply(spec, weights, np.array([[1.0]])).tolist() == [[[9], [13], [11]]]


def test_layer_normalisation_by_hand():
    # z = (1, 3): mean 2, variance 1: u = (-1, 1) / sqrt(1.00001); gain (2, 3), offset (5, 1):
    # y = (5 - 2 u, 1 + 3 u), both above 0; the output is their sum, 6 + u.
    spec = NetworkSpec(1, (2,), 1, layer_norm=True)
    weights = NamedTensors(spec.shapes, "float64")
    weights["W0"], weights["W1"] = [[1, 3]], [[1], [1]]
    weights["gain0"], weights["offset0"] = [2, 3], [5, 1]
    u = 1 / 1.00001**0.5
    x = np.array([[1.0]])
    np.testing.assert_allclose(passed(spec, weights, x).outputs, [[6 + u]], rtol=1e-15)
    np.testing.assert_allclose(apply(spec, weights, x), [[[6 + u]]], rtol=1e-15)


@pytest.mark.parametrize("spec", [PLAIN, *VARIANTS], ids=ids)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 2e-5)])
def test_both_ways_to_compute_agree_with_the_definition(spec, dtype, tolerance):
    weights = tensors(spec, dtype)
    x = np.random.default_rng(1).normal(size=(7, 3)).astype(dtype)
    expected = plain_outputs(spec, weights, x)
    forward = passed(spec, weights, x)
    assert forward.outputs.dtype == dtype
    np.testing.assert_allclose(forward.outputs, expected, rtol=tolerance, atol=tolerance)
    applied = apply(spec, weights, x)
    assert applied.shape == (7, spec.n_actions, spec.n_outputs)
    assert applied.dtype == dtype
    np.testing.assert_allclose(applied.reshape(7, -1), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("spec", [PLAIN, *VARIANTS], ids=ids)
def test_the_definition_sees_every_tensor(spec):
    """No comparison above can pass with a tensor that is not used, or used wrongly."""
    x = np.random.default_rng(1).normal(size=(7, 3))
    expected = plain_outputs(spec, tensors(spec), x)
    for name in spec.shapes:
        planted = tensors(spec)
        # By numbers that differ: adding one to all shifts what layer norm or dueling takes out.
        planted[name] += np.random.default_rng(9).normal(size=planted[name].shape)
        assert np.abs(passed(spec, planted, x).outputs - expected).max() > 1e-3, name


def test_a_pass_runs_again_on_new_inputs_and_new_weights():
    weights = tensors(PLAIN)
    forward = passed(PLAIN, weights, np.ones((2, 3)))
    first = forward.outputs.copy()
    forward.x[...] = [[0, 1, 2], [1, 1, 1]]
    weights["b2"] += 1
    assert forward.forward() is forward.outputs
    np.testing.assert_allclose(forward.outputs[1], first[1] + 1, rtol=1e-12)
    expected = plain_outputs(PLAIN, weights, [[0, 1, 2], [1, 1, 1]])
    np.testing.assert_allclose(forward.outputs, expected, rtol=1e-12)


def test_inputs_of_another_pass_can_be_shared():
    weights = tensors(PLAIN)
    views = Views(weights.flat, PLAIN)
    whole = Pass(PLAIN, views, 5)
    part = Pass(PLAIN, views, 2, whole.inputs[..., 3:, :])
    whole.x[...] = np.random.default_rng(2).normal(size=(5, 3))
    expected = plain_outputs(PLAIN, weights, whole.x)
    np.testing.assert_allclose(part.forward(), expected[3:], rtol=1e-12)
    np.testing.assert_allclose(whole.forward(), expected, rtol=1e-12)


@pytest.mark.parametrize("spec", [PLAIN, *VARIANTS], ids=ids)
def test_forward_does_not_hide_nan(spec):
    for place in ("x", *spec.shapes):
        weights, x = tensors(spec), np.full((2, 3), 0.5)
        if place.startswith(("W", "b")) and int(place[1:]) < len(spec.hidden_layers):
            weights.flat[:] = np.abs(weights.flat)  # alive, so that it matters
        (x if place == "x" else weights[place]).ravel()[0] = np.nan
        assert np.isnan(passed(spec, weights, x).outputs).any(), place
        assert np.isnan(apply(spec, weights, x)).any(), place


# -- backward ---------------------------------------------------------------------------------


def gradients_of(spec, weights, x, d_outputs, rows=None):
    forward = passed(spec, weights, x)
    gradients = NamedTensors(spec.effective_shapes, weights.flat.dtype)
    gradients.flat[:] = 99.0  # what was there before must not matter
    rows = len(x) if rows is None else rows
    Backward(forward, rows, Views(gradients.flat, spec)).run(d_outputs)
    return gradients


def test_backward_by_hand():
    # x = (1, 2), hidden (3, 0); dL/dq = 2: dW1 = (6, 0), db1 = 2; the second unit is off, so that
    # delta = (2 * 2, 0), dW0 = x^T delta = ((4, 0), (8, 0)).
    found = gradients_of(
        NetworkSpec(2, (2,), 1), by_hand(1), np.array([[1.0, 2.0]]), np.array([[2.0]])
    )
    assert found["W1"].tolist() == [[6], [0]]
    assert found["b1"].tolist() == [2]
    assert found["W0"].tolist() == [[4, 0], [8, 0]]
    assert found["b0"].tolist() == [4, 0]


def test_backward_through_two_streams_by_hand():
    # The network of test_dueling_by_hand at x = 1, h = (1, 2), with dL/dQ = (1, 0, 0):
    # dV = 1; dA = (1, 0, 0) - 1/3. dW1 = h0 dV = 1, dW2 = h1 dA = (4/3, -2/3, -2/3).
    # dh0 = 10; dh1 = 2/3 * 1 - 1/3 * 3 - 1/3 * -1 = 0.
    spec = NetworkSpec(1, (1,), 3, dueling=True)
    weights = NamedTensors(spec.shapes, "float64")
    weights["W0"], weights["W1"], weights["b1"] = [[1, 2]], [[10]], [1]
    weights["W2"], weights["b2"] = [[1, 3, -1]], [0, 0, 6]
    found = gradients_of(spec, weights, np.array([[1.0]]), np.array([[1.0, 0, 0]]))
    expected = {
        "W0": [[10, 0]],
        "b0": [10, 0],
        "W1": [[1]],
        "b1": [1],
        "W2": [[4 / 3, -2 / 3, -2 / 3]],
        "b2": [2 / 3, -1 / 3, -1 / 3],
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-14, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [1, 15, 16, 40])
def test_relu_leaves_no_negative_zero(dtype, width):
    """Its slope is read from the bits of its result, and those of -0 are not those of 0."""
    spec = NetworkSpec(1, (width,), 1)
    weights = NamedTensors(spec.shapes, dtype)
    weights.flat[:] = -0.0
    forward = passed(spec, weights, np.array([[0.0], [-0.0], [1.0]]))
    assert not np.signbit(forward.hidden[0]).any()


def test_relu_has_slope_0_at_0():
    # z = 1 * 2 - 2 = 0 exactly: nothing flows back to W0 and b0, and the unit gives 0 forward.
    spec, x = NetworkSpec(1, (1,), 1), np.array([[1.0]])
    weights = NamedTensors(spec.shapes, "float64")
    weights["W0"], weights["W1"] = [[2]], [[3]]

    def run(b0):
        weights["b0"] = [b0]
        found = gradients_of(spec, weights, x, np.ones((1, 1)))
        return {name: g.item() for name, g in found.items()}

    assert run(-2) == {"W0": 0.0, "b0": 0.0, "W1": 0.0, "b1": 1.0}
    assert run(-2 + 2**-40) == {"W0": 3.0, "b0": 3.0, "W1": 2**-40, "b1": 1.0}  # a hair above
    assert run(-2 - 2**-40) == {"W0": 0.0, "b0": 0.0, "W1": 0.0, "b1": 1.0}


@pytest.mark.parametrize("spec", [PLAIN, *VARIANTS], ids=ids)
def test_backward_agrees_with_differences_of_the_definition(spec):
    rng = np.random.default_rng(4)
    x, d_outputs = rng.normal(size=(3, 3)), rng.normal(size=(3, spec.n_actions * spec.n_outputs))
    weights = tensors(spec, seed=5)
    found = gradients_of(spec, weights, x, d_outputs)
    h = 1e-6
    for name, w in weights.items():
        for where in list(np.ndindex(*w.shape))[:: max(1, w.size // 5)]:
            kept, sides = w[where], []
            for step in (h, -h):
                w[where] = kept + step
                sides.append(float((plain_outputs(spec, weights, x) * d_outputs).sum()))
            w[where] = kept
            expected = (sides[0] - sides[1]) / (2 * h)
            assert found[name][where] == pytest.approx(expected, rel=1e-5, abs=1e-7), (name, where)


@pytest.mark.parametrize("spec", [NetworkSpec(3, (5,), 2), *VARIANTS], ids=ids)
def test_backward_uses_only_the_first_rows_of_a_larger_pass(spec):
    # Double DQN runs s_tm1 and s_t in one forward; only the first half is differentiated.
    weights = tensors(spec, seed=2)
    rng = np.random.default_rng(3)
    x, d_outputs = rng.normal(size=(8, 3)), rng.normal(size=(4, spec.n_actions * spec.n_outputs))
    of_eight = gradients_of(spec, weights, x, d_outputs, rows=4)
    of_four = gradients_of(spec, weights, x[:4], d_outputs)
    np.testing.assert_allclose(of_eight.flat, of_four.flat, rtol=1e-12, atol=1e-14)


# -- the leading axis of agents ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "spec",
    [
        NetworkSpec(10, (64, 64), 3),
        NetworkSpec(10, (33,), 2, 51),
        NetworkSpec(7, (20, 16), 3, 5, dueling=True, layer_norm=True),
    ],
    ids=ids,
)
@pytest.mark.parametrize("rows", [1, 32])
def test_an_agent_has_the_same_bits_in_company_and_alone(spec, dtype, rows):
    k, rng = 5, np.random.default_rng(6)
    alone = [tensors(spec, dtype, seed) for seed in range(k)]
    flat = np.stack([w.flat for w in alone])
    x = rng.normal(size=(k, rows, spec.n_inputs)).astype(dtype)
    d_outputs = rng.normal(size=(k, rows, spec.n_actions * spec.n_outputs)).astype(dtype)
    together = Pass(spec, Views(flat, spec), rows)
    together.x[...] = x
    together.forward()
    gradients = np.full_like(flat, 99.0)
    Backward(together, rows, Views(gradients, spec)).run(d_outputs)
    for i, weights in enumerate(alone):
        one = passed(spec, weights, x[i])
        assert together.outputs[i].tobytes() == one.outputs.tobytes()
        for layer, hidden in enumerate(one.hidden):
            assert together.hidden[layer][i].tobytes() == hidden.tobytes()
        found = gradients_of(spec, weights, x[i], d_outputs[i])
        assert gradients[i].tobytes() == found.flat.tobytes()
    # And they are five different agents.
    assert len({g.tobytes() for g in gradients}) == k


# -- the start --------------------------------------------------------------------------------


def started(spec, dtype="float64", seed=0, noisy_sigma=0.5):
    weights = NamedTensors(spec.shapes, dtype)
    weights.flat[:] = 99.0
    initialize(weights, spec, np.random.default_rng(seed), noisy_sigma)
    return weights


def test_he_initialisation_has_variance_2_over_fan_in():
    weights = started(NetworkSpec(50, (400,), 3), seed=4)
    w = weights["W0"]
    # 20,000 draws: the mean's standard error is 0.2/sqrt(20,000) = 0.0014, the variance's
    # relative one sqrt(2/20,000) = 0.01. Four of each.
    assert abs(w.mean()) < 4 * 0.0014
    assert w.var() / (2 / 50) == pytest.approx(1, abs=4 * 0.01)
    assert weights["W1"].var() / (2 / 400) == pytest.approx(1, abs=4 * (2 / 1200) ** 0.5)
    # Gaussian, not uniform: the fourth moment is 3 (1.8 if uniform), standard error 0.035.
    assert ((w / w.std()) ** 4).mean() == pytest.approx(3, abs=4 * 0.035)
    assert not weights["b0"].any()
    assert not weights["b1"].any()


def test_each_head_of_a_dueling_network_has_its_own_fan_in():
    weights = started(NetworkSpec(5, (400,), 30, 5, dueling=True), seed=4)
    assert weights["W0"].shape == (5, 800)
    assert weights["W1"].var() / (2 / 400) == pytest.approx(1, abs=4 * (2 / 2000) ** 0.5)
    assert weights["W2"].var() / (2 / 400) == pytest.approx(1, abs=4 * (2 / 60_000) ** 0.5)


def test_noisy_networks_start_uniform():
    weights = started(NetworkSpec(16, (400,), 3, noisy=True), seed=4, noisy_sigma=0.7)
    for i, fan_in in enumerate((16, 400)):
        bound = fan_in**-0.5
        w = weights[f"W{i}"]
        assert np.abs(w).max() <= bound
        assert w.var() == pytest.approx(bound**2 / 3, rel=4 * (0.8 / w.size) ** 0.5)
        assert weights[f"b{i}"].any()
        assert np.abs(weights[f"b{i}"]).max() <= bound
        for name in (f"sigma_W{i}", f"sigma_b{i}"):
            np.testing.assert_allclose(weights[name], 0.7 * bound, rtol=1e-15)


def test_layer_normalisation_starts_as_the_identity():
    weights = started(NetworkSpec(3, (6, 4), 2, dueling=True, layer_norm=True))
    for i, width in enumerate((6, 8)):
        assert weights[f"gain{i}"].tolist() == [1] * width
        assert weights[f"offset{i}"].tolist() == [0] * width


@pytest.mark.parametrize("noisy", [False, True])
def test_float32_and_float64_start_from_the_same_numbers(noisy):
    spec = NetworkSpec(7, (20,), 3, noisy=noisy)
    double, single = started(spec, "float64", 5), started(spec, "float32", 5)
    assert single.flat.dtype == np.float32
    assert single.flat.tobytes() == double.flat.astype(np.float32).tobytes()
    assert started(spec, "float64", 6).flat.tobytes() != double.flat.tobytes()


# -- row by row -------------------------------------------------------------------------------

ROWWISE = [
    NetworkSpec(10, (64, 64), 3),
    NetworkSpec(7, (33,), 2),
    NetworkSpec(19, (256, 128, 64), 3),
    NetworkSpec(10, (64, 32), 3, 51, dueling=True, layer_norm=True),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", ROWWISE, ids=ids)
def test_rowwise_bits_do_not_depend_on_the_batch(dtype, spec):
    weights = started(spec, dtype)
    x = np.random.default_rng(7).normal(size=(300, spec.n_inputs)).astype(dtype)
    whole = apply_rowwise(spec, weights, x)
    assert whole.shape == (300, spec.n_actions, spec.n_outputs)
    for start, stop in [(0, 1), (0, 2), (1, 2), (17, 18), (5, 64), (100, 300), (299, 300)]:
        part = apply_rowwise(spec, weights, x[start:stop])
        assert part.tobytes() == whole[start:stop].tobytes(), (start, stop)
    reordered = apply_rowwise(spec, weights, np.ascontiguousarray(x[::-1]))
    assert reordered[::-1].tobytes() == whole.tobytes()
    out = apply(spec, weights, x)
    np.testing.assert_allclose(whole, out, rtol=0, atol=3e-5 if dtype == "float32" else 1e-13)


def test_rowwise_bits_do_not_depend_on_the_memory_layout():
    spec = NetworkSpec(10, (64,), 3)
    weights = started(spec, "float32")
    wide = np.random.default_rng(8).normal(size=(50, 20)).astype(np.float32)
    x = np.ascontiguousarray(wide[:, ::2])

    def run(x, weights=weights):
        return apply_rowwise(spec, weights, x)

    expected = run(x).tobytes()
    assert run(wide[:, ::2]).tobytes() == expected  # strided
    assert run(np.asfortranarray(x)).tobytes() == expected
    one = [run(np.asfortranarray(x)[i : i + 1]) for i in range(50)]
    assert np.concatenate(one).tobytes() == expected
    offset = np.empty(x.size + 3, np.float32)[3:].reshape(x.shape)  # another alignment
    offset[...] = x
    assert run(offset).tobytes() == expected
    moved = {}
    for name, w in weights.items():  # the same weights at another address
        copy = np.empty(w.size + 1, np.float32)[1:].reshape(w.shape)
        copy[...] = w
        moved[name] = copy
    assert run(x, moved).tobytes() == expected
