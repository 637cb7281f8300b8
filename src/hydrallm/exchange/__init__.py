"""The I/O that runs an exchange: asks the policy, talks to upstreams, commits, relays, records.

::

    gateway.py      the handler of every request: who may ask, what is asked, which job that makes
    access.py       who may ask
    paths.py        what a path stands for
    chains.py       the chains that a listener offers, and chain.py: the models of one
    catalog.py      what of that a client can ask for by name
    dialect.py      in which wire format a model is asked
    job.py          what one request wants done: a generation, or a relay of anything else
    generation.py   what each model is asked for a generation, and count.py: for a number of tokens
    exchange.py     one job, from the first attempt to the last byte
    attempt.py      one upstream try: up to its first content, and then to its end
    answer.py       an upstream's answer while it is being received
    translation.py  the same, in the words of the client's format
    reply.py        the client's side: held, opened, answered, broken off
    health.py       what is known of the models
    shedding.py     what was turned away because a limit is reached
    failure.py      how an attempt failed, and whom that is about
    verdict.py      what the client is told when nothing worked
"""
