"""What is told about exchanges: one small record each, handed to every sink when the exchange ends.

::

    records.py  what happened in an exchange and in each of its attempts
    masking.py  secrets taken out of text
    log.py      the log on stderr: a line for each failed attempt, a line for each exchange
    writer.py   a thread that writes, so that a log nobody reads holds up nothing
"""
