"""The contract of heads. Inherit `HeadContract`, override the fixture `head`, and run.

class TestMyHead(HeadContract):
    @pytest.fixture
    def head(self):
        return MyHead(SimpleNamespace(n_atoms=7))  # few outputs keep the tests short

    @pytest.fixture
    def largest(self):  # only for a head that overflows float32 before 1e30
        return 1e18
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

H = 1e-5
ROWS = 6


class Case(NamedTuple):
    """The arguments of `Head.loss`."""

    predicted: np.ndarray
    bootstrap: np.ndarray
    r_t: np.ndarray
    discount_t: np.ndarray

    def astype(self, dtype):
        return Case(*(array.astype(dtype) for array in self))

    def copy(self):
        return Case(*(array.copy() for array in self))


def make_case(head, rows=ROWS, seed=0, dtype="float64"):
    """Return random arguments, exact in float32; every third row is a termination."""
    rng = np.random.default_rng(seed)
    shape = (rows, head.n_outputs)
    discount = np.where(np.arange(rows) % 3 == 2, 0.0, rng.uniform(0.5, 1.0, rows))
    case = Case(rng.normal(size=shape), rng.normal(size=shape), rng.normal(size=rows), discount)
    return case.astype(np.float32).astype(dtype)


def worst(found, expected):
    """Return the largest difference, relative to the largest number."""
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))


def bits(results):
    return [result.tobytes() for result in results]


class HeadContract:
    """The contract of a head, one test per promise."""

    @pytest.fixture
    def head(self):
        raise NotImplementedError("override the fixture head")

    @pytest.fixture
    def largest(self) -> float:
        """Return the size of outputs and rewards up to which float32 must not overflow."""
        return 1e30

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_shapes_and_dtypes(self, head, dtype):
        n = head.n_outputs
        assert isinstance(n, int)
        assert n >= 1
        for shape in ((), (1,), (5,), (4, 3), (2, 4, 3)):
            values = head.values(np.ones((*shape, n), dtype))
            assert (values.shape, values.dtype) == (shape, np.dtype(dtype))
        for rows in (1, ROWS, 70):
            results = head.loss(*make_case(head, rows, dtype=dtype))
            assert [r.shape for r in results] == [(rows,), (rows, n), (rows,)]
            assert {r.dtype for r in results} == {np.dtype(dtype)}

    def test_gradient_agrees_with_central_differences(self, head):
        case = make_case(head)
        _, gradient, _ = head.loss(*case)
        differences = np.empty_like(gradient)
        for k in range(head.n_outputs):
            losses = []
            for step in (H, -H):
                moved = case.copy()
                moved.predicted[:, k] += step
                losses.append(head.loss(*moved)[0])
            differences[:, k] = (losses[0] - losses[1]) / (2 * H)
        assert differences.any(axis=1).all()
        for found, expected in zip(gradient, differences, strict=True):
            assert worst(found, expected) < 1e-7

    def test_float32_agrees_with_float64(self, head):
        single = head.loss(*make_case(head, 50, dtype="float32"))
        double = head.loss(*make_case(head, 50))
        for found, expected in zip(single, double, strict=True):
            assert worst(found, expected) < 1e-5

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_an_actions_value_does_not_depend_on_the_batch_by_a_bit(self, head, dtype):
        outputs = make_case(head, 120, dtype=dtype).predicted.reshape(40, 3, head.n_outputs)
        values = head.values(outputs)
        alone = [head.values(outputs[i : i + 1]) for i in range(40)]
        assert np.concatenate(alone).tobytes() == values.tobytes()
        single = np.array([[head.values(action) for action in row] for row in outputs])
        assert single.astype(dtype).tobytes() == values.tobytes()

    def test_no_row_depends_on_another(self, head):
        case, other = make_case(head, 70), make_case(head, 70, seed=1)
        results = head.loss(*case)
        mixed = other.copy()
        for ours, theirs in zip(mixed, case, strict=True):
            ours[::2] = theirs[::2]
        for found, expected in zip(head.loss(*mixed), results, strict=True):
            assert found[::2].tobytes() == expected[::2].tobytes()
            assert found.tobytes() != expected.tobytes()
        for i in (0, 1, 69):
            alone = head.loss(*(array[i : i + 1] for array in case))
            for found, expected in zip(alone, results, strict=True):
                np.testing.assert_allclose(found[0], expected[i], rtol=1e-12, atol=1e-13)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("place", Case._fields)
    def test_nan_is_not_hidden_and_stays_in_its_row(self, head, place, dtype):
        for row in (1, 2):  # 2 is a termination
            case = make_case(head, dtype=dtype)
            before = head.loss(*case)
            getattr(case, place).reshape(ROWS, -1)[row, -1] = np.nan
            losses, gradient, priorities = head.loss(*case)
            assert np.isnan(losses[row])
            assert np.isnan(gradient[row]).any()
            others = np.arange(ROWS) != row
            for found, expected in zip((losses, gradient, priorities), before, strict=True):
                assert found[others].tobytes() == expected[others].tobytes()

    def test_values_do_not_hide_nan(self, head):
        for k in range(head.n_outputs):
            outputs = make_case(head).predicted.reshape(3, 2, head.n_outputs)
            outputs[1, 0, k] = np.nan
            assert np.argwhere(np.isnan(head.values(outputs))).tolist() == [[1, 0]]

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_behind_a_termination_there_is_nothing(self, head, dtype):
        case = make_case(head, dtype=dtype)
        before = head.loss(*case)
        ended = case.discount_t == 0
        for future in (0.0, 1.0, -1e30, 3e38):
            case.bootstrap[ended] = future
            assert bits(head.loss(*case)) == bits(before)
        case.bootstrap[ended, 0] = -3e38
        assert bits(head.loss(*case)) == bits(before)

    def test_without_a_termination_the_future_counts(self, head):
        case = make_case(head)
        before = head.loss(*case)[0]
        case.bootstrap[...] += np.linspace(0.5, 1.0, head.n_outputs)
        after = head.loss(*case)[0]
        assert (after != before).tolist() == (case.discount_t > 0).tolist()

    def test_large_numbers_do_not_overflow_float32(self, head, largest):
        for place in ("predicted", "bootstrap", "r_t"):
            for sign in (1.0, -1.0):
                case = make_case(head, dtype="float32")
                getattr(case, place).reshape(ROWS, -1)[:, 0] = sign * largest
                for result in head.loss(*case):
                    assert np.isfinite(result).all(), (place, sign)

    def test_priorities_are_not_negative(self, head):
        for dtype in ("float32", "float64"):
            case = make_case(head, 500, dtype=dtype)
            same = case._replace(predicted=case.bootstrap, r_t=case.r_t * 0, discount_t=case.r_t**0)
            for each in (case, same):
                priorities = head.loss(*each)[2]
                assert np.isfinite(priorities).all()
                assert (priorities >= 0).all()

    def test_arguments_are_left_alone_and_results_are_kept(self, head):
        case, other = make_case(head), make_case(head, seed=1)
        before = bits(case)
        results = head.loss(*case)
        kept = bits(results)
        assert bits(head.loss(*other)) != kept
        assert bits(results) == kept  # the second call did not write into them
        assert bits(head.loss(*case)) == kept
        head.values(case.predicted)
        assert bits(case) == before
        for i, result in enumerate(results):  # the caller may scale one in place
            result[...] = 99.0
            assert bits(results)[i + 1 :] == kept[i + 1 :]
        assert bits(case) == before

    def test_any_memory_layout_will_do(self, head):
        case = make_case(head)
        expected = head.loss(*case)
        strided = Case(*(np.repeat(array, 2, axis=-1)[..., ::2] for array in case))
        read_only = Case(*(np.asfortranarray(array) for array in case))
        for array in read_only:
            array.flags.writeable = False
        for each in (strided, read_only):
            for found, truth in zip(head.loss(*each), expected, strict=True):
                np.testing.assert_allclose(found, truth, rtol=1e-12, atol=1e-13)

    def test_what_is_learned_is_the_reward(self, head):
        rewards = np.array([-0.7, 0.0, 0.4])
        outputs = make_case(head, 3).predicted
        for _ in range(3_000):
            outputs -= 0.4 * head.loss(outputs, outputs, rewards, np.zeros(3))[1]
        np.testing.assert_allclose(head.values(outputs), rewards, atol=0.02)
