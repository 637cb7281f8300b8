"""The paths of the formats whose model is named in the body: an operation's name after an optional version.

PURE. SDKs put the version into their base URL (``…/v1``), users forget it or write another one, and endpoints have
their own (``/v4``, ``/v1beta``), so any version counts as the same path. Leading slashes may repeat: a base URL that
ends in one makes two.
"""

from __future__ import annotations

import re


def operation_path(name: str) -> re.Pattern[bytes]:
    """Return the pattern of a whole raw path to the operation ``name``, such as ``chat/completions``."""
    return re.compile(rb"/+(?:v[0-9]+[a-z0-9]*/)?" + re.escape(name.encode()))
