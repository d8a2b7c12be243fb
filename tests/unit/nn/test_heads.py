"""The heads by hand, against slow loops from the papers and a foreign autodiff; the contract."""

from types import SimpleNamespace

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.nn.heads.catalog import HEADS, build_head
from reinforcestrategycreator_pipeline.testing.head_contract import (
    Case,
    HeadContract,
    make_case,
    worst,
)

DEFAULTS = {"loss": "squared", "huber_delta": 1.0, "n_atoms": 51, "v_min": -10.0, "v_max": 10.0}


def make_head(name, **settings):
    return build_head(SimpleNamespace(head=name, **{**DEFAULTS, **settings}))


class TestExpectedSquared(HeadContract):
    @pytest.fixture
    def head(self):
        return make_head("expected")

    @pytest.fixture
    def largest(self):
        return 1e18


class TestExpectedHuber(HeadContract):
    @pytest.fixture
    def head(self):
        return make_head("expected", loss="huber", huber_delta=0.8)


@pytest.mark.parametrize("n_atoms", [2, 7, 51])
class TestC51(HeadContract):
    @pytest.fixture
    def head(self, n_atoms):
        return make_head("c51", n_atoms=n_atoms, v_min=-2.0, v_max=3.0)


@pytest.mark.parametrize("n_atoms", [1, 7])
class TestQR(HeadContract):
    @pytest.fixture
    def head(self, n_atoms):
        return make_head("qr", n_atoms=n_atoms, huber_delta=0.7)


class MeanOfTwo:
    """A head from outside: two outputs, whose mean is the value."""

    def __init__(self, hyperparameters):
        self.n_outputs = 2

    def values(self, outputs):
        return outputs[..., 0] * 0.5 + outputs[..., 1] * 0.5

    def loss(self, predicted, bootstrap, r_t, discount_t):
        error = self.values(predicted) - (r_t + discount_t * self.values(bootstrap))
        return error * error, np.repeat(error[:, None], 2, axis=1), np.abs(error)


class TestHeadFromOutside(HeadContract):
    @pytest.fixture
    def head(self):
        return make_head(f"{__name__}:MeanOfTwo")

    @pytest.fixture
    def largest(self):
        return 1e18


# -- expected ---------------------------------------------------------------------------------


def test_expected_by_hand():
    # y = 1 + 0.5 * 4 = 3 and -2 + 0 * 9 = -2; errors 2.5 - 3 = -0.5 and 1 - -2 = 3.
    case = Case(
        np.array([[2.5], [1.0]]),
        np.array([[4.0], [9.0]]),
        np.array([1.0, -2.0]),
        np.array([0.5, 0]),
    )
    results = [r.tolist() for r in make_head("expected").loss(*case)]
    assert results == [[0.25, 9.0], [[-1.0], [6.0]], [0.5, 3.0]]
    huber = make_head("expected", loss="huber", huber_delta=2.0).loss(*case)
    assert [r.tolist() for r in huber] == [[0.125, 4.0], [[-0.5], [2.0]], [0.5, 3.0]]


def test_expected_values_are_the_outputs():
    outputs = np.arange(6.0).reshape(2, 3, 1)
    assert make_head("expected").values(outputs).tolist() == [[0, 1, 2], [3, 4, 5]]


# -- c51 --------------------------------------------------------------------------------------


def algorithm_1(p, r, discount, v_min, v_max):
    """Algorithm 1 of arXiv:1707.06887, one row, line by line.

    As printed it loses the mass of an atom where b is an integer (l = u): that case is added.
    """
    n = len(p)
    dz = (v_max - v_min) / (n - 1)
    m = np.zeros(n)
    for j in range(n):
        z = v_min + j * dz
        tz = min(max(r + discount * z, v_min), v_max)
        b = min((tz - v_min) / dz, n - 1)  # a rounding beyond the last atom
        low, up = int(np.floor(b)), int(np.ceil(b))
        if low == up:
            m[low] += p[j]
        else:
            m[low] += p[j] * (up - b)
            m[up] += p[j] * (b - low)
    return m


