"""Carries a script out: statement after statement, until one fails."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sipgw.config import ConfigError
from sipgw.management.cmdlets import kinds
from sipgw.management.cmdlets.backend import Backend
from sipgw.management.cmdlets.binding import bind, check_required, converted, find_parameter, with_piped
from sipgw.management.cmdlets.catalog import find_cmdlet
from sipgw.management.cmdlets.cmdlet import ACTIONS, Call, Cmdlet, Host
from sipgw.management.cmdlets.errors import CmdletError, told
from sipgw.management.cmdlets.items import Item
from sipgw.management.cmdlets.parser import MAX_DEPTH, parse
from sipgw.management.cmdlets.rehearsal_backend import RehearsalBackend
from sipgw.management.cmdlets.scanner import PREFERENCES
from sipgw.management.cmdlets.syntax import Argument, Command, Named, Nested, Pipeline, Script, Splat, Template
from sipgw.management.cmdlets.values import items_of, made_ready, resolved, values_of
from sipgw.registry import RegistryError
from sipgw.server.directory_search import DirectoryError
from sipgw.server.store import StoreError

(ON_ERROR,) = PREFERENCES
THIS = "_"  # the variable of a script block
SILENT = ("SilentlyContinue", "Ignore")


class Stopped(Exception):
    """A statement failed, which has been told, and nothing after it is carried out."""


@dataclass
class Run:
    """A script in its surroundings. `show` takes the objects of a statement, `complain` the text of an error.

    `on_error` is what happens where no -ErrorAction is given; `failed` says in the end whether anything did.
    """

    backend: Backend
    host: Host
    show: Callable[[list[Item]], None]
    complain: Callable[[str], None]
    what_if: bool = False
    on_error: str = "Stop"
    failed: bool = False
    variables: dict[str, Any] = field(default_factory=dict)
    _stop: bool = False
    _text: str = ""

    def __post_init__(self) -> None:
        if self.what_if:
            self.backend = RehearsalBackend(self.backend)
        self.variables[ON_ERROR] = self.on_error

    def script(self, text: str) -> bool:
        """Whether all of it was done. A script that cannot be read throughout is not begun: nor is one with a line that
        names what there is not, so that nothing is done by halves."""
        self._text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        try:
            for pipeline in self._read():
                self._statement(pipeline)
                if self._stop:
                    return False
        except Stopped:
            return False
        return not self.failed

    def _read(self) -> list[Pipeline]:
        try:
            found = parse(self._text)
            for pipeline in found:
                self._check(pipeline)
        except CmdletError as error:
            self.complain(told(error, self._text))
            raise Stopped from error
        return found

    def _check(self, pipeline: Pipeline, depth: int = 0) -> None:
        """Whether all commands could be carried out, as far as is known beforehand. Raises CmdletError."""
        if depth > MAX_DEPTH:
            raise CmdletError("too many script blocks within each other", "ParserError", pipeline.place)
        if pipeline.source is not None:
            self._check_value(pipeline.source.value)
        piped = pipeline.source is not None
        for command in map(planned, pipeline.commands):
            cmdlet = find_cmdlet(command)
            values = bind(cmdlet, command)
            if not any(isinstance(element, Splat) for element in command.elements):
                check_required(cmdlet, values, command.place, piped and not cmdlet.takes_all)
            for parameter in cmdlet.parameters:
                if parameter.kind in (kinds.block, kinds.block_or_name) and isinstance(
                    values.get(parameter.name), Script
                ):
                    for inner in self._block(values[parameter.name]):
                        self._check(inner, depth + 1)
            for value in values.values():
                self._check_value(value)
            piped = True

    def _check_value(self, value: Any) -> None:
        """What stands in parentheses, wherever that is."""
        if isinstance(value, Nested):
            self._check(value.pipeline)
        for one in _parts(value):
            self._check_value(one)

    def _block(self, script: Script) -> list[Pipeline]:
        return parse(self._text, {*script.names, THIS}, script.place.start, script.place.end)

    def nested(self, pipeline: Pipeline) -> list[Item]:
        """What comes of a pipeline within a line."""
        return self._pipeline(pipeline)

    def block(self, script: Script, item: Item) -> list[Item]:
        """What comes of a script block for an object."""
        before = self.variables.get(THIS)
        self.variables[THIS] = values_of([item])[0]
        try:
            found = [self._statement(pipeline, show=False) for pipeline in self._block(script)]
        finally:
            self.variables[THIS] = before
        return [item for items in found for item in items]

    def _statement(self, pipeline: Pipeline, show: bool = True) -> list[Item]:
        if not pipeline.target:
            found = self._pipeline(pipeline)
            if show:
                self.show(found)
            return found
        if pipeline.source is not None and not pipeline.commands:
            try:
                self._set(pipeline.target, resolved(pipeline.source.value, self), pipeline)
            except CmdletError as error:
                self._failed(error, self.on_error)
        else:
            values = values_of(self._pipeline(pipeline))
            self._set(pipeline.target, values if len(values) > 1 else values[0] if values else None, pipeline)
        return []

    def _set(self, name: str, value: Any, pipeline: Pipeline) -> None:
        if name == ON_ERROR:
            try:
                self.on_error = value = ACTIONS(value)
            except ValueError as error:
                text = f"$ErrorActionPreference cannot be that; write {error}"
                raise CmdletError(text, "CannotConvertArgument", pipeline.place) from None
        self.variables[name] = value

    def _pipeline(self, pipeline: Pipeline) -> list[Item]:
        items: list[Item] | None = None
        if pipeline.source is not None:
            try:
                items = items_of(resolved(pipeline.source.value, self))
            except CmdletError as error:
                self._failed(error, self.on_error)
                return []
        for command in map(planned, pipeline.commands):
            items = self._command(command, items)
        return items or []

    def _command(self, written: Command, piped: list[Item] | None) -> list[Item]:
        """What a command makes of what comes in; None is the beginning of a pipeline."""
        action = self.on_error
        try:
            cmdlet = find_cmdlet(written)
            command = made_ready(written, self)
            action = _error_action(cmdlet, command) or action
            values = bind(cmdlet, command)
            if cmdlet.takes_all or piped is None:
                check_required(cmdlet, values, command.place)
                return list(self._call(cmdlet, values, command, piped or []))
        except CmdletError as error:
            self._failed(error, action)
            return []
        return [found for item in piped for found in self._for_one(cmdlet, values, item, command, action)]

    def _for_one(
        self, cmdlet: Cmdlet, values: dict[str, object], item: Item, command: Command, action: str
    ) -> list[Item]:
        try:
            with_item = with_piped(cmdlet, values, item, command.place)
            check_required(cmdlet, with_item, command.place)
            return list(self._call(cmdlet, with_item, command, []))
        except CmdletError as error:
            self._failed(error, action)
            return []

    def _call(self, cmdlet: Cmdlet, values: dict[str, object], command: Command, items: list[Item]) -> list[Item]:
        call = Call(cmdlet, values, self.backend, self.host, items, block=self.block)
        for parameter in cmdlet.all_parameters:
            if parameter.unused and parameter.name in values:
                call.details(f"-{parameter.name} has no effect: {parameter.unused}")
        try:
            found = list(cmdlet.run(call))
            self.failed |= call.failed
            self._stop |= call.failed and values.get("ErrorAction", self.on_error) == "Stop"
            return found
        except CmdletError as error:
            error.place, error.cmdlet = error.place or command.place, cmdlet.name
            raise
        except (RegistryError, StoreError, ConfigError, DirectoryError, OSError) as error:
            reason = _reason(error).replace("\n", "; ")
            raise CmdletError(reason, type(error).__name__, command.place, cmdlet.name) from error

    def _failed(self, error: CmdletError, action: str) -> None:
        if action in SILENT:
            return
        self.complain(told(error, self._text))
        self.failed = True
        if action != "Continue":
            raise Stopped


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def planned(command: Command) -> Command:
    """What is carried out: of a command with `-?`, its help."""
    asked = any(isinstance(element, Named) and element.name == "?" for element in command.elements)
    return Command("Get-Help", command.place, (Argument(command.name, command.place),)) if asked else command


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Template):
        return list(value.parts)
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


def _error_action(cmdlet: Cmdlet, command: Command) -> str:
    """What -ErrorAction says, also in a command that cannot be bound; "" where it says nothing."""
    elements = list(command.elements)
    for at, element in enumerate(elements):
        if not isinstance(element, Named):
            continue
        try:
            parameter = find_parameter(cmdlet, element)
            following = elements[at + 1] if at + 1 < len(elements) else None
            argument = element.joined or following
            if parameter.name == "ErrorAction" and isinstance(argument, Argument):
                return str(converted(cmdlet, parameter, argument.value, argument.place))
        except CmdletError:  # told when the command is bound
            continue
    return ""
