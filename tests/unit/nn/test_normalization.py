"""Running mean and deviation against exact fractions, and what must not break them."""

import math
from fractions import Fraction

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import CheckpointError, ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.nn.normalization import FLOOR, RunningNormalizer


def exact(rows):
    """Mean and population deviation of each column, summed in fractions."""
    means, deviations = [], []
    for column in np.asarray(rows, dtype=np.float64).T.tolist():
        numbers = [Fraction(x) for x in column]
        mean = sum(numbers) / len(numbers)
        variance = sum((x - mean) ** 2 for x in numbers) / len(numbers)
        means.append(float(mean))
        deviations.append(math.sqrt(variance))
    return np.array(means), np.array(deviations)


def fed(rows, sizes, clip=10.0):
    """A normaliser that has seen `rows` in pieces of the given sizes, again and again."""
    normalizer = RunningNormalizer(rows.shape[1], clip)
    start, i = 0, 0
    while start < len(rows):
        size = sizes[i % len(sizes)]
        normalizer.update(rows[start : start + size])
        start, i = start + size, i + 1
    return normalizer


def rows_of_many_scales(n=600, dtype=np.float64):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 6))
    x[:, 5] = rng.integers(0, 2, n)
    return (x * [1.0, 1e-9, 1e9, 1.0, 1e-2, 1.0] + [0.0, 0.0, 0.0, 60_000.0, 1e3, 0.0]).astype(
        dtype
    )


def test_by_hand():
    normalizer = RunningNormalizer(2, 1.2)
    normalizer.update([[1.0, -4.0], [3.0, -4.0]])
    normalizer.update([[2.0, 2.0]])
    normalizer.update([6.0, 2.0])
    # 1, 3, 2, 6: mean 3, squares 4 + 0 + 1 + 9 = 14. -4, -4, 2, 2: mean -1, squares 4 * 9 = 36.
    assert normalizer.count == 4
    np.testing.assert_allclose(normalizer.mean, [3, -1], rtol=1e-15)
    np.testing.assert_allclose(normalizer.m2, [14, 36], rtol=1e-15)
    mean, scale = normalizer.fold()
    np.testing.assert_allclose(scale, [math.sqrt(3.5), 3], rtol=1e-15)
    normalizer.update([3.0, -1.0])
    np.testing.assert_allclose(normalizer.fold()[1], [math.sqrt(14 / 5), 6 / math.sqrt(5)])
    normalizer.restore({"count": np.array([4.0]), "mean": mean, "m2": np.array([14.0, 36.0])})
    scaled = normalizer.apply(np.array([[3.0, 2.0], [100.0, -4.0], [-9.0, -1.6]]))
    np.testing.assert_allclose(scaled, [[0, 1], [1.2, -1], [-1.2, -0.2]], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [[1], [2], [7, 1, 30], [600]])
def test_agrees_with_exact_fractions_however_it_is_cut(sizes, dtype):
    rows = rows_of_many_scales(dtype=dtype)
    mean, deviation = exact(rows)
    found_mean, scale = fed(rows, sizes).fold()
    # A merge rounds the mean by half a unit in its last place: in 600 of them, some eight.
    assert (np.abs(found_mean - mean) <= 8 * np.spacing(np.abs(mean)) + 1e-14 * deviation).all()
    np.testing.assert_allclose(scale, deviation, rtol=1e-10)


def test_sums_of_squares_would_not_have_agreed():
    # What the two-pass merge is for: E[x^2] - E[x]^2 has lost the deviation at level 6e7.
    x = 6e7 + 1e-2 * np.random.default_rng(1).normal(size=(500, 1))
    true = exact(x)[1][0]
    naive = np.mean(x**2) - np.mean(x) ** 2
    assert not abs(math.sqrt(max(naive, 0.0)) / true - 1) < 0.1
    normalizer = fed(x, [1, 9])
    assert math.sqrt(normalizer.m2[0] / 500) == pytest.approx(true, rel=1e-6)


