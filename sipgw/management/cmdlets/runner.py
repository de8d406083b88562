"""Carries a script out: statement after statement, until one fails."""

from collections.abc import Callable
from dataclasses import dataclass

from sipgw.config import ConfigError
from sipgw.management.cmdlets.backend import Backend
from sipgw.management.cmdlets.binding import bind, check_required, converted, find_parameter, with_piped
from sipgw.management.cmdlets.catalog import find_cmdlet
from sipgw.management.cmdlets.cmdlet import Call, Cmdlet, Host
from sipgw.management.cmdlets.errors import CmdletError, told
from sipgw.management.cmdlets.items import Item, text_item
from sipgw.management.cmdlets.parser import parse
from sipgw.management.cmdlets.syntax import Argument, Command, Named, Pipeline
from sipgw.registry import RegistryError
from sipgw.server.directory_search import DirectoryError
from sipgw.server.store import StoreError

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
    _stop: bool = False

    def script(self, text: str) -> bool:
        """Whether all of it was done. A script that cannot be read throughout is not begun."""
        text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        try:
            for pipeline in _parsed(text, self):
                self.show(self._pipeline(pipeline, text))
                if self._stop:
                    return False
        except Stopped:
            return False
        return not self.failed

    def _pipeline(self, pipeline: Pipeline, text: str) -> list[Item]:
        items = _source(pipeline)
        for command in pipeline.commands:
            items = self._command(command, items, text)
        return items or []

    def _command(self, command: Command, piped: list[Item] | None, text: str) -> list[Item]:
        """What a command makes of what comes in; None is the beginning of a pipeline."""
        action = self.on_error
        try:
            cmdlet = find_cmdlet(command)
            action = _error_action(cmdlet, command) or action
            values = bind(cmdlet, command)
            if cmdlet.takes_all:
                check_required(cmdlet, values, command.place)
                return list(self._call(cmdlet, values, command, piped or []))
            if piped is None:
                check_required(cmdlet, values, command.place)
                return list(self._call(cmdlet, values, command, []))
        except CmdletError as error:
            self._failed(error, action, text)
            return []
        return [found for item in piped for found in self._for_one(cmdlet, values, item, command, action, text)]

    def _for_one(
        self, cmdlet: Cmdlet, values: dict[str, object], item: Item, command: Command, action: str, text: str
    ) -> list[Item]:
        try:
            with_item = with_piped(cmdlet, values, item, command.place)
            check_required(cmdlet, with_item, command.place)
            return list(self._call(cmdlet, with_item, command, []))
        except CmdletError as error:
            self._failed(error, action, text)
            return []

    def _call(self, cmdlet: Cmdlet, values: dict[str, object], command: Command, items: list[Item]) -> list[Item]:
        call = Call(cmdlet, values, self.backend, self.host, self.what_if, items)
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
            reason = str(error).replace("\n", "; ")
            raise CmdletError(reason, type(error).__name__, command.place, cmdlet.name) from error

    def _failed(self, error: CmdletError, action: str, text: str) -> None:
        if action in SILENT:
            return
        self.complain(told(error, text))
        self.failed = True
        if action != "Continue":
            raise Stopped


def _parsed(text: str, run: Run) -> list[Pipeline]:
    try:
        return parse(text)
    except CmdletError as error:
        run.complain(told(error, text))
        raise Stopped from error


def _source(pipeline: Pipeline) -> list[Item] | None:
    """The values at a pipeline's beginning, None where it begins with a command."""
    if pipeline.source is None:
        return None
    value = pipeline.source.value
    values = value if isinstance(value, list) else [value]
    return [text_item("" if one is None else str(one)) for one in values]


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
