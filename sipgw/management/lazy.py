"""Commands that are imported when they are asked for: most runs need one, and the gateway behind others takes long."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import click

Write = Callable[[str, click.HelpFormatter], None]


class LazyGroup(click.Group):
    """`lazy` has "module:attribute" by the name of the command. Commands that are added otherwise are there as well.
    `manual` writes what the help of a command, by its name, ends with."""

    def __init__(self, *args: Any, lazy: Mapping[str, str], manual: Write | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lazy = lazy
        self._manual = manual

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = self._loaded(cmd_name) if cmd_name in self._lazy else super().get_command(ctx, cmd_name)
        if command is not None and self._manual is not None:
            command.format_epilog = partial(_end, self._manual, cmd_name)  # type: ignore[method-assign]
        return command

    def _loaded(self, name: str) -> click.Command:
        module, _, attribute = self._lazy[name].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


def _end(write: Write, name: str, context: click.Context, formatter: click.HelpFormatter) -> None:
    """In the place of a command's epilog."""
    write(name, formatter)
