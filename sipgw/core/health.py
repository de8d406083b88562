"""Which pool servers work: learnt from every answer and failure, and from OPTIONS where nothing else is heard.

A server is known by its hop (transport, address, port, name). One that is down is tried last, not never: a caller gets
its chance when all of them look down.

A server may take no new calls and answer everything else: OPTIONS by a part of it that lives, and requests of calls
that it has. So what new calls have met is counted apart, and only an answered one, or time, makes up for it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sipgw.events import Hop

MAX_SERVERS = 4096  # that something is known of; one more is taken for up
LONGEST_RETRY = 3600.0  # seconds that a Retry-After is believed
CALL, DIALOG, PROBE = "call", "dialog", "probe"  # who tells: a new call, any other request of somebody's, an OPTIONS
FORGIVEN = 900.0  # seconds after which a call that was not taken is forgotten
DOUBLINGS = 4  # of the time until a server is tried again that goes on to take no calls


@dataclass(frozen=True)
class HealthSettings:
    """`interval` in seconds between OPTIONS to a server, 0 for none. `fall` failures in a row bring it down, `rise`
    successes up; a refused connection does it at once, as does the answer to a request of somebody's. Without OPTIONS a
    server that is down is tried again after `retry` seconds."""

    interval: float = 0.0
    rise: int = 2
    fall: int = 2
    retry: float = 30.0


@dataclass(slots=True)
class ServerHealth:
    """`up`, and since when and why; `until` is when a server that is down may be tried again, 0.0 when only an OPTIONS
    that is answered tells. `shunned` is the end of the Retry-After that it last gave: until then no success counts, as
    a server that takes no new dialogs goes on to answer for those that it has. `failures` came in a row, whatever it
    was that failed; `missed` are new calls that it did not take, one after the other, the last at `missed_at`."""

    up: bool = True
    since: float = 0.0
    reason: str = ""
    until: float = 0.0
    shunned: float = 0.0
    failures: int = 0
    successes: int = 0
    missed: int = 0
    missed_at: float = 0.0


class Health:
    """`changes` are (hop, health as it was then) since they were last taken, for whoever writes the log."""

    def __init__(self, settings: HealthSettings) -> None:
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self.changes: list[tuple[Hop, ServerHealth]] = []
        self._servers: dict[Hop, ServerHealth] = {}
        self.troubled = False  # whether anything but "up, no failures" is known of any server

    def of(self, hop: Hop) -> ServerHealth:
        """What is known of a server; nothing is taken for good news."""
        return self._servers.get(hop) or ServerHealth()

    def known(self) -> dict[Hop, ServerHealth]:
        """The servers against which there is something, whether that has brought them down or not."""
        return self._servers

    def learn(self, hop: Hop, known: ServerHealth) -> None:
        """Take over what somebody else has found out."""
        self._servers[hop] = known
        self.troubled = True

    def forget(self, hop: Hop) -> None:
        """Somebody else has found out that a server works."""
        self._servers.pop(hop, None)
        self.troubled = bool(self._servers)

    def usable(self, hop: Hop, now: float) -> bool:
        known = self._servers.get(hop)
        return known is None or known.up or 0.0 < known.until <= now

    def gone(self, hop: Hop) -> bool:
        """Whether a server is down for not answering, rather than for having too much to do."""
        known = self._servers.get(hop)
        return known is not None and not known.up and not known.reason.startswith("503")

    def ordered(self, hops: list[Hop], now: float) -> list[Hop]:
        """Those that work before those that do not, otherwise in the order given."""
        if not self.troubled:
            return hops
        return sorted(hops, key=lambda hop: not self.usable(hop, now))

    def succeeded(self, hop: Hop, now: float, by: str = CALL) -> None:
        """A server has given a final answer other than 503."""
        known = self._servers.get(hop)
        if known is None or now < known.shunned:
            return
        known.failures = 0
        known.successes += 1
        if by == CALL:
            known.missed = 0
        elif self._missing(known, now):
            return
        if not known.up and (by != PROBE or known.successes >= self.settings.rise):
            known.up, known.since, known.reason, known.until = True, now, "", 0.0
            self.changes.append((hop, replace(known)))
        if known.up and (not known.missed or now >= known.missed_at + FORGIVEN):
            del self._servers[hop]
            self.troubled = bool(self._servers)

    def failed(
        self, hop: Hop, reason: str, now: float, retry_after: float = 0.0, certain: bool = False, by: str = CALL
    ) -> None:
        """A server did not answer, could not be reached (`certain`), or answered 503, maybe with a Retry-After."""
        known = self._servers.get(hop)
        if known is None:
            if len(self._servers) >= MAX_SERVERS:
                self.counters["health_not_kept"] += 1
                return
            known = self._servers[hop] = ServerHealth(since=now)
            self.troubled = True
        known.failures += 1
        known.successes = 0
        self._count_missed(known, now, certain, by)
        self._put_off(known, now, retry_after)
        if not known.up:
            known.reason = reason
        if known.up and (certain or retry_after or self._has_fallen(known)):
            known.up, known.since, known.reason = False, now, reason
            self.changes.append((hop, replace(known)))

    def _has_fallen(self, known: ServerHealth) -> bool:
        return max(known.failures, known.missed) >= self.settings.fall

    @staticmethod
    def _count_missed(known: ServerHealth, now: float, certain: bool, by: str) -> None:
        if certain or by == PROBE:
            known.missed = 0  # OPTIONS have the same to tell, and so they will tell when it is over
        elif by == CALL:
            known.missed = 1 if now >= known.missed_at + FORGIVEN else known.missed + 1
            known.missed_at = now

    def _missing(self, known: ServerHealth, now: float) -> bool:
        """Whether a server takes no calls, so that what else it answers says nothing."""
        return known.missed >= self.settings.fall and now < known.missed_at + self._patience(known)

    def _patience(self, known: ServerHealth) -> float:
        """Seconds until a server that has failed may be tried again: longer each time that it takes no call then."""
        return self.settings.retry * 2.0 ** min(max(known.missed - self.settings.fall, 0), DOUBLINGS)

    def _put_off(self, known: ServerHealth, now: float, retry_after: float) -> None:
        if retry_after:
            known.until = known.shunned = now + min(retry_after, LONGEST_RETRY)
        elif not self.settings.interval or self._missing(known, now):
            known.until = max(known.shunned, now + self._patience(known))
        elif now >= known.shunned:  # it has failed anew: that its Retry-After is over says nothing any more
            known.until = 0.0

    def without_probes(self, now: float) -> None:
        """No OPTIONS will tell any longer: those that wait for one may be tried again after a while."""
        for known in self._servers.values():
            known.until = known.until or now + self.settings.retry

    def keep_only(self, hops: Iterable[Hop]) -> None:
        """Forget servers that are no longer in the configuration or the zone."""
        wanted = set(hops)
        self._servers = {hop: known for hop, known in self._servers.items() if hop in wanted}
        self.troubled = bool(self._servers)
