"""The gradients of every member of the DQN family, three ways.

Our analytic gradients against HIPS autograd through the reference (`reference_dqn`, written from
the papers), in float64 and float32, and against central differences of our own loss. A check that
cannot fail proves nothing: the second half plants bugs, in the reference and in the gradients,
and demands that the comparison shows each of them.
"""

from functools import partial
from itertools import product

import numpy as np
import pytest
import reference_dqn as ref
from family_cases import GAMMA, Compared, disagreement, doubles, family_case

HEADS = {
    "squared": {"head": "expected", "loss": "squared"},
    "huber": {"head": "expected", "loss": "huber"},
    "c51": {"head": "c51"},
    "qr": {"head": "qr"},
}
SWITCHES = ("double_dqn", "dueling", "layer_norm", "noisy", "weights", "all_actions")
FAMILY = [
    pytest.param(
        {**dict(zip(SWITCHES, on, strict=True)), **HEADS[head]},
        id="-".join([head, *(name for name, yes in zip(SWITCHES, on, strict=True) if yes)]),
    )
    for head, on in product(HEADS, product((False, True), repeat=len(SWITCHES)))
]
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def compared(settings, dtype="float64", **more):
    """Rewards that span one to three steps belong to the transitions with importance weights."""
    rows = 3 if settings["all_actions"] else 5
    return Compared(dtype, rows=rows, steps=settings["weights"], **settings, **more)


def slopes_disagree(one, rng, count=40):
    """The largest relative difference of `one.found` from the slopes of the product's own loss.

    At least one entry of every tensor, `count` in all; relative to the entry, or to a hundredth
    of its tensor's largest where it is smaller than that.
    """
    weights = one.dqn.q_network["weights"]
    places = [(name, int(rng.integers(w.size))) for name, w in weights.items()]
    names = list(weights)
    while len(places) < count:
        name = names[int(rng.integers(len(names)))]
        places.append((name, int(rng.integers(weights[name].size))))
    worst = 0.0
    for name, i in places:
        w, g = weights[name], one.found[name]
        where = np.unravel_index(i, w.shape)
        value, exact = w[where], g[where]
        floor = 0.01 * float(np.max(np.abs(g)))

        def slope(step, w=w, where=where, value=value):
            losses = []
            for moved in (value + step, value - step):
                w[where] = moved
                losses.append(one.dqn.compute_gradients(one.batch, one.gamma))
            w[where] = value
            return (losses[0] - losses[1]) / (2 * step)

        def error(found, exact=exact, floor=floor):
            return abs(exact - found) / max(abs(exact), abs(found), floor)

        off = error(slope(1e-5))
        if not off < 2e-8:
            # Where the loss curves much: Richardson's extrapolation, of the fourth order.
            off = error((4 * slope(1e-4) - slope(2e-4)) / 3)
        worst = max(worst, off) if off <= np.inf else np.inf
    return worst


# -- every combination --------------------------------------------------------------------------


@pytest.mark.parametrize("settings", FAMILY)
def test_gradients_agree_with_autograd_and_with_central_differences(settings):
    one = compared(settings)
    assert one.loss == pytest.approx(one.expected_loss, rel=TOLERANCE["float64"])
    assert one.disagreement() < TOLERANCE["float64"]
    assert slopes_disagree(one, np.random.default_rng(7)) < 1e-7


@pytest.mark.parametrize("settings", FAMILY)
def test_gradients_in_float32_agree_with_autograd_in_float64(settings):
    # Layer normalisation of few units divides by small deviations, which no float32 survives.
    one = compared(settings, "float32", hidden_layers=[12, 10], smooth=1e-4)
    assert {g.dtype for g in one.found.values()} == {np.dtype("float32")}
    assert one.loss == pytest.approx(one.expected_loss, rel=TOLERANCE["float32"])
    assert one.disagreement() < TOLERANCE["float32"]


ALL_ON = {"double_dqn": True, "dueling": True, "layer_norm": True, "noisy": True, "weights": True}
SIZES = {
    "one hidden layer": {"hidden_layers": [6]},
    "three hidden layers": {"hidden_layers": [6, 5, 7]},
    "one input": {"n_inputs": 1},
    "many actions": {"n_actions": 9},
    "one row": {"rows": 1},
    "17 rows": {"rows": 17, "weight_scale": 0.9},
    "51 atoms": {"n_atoms": 51, "v_min": -10.0, "v_max": 10.0},
    "two atoms": {"n_atoms": 2},
    "no discount": {"gamma": 1.0},
    "no future": {"gamma": 0.0},
    "rewards beyond the atoms": {"reward_scale": 20.0},
    "layers whose variance is as small as the epsilon": {"weight_scale": 0.02},
    "a wide Huber loss": {"huber_delta": 50.0},
    "a narrow Huber loss": {"huber_delta": 0.02},
}


