"""Numbers that may be used once each, though not quite in order: those of signatures, and counts of Digest nonces."""

WINDOW = 64  # numbers below the highest that may still come, the default of RFC 4303 §3.4.3: messages overtake one
# another on UDP only, and there by a few


class ReplayWindow:
    """Which numbers were used: the highest, and a bit for each of the WINDOW up to it."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = 0
        self._seen = 0

    def take(self, number: int) -> bool:
        """False for a number that was used or is too old to tell. Only for what has proved to be the peer's: anybody
        else could move the window."""
        ahead = number - self._highest
        if ahead > 0:
            self._seen = (self._seen << min(ahead, WINDOW) | 1) & ((1 << WINDOW) - 1)
            self._highest = number
            return True
        bit = 1 << -ahead
        if number < 1 or -ahead >= WINDOW or self._seen & bit:
            return False
        self._seen |= bit
        return True
