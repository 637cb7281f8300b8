"""Providers that speak each of the wire formats: words, thoughts and calls of tools, whole and in streams.

The answers are put together here from what the APIs' references show, with no code of the formats under test. A
same-format chain, through which the bytes pass, lets the official SDKs judge them.
"""

from __future__ import annotations

import base64
import itertools
import json
from typing import TYPE_CHECKING, Any

from hydrallm.faults import eventstream
from hydrallm.faults.script import Raw, Reply

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    Json = dict[str, Any]
    Called = tuple[str, str, str]  # id, name, arguments

FORMATS = ("messages", "invoke", "converse", "chat", "responses")
AWS = {"invoke", "converse"}
JSON, SSE, FRAMES = "application/json", "text/event-stream", "application/vnd.amazon.eventstream"
BUSY = "all of us are busy"
NAMED = {"id": "answer_1", "model": "upstream"}


class Said:
    """What a model says in one turn.

    Attributes:
        text: its words.
        thought: what it thinks before.
        signature: of the thought: Anthropic's, or OpenAI's encrypted content.
        calls: the tools that it calls: id, name, and arguments as the model writes them, so possibly cut or empty.
        stop: why it ends, in Anthropic's words.
        mark: what the ids of this answer's items end in, where the format has such.
        chance: cuts what is said into the pieces of a stream; None says each text in one.
    """

    def __init__(
        self,
        text: str = "",
        *,
        thought: str = "",
        signature: str = "",
        calls: Sequence[Called] = (),
        stop: str = "",
        mark: str = "1",
        chance: random.Random | None = None,
    ) -> None:
        self.text, self.thought, self.signature, self.calls = text, thought, signature, tuple(calls)
        self.stop = stop or ("tool_use" if calls else "end_turn")
        self.mark = mark
        self._chance = chance

    def pieces(self, text: str) -> list[str]:
        """Return ``text`` in up to four pieces; none of nothing."""
        if self._chance is None or len(text) < 2:
            return [text] if text else []
        cuts = sorted(self._chance.sample(range(1, len(text)), min(self._chance.randrange(4), len(text) - 1)))
        return [text[begin:end] for begin, end in itertools.pairwise([0, *cuts, len(text)])]


# ---- whole answers


def message(said: Said) -> Json:
    """Return a whole answer of Messages."""
    blocks: list[Json] = []
    if said.thought:
        blocks.append({"type": "thinking", "thinking": said.thought, "signature": said.signature})
    if said.text:
        blocks.append({"type": "text", "text": said.text})
    for identity, name, arguments in said.calls:
        blocks.append({"type": "tool_use", "id": identity, "name": name, "input": json.loads(arguments or "{}")})
    head = {**NAMED, "type": "message", "role": "assistant", "content": blocks}
    usage = {"input_tokens": 10, "output_tokens": 5}
    return {**head, "stop_reason": said.stop, "stop_sequence": None, "usage": usage}


def converse(said: Said) -> Json:
    blocks: list[Json] = []
    if said.thought:
        signed = {"text": said.thought} | ({"signature": said.signature} if said.signature else {})
        blocks.append({"reasoningContent": {"reasoningText": signed}})
    if said.text:
        blocks.append({"text": said.text})
    for identity, name, arguments in said.calls:
        blocks.append({"toolUse": {"toolUseId": identity, "name": name, "input": json.loads(arguments or "{}")}})
    return {"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": said.stop, **COUNTED}


COUNTED: Json = {"usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}, "metrics": {"latencyMs": 7}}
CHAT_STOPS = {"tool_use": "tool_calls", "end_turn": "stop", "max_tokens": "length"}
CHAT_USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def chat(said: Said) -> Json:
    words: Json = {"role": "assistant", "content": said.text or None}
    if said.thought:
        words["reasoning_content"] = said.thought
    if said.calls:
        words["tool_calls"] = [
            {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}
            for identity, name, arguments in said.calls
        ]
    choice = {"index": 0, "message": words, "finish_reason": CHAT_STOPS[said.stop]}
    return {**NAMED, "object": "chat.completion", "created": 1, "choices": [choice], "usage": CHAT_USAGE}


def items(said: Said) -> list[Json]:
    """Return the output of Responses."""
    out: list[Json] = []
    done = {"status": "completed"}
    if said.thought:
        summary = [{"type": "summary_text", "text": said.thought}]
        out.append({"type": "reasoning", "id": f"rs_{said.mark}", "summary": summary})
        if said.signature:
            out[0]["encrypted_content"] = said.signature
    if said.text:
        content = [{"type": "output_text", "text": said.text, "annotations": []}]
        out.append({"type": "message", "id": f"msg_{said.mark}", "role": "assistant", "content": content, **done})
    for identity, name, arguments in said.calls:
        call = {"type": "function_call", "id": f"fc_{identity}", "call_id": identity, "name": name}
        out.append({**call, "arguments": arguments, **done})
    return out


def response(status: str, output: list[Json], stop: str = "") -> Json:
    cut = {"reason": "max_output_tokens"} if stop == "max_tokens" else None
    details: Json = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    asked = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "metadata": {}, "instructions": None}
    return {
        **NAMED, **asked, "object": "response", "created_at": 1, "error": None, "incomplete_details": cut,
        "status": "incomplete" if cut else status, "output": output,
        "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, **details},
    }  # fmt: skip


