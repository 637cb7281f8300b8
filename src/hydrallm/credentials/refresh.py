"""Credentials that change while the gateway runs: fetched in a thread, kept, and fetched anew before they expire.

No request fetches anything. It uses what is there. Only where nothing is there yet, or nothing that is still valid, it
waits for the fetch that is under way, and not for long. What has expired is never used.

===========================  =========================================================================================
What was fetched             When it is fetched anew
===========================  =========================================================================================
expires                      ``ADVISORY`` before that, as botocore does; or after half of what is left, if that is less
stands in a file             after ``REREAD``: somebody may have written new ones
never expires                not at all
nothing, for it failed       after 1, 2, 4, ... seconds, up to ``LONGEST_BACKOFF``
===========================  =========================================================================================

A failure is told once, and told again only after a success in between. Meanwhile the old credentials go on being used
up to the moment they expire: botocore stops ten minutes before, which helps nobody.

A fetch cannot be broken off: it may hang in a process or on the network for as long as those please. So it has a thread
that ends with the program whatever it does, there is never a second one beside it, and after ``PATIENCE`` nobody waits
for it any more. What it brings in the end is taken.
"""

from __future__ import annotations

import asyncio
import datetime
import threading
from typing import TYPE_CHECKING

from msgspec.structs import replace

from hydrallm.endpoints.base import AwsKeys
from hydrallm.errors import CredentialError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydrallm.credentials.aws_chain import Resolved
    from hydrallm.endpoints.base import AwsChain, Endpoint

ADVISORY = 900.0
"""Seconds before the expiry at which new credentials are fetched: botocore's advisory refresh window."""

REREAD = 60.0
"""Seconds after which credentials that stand in a file are read again."""

LONGEST_BACKOFF = 60.0
"""Seconds after which a fetch that has failed often is tried again."""

PATIENCE = 10.0
"""Seconds from the beginning of a fetch after which nobody waits for it."""

_SOONEST = 1.0  # seconds; no source is asked more often
_NO_REGION = "there is no region to sign for; set aws_region, or a region for the profile"


