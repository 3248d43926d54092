"""The parser of the run contract: every limit of section 2, and one exception type."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.report.contract.strict_json import (
    MAX_BYTES,
    MAX_STRING,
    canonical,
    digest,
    dump,
    parse,
    sha256,
)
from zeroproofml.report.errors import FileInvalid

REFUSED = {
    "empty": b"",
    "bom": b"\xef\xbb\xbf{}",
    "not utf-8": b'{"a":"\xff"}',
    "utf-16": '{"a":1}'.encode("utf-16"),
    "overlong": b'"\xc0\xaf"',
    "truncated": b'{"a": [1, 2',
    "trailing": b"{} {}",
    "trailing comma": b"[1,]",
    "single quotes": b"{'a':1}",
    "comment": b"{} // x",
    "NaN": b'{"a":NaN}',
    "Infinity": b"[Infinity]",
    "-Infinity": b"[-Infinity]",
    "overflow": b"[1e999]",
    "negative overflow": b"[-1e999]",
    "overflow with a sign": b"[1E+999]",
    "overflow behind zeros": b"[1e0999]",
    "overflow by digits": b"[" + b"9" * 400 + b".5]",
    "overflow by both": b"[" + b"9" * 290 + b".5e99]",
    "duplicate": b'{"a":1,"b":2,"a":1}',
    "nested duplicate": b'[{"x":{"a":1,"a":2}}]',
    "escaped duplicate": b'{"a":1,"\\u0061":2}',
    "integer": b"[9007199254740992]",
    "negative integer": b"[-9007199254740992]",
    "integer alone": b"9007199254740992",
    "integer after a long fraction": b'{"a":0.12345678901234567,"b":-9007199254740992}',
    "5000 digits": b"[" + b"7" * 5000 + b"]",
    "deep list": b"[" * 100_000,
    "deep balanced": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"a":' * 33 + b"1" + b"}" * 33,
    "deep behind a string": b'["]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",' + b"[" * 40 + b"]" * 41,
    "lone surrogate": b'["\\ud800"]',
    "control character": b'["\x01"]',
    "leading zero": b"[01]",
    "hex": b"[0x1]",
    "long string": b'["' + b"a" * (MAX_STRING + 1) + b'"]',
    "long string of escapes": b'["' + b"\\n" * (MAX_STRING + 1) + b'"]',
    "long key": b'{"' + b"a" * (MAX_STRING + 1) + b'":1}',
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    with pytest.raises(FileInvalid) as caught:
        parse(REFUSED[name], path="x.json")
    assert caught.value.code == "json_strict"
    assert caught.value.exit_code == 5
    assert caught.value.path == "x.json"
    assert "\n" not in str(caught.value)


def test_size_limit():
    with pytest.raises(FileInvalid, match="exceed the limit"):
        parse(b" " * (MAX_BYTES + 1))


def test_limits_are_inclusive():
    assert parse(b"[" * 32 + b"]" * 32) is not None
    assert parse(b"[9007199254740991,-9007199254740991]") == [2**53 - 1, 1 - 2**53]
    assert parse(b'["' + b"a" * MAX_STRING + b'"]') == ["a" * MAX_STRING]
    assert parse(b"[1e308]") == [1e308]


def test_brackets_in_strings_do_not_count_as_depth():
    text = b'["' + b"[" * 1000 + b'","\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["]'
    assert parse(text) == ["[" * 1000, '"' + "[" * 38]


@pytest.mark.parametrize("text", [b'"' * 200_001, b'"' + b'\\"' * 100_000, b"\\" * 300_000])
def test_hostile_quotes_take_linear_time(text):
    with pytest.raises(FileInvalid):
        parse(text)


@given(st.binary(max_size=200))
def test_one_exception_type_for_any_bytes(data):
    try:
        parse(data)
    except FileInvalid as error:
        assert error.code == "json_strict"  # noqa: PT017 - either outcome is right


@given(
    st.text(alphabet='[]{}",:\\ \n0123456789.eE+-truefalsnNIy\ud800\u0301é', max_size=80).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    )
)
def test_one_exception_type_for_json_like_text(data):
    try:
        value = parse(data)
    except FileInvalid:
        return
    assert value == json.loads(data)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(1 - 2**53, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcdé", max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


def same(a, b):
    """Equality that sees the type of a number and the sign of zero; text after NFC."""
    return canonical(a) == canonical(b)


@given(JSON)
def test_both_forms_round_trip(value):
    assert same(parse(dump(value)), value)
    assert same(parse(canonical(value)), value)
    assert dump(value).endswith(b"\n")
    assert not dump(value).endswith(b"\n\n")


def test_canonical_form_is_the_one_of_the_contract():
    assert canonical({"b": 1.0, "a": [True, None, "é"], "Z": -0.0}) == (
        '{"Z":-0.0,"a":[true,null,"é"],"b":1.0}'.encode()
    )
    assert canonical({"é": "e\u0301"}) == canonical({"e\u0301": "é"})
    assert canonical(5e-324) == b"5e-324"
    assert dump({"b": [1], "a": {}}) == b'{\n "a": {},\n "b": [\n  1\n ]\n}\n'


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, 2**53, {1: 2}, {"a": b"x"}, {"é": 1, "e\u0301": 2}, "\ud800", {1, 2}],
)
def test_what_cannot_be_written(value):
    with pytest.raises(FileInvalid) as caught:
        canonical(value)
    assert caught.value.code == "json_strict"


def test_a_value_too_deep_cannot_be_written():
    value: list = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(FileInvalid):
        canonical(value)


def test_digest():
    assert sha256(b"abc") == (
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert digest({"a": 1, "b": [2]}) == sha256(b'{"a":1,"b":[2]}')
    assert digest({"a": 1}) != digest({"a": 1.0})


@pytest.mark.parametrize("beyond", [2**53, -(2**53)])
def test_a_list_of_integers_is_written_within_the_limits(beyond):
    assert dump([1, 1 - 2**53]) == b"[\n 1,\n -9007199254740991\n]\n"
    with pytest.raises(FileInvalid, match="54 bits"):
        dump([1, beyond])
