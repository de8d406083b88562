"""What was read before is not read again: header lines that recur, and the shapes of heads.

Within a call the same From, To, Call-ID and Route come a dozen times, and clients send few kinds of heads. Both tables
are bounded; what is in them is worked out from the key alone, so that to forget costs nothing but time. A full one is
emptied: the next calls fill it with what is current.
"""

import re
from typing import Final

from sipgw.message.names import SPELLINGS, titled

MAX_LINES: Final = 16_384  # lines; a call adds about six
MAX_LINE_KEPT: Final = 256  # characters of one: a longer one is no line that every message has
MAX_SHAPES: Final = 1024
MAX_NAMES_KEPT: Final = 64  # of one shape

_ONCE: Final = frozenset(  # different in every message, or nothing to be kept longer than it has to be
    {
        *("via", "authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate"),
        *("authentication-info", "proxy-authentication-info", "date", "timestamp"),
    }
)
SINGLE: Final = ("to", "from", "call-id", "cseq", "max-forwards", "content-length")
_MANDATORY: Final = ("via", *SINGLE[:4])

_FOLD: Final = re.compile(r"[ \t]*\r\n[ \t]+")
_spelling: Final = SPELLINGS.get
_names: Final[dict[str, str]] = {}
known_values: Final[dict[str, str]] = {}  # of header lines that have been seen
known_name: Final = _names.get  # the canonical name of a header line that has been seen, else None


class Shape:
    """What the names of a head say by themselves. `index` gives a name's first line and is not to be changed; `vias`
    is how many Via lines there are; `fault` what is wrong for any message (§8.1.1, §20), "" for nothing."""

    __slots__ = ("_less", "_size", "fault", "index", "vias")

    def __init__(self, names: list[str]) -> None:
        index: dict[str, int] = {}
        at = len(names)
        for name in names[::-1]:  # backwards, so that the first line of a name is what stays
            at -= 1
            index[name] = at
        self.index = index
        self.vias = names.count("via")
        self.fault = _fault(names, index, self.vias)
        self._size = len(names)
        self._less: dict[int, Shape] = {}  # a Via or a Route is taken from nearly every message

    def without(self, at: int, rest: list[str]) -> "Shape":
        """The shape of such a head without the name at `at`, which leaves `rest`."""
        if self._size != len(rest) + 1:  # lines were added since that nobody has looked for
            return shape_of(rest)
        less = self._less.get(at)
        if less is None:
            less = self._less[at] = shape_of(rest)
        return less


_shapes: Final[dict[tuple[str, ...], Shape]] = {}


def shape_of(names: list[str]) -> Shape:
    """The shape of a head whose lines have these canonical names."""
    key = tuple(names)
    shape = _shapes.get(key)
    if shape is None:
        shape = Shape(names)
        if len(names) <= MAX_NAMES_KEPT:
            if len(_shapes) >= MAX_SHAPES:
                _shapes.clear()
            _shapes[key] = shape
    return shape


def learn_name(line: str) -> str | None:
    """The canonical name of a header line, None where it has none that is known: folded, misspelt, or new."""
    if line[:5] == "Via: ":  # in every message, and each time another
        return "via"
    name, colon, _ = line.partition(":")
    canonical = _spelling(name) if colon else None
    if canonical is not None and len(line) <= MAX_LINE_KEPT and canonical not in _ONCE:
        if len(_names) >= MAX_LINES:
            _names.clear()
            known_values.clear()
        _names[line] = canonical
    return canonical


def line_value(line: str) -> str:
    """The value of one raw header line: after the colon, unfolded, stripped."""
    value = line.partition(":")[2].strip(" \t")
    if "\r" in value:
        value = _FOLD.sub(" ", value).strip()
    if line in _names:
        known_values[line] = value
    return value


def _fault(names: list[str], index: dict[str, int], vias: int) -> str:
    for name in _MANDATORY:
        if name not in index:
            return f"no {titled(name)} header"
    repeated = len(names) - len(index)
    if repeated and repeated != vias - 1:
        for name in SINGLE:
            if names.count(name) > 1:
                return f"more than one {titled(name)} header"
    return ""


NO_SHAPE: Final = Shape([])  # of a message that has not been indexed
