"""The upstream gets the client's bytes: 1,000 made-up bodies, compared byte for byte apart from the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.e2e.conftest import Connect, Standing

MODEL = b'"gpt-first"'


class Body(NamedTuple):
    """A JSON object as text, in three parts; the middle is the top-level model's value, if there is one."""

    before: bytes
    model: bytes | None
    after: bytes

    @property
    def whole(self) -> bytes:
        return self.before + (self.model or b"") + self.after


space = st.text(" \t\r\n", max_size=3)
plain = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\'), max_size=12)
escape = st.sampled_from(
    [r"\"", r"\\", r"\/", r"\n", r"\u0000", r"\ud800", r"\udfff\ud800", r"\ud83d\ude00", r"\u006D"]
)
string = st.lists(plain | escape, max_size=4).map(lambda parts: '"' + "".join(parts) + '"')
number = st.sampled_from(["0", "-0", "1e400", "-1E+400", "1.0", "1E5", "123456789012345678901234567890", "0.1e-9"])
scalar = string | number | st.sampled_from(["true", "false", "null"])
names = st.sampled_from(
    ['"messages"', '"content"', '"temperature"', '"MODEL"', '"mode"', '"models"', '"model "', '"x"']
)
model_keys = st.sampled_from(['"model"', r'"mod\u0065l"', r'"\u006dodel"', r'"\u006D\u006f\u0064\u0065\u006c"'])


def spaced(left: str, parts: list[str], right: str, gap: str) -> str:
    return left + gap + (gap + "," + gap).join(parts) + gap + right


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.builds(lambda key, gap, value: f"{key}{gap}:{gap}{value}", names | model_keys | string, space, inner)
    arrays = st.builds(spaced, st.just("["), st.lists(inner, max_size=3), st.just("]"), space)
    return arrays | st.builds(spaced, st.just("{"), st.lists(pair, max_size=3), st.just("}"), space)


value = st.recursive(scalar, containers, max_leaves=8)


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    keys = draw(st.lists(names, max_size=4, unique=True))
    entries = [f"{key}{draw(space)}:{draw(space)}{draw(value)}" for key in keys]
    if draw(st.booleans()):
        entries.append(f'"stream"{draw(space)}:{draw(space)}false')
    gap = draw(space)
    has_model = draw(st.integers(0, 9)) > 0
    if not has_model:
        return Body(spaced("{", entries, "}", gap).encode(), None, b"")
    at = draw(st.integers(0, len(entries)))
    lead = "".join(entry + gap + "," + gap for entry in entries[:at])
    before = draw(space) + "{" + gap + lead + draw(model_keys) + draw(space) + ":" + draw(space)
    after = draw(space) + "".join("," + gap + entry for entry in entries[at:]) + gap + "}" + draw(space)
    return Body(before.encode(), draw(value).encode(), after.encode())


def added(original: bytes, sent: bytes) -> bytes:
    """Return the one run of bytes by which ``sent`` is longer than ``original``."""
    start = next((at for at, (a, b) in enumerate(zip(original, sent, strict=False)) if a != b), len(original))
    for at in range(start + 1):
        end = at + len(sent) - len(original)
        if sent[:at] + sent[end:] == original:
            return sent[at:end]
    raise AssertionError(f"{sent!r} is not {original!r} with something added")


def made(count: int) -> list[Body]:
    """Return ``count`` bodies; hypothesis makes them, and one connection then carries them all."""
    collected: list[Body] = []

    @settings(max_examples=count, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None)
    @given(bodies())
    def collect(body: Body) -> None:
        collected.append(body)

    collect()
    return collected


@pytest.mark.asyncio(loop_scope="session")
async def test_the_upstream_body_is_the_clients_apart_from_the_model(standing: Standing, connect: Connect) -> None:
    examples = made(1000)
    assert len(examples) >= 1000
    async with await connect(standing.gateway.port) as client:
        for body in examples:
            reply = await client.ask(body.whole)
            assert reply.status == 200, (reply.body, body.whole)
            sent = standing.first.received[-1].body
            if body.model is None:
                new = added(body.whole, sent).strip(b", \t\r\n")
                assert json.loads(b"{" + new + b"}") == {"model": "gpt-first"}
                json.loads(sent.decode(), parse_int=str)
            else:
                assert sent == body.before + MODEL + body.after
    assert len(standing.first.received) == len(examples)
    assert len({received.connection.number for received in standing.first.received}) == 1, "it was kept alive"
