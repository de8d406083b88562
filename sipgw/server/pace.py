"""When to look again: while much comes in, it is gathered for a moment and taken together.

from typing import Final

To fall asleep, to be woken for each datagram, and to touch memory that has gone cold since the one before costs more
than the datagram itself. Network cards face the same and hold their interrupts back; so does this, beyond a rate at
which waiting is sure to gather something. Turns begin a period apart: what works all the time never waits.
"""

from typing import Final

WINDOW: Final = 0.02  # seconds over which a rate is taken
FEWEST: Final = 2.0  # messages that the longest wait has to gather, or there is none
ENOUGH: Final = 10.0  # messages; to gather more saves little
SHORTEST: Final = 0.00005  # seconds; the system would sleep as long again


class Pace:
    """`busy` tells that turns are paced. Whoever takes messages counts them in `taken`, and sets `more` where others
    are known to wait already. Seconds; any clock will do."""

    __slots__ = ("_began", "_period", "_since", "busy", "more", "taken")

    def __init__(self) -> None:
        self.busy = self.more = False
        self.taken = 0
        self._since = self._began = self._period = 0.0

    def look(self, now: float, longest: float) -> None:
        """Find out how much comes in. Nothing is to wait for more than `longest`; 0 for no wait."""
        passed = now - self._since
        if passed < WINDOW:
            return
        rate = self.taken / passed
        self.taken, self._since = 0, now
        self.busy = rate * longest >= FEWEST
        if self.busy:
            self._period = min(longest, ENOUGH / rate)

    def rest(self, now: float, longest: float) -> float:
        """A turn is over: how long to wait before the next one, which begins then."""
        self.look(now, longest)
        left = self._began + self._period - now
        if self.more or not self.busy or left < SHORTEST:
            left = 0.0
        self.more = False
        self._began = now + left
        return left
