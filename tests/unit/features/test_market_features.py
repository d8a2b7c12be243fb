"""Features of the market keep their contract, and have the values of hand-worked cases."""

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline import audit, feature
from reinforcestrategycreator_pipeline.errors import ConfigError, FeatureError
from reinforcestrategycreator_pipeline.features.base import FEATURES, FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.joining import joined
from reinforcestrategycreator_pipeline.features.market_audit import audit_market
from reinforcestrategycreator_pipeline.features.market_features import FromMarket, is_of_market
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars
from reinforcestrategycreator_pipeline.testing.market_feature_contract import (
    MarketFeatureContract,
    make_market,
)

SPECS = [
    FeatureSpec("calendar", {"parts": ("time_of_day", "day_of_week", "day_of_month", "month")}),
    FeatureSpec("calendar", {"parts": (), "zone": "Asia/Tokyo", "session": ("09:00", "15:30")}),
    FeatureSpec("universe_rank", {"of": {"name": "returns", "horizons": [1, 5]}}),
    FeatureSpec("universe_residual", {"of": {"name": "realized_volatility", "periods": [7]}}),
    FeatureSpec("universe_beta", {"period": 12}),
    FeatureSpec("benchmark", {"symbol": "A", "horizons": (1, 6), "period": 9}),
]


class TestShippedMarketFeatures(MarketFeatureContract):
    @pytest.fixture(params=SPECS, ids=lambda spec: "-".join(map(str, [spec.name, *spec.params])))
    def spec(self, request):
        return request.param


def test_every_feature_of_the_market_is_in_the_suite():
    made = {spec.name for spec in SPECS}
    shipped = [n for n in FEATURES if "_pipeline." in FEATURES.get(n).__module__]
    assert {n for n in shipped if is_of_market(FEATURES.get(n))} == made


def closes(**symbols):
    """Return a market of daily closes; None where a symbol has no bar."""
    market = {}
    for symbol, prices in symbols.items():
        frame = make_bars(len(prices))
        for name in ("open", "high", "low", "close"):
            frame[name] = np.array(prices, dtype=float)
        market[symbol] = frame.dropna()
    return market


def of(market, name, **params):
    spec = FeatureSpec(name, params)
    columns = list(build_feature(spec).columns)
    return {symbol: frame[columns] for symbol, frame in joined(market, [spec]).items()}


RETURNS_1 = {"name": "returns", "horizons": [1]}


def test_ranks_by_hand():
    market = closes(A=[1, 2, 2, 4], B=[1, 3, 3, 3], C=[1, 2, 1, 1], D=[1, 2, None, 2])
    got = of(market, "universe_rank", of=RETURNS_1)
    # Day 1: ln 2 thrice, ln 3: ranks 1 to 3 shared, (2 * 0 + 3) / 4 - 1; 3 below, (6 + 1) / 4 - 1.
    # Day 2, D closed: 0, 0, -ln 2. Day 3: ln 2, 0, 0, and D's 0 since day 1.
    assert got["A"].iloc[:, 0].tolist() == [0.0, -0.25, pytest.approx(1 / 3), 0.75]
    assert got["B"].iloc[:, 0].tolist() == [0.0, 0.75, pytest.approx(1 / 3), -0.25]
    assert got["C"].iloc[:, 0].tolist() == [0.0, -0.25, pytest.approx(-2 / 3), -0.25]
    assert got["D"].iloc[:, 0].tolist() == [0.0, -0.25, -0.25]


def test_residual_is_the_distance_to_the_mean_of_those_that_trade():
    market = make_market(120)
    got = of(market, "universe_residual", of=RETURNS_1)
    frames = {s: np.log(f["close"]).diff() for s, f in market.items()}
    table = pd.DataFrame(frames)
    expected = table.sub(table.mean(axis=1), axis=0)
    for symbol, frame in got.items():
        want = expected.loc[frame.index, symbol].to_numpy()[1:]
        np.testing.assert_allclose(frame.to_numpy()[1:, 0], want, atol=1e-15)


def test_beta_equals_least_squares_on_the_mean_of_the_universe():
    market = make_market(120)
    table = pd.DataFrame({s: np.log(f["close"]).diff() for s, f in market.items()})
    mean = table.mean(axis=1)
    got = of(market, "universe_beta", period=20)["D"]
    for row in (20, 60):
        window = market["D"].index[row - 19 : row + 1]
        slope, intercept = np.polyfit(mean[window], table.loc[window, "D"], 1)
        assert got.iloc[row, 0] == pytest.approx(slope, rel=1e-9)
        assert got.iloc[row, 1] == pytest.approx(20 * intercept, rel=1e-9)


def test_benchmark_by_hand_and_by_pandas():
    market = closes(SPY=[8, 4, None, 8, 4], X=[1, 2, 4, 4, 2])
    got = of(market, "benchmark", symbol="SPY", horizons=(1, 2), period=3)["X"]
    assert got.columns.tolist()[0] == "relative_return_1_SPY"
    # SPY has not moved on day 2. Moves of X in ln 2: 1, 1, 0, -1; of SPY: -1, 0, 1, -1.
    np.testing.assert_allclose(got.iloc[3:, 0], [-np.log(2), 0.0], atol=1e-15)
    np.testing.assert_allclose(got.iloc[3:, 1], [0.0, -np.log(2)], atol=1e-15)
    np.testing.assert_allclose(got.iloc[3, 2], np.polyfit([-1, 0, 1], [1, 1, 0], 1)[0])
    np.testing.assert_allclose(got.iloc[4, 3], np.corrcoef([0, 1, -1], [1, 0, -1])[0, 1])
    itself = of(market, "benchmark", symbol="SPY", horizons=(1,), period=3)["SPY"]
    np.testing.assert_allclose(itself.iloc[3:], [[0.0, 1.0, 1.0]], atol=1e-12)


