"""What keeps the benchmark from giving a figure."""

from __future__ import annotations


class BenchError(Exception):
    """Something is missing, or did not do what is measured; the text says what to do."""
