"""Users in a directory: read whole, kept, and read again; those that were read last serve while it is away.

Read whole, so that nobody's sign-in waits for another server, and so that nobody has to be kept out when it is away. A
user who is new or no longer enabled in the directory is so here after at most `refresh` seconds.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic as clock
from traceback import extract_tb

from structlog.typing import FilteringBoundLogger

from sipgw.auth.accounts import Account, AccountTable
from sipgw.server.directory_entries import Found
from sipgw.server.directory_search import DirectoryError

FIRST_RETRY = 2.0  # seconds; doubled up to `refresh`
MAX_NAMED = 10  # names in one log line


@dataclass(frozen=True)
class Keeping:
    """Seconds: between readings, and how long the last one is gone by when the directory stays away."""

    refresh: float
    keep: float


class Directory:
    """The accounts of a directory. `read` does one reading and may wait: it is called in a thread."""

    def __init__(
        self, read: Callable[[], Found], keeping: Keeping, log: FilteringBoundLogger, counters: Counter[str]
    ) -> None:
        self._read = read
        self._keeping = keeping
        self._log = log
        self._counters = counters
        self._table = AccountTable()
        self._at: float | None = None  # when it was last read, by `clock`
        self._away = False
        self._task: asyncio.Task[None] | None = None

    def find(self, name: str) -> Account | None:
        self._forget_old(clock())  # here, as a reading that never comes back must keep nobody for longer
        return self._table.find(name)

    def __len__(self) -> int:
        self._forget_old(clock())
        return len(self._table)

    async def start(self) -> None:
        """Read once, and from then on again and again. One that is away is asked again, and meanwhile there are no
        users: that is no reason not to start."""
        good = await self.refresh()
        self._task = asyncio.get_running_loop().create_task(self._follow(good))

    async def _follow(self, good: bool) -> None:
        wait = FIRST_RETRY
        while True:
            wait = self._keeping.refresh if good else min(wait, self._keeping.refresh)
            await asyncio.sleep(wait)
            good = await self.refresh()
            wait = FIRST_RETRY if good else wait * 2

    async def refresh(self) -> bool:
        """Read now. Whether that was good; if not, what was read before goes on being true for a time."""
        now = clock()
        try:
            found, table = await asyncio.to_thread(self._load)
        except DirectoryError as error:
            self._failed(str(error), now)
            return False
        except Exception as error:  # whatever it is, it must not be the end of reading
            self._failed(_whereabouts(error), now)
            return False
        if self._at is not None and now < self._at:
            return True  # another reading, which began later, was faster
        changed = len(table) != len(self._table) or self._at is None or self._away
        self._table, self._at, self._away = table, now, False
        self._counters["directory_read"] += 1
        if changed:
            self._tell(found, table)
        return True

    def _load(self) -> tuple[Found, AccountTable]:
        found = self._read()
        return found, AccountTable(found.accounts)

    def _failed(self, reason: str, now: float) -> None:
        self._counters["directory_failed"] += 1
        if not self._away:
            self._log.error("directory away", reason=reason, users=len(self._table))
        self._away = True
        self._forget_old(now)

    def _forget_old(self, now: float) -> None:
        if self._at is not None and now - self._at > self._keeping.keep:
            self._log.error("directory away for too long: its users are forgotten", users=len(self._table))
            self._table, self._at = AccountTable(), None

    def _tell(self, found: Found, table: AccountTable) -> None:
        self._log.info("directory read", users=len(table), passed_over=len(found.passed_over))
        for what, names in (("no SIP address here", found.passed_over), ("of several users", table.ambiguous())):
            if names:
                shown = " ".join(names[:MAX_NAMED])
                self._log.warning("directory entries not usable", reason=what, names=shown, count=len(names))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task


def _whereabouts(error: Exception) -> str:
    """What nobody has foreseen. Its own words are left out: they may have a password in them."""
    frames = extract_tb(error.__traceback__)
    at = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{at}"
