"""The benchmark: what HydraLLM costs beside nginx, HAProxy, a proxy written by hand, and its peers.

    make bench                      everything but the peers
    make bench ARGS=--peers         LiteLLM and Portkey as well
    make bench ARGS="--only nginx,passthrough --stages plain --seconds 2"

The method, which ``docs/performance.md`` gives the reasons for:

- A *subject* (``subjects.py``) is a proxy that runs pinned to one core. Everything else has another core: the load
  (``load.py``, ``stream_load.py``) and the upstream mocks (``upstream.py``, ``stream_server.py``).
- A *stage* (``stages.py``) measures all subjects in one way, in turn and several times over: A B C, A B C. What drifts
  on the machine meets all of them, and a ratio is taken inside a round.
- A *measure* (``measures.py``) is one figure with its unit, such as CPU per request. CPU is read from the kernel's
  process clock, in nanoseconds; see ``usage.py``.
- ``report.py`` and ``chart.py`` draw what ``results.py`` keeps.
"""
