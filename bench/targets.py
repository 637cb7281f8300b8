"""What is promised of HydraLLM, as limits of its figures: alone, or as a ratio inside the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from bench.results import Results


class Target(msgspec.Struct, frozen=True):
    """A promise.

    Attributes:
        title: what is promised.
        measure: the name of the measure.
        subject: whose figure.
        limit: the most that it may be.
        unit: the unit of the limit; ``×`` for a ratio.
        reference: the subject whose figure it is a ratio of, or is beyond of; empty for none.
    """

    title: str
    measure: str
    subject: str
    limit: float
    unit: str
    reference: str = ""

    def figure(self, results: Results) -> float | None:
        """Return what was measured of it; None if it was not."""
        if self.unit == "×":
            return results.ratio(self.measure, self.subject, self.reference)
        ours = results.summary(self.measure, self.subject)
        theirs = results.summary(self.measure, self.reference) if self.reference else None
        if ours is None or (self.reference and theirs is None):
            return None
        return ours.median - (theirs.median if theirs else 0.0)


TARGETS: Final = (
    Target("pass-through, CPU per request of 1 KB, to nginx's", "cpu-1k-32", "passthrough", 2.0, "×", "nginx"),
    Target("pass-through, CPU per chunk, to nginx's", "cpu-chunk", "passthrough", 1.3, "×", "nginx"),
    Target("pass-through, added p50 beyond nginx's", "added-p50", "passthrough", 60, "µs", "nginx"),
    Target(
        "Messages to Chat, CPU per chunk, to pass-through", "cpu-chunk", "messages-to-chat", 2.5, "×", "passthrough"
    ),
    Target(
        "Chat to Messages, CPU per chunk, to pass-through", "cpu-chunk", "chat-to-messages", 2.5, "×", "passthrough"
    ),
    Target(
        "Messages to Chat, CPU per request, to pass-through", "cpu-1k-32", "messages-to-chat", 3.0, "×", "passthrough"
    ),
    Target(
        "Chat to Messages, CPU per request, to pass-through", "cpu-1k-32", "chat-to-messages", 3.0, "×", "passthrough"
    ),
    Target("memory idle", "rss-idle", "passthrough", 50, "MB"),
    Target("memory per open idle stream", "rss-stream", "passthrough", 15, "KB"),
    Target("start to first answered request", "start", "passthrough", 0.6, "s"),
)
