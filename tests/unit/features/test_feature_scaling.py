"""Scaling: hand-worked values, constant columns, high levels, exact round trip."""

import json
import math
import statistics
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler, ScalerConfig

STANDARD = ScalerConfig()


def column(*values):
    return np.array(values, dtype=np.float64)[:, None]


def test_standard_by_hand():
    fitted = STANDARD.fit(column(1, 2, 3))
    assert fitted.center[0] == 2.0
    assert fitted.scale[0] == pytest.approx(math.sqrt(2 / 3), rel=1e-15)
    got = fitted.transform(column(3, 2), np.float64)
    np.testing.assert_allclose(got, column(1 / math.sqrt(2 / 3), 0), rtol=1e-15)


def test_robust_by_hand():
    # quartiles of 0..100 are 25, 50, 75; an outlier more changes nothing to speak of
    x = np.append(np.arange(101.0), 1e9)[:, None]
    fitted = ScalerConfig(kind="robust").fit(x)
    assert fitted.center[0] == 50.5
    assert fitted.scale[0] == pytest.approx(50.5 / 1.3489795, rel=1e-7)
    assert STANDARD.fit(x).scale[0] > 1e7


def test_robust_of_a_normal_column_agrees_with_standard():
    x = np.random.default_rng(0).normal(3.0, 2.0, size=(200_000, 1))
    assert ScalerConfig(kind="robust").fit(x).scale[0] == pytest.approx(2.0, rel=0.01)


def test_robust_falls_back_on_the_deviation_when_the_quartiles_coincide():
    x = column(*[0.0] * 90, *[1.0] * 10)
    fitted = ScalerConfig(kind="robust").fit(x)
    assert fitted.center[0] == 0.0
    assert fitted.scale[0] == pytest.approx(statistics.pstdev(x[:, 0].tolist()), rel=1e-12)


def test_none_passes_values_unclipped():
    fitted = ScalerConfig(kind="none").fit(column(1, 2))
    np.testing.assert_array_equal(fitted.transform(column(-5e6, 0.25)), column(-5e6, 0.25))


@pytest.mark.parametrize("kind", ["standard", "robust"])
@pytest.mark.parametrize(
    "x",
    [
        np.full(1000, 0.0),
        np.full(1000, 0.1),
        np.full(1000, -60_000.1),
        60_000.0 * (1.0 + 1e-12 * np.random.default_rng(0).normal(size=1000)),
        1.0 + 1e-9 * np.random.default_rng(0).normal(size=1000),
        np.append(np.full(999, 3.7), np.nextafter(3.7, 4.0)),
    ],
    ids=["zero", "tenth", "level", "rounding", "near", "one ulp"],
)
def test_constant_and_near_constant_columns_scale_to_exactly_0(kind, x):
    fitted = ScalerConfig(kind=kind).fit(x[:, None])
    assert (fitted.transform(x[:, None]) == 0.0).all()
    assert (fitted.transform(column(1e6, -1e6)) == 0.0).all()


def test_column_just_above_the_floor_is_scaled():
    x = 1.0 + 1e-6 * np.random.default_rng(0).normal(size=5000)
    got = STANDARD.fit(x[:, None]).transform(x[:, None], np.float64)
    assert got.std() == pytest.approx(1.0, rel=1e-6)


def test_small_units_are_not_taken_for_constant():
    """An absolute epsilon of 1e-8 would flatten a column of size 1e-10."""
    x = 1e-10 * np.random.default_rng(0).normal(size=500)
    assert STANDARD.fit(x[:, None]).transform(x[:, None]).std() == pytest.approx(1.0, rel=1e-5)


def test_level_of_60000_in_float32():
    """Moves of a hundredth at a level of 60,000; float32 statistics in one pass lose them."""
    x = (60_000.0 + np.tile([-1.0, 0.0, 1.0], 2000)).astype(np.float32)[:, None]
    fitted = STANDARD.fit(x)
    assert fitted.center[0] == pytest.approx(60_000.0, abs=1e-9)
    assert fitted.scale[0] == pytest.approx(math.sqrt(2 / 3), rel=1e-12)
    got = fitted.transform(x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[:3, 0], [-math.sqrt(1.5), 0, math.sqrt(1.5)], rtol=1e-6)
    one_pass = np.mean(x * x) - np.mean(x) ** 2
    assert abs(float(one_pass) - 2 / 3) > 0.1


