"""Instructions in the middle of a conversation, for models that take them only before it.

PURE. They are said by the user then, where they stand: what is before them may stay in a cache, and they hold from
there on. But they are not the user's, who might not be allowed what they allow. So they have tags around them, as
Claude is used to (https://platform.claude.com/docs/en/build-with-claude/prompt-engineering/use-xml-tags).
"""

from __future__ import annotations


def instruction(text: str) -> str:
    """Return an instruction as the user says it."""
    return f"<system>\n{text}\n</system>"