@pytest.mark.parametrize("value", [0.1, -37.3, 60_000.1, 0.0, 1e-300, 1e100])
def test_a_constant_column_is_exact(value):
    rows = np.full((1000, 2), value)
    normalizer = fed(rows, [3, 1, 10])
    assert normalizer.mean.tolist() == [value, value]
    assert normalizer.m2.tolist() == [0.0, 0.0]
    assert normalizer.apply(rows[:1]).tolist() == [[0.0, 0.0]]


def test_a_column_that_moves_by_its_rounding_stays_near_0():
    # With a deviation of 0 floored at 1e-8, one float32 rounding of 60,000 was 996,849 sigma.
    level = np.float32(60_000.0)
    above = np.nextafter(level, np.float32(np.inf))
    normalizer = fed(np.full((100, 1), level), [10])
    assert 0 < normalizer.apply(np.array([above]))[0] < 0.1
    moving = fed(np.array([level, above] * 50)[:, None], [10])
    assert np.abs(moving.apply(np.array([[level], [above]]))).max() < 0.1
    # A column that moves by more has its own deviation, at that level, too.
    signal = 60_000.0 + np.array([[-1.0], [1.0]] * 50)
    np.testing.assert_allclose(fed(signal, [10]).apply(signal[:2]), [[-1], [1]], rtol=1e-9)
    assert fed(np.full((5, 1), 8.0), [1]).fold()[1].tolist() == [8.0 * FLOOR]


def test_subtracts_in_float64():
    # In float32 the mean 60,000.0004 is 60,000: the result would be 0.
    normalizer = RunningNormalizer(1, 10.0)
    normalizer.restore(
        {"count": np.array([4.0]), "mean": np.array([60_000.0004]), "m2": np.array([4e-2])}
    )
    found = normalizer.apply(np.array([60_000.0], np.float32))
    assert found.dtype == np.float32
    # m2 / count = 0.01: a deviation of 0.1, above the floor of 0.06.
    assert found[0] == pytest.approx(-0.0004 / 0.1, rel=1e-5)


