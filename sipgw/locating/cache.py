"""Answers kept by name and type: for their TTL, and longer where nobody can give newer ones (RFC 8767)."""

from dataclasses import dataclass
from typing import NamedTuple

from sipgw.locating.records import Answer, Question


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """Seconds, except `size`, which has to be larger than what one destination needs (some 90)."""

    size: int = 4096
    shortest: float = 5.0  # a zone with TTL 0 must not cost a question for every call
    longest: float = 3600.0
    longest_negative: float = 60.0  # a forgotten record that has been added is wanted soon; SOA minimums are hours
    first_retry: float = 2.0  # after a failure; doubled with each further one (RFC 9520 §3.2)
    longest_retry: float = 30.0
    stale: float = 300.0  # after the TTL an answer still serves while a newer one is asked for
    kept: float = 86_400.0  # and this long when asking fails


class Known(NamedTuple):
    """`fresh` is False for an answer past its TTL; `until` is when it will be."""

    answer: Answer
    fresh: bool
    until: float


class Cache:
    """At its size the answer that was not used for longest goes; `evicted` counts those."""

    def __init__(self, limits: CacheLimits) -> None:
        self._limits = limits
        self._entries: dict[Question, _Entry] = {}
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def look(self, question: Question, now: float) -> Known | None:
        """What is known, stale or not; None when it has to be asked for first."""
        entry = self._entries.pop(question, None)
        if entry is None:
            return None
        self._entries[question] = entry  # now the one used last
        if now >= entry.serves_until:
            return None
        return Known(entry.answer, now < entry.fresh_until, entry.fresh_until)

    def store(self, answer: Answer, now: float) -> bool:
        """Keep an answer. False when it was a failure and an older answer goes on serving instead."""
        entry = self._entries.pop(answer.question, None)
        if answer.unknown and entry is not None and now < entry.kept_until:
            self._entries[answer.question] = entry
            entry.failures += 1
            entry.postpone(now + self._retry(entry.failures), self._limits.stale)
            return False
        failures = entry.failures + 1 if answer.unknown and entry is not None else int(answer.unknown)
        while len(self._entries) >= self._limits.size:
            del self._entries[next(iter(self._entries))]
            self.evicted += 1
        self._entries[answer.question] = self._entry(answer, failures, now)
        return True

    def _entry(self, answer: Answer, failures: int, now: float) -> "_Entry":
        limits = self._limits
        if answer.unknown:
            fresh_until = now + self._retry(failures)
            kept_until = fresh_until  # the next failure takes its place
        else:
            longest = limits.longest_negative if answer.failure else limits.longest
            fresh_until = now + min(max(answer.ttl, limits.shortest), longest)
            kept_until = fresh_until + limits.kept
        return _Entry(answer, fresh_until, fresh_until + limits.stale, kept_until, failures)

    def _retry(self, failures: int) -> float:
        return min(self._limits.first_retry * float(1 << min(failures - 1, 16)), self._limits.longest_retry)


@dataclass(slots=True)
class _Entry:
    """`serves_until` bounds its use while it is being renewed, `kept_until` its use when that fails. `failures` counts
    the attempts since the last answer."""

    answer: Answer
    fresh_until: float
    serves_until: float
    kept_until: float
    failures: int

    def postpone(self, retry_at: float, stale: float) -> None:
        self.fresh_until = min(retry_at, self.kept_until)
        self.serves_until = min(self.fresh_until + stale, self.kept_until)