def equation_7(p, r, discount, v_min, v_max):
    """The same as the paper's eq. 7 has it, one row."""
    n = len(p)
    z = [v_min + i * (v_max - v_min) / (n - 1) for i in range(n)]
    dz = (v_max - v_min) / (n - 1)
    m = np.zeros(n)
    for i in range(n):
        for j in range(n):
            tz = min(max(r + discount * z[j], v_min), v_max)
            m[i] += min(max(1 - abs(tz - z[i]) / dz, 0), 1) * p[j]
    return m


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_c51_by_hand():
    # Atoms -1, 0, 1; p' = 1/4, 1/2, 1/4; r = 1/4, discount 1/2. The returns -1/4, 1/4, 3/4 are at
    # b = 0.75, 1.25, 1.75: m = (1/16, 3/16 + 6/16 + 1/16, 2/16 + 3/16) = (1, 10, 5) / 16.
    # Equal logits: p = 1/3, loss = ln 3 = 1.098612. The entropy of m is 0.830524.
    head = make_head("c51", n_atoms=3, v_min=-1.0, v_max=1.0)
    bootstrap = np.log([[0.25, 0.5, 0.25]])
    case = Case(np.full((1, 3), 7.0), bootstrap, np.array([0.25]), np.array([0.5]))
    np.testing.assert_allclose(head.project(*case[1:]), [[1 / 16, 10 / 16, 5 / 16]], rtol=1e-14)
    losses, gradient, priorities = head.loss(*case)
    assert losses[0] == pytest.approx(1.098612, abs=1e-6)
    np.testing.assert_allclose(gradient, [[13 / 48, -14 / 48, 1 / 48]], rtol=1e-12)
    assert priorities[0] == pytest.approx(1.098612 - 0.830524, abs=1e-6)
    assert head.values(bootstrap)[0] == pytest.approx(0.0, abs=1e-15)
    assert head.values(np.log([[0.5, 0.25, 0.25]]))[0] == pytest.approx(-0.25)


PROJECTIONS = [
    # atoms, their ends, reward, discount
    (51, -10.0, 10.0, 0.3, 0.99),
    (51, -10.0, 10.0, 0.0, 1.0),  # every b is an integer, but for rounding
    (51, -10.0, 10.0, 0.4, 1.0),  # the same, one atom up: the last one is clipped
    (5, -2.0, 2.0, 1.0, 1.0),  # every b is an integer exactly
    (5, -2.0, 2.0, 0.0, 0.0),
    (5, -2.0, 2.0, 2.0, 0.0),  # exactly the last atom
    (5, -2.0, 2.0, -2.0, 0.0),
    (7, -3.0, 5.0, 100.0, 0.9),  # all beyond
    (7, -3.0, 5.0, -1e30, 0.9),
    (2, 0.0, 1.0, 0.25, 0.5),
    (11, -0.1, 0.3, 0.05, 0.7),
]


@pytest.mark.parametrize(("n", "v_min", "v_max", "r", "discount"), PROJECTIONS)
def test_the_projection_agrees_with_the_paper(n, v_min, v_max, r, discount):
    logits = np.random.default_rng(0).normal(size=(4, n)) * 2
    head = make_head("c51", n_atoms=n, v_min=v_min, v_max=v_max)
    m = head.project(logits, np.full(4, r), np.full(4, discount))
    for row, p in zip(m, softmax(logits), strict=True):
        np.testing.assert_allclose(row, algorithm_1(p, r, discount, v_min, v_max), atol=2e-13)
        np.testing.assert_allclose(row, equation_7(p, r, discount, v_min, v_max), atol=2e-13)


def test_the_projection_keeps_all_mass_and_the_mean():
    rng = np.random.default_rng(1)
    head = make_head("c51")
    logits, r = rng.normal(size=(1_000, 51)), rng.normal(size=1_000) * 8
    discount = rng.choice([0.0, 0.5, 0.99, 1.0], 1_000)
    m = head.project(logits, r, discount)
    assert (m >= 0).all()
    np.testing.assert_allclose(m.sum(axis=1), 1.0, rtol=1e-13)
    # Splitting between neighbours keeps the mean of what was not clipped.
    z = np.linspace(-10, 10, 51)
    inside = np.abs(r) + discount * 10 <= 10
    assert 50 < inside.sum() < 950
    mean = r + discount * (softmax(logits) @ z)
    np.testing.assert_allclose((m @ z)[inside], mean[inside], atol=1e-12)


