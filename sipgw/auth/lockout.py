"""Failed sign-ins: slowed after a few, then none taken for a time, per account and per source.

Failures are forgotten one by one. They count by the name that was given, whether an account has it or not: who is told
to wait has learnt nothing. Those of an account's several names count together as well, for which nobody is told to
wait: its password is just not right for a time. A source from which an account has signed in before is not kept out by
what others do to the account: else whoever knows a name could lock its owner out.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sipgw.auth.source import source_of


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
    """A source may be an office behind one address, so more is allowed to it. `tracked` is how many names, accounts,
    sources, and pairs that have signed in are kept in mind; one more displaces the one heard of longest ago."""

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
    """Ask `wait` before credentials are looked at, and whether it `bars` those that are right; tell what came of it
    with `failed` or `succeeded`.

    `name` is from `accounts.key_of`; `uri` is the account's, "" where there is none; `source` is an address. `tell` is
    called with them and what came of it: others that share the work tell it to theirs by `learn`.
    """

    def __init__(self, settings: LockoutSettings, counters: Counter[str]) -> None:
        self._counters = counters
        self._tracked = settings.tracked
        self._names = _Failures(settings.account, settings.tracked, counters, "account")
        self._accounts = _Failures(settings.account, settings.tracked, counters, "alias")
        self._sources = _Failures(settings.source, settings.tracked, counters, "source")
        self._familiar: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.tell: Callable[[str, str, str, bool], None] | None = None

    def wait(self, name: str, source: str, now: float) -> float:
        """Seconds until this source may try this name again; 0.0: it may now. Counted when it may not."""
        source = source_of(source)
        seconds = max(self._sources.wait(source, now), self._names.wait(self._key(name, source), now))
        if seconds:
            self._counters["refused_lockout"] += 1
        return seconds

    def bars(self, uri: str, source: str, now: float) -> bool:
        """Whether an account is kept out for what failed by any of its names: then the right password is to be answered
        as a wrong one. A wait would tell that two names are of one account, and that there is one."""
        return self._accounts.wait(self._key(uri, source_of(source)), now) > 0.0

    def failed(self, name: str, uri: str, source: str, now: float) -> None:
        """Wrong password or unknown user. From a familiar source it counts for the two together."""
        self._add(name, uri, source_of(source), now, counted=True)
        if self.tell is not None:
            self.tell(name, uri, source, False)

    def _add(self, name: str, uri: str, source: str, now: float, counted: bool) -> None:
        self._names.add(self._key(name, source), now, counted)
        self._sources.add(source, now, counted)
        account = self._key(uri, source)
        if uri and not self._accounts.wait(account, now):  # one that is kept out is not kept out for ever
            self._accounts.add(account, now, counted)

    def succeeded(self, name: str, uri: str, source: str) -> None:
        """What failed here before is forgiven to the two together. To the account or the source alone it is not: who
        guesses could clear it by one sign-in, the owner's or one of his own."""
        self._forgive(name, uri, source_of(source))
        if self.tell is not None:
            self.tell(name, uri, source, True)

    def learn(self, name: str, uri: str, source: str, succeeded: bool, now: float) -> None:
        """What came of a try somewhere else, where it has been counted."""
        if succeeded:
            self._forgive(name, uri, source_of(source))
        else:
            self._add(name, uri, source_of(source), now, counted=False)

    def _forgive(self, name: str, uri: str, source: str) -> None:
        for known, failures in ((name, self._names), (uri, self._accounts)):
            pair = known, source
            self._familiar.pop(pair, None)
            self._familiar[pair] = None
            if len(self._familiar) > 2 * self._tracked:
                self._familiar.popitem(last=False)
            failures.clear(_together(known, source))

    def sizes(self) -> dict[str, int]:
        """How much is kept in mind."""
        known = {"account": len(self._names), "alias": len(self._accounts), "source": len(self._sources)}
        return {**known, "familiar": len(self._familiar)}

    def _key(self, known: str, source: str) -> str:
        return _together(known, source) if (known, source) in self._familiar else known


def _together(known: str, source: str) -> str:
    return f"{known} {source}"
