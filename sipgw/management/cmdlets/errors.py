"""What goes wrong with an administrator's line, and how it is told: as PowerShell does, naming the place in it."""

from difflib import get_close_matches
from typing import NamedTuple


class Place(NamedTuple):
    """From where to where in a script's text."""

    start: int
    end: int


class CmdletError(Exception):
    """A line that cannot be read or carried out.

    `kind` is one word for machines, `place` where in the script, `cmdlet` whose error it is: both are filled in by
    whoever knows them.
    """

    def __init__(self, message: str, kind: str, place: Place | None = None, cmdlet: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.place = place
        self.cmdlet = cmdlet


def told(error: CmdletError, script: str) -> str:
    """The lines for standard error, without the line feed at the end."""
    place = error.place or Place(0, 0)
    line = script.count("\n", 0, place.start) + 1
    begin = script.rfind("\n", 0, place.start) + 1
    text = script[begin:].partition("\n")[0]
    column = place.start - begin
    width = max(1, min(place.end, begin + len(text)) - place.start)
    name = _on_one_line(error.cmdlet)
    return "\n".join(
        (
            f"{name} : {_on_one_line(error.message)}" if error.cmdlet else _on_one_line(error.message),
            f"At line:{line} char:{column + 1}",
            f"+ {_on_one_line(text)}",
            f"+ {' ' * column}{'~' * width}",
            f"    + {error.kind}{f',{name}' if error.cmdlet else ''}",
        )
    )


def _on_one_line(text: str) -> str:
    """A terminal must not be steered by what stands in a script."""
    return "".join(char if char.isprintable() else " " for char in text)


def closest(wanted: str, known: list[str], sign: str = "") -> str:
    """`; did you mean X?` with the names nearest to what was written, or nothing."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(wanted.lower(), list(by_lower), 3, 0.8)
    near += [name for name in by_lower if wanted.lower() in name and name not in near] if len(wanted) > 2 else []
    return f"; did you mean {' or '.join(sign + by_lower[name] for name in near[:3])}?" if near else ""
