import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.market.sources import processes
from reinforcestrategycreator_pipeline.market.sources.synthetic import SyntheticSource

N = 200_000
KINDS = (
    "random_walk",
    "ornstein_uhlenbeck",
    "regime",
    "ar1_signal",
    "product_signal",
    "gated_momentum",
    "sinusoids",
)


def rng(seed=11):
    return np.random.default_rng(seed)


def frame(seed=5, **parameters):
    source = SyntheticSource(**parameters)
    return source.load(rng(seed)).bars[source.symbols[0]]


def autocorrelation(x, lag=1):
    x = x - x.mean()
    return float(x[lag:] @ x[:-lag] / (x @ x))


def next_returns(f):
    return np.diff(np.log(f["close"].to_numpy()))


def test_random_walk_has_no_drift_and_no_memory():
    r = processes.random_walk(rng(), N, volatility=0.02).log_returns
    assert abs(r.mean()) < 4 * 0.02 / np.sqrt(N)
    assert r.std() == pytest.approx(0.02, rel=4 / np.sqrt(2 * N))
    assert all(abs(autocorrelation(r, k)) < 4 / np.sqrt(N) for k in (1, 2, 5))


def test_ornstein_uhlenbeck_is_stationary_and_halves_in_its_half_life():
    p = processes.ornstein_uhlenbeck(rng(), N, volatility=0.01, half_life=5.0)
    x = p.start + np.cumsum(p.log_returns)
    a = 2 ** (-1 / 5)
    # Sampling error of a variance and an autocorrelation with memory: effective N (1-a2)/(1+a2).
    effective = N * (1 - a**2) / (1 + a**2)
    assert x.var() == pytest.approx(0.01**2 / (1 - a**2), rel=4 * np.sqrt(2 / effective))
    assert autocorrelation(x, 5) == pytest.approx(0.5, abs=0.02)
    assert autocorrelation(x, 10) == pytest.approx(0.25, abs=0.02)
    slope = np.polyfit(x[:-1], p.log_returns[1:], 1)[0]
    assert slope == pytest.approx(a - 1, abs=0.01)
    starts = [
        processes.ornstein_uhlenbeck(rng(s), 2, volatility=0.01, half_life=5.0).start
        for s in range(4000)
    ]
    assert np.std(starts) == pytest.approx(0.01 / np.sqrt(1 - a**2), rel=0.05)


def test_regime_drifts_as_its_signal_says():
    p = processes.regime(
        rng(), N, volatility=0.001, drift_bps=20, persistence=0.9, signal_noise=0.0
    )
    state, following = p.visible["signal"][:-1], p.log_returns[1:]
    assert set(np.unique(state)) == {-1.0, 1.0}
    for side in (-1, 1):
        assert following[state == side].mean() == pytest.approx(side * 20e-4, abs=2e-5)
    assert (state[1:] == state[:-1]).mean() == pytest.approx(0.9, abs=0.004)
    assert autocorrelation(state) == pytest.approx(2 * 0.9 - 1, abs=0.01)
    noisy = processes.regime(
        rng(), N, volatility=0.001, drift_bps=20, persistence=0.9, signal_noise=0.5
    )
    assert noisy.visible["signal"].var() == pytest.approx(1 + 0.25, rel=0.01)


def test_ar1_signal_has_unit_variance_and_leads_the_return_by_one_bar():
    p = processes.ar1_signal(rng(), N, volatility=0.01, phi=0.95, edge_bps=30)
    s, r = p.visible["signal"], p.log_returns
    effective = N * (1 - 0.95**2) / (1 + 0.95**2)
    assert s.var() == pytest.approx(1, abs=4 * np.sqrt(2 / effective))
    assert autocorrelation(s) == pytest.approx(0.95, abs=4 * np.sqrt((1 - 0.95**2) / N))
    slope, _ = np.polyfit(s[:-1], r[1:], 1)
    assert slope == pytest.approx(30e-4, abs=4 * 0.01 / np.sqrt(N))
    rest = r[1:] - 30e-4 * s[:-1]
    assert rest.std() == pytest.approx(0.01, rel=0.01)
    # The new part of the signal is not in the return of its own bar, nor the return in it.
    news = s[1:] - 0.95 * s[:-1]
    assert abs(np.corrcoef(news, r[1:])[0, 1]) < 4 / np.sqrt(N)


def assert_unit_ar1(x, phi):
    effective = N * (1 - phi**2) / (1 + phi**2)
    assert x.var() == pytest.approx(1, abs=4 * np.sqrt(2 / effective))
    assert autocorrelation(x) == pytest.approx(phi, abs=4 * np.sqrt((1 - phi**2) / N))


def slopes(y, *x):
    return np.linalg.lstsq(np.column_stack([np.ones(len(y)), *x]), y, rcond=None)[0][1:]


