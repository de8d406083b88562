"""Where in a TOML text each key stands: for what is said about a mistake in it.

Only for a text that `tomllib` has read, so nothing is checked here, and whatever is not TOML ends the search.
"""

import re
import tomllib
from bisect import bisect_right
from contextlib import suppress

from sipgw.config.problems import Location

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRINGS = (  # longest delimiters first; up to two more quotes belong to a multi-line string that they end
    re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})', re.DOTALL),
    re.compile(r"'''.*?'''(?:'{0,2})", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_PLAIN = re.compile(r"[^,\]}#\n]*")  # numbers, dates, true and false


class Lines:
    """The lines of a text's keys, found when the first one is asked for."""

    def __init__(self, text: str = "") -> None:
        self._text = text
        self._found: dict[Location, int] | None = None

    def of(self, location: Location) -> int:
        """The line of a key, or of the table that should have it; 0 where there is neither."""
        if self._found is None:
            self._found = locate(self._text)
        for depth in range(len(location), 0, -1):
            line = self._found.get(location[:depth])
            if line is not None:
                return line
        return 0


def locate(text: str) -> dict[Location, int]:
    """Lines, from 1, of all tables, keys and items of arrays. Of a table that has no header that of its first key."""
    locator = _Locator(text)
    with suppress(_NotToml, tomllib.TOMLDecodeError, RecursionError):  # what was found before is true all the same
        locator.run()
    return locator.found


class _NotToml(Exception):
    """The text cannot be followed any further."""


class _Locator:
    def __init__(self, text: str) -> None:
        self.found: dict[Location, int] = {}
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._counts: dict[Location, int] = {}  # of arrays of tables, how many there are so far
        self._table: Location = ()

    def run(self) -> None:
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                self._header()
            else:
                self._pair(self._table)
            self._skip(_BLANK)

    def _skip(self, what: re.Pattern[str]) -> str:
        match = what.match(self._text, self._at)
        if match is None:
            raise _NotToml
        self._at = match.end()
        return match[0]

    def _expect(self, text: str) -> None:
        if not self._text.startswith(text, self._at):
            raise _NotToml
        self._at += len(text)

    def _note(self, location: Location, at: int) -> None:
        """The first place counts: a table may go on elsewhere."""
        line = bisect_right(self._ends, at - 1) + 1 if at else 1
        for depth in range(1, len(location) + 1):
            self.found.setdefault(location[:depth], line)

    def _header(self) -> None:
        at, many = self._at, self._text.startswith("[[", self._at)
        self._expect("[[" if many else "[")
        *above, last = self._keys()
        self._expect("]]" if many else "]")
        location: Location = ()
        for key in above:
            location = self._latest((*location, key))
        if many:
            array = (*location, last)
            self._counts[array] = self._counts.get(array, 0) + 1
        self._table = self._latest((*location, last))
        self._note(self._table, at)

    def _latest(self, location: Location) -> Location:
        """Of an array of tables its last one."""
        count = self._counts.get(location, 0)
        return (*location, count - 1) if count else location

    def _keys(self) -> list[str]:
        """A key, dotted or not, with what is blank around it."""
        keys = []
        while True:
            self._skip(_SPACE)
            keys.append(self._key())
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _key(self) -> str:
        if self._text.startswith(('"', "'"), self._at):
            quoted = self._skip(_STRINGS[2 if self._text[self._at] == '"' else 3])
            return str(tomllib.loads(f"key = {quoted}")["key"])
        return self._skip(_BARE_KEY)

    def _pair(self, table: Location) -> None:
        at = self._at
        location = (*table, *self._keys())
        self._note(location, at)
        self._expect("=")
        self._skip(_SPACE)
        self._value(location)

    def _value(self, location: Location) -> None:
        opening = self._text[self._at : self._at + 1]
        if opening == "[":
            self._array(location)
        elif opening == "{":
            self._inline(location)
        elif opening in ('"', "'"):
            self._string()
        else:
            self._skip(_PLAIN)

    def _string(self) -> None:
        for form in _STRINGS:
            match = form.match(self._text, self._at)
            if match is not None:
                self._at = match.end()
                return
        raise _NotToml

    def _array(self, location: Location) -> None:
        self._expect("[")
        self._skip(_BLANK)
        number = 0
        while not self._text.startswith("]", self._at):
            self._note((*location, number), self._at)
            self._value((*location, number))
            number += 1
            self._next("]")
        self._expect("]")

    def _inline(self, location: Location) -> None:
        self._expect("{")
        self._skip(_BLANK)
        while not self._text.startswith("}", self._at):
            self._pair(location)
            self._next("}")
        self._expect("}")

    def _next(self, closing: str) -> None:
        """Behind a comma, or at the end."""
        self._skip(_BLANK)
        if not self._text.startswith(closing, self._at):
            self._expect(",")
            self._skip(_BLANK)