def test_before_the_first_update_it_only_clips():
    normalizer = RunningNormalizer(3, 2.0)
    assert normalizer.apply(np.array([1.5, -7.0, 2.5])).tolist() == [1.5, -2.0, 2.0]
    normalizer.update(np.empty((0, 3)))
    assert normalizer.count == 0
    normalizer.update(np.array([1.0, 5.0, 0.0]))  # one row has no deviation yet
    assert normalizer.apply(np.array([1.5, 5.0, 9.0])).tolist() == [0.5, 0.0, 2.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_shapes_and_out(dtype):
    normalizer = fed(rows_of_many_scales(), [50])
    x = rows_of_many_scales(dtype=dtype)[:24]
    expected = normalizer.apply(x)
    assert expected.dtype == x.dtype
    for shape in ((24, 6), (4, 6, 6), (2, 3, 4, 6)):
        again = normalizer.apply(x.reshape(shape))
        assert again.shape == shape
        assert again.tobytes() == expected.tobytes()
    assert np.array([normalizer.apply(row) for row in x]).tobytes() == expected.tobytes()
    out = np.full((24, 6), np.nan, np.float32)
    assert normalizer.apply(x, out=out) is out
    assert out.tobytes() == expected.astype(np.float32).tobytes()
    before = x.copy()
    normalizer.apply(x)
    assert x.tobytes() == before.tobytes()
    assert normalizer.apply(x, out=x) is x
    assert x.tobytes() == expected.tobytes()


def test_whole_numbers_become_float64():
    normalizer = RunningNormalizer(2, 5.0)
    normalizer.update(np.array([[0, 10], [4, 20]]))
    found = normalizer.apply(np.array([2, 20]))
    assert found.dtype == np.float64
    assert found.tolist() == [0.0, 1.0]


def test_neither_nan_nor_infinity_is_clipped_away():
    normalizer = fed(rows_of_many_scales(), [50])
    for bad in (np.nan, np.inf, -np.inf):
        x = np.zeros((3, 6), np.float32)
        x[1, 4] = bad
        for found in (normalizer.apply(x), normalizer.apply(x, out=np.empty((3, 6)))):
            assert np.argwhere(np.isnan(found)).tolist() == [[1, 4]]
    assert normalizer.apply(np.full(6, 1e308))[[1, 4]].tolist() == [10.0, 10.0]  # it is a number


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("rows", [1, 4])
def test_what_is_not_finite_is_refused_and_changes_nothing(bad, first, rows):
    normalizer = RunningNormalizer(5, 10.0)
    if not first:
        normalizer.update(np.arange(10.0).reshape(2, 5))
    before = {name: array.tobytes() for name, array in normalizer.state().items()}
    x = np.ones((rows, 5))
    x[0, 1] = x[-1, 3] = bad
    with pytest.raises(NonFiniteError, match=r"in columns \[1, 3\]; .* are unchanged"):
        normalizer.update(x)
    assert {name: array.tobytes() for name, array in normalizer.state().items()} == before
    normalizer.update(np.ones((rows, 5)))
    assert np.isfinite(normalizer.mean).all()


def test_columns_whose_squares_fit_are_taken_even_if_their_sum_does_not():
    rows = np.array([[7e153, -7e153], [-7e153, 7e153]])  # 9.8e307 in each column
    np.testing.assert_allclose(fed(rows, [2]).apply(rows), np.sign(rows), rtol=1e-14)


def test_state_and_restore_continue_bit_by_bit():
    rows = rows_of_many_scales()
    whole = fed(rows, [3])
    half = fed(rows[:300], [3])
    state = half.state()
    assert {name: (a.shape, a.dtype) for name, a in state.items()} == {
        "count": ((1,), np.float64),
        "mean": ((6,), np.float64),
        "m2": ((6,), np.float64),
    }
    other = RunningNormalizer(6, 10.0)
    other.apply(rows[0])  # must not leave an old scale behind
    other.restore(state)
    assert other.apply(rows[:5]).tobytes() == half.apply(rows[:5]).tobytes()
    kept = {name: array.tobytes() for name, array in state.items()}
    for start in range(300, 600, 3):
        other.update(rows[start : start + 3])
    assert {name: array.tobytes() for name, array in state.items()} == kept
    for name, array in other.state().items():
        assert array.tobytes() == whole.state()[name].tobytes()
    mine = {name: array.copy() for name, array in state.items()}
    other.restore(mine)
    for array in mine.values():
        array[...] = 99.0
    assert {name: array.tobytes() for name, array in other.state().items()} == kept


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": np.zeros(3)}, r"mean must be float64 \(2,\). Got float64 \(3,\) instead"),
        ({"m2": np.zeros(2, np.float32)}, "m2 must be float64 .* Got float32"),
        ({"count": None}, "count must be float64 .* Got nothing instead"),
        ({"m2": np.array([1.0, np.nan])}, "damaged: m2"),
        ({"mean": np.array([1.0, np.inf])}, "damaged: mean"),
        ({"m2": np.array([1.0, -1.0])}, "damaged: m2"),
        ({"count": np.array([-1.0])}, "damaged: count"),
    ],
)
def test_a_foreign_state_is_refused_and_changes_nothing(change, message):
    normalizer = fed(np.arange(8.0).reshape(4, 2), [4])
    before = normalizer.apply(np.ones(2)).tobytes()
    state = {"count": np.array([9.0]), "mean": np.ones(2), "m2": np.ones(2), **change}
    with pytest.raises(CheckpointError, match=message):
        normalizer.restore({name: array for name, array in state.items() if array is not None})
    assert normalizer.count == 4
    assert normalizer.apply(np.ones(2)).tobytes() == before


def test_wrong_parameters_and_shapes_are_refused():
    with pytest.raises(ConfigError, match="The n_inputs parameter of RunningNormalizer must be"):
        RunningNormalizer(0, 10.0)
    with pytest.raises(
        ConfigError, match=r"The clip parameter of RunningNormalizer must be .* > 0"
    ):
        RunningNormalizer(2, 0.0)
    normalizer = RunningNormalizer(2, 10.0)
    for shape in ((3,), (4, 3), (2, 2, 2), ()):
        with pytest.raises(ConfigError, match=r"must be of shape \(N, 2\). Got \("):
            normalizer.update(np.zeros(shape))