def test_product_signal_follows_the_sign_of_the_product_and_no_linear_combination():
    p = processes.product_signal(rng(), N, volatility=0.01, phi=0.97, edge_bps=20)
    x1, x2 = p.visible["signal_1"], p.visible["signal_2"]
    for x in (x1, x2):
        assert_unit_ar1(x, 0.97)
    # Mean of independent products, each of variance 1, autocorrelation 0.97^2 per bar.
    assert abs((x1 * x2).mean()) < 4 * np.sqrt((1 + 0.97**2) / (1 - 0.97**2) / N)
    following = p.log_returns[1:]
    same = (x1 * x2)[:-1] > 0
    for side, chosen in ((1, same), (-1, ~same)):
        rest = following[chosen] - side * 20e-4
        assert abs(rest.mean()) < 4 * 0.01 / np.sqrt(chosen.sum())
        assert rest.std() == pytest.approx(0.01, rel=4 / np.sqrt(2 * chosen.sum()))
    # The edge adds to the error of a slope: 20 bps of |x1| sign(x2), of autocorrelation < 0.97^k.
    error = np.hypot(0.01, 20e-4 * np.sqrt((1 + 0.97) / (1 - 0.97))) / np.sqrt(N)
    assert np.abs(slopes(following, x1[:-1], x2[:-1])).max() < 4 * error
    # On the product itself: E[|x1 x2|] = 2 / pi.
    assert slopes(following, (x1 * x2)[:-1])[0] == pytest.approx(20e-4 * 2 / np.pi, abs=4 * error)
    # The return of the signals' own bar does not see their news.
    assert abs(np.corrcoef(x1[1:] - 0.97 * x1[:-1], following)[0, 1]) < 4 / np.sqrt(N)


def test_gated_momentum_turns_into_reversal_where_the_gate_is_negative():
    p = processes.gated_momentum(rng(), N, volatility=0.01, phi=0.95, edge_bps=30, gate_phi=0.98)
    assert_unit_ar1(p.visible["signal"], 0.95)
    assert_unit_ar1(p.visible["gate"], 0.98)
    s, gate, following = p.visible["signal"][:-1], p.visible["gate"][:-1], p.log_returns[1:]
    for side, chosen in ((1, gate > 0), (-1, gate <= 0)):
        slope = slopes(following[chosen], s[chosen])[0]
        assert slope == pytest.approx(side * 30e-4, abs=4 * 0.014 / np.sqrt(chosen.sum()))
    noise = following - 30e-4 * np.where(gate > 0, s, -s)
    standard = noise / np.exp(0.2 * gate)
    assert standard.std() == pytest.approx(0.01, rel=4 / np.sqrt(2 * N))
    # E[exp(0.4 gate)] = exp(0.08), and its sampling error relative to it, with memory 0.98.
    error = np.sqrt(np.expm1(0.16) * (1 + 0.98) / (1 - 0.98) / N)
    assert noise.var() == pytest.approx(0.01**2 * np.exp(0.08), rel=4 * error)
    # No linear edge: 30 bps of signal^2 sign(gate), E[signal^4] = 3, autocorrelation < 0.98^k.
    error = np.hypot(0.0104, 30e-4 * np.sqrt(3 * (1 + 0.98) / (1 - 0.98))) / np.sqrt(N)
    assert np.abs(slopes(following, s, gate)).max() < 4 * error


def test_irrelevant_columns_are_unrelated_to_prices_and_leave_them_alone():
    noise = processes.irrelevant(rng(), N, 2)
    for x in noise.values():
        assert_unit_ar1(x, 0.95)
    error = np.sqrt((1 + 0.95**2) / (1 - 0.95**2) / N)
    assert abs((noise["noise_1"] * noise["noise_2"]).mean()) < 4 * error
    given = {"kind": "ar1_signal", "n_bars": 5000, "symbols": ("A", "B")}
    plain, more = (SyntheticSource(**given, irrelevant=k).load(rng()) for k in (0, 3))
    for symbol in ("A", "B"):
        f = more.bars[symbol]
        pd.testing.assert_frame_equal(f.iloc[:, :6], plain.bars[symbol])
        assert list(f.columns[6:]) == ["noise_1", "noise_2", "noise_3"]
        # Returns are nearly white, so the columns' memory adds nothing to the error.
        for name in ("noise_1", "noise_2", "noise_3"):
            r = np.corrcoef(f[name].iloc[:-1], next_returns(f) - 30e-4 * f["signal"].iloc[:-1])
            assert abs(r[0, 1]) < 4 / np.sqrt(5000)
    assert not np.allclose(more.bars["A"]["noise_1"], more.bars["B"]["noise_1"])


def test_sinusoids_are_determined_by_the_columns_of_the_bar_before():
    f = frame(kind="sinusoids", n_bars=3000)
    predicted = 60e-4 * f["sin1"] + 40e-4 * f["sin2"]
    np.testing.assert_allclose(next_returns(f), predicted.iloc[:-1], atol=1e-14)
    # Planted: the columns of the same bar do not give its return.
    assert np.abs(next_returns(f) - predicted.iloc[1:]).max() > 1e-3
    for k, period in (("1", 17.3), ("2", 41.7)):
        sine, cosine = f[f"sin{k}"].to_numpy(), f[f"cos{k}"].to_numpy()
        np.testing.assert_allclose(sine**2 + cosine**2, 1, atol=1e-12)
        turn = np.diff(np.unwrap(np.arctan2(sine, cosine)))
        np.testing.assert_allclose(turn, 2 * np.pi / period, atol=1e-9)


