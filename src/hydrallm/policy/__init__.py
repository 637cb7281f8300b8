"""What to do next in one exchange.

PURE: an exchange tells the policy what happened and what time it is, the policy says what to do; it never does it.

::

    plan.py         the candidates in order and the bounds on trying them (data from the config)
    classify.py     the kinds of failure, and the table of what each leads to
    retry_after.py  what an upstream says about when to come back
    backoff.py      how long to wait between two tries
    attempts.py     the walk over the plan: events in, commands out
"""