@pytest.mark.parametrize("all_actions", [False, True], ids=["selected", "all"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("size", SIZES)
def test_sizes_and_extremes(size, head, all_actions):
    settings = {**ALL_ON, **HEADS[head], "all_actions": all_actions, "steps": True}
    # With one row a unit may be off, with small weights the first layers' gradients are small.
    one = Compared(smooth=1e-9, living=0, **{**settings, **SIZES[size]})
    assert one.loss == pytest.approx(one.expected_loss, rel=1e-12)
    assert one.disagreement() < 1e-11


@pytest.mark.parametrize("head", HEADS)
def test_with_one_action_the_advantages_learn_nothing(head):
    one = Compared(living=0, n_actions=1, **{**ALL_ON, **HEADS[head]})
    assert one.disagreement() < 1e-12
    assert not one.found["W3"].any()
    assert not one.found["b3"].any()
    assert one.found["W2"].any()


def test_layer_normalisation_of_one_unit_learns_its_offset_alone():
    """Its mean is itself: the normalised unit is zero whatever the weights are."""
    one = Compared(living=0, hidden_layers=[4, 1], layer_norm=True, head="expected")
    assert one.disagreement() < 1e-12
    assert not one.found["W1"].any()
    assert not one.found["gain1"].any()


# -- what compute_gradients must leave alone ----------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
def test_computing_gradients_changes_nothing_else_and_repeats_to_the_bit(head):
    one = Compared(**{**ALL_ON, **HEADS[head]})
    given = [None if x is None else x.copy() for x in one.batch]
    before = [
        np.concatenate([w.ravel() for w in network["weights"].values()])
        for network in (one.dqn.q_network, one.dqn.target_network)
    ]
    noise = doubles(one.dqn.noise)
    assert one.dqn.compute_gradients(one.batch, one.gamma) == one.loss
    assert disagreement({k: np.array(g) for k, g in one.dqn.gradients.items()}, one.found) == 0
    for network, flat in zip((one.dqn.q_network, one.dqn.target_network), before, strict=True):
        assert np.array_equal(
            np.concatenate([w.ravel() for w in network["weights"].values()]), flat
        )
    assert all(np.array_equal(noise[name], e) for name, e in one.dqn.noise.items())
    assert one.dqn.q_network["optimizer_state"]["t"] == 0
    for x, same in zip(one.batch, given, strict=True):
        assert np.array_equal(x, same) or x is same is None


def test_batch_sizes_may_vary():
    """More of them than a learner keeps buffers for."""
    one = Compared(rows=3, dueling=True, layer_norm=True, head="qr")
    for rows in range(1, 25):
        for every in (False, True):
            other = family_case(rows, rows=rows, all_actions=every, **one.case.settings)
            one.dqn.compute_gradients(other.batch(), GAMMA)
    assert one.dqn.compute_gradients(one.batch, GAMMA) == one.loss
    assert disagreement({n: np.array(g) for n, g in one.dqn.gradients.items()}, one.found) == 0


@pytest.mark.parametrize("all_actions", [False, True], ids=["selected", "all"])
def test_nothing_is_left_of_the_batch_before(all_actions):
    one = Compared(**{**ALL_ON, **HEADS["squared"], "all_actions": all_actions})
    other = family_case(1, **{**one.case.settings, "all_actions": all_actions, "weights": True})
    one.dqn.compute_gradients(other.batch(), GAMMA)
    assert disagreement({n: np.array(g) for n, g in one.dqn.gradients.items()}, one.found) > 0.1
    one.dqn.compute_gradients(one.batch, GAMMA)
    assert disagreement({n: np.array(g) for n, g in one.dqn.gradients.items()}, one.found) == 0


@pytest.mark.parametrize("dueling", [False, True])
def test_the_noise_is_factorised_and_each_network_has_its_own(dueling):
    """epsilon_W = f(eps_in) f(eps_out)^T and epsilon_b = f(eps_out): the same f(eps_out)."""
    case = family_case(noisy=True, dueling=dueling, hidden_layers=[5, 4])
    dqn, _ = case.make()
    seen = []
    for noise in (doubles(dqn.noise), doubles(dqn.target_noise)):
        assert set(noise) == {name for name in case.online if name[0] in "Wb"}
        for i in range(len(noise) // 2):
            w, b = noise[f"W{i}"], noise[f"b{i}"]
            incoming = w[:, 0] / b[0]
            np.testing.assert_allclose(w, np.outer(incoming, b), rtol=1e-12)
            seen += [*b, *incoming]
    assert len(set(np.round(seen, 9))) == len(seen)  # no draw is used twice
    first = doubles(dqn.noise), doubles(dqn.target_noise)
    dqn.resample_noise()
    for old, new in zip(first, (dqn.noise, dqn.target_noise), strict=True):
        assert all(not np.any(old[name] == new[name]) for name in old)


def test_the_noise_is_the_signed_root_of_a_standard_normal():
    """x = f^-1(noise) = sign(noise) noise^2: mean 0, variance 1, fourth moment 3."""
    dqn, _ = family_case(noisy=True, hidden_layers=[64, 64]).make()
    drawn = []
    for _ in range(50):
        dqn.resample_noise()
        drawn += [np.array(e, dtype=np.float64) for n, e in dqn.noise.items() if n[0] == "b"]
    f = np.concatenate(drawn)
    x = np.sign(f) * f**2
    n = x.size  # 6,550
    assert abs(x.mean()) < 5 / n**0.5
    assert abs((x**2).mean() - 1) < 5 * (2 / n) ** 0.5
    assert abs((x**4).mean() - 3) < 5 * (96 / n) ** 0.5


def test_without_noise_there_is_none():
    dqn, _ = family_case().make()
    assert dqn.noise is None
    assert dqn.target_noise is None


# -- planted bugs: each must show ---------------------------------------------------------------


def deviations_of(z):
    return z - ref.anp.mean(z, axis=1, keepdims=True)


def unbiased(z, gain, offset):
    deviations, units = deviations_of(z), z.shape[1]
    variance = ref.anp.sum(deviations**2, axis=1, keepdims=True) / (units - 1)
    return gain * deviations / ref.anp.sqrt(variance + 1e-5) + offset


def without_epsilon(z, gain, offset):
    deviations = deviations_of(z)
    variance = ref.anp.mean(deviations**2, axis=1, keepdims=True)
    return gain * deviations / ref.anp.sqrt(variance) + offset


def epsilon_outside(z, gain, offset):
    deviations = deviations_of(z)
    variance = ref.anp.mean(deviations**2, axis=1, keepdims=True)
    return gain * deviations / (ref.anp.sqrt(variance) + 1e-5) + offset


def without_noise_of(part, weights, noise):
    kept = {name: e for name, e in noise.items() if name[0] != part}
    return RIGHT["effective_parameters"](weights, kept)


def averaged_atoms(h, outputs):
    return np.array([np.mean(row) for row in outputs])


def unclipped_tau(h, predicted, target):
    """Quantiles at i / n in the place of (2 i + 1) / (2 n)."""
    total = 0.0
    for i in range(h.n_atoms):
        u = target - predicted[i]
        share = ref.anp.where(u < 0, 1.0 - i / h.n_atoms, i / h.n_atoms)
        total = total + ref.anp.mean(share * ref.huber(u, h.huber_delta)) / h.huber_delta
    return total


def nearest_atom(h, probabilities, reward, discount):
    spacing = (h.v_max - h.v_min) / (h.n_atoms - 1)
    m = np.zeros(h.n_atoms)
    for p, z in zip(probabilities, ref.support(h), strict=True):
        moved = min(max(reward + discount * z, h.v_min), h.v_max)
        m[round((moved - h.v_min) / spacing)] += p
    return m


def swapped_neighbours(h, probabilities, reward, discount):
    return RIGHT["projected"](h, probabilities, reward, discount)[::-1]


RIGHT = {name: getattr(ref, name) for name in ("effective_parameters", "projected", "make_rows")}


def rows_with(change, h, online, target, batch, gamma, noise=None, target_noise=None):
    """Make the rows of a batch (or with settings) that `change` has changed."""
    arguments = {
        "h": h,
        "online": online,
        "target": target,
        "batch": batch,
        "gamma": gamma,
        "noise": noise,
        "target_noise": target_noise,
    }
    return RIGHT["make_rows"](**{**arguments, **change(arguments)})


def without(h, **changed):
    return type(h)(**{**vars(h), **changed})


PLANTED = {
    # What the networks compute.
    "no mean is subtracted": ("duelled", lambda v, a: v + a, {}),
    "the maximum is subtracted": (
        "duelled",
        lambda v, a: v + a - ref.anp.max(a, axis=1, keepdims=True),
        {},
    ),
    "the mean is over actions and atoms": (
        "duelled",
        lambda v, a: v + a - ref.anp.mean(a, axis=(1, 2), keepdims=True),
        {"head": "qr"},
    ),
    "the advantages have the wrong sign": (
        "duelled",
        lambda v, a: v - a + ref.anp.mean(a, axis=1, keepdims=True),
        {},
    ),
    "the variance is the unbiased one": ("normalised", unbiased, {}),
    "the variance has no epsilon": ("normalised", without_epsilon, {}),
    "the epsilon is outside the root": ("normalised", epsilon_outside, {}),
    "no offset": ("normalised", lambda z, g, o, f=ref.normalised: f(z, g, 0.0 * o), {}),
    "no gain": ("normalised", lambda z, g, o, f=ref.normalised: f(z, 1.0 + 0.0 * g, o), {}),
    "ReLU before the normalisation": (
        "normalised",
        lambda z, g, o, f=ref.normalised: f(ref.anp.maximum(z, 0.0), g, o),
        {},
    ),
    "a leaky ReLU": ("relu", lambda y: ref.anp.maximum(y, 0.01 * y), {}),
    "the biases have no noise": ("effective_parameters", partial(without_noise_of, "b"), {}),
    "the matrices have no noise": ("effective_parameters", partial(without_noise_of, "W"), {}),
    # What the heads compute.
    "the logits choose the action": ("values", averaged_atoms, {"head": "c51"}),
    "a target goes to the nearest atom": ("projected", nearest_atom, {"head": "c51"}),
    "the projection is mirrored": ("projected", swapped_neighbours, {"head": "c51"}),
    "the Huber loss has no half": (
        "huber",
        lambda u, k, f=ref.huber: 2.0 * f(u, k),
        {"head": "expected", "loss": "huber"},
    ),
    "the Huber loss bends elsewhere": (
        "huber",
        lambda u, k, f=ref.huber: f(u, 1.1 * k),
        {"head": "qr"},
    ),
    "the quantiles are at i / n": ("row_loss", unclipped_tau, {"head": "qr"}),
    # What the targets and the rows are.
    "the target network chooses": (
        "make_rows",
        partial(rows_with, lambda a: {"h": without(a["h"], double_dqn=not a["h"].double_dqn)}),
        {},
    ),
    "the online network gives the value": (
        "make_rows",
        partial(rows_with, lambda a: {"target": a["online"], "target_noise": a["noise"]}),
        {},
    ),
    "both networks have one noise": (
        "make_rows",
        partial(rows_with, lambda a: {"target_noise": a["noise"]}),
        {},
    ),
    "the choice has no noise": (
        "make_rows",
        partial(rows_with, lambda a: {"noise": {n: 0.0 * e for n, e in a["noise"].items()}}),
        {},
    ),
    "every reward spans one step": (
        "make_rows",
        partial(rows_with, lambda a: {"batch": a["batch"]._replace(steps=None)}),
        {},
    ),
    "the steps discount once too often": (
        "make_rows",
        partial(rows_with, lambda a: {"batch": a["batch"]._replace(steps=a["batch"].steps + 1)}),
        {},
    ),
    "a termination is not seen": (
        "make_rows",
        partial(
            rows_with,
            lambda a: {"batch": a["batch"]._replace(terminated=0 * a["batch"].terminated)},
        ),
        {},
    ),
    "no importance": (
        "make_rows",
        partial(rows_with, lambda a: {"batch": a["batch"]._replace(weights=None)}),
        {},
    ),
    "the importance is squared": (
        "make_rows",
        partial(
            rows_with, lambda a: {"batch": a["batch"]._replace(weights=a["batch"].weights ** 2)}
        ),
        {},
    ),
}


@pytest.mark.parametrize("all_actions", [False, True], ids=["selected", "all"])
@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_difference_shows(bug, all_actions, monkeypatch):
    """The product is right and the reference wrong: as good as the other way round."""
    name, wrong, settings = PLANTED[bug]
    one = Compared(
        **{**ALL_ON, **HEADS["squared"], "all_actions": all_actions, "steps": True, **settings}
    )
    assert one.disagreement() < 1e-12
    monkeypatch.setattr(ref, name, wrong)
    _, one.expected = one.case.reference(one.noise, one.target_noise, GAMMA)
    assert one.disagreement() > 1e-7  # by orders of magnitude, not by luck


@pytest.mark.parametrize("factor", [1 + 1e-11, 0.0, -1.0, np.nan])
def test_one_wrong_number_shows(factor):
    one = Compared(**{**ALL_ON, **HEADS["c51"]})
    for name, gradient in one.found.items():
        place = np.unravel_index(np.argmax(np.abs(gradient)), gradient.shape)
        right = gradient[place]
        gradient[place] *= factor
        assert one.disagreement() > 1e-12, name
        gradient[place] = right
    assert one.disagreement() < 1e-12


@pytest.mark.parametrize("name", ["W0", "sigma_b1", "gain1", "offset0", "W3"])
def test_central_differences_show_a_gradient_that_is_off_by_a_millionth(name):
    one = Compared(**{**ALL_ON, **HEADS["qr"]})
    assert slopes_disagree(one, np.random.default_rng(7)) < 1e-7
    one.found[name] *= 1 + 1e-6
    assert slopes_disagree(one, np.random.default_rng(7)) > 1e-7
