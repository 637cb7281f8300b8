"""What a request's path stands for, and in which format its client expects an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats.base import ApiType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydrallm.formats.base import Operation, WireFormat
    from hydrallm.message import Headers

_REMEMBERED = 1024
"""Paths found to be generations are remembered, up to this many: a handful, usually."""


class Paths:
    """The paths of all wire formats.

    Args:
        formats: the wire formats, in the order in which they are asked.
        defaults: for each API type, the format that says its errors on other paths.
    """

    def __init__(self, formats: Sequence[WireFormat], defaults: dict[ApiType, WireFormat]) -> None:
        self._formats = formats
        self._defaults = defaults
        self._known: dict[bytes, Operation] = {}

    def operation(self, method: bytes, path: bytes) -> Operation | None:
        """Return the generation that a request stands for; None if it is to be relayed."""
        if method != b"POST":
            return None
        known = self._known.get(path)
        if known is not None:
            return known
        for wire_format in self._formats:
            operation = wire_format.match(path)
            if operation is not None:
                if len(self._known) < _REMEMBERED:
                    self._known[path] = operation
                return operation
        return None

    def error_format(self, path: bytes, headers: Headers) -> WireFormat:
        """Return the format in which the client of this request expects an error, whatever its method is."""
        operation = self.operation(b"POST", path)
        return operation.format if operation is not None else self._defaults[relay_api_type(path, headers)]


def relay_api_type(path: bytes, headers: Headers) -> ApiType:
    """Return the API type that a request of no generation path speaks; OpenAI's where nothing says so."""
    return marked_api_type(path, headers) or ApiType.OPENAI


def marked_api_type(path: bytes, headers: Headers) -> ApiType | None:
    """Return the API type of which a request has a mark, as the official SDKs leave them; None if it has none."""
    if path.startswith((b"/v1/messages", b"/messages")):
        return ApiType.ANTHROPIC
    if path.startswith((b"/model/", b"/guardrail/", b"/async-invoke")):
        return ApiType.BEDROCK
    for name, value in headers:
        if name == b"anthropic-version":
            return ApiType.ANTHROPIC
        if name == b"authorization" and value.startswith(b"AWS4-"):
            return ApiType.BEDROCK
    return None
