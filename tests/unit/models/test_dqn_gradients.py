"""The gradient of every weight and bias, against differences and a foreign autodiff.

With beta1 = 0, Adam's first moment after a step *is* the gradient of that step.
"""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from dqn_cases import (
    FixedReplay,
    make_dqn,
    plain_loss,
    plain_targets,
    plain_weights,
    random_batch,
    set_random_weights,
)

GAMMA = 0.9
H = 1e-4
# Seeds at which no hidden unit is so near its kink that +-H moves it across (the test checks it)
# and few units are dead.
LAYERS = {1: ([5], 0), 2: ([6, 5], 2), 3: ([5, 6, 5], 2), 4: ([6, 5, 6, 5], 23)}


def worked_case(hidden_layers, seed, all_actions, dtype="float64", **settings):
    """One training step: the batch, the weights before, the constant targets, the gradients."""
    rng = np.random.default_rng(seed)
    batch = random_batch(rng, n=12, all_actions=all_actions, dtype=dtype)
    dqn = make_dqn(
        replay=FixedReplay(batch),
        dtype=dtype,
        hidden_layers=hidden_layers,
        adam_beta1=0.0,
        **settings,
    )
    set_random_weights(dqn, rng)
    weights = plain_weights(dqn.q_network)
    y = plain_targets(batch, weights, plain_weights(dqn.target_network), GAMMA)
    loss = dqn._train_step(len(batch.s_tm1), GAMMA)
    gradients = {name: np.array(m) for name, m in dqn.q_network["optimizer_state"]["m"].items()}
    return batch, weights, y, loss, gradients


def active_units(s, weights):
    """Which hidden units are on, for every sample."""
    pattern, a = [], s
    for i in range(len(weights) // 2 - 1):
        z = a @ weights[f"W{i}"] + weights[f"b{i}"]
        pattern.append(z > 0)
        a = np.maximum(z, 0)
    return b"".join(p.tobytes() for p in pattern)


def central_differences(batch, weights, y):
    """Differences of the loss; between kinks it is quadratic in each weight, so they are exact."""
    found = {name: np.empty_like(w) for name, w in weights.items()}
    pattern = active_units(batch.s_tm1, weights)
    for name, w in weights.items():
        for where in np.ndindex(*w.shape):
            value, losses = w[where], []
            for step in (H, -H):
                w[where] = value + step
                assert active_units(batch.s_tm1, weights) == pattern, "a kink: take another seed"
                losses.append(plain_loss(weights, batch, y))
            w[where] = value
            found[name][where] = (losses[0] - losses[1]) / (2 * H)
    return found


def worst_relative_error(found, expected):
    """Over every single entry; an exact zero must be zero on both sides."""
    worst = 0.0
    for name, e in expected.items():
        scale = np.maximum(np.abs(found[name]), np.abs(e))
        error = np.abs(found[name] - e)
        worst = max(worst, float(np.max(error / np.where(scale > 0, scale, 1.0))))
    return worst


@pytest.mark.parametrize("all_actions", [False, True], ids=["selected", "all"])
@pytest.mark.parametrize("depth", LAYERS)
def test_every_gradient_agrees_with_central_differences(depth, all_actions):
    hidden_layers, seed = LAYERS[depth]
    batch, weights, y, loss, gradients = worked_case(hidden_layers, seed, all_actions)
    assert loss == pytest.approx(plain_loss(weights, batch, y), rel=1e-13)
    differences = central_differences(batch, weights, y)
    flat = np.concatenate([g.ravel() for g in gradients.values()])
    assert np.count_nonzero(flat) >= 0.8 * flat.size  # it is the gradient of a living network
    assert worst_relative_error(gradients, differences) < 1e-7


def test_the_comparison_catches_a_gradient_that_is_off_by_a_millionth():
    batch, weights, y, _, gradients = worked_case(*LAYERS[2], False)
    gradients["b1"][0] *= 1 + 1e-6
    assert worst_relative_error(gradients, central_differences(batch, weights, y)) > 1e-7


@pytest.mark.parametrize("all_actions", [False, True], ids=["selected", "all"])
@pytest.mark.parametrize("depth", LAYERS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_every_gradient_agrees_with_autograd(depth, all_actions, dtype, tolerance):
    hidden_layers = [16 * n for n in LAYERS[depth][0]]
    for seed in range(3):
        batch, weights, y, loss, gradients = worked_case(hidden_layers, seed, all_actions, dtype)
        double = batch._replace(s_tm1=batch.s_tm1.astype(np.float64))
        foreign = grad(lambda w, b=double, y=y: plain_loss(w, b, y, anp))(weights)
        assert loss == pytest.approx(plain_loss(weights, double, y), rel=tolerance)
        for name, expected in foreign.items():
            # Relative to the tensor's largest entry: small ones are sums that cancel.
            error = np.max(np.abs(gradients[name] - expected)) / np.max(np.abs(expected))
            assert error < tolerance, (seed, name)


def test_only_the_selected_action_has_a_gradient():
    rng = np.random.default_rng(6)
    batch = random_batch(rng)._replace(a_tm1=np.full(6, 1))
    dqn = make_dqn(replay=FixedReplay(batch), dtype="float64", adam_beta1=0.0)
    dqn._train_step(6, GAMMA)
    gradient = dqn.q_network["optimizer_state"]["m"]
    assert gradient["b2"][[0, 2]].tolist() == [0, 0]
    assert gradient["b2"][1] != 0
    assert not gradient["W2"][:, [0, 2]].any()


def test_the_loss_is_a_mean_so_repeating_the_batch_changes_nothing():
    results = []
    for repeats in (1, 5):
        batch = random_batch(np.random.default_rng(7))
        batch = type(batch)(*(x if x is None else np.concatenate([x] * repeats) for x in batch))
        dqn = make_dqn(replay=FixedReplay(batch), dtype="float64", adam_beta1=0.0)
        loss = dqn._train_step(len(batch.s_tm1), GAMMA)
        m = dqn.q_network["optimizer_state"]["m"]
        results.append(np.concatenate([[loss], *(g.ravel() for g in m.values())]))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-12, atol=1e-15)
