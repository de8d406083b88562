"""What a script consists of, and the characters that PowerShell takes for quotes, dashes and blanks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sipgw.management.cmdlets.errors import Place

SINGLE, DOUBLE = "'\u2018\u2019\u201a\u201b", '"\u201c\u201d\u201e'  # also what a word processor makes of a quote
DASHES = "-\u2013\u2014\u2015"
BLANKS = " \t\v\f\u00a0\u0085"
ENDS = "\n;|&(){}<>,"  # what ends a bare word, beside blanks

UNDERSTOOD = (
    "this is no PowerShell: understood are the Persistent Chat cmdlets (`sipgw cmdlet --list` shows them) with their "
    "parameters, pipelines, variables, quotes, comments, (…), @{…}, @(…), $true, $false, $null and filters in {…}"
)


@dataclass(frozen=True)
class Script:
    """What stands in braces; `place` is that of the text between them. `names` are the variables that are set before,
    `variables` their values, once it is to be carried out."""

    text: str
    place: Place
    names: frozenset[str] = frozenset()
    variables: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Reference:
    """`$name`, in lower case, and what is asked for of it: properties, and places in a list."""

    name: str
    place: Place
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Nested:
    """`(…)` or `$(…)` with a pipeline in it; `@(…)` gives a list, whatever comes of it."""

    pipeline: "Pipeline"
    place: Place
    path: tuple[str | int, ...] = ()
    is_list: bool = False


@dataclass(frozen=True)
class Template:
    """A text with values to be put in."""

    parts: tuple["str | Reference | Nested", ...]


Deferred = Reference | Nested | Template  # what is only known when it is carried out
Value = str | int | bool | None | Sequence[Any] | Mapping[str, Any] | Script | Deferred


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
class Splat:
    """`@name`: parameters out of a table, or values out of a list."""

    name: str
    place: Place


Element = Argument | Named | Splat


@dataclass(frozen=True)
class Command:
    """A cmdlet's name and what follows it."""

    name: str
    place: Place
    elements: tuple[Element, ...]


@dataclass(frozen=True)
class Pipeline:
    """Commands, each getting what the one before gives; the first gets `source`, where there is one. What comes of it
    is shown, or becomes the value of the variable `target`."""

    source: Argument | None
    commands: tuple[Command, ...]
    place: Place
    target: str = ""
