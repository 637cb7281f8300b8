"""Every error of the package.

::

    HydraError
    ├── ConfigError            the config cannot be used; carries every problem found
    │   └── ConfigMissingError  there is no config file yet
    ├── StartError             the gateway cannot start (a port in use, no permission)
    ├── RequestError           the client's request cannot be served; carries the status to answer with
    │   ├── BodyTooLargeError  413
    │   └── OverloadError      503: a limit of this process is reached; later it may be served
    ├── ClientLeftError        the client went away; nobody's fault
    └── UpstreamError          an attempt failed before a complete answer
        ├── ConnectError       no connection was made: nothing was sent
        │   ├── TlsError       the TLS handshake or the certificate check failed
        │   ├── SaturatedError  this side has no connection to spare
        │   └── CredentialError  there is no credential to show
        ├── CutError           the connection ended inside an answer, or before it
        ├── RemoteProtocolError  what the upstream sent is not HTTP
        └── SilenceError       a clock ran out: the upstream was too slow

The names say whose fault it is, because what happens next depends on just that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class HydraError(Exception):
    """Base of all errors of this package."""


class ConfigError(HydraError):
    """The config cannot be used.

    Attributes:
        problems: one line each, ``file: key path: what is wrong``.
    """

    def __init__(self, problems: Sequence[object]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ConfigMissingError(ConfigError):
    """There is no config file where one was looked for; the problem's message says how to get one."""


class StartError(HydraError):
    """The gateway cannot start; the message is one line for the person who started it."""


class RequestError(HydraError):
    """The client's request cannot be served as it is.

    Attributes:
        status: the HTTP status to answer with.
        close: whether the connection must be closed, because the framing cannot be trusted any more.
    """

    def __init__(self, status: int, message: str, *, close: bool = False) -> None:
        self.status = status
        self.close = close
        super().__init__(message)


class BodyTooLargeError(RequestError):
    """The request's body is over the limit."""

    def __init__(self, message: str) -> None:
        super().__init__(413, message, close=True)


class OverloadError(RequestError):
    """A limit of this process is reached; the same request may well be served a little later.

    Attributes:
        limit: the setting that says how much there may be.
    """

    def __init__(self, limit: str, message: str, *, close: bool = False) -> None:
        self.limit = limit
        super().__init__(503, message, close=close)


class ClientLeftError(HydraError):
    """The client closed its connection before the answer was complete."""


class UpstreamError(HydraError):
    """An attempt failed before a complete answer arrived."""


class ConnectError(UpstreamError):
    """No connection was made; nothing of the request was sent."""


class TlsError(ConnectError):
    """The TLS handshake or the verification of the certificate failed."""


class SaturatedError(ConnectError):
    """This side has no connection to spare: too many are in use, or no file can be opened. Nobody was asked."""


class CredentialError(ConnectError):
    """There is no credential to show to the endpoint, so it was not asked."""


class CutError(UpstreamError):
    """The upstream closed or reset the connection before the answer was complete."""


class RemoteProtocolError(UpstreamError):
    """The upstream sent something that is not HTTP."""


class SilenceError(UpstreamError):
    """A clock ran out while the upstream was silent or unfinished."""
