"""Recipe files as plain data: what is refused, and that every refusal says where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omnipatch.core.errors import InputError
from omnipatch.core.settings_yaml import dump_yaml, parse_value, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: !!python/object/apply:os.system [ls]", r"f\.yaml:2: tag .* is refused"),
        ("a: !!python/name:os.system x", r"f\.yaml:1: tag .* is refused"),
        ("a: !own x", r"f\.yaml:1: tag !own is refused"),
        ("a:\n  class_path: os.system", r"f\.yaml:2: key class_path is refused"),
        ("a: {init_args: {}}", r"f\.yaml:1: key init_args is refused"),
        ("a: 1\na: 2", r"f\.yaml:2: key 'a' is written twice"),
        ("a: [1", r"f\.yaml:1: not valid YAML"),
        ("- 1", r"a recipe is a mapping"),
        ("a: &a [*a]", r"f\.yaml"),
    ],
)
def test_refused_with_file_and_line(text, words):
    with pytest.raises(InputError, match=words):
        parse_yaml(text, "f.yaml")


def test_aliases_cannot_blow_up():
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(InputError, match="too large or too deeply nested"):
        parse_yaml("\n".join(lines), "bomb.yaml")


def test_places_of_keys_and_of_what_encloses_them():
    located = parse_yaml("trainer:\n  max_steps: 3\nencoder: {width: 4}\n", "r.yaml")
    assert located.where("trainer.max_steps") == "r.yaml:2"
    assert located.where("encoder.width.deeper") == "r.yaml:3"
    assert located.where("nothing") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("384", 384), ("true", True), ("[1, 2]", [1, 2]), ("null", None), ("a: b: c", "a: b: c"),
     ("2026-11-21", "2026-11-21"), ("{name: span}", {"name": "span"}), ("~/data", "~/data"), ("", None)],
)  # fmt: skip
def test_override_values(text, value):
    assert parse_value(text) == value


def test_an_override_cannot_import_code():
    with pytest.raises(InputError, match="refused"):
        parse_value("{class_path: os.system}")
    with pytest.raises(InputError, match="refused"):
        parse_value("!!python/name:os.system")


def test_a_missing_or_binary_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="not found"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="UTF-8"):
        read_yaml(tmp_path / "b.yaml")


_KEY = st.text("abcde", min_size=1, max_size=4)
_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEY, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abcdefgh", min_size=1, max_size=5), _PLAIN, max_size=4))
def test_what_is_written_is_read_back(data):
    assert parse_yaml(dump_yaml(data), "x").data == data


@pytest.mark.parametrize(
    "text", ["1e-3", "1E5", "0x10", "yes", "2026-11-21", "\x85", "a\u2028b", "\u2029", "null", "~", " x ", "a\n"]
)
def test_text_that_looks_like_something_else_stays_text(text):
    assert parse_yaml(dump_yaml({"x": text, "y": [text]}), "x").data == {"x": text, "y": [text]}


@given(st.text(max_size=60))
def test_any_text_is_data_or_one_error(text):
    try:
        outcome = parse_yaml(text, "x").data
    except InputError as error:
        outcome = str(error)
    assert isinstance(outcome, dict) or outcome.startswith("x")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive(number):
    assert parse_yaml(dump_yaml({"x": number}), "x").data["x"] == number