def test_clip():
    fitted = ScalerConfig(clip=2.5).fit(column(-1, 1))
    np.testing.assert_array_equal(fitted.transform(column(-9, 2, 9)), column(-2.5, 2, 2.5))
    unlimited = ScalerConfig(clip=None).fit(column(-1, 1))
    assert unlimited.transform(column(1e6))[0, 0] == 1e6


def test_extreme_magnitudes_do_not_overflow():
    for size in (1e200, 1e-200):
        x = size * np.random.default_rng(0).normal(size=(500, 1))
        assert STANDARD.fit(x).transform(x).std() == pytest.approx(1.0, rel=1e-5)


def test_one_row_and_many_give_the_same_bits():
    x = np.random.default_rng(0).normal(size=(50, 4))
    fitted = STANDARD.fit(x)
    table = fitted.transform(x)
    for t in range(50):
        assert fitted.transform(x[t]).tobytes() == table[t].tobytes()


def test_later_rows_do_not_reach_the_fit():
    x = np.random.default_rng(0).normal(size=(100, 3))
    one = STANDARD.fit(x[:70])
    x[70:] = 1e9
    assert STANDARD.fit(x[:70]).to_dict() == one.to_dict()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-1e12, 1e12), min_size=2, max_size=20),
    st.sampled_from(["standard", "robust", "rank_gauss", "none"]),
    st.one_of(st.none(), st.floats(0.1, 100.0)),
)
def test_round_trip_through_json_gives_the_same_bits(values, kind, clip):
    x = np.array(values)[:, None]
    fitted = ScalerConfig(kind=kind, clip=clip).fit(x)
    again = FittedScaler.from_dict(json.loads(json.dumps(fitted.to_dict(), allow_nan=False)))
    assert again.center.tobytes() == fitted.center.tobytes()
    assert again.scale.tobytes() == fitted.scale.tobytes()
    assert again.clip == fitted.clip
    assert again.transform(x).tobytes() == fitted.transform(x).tobytes()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30),
    st.sampled_from(["standard", "robust", "rank_gauss"]),
)
def test_scaled_values_are_finite_and_limited(values, kind):
    x = np.array(values)[:, None]
    got = ScalerConfig(kind=kind).fit(x).transform(x)
    assert (np.abs(got) <= 10.0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    x = np.random.default_rng(0).normal(size=(9, 3))
    fitted = STANDARD.fit(x)
    x[4, 1] = bad
    with pytest.raises(NonFiniteError, match=r"fitted to finite values. Got .* column 1, row 4"):
        STANDARD.fit(x)
    with pytest.raises(NonFiniteError, match="column 1, row 4"):
        fitted.transform(x)
    with pytest.raises(NonFiniteError, match="in column 1 instead"):
        fitted.transform(x[4])


def test_refused_shapes_and_settings():
    fitted = STANDARD.fit(np.eye(3))
    for call, message in (
        (lambda: STANDARD.fit(np.ones(3)), "shape (N, F)"),
        (lambda: STANDARD.fit(np.ones((1, 3))), "at least 2 rows"),
        (lambda: fitted.transform(np.ones((2, 4))), "Got (2, 4) instead"),
        (lambda: ScalerConfig(kind="standart"), "Did you mean 'standard'?"),
        (lambda: ScalerConfig(clip=0.0), "clip parameter of ScalerConfig"),
        (lambda: ScalerConfig(floor=1.0), "floor parameter of ScalerConfig"),
        (lambda: FittedScaler(np.ones(2), np.ones(3), None), "the same shape (F,)"),
        (lambda: FittedScaler(np.ones(1), -np.ones(1), None), "finite and >= 0"),
        (lambda: FittedScaler(np.ones(1), np.array([np.nan]), None), "finite and >= 0"),
        (lambda: FittedScaler(np.ones(1), np.ones(1), math.nan), "clip parameter of ScalerConfig"),
        (lambda: FittedScaler.from_dict({"center": [0.0], "scale": [1.0]}), "needs 'clip'"),
        (
            lambda: FittedScaler.from_dict({"center": [], "scale": [], "clip": None, "scal": 1}),
            "no 'scal'. Did you mean 'scale'?",
        ),
        (
            lambda: FittedScaler.from_dict({"center": ["a"], "scale": [1.0], "clip": None}),
            "center and scale: could not convert",
        ),
    ):
        with pytest.raises(ConfigError) as caught:
            call()
        assert message in str(caught.value)


def test_rank_gauss_by_hand():
    # Of 4 values: 1 is rank 1, 2 shares ranks 2 and 3, 10 is rank 4: shares 1/8, 4/8, 7/8.
    fitted = ScalerConfig(kind="rank_gauss").fit(column(1, 2, 2, 10))
    got = fitted.transform(column(0, 1, 1.5, 2, 6, 10, 99), np.float64)[:, 0]
    end = NormalDist().inv_cdf(7 / 8)
    np.testing.assert_allclose(got, [-end, -end, -end / 2, 0, end / 2, end, end], atol=1e-12)


def test_rank_gauss_makes_a_skewed_column_normal_and_keeps_few_points():
    x = np.exp(2.0 * np.random.default_rng(0).normal(size=(20_000, 1)))
    fitted = ScalerConfig(kind="rank_gauss").fit(x)
    assert len(fitted.ranks.knots[0]) == 257
    z = fitted.transform(x, np.float64)[:, 0]
    np.testing.assert_allclose(z, np.log(x[:, 0]) / 2.0, atol=0.4)
    shares = [(z < level).mean() for level in (-2, -1, 0, 1, 2)]
    expected = [NormalDist().cdf(level) for level in (-2, -1, 0, 1, 2)]
    np.testing.assert_allclose(shares, expected, atol=0.01)
    assert np.abs(z).max() < 4.2


def test_rank_gauss_of_a_constant_is_zero_whatever_comes():
    fitted = ScalerConfig(kind="rank_gauss").fit(np.array([[3.0, 1.0], [3.0, 2.0]]))
    assert fitted.transform(np.array([[9.0, 1.5]])).tolist() == [[0.0, 0.0]]


def test_rank_gauss_one_row_and_many_give_the_same_bits():
    x = np.random.default_rng(0).normal(size=(400, 4))
    fitted = ScalerConfig(kind="rank_gauss").fit(x)
    table = fitted.transform(x)
    for t in range(50):
        assert fitted.transform(x[t]).tobytes() == table[t].tobytes()


def test_damaged_curves_are_rejected():
    whole = ScalerConfig(kind="rank_gauss").fit(column(1, 2, 3)).to_dict()
    for change, message in (
        ({"knots": [[1.0, 1.0, 3.0]]}, "increasing knots"),
        ({"scores": [[0.0]]}, "as many scores"),
        ({"knots": whole["knots"] * 2, "scores": whole["scores"] * 2}, "as many curves"),
    ):
        with pytest.raises(ConfigError, match=message):
            FittedScaler.from_dict({**whole, **change})
    with pytest.raises(ConfigError, match="needs 'scores'"):
        FittedScaler.from_dict({k: v for k, v in whole.items() if k != "scores"})


@pytest.mark.parametrize("kind", ["standard", "robust", "rank_gauss", "none"])
def test_redundant_columns_are_zero_for_ever(kind):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 500))
    # A copy in other units, a mirror, one that shares 0.8 of a, and a constant.
    x = np.stack([a, 3 * a + 7, b, -a, 0.8 * a + 0.6 * b, np.ones(500)], axis=1)
    fitted = ScalerConfig(kind=kind, redundant=0.9).fit(x[:400])
    constant = ["f"] if kind != "none" else []
    assert fitted.unused("abcdef") == ["b", "d", *constant]
    later = fitted.transform(100.0 * x[400:], np.float64)
    assert not later[:, [1, 3]].any()
    assert later[:, [0, 2, 4]].any(axis=0).all()
    kept = [0, 2, 4, 5]
    alone = ScalerConfig(kind=kind).fit(x[:400, kept])
    assert (
        alone.transform(x[400:][:, kept]).tobytes() == fitted.transform(x[400:])[:, kept].tobytes()
    )


def test_redundant_needs_a_correlation_with_a_column_that_was_kept():
    rng = np.random.default_rng(1)
    a, b, c = rng.normal(size=(3, 4000))
    # The second repeats the first. The third is like the second alone, which is left out.
    x = np.stack([a, a + 0.3 * b, a + 0.6 * b + 0.6 * c], axis=1)
    assert ScalerConfig(redundant=0.85).fit(x).unused("abc") == ["b"]
    assert ScalerConfig(redundant=1.0).fit(x).unused("abc") == []
