"""A trained network frozen for its greedy policy, without anything that only training needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.action_masks import as_masks
from reinforcestrategycreator_pipeline.action_masks import masked as masked_values
from reinforcestrategycreator_pipeline.arrays import F64, Array
from reinforcestrategycreator_pipeline.checks import (
    from_mapping,
    is_int,
    is_number,
    require,
    require_bool,
    require_int,
)
from reinforcestrategycreator_pipeline.errors import ConfigError, nearest, shorten
from reinforcestrategycreator_pipeline.nn.components import name_of, reference
from reinforcestrategycreator_pipeline.nn.heads.catalog import HEADS, Head, build_head
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec, apply_rowwise
from reinforcestrategycreator_pipeline.nn.normalization import RunningNormalizer, normalize
from reinforcestrategycreator_pipeline.trust import require_imported

OWNER = "PolicyNetwork"
MEAN, SCALE = "observation_mean", "observation_scale"
ANY_LOSS = "squared"  # a head may require a loss, perhaps user code, but no value depends on it
_HEADER = ("network", "head", "head_settings", "observation_clip")
_MASKED = "action_mask"  # in the header only if true


@dataclass(frozen=True, eq=False)
class Normalization:
    """Parameters of ``(x - mean) / scale``, limited to [-clip, clip], for observations.

    Attributes
    ----------
    mean, scale : ndarray of float64, shape (n_inputs,)
        Offset and divisor of each input, `scale` > 0; applied in float64.
    clip : float
        Limit of the result, > 0.
    """

    mean: F64
    scale: F64
    clip: float


@dataclass(frozen=True, eq=False)
class PolicyNetwork:
    """A network without noise, with its head and the normalization of its observations.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture; not noisy.
    weights : mapping of str to ndarray
        ``W0, b0, ...``, and with layer normalization ``gain0, offset0, ...``; all float32 or all
        float64, and finite. They are copied.
    head : str or mapping
        A name in `HEADS`, or ``"module:Class"``; with parameters, ``{"name": ..., **parameters}``.
    head_settings : mapping
        Hyperparameters that the head reads, except its loss; JSON-serializable.
    normalization : Normalization, optional
        Normalization of the observations. Its arrays are copied.
    masked : bool
        Whether it was trained with action masks, and so needs them.

    Raises
    ------
    ConfigError
        If the parts do not fit together.
    """

    spec: NetworkSpec
    weights: Mapping[str, Array]
    head: str | Mapping[str, Any]
    head_settings: Mapping[str, Any]
    normalization: Normalization | None = None
    masked: bool = False
    _head: Head = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_spec(self.spec)
        require_bool(OWNER, "masked", self.masked)
        object.__setattr__(self, "weights", _checked_weights(self.spec, self.weights))
        settings = {name: _plain(name, value) for name, value in self.head_settings.items()}
        object.__setattr__(self, "head_settings", settings)
        named = isinstance(self.head, str) or (
            isinstance(self.head, Mapping) and isinstance(self.head.get("name"), str)
        )
        require(named, OWNER, "head", "a name", self.head)
        object.__setattr__(self, "_head", _build_head(self.head, settings))
        if self._head.n_outputs != self.spec.n_outputs:
            raise ConfigError(
                f"the head {self.head_name!r} reads {self._head.n_outputs} outputs per action; "
                f"the network has {self.spec.n_outputs}."
            )
        if self.normalization is not None:
            checked = _checked_normalization(self.normalization, self.spec.n_inputs)
            object.__setattr__(self, "normalization", checked)

    @classmethod
    def of(
        cls,
        spec: NetworkSpec,
        weights: Mapping[str, Array],
        hyperparameters: Any,
        normalizer: RunningNormalizer | None = None,
        masked: bool = False,
    ) -> Self:
        """Return the policy network of a learner in its current state.

        Parameters
        ----------
        spec : NetworkSpec
            Architecture of the learner's networks; may be noisy.
        weights : mapping of str to ndarray
            Weights of the online network; any ``sigma_`` is dropped.
        hyperparameters : object
            Attribute ``head``, and the attributes that the head reads; others are dropped.
        normalizer : RunningNormalizer, optional
            Normalization of the observations; its current state is used.
        masked : bool
            Whether the learner learned with action masks.
        """
        reads = _Reads(hyperparameters)
        head = build_head(reads)
        head.values(np.zeros((1, head.n_outputs)))  # the head may read hyperparameters here too
        quiet = dataclasses.replace(spec, noisy=False)
        return cls(
            spec=quiet,
            weights={name: w for name, w in weights.items() if name in quiet.effective_shapes},
            head=reference(HEADS, hyperparameters.head),
            head_settings={
                name: v for name, v in sorted(reads.seen.items()) if name not in ("head", "loss")
            },
            normalization=(
                None if normalizer is None else Normalization(*normalizer.fold(), normalizer.clip)
            ),
            masked=masked,
        )

    @property
    def head_name(self) -> str:
        """Name of the head, without its parameters."""
        return name_of(HEADS, self.head)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the weights and the values."""
        return next(iter(self.weights.values())).dtype

    @np.errstate(over="ignore", invalid="ignore")
    def values(
        self, states: ArrayLike, mask: ArrayLike | None = None
    ) -> Annotated[Array, "rows {self.spec.n_actions}"]:
        """Return the action values.

        Parameters
        ----------
        states : array_like, shape (N, n_inputs)
            Observations; converted to `dtype`.
        mask : array_like of bool, shape (N, n_actions), optional
            Valid actions; required if `masked`.

        Returns
        -------
        ndarray, shape (N, n_actions)
            Action values, of `dtype`; -inf for invalid actions. NaN in, NaN out. Each row is
            computed separately, so results are bit-identical for any N.

        Raises
        ------
        ConfigError
            If a shape is different, or the mask is missing, of another type, or without a valid
            action in some row.
        """
        x = np.asarray(states, dtype=self.dtype)
        if x.ndim != 2 or x.shape[1] != self.spec.n_inputs:
            raise ConfigError(
                f"The states parameter of PolicyNetwork.values must be of shape "
                f"(N, {self.spec.n_inputs}). Got {x.shape} instead."
            )
        if mask is None and self.masked:
            raise ConfigError(
                "The mask parameter of PolicyNetwork.values must be given, because this network "
                "was trained with action masks. Got None instead."
            )
        if (n := self.normalization) is not None:
            x = normalize(x, n.mean, n.scale, n.clip)
        q = self._head.values(apply_rowwise(self.spec, self.weights, x))
        if mask is None:
            return q
        name = "The mask parameter of PolicyNetwork.values"
        return masked_values(q, as_masks(mask, q.shape, name))

    def to_tensors(self) -> dict[str, Array]:
        """Return the weights and, with normalization, the mean and scale, by name."""
        tensors = dict(self.weights)
        if self.normalization is not None:
            tensors |= {MEAN: self.normalization.mean, SCALE: self.normalization.scale}
        return tensors

    def to_header(self) -> dict[str, Any]:
        """Return everything but the tensors, as JSON-serializable values."""
        network = dataclasses.asdict(self.spec)
        del network["noisy"]
        network["hidden_layers"] = list(self.spec.hidden_layers)
        settings = {k: _as_json(v) for k, v in self.head_settings.items()}
        header = {
            "network": network,
            "head": self.head,
            "head_settings": settings,
            "observation_clip": None if self.normalization is None else self.normalization.clip,
        }
        return header | {_MASKED: True} if self.masked else header

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> Self:
        """Rebuild a network from `to_tensors` and `to_header`; further keys are ignored.

        No module is imported: for a head ``"module:Class"``, the caller must have imported the
        module already, and so shown that it is trusted.

        Raises
        ------
        ConfigError
            If a part is missing, unknown, not finite, or has the wrong shape or type.
        """
        for key in _HEADER:
            if key not in header:
                raise ConfigError(f"a policy network's header lacks {key!r}.")
        settings, clip = header["head_settings"], header["observation_clip"]
        require(isinstance(settings, Mapping), OWNER, "head_settings", "a mapping", settings)
        if isinstance(header["network"], Mapping) and "noisy" in header["network"]:
            raise ConfigError(f"{OWNER}'s network has no parameter 'noisy'.")
        normalization, weights = None, dict(tensors)
        if clip is not None:
            for name in (MEAN, SCALE):
                if name not in weights:
                    raise ConfigError(f"a policy network's tensors lack {name!r}.")
            normalization = Normalization(weights.pop(MEAN), weights.pop(SCALE), clip)
        return cls(
            spec=from_mapping(NetworkSpec, header["network"], f"{OWNER}'s network"),
            weights=weights,
            head=header["head"],
            head_settings=settings,
            normalization=normalization,
            masked=header.get(_MASKED, False),
        )

    def describe(self) -> str:
        """Return a one-line description: layers, options, head, normalization, and size."""
        spec = self.spec
        chosen = {"dueling": spec.dueling, "layer normalization": spec.layer_norm}
        options = [name for name, on in chosen.items() if on]
        layers = ", ".join(map(str, spec.hidden_layers))
        text = f"{spec.n_inputs} inputs, hidden layers {layers}"
        text += f" ({', '.join(options)})" if options else ""
        text += f", {spec.n_actions} actions; head {self.head_name}"
        shown = [f"{k} {_short(v)}" for k, v in self.head_settings.items() if k != "huber_delta"]
        text += f" ({', '.join(shown)})" if shown else ""
        if self.normalization is not None:
            clip = _short(self.normalization.clip)
            text += f"; inputs normalized by mean and deviation in training, clipped at {clip}"
        text += "; needs action masks" if self.masked else ""
        count = sum(w.size for w in self.weights.values())
        return f"{text}; {count:,} weights, {self.dtype}"