def test_a_reward_beyond_the_atoms_is_the_outermost_and_an_infinite_one_an_error():
    head = make_head("c51", n_atoms=5, v_min=-2.0, v_max=2.0)
    r = np.array([9.0, -1e38, np.inf, -np.inf], np.float32)
    case = Case(*np.zeros((2, 4, 5), np.float32), r, np.zeros(4, np.float32))
    assert head.project(*case[1:])[:2].tolist() == [[0, 0, 0, 0, 1], [1, 0, 0, 0, 0]]
    assert np.isfinite(head.loss(*case)[0]).tolist() == [True, True, False, False]


def test_c51_logits_may_be_enormous():
    # softmax and its logarithm are exact at any level: (1e6, 1e6 - ln 3) is (3/4, 1/4).
    head = make_head("c51", n_atoms=2, v_min=0.0, v_max=1.0)
    logits = np.array([[0.0, np.log(3)]])
    for level in (0.0, 1e6, -1e6):
        x = logits + level
        assert head.values(x)[0] == pytest.approx(0.75, rel=1e-9)
        losses, gradient, _ = head.loss(x, x, np.ones(1), np.zeros(1))
        assert losses[0] == pytest.approx(-np.log(0.75), rel=1e-9)
        np.testing.assert_allclose(gradient, [[0.25, -0.25]], rtol=1e-9)


def c51_loss(x, m):
    return -anp.sum(m * (x - anp.log(anp.sum(anp.exp(x)))))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("n", [2, 21, 51])
def test_c51_agrees_with_autograd(n, dtype, tolerance):
    head = make_head("c51", n_atoms=n, v_min=-2.0, v_max=3.0)
    case = make_case(head, 40, dtype=dtype)
    losses, gradient, priorities = head.loss(*case)
    double = case.astype(np.float64)
    for i in range(40):
        p = softmax(double.bootstrap[i])
        m = algorithm_1(p, double.r_t[i], double.discount_t[i], -2.0, 3.0)
        assert losses[i] == pytest.approx(c51_loss(double.predicted[i], m), rel=tolerance)
        assert worst(gradient[i], grad(c51_loss)(double.predicted[i], m)) < tolerance
        q = softmax(double.predicted[i])
        divergence = sum(a * np.log(a / b) for a, b in zip(m, q, strict=True) if a > 0)
        assert priorities[i] == pytest.approx(divergence, rel=tolerance, abs=1e-6 * tolerance)


# -- qr ---------------------------------------------------------------------------------------


def equation_10(theta, target, kappa):
    """Sum over i, mean over j of eq. 10 of arXiv:1710.10044 over kappa, one row, in two loops."""
    n, total = len(theta), 0.0
    for i in range(n):
        for j in range(n):
            u = target[j] - theta[i]
            huber = 0.5 * u * u if abs(u) <= kappa else kappa * (abs(u) - 0.5 * kappa)
            total += abs((2 * i + 1) / (2 * n) - (u < 0)) * huber / kappa / n
    return total


def qr_loss(theta, target, kappa):
    n = len(target)
    tau = ((2 * np.arange(n) + 1) / (2 * n))[:, None]
    u = target[None, :] - theta[:, None]
    size = anp.abs(u)
    huber = anp.where(size <= kappa, 0.5 * u**2, kappa * (size - 0.5 * kappa))
    return anp.sum(anp.mean(anp.where(u < 0, 1 - tau, tau) * huber / kappa, axis=1))


# theta = (0, 1), y = 1/2 + (0, 4) / 2 = (0.5, 2.5), tau = (1/4, 3/4).
# u_0 = (0.5, 2.5), u_1 = (-0.5, 1.5); the weights are 1/4, 1/4 and |3/4 - 1| = 1/4, 3/4.
BY_HAND = {
    # L = 0.125, 2 | 0.125, 1: (0.25 * 2.125 + 0.25 * 0.125 + 0.75 * 1) / 2
    # clipped u = 0.5, 1 | -0.5, 1: -0.25 * 1.5 / 2 and -(-0.125 + 0.75) / 2
    1.0: (0.65625, [-0.1875, -0.3125]),
    # L / 2 = 0.0625, 1.5 | 0.0625, 0.5625: (0.25 * 1.5625 + 0.25 * 0.0625 + 0.75 * 0.5625) / 2
    # clipped u / 2 = 0.25, 1 | -0.25, 0.75: -0.25 * 1.25 / 2 and -(-0.0625 + 0.5625) / 2
    2.0: (0.4140625, [-0.15625, -0.25]),
}