def test_sinusoids_take_their_phases_from_the_generator():
    first = [
        processes.sinusoids(
            rng(s), 2, volatility=0.0, amplitudes_bps=(60.0, 40.0), periods=(17.3, 41.7)
        ).visible["sin1"][0]
        for s in range(500)
    ]
    assert np.mean(first) == pytest.approx(0, abs=0.13)
    assert np.std(first) == pytest.approx(np.sqrt(0.5), abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_bars_are_consistent(kind):
    f = frame(kind=kind, n_bars=400, bar_seconds=3600)
    assert (f["open"].iloc[1:].to_numpy() == f["close"].iloc[:-1].to_numpy()).all()
    assert (f["high"] >= f[["open", "close"]].max(axis=1)).all()
    assert (f["low"] <= f[["open", "close"]].min(axis=1)).all()
    assert (f["volume"] > 0).all()
    assert f.index[0] == pd.Timestamp("2000-01-01 01:00", tz="UTC")
    assert (np.diff(f.index.asi8) == 3600 * 10**9).all()


def test_symbols_are_independent():
    data = SyntheticSource(n_bars=20_000, symbols=("A", "B")).load(rng())
    a, b = (next_returns(f) for f in data.bars.values())
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(20_000)


@pytest.mark.parametrize(
    ("seconds", "start", "end", "first", "last"),
    [
        (86400, "2000-02-01", "2000-02-03", "2000-02-02", "2000-02-04"),  # days close at midnight
        (86400, "2000-02-01", None, "2000-02-02", "2000-04-10"),
        (86400, None, "2000-01-02", "2000-01-02", "2000-01-03"),
        (86400, "1999-01-01", "2100-01-01", "2000-01-02", "2000-04-10"),
        (3600, "2000-01-02 05:30", "2000-01-02 09:10", "2000-01-02 07:00", "2000-01-02 09:00"),
    ],
)
def test_start_and_end_leave_bars_out_and_change_none(seconds, start, end, first, last):
    whole = frame(n_bars=100, bar_seconds=seconds, kind="regime")
    part = frame(n_bars=100, bar_seconds=seconds, kind="regime", start=start, end=end)
    stamps = (pd.Timestamp(text, tz="UTC") for text in (first, last))
    pd.testing.assert_frame_equal(part, whole.loc[slice(*stamps)])
    assert [*part.index[[0, -1]]] == [pd.Timestamp(text, tz="UTC") for text in (first, last)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"start": "2012-13-01"}, "start parameter of SyntheticSource must be an ISO 8601"),
        ({"n_bars": 9, "start": "2000-01-09"}, "between start 2000-01-09 and end None: it has 9 b"),
        ({"end": "1999-12-31"}, "Fewer than two bars"),
        ({"kind": "random_wlk"}, r"must be 'random_walk'.* Did you mean 'random_walk'"),
        (
            {"n_bars": 1},
            r"n_bars parameter of SyntheticSource must be an integer in \[2, 1e7\]",
        ),
        ({"n_bars": 100_000}, r"so few that they end before 2200 \(73049 days"),
        ({"bar_seconds": 0}, "bar_seconds parameter"),
        ({"symbols": ()}, "symbols parameter of SyntheticSource must be a non-empty list"),
        ({"symbols": ("A", "A")}, "without duplicates"),
        ({"volatility": 0.0}, "volatility parameter"),
        ({"volatility": float("nan")}, "volatility parameter"),
        (
            {"phi": 0.5},
            "phi parameter of SyntheticSource belongs to the kind ar1_signal",
        ),
        ({"kind": "ar1_signal", "phi": 1.0}, "phi parameter"),
        (
            {"kind": "product_signal", "gate_phi": 0.9},
            "gate_phi parameter of SyntheticSource belongs to the kind gated_momentum, but",
        ),
        ({"kind": "gated_momentum", "gate_phi": 1.0}, "gate_phi parameter"),
        ({"kind": "random_walk", "irrelevant": 1}, "must be 0 for the kind random_walk"),
        ({"kind": "regime", "irrelevant": 1001}, r"irrelevant parameter.*\[0, 1000\]"),
        ({"kind": "regime", "persistence": 1.0}, "persistence parameter"),
        ({"kind": "ornstein_uhlenbeck", "half_life": 0}, "half_life parameter"),
        ({"kind": "sinusoids", "periods": (17.3,)}, "a list of 2 items"),
        ({"kind": "sinusoids", "periods": (17.3, 0)}, r"periods\[1\]"),
    ],
)
def test_config_refusals(values, message):
    with pytest.raises(ConfigError, match=message):
        SyntheticSource(**values)
