"""The API types: one file each, and what they share.

PURE. ``base.py`` says what an API type must be able to do; ``url.py`` and ``target.py`` know where a request goes,
``headers.py`` which headers cross the proxy, ``sigv4.py`` how AWS wants them signed.
"""
