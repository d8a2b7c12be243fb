from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.pipeline.config.yaml_file import (
    parse_yaml,
    read_yaml,
    show_path,
)


def parse(text: str):
    return parse_yaml(text, lambda line: f"f:{line}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # YAML 1.2.2, example 10.9 and the table of section 10.3.2
        ("null", None),
        ("~", None),
        ("", None),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("0", 0),
        ("0o7", 7),
        ("0x3A", 58),
        ("-19", -19),
        ("0.", 0.0),
        ("-0.0", -0.0),
        (".5", 0.5),
        ("+12e03", 12000.0),
        ("-2E+05", -200000.0),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("+.INF", math.inf),
        # what people write in a trading configuration
        ("1e-4", 0.0001),
        ("1E-4", 0.0001),
        ("010", 10),
        ("NO", "NO"),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("NA", "NA"),
        ("'1'", "1"),
        ('"null"', "null"),
        ("1e", "1e"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_scalars_mean_what_they_look_like(text: str, value: object) -> None:
    found = parse(f"a: {text}").value["a"]
    assert found == value
    assert type(found) is type(value)


def test_nan() -> None:
    assert math.isnan(parse("a: .NAN").value["a"])


def test_lines_of_keys_and_items() -> None:
    document = parse("a: 1\nb:\n  c:\n    - x\n    - d: 2\n\n  e: {f: 3}\n")
    assert document.value == {"a": 1, "b": {"c": ["x", {"d": 2}], "e": {"f": 3}}}
    assert document.lines[("a",)] == 1
    assert document.lines[("b", "c")] == 3
    assert document.lines[("b", "c", 1)] == 5
    assert document.lines[("b", "c", 1, "d")] == 5
    assert document.lines[("b", "e", "f")] == 7


def test_keys_are_text() -> None:
    assert parse("0700: {NO: 1}").value == {"0700": {"NO": 1}}


BILLION_LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"

REFUSALS = {
    "a: 1\nb: 2\na: 3": "f:3: a: duplicate key, first given on line 1.",
    "a: {b: 1, 'b': 2}": "f:1: a.b: duplicate key, first given on line 1.",
    BILLION_LAUGHS: "f:1: a: anchors (&a) are not allowed.",
    "a: *x": "f:1: a: aliases (*x) are not allowed.",
    "a: 1\nb: !!python/object:os.system x": (
        "f:2: b: tags are not allowed. Got 'tag:yaml.org,2002:python/object:os.system'."
    ),
    "a: !!str 3": "f:1: a: tags are not allowed. Got 'tag:yaml.org,2002:str'.",
    "a:\n\tb: 1": (
        "f:2: not valid YAML: found character '\\t' that cannot start any token. "
        "YAML indents with spaces."
    ),
    "a: [1, 2": "f:1: not valid YAML: expected ',' or ']', but got '<stream end>'.",
    "a: 1\nb: 'x": "f:2: not valid YAML: found unexpected end of stream.",
    "a: 1\nb: c: d": "f:2: not valid YAML: mapping values are not allowed here.",
    "a: 1\n---\nb: 2": "f:2: a second document ('---') is not allowed.",
    "%YAML 1.1\n---\na: NO": "f:2: must be YAML 1.2, not %YAML 1.1.",
    "a: 1\nb: x\x00": "f:2: not valid YAML: the character U+0000 is not allowed.",
    "? [a]\n: 1": "f:1: a key must be plain, non-empty text.",
    "a: 1\n: 2": "f:2: a key must be plain, non-empty text.",
    'a: "\\ud800"': "f:1: a: an unpaired surrogate is not text. Got '\\ud800'.",
    "a: 1e999": "f:1: a: the number is too large for a 64-bit float. Got '1e999'.",
    "a: " + "9" * 5000: (
        f"f:1: a: a number may have at most 400 characters, not 5000. Got '{'9' * 40}'."
    ),
    "a: " + "[" * 40 + "]" * 40: "f:1: a[0][0][0]: nested deeper than 32 levels.",
}


@pytest.mark.parametrize("text", REFUSALS, ids=lambda t: t[:20].encode("unicode_escape").decode())
def test_refusals(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text)
    assert str(error.value) == REFUSALS[text]


def test_nesting_up_to_the_bound_is_read() -> None:
    value = parse("a: " + "[" * 31 + "]" * 31).value["a"]
    for _ in range(30):
        (value,) = value
    assert value == []


@given(st.text(alphabet=st.sampled_from("ab:-[]{},#&*!|>'\"%@`? \n\t0x1.\x00é\ud800"), max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    message = "f:"
    try:
        parse(text)
    except ConfigError as error:
        message = str(error)
    assert message.startswith("f:")
    assert "\n" not in message


def test_show_path() -> None:
    assert show_path(("features", 2, "name")) == "features[2].name"
    assert show_path(()) == ""


def test_an_empty_file_is_an_empty_mapping(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    for text in ("", "# only a comment\n", "---\n"):
        file.write_text(text)
        assert read_yaml(file).value == {}


def test_a_byte_order_mark_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(file).value == {"a": 1}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"- 1\n- 2\n", "{f}:1: must be a mapping of keys to values, not a list."),
        (b"\nx\n", "{f}:2: must be a mapping of keys to values, not a single value."),
        (b"a: 1\nb: \xff\n", "{f}:2: must be UTF-8. Got the byte 0xff."),
        ("a: 1".encode("utf-16"), "{f}:1: must be UTF-8. Got the byte 0xff."),
        (b"a: 1 # " + b"x" * 256 * 1024, "{f}: a configuration may have at most 262144 bytes."),
    ],
)
def test_file_refusals(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(data)
    with pytest.raises(ConfigError) as error:
        read_yaml(file)
    assert str(error.value) == message.format(f=file)


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigError, match="/dev/zero: a configuration may have at most 262144"):
        read_yaml(Path("/dev/zero"))


def test_missing_files(tmp_path: Path) -> None:
    (tmp_path / "quick.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"quik.yaml: no such file. Did you mean 'quick.yaml'\?$"):
        read_yaml(tmp_path / "quik.yaml")
    (tmp_path / "compete.yaml").write_text("")  # alike by its suffix alone
    with pytest.raises(ConfigError, match=r"nope.yaml: no such file\.$"):
        read_yaml(tmp_path / "nope.yaml")
    with pytest.raises(ConfigError, match=r"other: no such file\.$"):
        read_yaml(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"a.yaml: no such file. There is no folder '.*nowhere'"):
        read_yaml(tmp_path / "nowhere" / "a.yaml")
    with pytest.raises(ConfigError, match="is a directory, not a configuration file"):
        read_yaml(tmp_path)
    with pytest.raises(ConfigError, match=r"'a\\x00b': cannot be read: embedded null byte"):
        read_yaml(Path("a\0b"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("a: 1")
    file.chmod(0)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        read_yaml(file)