class _Reads:
    """A proxy for an object that records which attributes are read."""

    def __init__(self, source: Any) -> None:
        self._source, self.seen = source, dict[str, Any]()

    def __getattr__(self, name: str) -> Any:
        value = self.seen[name] = getattr(self._source, name)
        return value


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain(name: str, value: Any) -> Any:
    """Return a setting of a head with lists as tuples; it must be JSON-serializable."""
    if isinstance(value, list | tuple):
        return tuple(_plain(name, item) for item in value)
    ok = value is None or isinstance(value, bool | str) or is_int(value) or is_number(value)
    require(ok, OWNER, f"head_settings[{name!r}]", "JSON-serializable and finite", value)
    return value


def _as_json(value: Any) -> Any:
    return [_as_json(item) for item in value] if isinstance(value, tuple) else value


def _check_spec(spec: NetworkSpec) -> None:
    for name in ("n_inputs", "n_actions", "n_outputs"):
        require_int(OWNER, name, getattr(spec, name), 1)
    layers = spec.hidden_layers
    ok = isinstance(layers, tuple) and layers and all(is_int(n) and n >= 1 for n in layers)
    require(bool(ok), OWNER, "hidden_layers", "one or more integers >= 1", layers)
    for name in ("dueling", "layer_norm"):
        require_bool(OWNER, name, getattr(spec, name))
    require(spec.noisy is False, OWNER, "noisy", "False (a policy has no noise)", spec.noisy)


