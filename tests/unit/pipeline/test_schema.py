"""What an editor completes and marks: the configuration's JSON schema, held against the loader."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from snippets import ROOT, pages, snippets
from typer.testing import CliRunner

from reinforcestrategycreator_pipeline.backtesting.metrics.base import METRICS
from reinforcestrategycreator_pipeline.cli.app import app
from reinforcestrategycreator_pipeline.deployment.brokers.catalog import BROKERS
from reinforcestrategycreator_pipeline.envs.rewards import REWARDS
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.features.catalog import FEATURES
from reinforcestrategycreator_pipeline.market.sources.catalog import SOURCES
from reinforcestrategycreator_pipeline.models.base import MODELS
from reinforcestrategycreator_pipeline.nn.heads.catalog import HEADS
from reinforcestrategycreator_pipeline.nn.losses import LOSSES
from reinforcestrategycreator_pipeline.nn.schedules import SCHEDULES
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_schema
from reinforcestrategycreator_pipeline.pipeline.config.yaml_file import parse_yaml
from reinforcestrategycreator_pipeline.policies.catalog import STRATEGIES
from reinforcestrategycreator_pipeline.tracking.catalog import TRACKERS

SCHEMA = config_schema(RunConfig)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def part(*keys: str | int) -> dict[str, Any]:
    """Return a part of the schema, references followed."""
    found: Any = SCHEMA
    for key in keys:
        found = found[key]
        while "$ref" in found:
            found = SCHEMA["$defs"][found["$ref"].rpartition("/")[2]]
    return found


def names_in(schema: dict[str, Any]) -> set[str]:
    return {form["const"] for form in schema["anyOf"] if "const" in form}


def named_in(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the mappings by the name that they have."""
    found = {}
    for form in schema["anyOf"]:
        name = form.get("properties", {}).get("name", {}).get("const")
        if name:
            found[name] = form
    return found


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


HYPERPARAMETERS = part("$defs", "DQNHyperparameters", "properties")
FAMILIES = {
    "source": (SOURCES, part("properties", "data", "properties", "source")),
    "feature": (FEATURES, part("properties", "features", "properties", "columns", "items")),
    "reward": (REWARDS, part("properties", "trading", "properties", "reward")),
    "strategy": (STRATEGIES, part("properties", "strategy")),
    "benchmark": (
        STRATEGIES,
        part("properties", "evaluation", "properties", "benchmarks", "items"),
    ),
    "tracker": (TRACKERS, part("properties", "tracking", "items")),
    "broker": (BROKERS, part("properties", "deployment", "properties", "broker")),
    "loss": (LOSSES, HYPERPARAMETERS["loss"]),
    "head": (HEADS, HYPERPARAMETERS["head"]),
    "schedule": (SCHEDULES, HYPERPARAMETERS["learning_rate_schedule"]),
    "model": (MODELS, named_in(part("properties", "strategy"))["dqn"]["properties"]["model"]),
    "metric": (METRICS, part("$defs", "Thresholds", "properties", "minimum", "propertyNames")),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_registered_name_is_offered_with_a_line(family: str) -> None:
    registry, schema = FAMILIES[family]
    assert names_in(schema) | set(named_in(schema)) == set(registry)
    for form in schema["anyOf"]:
        if "const" in form:
            assert form["description"].strip()


def test_parameters_are_offered_with_type_range_default_and_a_line() -> None:
    columns = part("properties", "features", "properties", "columns", "items")
    assert named_in(columns)["rsi"]["properties"]["period"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 1_000_000,
        "default": 14,
        "description": "Period of Wilder's smoothing, in bars, >= 1.",
    }


def every_property(schema: Any) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(schema, list):
        return [found for item in schema for found in every_property(item)]
    if not isinstance(schema, dict):
        return []
    own = [(k, v) for k, v in schema.get("properties", {}).items() if "const" not in v]
    return own + [found for item in schema.values() for found in every_property(item)]


def test_nothing_is_without_a_type_or_a_line() -> None:
    found = every_property(SCHEMA)
    assert len(found) > 150
    for name, schema in found:
        if name == "name" and schema.get("pattern") == ":":
            continue
        if set(schema) == {"type", "description", "properties", "additionalProperties"}:
            continue  # the parameters of one source
        assert schema.get("description"), name
        assert {"type", "anyOf", "enum", "$ref"} & set(schema), name


GOOD: dict[str, Any] = {
    "nothing": {},
    "a name": {"features": {"columns": ["rsi", {"name": "rsi", "period": 7}]}},
    "own code": {"strategy": "mine:Signs", "data": {"source": "mine:Bars", "params": {"x": 1}}},
    "own code with parameters": {"features": {"columns": [{"name": "mine:gap", "days": 3}]}},
    "the default's parameters": {"strategy": {"training": {"steps": 10}}},
    "another's parameters": {"strategy": {"name": "linear", "alpha": 0.5}},
    "the default source's parameters": {"data": {"params": {"symbols": ["IBM"]}}},
    "another source's": {"data": {"source": "csv", "params": {"path": "a.csv", "delimiter": ";"}}},
    "components of the learner": {
        "strategy": {"name": "dqn", "hyperparameters": {"loss": "huber", "head": {"name": "qr"}}}
    },
    "a metric": {"deployment": {"thresholds": {"minimum": {"sortino": 1.0}}}},
    "a broker of one's own": {"deployment": {"broker": {"name": "mine:Desk", "url": "x"}}},
    "null": {"deployment": {"thresholds": {"min_sharpe": None}}},
}
# The last key is where an editor puts the mark.
BAD: dict[str, Any] = {
    "a misspelt parameter": {"features": {"columns": [{"name": "rsi", "perod": 14}]}},
    "a misspelt feature": {"features": {"columns": ["rsy"]}},
    "a feature's value out of range": {"features": {"columns": [{"name": "rsi", "period": 0}]}},
    "a list for a number": {"features": {"columns": [{"name": "atr", "period": []}]}},
    "a feature without a name": {"features": {"columns": [{"period": 14}]}},
    "no feature": {"features": {"columns": []}},
    "a misspelt source": {"data": {"source": "csw"}},
    "a misspelt parameter of a source": {"data": {"source": "csv", "params": {"pat": "a.csv"}}},
    "a source without its path": {"data": {"source": "csv"}},
    "a parameter of another source": {"data": {"params": {"delimiter": ";"}}},
    "a misspelt section": {"featurs": {}},
    "a misspelt loss": {"strategy": {"name": "dqn", "hyperparameters": {"loss": "hubber"}}},
    "a misspelt head": {"strategy": {"name": "dqn", "hyperparameters": {"head": "c52"}}},
    "a misspelt schedule": {
        "strategy": {"name": "dqn", "hyperparameters": {"exploration_schedule": "lin"}}
    },
    "a misspelt hyperparameter": {
        "strategy": {"name": "dqn", "hyperparameters": {"learning_rat": 1e-3}}
    },
    "a hyperparameter out of range": {
        "strategy": {"name": "dqn", "hyperparameters": {"gamma": 1.5}}
    },
    "a misspelt model": {"strategy": {"name": "dqn", "model": "dqm"}},
    "a misspelt strategy": {"strategy": "liner"},
    "another strategy's parameter": {"strategy": {"name": "linear", "training": {}}},
    "one agent's parameter": {"strategy": {"training": {"patience": 3}}},
    "an ensemble of one": {"strategy": {"training": {"agents": 1}}},
    "a misspelt baseline": {"strategy": {"baseline": "lng"}},
    "a misspelt reward": {"trading": {"reward": "log_grow"}},
    "a misspelt metric": {"deployment": {"thresholds": {"minimum": {"sortina": 1.0}}}},
    "a misspelt broker": {"deployment": {"broker": "simulate"}},
    "a misspelt benchmark": {"evaluation": {"benchmarks": ["bye_and_hold"]}},
}


@pytest.mark.parametrize("config", GOOD.values(), ids=GOOD)
def test_the_schema_accepts(config: dict[str, Any]) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(config)] == []


