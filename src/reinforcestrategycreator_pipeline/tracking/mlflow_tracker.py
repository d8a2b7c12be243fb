"""The tracker `mlflow`: an MLflow run for each run, and perhaps a version of a model."""

from __future__ import annotations

import logging
import os
import re
import socket
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from reinforcestrategycreator_pipeline.checks import Len, Strict, require
from reinforcestrategycreator_pipeline.errors import RunError, needs, shorten
from reinforcestrategycreator_pipeline.runs.artifacts import (
    ARTIFACTS,
    CONFIG,
    REPORT_HTML,
    REPORT_MD,
)
from reinforcestrategycreator_pipeline.tracking.base import TRACKERS
from reinforcestrategycreator_pipeline.tracking.finished import FinishedRun, flat

T = TypeVar("T")

LOCAL = "sqlite:///mlflow.db"
"""Where runs go if nothing says otherwise: a database in the current folder."""
# What MLflow takes in one call, and in one text.
_MOST_METRICS, _MOST_PARAMS = 1_000, 100
_LONGEST_KEY, _LONGEST_PARAM, _LONGEST_TAG = 250, 6_000, 5_000
_PATIENCE = 10.0  # seconds to wait for a connection
_CREATED, _CONTENT = "rsc.created", "rsc.content_sha256"


