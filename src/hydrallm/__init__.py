"""HydraLLM: an LLM API proxy with automatic retry and model fallback."""

from __future__ import annotations

__version__ = "0.1.0"
