"""What a script consists of, and the characters that PowerShell takes for quotes, dashes and blanks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sipgw.management.cmdlets.errors import Place

SINGLE, DOUBLE = "'\u2018\u2019\u201a\u201b", '"\u201c\u201d\u201e'  # also what a word processor makes of a quote
DASHES = "-\u2013\u2014\u2015"
BLANKS = " \t\v\f\u00a0\u0085"
ENDS = "\n;|&(){}<>,"  # what ends a bare word, beside blanks

UNDERSTOOD = (
    "this is no PowerShell: understood are the Persistent Chat cmdlets (`sipgw cmdlet --list` shows them) with their "
    "parameters, pipelines, quotes, comments, @{…}, @(…), $true, $false, $null and filters in {…}"
)


@dataclass(frozen=True)
class Script:
    """What stands in braces; `place` is that of the text between them."""

    text: str
    place: Place


Value = str | int | bool | None | Sequence[Any] | Mapping[str, Any] | Script


@dataclass(frozen=True)
class Argument:
    """A value that stands alone."""

    value: Value
    place: Place


@dataclass(frozen=True)
class Named:
    """`-Name`, and what a colon joins to it."""

    name: str
    place: Place
    joined: Argument | None = None


@dataclass(frozen=True)
class Command:
    """A cmdlet's name and what follows it."""

    name: str
    place: Place
    elements: tuple[Argument | Named, ...]


@dataclass(frozen=True)
class Pipeline:
    """Commands, each getting what the one before gives; the first gets `source`, where there is one."""

    source: Argument | None
    commands: tuple[Command, ...]
    place: Place
