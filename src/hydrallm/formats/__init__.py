"""The wire formats: one file each, and what they share.

PURE. ``base.py`` says what a format must be able to do. What several formats have in common:

::

    path.py            which paths are a format's
    splice.py          the model in a JSON body, found and replaced
    answer.py          what is wrong with the body of a 200
    problem.py         what an error says, in all the shapes that are out there
    error_response.py  an error of our own
    sse.py             server-sent events, framed and parsed
    sse_scan.py        a stream of them, looked at
    eventstream.py     AWS's frames, decoded and encoded
    bedrock_stream.py  a stream of those, looked at
    json_value.py      JSON as tolerant as providers need it
"""