WHOLE: dict[str, Callable[[Said], Json]] = {
    "messages": message,
    "invoke": message,
    "converse": converse,
    "chat": chat,
    "responses": lambda said: response("completed", items(said), said.stop),
}


# ---- streams, each an iterator of events; of what comes before any content, None is the end


def message_stream(said: Said) -> Iterator[Json | None]:
    yield {"type": "message_start", "message": message(Said()) | {"stop_reason": None}}
    yield {"type": "ping"}
    yield None
    blocks: list[tuple[Json, list[Json]]] = []
    if said.thought:
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in said.pieces(said.thought)]
        deltas.append({"type": "signature_delta", "signature": said.signature})
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
    if said.text:
        words = [{"type": "text_delta", "text": piece} for piece in said.pieces(said.text)]
        blocks.append(({"type": "text", "text": ""}, words))
    for identity, name, arguments in said.calls:
        parts = ["", *said.pieces(arguments)]
        begin = {"type": "tool_use", "id": identity, "name": name, "input": {}}
        blocks.append((begin, [{"type": "input_json_delta", "partial_json": part} for part in parts]))
    for index, (begin, deltas) in enumerate(blocks):
        yield {"type": "content_block_start", "index": index, "content_block": begin}
        yield from ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        yield {"type": "content_block_stop", "index": index}
    stop = {"stop_reason": said.stop, "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 5}}
    yield {"type": "message_stop"}


def converse_stream(said: Said) -> Iterator[Json | None]:
    yield {"messageStart": {"role": "assistant"}}
    yield None
    blocks: list[tuple[Json | None, list[Json]]] = []
    if said.thought:
        thoughts: list[Json] = [{"text": piece} for piece in said.pieces(said.thought)]
        thoughts += [{"signature": said.signature}] if said.signature else []
        blocks.append((None, [{"reasoningContent": thought} for thought in thoughts]))
    if said.text:
        blocks.append((None, [{"text": piece} for piece in said.pieces(said.text)]))
    for identity, name, arguments in said.calls:
        begin = {"toolUse": {"toolUseId": identity, "name": name}}
        blocks.append((begin, [{"toolUse": {"input": piece}} for piece in said.pieces(arguments)]))
    for index, (start, deltas) in enumerate(blocks):
        at = {"contentBlockIndex": index}
        if start is not None:
            yield {"contentBlockStart": {"start": start, **at}}
        yield from ({"contentBlockDelta": {"delta": delta, **at}} for delta in deltas)
        yield {"contentBlockStop": at}
    yield {"messageStop": {"stopReason": said.stop}}
    yield {"metadata": COUNTED}


def chat_stream(said: Said) -> Iterator[Json | None]:
    head: Json = {**NAMED, "object": "chat.completion.chunk", "created": 1, "usage": None}

    def chunk(finish: str | None = None, **delta: Any) -> Json:  # noqa: ANN401 - any JSON
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield chunk(role="assistant", content="")
    yield None
    yield from (chunk(reasoning_content=piece) for piece in said.pieces(said.thought))
    yield from (chunk(content=piece) for piece in said.pieces(said.text))
    for index, (identity, name, _) in enumerate(said.calls):
        function = {"name": name, "arguments": ""}
        yield chunk(tool_calls=[{"index": index, "id": identity, "type": "function", "function": function}])
    # All of them are told side by side.
    for pieces in itertools.zip_longest(*(said.pieces(arguments) for _, _, arguments in said.calls)):
        for index, piece in enumerate(pieces):
            if piece is not None:
                yield chunk(tool_calls=[{"index": index, "function": {"arguments": piece}}])
    yield chunk(CHAT_STOPS[said.stop])
    yield {**head, "choices": [], "usage": CHAT_USAGE}


def response_stream(said: Said) -> Iterator[Json | None]:
    yield {"type": "response.created", "response": response("in_progress", [])}
    yield {"type": "response.in_progress", "response": response("in_progress", [])}
    yield None
    done = items(said)
    for index, item in enumerate(done):
        at: Json = {"output_index": index}
        part: Json = {"output_index": index, "item_id": item["id"]}
        match item["type"]:
            case "reasoning":
                yield {"type": "response.output_item.added", "item": item | {"summary": []}, **at}
                yield from parts(said, "response.reasoning_summary_part", part, item["summary"][0])
            case "message":
                begun = item | {"content": [], "status": "in_progress"}
                yield {"type": "response.output_item.added", "item": begun, **at}
                yield from parts(said, "response.content_part", part, item["content"][0])
            case _:
                begun = item | {"arguments": "", "status": "in_progress"}
                yield {"type": "response.output_item.added", "item": begun, **at}
                for piece in said.pieces(item["arguments"]):
                    yield {"type": "response.function_call_arguments.delta", "delta": piece, **part}
                told = {"name": item["name"], "arguments": item["arguments"], **part}
                yield {"type": "response.function_call_arguments.done", **told}
        yield {"type": "response.output_item.done", "item": item, **at}
    end = response("completed", done, said.stop)
    yield {"type": f"response.{end['status']}", "response": end}


def parts(said: Said, kind: str, at: Json, whole: Json) -> Iterator[Json]:
    number = "summary_index" if "summary" in kind else "content_index"
    at = at | {number: 0}
    text = "response.reasoning_summary_text" if "summary" in kind else "response.output_text"
    extra: Json = {} if "summary" in kind else {"logprobs": []}
    yield {"type": f"{kind}.added", "part": whole | {"text": ""}, **at}
    for piece in said.pieces(whole["text"]):
        yield {"type": f"{text}.delta", "delta": piece, **extra, **at}
    yield {"type": f"{text}.done", "text": whole["text"], **extra, **at}
    yield {"type": f"{kind}.done", "part": whole, **at}


STREAMS: dict[str, Callable[[Said], Iterator[Json | None]]] = {
    "messages": message_stream,
    "invoke": message_stream,
    "converse": converse_stream,
    "chat": chat_stream,
    "responses": response_stream,
}
ERRORS: dict[str, Json] = {
    "messages": {"type": "error", "error": {"type": "overloaded_error", "message": BUSY}},
    "chat": {"error": {"message": BUSY, "type": "server_error", "code": None, "param": None}},
    "responses": {"type": "error", "error": {"message": BUSY, "type": "server_error", "code": None, "param": None}},
}


def encoded(name: str, number: int, event: Json) -> bytes:
    """Return an event of a stream as its format frames it."""
    if name == "converse":
        ((kind, payload),) = event.items()
        return eventstream.event(kind, json.dumps(payload).encode())
    if name == "invoke":
        inner = base64.b64encode(json.dumps(event).encode()).decode()
        return eventstream.event("chunk", json.dumps({"bytes": inner}).encode())
    if name == "chat":
        return b"data: %b\n\n" % json.dumps(event).encode()
    numbered = event | ({"sequence_number": number} if name == "responses" else {})
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(numbered).encode())


