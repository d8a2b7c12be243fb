"""The space of a search against the configuration that it varies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.experiments.search import Listed, Range
from reinforcestrategycreator_pipeline.market.windows import SplitConfig
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain

VARIED = ("features", "trading", "strategy")
_REASONS = {
    "seed": "a seed that is chosen for its result is luck",
    "data": "all trials read the same bars",
    "split": "it says which bars no trial may see",
    "search": "it is the search itself",
    "evaluation": "no trial depends on it",
    "deployment": "no trial depends on it",
    "imports": "no trial depends on it",
    "reproducibility": "no trial depends on it",
}


def trial_config(config: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole configuration of a trial, as plain values.

    Parameters
    ----------
    config : mapping
        Whole configuration of the search, as plain values.
    parameters : mapping of str to value
        What the trial varies: dotted key to value.

    Raises
    ------
    ConfigError
        If the parameters do not go together; the message names the key.
    """
    # The name of a component comes before its parameters: it brings the defaults of all others.
    keys = sorted(parameters, key=lambda k: ["" if p == "name" else p for p in k.split(".")])
    values = {key: parameters[key] for key in keys}
    given = {**config, "search": None}
    return to_plain(load_config(RunConfig, None, values, given=given, label="search.space"))  # type: ignore[no-any-return]


def check_space(config: RunConfig) -> None:
    """Require that every key of the space exists, and that it takes all its choices or both ends.

    Each is set with the first value of all other keys, or with their last: some keys limit others.

    Raises
    ------
    ConfigError
        If a key or value is wrong; the message names it, and the nearest valid name.
    """
    if config.search is None:
        return
    space = config.search.space
    for key in space:
        if (section := key.partition(".")[0]) in _REASONS:
            raise ConfigError(
                f"search.space: {key!r} cannot be searched over: {_REASONS[section]}. A search "
                f"varies keys of {', '.join(VARIED)}."
            )
    plain = to_plain(config)
    others = [{key: _ends(given)[end] for key, given in space.items()} for end in (0, -1)]
    for key, given in space.items():
        for value in _ends(given):
            _require_one(plain, [{**rest, key: value} for rest in others])


def _require_one(plain: Mapping[str, Any], candidates: list[dict[str, Any]]) -> None:
    """Require that one of some sets of parameters loads; else the first one says why not."""
    errors = []
    for parameters in candidates:
        try:
            trial_config(plain, parameters)
        except ConfigError as error:
            errors.append(error)
        else:
            return
    raise errors[0]


def _ends(given: Range | Listed) -> tuple[Any, ...]:
    return given.ends if isinstance(given, Range) else given


def inner_split(config: RunConfig) -> RunConfig:
    """Return the configuration with the split that divides a trial's bars into inner windows."""
    assert config.search is not None
    split = SplitConfig(
        windows=config.search.folds,
        anchored=config.split.anchored,
        validation=config.split.validation,
        embargo_bars=config.split.embargo_bars,
    )
    return replace(config, split=split, search=None)
