"""The reference of the DQN family against numbers worked by hand, and its gradients."""

from types import SimpleNamespace

import numpy as np
import pytest
import reference_dqn as ref
from autograd import grad
from family_cases import family_case

# -- pieces, by hand ------------------------------------------------------------------------------


def test_layer_normalisation_by_hand():
    # Mean 2, deviations (-1, 1), biased variance 1.
    z, gain, offset = np.array([[1.0, 3.0]]), np.array([1.0, 2.0]), np.array([0.0, 10.0])
    root = np.sqrt(1.00001)
    expected = [[-1 / root, 10 + 2 / root]]
    np.testing.assert_allclose(ref.normalised(z, gain, offset), expected, rtol=1e-15)


def test_dueling_by_hand():
    # Advantages of atom 0: 1, 3 (mean 2); of atom 1: 10, 0 (mean 5).
    found = ref.duelled(np.array([[[100.0, 200.0]]]), np.array([[[1.0, 10.0], [3.0, 0.0]]]))
    assert found.tolist() == [[[99, 205], [101, 195]]]


def test_a_whole_dueling_network_by_hand():
    """Hidden layers (1, 1): a shared unit, then one unit for each stream.

    s = 2: shared ReLU(2 * 3 - 1) = 5; value stream ReLU(5 * 1 + 0) = 5, advantage stream
    ReLU(5 * -1 + 6) = 1. V = 5 * 2 + 1 = 11; A = (1 * 1, 1 * 3 + 2) = (1, 5), mean 3.
    Q = (11 + 1 - 3, 11 + 5 - 3) = (9, 13).
    """
    h = SimpleNamespace(hidden_layers=[1, 1], dueling=True, layer_norm=False, head="expected")
    weights = {
        "W0": [[3.0]],
        "b0": [-1.0],
        "W1": [[1.0, -1.0]],
        "b1": [0.0, 6.0],
        "W2": [[2.0]],
        "b2": [1.0],
        "W3": [[1.0, 3.0]],
        "b3": [0.0, 2.0],
    }
    weights = {name: np.array(w) for name, w in weights.items()}
    assert ref.network(h, weights, np.array([[2.0]])).tolist() == [[[9], [13]]]


def test_noisy_parameters_by_hand():
    weights = {"W0": np.array([[1.0]]), "b0": np.array([2.0]), "gain0": np.array([9.0])}
    weights |= {"sigma_W0": np.array([[0.5]]), "sigma_b0": np.array([0.25])}
    noise = {"W0": np.array([[-2.0]]), "b0": np.array([4.0])}
    found = ref.effective_parameters(weights, noise)
    assert (found["W0"].item(), found["b0"].item(), found["gain0"].item()) == (0, 3, 9)


C51 = SimpleNamespace(head="c51", n_atoms=3, v_min=0.0, v_max=2.0)  # atoms 0, 1, 2


@pytest.mark.parametrize(
    ("reward", "discount", "expected"),
    [
        (0.0, 1.0, [0.5, 0.25, 0.25]),  # unmoved: nothing is lost on the atoms
        (0.5, 0.5, [0.25, 0.625, 0.125]),  # at 0.5, 1, 1.5
        (0.25, 0.0, [0.75, 0.25, 0.0]),  # terminated: everything at 0.25
        (5.0, 1.0, [0.0, 0.0, 1.0]),
        (-9.0, 1.0, [1.0, 0.0, 0.0]),
    ],
)
def test_projection_by_hand(reward, discount, expected):
    found = ref.projected(C51, np.array([0.5, 0.25, 0.25]), reward, discount)
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_c51_by_hand():
    # Softmax of (log 1, log 2, log 1) is (1/4, 1/2, 1/4): its mean is the atom 1.
    logits = np.log([1.0, 2.0, 1.0])
    assert ref.values(C51, logits[None]) == pytest.approx([1.0])
    target = np.array([0.5, 0.5, 0.0])
    loss = -0.5 * np.log(1 / 4) - 0.5 * np.log(1 / 2)
    assert ref.row_loss(C51, logits, target) == pytest.approx(loss, rel=1e-14)
    assert ref.row_priority(C51, logits, target) == pytest.approx(loss - np.log(2), rel=1e-13)


