"""The network's forward and backward pass, its start, and its row-wise twin."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.nn.mlp import (
    activation_buffers,
    backward,
    forward,
    forward_rowwise,
    he_initialise,
)
from reinforcestrategycreator_pipeline.nn.tensors import NamedTensors, mlp_shapes


def network(sizes, dtype="float64", seed=0):
    weights = NamedTensors(mlp_shapes(sizes), dtype)
    he_initialise(weights, np.random.default_rng(seed))
    return weights


def test_forward_by_hand():
    # x = (1, 2); W0 columns (1, 1) and (1, -1), b0 = (0, 0): z = (3, -1), ReLU (3, 0).
    # W1 = (2, 5), b1 = 1: 3 * 2 + 0 * 5 + 1 = 7; the output is linear: with b1 = -10 it is -4.
    weights = NamedTensors(mlp_shapes((2, 2, 1)), "float64")
    weights["W0"] = [[1, 1], [1, -1]]
    weights["W1"] = [[2], [5]]
    weights["b1"] = [1]
    x = np.array([[1.0, 2.0]])
    assert forward(x, weights.layers, activation_buffers(weights.layers, 1)).tolist() == [[7.0]]
    weights["b1"] = [-10]
    assert forward(x, weights.layers, activation_buffers(weights.layers, 1)).tolist() == [[-4.0]]


def test_forward_keeps_every_layers_output():
    weights = network((3, 4, 2))
    x = np.random.default_rng(1).normal(size=(5, 3))
    out = activation_buffers(weights.layers, 5)
    assert forward(x, weights.layers, out) is out[-1]
    hidden = np.maximum(x @ weights["W0"] + weights["b0"], 0)
    np.testing.assert_allclose(out[0], hidden, rtol=1e-14)
    np.testing.assert_allclose(out[1], hidden @ weights["W1"] + weights["b1"], rtol=1e-14)


@pytest.mark.parametrize("place", ["x", "W0", "b0", "W1", "b1", "W2", "b2"])
def test_forward_does_not_hide_nan(place):
    weights = network((3, 4, 4, 2))
    x = np.ones((2, 3))
    (x if place == "x" else weights[place]).ravel()[0] = np.nan
    out = forward(x, weights.layers, activation_buffers(weights.layers, 2))
    assert np.isnan(out).any()


def test_relu_has_slope_0_at_0():
    # z = 1 * 2 - 2 = 0 exactly: nothing flows back to W0 and b0, and the unit gives 0 forward.
    weights = NamedTensors(mlp_shapes((1, 1, 1)), "float64")
    weights["W0"], weights["b0"], weights["W1"] = [[2]], [-2], [[3]]
    x = np.array([[1.0]])
    activations = activation_buffers(weights.layers, 1)
    gradients = NamedTensors(mlp_shapes((1, 1, 1)), "float64")
    gradients.flat[:] = 99.0  # what was there before must not matter

    def run():
        forward(x, weights.layers, activations)
        deltas = activation_buffers(weights.layers, 1)
        backward(x, activations, np.ones((1, 1)), weights.layers, gradients.layers, deltas)
        return {name: g.item() for name, g in gradients.items()}

    assert run() == {"W0": 0.0, "b0": 0.0, "W1": 0.0, "b1": 1.0}
    weights["b0"] = [-2 + 2**-40]  # a hair above: slope 1
    assert run() == {"W0": 3.0, "b0": 3.0, "W1": 2**-40, "b1": 1.0}
    weights["b0"] = [-2 - 2**-40]
    assert run() == {"W0": 0.0, "b0": 0.0, "W1": 0.0, "b1": 1.0}


def test_backward_uses_only_the_first_rows_of_larger_activations():
    # Double DQN runs s_tm1 and s_t in one forward; only the first half is differentiated.
    weights = network((3, 5, 2), seed=2)
    rng = np.random.default_rng(3)
    x, d_output = rng.normal(size=(8, 3)), rng.normal(size=(4, 2))
    results = []
    for rows in (x, x[:4]):
        activations = activation_buffers(weights.layers, len(rows))
        forward(rows, weights.layers, activations)
        gradients = NamedTensors(mlp_shapes((3, 5, 2)), "float64")
        deltas = activation_buffers(weights.layers, 4)
        backward(x[:4], activations, d_output, weights.layers, gradients.layers, deltas)
        results.append(gradients.flat.copy())
    np.testing.assert_allclose(results[0], results[1], rtol=1e-13)


def test_he_initialisation_has_variance_2_over_fan_in():
    weights = network((50, 400, 3), seed=4)
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


def test_float32_and_float64_start_from_the_same_numbers():
    double, single = network((7, 20, 3), "float64", 5), network((7, 20, 3), "float32", 5)
    assert single.flat.dtype == np.float32
    assert single.flat.tobytes() == double.flat.astype(np.float32).tobytes()
    assert network((7, 20, 3), "float64", 6).flat.tobytes() != double.flat.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(10, 64, 64, 3), (7, 33, 2), (19, 256, 128, 64, 3)])
def test_rowwise_bits_do_not_depend_on_the_batch(dtype, sizes):
    weights = network(sizes, dtype)
    x = np.random.default_rng(7).normal(size=(300, sizes[0])).astype(dtype)
    whole = forward_rowwise(x, weights.layers)
    assert whole.shape == (300, sizes[-1])
    for start, stop in [(0, 1), (0, 2), (1, 2), (17, 18), (5, 64), (100, 300), (299, 300)]:
        part = forward_rowwise(x[start:stop], weights.layers)
        assert part.tobytes() == whole[start:stop].tobytes(), (start, stop)
    reordered = forward_rowwise(np.ascontiguousarray(x[::-1]), weights.layers)
    assert reordered[::-1].tobytes() == whole.tobytes()
    out = forward(x, weights.layers, activation_buffers(weights.layers, 300))
    np.testing.assert_allclose(whole, out, rtol=0, atol=1e-5 if dtype == "float32" else 1e-13)


def test_rowwise_bits_do_not_depend_on_the_memory_layout():
    weights = network((10, 64, 3), "float32")
    wide = np.random.default_rng(8).normal(size=(50, 20)).astype(np.float32)
    x = np.ascontiguousarray(wide[:, ::2])
    expected = forward_rowwise(x, weights.layers).tobytes()
    assert forward_rowwise(wide[:, ::2], weights.layers).tobytes() == expected  # strided
    assert forward_rowwise(np.asfortranarray(x), weights.layers).tobytes() == expected
    one = [forward_rowwise(np.asfortranarray(x)[i : i + 1], weights.layers) for i in range(50)]
    assert np.concatenate(one).tobytes() == expected
    offset = np.empty(x.size + 3, np.float32)[3:].reshape(x.shape)  # another alignment
    offset[...] = x
    assert forward_rowwise(offset, weights.layers).tobytes() == expected
    moved = []
    for w, b in weights.layers:  # the same weights at another address
        copy = np.empty(w.size + 1, np.float32)[1:].reshape(w.shape)
        copy[...] = w
        moved.append((copy, b.copy()))
    assert forward_rowwise(x, moved).tobytes() == expected
