import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from deployment_cases import COLUMNS, package_policy, package_record, written
from policy_cases import plain_network, random_network, random_weights

from reinforcestrategycreator_pipeline.deployment import package_files
from reinforcestrategycreator_pipeline.deployment.package import (
    DataSchema,
    load_package,
    read_schema,
    verify_package,
    write_package,
)
from reinforcestrategycreator_pipeline.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    RunError,
)
from reinforcestrategycreator_pipeline.files import seal
from reinforcestrategycreator_pipeline.policies.base import load_policy
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors, write_tensors

NAMES = {
    "policy.safetensors",
    "schema.json",
    "config.yaml",
    "MODEL_CARD.md",
    "manifest.json",
}


@pytest.fixture
def package(tmp_path):
    written(tmp_path / "package")
    return tmp_path / "package"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def reseal(folder, change):
    """Change the manifest as its author could: with a seal that fits."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    manifest["seal"] = seal(manifest)
    path.write_text(json.dumps(manifest))


def test_what_was_written_is_what_is_read(package):
    given = package_policy()
    assert {path.name for path in package.iterdir()} == NAMES
    manifest = verify_package(package)
    assert manifest["promotion"]["promoted"] is False
    assert manifest["provenance"]["spans"] == {"test": ["2010-01-04", "2013-03-01"]}
    assert set(manifest["files"]) == NAMES - {"manifest.json"}
    assert (package / "config.yaml").read_text() == "seed: 7\n"
    assert (package / "MODEL_CARD.md").read_text("utf-8") == "# Card – «µ»\n"
    assert read_schema(package) == package_record().schema
    policy = load_package(package)
    assert (policy.positions, policy.inputs) == ((0.0, 1.0), package_policy().inputs)
    assert policy.scaler.to_dict() == given.scaler.to_dict()
    assert policy.network.to_header() == given.network.to_header()
    for name, array in given.network.weights.items():
        assert policy.network.weights[name].tobytes() == array.tobytes()
        assert policy.network.weights[name].dtype == np.float32


def test_the_returned_manifest_is_the_written_one(tmp_path):
    assert written(tmp_path / "a") == verify_package(tmp_path / "a")


def test_float64_weights_keep_their_bits(tmp_path):
    weights = random_weights((5, 4, 2), dtype=np.float64)
    written(tmp_path / "a", package_policy(network=plain_network(weights)))
    read = load_package(tmp_path / "a").network.weights
    assert all(read[k].tobytes() == v.tobytes() for k, v in weights.items())


def test_same_arguments_same_bytes(tmp_path):
    written(tmp_path / "a")
    written(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    written(tmp_path / "c", package_policy(network=random_network((5, 4, 2), seed=1)))
    before, after = contents(tmp_path / "a"), contents(tmp_path / "c")
    changed = {name for name in NAMES if before[name] != after[name]}
    assert changed == {"policy.safetensors", "manifest.json"}


def test_a_package_may_be_moved_and_reached_through_a_link(package, tmp_path):
    moved = tmp_path / "elsewhere" / "v1"
    shutil.copytree(package, moved)
    (tmp_path / "current").symlink_to(moved)
    assert verify_package(tmp_path / "current") == verify_package(package)


def test_a_new_package_replaces_an_old_one(package):
    written(package, config_yaml="seed: 8\n")
    verify_package(package)
    assert (package / "config.yaml").read_text() == "seed: 8\n"
    assert [p.name for p in package.parent.iterdir()] == ["package"]


def test_what_is_not_a_package_is_not_replaced(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="neither empty nor a package, so it is not replaced"):
        written(tmp_path / "home")
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="is not a folder"):
        written(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "home")
    with pytest.raises(RunError, match="is not a folder"):
        written(tmp_path / "link")
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    written(tmp_path / "empty")
    verify_package(tmp_path / "empty")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"provenance": {"when": object()}}, "the provenance of a package must be valid as JSON"),
        ({"provenance": {"run": "\udc80"}}, "the provenance of a package must be valid as JSON"),
        (
            {"schema": DataSchema((), (float("inf"), 1.0))},
            "the schema of a package must be valid as JSON",
        ),
        ({"promotion": {"checks": []}}, "promoted parameter of promotion must be true or false"),
        ({"promotion": {"promoted": "no"}}, "promoted parameter of promotion must be true or"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        written(tmp_path / "package", **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_package(package, monkeypatch):
    before = contents(package)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reinforcestrategycreator_pipeline.deployment.package.file_entry", full)
    with pytest.raises(RunError, match="No space left on device"):
        written(package, config_yaml="seed: 9\n")
    assert contents(package) == before
    assert [p.name for p in package.parent.iterdir()] == ["package"]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_flipped_bit_is_found(package, name):
    path = package / name
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in {0, len(data) - 1, *rng.integers(len(data), size=40).tolist()}:
        broken = bytearray(data)
        broken[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        if name == "manifest.json" and _same_json(data, broken):
            continue  # white space
        with pytest.raises(CheckpointError):
            verify_package(package)
        with pytest.raises(CheckpointError):
            load_package(package)
    path.write_bytes(data)
    verify_package(package)


def _same_json(a, b):
    try:
        return json.loads(a) == json.loads(bytes(b))
    except ValueError:
        return False


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_truncated_or_missing_file_is_found(package, name):
    data = (package / name).read_bytes()
    (package / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError):
        verify_package(package)
    (package / name).unlink()
    with pytest.raises(CheckpointError, match=r"missing from the package|has no manifest\.json"):
        verify_package(package)


@pytest.mark.parametrize("name", ["extra.txt", ".hidden", "policy.safetensors.bak"])
def test_an_extra_file_is_refused(package, name):
    (package / name).write_text("x")
    with pytest.raises(CheckpointError, match=f"{name}: is not in the package's manifest"):
        verify_package(package)


def test_links_folders_and_pipes_are_refused(package, tmp_path):
    target = tmp_path / "config.yaml"
    (package / "config.yaml").rename(target)
    (package / "config.yaml").symlink_to(target)  # the very same content
    with pytest.raises(CheckpointError, match=r"config\.yaml: a package has no symbolic links"):
        verify_package(package)
    (package / "config.yaml").unlink()
    (package / "config.yaml").mkdir()
    with pytest.raises(CheckpointError, match=r"config\.yaml: a package has regular files only"):
        verify_package(package)
    (package / "config.yaml").rmdir()
    os.mkfifo(package / "config.yaml")  # reading it would wait for ever
    with pytest.raises(CheckpointError, match=r"config\.yaml: a package has regular files only"):
        verify_package(package)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "sub/file", "a\\b", "a\0b", "..", ".", "", "manifest.json"]
)
def test_a_name_that_leads_elsewhere_is_refused(package, name):
    entry = {"sha256": "0" * 64, "bytes": 1}
    reseal(package, lambda m: m["files"].update({name: entry}))
    with pytest.raises(CheckpointError, match="is not a plain file name"):
        verify_package(package)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format="policy-package/9"), "has the format 'policy-package/9'"),
        (lambda m: m.pop("format"), "has the format None"),
        (lambda m: m.update(files=[]), "its 'files' must be an object"),
        (lambda m: m["files"].pop("schema.json"), "its 'files' lack 'schema.json'"),
        (lambda m: m["files"]["schema.json"].update(bytes=1), "schema.json: its content does not"),
        (lambda m: m["files"].update({"schema.json": None}), "schema.json: its content does not"),
    ],
)
def test_a_manifest_that_lies_is_refused(package, change, message):
    reseal(package, change)
    with pytest.raises(CheckpointError, match=message):
        verify_package(package)


def test_a_promotion_that_was_edited_by_hand_is_found(package):
    path = package / "manifest.json"
    path.write_text(path.read_text().replace('"promoted": false', '"promoted": true'))
    with pytest.raises(CheckpointError, match="does not match its seal; it is damaged"):
        verify_package(package)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{", "[" * 100_000, '{"format": "policy-package/1", "x": NaN}', "\xff"],
)
def test_a_manifest_that_is_none_is_refused(package, text):
    (package / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError) as caught:
        verify_package(package)
    assert "\n" not in str(caught.value)


def test_an_oversized_json_is_not_read(package, monkeypatch):
    monkeypatch.setattr(package_files, "MAX_JSON_BYTES", 100)
    with pytest.raises(CheckpointError, match="bytes exceed the limit of 100"):
        verify_package(package)


def test_no_folder_no_package(tmp_path):
    with pytest.raises(CheckpointError, match="no such package folder"):
        load_package(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="no such package folder"):
        verify_package(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"not a package: it has no manifest\.json"):
        verify_package(tmp_path / "empty")
    with pytest.raises(CheckpointError, match="cannot read"):
        load_policy(tmp_path / "none")


def test_without_the_check_of_all_files_the_weights_are_still_checked(package):
    (package / "MODEL_CARD.md").write_text("edited")
    with pytest.raises(CheckpointError, match=r"MODEL_CARD\.md"):
        load_package(package)
    assert load_policy(package / "policy.safetensors").inputs.lookback == 5
    path = package / "policy.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="does not match its SHA-256"):
        load_policy(package / "policy.safetensors")


def test_weights_of_something_else_are_refused(package):
    for other in ("dqn/2", "policy/2"):
        write_tensors(package / "policy.safetensors", random_weights((5, 4, 2)), {"format": other})
        with pytest.raises(CheckpointError, match=rf"not a policy of this version \(.*'{other}'"):
            load_policy(package / "policy.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.pop("head"), "lacks 'head'"),
        (lambda h: h.pop("positions"), "lacks 'positions'"),
        (lambda h: h.pop("scaler"), "the policy lacks 'scaler'"),
        (lambda h: h["inputs"].update(names=["a", "b"]), "needs a scaler for 2 features"),
        (lambda h: h["inputs"].update(names=None), "policy"),
        (lambda h: h["inputs"].update(lookback="5"), "lookback must be an integer"),
        (lambda h: h["scaler"].update(scale=[-1.0, 1.0, 1.0]), "scale finite and >= 0"),
        (lambda h: h["network"].update(n_actions=3), "needs a network|must have the shape"),
        (lambda h: h["network"].update(layer_norm=True), "lacks the tensor 'gain0'"),
        (lambda h: h.update(head="nothing:Here"), "import nothing first, if you trust it"),
    ],
)
def test_a_header_that_does_not_fit_is_a_damaged_package(package, change, message):
    tensors, header = read_tensors(package / "policy.safetensors")
    change(header)
    write_tensors(package / "policy.safetensors", tensors, header)
    with pytest.raises(CheckpointError, match=message):
        load_policy(package / "policy.safetensors")


def test_the_schema_is_of_all_assets():
    hours = pd.date_range("2020-01-01", periods=9, freq="h", tz="UTC")
    days = pd.date_range("2020-01-01", periods=9, freq="D", tz="UTC")
    both = {
        "A": pd.DataFrame(1.0, hours, [*COLUMNS, "mood"]),
        "B": pd.DataFrame(1.0, days, [*COLUMNS, "rate"]),
    }
    schema = DataSchema.of(both)
    assert (schema.columns, schema.bar_seconds) == (COLUMNS, (3600.0, 86_400.0))
    assert [rules.columns for rules in schema.rules.values()] == [COLUMNS, COLUMNS]
    assert schema.rules_of("B").calendar.bar_seconds == 86_400.0
    with pytest.raises(DataError, match=r"was not trained on 'BB'\. Did you mean 'B'\?.*BarRules"):
        schema.rules_of("BB")
    for symbol, frame in both.items():
        schema.require(frame, symbol)


def test_bars_that_the_policy_does_not_know_are_refused():
    days = pd.date_range("2020-01-01", periods=9, freq="D", tz="UTC")
    schema = DataSchema.of({"A": pd.DataFrame(1.0, days, [*COLUMNS, "mood"])})
    schema.require(pd.DataFrame(1.0, days, ["more", "mood", *COLUMNS[::-1]]), "A")
    with pytest.raises(DataError, match=r"A: the policy needs the column high, low, .*, mood"):
        schema.require(pd.DataFrame(1.0, days, ["open"]), "A")
    hours = pd.date_range("2020-01-01", periods=9, freq="h", tz="UTC")
    with pytest.raises(DataError, match=r"trained on bars of 86400 seconds\. Got .* 3600 s"):
        schema.require(pd.DataFrame(1.0, hours, [*COLUMNS, "mood"]), "A")


@pytest.mark.parametrize("text", ["{}", '{"columns": 3, "bar_seconds": [1, 2]}', "[]", "{"])
def test_a_schema_that_is_none_is_a_damaged_package(package, text):
    (package / "schema.json").write_text(text)
    with pytest.raises(CheckpointError, match="schema"):
        read_schema(package)


def test_write_package_accepts_a_path_as_text(tmp_path):
    write_package(str(tmp_path / "a" / "b"), package_policy(), package_record())
    verify_package(str(tmp_path / "a" / "b"))


def test_the_folder_of_a_run_names_its_package(tmp_path):
    written(tmp_path / "run" / "deployment" / "package")
    for folder in (tmp_path / "run", tmp_path / "run" / "deployment"):
        with pytest.raises(
            CheckpointError, match=r"not a package; the run's package is .*package$"
        ):
            load_package(folder)
