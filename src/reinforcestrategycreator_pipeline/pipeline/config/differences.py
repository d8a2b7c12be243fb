"""The keys in which configurations differ, from each other or from the defaults."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from reinforcestrategycreator_pipeline.errors import KeyPath, RscError


class Missing:
    """The value of a key that a configuration lacks."""

    def __repr__(self) -> str:
        return "missing"


MISSING = Missing()


def differences(configs: Sequence[Any], path: KeyPath = ()) -> list[tuple[KeyPath, list[Any]]]:
    """Return the key paths at which plain configurations differ, with each one's value.

    A component that is given as a name is one with that ``name`` and no parameters. Lists of
    different lengths are compared as a whole.

    Parameters
    ----------
    configs : sequence
        Configurations as mappings, lists and scalars.
    path : tuple of str and int
        Keys that lead to them.

    Returns
    -------
    list of (tuple, list)
        Path, and the value in each configuration or `MISSING`.

    Examples
    --------
    >>> differences([{"seed": 1, "strategy": "flat"}, {"seed": 1, "strategy": {"name": "dqn"}}])
    [(('strategy', 'name'), ['flat', 'dqn'])]
    >>> differences([{"split": {"test": 0.2}}, {"split": {"test": 0.3, "embargo_bars": 5}}])
    [(('split', 'test'), [0.2, 0.3]), (('split', 'embargo_bars'), [missing, 5])]
    """
    if any(isinstance(c, Mapping) for c in configs):
        trees = [_as_mapping(c) for c in configs]
        if all(tree is not None for tree in trees):
            keys = dict.fromkeys(itertools.chain.from_iterable(tree or {} for tree in trees))
            nested = [
                differences([(tree or {}).get(key, MISSING) for tree in trees], (*path, key))
                for key in keys
            ]
            return list(itertools.chain.from_iterable(nested))
    elif all(isinstance(c, list) for c in configs) and len({len(c) for c in configs}) == 1:
        return [
            found
            for i, items in enumerate(zip(*configs, strict=True))
            for found in differences(items, (*path, i))
        ]
    first = configs[0]
    same = all(c == first and isinstance(c, bool) == isinstance(first, bool) for c in configs)
    return [] if same else [(path, list(configs))]


def changed_keys(config: Mapping[str, Any]) -> list[tuple[KeyPath, Any]]:
    """Return the keys of a run's configuration that are not as by default, with their values.

    Where the strategy is another one, its parameters are compared with its own defaults; those of a
    strategy that is not registered are all given.
    """
    return [
        (path, value)
        for path, (value, _) in differences([config, _baseline(config)])
        if value is not MISSING
    ]


def _baseline(config: Mapping[str, Any]) -> dict[str, Any]:
    from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
    from reinforcestrategycreator_pipeline.pipeline.config.sections import defaults, to_plain

    plain = defaults(RunConfig)
    chosen = config.get("strategy")
    name = chosen.get("name") if isinstance(chosen, Mapping) else chosen
    standard = plain.get("strategy")
    if not isinstance(standard, Mapping) or name == standard.get("name"):
        return plain
    # A name without a colon: a module of the user's is not loaded to show a list.
    try:
        own = to_plain(RunConfig(strategy=name)) if ":" not in str(name) else {}
    except RscError:
        own = {}
    parameters = own.get("strategy", {})
    parameters = parameters if isinstance(parameters, Mapping) else {}
    return {**plain, "strategy": {**parameters, "name": standard["name"]}}


def _as_mapping(value: Any) -> Mapping[str, Any] | None:
    """Return a section; of a component's name alone, a section with that; else None."""
    if isinstance(value, Mapping):
        return value
    if value is MISSING:
        return {}
    return {"name": value} if isinstance(value, str) else None