def test_quantile_loss_by_hand():
    """Quantiles 0 (tau 1/4) and 2 (tau 3/4), targets 1 and 5, kappa 2.

    u of quantile 0: 1, 5 -> Huber 1/2, 2 * (5 - 1) = 8 -> times 1/4 / 2: 1/16, 1
    u of quantile 2: -1, 3 -> Huber 1/2, 2 * (3 - 1) = 4 -> (1 - 3/4) / 2 / 2, 3/4 * 4 / 2 = 3/2
    Mean over the targets, sum over the quantiles: (1/16 + 1 + 1/16 + 3/2) / 2 = 21/16.
    """
    h = SimpleNamespace(head="qr", n_atoms=2, huber_delta=2.0)
    found = ref.row_loss(h, np.array([0.0, 2.0]), np.array([1.0, 5.0]))
    assert found == pytest.approx(21 / 16, rel=1e-15)
    assert ref.values(h, np.array([[0.0, 2.0]])).tolist() == [1.0]


@pytest.mark.parametrize(("error", "expected"), [(0.5, 0.125), (1.0, 0.5), (-3.0, 2.5)])
def test_huber_by_hand(error, expected):
    h = SimpleNamespace(head="expected", loss="huber", huber_delta=1.0)
    assert ref.row_loss(h, np.array([1.0 + error]), 1.0) == expected


def test_targets_of_one_step_and_of_three_by_hand():
    """Q(s) = (s, 2) online and (3 s, 1) in the target network, which has one unit in front.

    At s_t = 1 the online best is action 1, worth 1; the target network's best is 0, worth 3.
    """
    online = {"W0": [[1.0]], "b0": [0.0], "W1": [[1.0, 0.0]], "b1": [0.0, 2.0]}
    online = {name: np.array(w) for name, w in online.items()}
    target = {**online, "W1": np.array([[3.0, 0.0]]), "b1": np.array([0.0, 1.0])}
    batch = SimpleNamespace(
        s_tm1=np.zeros((3, 1)),
        a_tm1=np.array([0, 1, 0]),
        r_t=np.array([10.0, 20.0, 30.0]),
        s_t=np.ones((3, 1)),
        terminated=np.array([False, False, True]),
        steps=np.array([1, 3, 3]),
        weights=None,
        mask_t=None,
    )
    settings = {"hidden_layers": [1], "dueling": False, "layer_norm": False, "head": "expected"}
    for double, best in ((True, 1.0), (False, 3.0)):
        h = SimpleNamespace(**settings, double_dqn=double)
        rows = ref.make_rows(h, online, target, batch, 0.5)
        assert [row.target for row in rows] == [10 + best / 2, 20 + best / 8, 30]
        assert [row.action for row in rows] == [0, 1, 0]


def test_the_loss_is_the_weighted_mean_over_the_rows():
    h = SimpleNamespace(hidden_layers=[1], dueling=False, layer_norm=False, head="expected")
    h.loss = "squared"
    weights = {"W0": [[1.0]], "b0": [0.0], "W1": [[1.0, 2.0]], "b1": [0.0, 0.0]}
    weights = {name: np.array(w) for name, w in weights.items()}
    # Q(3) = (3, 6): errors 1 and 2 with importance 1, and 3 with importance 1/2.
    rows = [ref.Row(0, 0, 2.0, 1.0), ref.Row(0, 1, 4.0, 1.0), ref.Row(0, 0, 0.0, 0.5)]
    assert ref.loss(h, weights, None, np.array([[3.0]]), rows) == (1 + 4 + 4.5) / 3


# -- autograd through the whole, against central differences --------------------------------------


@pytest.mark.parametrize("all_actions", [False, True], ids=["selected", "all"])
@pytest.mark.parametrize("head", ["expected", "c51", "qr"])
def test_the_gradient_of_the_reference_is_its_own_slope(head, all_actions):
    case = family_case(
        head=head, dueling=True, layer_norm=True, noisy=True, all_actions=all_actions, weights=True
    )
    rng = np.random.default_rng(1)
    noise, target_noise = (
        {n: rng.normal(size=w.shape) for n, w in case.online.items() if n[0] in "Wb"}
        for _ in range(2)
    )
    batch = case.batch()
    rows = ref.make_rows(case.h, case.online, case.target, batch, 0.9, noise, target_noise)
    found = grad(lambda w: ref.loss(case.h, w, noise, batch.s_tm1, rows))(case.online)
    step = 1e-5
    for name, w in case.online.items():
        where = tuple(int(rng.integers(n)) for n in w.shape)
        losses = []
        for sign in (1, -1):
            moved = {**case.online, name: w.copy()}
            moved[name][where] += sign * step
            losses.append(ref.loss(case.h, moved, noise, batch.s_tm1, rows))
        slope = (losses[0] - losses[1]) / (2 * step)
        assert slope == pytest.approx(found[name][where], rel=1e-6, abs=1e-8), name
