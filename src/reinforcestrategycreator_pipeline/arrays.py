"""The types of arrays, for the whole package. NumPy alone.

A shape stands beside the type where it matters: ``Annotated[F64, "bars features"]``, in
jaxtyping's notation. A name has one length within a call, ``*rows`` is any number of axes, and
``{self.n_inputs}`` is what the call's arguments say. Type checkers and the program ignore the
text; the tests check it (``tests/shared/shapes.py``).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""Of any number format: the learner's is float32 or float64."""
Floats: TypeAlias = NDArray[np.floating[Any]]
F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Indices: TypeAlias = NDArray[np.intp]
"""What NumPy's own searches and sorts return."""
Bools: TypeAlias = NDArray[np.bool_]
