"""The wire formats: one file each, and what they share.

PURE. ``base.py`` says what a format must be able to do; ``splice.py`` finds and replaces the model in a JSON body;
``path.py`` and ``error_response.py`` hold what several formats have in common.
"""
