"""The description of a policy's features."""

import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.features.inputs import Inputs


def test_a_column_by_its_name():
    inputs = Inputs(("rsi_14", "macd_line", "macd_histogram"))
    assert inputs.column("macd_line") == 1
    with pytest.raises(ConfigError, match=r"no feature column 'rsi_4'\. Did you mean 'rsi_14'\?"):
        inputs.column("rsi_4")
