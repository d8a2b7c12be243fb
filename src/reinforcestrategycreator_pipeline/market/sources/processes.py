"""Price processes of synthetic markets: pure functions from a generator to log returns.

Timing: ``log_returns[t]`` is the return of bar t, from close t-1 to close t. A column in
``visible`` is known at the close of bar t, and its effect is in the return of bar t+1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64

_BPS = 1e-4
GATED_LOG_VOLATILITY = 0.2  # change of the log volatility for a gate of one standard deviation


@dataclass(frozen=True)
class Realization:
    """One realization of a price process.

    Attributes
    ----------
    log_returns : ndarray of float64, shape (n,)
        Log returns from close to close.
    visible : dict of str to ndarray of float64, shape (n,)
        Side data that are known at the close of each bar, by name.
    start : float
        Log price before bar 0, relative to the start price.
    """

    log_returns: F64
    visible: dict[str, F64]
    start: float = 0.0


def random_walk(rng: np.random.Generator, n: int, *, volatility: float) -> Realization:
    """Return independent normal log returns with mean zero: a market without an edge."""
    return Realization(volatility * rng.standard_normal(n), {})


def ornstein_uhlenbeck(
    rng: np.random.Generator, n: int, *, volatility: float, half_life: float
) -> Realization:
    """Return a log price that reverts to its mean.

    The exact discretization, started from the stationary distribution, is x(t+1) = a x(t) +
    volatility eps with a = 2^(-1 / half_life), half_life in bars. Its variance is volatility^2 /
    (1 - a^2), its autocorrelation at lag k is a^k, and the best forecast of the next return is
    (a - 1) x(t).
    """
    a = 2.0 ** (-1.0 / half_life)
    x = _first_order(rng, n + 1, a, volatility)
    return Realization(np.diff(x), {}, start=float(x[0]))


def regime(
    rng: np.random.Generator,
    n: int,
    *,
    volatility: float,
    drift_bps: float,
    persistence: float,
    signal_noise: float,
) -> Realization:
    """Return a drift of +-drift_bps per bar whose sign follows a two-state Markov chain.

    The chain keeps its state m in {-1, +1} with probability `persistence`. At the close of bar t,
    signal = m(t) + signal_noise * eps is visible, and bar t+1 drifts by m(t) * drift_bps.
    """
    first = 1.0 if rng.random() < 0.5 else -1.0
    switches = rng.random(n) >= persistence
    state = first * np.concatenate([[1.0], np.where(np.cumsum(switches) % 2, -1.0, 1.0)])
    noise = volatility * rng.standard_normal(n)
    signal = state[1:] + signal_noise * rng.standard_normal(n)
    return Realization(drift_bps * _BPS * state[:-1] + noise, {"signal": signal})


def ar1_signal(
    rng: np.random.Generator, n: int, *, volatility: float, phi: float, edge_bps: float
) -> Realization:
    """Return a market that follows a visible signal with a delay of one bar.

    s(t) = phi s(t-1) + sqrt(1 - phi^2) eps, of unit variance, and the log return of bar t+1 is
    edge_bps * 1e-4 * s(t) + volatility * eps.
    """
    s = _first_order(rng, n + 1, phi, np.sqrt(1 - phi**2))
    noise = volatility * rng.standard_normal(n)
    return Realization(edge_bps * _BPS * s[:-1] + noise, {"signal": s[1:]})


def product_signal(
    rng: np.random.Generator, n: int, *, volatility: float, phi: float, edge_bps: float
) -> Realization:
    """Return a market that follows the sign of the product of two visible signals.

    signal_1 and signal_2 are independent and like the signal of `ar1_signal`. The log return of bar
    t+1 is edge_bps * 1e-4 * sign(signal_1(t) signal_2(t)) + volatility * eps. Its mean given either
    signal alone is zero, and so is its covariance with every linear combination of both.
    """
    x1, x2 = (_first_order(rng, n + 1, phi, np.sqrt(1 - phi**2)) for _ in range(2))
    noise = volatility * rng.standard_normal(n)
    returns = edge_bps * _BPS * np.sign(x1 * x2)[:-1] + noise
    return Realization(returns, {"signal_1": x1[1:], "signal_2": x2[1:]})


def gated_momentum(
    rng: np.random.Generator,
    n: int,
    *,
    volatility: float,
    phi: float,
    edge_bps: float,
    gate_phi: float,
) -> Realization:
    """Return a market with momentum in one regime of volatility and reversal in the other.

    signal and gate are independent, of unit variance, and like the signal of `ar1_signal`, with
    autocorrelations phi and gate_phi. The mean of the log return of bar t+1 is edge_bps * 1e-4 *
    signal(t) where gate(t) > 0, and minus that elsewhere; its standard deviation is
    volatility * exp(0.2 gate(t)).
    """
    signal = _first_order(rng, n + 1, phi, np.sqrt(1 - phi**2))
    gate = _first_order(rng, n + 1, gate_phi, np.sqrt(1 - gate_phi**2))
    mean = edge_bps * _BPS * np.where(gate > 0, signal, -signal)
    scale = volatility * np.exp(GATED_LOG_VOLATILITY * gate)
    returns = mean[:-1] + scale[:-1] * rng.standard_normal(n)
    return Realization(returns, {"signal": signal[1:], "gate": gate[1:]})


def sinusoids(
    rng: np.random.Generator,
    n: int,
    *,
    volatility: float,
    amplitudes_bps: tuple[float, float],
    periods: tuple[float, float],
) -> Realization:
    """Return a market that is determined by its visible columns: two cycles of random phase.

    The log return of bar t+1 is sum_k amplitude_k sin(2 pi t / period_k + phase_k), plus
    volatility * eps; sin1, cos1, sin2, cos2 at bar t are the sines and cosines of those phases.
    """
    phases = rng.uniform(0, 2 * np.pi, size=2)
    t = np.arange(-1, n)
    returns = volatility * rng.standard_normal(n)
    visible = {}
    for k in (0, 1):
        angle = 2 * np.pi * t / periods[k] + phases[k]
        returns += amplitudes_bps[k] * _BPS * np.sin(angle[:-1])
        visible[f"sin{k + 1}"] = np.sin(angle[1:])
        visible[f"cos{k + 1}"] = np.cos(angle[1:])
    return Realization(returns, visible)


def irrelevant(rng: np.random.Generator, n: int, count: int) -> dict[str, F64]:
    """Return visible columns without a relation to prices: noise_1, noise_2, ...

    Each is like the signal of `ar1_signal`, independent of all others, with autocorrelation 0.95.
    """
    phi = 0.95
    x = _first_order(rng, (n, count), phi, np.sqrt(1 - phi**2))
    return {f"noise_{k + 1}": x[:, k] for k in range(count)}


def _first_order(
    rng: np.random.Generator, shape: int | tuple[int, int], a: float, sigma: float
) -> F64:
    """Return steps of x(t+1) = a x(t) + sigma eps, started from the stationary distribution.

    `shape` is the number of steps, or the number of steps and of independent columns.
    """
    eps = rng.standard_normal(shape)
    x = np.empty(shape)
    x[0] = sigma / np.sqrt(1 - a**2) * eps[0]
    for t in range(1, len(x)):
        x[t] = a * x[t - 1] + sigma * eps[t]
    return x