@TRACKERS.register("mlflow")
@dataclass(frozen=True)
class MLflow(Strict):
    """Log runs to MLflow; it needs the extra `tracking`.

    User name, password and token come from MLflow's own environment variables, such as
    ``MLFLOW_TRACKING_USERNAME``.

    Attributes
    ----------
    uri : str or None
        MLflow's server, ``"https://mlflow.example.org"``, or database, ``"sqlite:///mlflow.db"``.
        By default that of ``MLFLOW_TRACKING_URI``, or else ``mlflow.db`` in the current folder.
    experiment : str
        Name of the experiment; it is created if there is none.
    registered_model : str or None
        Name of the registered model of which the package becomes a version, with the alias
        ``champion`` if the strategy was promoted, else ``challenger``. By default none is
        registered.
    """

    uri: Annotated[str, Len(1)] | None = None
    experiment: Annotated[str, Len(1, max_length=200)] = "reinforcestrategycreator"
    registered_model: Annotated[str, Len(1, max_length=200)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        secret = self.uri is not None and _split(self.uri)[1]
        rule = (
            "without a password, which would be kept in the run; put the URI into the environment "
            "variable MLFLOW_TRACKING_URI, or the password into MLFLOW_TRACKING_PASSWORD"
        )
        require(not secret, "MLflow", "uri", rule, _shown(self.uri or ""))

    def log(self, run_dir: Path) -> str:
        """Log the run, and register its package; see `Tracker.log`."""
        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI") or LOCAL
        with _quiet(), needs("tracking", "the tracker 'mlflow'"):
            import mlflow
            from mlflow.exceptions import MlflowException
        run = FinishedRun.read(run_dir)
        _require_answer(uri)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        with _quiet():
            try:
                client = mlflow.MlflowClient(tracking_uri=uri)
                made = self._logged(mlflow, client, run, uri)
                line = f"MLflow: run {made.info.run_id} of {self.experiment!r} in {_shown(uri)}"
                if self.registered_model is not None:
                    line += f", {_registered(client, self.registered_model, made, run.promoted)}"
            except (MlflowException, OSError) as error:
                text = shorten(str(error).partition("\n")[0])
                raise RunError(f"MLflow at {_shown(uri)} failed: {text}") from error
        return line

    def _logged(self, mlflow: Any, client: Any, run: FinishedRun, uri: str) -> Any:
        """Return the MLflow run of a run, made now or by an earlier call."""
        experiment = _experiment(client, self.experiment, uri)
        found, content = _found(client, experiment, run), run.fingerprint
        if found is not None and found.data.tags.get(_CONTENT) != content:
            # Logged before the run was changed, or in part: what MLflow holds cannot be changed.
            client.delete_run(found.info.run_id)
            found = None
        if found is None:
            started = run.started_ms
            found = client.create_run(experiment, started, _tags(run), run.manifest.run_id)
            _log_values(mlflow, client, found.info.run_id, run)
            client.set_tag(found.info.run_id, _CONTENT, content)
        made: str = found.info.run_id
        for name in (REPORT_HTML, REPORT_MD, ARTIFACTS["metrics"], CONFIG):
            if (path := run.folder / name).is_file():
                client.log_artifact(made, str(path))
        client.log_artifacts(made, str(run.manifest.verified(run.folder, "package")), "package")
        client.set_terminated(made, "FINISHED")
        return client.get_run(made)


def _experiment(client: Any, name: str, uri: str) -> str:
    """Return the ID of an experiment; a new one in a local database has its files beside it."""
    if (found := client.get_experiment_by_name(name)) is not None:
        return str(found.experiment_id)
    place = None
    if uri.startswith("sqlite:///"):
        place = (Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts").as_uri()
    return str(client.create_experiment(name, place))


def _found(client: Any, experiment: str, run: FinishedRun) -> Any:
    """Return the MLflow run that an earlier call made, or None."""
    query = f"tags.`{_CREATED}` = '{run.manifest.created}'"
    for found in client.search_runs([experiment], query):
        if found.info.run_name == run.manifest.run_id:
            return found
    return None


def _tags(run: FinishedRun) -> dict[str, str]:
    manifest = run.manifest
    chosen = manifest.config["strategy"]
    trial = {"rsc.trial": run.trial} if run.trial else {}
    return trial | {
        _CREATED: manifest.created,
        "rsc.run_id": manifest.run_id,
        "rsc.version": manifest.package_version,
        "rsc.seed": str(manifest.seed),
        "rsc.strategy": str(chosen["name"] if isinstance(chosen, dict) else chosen),
        "rsc.decision": "promoted" if run.promoted else "not promoted",
    }


def _log_values(mlflow: Any, client: Any, made: str, run: FinishedRun) -> None:
    """Log configuration, metrics, history and windows, as many in one call as MLflow takes."""
    kinds, at = mlflow.entities, run.started_ms
    params = (
        kinds.Param(_key(key), shorten(text, _LONGEST_PARAM)) for key, text in flat(run.config)
    )
    for params_of_one in _batches(params, _MOST_PARAMS):
        client.log_batch(made, params=params_of_one)
    points = [
        *(("", name, value, 0) for name, value in run.figures.items()),
        *(("training/", p.name, p.value, p.step) for p in run.history()),
        *(("windows/", p.name, p.value, p.step) for p in run.windows()),
    ]
    metrics = (kinds.Metric(_key(f"{a}{b}"), value, at, step) for a, b, value, step in points)
    for metrics_of_one in _batches(metrics, _MOST_METRICS):
        client.log_batch(made, metrics=metrics_of_one)


def _key(name: str) -> str:
    """Return a name of the characters that MLflow takes."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)[:_LONGEST_KEY]


def _batches(items: Iterable[T], most: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, most)):
        yield batch


def _registered(client: Any, model: str, made: Any, promoted: bool) -> str:
    """Give the version of the run's package its alias, and return a text about it."""
    if not client.search_registered_models(f"name = '{_quoted(model)}'"):
        client.create_registered_model(model)
    known = client.search_model_versions(f"run_id = '{made.info.run_id}'")
    version = next((v for v in known if v.name == model), None)
    if version is None:
        source = f"{made.info.artifact_uri}/package"
        version = client.create_model_version(model, source, made.info.run_id)
    alias = "champion" if promoted else "challenger"
    client.set_registered_model_alias(model, alias, version.version)
    return f"version {version.version} of the model {model!r}, its {alias}"


def _quoted(name: str) -> str:
    return name.replace("'", "''")


@contextmanager
def _quiet() -> Iterator[None]:
    """Let MLflow report nothing to its makers, and nothing about its own libraries to the user."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "true"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _require_answer(uri: str) -> None:
    """Raise `RunError` if no server listens: MLflow would try for minutes."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return
    try:
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        socket.create_connection((parts.hostname, port), _PATIENCE).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"no MLflow server answers at {_shown(uri)}: {reason}.") from error


def _split(uri: str) -> tuple[str, str]:
    """Return a URI without its password, and the password."""
    found = re.fullmatch(r"(\w[\w+.-]*://[^/@:]*):([^/]*)(@.*)", uri)
    return (found[1] + found[3], found[2]) if found else (uri, "")


def _shown(uri: str) -> str:
    return _split(uri)[0]
