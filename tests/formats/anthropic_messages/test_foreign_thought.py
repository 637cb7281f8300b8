"""Thoughts of other makers come back as they were."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats import foreign_thought
from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.canonical import Thinking
from hydrallm.formats.canonical_answer import Answer, Stop
from hydrallm.formats.codec import Asked

NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="_-."), max_size=8)
WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
SIGNED = st.builds(Thinking, WORDS, WORDS, st.just(""), NAMES, NAMES)
REDACTED = st.builds(Thinking, st.just(""), st.just(""), WORDS.filter(bool), NAMES, NAMES)
THOUGHTS = SIGNED | REDACTED


@given(THOUGHTS)
def test_a_marked_thought_is_unmarked(thought: Thinking) -> None:
    assert foreign_thought.unmarked(foreign_thought.marked(thought)) == thought


@given(THOUGHTS)
def test_a_seal_for_one_member_says_which_kind_it_is(thought: Thinking) -> None:
    seal = foreign_thought.seal(thought)
    assert foreign_thought.may_have(json.dumps({"encrypted_content": seal}).encode())
    assert foreign_thought.unmarked(Thinking(thought.text, seal, maker="openai")) == thought


@given(THOUGHTS.filter(lambda thought: thought.maker != "anthropic"))
def test_it_survives_a_client_of_messages_and_is_seen_in_its_body(thought: Thinking) -> None:
    codec = AnthropicMessagesCodec()
    written = json.loads(codec.write_answer(Answer("", "", (thought,), Stop.END), Asked("m", "i", 0)))
    body = json.dumps({"messages": [{"role": "assistant", "content": written["content"] or "x"}]}).encode()
    said = bool(thought.text or thought.signature or thought.redacted)
    assert foreign_thought.may_have(body) == said
    if said:
        assert codec.read_request(body, model="", stream=False).messages[0].parts == (thought,)


def test_others_are_left_alone() -> None:
    thought = Thinking("a", "EqQB", maker="anthropic")
    assert foreign_thought.unmarked(thought) is thought
    assert not foreign_thought.may_have(b'{"text":"hydrallm: a proxy"}')
    assert not foreign_thought.may_have(b'{"signature":"EqQB"}')
