"""Nonces of Digest: made with a time and a MAC, so that one which is not used costs nothing, and counted when used.

The key belongs to one process: what counted the uses of a nonce ends with it, so the nonce does too.
"""

import hmac
from collections import OrderedDict
from enum import Enum
from hashlib import blake2b
from random import Random
from typing import NamedTuple

from sipgw.auth.replay import ReplayWindow

_MAC_BYTES = 16
_TIME_DIGITS = 14  # milliseconds, in hexadecimal


class Use(Enum):
    """What a nonce and its count are good for."""

    FRESH = "fresh"
    STALE = "stale"  # not ours, of before a restart, too old, or forgotten: a new one helps
    REPLAYED = "replayed"  # this count was used before


class _Uses(NamedTuple):
    """When a nonce was made, and which of its counts were used."""

    made: float
    counts: ReplayWindow


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

    def make(self, now: float, source: str = "") -> str:
        """A new nonce, of letters and digits, for requests from one host: who has not been reached there cannot have
        requests taken as coming from it."""
        body = f"{max(0, int(now * 1000)):0{_TIME_DIGITS}x}{self._random.getrandbits(64):016x}"
        return body + self._mac(body, source)

    def use(self, nonce: str, count: int, now: float, source: str = "") -> Use:
        """Take note that a request which proved the password used `nonce` with `count`."""
        made = self._good(nonce, now, source)
        if made is None:
            return Use.STALE
        uses = self._used.get(nonce)
        if uses is None:
            uses = self._used[nonce] = _Uses(made, ReplayWindow())
            self._shrink(now)
        return Use.FRESH if uses.counts.take(count) else Use.REPLAYED

    def is_good(self, nonce: str, now: float, source: str = "") -> bool:
        """Whether a nonce is ours, was given to this source, and is neither too old nor forgotten."""
        return self._good(nonce, now, source) is not None

    def _good(self, nonce: str, now: float, source: str) -> float | None:
        """When it was made, None where it is no good."""
        made = self._made(nonce, source)
        if made is None or not -1.0 <= now - made <= self.lifetime:
            return None
        return made if nonce in self._used or made > self._floor else None

    def _made(self, nonce: str, source: str) -> float | None:
        """When it was made, None when not by us for this source."""
        body, mac = nonce[: _TIME_DIGITS + 16], nonce[_TIME_DIGITS + 16 :]
        if not hmac.compare_digest(mac.encode("latin-1", "replace"), self._mac(body, source).encode()):
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

    def _mac(self, body: str, source: str) -> str:
        mac = self._keyed.copy()
        mac.update(f"{body} {source}".encode("latin-1", "replace"))
        return mac.hexdigest()

    def __len__(self) -> int:
        return len(self._used)
