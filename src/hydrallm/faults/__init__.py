"""The faulty provider of demo, drill and tests.

A provider's whole HTTP side on purpose *not* built on :mod:`hydrallm.http`: what tests the engine must not share its
mistakes. It plays a script, so that every failure a real provider shows now and then can be had on demand.

::

    provider.py     listens, reads requests, performs the steps of a reply, remembers what came in and when it left
    script.py       the replies as data: Answer, Fail, Hang, Cut, ...
    steps.py        a reply and an answer -> the bytes, pauses and ends to perform
    answers.py      the right answer in each wire format, whole
    streams.py      the same as a stream of events
    failures.py     the errors, in each API's own words
    eventstream.py  AWS event-stream frames
    wire.py         HTTP/1.1: read a request strictly, write heads, framings and content codings
"""
