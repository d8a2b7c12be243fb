from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.files import sealed_text
from reinforcestrategycreator_pipeline.runs.log import open_log
from reinforcestrategycreator_pipeline.runs.manifest import (
    Manifest,
    StageRecord,
    hash_artifact,
    jsonable,
    load_manifest,
    stage_key,
)

MANIFEST = (
    '{"format": 4, "run_id": "r", "seed": 1, "package_version": "0", "config": {}, '
    '"stages": {"a": {%s}}}'
)


def test_a_manifest_loads_back(tmp_path: Path) -> None:
    record = StageRecord("complete", "k", {"a": "1"}, {"b": "2"}, 1.5, {"x": [1]}, ["one/c"], None)
    manifest = Manifest("r", 1, "0", {"seed": 1}, stages={"one": record, "two": StageRecord()})
    manifest.save(tmp_path)
    assert load_manifest(tmp_path) == manifest
    created = manifest.created
    manifest.save(tmp_path)
    assert load_manifest(tmp_path).created == created
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"manifest.json: is damaged: not valid JSON"),
        ("[]", r"manifest.json: is damaged: it is not a run's manifest\. Start a new run\.$"),
        (
            '{"format": 1, "package_version": "0.1.0"}',
            r"was written by another version \('0.1.0', format 1; this version needs format 4\)",
        ),
        ('{"format": 4}', r"manifest.json: is damaged: 'stages'"),
        ('{"format": 4, "stages": {}, "x": 1}', r"manifest.json: is damaged: .*'x'"),
        ('{"format": 4, "stages": {"a": {"y": 1}}}', r"manifest.json: is damaged: .*'y'"),
        (
            '{"format": 4, "run_id": "r", "seed": 1, "package_version": "0", "config": {}, '
            '"stages": {"a": {"status": "odd"}}}',
            r"is damaged: stage 'a' is 'odd'\.",
        ),
        (MANIFEST % '"seconds": "1"', r"is damaged: the seconds of stage 'a' is '1'\."),
        (MANIFEST % '"outputs": [1]', r"is damaged: the outputs of stage 'a' is \[1\]\."),
        (MANIFEST % '"inputs": {"x": 1}', r"is damaged: the inputs of stage 'a' is {'x': 1}\."),
        (MANIFEST % '"scratch": "a"', r"is damaged: the scratch of stage 'a' is 'a'\."),
        (
            MANIFEST % '"scratch": ["a/../../b"]',
            r"damaged: 'a/../../b' is not a folder of stage 'a'",
        ),
        (MANIFEST % '"scratch": ["/a"]', r"damaged: '/a' is not a folder of stage 'a'"),
        (MANIFEST % '"scratch": ["b/c"]', r"damaged: 'b/c' is not a folder of stage 'a'"),
        (
            MANIFEST.replace('"seed": 1', '"seed": 1.5') % "",
            r"is damaged: the seed of the run is 1.5\.",
        ),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str, message: str) -> None:
    if text.startswith('{"'):  # a program with a defect might seal it
        found = json.loads(text)
        text = sealed_text(found)
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(RunError, match=message):
        load_manifest(tmp_path)


def test_whatever_is_edited_breaks_the_seal(tmp_path: Path) -> None:
    record = StageRecord("complete", "k", {"a": "1"}, {"b": "2"}, 1.5, {"sharpe": 0.5})
    Manifest("r", 1, "0", {"seed": 1, "x": [True]}, stages={"one": record}).save(tmp_path)
    path = tmp_path / "manifest.json"
    whole = json.loads(path.read_text())

    def leaves(value, at=()):
        if isinstance(value, dict) and value:
            return [x for key, item in value.items() for x in leaves(item, (*at, key))]
        return [at]

    edits = [at for at in leaves(whole) if at != ("format",)]
    assert ("stages", "one", "summary", "sharpe") in edits
    for at in edits:
        found = json.loads(path.read_text())
        inner = found
        for key in at[:-1]:
            inner = inner[key]
        inner[at[-1]] = "edited"
        (tmp_path / "edited").mkdir(exist_ok=True)
        (tmp_path / "edited" / "manifest.json").write_text(json.dumps(found))
        with pytest.raises(RunError, match="does not match its seal, so it was edited or cut"):
            load_manifest(tmp_path / "edited")


