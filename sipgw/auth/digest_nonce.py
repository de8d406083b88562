"""Nonces of Digest: made with a time and a MAC, so that one which is not used costs nothing, and counted when used.

The key belongs to one process: what counted the uses of a nonce ends with it, so the nonce does too.
"""

import hmac
from collections import OrderedDict
from enum import Enum
from hashlib import blake2b
from random import Random

WINDOW = 64  # counts below the highest that may still come: requests overtake one another on UDP
_MAC_BYTES = 16
_TIME_DIGITS = 14  # milliseconds, in hexadecimal


class Use(Enum):
    """What a nonce and its count are good for."""

    FRESH = "fresh"
    STALE = "stale"  # not ours, of before a restart, too old, or forgotten: a new one helps
    REPLAYED = "replayed"  # this count was used before


class _Uses:
    """Which counts of a nonce were used: the highest, and a bit for each of the WINDOW up to it."""

    __slots__ = ("highest", "made", "seen")

    def __init__(self, made: float) -> None:
        self.made = made
        self.highest = 0
        self.seen = 0

    def take(self, count: int) -> bool:
        ahead = count - self.highest
        if ahead > 0:
            self.seen = (self.seen << min(ahead, WINDOW) | 1) & ((1 << WINDOW) - 1)
            self.highest = count
            return True
        bit = 1 << -ahead
        if -ahead >= WINDOW or self.seen & bit:
            return False
        self.seen |= bit
        return True


class Nonces:
    """Times are seconds of the engine's clock. At most `max_used` are counted; one more displaces the one first used
    longest ago, and from then on no nonce as old as that one is taken, so that none can be used twice."""

    def __init__(self, lifetime: float, max_used: int, random: Random) -> None:
        self.lifetime = lifetime
        self._max = max_used
        self._random = random
        self._keyed = blake2b(digest_size=_MAC_BYTES, key=random.randbytes(32))
        self._used: OrderedDict[str, _Uses] = OrderedDict()
        self._floor = float("-inf")

    def make(self, now: float) -> str:
        """A new nonce, of letters and digits."""
        body = f"{max(0, int(now * 1000)):0{_TIME_DIGITS}x}{self._random.getrandbits(64):016x}"
        return body + self._mac(body)

    def use(self, nonce: str, count: int, now: float) -> Use:
        """Take note that a request which proved the password used `nonce` with `count`."""
        made = self._made(nonce)
        if made is None or not -1.0 <= now - made <= self.lifetime:
            return Use.STALE
        uses = self._used.get(nonce)
        if uses is None:
            if made <= self._floor:
                return Use.STALE
            uses = self._used[nonce] = _Uses(made)
            self._shrink(now)
        return Use.FRESH if uses.take(count) else Use.REPLAYED

    def _made(self, nonce: str) -> float | None:
        """When it was made, None when not by us."""
        body, mac = nonce[: _TIME_DIGITS + 16], nonce[_TIME_DIGITS + 16 :]
        if not hmac.compare_digest(mac.encode("latin-1", "replace"), self._mac(body).encode()):
            return None
        return int(body[:_TIME_DIGITS], 16) / 1000

    def _shrink(self, now: float) -> None:
        """Those too old to be used need no counting."""
        while self._used:
            nonce, uses = next(iter(self._used.items()))
            too_old = now - uses.made > self.lifetime
            if not too_old and len(self._used) <= self._max:
                return
            if not too_old:
                self._floor = max(self._floor, uses.made)
            del self._used[nonce]

    def _mac(self, body: str) -> str:
        mac = self._keyed.copy()
        mac.update(body.encode("latin-1", "replace"))
        return mac.hexdigest()

    def __len__(self) -> int:
        return len(self._used)
