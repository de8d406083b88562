"""What is wrong with a configuration, taken apart into where and what."""

import re

from sipgw.server.admin.models import Fault

_PLACED = re.compile(r"(?P<file>.+?)(?::(?P<line>[0-9]+))?: (?P<rest>.+)", re.DOTALL)
_KEY = re.compile(r"\S+")


def fault_of(problem: str) -> Fault:
    """A line of ConfigError, `FILE:LINE: KEY: TEXT`, of which line and key may be missing."""
    placed = _PLACED.fullmatch(problem)
    if placed is None:
        return Fault(text=problem)
    file, line, rest = placed["file"], int(placed["line"] or 0), placed["rest"]
    key, colon, text = rest.partition(": ")
    if not colon or not _KEY.fullmatch(key):
        return Fault(text=rest, file=file, line=line)
    return Fault(key=key, text=text, file=file, line=line)