@pytest.mark.parametrize("name", [name for name in GOOD if "own" not in name])
def test_the_loader_accepts_it_too(name: str) -> None:
    load_config(RunConfig, None, given=GOOD[name])


@pytest.mark.parametrize("config", BAD.values(), ids=BAD)
def test_the_schema_rejects_what_the_loader_rejects(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        load_config(RunConfig, None, given=config)
    assert not VALIDATOR.is_valid(config)


def test_the_default_configuration_is_accepted() -> None:
    VALIDATOR.validate(to_plain(RunConfig()))


PAGES = {str(page.relative_to(ROOT)): page for page in pages()}


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_configurations_are_accepted(name: str) -> None:
    for snippet in snippets(PAGES[name].read_text(encoding="utf-8"), name):
        if snippet.language == "yaml":
            config = parse_yaml(snippet.text, str).value
            wrong = list(VALIDATOR.iter_errors(config))
            if "imports" not in config:  # whose names the schema cannot know
                assert not wrong, (snippet.place, wrong[0].message[:200])


def test_names_that_imports_register_are_offered(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(FEATURES, "_members", dict(FEATURES._members))
    (tmp_path / "gaps_for_schema.py").write_text(
        "from reinforcestrategycreator_pipeline.features.base import FEATURES\n"
        "@FEATURES.register('gap')\n"
        "def gap(bars, *, days: int = 1):\n"
        "    return bars['open'] - bars['close']\n"
    )
    (tmp_path / "my.yaml").write_text("imports: [gaps_for_schema]\n")
    result = CliRunner().invoke(app, ["config", "schema", "-c", "my.yaml"])
    validator = jsonschema.Draft202012Validator(json.loads(result.output))
    config = {"features": {"columns": [{"name": "gap", "days": 2}]}}
    assert validator.is_valid(config)
    assert not VALIDATOR.is_valid(config)
    config["features"]["columns"][0]["days"] = "two"
    assert not validator.is_valid(config)
