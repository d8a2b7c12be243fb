from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.market.windows import (
    SplitConfig,
    bars_needed,
    chronological_split,
)


def days(n, start="2024-01-01"):
    return pd.date_range(start, periods=n, tz="UTC", name="timestamp")


def positions(stamps, splits):
    return [
        (int(np.flatnonzero(s.mask(stamps))[0]), int(np.flatnonzero(s.mask(stamps))[-1]))
        for s in (splits.train, splits.validation, splits.test)
    ]


def test_fractions_by_hand():
    # 100 bars: test = last 20 (80..99), embargo 75..79, validation 55..74, embargo 50..54.
    stamps = days(100)
    assert positions(stamps, chronological_split(stamps, SplitConfig())) == [
        (0, 49), (55, 74), (80, 99),
    ]  # fmt: skip


def test_dates_by_hand():
    # Bars close at 00:00, so the bar stamped 2024-02-01 is January's and not in the span.
    stamps = days(100)
    config = SplitConfig(embargo_bars=2, validation_start="2024-02-01", test_start="2024-03-01")
    splits = chronological_split(stamps, config)
    assert str(splits.train.end) == "2024-01-30 00:00:00+00:00"
    assert str(splits.validation.start) == "2024-02-02 00:00:00+00:00"
    assert str(splits.validation.end) == "2024-02-28 00:00:00+00:00"
    assert str(splits.test.start) == "2024-03-02 00:00:00+00:00"
    assert splits.test.end == stamps[-1]


@pytest.mark.parametrize("embargo", [0, 1, 7])
@pytest.mark.parametrize("n", [60, 61, 997])
def test_spans_are_disjoint_ordered_and_embargoed(n, embargo):
    stamps = days(n)
    spans = positions(stamps, chronological_split(stamps, SplitConfig(embargo_bars=embargo)))
    for (_, end), (start, _) in pairwise(spans):
        assert start - end - 1 == embargo
    assert spans[0][0] == 0
    assert spans[2][1] == n - 1


def test_appending_bars_does_not_move_spans_set_by_dates():
    config = SplitConfig(validation_start="2024-02-01", test_start="2024-03-01")
    short, long = (chronological_split(days(n), config) for n in (90, 400))
    assert (short.train, short.validation) == (long.train, long.validation)


def test_too_short_says_how_many_bars_are_needed():
    needed = bars_needed(SplitConfig())
    chronological_split(days(needed), SplitConfig())
    with pytest.raises(DataError, match=f"{needed - 1} bars .* At least {needed} bars are needed"):
        chronological_split(days(needed - 1), SplitConfig())


def test_dates_outside_the_data_say_what_the_data_are():
    with pytest.raises(DataError, match=r"test 0; .* run from 2024-01-01 to 2024-04-09"):
        chronological_split(days(100), SplitConfig(test_start="2030-01-01"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"validation": 0.0},
            r"validation parameter of SplitConfig must be a number in \[0\.0001, 1\)\.",
        ),
        ({"test": 1.0}, "The test parameter"),
        ({"validation": 0.6, "test": 0.5}, "below 1 together with test"),
        ({"embargo_bars": -1}, r"an integer in \[0, 1e7\]. Got -1"),
        ({"embargo_bars": True}, r"an integer in \[0, 1e7\]"),
        ({"test_start": "01/02/2024"}, "test_start parameter of SplitConfig must be an ISO 8601"),
        (
            {"validation_start": "2024-03-01", "test_start": "2024-02-01"},
            "validation_start parameter of SplitConfig must be before test_start",
        ),
    ],
)
def test_config_refusals(values, message):
    with pytest.raises(ConfigError, match=message):
        SplitConfig(**values)


def test_unsorted_stamps_are_refused():
    with pytest.raises(DataError, match="strictly increasing"):
        chronological_split(days(50)[::-1], SplitConfig())
