"""Failed sign-ins: slowed after a few, then none taken for a time, per account and per source.

Failures are forgotten one by one. An account that does not exist is slowed as any other, by the name that was given. A
source from which an account has signed in before is not kept out by what others do to the account: else whoever knows a
name could lock its owner out.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Up to `free` failures cost nothing; each further one doubles a wait of 1 second, up to `slowest`; from about
    `most` on nothing is taken for `locked` seconds. One failure is forgotten every `forget` seconds."""

    free: float
    most: float
    slowest: float = 30.0
    locked: float = 300.0
    forget: float = 60.0


@dataclass(frozen=True)
class LockoutSettings:
    """A source may be an office behind one address, so more is allowed to it. `tracked` is how many accounts, sources,
    and pairs that have signed in are kept in mind; one more displaces the one heard of longest ago."""

    account: Limits = Limits(free=3, most=10)
    source: Limits = Limits(free=20, most=100, forget=6.0)
    tracked: int = 20_000


class _Failures:
    """Failures by key: how many are remembered, since when, and until when nothing is taken."""

    def __init__(self, limits: Limits, most_keys: int, counters: Counter[str], what: str) -> None:
        self._limits = limits
        self._most_keys = most_keys
        self._counters = counters
        self._what = what
        self._known: OrderedDict[str, tuple[float, float, float]] = OrderedDict()

    def wait(self, key: str, now: float) -> float:
        """Seconds until another try is taken, 0.0 for now."""
        known = self._known.get(key)
        return max(0.0, known[2] - now) if known else 0.0

    def add(self, key: str, now: float, counted: bool = True) -> None:
        level, at, until = self._known.pop(key, (0.0, now, now))
        limits = self._limits
        level = max(0.0, level - (now - at) / limits.forget) + 1.0
        if round(level) >= limits.most:
            level = limits.free  # after the lock the next failures are slowed again at once
            until = now + limits.locked
            self._counters[f"locked_{self._what}"] += counted
        elif level > limits.free:
            until = now + min(limits.slowest, 2.0 ** (level - limits.free - 1.0))
        self._known[key] = level, now, until
        if len(self._known) > self._most_keys:
            self._known.popitem(last=False)
            self._counters[f"lockout_displaced_{self._what}"] += 1

    def clear(self, key: str) -> None:
        self._known.pop(key, None)

    def __len__(self) -> int:
        return len(self._known)


class Lockout:
    """Ask `wait` before credentials are looked at; tell what came of it with `failed` or `succeeded`.

    `account` is from `accounts.key_of`, so that all names of one count together; `source` is an address. `tell` is
    called with them and what came of it: others that share the work tell it to theirs by `learn`.
    """

    def __init__(self, settings: LockoutSettings, counters: Counter[str]) -> None:
        self._counters = counters
        self._tracked = settings.tracked
        self._accounts = _Failures(settings.account, settings.tracked, counters, "account")
        self._sources = _Failures(settings.source, settings.tracked, counters, "source")
        self._familiar: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.tell: Callable[[str, str, bool], None] | None = None

    def wait(self, account: str, source: str, now: float) -> float:
        """Seconds until this source may try this account again; 0.0: it may now. Counted when it may not."""
        seconds = max(self._sources.wait(source, now), self._accounts.wait(self._key(account, source), now))
        if seconds:
            self._counters["refused_lockout"] += 1
        return seconds

    def failed(self, account: str, source: str, now: float) -> None:
        """Wrong password or unknown user. From a familiar source it counts for the two together."""
        self._add(account, source, now, counted=True)
        if self.tell is not None:
            self.tell(account, source, False)

    def _add(self, account: str, source: str, now: float, counted: bool) -> None:
        self._accounts.add(self._key(account, source), now, counted)
        self._sources.add(source, now, counted)

    def succeeded(self, account: str, source: str) -> None:
        """What failed here before is forgiven to the two together. To the account or the source alone it is not: who
        guesses could clear it by one sign-in, the owner's or one of his own."""
        self._forgive(account, source)
        if self.tell is not None:
            self.tell(account, source, True)

    def learn(self, account: str, source: str, succeeded: bool, now: float) -> None:
        """What came of a try somewhere else, where it has been counted."""
        if succeeded:
            self._forgive(account, source)
        else:
            self._add(account, source, now, counted=False)

    def _forgive(self, account: str, source: str) -> None:
        pair = account, source
        self._familiar.pop(pair, None)
        self._familiar[pair] = None
        if len(self._familiar) > self._tracked:
            self._familiar.popitem(last=False)
        self._accounts.clear(_together(account, source))

    def sizes(self) -> dict[str, int]:
        """How much is kept in mind."""
        return {"account": len(self._accounts), "source": len(self._sources), "familiar": len(self._familiar)}

    def _key(self, account: str, source: str) -> str:
        return _together(account, source) if (account, source) in self._familiar else account


def _together(account: str, source: str) -> str:
    return f"{account} {source}"
