"""Validation of configuration values: rules declared on the fields, with one wording for all.

A frozen dataclass declares its rules in annotations, ``rate: Annotated[float, Gt(0), Le(1)]``. The
same annotations check values from a file (`fit`) and from Python (`Strict`), and produce the JSON
schema. The markers are defined here, five lines each, because the learner imports only NumPy;
those of the package annotated-types have the same attributes and work as well.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import operator
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeGuard, TypeVar, Union, get_args, get_origin

from reinforcestrategycreator_pipeline.errors import (
    ConfigError,
    KeyPath,
    nearest,
    shorten,
    show_path,
)

C = TypeVar("C")

LARGEST_INT = 2**63 - 1
MOST_ITEMS = 100_000
"""Maximum length of a list without another rule."""
MOST_CHARACTERS = 4_096
"""Maximum length of a text: the longest path of Linux."""


@dataclass(frozen=True)
class Gt:
    """The value must be greater than `gt`."""

    gt: float


@dataclass(frozen=True)
class Ge:
    """The value must be `ge` or greater."""

    ge: float


@dataclass(frozen=True)
class Lt:
    """The value must be less than `lt`."""

    lt: float


@dataclass(frozen=True)
class Le:
    """The value must be `le` or less."""

    le: float


@dataclass(frozen=True)
class Len:
    """A list or string must have `min_length` to `max_length` items, and may have no duplicates."""

    min_length: int = 0
    distinct: bool = False
    max_length: int | None = None


BOUNDS = {
    "gt": (">", operator.gt),
    "ge": (">=", operator.ge),
    "lt": ("<", operator.lt),
    "le": ("<=", operator.le),
}
_WORDS = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a string",
    type(None): "null",
    tuple: "a list",
    list: "a list",
    dict: "a mapping of names to values",
    collections.abc.Mapping: "a mapping of names to values",
}


class Strict:
    """Base of a frozen dataclass that checks its fields against their annotations.

    Integers and NumPy scalars become the annotated Python numbers, lists become tuples, and
    mappings become the annotated dataclass. A subclass checks rules that involve several fields in
    its own ``__post_init__``, after ``super().__post_init__()``.
    """

    def __post_init__(self) -> None:
        wrong: list[ConfigError] = []
        for name, annotation in field_types(type(self)).items():
            given = getattr(self, name)
            value = _fit_field(type(self).__name__, annotation, given, (name,), wrong, 0)
            if value is not given:
                object.__setattr__(self, name, value)
        raise_all(wrong)


def field_types(section: Any) -> dict[str, Any]:
    """Return the parameters of a dataclass and their types, in order of declaration."""
    return _field_types(section)


@cache
def _field_types(section: Any) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(section, include_extras=True)
    except NameError:  # a class inside a function, or a name that only type checkers import
        hints = {}
    return {f.name: hints.get(f.name, Any) for f in dataclasses.fields(section) if f.init}


def is_section(annotation: object) -> bool:
    """Tell whether `annotation` is a dataclass."""
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def members(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of a union, or the one annotation."""
    union = get_origin(annotation) in (Union, types.UnionType)
    return get_args(annotation) if union else (annotation,)


def family_of(annotation: Any) -> Any:
    """Return the registry of the components that `annotation` accepts; None if it has none."""
    for member in members(annotation):
        for marker in get_args(member)[1:] if get_origin(member) is Annotated else ():
            if hasattr(marker, "component"):
                return marker
    return None


