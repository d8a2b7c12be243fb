"""NaN and infinity, wherever they enter, stop a training step and change nothing."""

import numpy as np
import pytest
from dqn_cases import FixedReplay, learning_state, make_dqn, push_random, random_batch

from reinforcestrategycreator_pipeline.errors import NonFiniteError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.models.learner.learner import WEIGHTS_CHECK_INTERVAL

NAN, INF = np.nan, np.inf


def learning_dqn(**settings):
    """A network in the midst of learning, its moments not zero, its networks different."""
    dqn = make_dqn(**settings)
    push_random(dqn, 64)
    for _ in range(3):
        dqn._train_step(32, 0.99)
    return dqn


def train(dqn, steps):
    for _ in range(steps):
        dqn._train_step(32, 0.99)


def assert_refused(dqn, place, batch_size=64):
    before = learning_state(dqn)
    with pytest.raises(NonFiniteError) as caught:
        dqn._train_step(batch_size, 0.99)
    assert learning_state(dqn) == before, "the update was applied"
    message = str(caught.value)
    assert f"NaN or infinity in {place}" in message, message
    assert message.startswith("training step 4: ")
    assert message.endswith("the update was not applied and the weights are unchanged")
    assert "\n" not in message


@pytest.mark.parametrize("double_dqn", [True, False])
@pytest.mark.parametrize(
    ("name", "value"),
    [(n, value) for n in ("W0", "b0", "W1", "b1", "W2", "b2") for value in (NAN, INF)]
    + [(n, -INF) for n in ("W0", "W1", "W2", "b2")],  # hidden biases: below
)
def test_a_weight(name, value, double_dqn):
    dqn = learning_dqn(double_dqn=double_dqn)
    w = dqn.q_network["weights"][name]
    w.ravel()[-1] = value
    assert_refused(dqn, f"the weights {name} (1 of {w.size} numbers)")


@pytest.mark.parametrize("double_dqn", [True, False])
@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("name", ["W0", "b0", "W1", "b1", "W2", "b2"])
def test_a_weight_of_the_target_network(name, value, double_dqn):
    dqn = learning_dqn(double_dqn=double_dqn)
    dqn.target_network["weights"][name].ravel()[-1] = value
    assert_refused(dqn, f"the target network's {name} (1 of")


@pytest.mark.parametrize("network", ["q_network", "target_network"])
@pytest.mark.parametrize("name", ["b0", "b1"])
def test_a_bias_of_minus_infinity_is_found_within_a_hundred_steps(network, name):
    # ReLU makes it 0, and nothing that is not finite follows from it: looked for now and then.
    dqn = learning_dqn(target_update_interval=10_000)
    getattr(dqn, network)["weights"][name][0] = -INF
    with pytest.raises(NonFiniteError, match=f"{name} \\(1 of"):
        train(dqn, WEIGHTS_CHECK_INTERVAL + 1)
    assert dqn.q_network["optimizer_state"]["t"] <= WEIGHTS_CHECK_INTERVAL


@pytest.mark.parametrize("all_actions", [False, True])
@pytest.mark.parametrize("double_dqn", [True, False])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("s_tm1", "the sampled states s_tm1 (1 of 24"),
        ("s_t", "the sampled states s_t (1 of"),
        ("r_t", "the sampled rewards (1 of"),
    ],
)
def test_a_number_of_the_batch(field, place, value, double_dqn, all_actions):
    batch = random_batch(np.random.default_rng(31), all_actions=all_actions, dtype="float32")
    dqn = make_dqn(replay=FixedReplay(batch), double_dqn=double_dqn)
    for _ in range(3):
        dqn._train_step(6, 0.99)
    getattr(batch, field).ravel()[-1] = value
    assert_refused(dqn, place)


def test_a_next_state_behind_a_termination():
    batch = random_batch(np.random.default_rng(32), dtype="float32")
    dqn = make_dqn(replay=FixedReplay(batch._replace(terminated=np.ones(6, bool))))
    for _ in range(3):
        dqn._train_step(6, 0.99)
    batch.s_t[2] = NAN
    assert_refused(dqn, "the sampled states s_t (4 of 24")


def test_an_output_that_nobody_selected():
    batch = random_batch(np.random.default_rng(33), dtype="float32")
    dqn = make_dqn(replay=FixedReplay(batch._replace(a_tm1=np.zeros(6, int))))
    for _ in range(3):
        dqn._train_step(6, 0.99)
    dqn.q_network["weights"]["b2"][2] = NAN
    assert_refused(dqn, "the weights b2 (1 of 3 numbers)")


def test_states_of_minus_infinity_that_relu_would_hide():
    # Every hidden unit's z is -inf, its output 0: the Q-values and the loss look sound.
    batch = random_batch(np.random.default_rng(34), dtype="float32")
    dqn = make_dqn(replay=FixedReplay(batch), hidden_layers=[5])
    for _ in range(3):
        dqn._train_step(6, 0.99)
    for network in (dqn.q_network, dqn.target_network):
        network["weights"]["W0"] = np.full((4, 5), 0.1)
    batch.s_t[0] = -INF
    assert np.isfinite(dqn.predict(batch.s_t)).all()
    assert_refused(dqn, "the sampled states s_t (4 of 24")