@pytest.mark.parametrize("kappa", BY_HAND)
def test_qr_by_hand(kappa):
    head = make_head("qr", n_atoms=2, huber_delta=kappa)
    bootstrap = np.array([[0.0, 4.0]])
    losses, gradient, priorities = head.loss(
        np.array([[0.0, 1.0]]), bootstrap, np.array([0.5]), np.array([0.5])
    )
    loss, slopes = BY_HAND[kappa]
    assert losses.tolist() == priorities.tolist() == [loss]
    assert gradient.tolist() == [slopes]
    assert head.values(bootstrap).tolist() == [2.0]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("kappa", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("n", [1, 2, 51])
def test_qr_agrees_with_the_paper_and_with_autograd(n, kappa, dtype, tolerance):
    head = make_head("qr", n_atoms=n, huber_delta=kappa)
    case = make_case(head, 50, dtype=dtype)  # more rows than a block of the largest holds
    losses, gradient, priorities = head.loss(*case)
    double = case.astype(np.float64)
    target = double.r_t[:, None] + double.discount_t[:, None] * double.bootstrap
    for i in (0, 1, 2, 37, 38, 39, 49):
        theta = double.predicted[i]
        assert losses[i] == pytest.approx(equation_10(theta, target[i], kappa), rel=tolerance)
        assert worst(gradient[i], grad(qr_loss)(theta, target[i], kappa)) < tolerance
    assert priorities.tobytes() == losses.tobytes()


def test_qr_learns_the_quantiles_and_not_the_mean():
    # Of returns 0 (three times) and 10 (once), tau = 1/8, 3/8, 5/8 have 0 and 7/8 has 10.
    head = make_head("qr", n_atoms=4, huber_delta=0.01)
    theta, r = np.full((1, 4), 3.0), np.array([0.0, 0.0, 0.0, 10.0])
    for step in range(6_000):
        rate = 0.05 if step < 4_000 else 0.002
        rows = np.repeat(theta, 4, axis=0)
        theta -= rate * head.loss(rows, rows, r, np.zeros(4))[1].mean(axis=0)
    np.testing.assert_allclose(theta[0], [0, 0, 0, 10], atol=0.05)


# -- configuration ----------------------------------------------------------------------------


def test_every_registered_head_is_in_the_suite():
    """A new one: add a class to the top of this module."""
    counts = {name: make_head(name, n_atoms=8).n_outputs for name in HEADS}
    assert counts == {"c51": 8, "expected": 1, "qr": 8}


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("c51", {"n_atoms": 1}, "The n_atoms parameter of head 'c51' must be an integer >= 2"),
        ("c51", {"v_max": -10.0}, "The v_max parameter of head 'c51' must be .* > -10. Got -10"),
        ("c51", {"v_min": float("nan")}, "The v_min parameter of head 'c51' must be a finite"),
        ("qr", {"n_atoms": 0}, "The n_atoms parameter of head 'qr' must be an integer >= 1"),
        ("qr", {"huber_delta": 0.0}, "The huber_delta parameter of head 'qr' must be .* > 0"),
        ("expected", {"huber_delta": -1.0}, "huber_delta parameter of head 'expected' must be"),
        ("expected", {"loss": "squarred"}, "Did you mean 'squared'"),
        ("c15", {}, r"unknown head 'c15'. Did you mean 'c51'\?"),
        ("fractions:Fraction", {}, "a module of the standard library has no components"),
        ("numpy:ndarray", {}, "is not a head: it lacks values, loss"),
    ],
)
def test_wrong_settings_are_refused(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        make_head(name, **settings)


def test_a_head_without_a_count_of_outputs_is_refused(monkeypatch):
    monkeypatch.setattr(MeanOfTwo, "__init__", lambda self, hyperparameters: None)
    with pytest.raises(ConfigError, match=r"The n_outputs parameter of head '.*' must be an int"):
        make_head(f"{__name__}:MeanOfTwo")