def fit(annotation: Any, value: Any, path: KeyPath, wrong: list[ConfigError]) -> Any:
    """Convert `value` to the type that `annotation` asks for; append any errors to `wrong`.

    Parameters
    ----------
    annotation : Any
        A type with its rules. Types that are not known here accept every value.
    value : Any
        A plain value, as read from a file, or a Python object.
    path : tuple of str and int
        Location of the value, for the errors.
    wrong : list of ConfigError
        Errors found so far. If it grows, the returned value must not be used.

    Returns
    -------
    Any
        The converted value.
    """
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if origin is Annotated:
        if family := family_of(annotation):
            return family.component(value, path, wrong)
        return _fit_bounded(annotation, value, path, wrong)
    if len(alternatives := members(annotation)) > 1:
        return _fit_union(alternatives, value, path, wrong)
    if is_section(origin):
        return _fit_section(origin, value, path, wrong, origin.__name__)
    value = plain(value)
    if origin in (tuple, list):
        if getattr(value, "ndim", None) == 1 and hasattr(value, "tolist"):
            value = value.tolist()  # NumPy arrays
        return _fit_list(annotation, origin, arguments, value, path, wrong)
    if origin in (dict, collections.abc.Mapping):
        if isinstance(value, Mapping):
            kind = arguments[1] if arguments else Any
            if kind is Any:
                return value
            return {k: fit(kind, v, (*path, k), wrong) for k, v in value.items()}
    elif origin is float:
        if is_number(value):
            return float(value)
    elif origin is int:
        if is_int(value) and abs(value) <= LARGEST_INT:
            return value
    elif origin is Literal:
        if value in arguments and type(value) is type(arguments[arguments.index(value)]):
            return value
    elif origin in (None, type(None)):
        if value is None:
            return value
    elif origin is str:
        if isinstance(value, str) and len(value) <= MOST_CHARACTERS:
            return value
    elif origin is bool:
        if isinstance(value, bool):
            return value
    else:
        return value
    wrong.append(_refusal(annotation, value, path))
    return value


def words(annotation: Any) -> str:
    """Return what a value must be, in words: ``"a number in (0, 1]"``."""
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if origin is Annotated:
        kind = words(arguments[0])
        for marker in arguments[1:]:
            least = getattr(marker, "min_length", 0)
            most = getattr(marker, "max_length", None)
            kind = kind.replace("a ", "a non-empty ", 1) if least == 1 else kind
            if least > 1 and most is not None:
                kind += f" of {least} to {most} items"
            elif least > 1:
                kind += f" of at least {least} items"
            elif most is not None:
                kind += f" of at most {most} items"
            kind += " without duplicates" if getattr(marker, "distinct", False) else ""
        return kind + _interval(arguments[1:])
    if len(alternatives := members(annotation)) > 1:
        return " or ".join(map(words, alternatives))
    if origin is Literal:
        *rest, last = map(repr, arguments)
        return f"{', '.join(rest)} or {last}" if rest else last
    if is_section(origin):
        return "a section (a mapping of keys to values)"
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return f"a list of {len(arguments)} items"
    return _WORDS.get(origin, str(annotation))


def _interval(markers: Iterable[object]) -> str:
    """Return the bounds: ``" in (0, 1]"`` if there are two, else ``" >= 1"``, or nothing."""
    ends = {sign[0]: (sign, _digits(bound)) for sign, _, bound in _bounds(markers)}
    if len(ends) < 2:
        return "".join(f" {sign} {bound}" for sign, bound in ends.values())
    (above, low), (below, high) = ends[">"], ends["<"]
    return f" in {'[' if above == '>=' else '('}{low}, {high}{']' if below == '<=' else ')'}"


def _digits(bound: float) -> str:
    if abs(bound) >= 1e6 and (short := f"{bound:.0e}") and float(short) == bound:
        return short.replace("e+0", "e").replace("e+", "e")
    # `typing` caches equal annotations: Gt(0) may arrive as Gt(0.0).
    return str(int(bound) if abs(bound) < 1e15 and bound == int(bound) else bound)


def _bounds(markers: Iterable[object]) -> list[tuple[str, Callable[..., bool], Any]]:
    return [
        (sign, compare, getattr(marker, key))
        for marker in markers
        for key, (sign, compare) in BOUNDS.items()
        if hasattr(marker, key)
    ]


