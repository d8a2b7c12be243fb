"""Shapes in signatures, checked by jaxtyping and beartype while tests run.

``Annotated[F64, "bars features"]`` is only text to the program, which imports neither. Here the
package's modules are compiled with a decorator on every function that has such an annotation.
Beside jaxtyping's names and numbers, ``{self.n_inputs}`` is what the call's arguments say.
"""

from __future__ import annotations

import ast
import functools
import operator
import os
import re
import sys
import types
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import numpy as np

PACKAGE = "reinforcestrategycreator_pipeline"
SOURCE = Path(__file__).parents[2] / "src" / PACKAGE
_ALIAS = re.compile(r'^(\w+): TypeAlias = Annotated\[\w+, "', re.MULTILINE)


@functools.cache
def mark() -> re.Pattern[str]:
    """Return what an annotation with a shape looks like: written out, or by an alias's name."""
    texts = (path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    names = {name for text in texts for name in _ALIAS.findall(text)}
    return re.compile("|".join([r"Annotated\[\w+, '", *(rf"\b{name}\b" for name in sorted(names))]))


MOST_CALLS = 4
"""Calls of each function that are checked in each test: a check takes longer than many a call."""
CHECKED: list[str] = []
"""The functions with shapes that have been imported, ``module:name``."""


def shaped(annotation: Any) -> Any:
    """Return an annotation in jaxtyping's form; what has no shape in it becomes `Any`."""
    import jaxtyping

    kinds = {
        np.float64: jaxtyping.Float64,
        np.float32: jaxtyping.Float32,
        np.floating[Any]: jaxtyping.Float,
        np.int64: jaxtyping.Int64,
        np.intp: jaxtyping.Int,
        np.bool_: jaxtyping.Bool,
        Any: jaxtyping.Shaped,
    }
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated and isinstance(arguments[1], str):
        (number,) = get_args(get_args(arguments[0])[1])
        # NumPy gives scalars where a shape is ().
        return kinds[number][np.ndarray | np.generic, arguments[1]]
    if annotation is None or annotation is type(None):
        return None
    if origin in (tuple, list):
        return origin[tuple(map(shaped, arguments))]
    if origin in (types.UnionType, Union):
        return functools.reduce(operator.or_, map(shaped, arguments))
    return annotation if isinstance(annotation, type) else Any


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check the shapes of what goes into `function` and of what comes out."""
    CHECKED.append(f"{function.__module__}:{function.__qualname__}")
    checking: Callable[..., Any] | None = None
    test, calls = "", 0

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal checking, test, calls
        if checking is None:  # at the first call, when all names are there
            checking = _checking(function)
        if (now := os.environ.get("PYTEST_CURRENT_TEST", "")) != test:
            test, calls = now, 0
        calls += 1
        return (checking if calls <= MOST_CALLS else function)(*args, **kwargs)

    return call


def _checking(function: Any) -> Callable[..., Any]:
    import beartype
    import jaxtyping

    names = function.__globals__
    copy = types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    copy.__annotations__ = {
        name: shaped(eval(text, names))
        for name, text in function.__annotations__.items()
        if mark().search(text)
    }
    found: Callable[..., Any] = jaxtyping.jaxtyped(typechecker=beartype.beartype)(copy)
    return found


class _Marking(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        written = [node.returns, *(argument.annotation for argument in every)]
        if any(mark().search(ast.unparse(annotation)) for annotation in written if annotation):
            # Innermost, so that what registers or wraps a function gets the checked one.
            node.decorator_list.append(ast.Name("__checked__", ast.Load()))
        return node


def compiled(source: bytes, path: str) -> types.CodeType:
    """Return a module's code, every function with shapes decorated by ``__checked__``."""
    tree = _Marking().visit(ast.parse(source))
    return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        return compiled(self.get_data(path), path)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__["__checked__"] = checked
        super().exec_module(module)


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        # pytest itself compiles the contract suites.
        if not fullname.startswith(f"{PACKAGE}.") or fullname.startswith(f"{PACKAGE}.testing"):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


def install() -> bool:
    """Check the modules that are imported from here on; False if the checkers are not there."""
    there = find_spec("jaxtyping") is not None and find_spec("beartype") is not None
    if there:
        sys.meta_path.insert(0, _Finder())
    return there
