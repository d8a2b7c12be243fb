"""The tracker `mlflow`, with MLflow's own client on a database in a file."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.api.runs import run
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError
from reinforcestrategycreator_pipeline.runs.manifest import hash_artifact, load_manifest
from reinforcestrategycreator_pipeline.testing.tracker_contract import TrackerContract
from reinforcestrategycreator_pipeline.tracking import mlflow_tracker
from reinforcestrategycreator_pipeline.tracking.finished import flat
from reinforcestrategycreator_pipeline.tracking.mlflow_tracker import MLflow

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's, about its own libraries

NAME = "reinforcestrategycreator"


def client_of(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def runs_in(uri: str) -> list:
    client = client_of(uri)
    experiments = [e.experiment_id for e in client.search_experiments() if e.name == NAME]
    return client.search_runs(experiments) if experiments else []


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory) -> Path:
    """Return a database whose tables are made: that takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    client_of(f"sqlite:///{path}").search_experiments()
    return path


@pytest.mark.slow  # MLflow takes seconds to be imported, and to make a database
class TestMLflow(TrackerContract):
    @pytest.fixture
    def uri(self, tmp_path, empty_database) -> str:
        return f"sqlite:///{shutil.copy(empty_database, tmp_path / 'mlflow.db')}"

    @pytest.fixture
    def tracker(self, uri):
        return MLflow(uri=uri, registered_model="strategy")

    @pytest.fixture
    def tracked(self, uri):
        return lambda: sorted(found.info.run_id for found in runs_in(uri))

    def test_it_has_what_the_run_has(self, tracker, uri, run_dir) -> None:
        tracker.log(run_dir)
        [found] = runs_in(uri)
        assert (found.info.run_name, found.info.status) == ("first", "FINISHED")
        assert (
            found.info.start_time == 1000 * pd.Timestamp(load_manifest(run_dir).created).timestamp()
        )
        tags = found.data.tags
        assert (tags["rsc.run_id"], tags["rsc.seed"], tags["rsc.strategy"]) == ("first", "1", "dqn")
        assert tags["rsc.decision"] == "not promoted"
        params = found.data.params
        assert params["seed"] == "1"
        assert params["features.columns.0.name"] == "returns"
        assert params["features.columns.0.horizons"] == "[1, 2]"
        assert params["split.test"] == "null"
        stored = json.loads((run_dir / "evaluation" / "metrics.json").read_text())
        for key, metric in stored["metrics"]["PORTFOLIO"]["DQN"].items():
            assert found.data.metrics.get(key) == metric["value"], key

    def test_it_has_the_history_and_the_windows(self, tracker, uri, run_dir) -> None:
        tracker.log(run_dir)
        [found] = runs_in(uri)
        read = client_of(uri).get_metric_history
        history = pd.read_csv(run_dir / "training" / "history.csv")
        losses = read(found.info.run_id, "training/loss")
        assert [m.step for m in losses] == [5, 10, 15, 20]
        assert [m.value for m in losses] == list(history["loss"])
        table = pd.read_csv(run_dir / "evaluation" / "equity.csv", parse_dates=["timestamp"])
        own = table[(table["symbol"] == "PORTFOLIO") & (table["strategy"] == "DQN")]
        equity = own.set_index("timestamp")["equity"]
        first, second = json.loads((run_dir / "features" / "windows.json").read_text())["windows"]
        between = equity[first["test"][1]]  # the close before the second window begins
        assert [m.value for m in read(found.info.run_id, "windows/strategy_return")] == [
            pytest.approx(between / equity.iloc[0] - 1, abs=1e-12),
            pytest.approx(equity[second["test"][1]] / between - 1, abs=1e-12),
        ]
        assert equity.index[-1] == pd.Timestamp(second["test"][1])

    def test_values_go_in_batches(self, tracker, run_dir, monkeypatch) -> None:
        from mlflow import MlflowClient

        sizes, send = [], MlflowClient.log_batch

        def count(self, run_id, metrics=(), params=(), tags=(), **more):
            sizes.append((len(metrics), len(params)))
            return send(self, run_id, metrics=metrics, params=params, tags=tags, **more)

        def one_by_one(*_, **__):
            raise AssertionError("one by one")

        monkeypatch.setattr(MlflowClient, "log_batch", count)
        monkeypatch.setattr(MlflowClient, "log_metric", one_by_one)
        monkeypatch.setattr(MlflowClient, "log_param", one_by_one)
        tracker.log(run_dir)
        assert len([n for n, _ in sizes if n]) == 1  # all within the 1,000 of one call
        assert all(m <= 1000 and p <= 100 for m, p in sizes)
        monkeypatch.setattr(mlflow_tracker, "_MOST_METRICS", 7)
        everything = sum(m for m, _ in sizes)
        sizes.clear()
        MLflow(uri=tracker.uri, experiment="another").log(run_dir)
        assert max(m for m, _ in sizes) == 7
        assert sum(m for m, _ in sizes) == everything

    def test_it_has_the_files_and_registers_the_package(self, tracker, uri, run_dir) -> None:
        from mlflow.artifacts import download_artifacts

        said = tracker.log(run_dir)
        assert said.endswith("version 1 of the model 'strategy', its challenger")
        [found] = runs_in(uri)
        client = client_of(uri)
        names = {f.path for f in client.list_artifacts(found.info.run_id)}
        assert names == {"report.html", "report.md", "metrics.json", "config.yaml", "package"}
        version = client.get_model_version_by_alias("strategy", "challenger")
        assert version.run_id == found.info.run_id
        package = Path(download_artifacts(artifact_uri=version.source))
        assert hash_artifact(package) == hash_artifact(run_dir / "deployment" / "package")
        assert tracker.log(run_dir) == said
        assert len(client.search_model_versions("name = 'strategy'")) == 1
        assert Path(uri.removeprefix("sqlite:///")).parent in package.parents

    def test_a_run_that_was_changed_takes_the_place_of_the_one_before(
        self, tracker, uri, run_dir, tmp_path
    ) -> None:
        changed = Path(shutil.copytree(run_dir, tmp_path / "runs" / run_dir.name))
        tracker.log(changed)
        [before] = runs_in(uri)
        checks = {
            "evidence": None,
            "min_sharpe": None,
            "max_drawdown": None,
            "min_trades": 0,
            "max_excess_p": None,
        }
        thresholds = {"deployment.thresholds": {**checks, "beat_buy_and_hold": False}}
        again = run(resume=changed.name, store=changed.parent, overrides=thresholds, progress=False)
        assert again.verdict.promoted
        said = tracker.log(changed)
        [after] = runs_in(uri)
        assert after.info.run_id != before.info.run_id
        assert after.data.tags["rsc.decision"] == "promoted"
        assert said.endswith("version 2 of the model 'strategy', its champion")
        assert (
            client_of(uri).get_model_version_by_alias("strategy", "champion").run_id
            == after.info.run_id
        )

    def test_the_environment_says_where(self, uri, run_dir, monkeypatch) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        MLflow().log(run_dir)
        assert len(runs_in(uri)) == 1
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == os.environ["DO_NOT_TRACK"] == "true"

    def test_a_server_that_does_not_answer_is_one_line_at_once(self, run_dir, monkeypatch) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{port}")
        with pytest.raises(
            RunError, match=f"no MLflow server answers at http://me@127.0.0.1:{port}"
        ):
            MLflow().log(run_dir)


def test_a_password_in_the_configuration_is_refused_and_not_repeated() -> None:
    for uri in ("https://me:secret@host/path", "postgresql+psycopg2://me:a:s@cret@host:5432/db"):
        with pytest.raises(ConfigError, match="without a password") as caught:
            MLflow(uri=uri)
        assert "cret" not in str(caught.value)
    for uri in ("https://host:5000/a@b", "postgresql://me@host/db", "sqlite:////a/b.db"):
        assert MLflow(uri=uri).uri == uri


def test_keys_and_values_are_within_the_limits_of_mlflow() -> None:
    assert dict(flat({"a": {"b": [1, 2], "c": [{"d": "x"}, "y"]}, "e": {}, "f": []})) == {
        "a.b": "[1, 2]",
        "a.c.0.d": "x",
        "a.c.1": "y",
        "e": "{}",
        "f": "[]",
    }
    assert mlflow_tracker._key("ä b/c:d-e.f_g\n") == "_ b/c:d-e.f_g_"
    assert len(mlflow_tracker._key("x" * 999)) == 250