class RefreshedKeys:
    """AWS keys from a source that is asked again and again. Make it inside a running event loop.

    Args:
        name: of the thread.
        fetch: asks the source; blocks, and raises CredentialError.
        now: the time in UTC.
        tell: called on the loop with what is new, keys (before they are used) or why there are none, and with the keys
            that are used from now on.
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[[], Resolved],
        now: Callable[[], datetime.datetime],
        tell: Callable[[Resolved | CredentialError, Resolved | None], None],
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._now = now
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._kept: Resolved | None = None
        self._fetching: asyncio.Future[None] | None = None
        self._began = 0.0
        self._due: datetime.datetime | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failures = 0
        self._trouble: CredentialError | None = None
        """What was told last, if it was a failure."""
        self._closed = False

    def start(self) -> None:
        """Begin the first fetch, so that the first request need not."""
        if self._fetching is None and self._kept is None and not self._failures:
            self._begin()

    def close(self) -> None:
        """Fetch nothing more; what is under way is left to end by itself."""
        self._closed = True
        self._set_timer(None)
        self._settle()

    async def current(self, until: float) -> Resolved:
        """Return the keys of the moment.

        Args:
            until: the loop's time up to which a fetch may be waited for.

        Raises:
            CredentialError: there are none that could be used.
        """
        now = self._now()
        if self._fetching is None and not self._closed and self._is_due(now):
            self._begin()  # the timer is late: it stands still while the machine sleeps
        if not self._valid(now) and self._fetching is not None:
            patience = min(until, self._began + PATIENCE) - self._loop.time()
            if patience > 0:
                await asyncio.wait([self._fetching], timeout=patience)
        if self._kept is None or not self._valid(self._now()):
            raise CredentialError(f"no AWS credentials: {self._why()}")
        return self._kept

    # -- one fetch after the other -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._fetching = self._loop.create_future()
        self._began = self._loop.time()
        self._set_timer(PATIENCE, self._tell_late)
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        """Run in a thread of its own."""
        outcome: Resolved | CredentialError
        try:
            outcome = self._fetch()
        except CredentialError as error:
            outcome = error
        except BaseException as error:  # noqa: BLE001 - a thread that dies silently would be waited for for ever
            outcome = CredentialError(f"{type(error).__name__}: {error}")
        try:
            self._loop.call_soon_threadsafe(self._end, outcome)
        except RuntimeError:  # the loop is closed
            return

    def _end(self, outcome: Resolved | CredentialError) -> None:
        if self._closed:
            return
        now = self._now()
        if not isinstance(outcome, CredentialError) and outcome.expires is not None and outcome.expires <= now:
            outcome = CredentialError(f"those from {outcome.source} expired at {_clock(outcome.expires)}")
        if isinstance(outcome, CredentialError):
            self._failures += 1
            delay: float | None = min(LONGEST_BACKOFF, 2.0 ** min(self._failures - 1, 16))
            self._tell_once(outcome)
        else:
            self._failures = 0
            delay = _refreshed_after(outcome, now)
            self._keep(outcome)
        self._due = None if delay is None else now + datetime.timedelta(seconds=delay)
        self._set_timer(delay, self._begin)
        self._settle()

    def _keep(self, fetched: Resolved) -> None:
        if self._trouble is not None or self._kept is None or self._kept.pair != fetched.pair:
            self._tell(fetched, fetched)
        self._trouble = None
        self._kept = fetched

    def _tell_late(self) -> None:
        self._timer = None
        self._tell_once(CredentialError(self._late()))

    def _tell_once(self, error: CredentialError) -> None:
        if self._trouble is None:
            self._tell(error, self._kept if self._valid(self._now()) else None)
        self._trouble = error

    def _settle(self) -> None:
        if self._fetching is not None and not self._fetching.done():
            self._fetching.set_result(None)
        self._fetching = None

    def _set_timer(self, delay: float | None, callback: Callable[[], None] | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if delay is None or callback is None else self._loop.call_later(delay, callback)

    # -- questions ---------------------------------------------------------------------------------------------------

    def _valid(self, now: datetime.datetime) -> bool:
        return self._kept is not None and (self._kept.expires is None or now < self._kept.expires)

    def _is_due(self, now: datetime.datetime) -> bool:
        never_asked = self._kept is None and not self._failures
        return never_asked or (self._due is not None and now >= self._due)

    def _why(self) -> str:
        expired = ""
        if self._kept is not None and self._kept.expires is not None:
            expired = f"the last ones expired at {_clock(self._kept.expires)}; "
        if self._fetching is not None:
            return expired + self._late()
        return expired + str(self._trouble or "none have come since")

    def _late(self) -> str:
        return f"their source has not answered for {self._loop.time() - self._began:.1f} s"


class Supply:
    """An endpoint with the keys of the moment.

    Args:
        endpoint: as the config has it.
        chain: its credential.
        keys: where the keys come from.
    """

    def __init__(self, endpoint: Endpoint, chain: AwsChain, keys: RefreshedKeys) -> None:
        self._endpoint = endpoint
        self._region = chain.region
        self._keys = keys
        self._shown: Resolved | None = None

    async def endpoint(self, until: float) -> Endpoint:
        """Return the endpoint to address now.

        Args:
            until: the loop's time up to which keys may be waited for.

        Raises:
            CredentialError: there are no keys that could be used, or no region.
        """
        current = await self._keys.current(until)
        if current is not self._shown:
            region = self._region or current.region
            if region is None:
                raise CredentialError(_NO_REGION)
            pair = current.pair
            keys = AwsKeys(pair.access_key_id, pair.secret_access_key, pair.session_token, region)
            self._endpoint = replace(self._endpoint, credential=keys)
            self._shown = current
        return self._endpoint


def _refreshed_after(fetched: Resolved, now: datetime.datetime) -> float | None:
    """Return the seconds after which to fetch anew; None for never. The table is in the module's docstring."""
    if fetched.expires is None:
        return REREAD if fetched.from_file else None
    left = (fetched.expires - now).total_seconds()
    return max(left - ADVISORY, left / 2, _SOONEST)


def _clock(time: datetime.datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")
