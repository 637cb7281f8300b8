"""Splicing against the standard library's json, which reads what clients write and keeps duplicates when asked to."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hydrallm.errors import RequestError
from hydrallm.formats.splice import locate, splice

MODEL = '"us.anthropic/näm\\"e:0"'
BYTE_ORDER_MARK = "\ufeff"

Members = list[tuple[str, Any]]


def read(body: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """Read ``body`` with nothing lost: objects are lists of pairs in a tuple, numbers keep their spelling."""
    return json.loads(
        body.decode("utf-8").removeprefix(BYTE_ORDER_MARK),
        object_pairs_hook=lambda pairs: ("object", pairs),
        parse_int=lambda text: ("number", text),
        parse_float=lambda text: ("number", text),
        parse_constant=lambda text: ("number", text),
    )


def members(body: bytes) -> Members:
    kind, pairs = read(body)
    assert kind == "object"
    return list(pairs)


# -- Bodies as clients write them, and worse --------------------------------------------------------------------------

white = st.sampled_from(["", "", " ", "\t", "\r\n", " \n  "])
plain = st.characters(blacklist_categories=["Cs"], blacklist_characters='"\\', min_codepoint=0x20)
awkward = st.sampled_from([
    r"\ud800", r"\uDFFF", r"\ud83d\ude00", r"\\ud800", r"\"", r"\\", r"\n", r"\/", r"\u006d", r"\u0000",
    r"\uD7ff", '\\"model\\":', '\\",\\"model\\":\\"x', "NaN", " Infinity,", ":NaN,",
    "{", "}", "[", "]", ",", ":", "model", "漢", "😀",
])  # fmt: skip
strings = st.lists(plain | awkward, max_size=4).map(lambda parts: '"' + "".join(parts) + '"')
scalars = st.sampled_from([
    "0", "-0", "1", "-12.5e-3", "1E+2", "1e400", "-1e400", "9" * 40, "0.1" + "0" * 40 + "1",
    "true", "false", "null", "NaN", "Infinity", "-Infinity",
])  # fmt: skip
spellings = {
    "model": ['"model"', r'"mod\u0065l"', r'"\u006d\u006F\u0064\u0065\u006c"'],
    "stream": ['"stream"', r'"\u0073tream"'],
}
top_names = st.sampled_from([*spellings["model"], *spellings["stream"], '"messages"', '"Model"', '"models"']) | strings


@st.composite
def arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    items = [draw(white) + item + draw(white) for item in draw(st.lists(values, max_size=3))]
    return "[" + (",".join(items) or draw(white)) + "]"


@st.composite
def objects(draw: st.DrawFn, names: st.SearchStrategy[str], values: st.SearchStrategy[str], size: int = 3) -> str:
    pairs = draw(st.lists(st.tuples(names, values), max_size=size))
    items = [draw(white) + name + draw(white) + ":" + draw(white) + value + draw(white) for name, value in pairs]
    return "{" + (",".join(items) or draw(white)) + "}"


values = st.recursive(strings | scalars, lambda inner: arrays(inner) | objects(top_names, inner), max_leaves=6)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    start = draw(st.sampled_from(["", "", "", BYTE_ORDER_MARK]))
    return (start + draw(white) + draw(objects(top_names, values, size=7)) + draw(white)).encode()


@settings(max_examples=1000)
@given(body=bodies())
@example(body=rb'{"a":{"model":"x"},"b":"\"model\":\"y\"","mod\u0065l" :1e400 ,"c":"\ud800"}')
@example(body=b'{"a":' + b"9" * 5000 + b',"model":NaN}')
@example(body=rb'{"\ud86dodel":1,"\uDC6dodel":2}')
@example(body=rb'{"\ud06dodel":1,"x":"\ud800","model":2}')
def test_only_the_top_level_model_changes(body: bytes) -> None:
    before = members(body)
    names = [name for name, _ in before]
    if names.count("model") > 1 or names.count("stream") > 1:
        with pytest.raises(RequestError) as caught:
            locate(body)
        assert caught.value.status == 400
        assert "more than one" in str(caught.value)
        return

    located = locate(body)
    model_json = MODEL.encode()
    after = splice(body, located, model_json)

    replaced = after[located.start : len(after) - (len(body) - located.end)]
    assert after == body[: located.start] + replaced + body[located.end :]
    assert located.stream == (("stream", True) in before)
    changed = ("model", json.loads(MODEL))
    if "model" in names:
        at = names.index("model")
        assert members(after) == [*before[:at], changed, *before[at + 1 :]]
        assert read(body[located.start : located.end]) == before[at][1]
        assert len(after) == len(body) + len(model_json) - (located.end - located.start)
        was = before[at][1]
        assert located.model == (was.encode("utf-8", "replace").decode() if isinstance(was, str) else None)
    else:
        assert members(after) == [changed, *before]
        assert len(after) == len(body) + len(b'"model":') + len(model_json) + bool(before)
        assert located.model is None


@settings(max_examples=400)
@given(body=bodies(), data=st.data())
def test_what_is_refused_is_what_json_refuses(body: bytes, data: st.DataObject) -> None:
    """A body broken at a random place is refused when, and only when, it is no JSON object any more."""
    at = data.draw(st.integers(0, len(body)))
    length = data.draw(st.integers(0, 3))
    broken = body[:at] + data.draw(st.binary(max_size=2) | st.sampled_from([b",", b"}", b'"', b"\\", b"{", b"0"]))
    broken += body[at + length :]
    try:
        kind, pairs = read(broken)
        names = [name for name, _ in pairs]
        fine = kind == "object" and names.count("model") < 2 and names.count("stream") < 2
    except ValueError:
        fine = False
    if fine:
        locate(broken)
    else:
        with pytest.raises(RequestError) as caught:
            locate(broken)
        assert caught.value.status == 400


@given(body=st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_anything_else_is_refused_politely(body: bytes) -> None:
    with pytest.raises(RequestError, match="the request body"):
        locate(b"[" + body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is empty"),
        (b"model=gpt-4o", "is not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"model":"a"', "is not valid JSON"),
        (b'{"model":"a"}}', "is not valid JSON: trailing characters"),
        (b'{"model":"a",}', "is not valid JSON: trailing comma"),
        (b"{'model':'a'}", "is not valid JSON"),
        (b'{"model":"a\nb"}', "is not valid JSON"),
        (b'{"model":"a","messages":["\xff"]}', "is not valid UTF-8 (byte 26)"),
        (b'{"model":"\xed\xa0\x80"}', "is not valid UTF-8"),
        ('{"model":"a"}'.encode("utf-16"), "is not valid UTF-8"),
        (b'{"model":"a","model":"a"}', 'more than one top-level "model"'),
        (rb'{"model":"a","x":{},"\u006dodel":"b"}', 'more than one top-level "model"'),
        (b'{"stream":true,"stream":true}', 'more than one top-level "stream"'),
        (rb'{"stream":true,"x":"\ud800","strea\u006d":false}', 'more than one top-level "stream"'),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deep"),
        (b'{"a":"\\ud800","b":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
    ],
    ids=lambda value: ascii(value[:24]) if isinstance(value, bytes) else value,
)
def test_refusals_say_why(body: bytes, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        locate(body)
    assert caught.value.status == 400
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("body", "stream"),
    [
        (b'{"stream":true}', True),
        (b'{"stream" : true }', True),
        (rb'{"\u0073tream":true,"x":"\ud800"}', True),
        (b'{"stream":false}', False),
        (b'{"stream":"true"}', False),
        (b'{"stream":1}', False),
        (b'{"stream":null}', False),
        (b'{"stream":[true]}', False),
        (b'{"x":{"stream":true}}', False),
        (b"{}", False),
    ],
)
def test_only_a_literal_true_is_a_stream(body: bytes, stream: bool) -> None:
    assert locate(body).stream is stream


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"model":"gpt-4o"}', "gpt-4o"),
        ('{"model":"漢"}'.encode(), "漢"),
        (rb'{"model":"a\/b\n\u00e9"}', "a/b\né"),
        (rb'{"model":"\ud83d\ude00"}', "😀"),
        (rb'{"model":"\ud83d"}', "?"),
        (b'{"model":null}', None),
        (b'{"model":{"model":"a"}}', None),
        (b"{}", None),
    ],
)
def test_the_clients_name_can_be_shown(body: bytes, model: str | None) -> None:
    assert locate(body).model == model


def test_members_that_are_nobodys_business_may_repeat() -> None:
    # A string that reads like the rest of the body, and lengths that lead into it: the classic way to mislead a walk
    # that trusts a dict, which has only the last of the two values.
    body = b'{"a":1,"model":"x","b":"??????????,\\"model\\":\\"y\\"","a":"1234567890123456"}'
    after = splice(body, locate(body), b'"z"')
    assert after == body.replace(b'"x"', b'"z"')


def test_a_long_conversation_takes_milliseconds() -> None:
    """A bound that only another order of growth can break; the benchmark has the real figures."""
    body = json.dumps({"messages": [{"role": "user", "content": 'say "hé"\n' * 60}] * 7000, "model": "gpt-4o"}).encode()
    assert len(body) > 5_000_000
    began = time.perf_counter()
    after = splice(body, locate(body), b'"x"')
    took = time.perf_counter() - began
    assert after == body.replace(b'"model": "gpt-4o"', b'"model": "x"')
    print(f"\nlocate and splice, {len(body) / 1e6:.1f} MB, model last: {took * 1e3:.1f} ms")
    assert took < 0.25
