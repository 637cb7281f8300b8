"""Tools in namespaces, at APIs where a name is all that a tool has.

PURE. OpenAI groups functions in ``namespace`` tools, and a call of one names both
(https://developers.openai.com/api/docs/guides/function-calling#defining-namespaces); Codex has tools of its own in
them, and those of MCP servers. The client runs them like any other. In the canonical form such a tool has one name,
made of both, which no tool outside has. What a model is told is ``namespace__name``
(:class:`~hydrallm.formats.renaming.Renaming`), and the client gets the two back.
"""

from __future__ import annotations

MARK = "\x1f"
"""Between the two. No API takes it in a name."""


def joined(namespace: str, name: str) -> str:
    """Return the one name of a tool in a ``namespace``, or its own if it is in none."""
    return f"{namespace}{MARK}{name}" if namespace else name


def split(name: str) -> tuple[str, str]:
    """Return the namespace of a tool, empty if it is in none, and its name there."""
    namespace, _, inner = name.rpartition(MARK)
    return (namespace, inner) if namespace and inner else ("", name)


def told(name: str) -> str:
    """Return the name as a model is to see it."""
    return name.replace(MARK, "__")
