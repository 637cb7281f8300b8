"""HTTP/1.1 on asyncio protocols, both sides. Knows nothing of LLMs.

::

    server.py             who accepts, the sweep, the drain
    listening.py          listening sockets, before anybody accepts
    crowd.py              how many clients there may be, and who makes room for whom
    sweep.py              the look at one server connection, about once a second
    server_connection.py  one client connection: parser callbacks, pipelining, keep-alive, a task per request
    request_head.py       what a request's head says about the connection
    server_stream.py      one request and its answer, as the handler sees them
    client.py             requests to one origin over kept-alive connections
    queue.py              who waits for one of them, where there may only be so many
    client_connection.py  one upstream connection: parser callbacks
    client_stream.py      one request and its answer, as the caller sees them, with the clock over it
    dial.py               name resolution, the race of addresses, proxies, TLS
    proxy.py              which proxy stands on the way
    decoding.py           gzip, deflate and zstd, bounded
    buffered.py           what is held of requests and answers, bounded over all of them
    capacity.py           what this process may use of its machine
    wire.py               how heads and chunks look on the wire

Parsing is llhttp's (through httptools), which refuses bare line feeds, folded headers, and messages with two lengths.
What it lets through and we do not is written where it is refused.
"""