def _build_head(head: str | Mapping[str, Any], settings: Mapping[str, Any]) -> Head:
    """Build the head from its settings alone, without importing anything."""
    name = name_of(HEADS, head)
    for text in (name, *settings.values()):
        require_imported(text if isinstance(text, str) else "")
    require(isinstance(HEADS.get(name), type), OWNER, "head", "the name of a class", name)
    try:
        return build_head(SimpleNamespace(**{"loss": ANY_LOSS, **settings, "head": head}))
    except AttributeError as error:
        raise ConfigError(f"a setting of the head {name!r} is missing: {error}.") from error


def _names(expected: Iterable[str], found: Iterable[str], what: str) -> None:
    """Raise `ConfigError` for missing or unknown names; the message offers the nearest."""
    expected, found = list(expected), list(found)
    missing = [n for n in expected if n not in set(found)]
    extra = sorted(set(found) - set(expected))
    if extra:
        raise ConfigError(
            f"{what} has no tensor {shorten(repr(extra[0]))}.{nearest(extra[0], expected)}"
        )
    if missing:
        raise ConfigError(f"{what} lacks the tensor {missing[0]!r}.")


def _checked_weights(spec: NetworkSpec, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Return read-only copies of the weights in buffer order, checked against the network."""
    shapes = spec.effective_shapes
    _names(shapes, weights, "a policy network of this kind")
    dtypes = {weights[name].dtype for name in shapes}
    if dtypes not in ({np.dtype(np.float32)}, {np.dtype(np.float64)}):
        names = ", ".join(sorted(map(str, dtypes)))
        raise ConfigError(f"a policy's tensors must be all float32 or all float64. Got {names}.")
    return {name: _frozen(name, weights[name], shape) for name, shape in shapes.items()}


def _frozen(name: str, array: Array, shape: tuple[int, ...]) -> Array:
    """Return a read-only copy of a tensor, checked for its shape and finite values."""
    if array.shape != shape:
        raise ConfigError(
            f"a policy's tensor {name} must have the shape {shape}. Got {array.shape} instead."
        )
    if not np.isfinite(array).all():
        raise ConfigError(f"a policy's tensor {name} must be finite.")
    copy = np.array(array, order="C")  # results are bit-identical only for equal strides
    copy.flags.writeable = False
    return copy


def _checked_normalization(found: Normalization, n_inputs: int) -> Normalization:
    require(is_number(found.clip) and found.clip > 0, OWNER, "clip", "a number > 0", found.clip)
    for name, array in ((MEAN, found.mean), (SCALE, found.scale)):
        if array.dtype != np.float64:
            raise ConfigError(f"a policy's tensor {name} must be float64. Got {array.dtype}.")
    mean = _frozen(MEAN, found.mean, (n_inputs,))
    scale = _frozen(SCALE, found.scale, (n_inputs,))
    if not (scale > 0).all():
        raise ConfigError(f"a policy's tensor {SCALE} must be > 0.")
    return Normalization(mean, scale, float(found.clip))
