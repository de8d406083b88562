"""Randomness from the system, fetched a page at a time: a call takes half a dozen identifiers, each a system call."""

import os
from random import SystemRandom

PAGE = 4096  # bytes


class Chance(SystemRandom):
    """As unpredictable as its base class. Not for processes that fork: both would go on with the same page."""

    def __init__(self) -> None:
        super().__init__()
        self._page = b""
        self._at = 0

    def randbytes(self, n: int) -> bytes:
        end = self._at + n
        if end > len(self._page):
            if n > PAGE:
                return os.urandom(n)
            self._page, end = os.urandom(PAGE), n
        found = self._page[end - n : end]
        self._at = end
        return found