def test_bytes_that_are_no_utf8_come_back(tmp_path: Path) -> None:
    Manifest("r", 1, "0", {"path": "b\udcff.csv"}, folder="/\udcfe/ü").save(tmp_path)
    found = load_manifest(tmp_path)
    assert (found.config, found.folder) == ({"path": "b\udcff.csv"}, "/\udcfe/ü")


def test_a_missing_manifest(tmp_path: Path) -> None:
    never = r"no such file: the run never started, or is not a run\."
    with pytest.raises(RunError, match=f"{never} Its name is free: rsc run --run-id test_a"):
        load_manifest(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RunError, match=f"{never}$"):
        load_manifest(tmp_path)
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(RunError, match="cannot be read: Is a directory"):
        load_manifest(tmp_path)


def test_the_key_covers_each_part() -> None:
    base = ("training", {"a": 1, "b": [2]}, 7, {"x": "h"}, "1.0")
    key = stage_key(*base)
    assert key == stage_key("training", {"b": (2,), "a": 1}, 7, {"x": "h"}, "1.0")
    others = [
        ("evaluation", *base[1:]),
        (base[0], {"a": 1, "b": [3]}, *base[2:]),
        (*base[:2], 8, *base[3:]),
        (*base[:3], {"x": "i"}, base[4]),
        (*base[:3], {"y": "h"}, base[4]),
        (*base[:4], "1.1"),
    ]
    assert len({key, *(stage_key(*other) for other in others)}) == 7


def test_a_folders_hash(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "x").write_bytes(b"1")
    (folder / "a").write_bytes(b"2")
    lines = [("a", b"2"), ("b/x", b"1")]
    text = "".join(f"{name}\0{hashlib.sha256(data).hexdigest()}\n" for name, data in lines)
    first = hash_artifact(folder)
    assert first == hashlib.sha256(text.encode()).hexdigest()
    (folder / "a").rename(folder / "c")  # same bytes under another name
    assert hash_artifact(folder) != first
    assert hash_artifact(tmp_path / "nothing") is None
    assert hash_artifact(folder / "c") == hashlib.sha256(b"2").hexdigest()


def test_jsonable() -> None:
    found = jsonable(
        {
            1: np.float32(0.5),
            "i": np.int64(3),
            "b": np.bool_(True),
            "nan": np.float64("nan"),
            "inf": float("-inf"),
            "t": (Path("a/b"), pd.Timestamp("2024-01-01", tz="UTC")),
        }
    )
    assert found == {
        "1": 0.5,
        "i": 3,
        "b": True,
        "nan": None,
        "inf": None,
        "t": ["a/b", "2024-01-01T00:00:00+00:00"],
    }
    json.dumps(found, allow_nan=False)
    with pytest.raises(TypeError, match="cannot write an object of type ndarray as JSON"):
        jsonable({"x": np.zeros(2)})


def test_the_log_is_json_lines_whatever_comes(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.bind(stage="s").info("hello\nthere", loss=np.float64("nan"), odd={1}, name="\udcff")
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"event": "torn')  # as a kill would leave it
    with open_log(tmp_path) as log:
        log.warning("again")
        try:
            raise KeyError("clse")
        except KeyError as error:
            log.error("stopped", stage="training", raised=error)
    first, torn, second, third = (tmp_path / "log.jsonl").read_text().splitlines()
    event = json.loads(first)
    assert event["event"] == "hello\nthere"
    assert event["loss"] is None
    assert event["odd"] == "{1}"
    assert event["level"] == "info"
    assert event["stage"] == "s"
    assert event["timestamp"].endswith("Z")
    assert torn == '{"event": "torn'
    assert json.loads(second)["event"] == "again"
    stopped = json.loads(third)
    assert (stopped["level"], stopped["stage"]) == ("error", "training")
    assert stopped["exception"].startswith("Traceback (most recent call last):\n")
    assert stopped["exception"].endswith("KeyError: 'clse'")


def test_a_log_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").mkdir()
    with (
        pytest.raises(RunError, match=r"log.jsonl: cannot write: Is a directory"),
        open_log(tmp_path),
    ):
        pass
