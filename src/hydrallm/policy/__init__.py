"""What to do next in one exchange.

PURE: an exchange tells the policy what happened and what time it is, the policy says what to do; it never does it.

::

    plan.py         the candidates in order and the bounds on trying them (data from the config)
    kinds.py        the kinds of failure, and the table of what each leads to
    overrides.py    what the config changes in that table
    classify.py     which kind an upstream's error is
    wording.py      what the APIs call their errors
    retry_after.py  what an upstream says about when to come back
    backoff.py      how long to wait between two tries
    events.py       what happened in an exchange
    commands.py     what to do next in it
    attempts.py     the walk over the plan: events in, commands out

and what is remembered between exchanges::

    breaker.py      one a model: whether it is worth asking
    budget.py       one for all: how many retries may be made
"""
