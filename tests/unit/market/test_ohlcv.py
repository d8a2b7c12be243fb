import numpy as np
import pytest

from reinforcestrategycreator_pipeline.ohlcv import OHLCV, first_bad

GOOD = {name: np.array([1.0, 2.0]) for name in OHLCV}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, 0.0])
def test_a_price_is_finite_and_positive(value):
    bad = first_bad({**GOOD, "low": np.array([1.0, value])})
    assert (bad.column, bad.row) == ("low", 1)
    assert str(bad) == f"low must be finite and > 0. Got {value}"


def test_a_volume_may_be_zero_but_not_less():
    assert first_bad({**GOOD, "volume": np.zeros(2)}) is None
    bad = first_bad({**GOOD, "volume": np.array([-1.0, 2.0])})
    assert str(bad) == "volume must be finite and >= 0. Got -1.0"


def test_one_bar_of_plain_numbers_is_checked_too():
    assert first_bad(dict.fromkeys(OHLCV, 3)) is None
    assert str(first_bad({"open": 0})) == "open must be finite and > 0. Got 0.0"