def _refusal(annotation: Any, value: Any, path: KeyPath) -> ConfigError:
    rule, hint = words(annotation), ""
    choices = [c for m in members(annotation) if get_origin(m) is Literal for c in get_args(m)]
    if choices and isinstance(value, str):
        hint = nearest(value, choices)
        hint = hint if "Did you mean" in hint else ""
    for marker in get_args(annotation)[1:] if get_origin(annotation) is Annotated else ():
        hint += marker.hint(value) if hasattr(marker, "hint") else ""
    if is_int(value) and abs(value) > LARGEST_INT and " in [" not in rule:
        rule += " that fits in 64 bits"
    elif isinstance(value, str) and len(value) > MOST_CHARACTERS:
        rule = rule.replace("string", f"string of at most {MOST_CHARACTERS} characters")
    elif isinstance(value, (list, tuple)) and len(value) > MOST_ITEMS and " items" not in rule:
        rule += f" of at most {MOST_ITEMS} items"
    elif isinstance(value, float) and value - value != 0:
        rule = rule.replace("a number", "a finite number")
    return ConfigError(path=path, rule=f"must be {rule}", value=value, hint=hint)


def _fit_bounded(annotation: Any, value: Any, path: KeyPath, wrong: list[ConfigError]) -> Any:
    kind, *markers = get_args(annotation)
    trial: list[ConfigError] = []
    lengths = [m.max_length for m in markers if getattr(m, "max_length", None) is not None]
    if lengths and isinstance(value, (list, tuple, str)) and len(value) > min(lengths):
        wrong.append(_refusal(annotation, value, path))  # before a look at a million items
        return value
    found = fit(kind, value, path, trial)
    ok = not trial and all(compare(found, bound) for _, compare, bound in _bounds(markers))
    for marker in markers if ok else ():
        ok = ok and len(found) >= marker.min_length if hasattr(marker, "min_length") else ok
        ok = ok and not (getattr(marker, "distinct", False) and len(set(found)) < len(found))
    if any(error.path != path for error in trial):
        wrong += trial
    elif not ok:
        wrong.append(_refusal(annotation, value, path))
    return found


def _fit_union(
    alternatives: tuple[Any, ...], value: Any, path: KeyPath, wrong: list[ConfigError]
) -> Any:
    deep: list[ConfigError] = []
    for member in alternatives:
        trial: list[ConfigError] = []
        found = fit(member, value, path, trial)
        if not trial:
            return found
        if family_of(member) or any(error.path != path for error in trial):
            deep = deep or trial
    wrong += deep or [_refusal(Union[alternatives], value, path)]  # noqa: UP007
    return value


def _fit_list(
    annotation: Any,
    origin: type,
    arguments: tuple[Any, ...],
    value: Any,
    path: KeyPath,
    wrong: list[ConfigError],
) -> Any:
    fixed = origin is tuple and arguments and arguments[-1] is not Ellipsis
    listed = isinstance(value, (list, tuple)) and len(value) <= MOST_ITEMS
    if not listed or (fixed and len(value) != len(arguments)):
        wrong.append(_refusal(annotation, value, path))
        return value
    kinds = arguments if fixed else [arguments[0] if arguments else Any] * len(value)
    items = [
        fit(kind, item, (*path, i), wrong)
        for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
    ]
    return origin(items)


def _fit_section(
    section: type, value: Any, path: KeyPath, wrong: list[ConfigError], owner: str
) -> Any:
    if isinstance(value, section):
        return value
    if not isinstance(value, Mapping):
        wrong.append(_refusal(section, value, path))
        return value
    kinds, given, before = field_types(section), {}, len(wrong)
    for key, item in value.items():
        if key in kinds:
            at = (*path, key)
            given[key] = _fit_field(owner, kinds[key], item, at, wrong, len(path))
        else:
            hint = nearest(str(key), kinds)
            message = f"{owner} has no parameter {key!r}.{hint}"
            at = (*path, str(key))
            wrong.append(ConfigError(message, path=at, rule="unknown key", hint=hint))
    for f in dataclasses.fields(section):
        absent = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        misspelt = any(repr(f.name) in error.hint for error in wrong[before:])
        if f.init and absent and f.name not in value and not misspelt:
            message = f"{owner} needs the parameter {f.name!r}."
            rule = "is required and has no default"
            wrong.append(ConfigError(message, path=(*path, f.name), rule=rule))
    if len(wrong) == before:
        try:
            return section(**given)
        except ConfigError as error:
            wrong += error.within(*path)
    return value


