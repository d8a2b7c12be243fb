"""The share of luck among the strategies that do as well in a test, under a stated prior."""

from __future__ import annotations

from statistics import NormalDist

_NORMAL = NormalDist()


def observed_false_discovery_rate(p: float, edge: float, prior: float) -> float:
    """Return the probability that there is no edge, given that a test came out as well or better.

    It is p0 (1 - prior) / (p0 (1 - prior) + p1 prior), with p0 and p1 the probabilities of such an
    outcome without and with an edge. p0 is the p-value; p1 = 1 - F(F^-1(1 - p) - edge), F the
    standard normal distribution (López de Prado, Lipton and Zoonekynd, "How to Use the Sharpe
    Ratio", 2025, who take the outcome for a Sharpe ratio). A p-value is not this probability: of
    1,000 strategies without an edge 50 have p <= 5%, however few have one.

    Parameters
    ----------
    p : float
        One-sided p-value of the test, in (0, 1).
    edge : float
        Mean of the test's normal statistic where there is an edge, in its standard deviations:
        for a Sharpe ratio per bar, the ratio times the square root of the number of bars.
    prior : float
        Share of all such strategies that have the edge, before the test, in [0, 1].

    Raises
    ------
    ValueError
        If `p` is not in (0, 1), or `prior` not in [0, 1].
    """
    if not 0.0 < p < 1.0:
        raise ValueError(f"p must be in (0, 1), not {p}")
    if not 0.0 <= prior <= 1.0:
        raise ValueError(f"the prior must be in [0, 1], not {prior}")
    lucky = p * (1.0 - prior)
    found = _NORMAL.cdf(edge + _NORMAL.inv_cdf(p)) * prior
    return lucky / (lucky + found) if lucky + found else 1.0
