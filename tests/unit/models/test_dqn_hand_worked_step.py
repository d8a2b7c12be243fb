"""One training step that can be followed on paper.

The network: 2 inputs, one hidden layer of 2 units, 2 actions.

    W0 = [[1, -1],      b0 = [0, 1]        W1 = [[1,  1],     b1 = [1/2, 0]
          [2,  1]]                               [2, -1]]

The target network has the same W0 and b0, and  W1 = [[2, 1], [0, 1]],  b1 = [0, 1].

Transition A: s = (1, 1), action 0, reward 1, next state (0, 1), not terminated.
    z = (1 + 2 + 0, -1 + 1 + 1) = (3, 1), h = (3, 1), Q = (3 + 2 + 1/2, 3 - 1 + 0) = (5.5, 2)
    next: z = (2, 1 + 1) = h = (2, 2), online Q = (2 + 4 + 1/2, 2 - 2) = (6.5, 0): best is 0
          target Q = (4, 2 + 2 + 1) = (4, 5): at 0 it is 4 (double DQN), its maximum is 5
    gamma = 1/2:  y = 1 + 4/2 = 3   (plain DQN: 1 + 5/2 = 3.5; terminated: 1; gamma = 0: 1)

Transition B: s = (1, 0), action 1, reward -1, next state (3, -2), terminated.
    z = (1, -1 + 1) = (1, 0), h = (1, 0): unit 1 is exactly at its kink, where ReLU' = 0
    Q = (1 + 1/2, 1) = (1.5, 1),  y = -1

Errors q - y: A 5.5 - 3 = 2.5, B 1 + 1 = 2. Loss = (6.25 + 4) / 2 = 5.125.
dL/dq = 2 * error / 2 = error, so in (transition, action):  dQ = [[2.5, 0], [0, 2]].

    dW1 = h^T dQ = [[3 * 2.5, 1 * 2],   = [[7.5, 2],       db1 = [2.5, 2]
                    [1 * 2.5, 0 * 2]]      [2.5, 0]]
    dQ W1^T = A (2.5 * 1, 2.5 * 2) = (2.5, 5), B (2 * 1, 2 * -1) = (2, -2); times ReLU':
    delta = [[2.5, 5], [2, 0]]
    dW0 = s^T delta = [[2.5 + 2, 5], = [[4.5, 5],          db0 = [4.5, 5]
                       [2.5,     5]]    [2.5, 5]]

Adam's first step, learning rate 1/10, epsilon 1/2: m = g/10, v = g^2/1000, their corrected
values are g and g^2, so w changes by -(1/10) g / (|g| + 1/2):

    g = 2 -> 2/25,   2.5 -> 1/12,   4.5 -> 9/100,   5 -> 1/11,   7.5 -> 3/32,   0 -> 0
"""

import numpy as np
import pytest
from dqn_cases import FixedReplay, make_dqn

from reinforcestrategycreator_pipeline.replay.batch import Batch

W0, B0 = np.array([[1.0, -1], [2, 1]]), np.array([0.0, 1])
W1, B1 = np.array([[1.0, 1], [2, -1]]), np.array([0.5, 0])
A_AND_B = Batch(
    np.array([[1.0, 1], [1, 0]]),
    np.array([0, 1]),
    np.array([1.0, -1]),
    np.array([[0.0, 1], [3, -2]]),
    np.array([False, True]),
)


def paper_network(batch, **settings):
    dqn = make_dqn(
        2,
        2,
        FixedReplay(batch),
        dtype="float64",
        hidden_layers=[2],
        learning_rate=0.1,
        adam_epsilon=0.5,
        **settings,
    )
    dqn.q_network["weights"] = {"W0": W0, "b0": B0, "W1": W1, "b1": B1}
    dqn.target_network["weights"] = {"W0": W0, "b0": B0, "W1": [[2, 1], [0, 1]], "b1": [0, 1]}
    return dqn


def test_forward():
    dqn = paper_network(A_AND_B)
    assert dqn.predict([[1, 1], [1, 0], [0, 1]]).tolist() == [[5.5, 2], [1.5, 1], [6.5, 0]]
    assert dqn._forward([0, 1], dqn.target_network).tolist() == [4, 5]


def test_loss_gradients_and_adams_first_step():
    dqn = paper_network(A_AND_B)
    assert dqn._train_step(2, 0.5) == 5.125
    gradients = {
        "W0": [[4.5, 5], [2.5, 5]],
        "b0": [4.5, 5],
        "W1": [[7.5, 2], [2.5, 0]],
        "b1": [2.5, 2],
    }
    state, weights = dqn.q_network["optimizer_state"], dqn.q_network["weights"]
    assert state["t"] == 1
    for name, g in gradients.items():
        np.testing.assert_allclose(state["m"][name], np.array(g) / 10, rtol=1e-14)
        np.testing.assert_allclose(state["v"][name], np.array(g) ** 2 / 1000, rtol=1e-12)
    after = {
        "W0": [[1 - 9 / 100, -1 - 1 / 11], [2 - 1 / 12, 1 - 1 / 11]],
        "b0": [-9 / 100, 1 - 1 / 11],
        "W1": [[1 - 3 / 32, 1 - 2 / 25], [2 - 1 / 12, -1]],
        "b1": [1 / 2 - 1 / 12, -2 / 25],
    }
    for name, w in after.items():
        np.testing.assert_allclose(weights[name], w, rtol=1e-13)
    assert dqn.target_network["weights"]["W1"].tolist() == [[2, 1], [0, 1]]  # not yet copied


# The loss ((5.5 - y_A)^2 + 4) / 2 tells y_A.
@pytest.mark.parametrize(
    ("y", "settings", "gamma", "terminated"),
    [
        (3.0, {}, 0.5, False),
        (3.5, {"double_dqn": False}, 0.5, False),
        (1.0, {}, 0.5, True),
        (1.0, {"double_dqn": False}, 0.5, True),
        (1.0, {}, 0.0, False),
        (5.0, {}, 1.0, False),
        (6.0, {"double_dqn": False}, 1.0, False),
        (1.0, {}, 1.0, True),
    ],
)
def test_targets(y, settings, gamma, terminated):
    batch = A_AND_B._replace(terminated=np.array([terminated, True]))
    dqn = paper_network(batch, **settings)
    assert dqn._train_step(2, gamma) == pytest.approx(((5.5 - y) ** 2 + 4) / 2, rel=1e-14)


def test_a_batch_of_every_action():
    # State A; action 0 leads to (0, 1) with reward 1, action 1 ends with reward 0: y = (3, 0).
    # Errors (2.5, 2), loss 5.125 as before; dQ = (2.5, 2), so db1 = (2.5, 2) and
    # dW1 = h^T dQ = [[3 * 2.5, 3 * 2], [2.5, 2]]; dQ W1^T = (2.5 + 2, 5 - 2) = (4.5, 3) = db0.
    batch = Batch(
        np.array([[1.0, 1]]),
        None,
        np.array([[1.0, 0]]),
        np.array([[[0.0, 1], [9, 9]]]),
        np.array([[False, True]]),
    )
    dqn = paper_network(batch, adam_beta1=0.0)
    assert dqn._train_step(1, 0.5) == 5.125
    m = dqn.q_network["optimizer_state"]["m"]
    assert m["b1"].tolist() == [2.5, 2]
    assert m["W1"].tolist() == [[7.5, 6], [2.5, 2]]
    assert m["b0"].tolist() == [4.5, 3]
    assert m["W0"].tolist() == [[4.5, 3], [4.5, 3]]