@pytest.mark.parametrize("double_dqn", [True, False])
def test_huge_rewards_overflow_float32_and_are_refused(double_dqn):
    dqn = learning_dqn(double_dqn=double_dqn)
    for _ in range(64):
        dqn.replay_buffer.push(np.ones(4), 0, 1e30, np.ones(4), False)
    assert_refused(dqn, "the loss")


def test_huge_rewards_are_fine_in_float64():
    dqn = make_dqn(dtype="float64")
    for _ in range(64):
        dqn.replay_buffer.push(np.ones(4), 0, 1e30, np.ones(4), False)
    assert dqn._train_step(64, 0.99) == pytest.approx(1e60, rel=1e-9)
    assert np.isfinite(dqn.predict(np.ones(4))).all()


def test_a_gradient_that_overflows_where_the_loss_does_not():
    # The input is 1e29 and W0 1e-30, so q = 0.1 and the error 1e10: its square is a float32, but
    # dW0 = 1e29 * 2e10 * W1 = 2e39 is above float32's 3.4e38.
    dqn = make_dqn(1, 1, hidden_layers=[1])
    dqn.replay_buffer.push([1e29], 0, 1e10, [0.0], True)
    weights = {"W0": [[1e-30]], "b0": [0], "W1": [[1]], "b1": [0]}
    dqn.q_network["weights"] = weights
    before = learning_state(dqn)
    with pytest.raises(NonFiniteError, match=r"the gradient of W0 \(1 of 1"):
        dqn._train_step(1, 0.9)
    assert learning_state(dqn) == before


def test_a_gradient_norm_that_overflows():
    # With an input of 1e14, dW0 = 2e24 is a float32 and its square is not.
    dqn = make_dqn(1, 1, hidden_layers=[1])
    dqn.replay_buffer.push([1e14], 0, 1e10, [0.0], True)
    dqn.q_network["weights"] = {"W0": [[1e-30]], "b0": [0], "W1": [[1]], "b1": [0]}
    with pytest.raises(NonFiniteError, match="the norm of the gradient, which overflows"):
        dqn._train_step(1, 0.9)


def test_large_but_finite_numbers_are_not_refused():
    # 1e20 squared is no float32, but nothing that the update needs overflows: it is finite.
    dqn = make_dqn(2, 1, hidden_layers=[1])
    dqn.replay_buffer.push([1e20, 1.0], 0, 1.0, [1e20, 0.0], True)
    dqn.q_network["weights"] = {"W0": [[0], [-1]], "b0": [0], "W1": [[1]], "b1": [0]}
    assert dqn._train_step(1, 0.9) == 1.0
    assert dqn.q_network["optimizer_state"]["t"] == 1


def test_weights_that_explode_stop_before_they_are_not_finite():
    dqn = make_dqn(learning_rate=1e6)
    push_random(dqn, 64)
    with pytest.raises(NonFiniteError, match="training step"):
        train(dqn, 1000)
    assert np.isfinite(dqn.learner.networks.weights.flat).all()


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_learning_goes_on_when_the_cause_is_gone(value):
    dqn, untouched = learning_dqn(), learning_dqn()
    w = dqn.q_network["weights"]["W1"]
    kept = w[0, 0]
    w[0, 0] = value
    assert_refused(dqn, "the weights W1")
    w[0, 0] = kept
    for each in (dqn, untouched):  # the refused step has drawn a batch
        each.replay_buffer.rng = np.random.default_rng(35)
    assert dqn._train_step(32, 0.99) == untouched._train_step(32, 0.99)
    assert learning_state(dqn) == learning_state(untouched)


class Deaf(DQN):
    """The planted bug: a DQN that does not look at its loss and gradient."""

    def _train_step(self, batch_size, gamma):
        self.learner.require_finite = lambda *_: None
        return super()._train_step(batch_size, gamma)


@pytest.mark.parametrize("place", ["W0", "b2"])
def test_the_check_catches_a_learner_that_does_not_refuse(place):
    dqn = learning_dqn()
    dqn.__class__ = Deaf
    dqn.q_network["weights"][place].ravel()[0] = NAN
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        assert_refused(dqn, f"the weights {place}")
    assert np.isnan(dqn.q_network["weights"]["b2"]).any()  # and it has spread


@pytest.mark.parametrize("place", ["state", "weight", "bias"])
@pytest.mark.parametrize("value", [NAN, INF])
def test_no_action_is_chosen_from_q_values_that_are_not_finite(place, value):
    dqn, state = make_dqn(), np.ones(4)
    if place == "state":
        state[1] = value
    else:
        dqn.q_network["weights"]["W2" if place == "weight" else "b2"].ravel()[0] = value
        dqn.q_network["weights"]["b1"] += 10  # no dead units, so that the weight matters
    with pytest.raises(NonFiniteError, match=r"the Q-values .* of a state are not finite"):
        dqn.select_action(state)