def error_event(name: str) -> bytes:
    """Return the event by which a stream of this format says that its provider is overloaded."""
    if name in AWS:
        return eventstream.exception("serviceUnavailableException", json.dumps({"message": BUSY}).encode())
    return encoded(name, 0, ERRORS[name])


class Speech:
    """An answer as its provider sends it, whole or as far as it gets.

    Attributes:
        events: of the stream, or the two halves of a whole answer.
        lead: how many of them come before any content.
    """

    def __init__(self, name: str, said: Said, *, stream: bool, usage: bool = True) -> None:
        self._name, self._stream = name, stream
        if not stream:
            body = json.dumps(WHOLE[name](said), ensure_ascii=False).encode()
            self.events, self.lead = [body[: len(body) // 2], body[len(body) // 2 :]], 0
            return
        told = list(STREAMS[name](said))
        self.lead = told.index(None)
        told.remove(None)
        self.events = [encoded(name, number, event) for number, event in enumerate(told) if event is not None]
        if name == "chat":
            self.events = [*(self.events if usage else self.events[:-1]), b"data: [DONE]\n\n"]

    def answer(self) -> Reply:
        return self._reply(self.events)

    def cut(self, after: int, *, clean: bool = False) -> Reply:
        """Return the first ``after`` events, and then the end of the connection; or, ``clean``, of the body."""
        return self._reply(self.events[:after], ends=clean)

    def failing(self, after: int) -> Reply:
        """Return the first ``after`` events of a stream, and then its error."""
        return self._reply([*self.events[:after], error_event(self._name)])

    def _reply(self, events: list[bytes], *, ends: bool = True) -> Reply:
        kind = JSON if not self._stream else FRAMES if self._name in AWS else SSE
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        body = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
        raw = head + body + (b"0\r\n\r\n" if ends else b"")
        return Raw(data=raw.decode("latin-1"), how=None if ends else "fin")
