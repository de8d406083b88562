"""What a cmdlet is: its parameters, and what is done with their values."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sipgw.management.cmdlets import kinds
from sipgw.management.cmdlets.backend import Backend
from sipgw.management.cmdlets.errors import CmdletError
from sipgw.management.cmdlets.items import Item
from sipgw.management.cmdlets.kinds import Kind
from sipgw.management.cmdlets.syntax import Script

SWITCH = kinds.truth
ACTIONS = kinds.one_of("Continue", "Ignore", "SilentlyContinue", "Stop", "Inquire", "Suspend")


@dataclass(frozen=True)
class Parameter:
    """One of a cmdlet's. `position` counts from 0. With `piped`, what comes through the pipeline goes here: the first
    of these properties that it has. `unused` says why it has no effect here, where it has none."""

    name: str
    kind: Kind = kinds.text
    aliases: tuple[str, ...] = ()
    required: bool = False
    position: int | None = None
    piped: tuple[str, ...] = ()
    unused: str = ""

    @property
    def is_switch(self) -> bool:
        return self.kind is SWITCH


class Host(Protocol):
    """Where a cmdlet's words go, and who answers its questions."""

    def say(self, line: str) -> None:
        """Beside the output proper: what would be done, warnings, details."""
        ...

    def confirm(self, what: str) -> bool:
        """Ask. Raises CmdletError where nobody can be asked."""
        ...

    def password(self, name: str, variable: str) -> str:
        """Of an account: what an environment variable holds, else asked for. Raises CmdletError likewise."""
        ...


@dataclass
class Call:
    """A cmdlet with the values of its parameters. `input` is what comes through the pipeline, for those that take all
    of it at once. `failed` is set by one whose objects tell of a failure. `block` carries a script block out for an
    object."""

    cmdlet: "Cmdlet"
    values: Mapping[str, Any]
    backend: Backend
    host: Host
    input: list[Item] = field(default_factory=list)
    failed: bool = False
    block: Callable[[Script, Item], list[Item]] = lambda script, item: []

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)

    def given(self, name: str) -> bool:
        return name in self.values

    def fail(self, message: str, kind: str) -> CmdletError:
        return CmdletError(message, kind, cmdlet=self.cmdlet.name)

    def should(self, target: str) -> bool:
        """Whether to go ahead: not with -WhatIf, nor against an answer to -Confirm; but in a rehearsal, whose changes
        go into a working copy."""
        what = f'Performing the operation "{self.cmdlet.name}" on target "{target}".'
        if self.get("WhatIf", False) or self.backend.rehearses:
            self.host.say(f"What if: {what}")
            return not self.get("WhatIf", False)
        return not self.get("Confirm", False) or self.host.confirm(what)

    def details(self, text: str) -> None:
        if self.get("Verbose", False):
            self.host.say(f"VERBOSE: {text}")

    def warn(self, text: str) -> None:
        """Raises CmdletError where the caller wants warnings to be errors."""
        action = self.get("WarningAction", "Continue")
        if action in ("Stop", "Inquire", "Suspend"):
            raise self.fail(f"{text} (a warning, and -WarningAction is {action})", "ActionPreferenceStop")
        if action == "Continue":
            self.host.say(f"WARNING: {text}")


@dataclass(frozen=True)
class Cmdlet:
    """`run` is called for each object of the pipeline, or with `takes_all` once for all of them. `changes` says that it
    has -WhatIf and -Confirm."""

    name: str
    about: str
    run: Callable[[Call], Iterable[Item]]
    parameters: tuple[Parameter, ...] = ()
    changes: bool = False
    takes_all: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def all_parameters(self) -> tuple[Parameter, ...]:
        return self.parameters + (RISK if self.changes else ()) + COMMON


_UNUSED = "variables are set with $name = …"
RISK = (
    Parameter("WhatIf", SWITCH, ("wi",)),
    Parameter("Confirm", SWITCH, ("cf",)),
)
COMMON = (
    Parameter("Verbose", SWITCH, ("vb",)),
    Parameter("Debug", SWITCH, ("db",)),
    Parameter("ErrorAction", ACTIONS, ("ea",)),
    Parameter("WarningAction", ACTIONS, ("wa",)),
    Parameter("InformationAction", ACTIONS, ("infa",)),
    Parameter("ErrorVariable", kinds.some_text, ("ev",), unused=_UNUSED),
    Parameter("WarningVariable", kinds.some_text, ("wv",), unused=_UNUSED),
    Parameter("InformationVariable", kinds.some_text, ("iv",), unused=_UNUSED),
    Parameter("OutVariable", kinds.some_text, ("ov",), unused=_UNUSED),
    Parameter("OutBuffer", kinds.number, ("ob",), unused="everything is handed on at once"),
    Parameter("PipelineVariable", kinds.some_text, ("pv",), unused=_UNUSED),
)
