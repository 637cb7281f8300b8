"""The look at one server connection, about once a second: what takes too long is ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.errors import RequestError

if TYPE_CHECKING:
    from hydrallm.http.server_connection import ServerConnection
    from hydrallm.http.server_stream import ServerStream


def sweep(connection: ServerConnection, now: float, elapsed: float) -> None:
    """End what takes too long.

    Args:
        connection: the one to look at.
        now: the loop's time.
        elapsed: seconds since the last sweep.
    """
    limits = connection.limits
    if connection.closing_since is not None:
        # As long as something is left to send, it is the client's taking that is waited for, not its silence.
        patience = limits.write_timeout if connection.unsent else limits.linger
        if _untaken(connection, connection.closing_since, now) > patience:
            connection.abort()
    elif (
        connection.blocked_since is not None
        and _untaken(connection, connection.blocked_since, now) > limits.write_timeout
    ):
        connection.abort()
    elif connection.idle_since is not None and connection.head_since is None:
        if now - connection.idle_since > limits.keep_alive:
            connection.close()
    elif connection.head_since is not None and now - connection.head_since > limits.head_timeout:
        if connection.mid_head:
            message = f"the headers did not arrive within {limits.head_timeout:g} s"
            connection.refuse(RequestError(408, message, close=True))
        else:
            connection.close()
    elif connection.receiving is not None and not connection.reading_paused:
        _sweep_body(connection, connection.receiving, elapsed)


def _untaken(connection: ServerConnection, since: float, now: float) -> float:
    """Return the seconds, counted from ``since`` at the earliest, in which the client has taken nothing.

    The transport itself speaks up only when most of what waits has been taken, which may be long for a slow client.
    """
    unsent = connection.unsent
    if unsent < connection.unsent_seen:
        connection.taken_at = now
    connection.unsent_seen = unsent
    return now - max(since, connection.taken_at)


def _sweep_body(connection: ServerConnection, stream: ServerStream, elapsed: float) -> None:
    limits = connection.limits
    if stream.swept < 0:  # it began somewhere between the last look and this one: the clock starts here
        stream.swept = stream.received
        return
    slow = stream.received - stream.swept < limits.min_body_rate * elapsed and not stream.continue_owed
    stream.swept = stream.received
    stream.slow_for = stream.slow_for + elapsed if slow else 0.0
    if stream.slow_for >= limits.body_timeout:
        rate = f"{limits.min_body_rate} bytes/s for {limits.body_timeout:g} s"
        connection.refuse(RequestError(408, f"the request body came slower than {rate}", close=True))
