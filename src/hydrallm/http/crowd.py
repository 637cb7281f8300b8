"""How many clients may be connected, and who makes room for whom.

When there are as many connections as there may be, the one that has idled longest is closed for a new one, as nginx
does it: a client knows that a server may close an idle connection at any time. Where none has idled for ``idle_for``
the new client is told so, and not left waiting in the listener's queue (HAProxy's way): an exchange here may last for
minutes, and a client that is told at once can ask elsewhere. It is accepted as *surplus*, and gets 503 once its request
says in which API's form. Surplus connections are bounded as well; beyond that the answer is sent without a look at
what the client wants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.errors import OverloadError

if TYPE_CHECKING:
    from hydrallm.http.server_connection import ServerConnection


class Crowd:
    """The connections of a server.

    Args:
        limit: how many there may be.
        spare: how many more may be told that there are too many.
        idle_for: seconds for which one is not taken for idle, though it is: it may be new, or about to be used.

    Attributes:
        connections: all of them.
        idle: those that may be idle, with the time since when; the longest first.
    """

    __slots__ = ("connections", "idle", "idle_for", "limit", "spare")

    def __init__(self, limit: int, spare: int, idle_for: float) -> None:
        self.limit = limit
        self.spare = spare
        self.idle_for = idle_for
        self.connections: set[ServerConnection] = set()
        self.idle: dict[ServerConnection, float] = {}

    def join(self, connection: ServerConnection, now: float) -> None:
        """Take in a new connection; it is surplus if there are too many and nobody makes room."""
        self.connections.add(connection)
        if len(self.connections) <= self.limit or self.make_room(now):
            self.idle[connection] = now
            return
        connection.surplus = True
        if len(self.connections) > self.limit + self.spare:
            connection.turn_away(self.overload())

    def leave(self, connection: ServerConnection) -> None:
        """Let go of a connection that is lost."""
        self.connections.discard(connection)
        self.idle.pop(connection, None)

    def make_room(self, now: float) -> bool:
        """Close the connection that has idled longest, if there is one; return whether there was."""
        for connection, since in self.idle.items():
            if now - since < self.idle_for:
                break
            del self.idle[connection]
            connection.close()
            return True
        return False

    def check(self, connection: ServerConnection) -> None:
        """Let a surplus connection stay, if others have left by now.

        Raises:
            OverloadError: they have not.
        """
        if len(self.connections) > self.limit:
            raise self.overload()
        connection.surplus = False

    def overload(self) -> OverloadError:
        """Return the refusal of one connection too many."""
        message = f"{self.limit} clients are connected, which is all that server.max_connections or open files allow"
        return OverloadError("server.max_connections", message, close=True)