def _fit_field(
    owner: str, annotation: Any, value: Any, path: KeyPath, wrong: list[ConfigError], depth: int
) -> Any:
    """Apply `fit` to the field ``path[depth]`` of `owner`; errors name both."""
    before = len(wrong)
    value = fit(annotation, value, path, wrong)
    for error in wrong[before:]:
        if not error.message:
            name = show_path(error.path[depth:])
            error.message = f"The {name} parameter of {owner} {error.complaint}"
    return value


def raise_all(wrong: list[ConfigError]) -> None:
    """Raise the first of the errors, with the rest as its `others`; do nothing without errors."""
    if wrong:
        wrong[0].others = tuple(wrong[1:])
        raise wrong[0]


def from_mapping(cls: type[C], mapping: Mapping[str, Any], owner: str = "") -> C:
    """Build the dataclass `cls` from a mapping of names to plain values, as read from a file.

    Raises
    ------
    ConfigError
        If a key is unknown (the message names the nearest valid one) or missing, or a value fails
        the checks of its field or of the class. Further errors are in its `others`.
    """
    wrong: list[ConfigError] = []
    if not isinstance(mapping, Mapping):
        raise ConfigError(
            f"{owner or cls.__name__} must be a mapping. Got {shorten(repr(mapping))} instead."
        )
    found: C = _fit_section(cls, mapping, (), wrong, owner or cls.__name__)
    raise_all(wrong)
    return found


def require(condition: bool, owner: str, name: str, rule: str, value: object) -> None:
    """Raise `ConfigError` unless `condition` holds.

    The message is: The {name} parameter of {owner} must be {rule}. Got {value!r} instead.
    """
    if not condition:
        error = ConfigError(path=(name,), rule=f"must be {rule}", value=value)
        error.message = f"The {name} parameter of {owner} {error.complaint}"
        raise error


def plain(value: Any) -> Any:
    """Return a NumPy scalar, or an array without axes, as the Python value; others as they are."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    return value


def is_int(value: object) -> TypeGuard[int]:
    """Tell whether `value` is an integer; a bool is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether `value` is a finite real number within the range of a float; a bool is not."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return float(value) - float(value) == 0  # False for NaN and the infinities
    except OverflowError:
        return False


def require_fit(annotation: Any, owner: str, name: str, value: object) -> None:
    """Require that `value` fits `annotation`."""
    wrong: list[ConfigError] = []
    _fit_field(owner, annotation, value, (name,), wrong, 0)
    raise_all(wrong)


def require_int(owner: str, name: str, value: object, low: int, high: int | None = None) -> None:
    """Require an integer in [low, high]."""
    above = () if high is None else (Le(high),)
    require_fit(Annotated[(int, Ge(low), *above)], owner, name, value)


def require_number(
    owner: str,
    name: str,
    value: object,
    *,
    above: float | None = None,
    low: float | None = None,
    below: float | None = None,
    high: float | None = None,
) -> None:
    """Require a finite number within open (`above`, `below`) or closed (`low`, `high`) bounds."""
    bounds = {Gt: above, Ge: low, Lt: below, Le: high}
    rules = [marker(bound) for marker, bound in bounds.items() if bound is not None]
    require_fit(Annotated[(float, *rules)] if rules else float, owner, name, value)


def require_bool(owner: str, name: str, value: object) -> None:
    """Require a bool."""
    require_fit(bool, owner, name, value)


def require_choice(owner: str, name: str, value: object, choices: Iterable[str]) -> None:
    """Require one of the names in `choices`; the message offers the nearest."""
    require_fit(Literal[tuple(choices)], owner, name, value)