def test_benchmark_that_begins_late_is_named():
    market = closes(SPY=[None] * 6 + [1, 2, 3, 4], X=list(range(1, 11)))
    with pytest.raises(FeatureError, match="Does the benchmark SPY begin later"):
        of(market, "benchmark", symbol="SPY", horizons=(1,), period=3)
    with pytest.raises(ConfigError, match="no symbol 'SPX'"):
        of(market, "benchmark", symbol="SPX")


def test_calendar_by_hand():
    # A close at midnight in New York ends Sunday the 31st; the next is in daylight saving time.
    index = pd.DatetimeIndex(
        ["2024-04-01 04:00", "2024-07-03 16:45"], tz="UTC", name="timestamp"
    ).as_unit("ns")
    frame = make_bars(2).set_axis(index)
    got = of({"A": frame}, "calendar", parts=SPECS[0].params["parts"], zone="America/New_York")["A"]
    turns = [[0.0, 6 / 7, 30 / 31, 2 / 12], [12.75 / 24, 2 / 7, 2 / 31, 6 / 12]]
    angles = 2 * np.pi * np.array(turns)
    np.testing.assert_allclose(got.to_numpy()[:, 0::2], np.sin(angles), atol=1e-12)
    np.testing.assert_allclose(got.to_numpy()[:, 1::2], np.cos(angles), atol=1e-12)


@pytest.mark.parametrize(
    ("session", "elapsed"),
    [
        (["09:30", "16:00"], [0.0, 0.5, 1.0, 1.0, 1.0]),
        (["16:00", "09:30"], [1.0, 1.0, 0.0, 4 / 17.5, 14 / 17.5]),
    ],
)
def test_session_by_hand(session, elapsed):
    clocks = ["09:30", "12:45", "16:00", "20:00", "06:00"]
    stamps = [pd.Timestamp(f"2024-01-0{i + 2} {c}", tz="UTC") for i, c in enumerate(clocks)]
    frame = make_bars(5).set_axis(pd.DatetimeIndex(stamps, name="timestamp").as_unit("ns"))
    got = of({"A": frame}, "calendar", parts=[], session=session)["A"]
    np.testing.assert_allclose(got["session_elapsed"], elapsed, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("calendar", {"zone": "New York"}, "must be an IANA time zone, such as America/New_York"),
        ("calendar", {"parts": []}, "must be at least one, or a session"),
        ("calendar", {"session": ["9:30", "16:00"]}, "two different times of day"),
        ("calendar", {"parts": ["weekday"]}, "parts"),
        (
            "universe_rank",
            {"of": {"name": "user_features:momentum"}},
            "must be a feature of this package",
        ),
        ("universe_rank", {"of": {"name": "calendar"}}, "of the bars of one symbol"),
        ("universe_rank", {"of": {"name": "rssi"}}, "Did you mean 'rsi'"),
        ("benchmark", {}, "needs the parameter 'symbol'"),
    ],
)
def test_refusals(name, params, message):
    with pytest.raises(ConfigError) as caught:
        build_feature(FeatureSpec(name, params))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_column_of_the_data_is_not_replaced():
    frame = make_bars(90).assign(month_sin=0.5)
    with pytest.raises(ConfigError, match="A: the bars have a column 'month_sin' already"):
        joined({"A": frame}, [FeatureSpec("calendar")])


@feature
class Peek(FromMarket):
    """Planted: the mean of tomorrow's returns of all symbols."""

    lookback = 1
    columns = ("peek",)

    def of_market(self, market):
        table = pd.DataFrame({s: np.log(f["close"]).diff() for s, f in market.items()})
        ahead = table.mean(axis=1).shift(-1).fillna(0.0)
        return {s: ahead.loc[f.index].to_numpy()[:, None] for s, f in market.items()}


@feature
class PriceOf(FromMarket):
    """Planted: the mean price of all symbols."""

    lookback = 0
    columns = ("price",)

    def of_market(self, market):
        table = pd.DataFrame({s: f["close"] for s, f in market.items()})
        return {s: table.mean(axis=1).loc[f.index].to_numpy()[:, None] for s, f in market.items()}


@pytest.mark.parametrize(
    ("planted", "checks"), [("Peek", {"truncation", "perturbation"}), ("PriceOf", {"level"})]
)
def test_audit_finds_what_is_planted(planted, checks):
    found = audit_market(make_market(100), [FeatureSpec(f"{__name__}:{planted}")], cuts=6, seed=0)
    assert {finding.check for finding in found} == checks


def test_rsc_audit_covers_the_market():
    planted = FeatureSpec(f"{__name__}:Peek").to_mapping()
    found = audit(features=["universe_residual", planted], bars=make_market(120), cuts=6, workers=1)
    assert {(p.subject, p.check, p.tried) for p in found.proofs} >= {
        ("feature universe_residual", "truncation", 6),
        ("feature universe_residual", "perturbation", 6),
    }
    assert {fault.subject for fault in found.faults} == {f"feature {planted['name']}"}
