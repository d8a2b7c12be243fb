"""The action values of every member of the family, outside training, against the reference."""

from itertools import product

import numpy as np
import pytest
import reference_dqn as ref
from family_cases import doubles, family_case

NETWORKS = [
    pytest.param(
        {"head": head, "dueling": dueling, "layer_norm": layer_norm, "noisy": noisy},
        id="-".join([head, *np.array(["dueling", "layer_norm", "noisy"])[list(on)]]),
    )
    for head, on in product(("expected", "c51", "qr"), product((False, True), repeat=3))
    for dueling, layer_norm, noisy in [on]
]


def expected_values(case, states, noise=None):
    parameters = ref.effective_parameters(case.online, noise)
    return np.array([ref.values(case.h, q) for q in ref.network(case.h, parameters, states)])


@pytest.mark.parametrize("settings", NETWORKS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
def test_predict_is_the_reference_without_noise(settings, dtype, tolerance):
    case = family_case(**settings)
    dqn, _ = case.make(dtype)
    states = np.random.default_rng(3).normal(size=(7, 3))
    expected = expected_values(case, states)
    found = dqn.predict(states)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(dqn.predict(states[2]), expected[2], rtol=tolerance, atol=tolerance)
    assert dqn.select_action(states[2]) == expected[2].argmax()


@pytest.mark.parametrize("settings", NETWORKS)
def test_training_acts_by_the_reference_with_new_noise(settings):
    case = family_case(**settings, normalize_observations=True, observation_clip=1.0)
    dqn, _ = case.make()
    rng = np.random.default_rng(4)
    seen = rng.normal(size=(50, 3)) * [3.0, 0.1, 1.0] + [10.0, 0.0, -1.0]
    dqn.observe(seen)
    states = seen[:9]
    scaled = np.clip((states - seen.mean(axis=0)) / seen.std(axis=0), -1.0, 1.0)
    taken = []
    for _ in range(20):
        before = doubles(dqn.noise)
        actions = dqn.select_actions(states)
        noise = doubles(dqn.noise)
        if case.h.noisy:
            assert all(not np.any(before[name] == e) for name, e in noise.items())
        assert actions.tolist() == expected_values(case, scaled, noise).argmax(axis=1).tolist()
        taken.append(actions.tolist())
    assert (len({tuple(a) for a in taken}) > 1) == case.h.noisy  # the noise explores
