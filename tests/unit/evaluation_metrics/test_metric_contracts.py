"""Every shipped metric keeps the contract, and the contract finds metrics that do not."""

import pytest

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import METRICS, metric
from reinforcestrategycreator_pipeline.errors import RscError
from reinforcestrategycreator_pipeline.testing import MetricContract


@pytest.fixture(params=list(METRICS))
def shipped(request):
    return request.param


class TestShipped(MetricContract):
    @pytest.fixture
    def name(self, shipped):
        return shipped


@pytest.mark.parametrize(
    ("function", "broken", "arguments"),
    [
        (lambda p: p.returns.mean() * 1e300 * 1e300, "test_finite_number_or_a_reason", (0,)),
        (lambda p: p.returns[-1], "test_no_bars_have_a_reason_or_nothing_to_count", ()),
        (lambda p: p.equity[-1], "test_only_money_has_the_scale_of_money", ()),
        (lambda p: p.result.equity[-1], "test_nothing_behind_ruin_counts", ()),
        (lambda p: p.result.costs.sort() or 0.0, "test_input_is_left_alone_and_bits_repeat", ()),
    ],
)
def test_a_broken_metric_is_found(monkeypatch, function, broken, arguments):
    monkeypatch.setattr(METRICS, "_members", {})
    metric("odd", "Odd", unit="ratio", group="Risk", higher_is_better=None)(function)
    with pytest.raises((AssertionError, RscError)):
        getattr(MetricContract(), broken)(METRICS.get("odd"), *arguments)


def test_a_metric_without_a_definition_is_found(monkeypatch):
    monkeypatch.setattr(METRICS, "_members", {})
    metric("odd", "Odd", unit="ratio", group="Risk", higher_is_better=None)(lambda p: 1.0)
    with pytest.raises(AssertionError):
        MetricContract().test_defined_in_words(METRICS.get("odd"))
