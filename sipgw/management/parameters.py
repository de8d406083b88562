"""Values on the command line, read by the same parsers as the configuration file's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from sipgw.config import parse_listen
from sipgw.config.values import parse_endpoint_address, parse_name, parse_server, parse_service_uri
from sipgw.message.errors import MalformedMessage
from sipgw.message.names import TOKEN
from sipgw.message.uri import parse_uri

UNKNOWN_SCHEME = 416  # what somebody may well ask about
F = TypeVar("F", bound=Callable[..., Any])


class Parsed(click.ParamType[object]):
    """A value that a parser such as those of `sipgw.config.values` reads; its ValueError becomes the usage error. An
    empty one that is not `needed` is passed on."""

    def __init__(self, name: str, parse: Callable[[object], object], needed: bool = False) -> None:
        self.name = name
        self._parse = parse
        self._needed = needed

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        if not isinstance(value, str) or not (value or self._needed):
            return value  # a default, which is of the wanted type already
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parse_method(value: object) -> str:
    """A method as it stands in a request. Raises ValueError."""
    written = str(value)
    if not written or not TOKEN.issuperset(written):
        written = "".join(char if char.isprintable() else "?" for char in written)
        raise ValueError(f'"{written}" is no method; write one like INVITE')
    if written != written.upper():
        raise ValueError(f'"{written}" is not written in capitals; methods are, write {written.upper()}')
    return written


def parse_request_uri(value: object) -> str:
    """A URI as it stands in a request; of another scheme than sip it has to be in one piece only. Raises ValueError."""
    written = str(value)
    if not written.isprintable() or " " in written:
        raise ValueError("it has a space or a control character in it; write one like sip:user@domain")
    try:
        parse_uri(written)
    except MalformedMessage as error:
        if error.status != UNKNOWN_SCHEME:
            raise ValueError(f"{error.reason}; write one like sip:user@domain") from None
    return written


LISTEN = Parsed("transport:host:port", parse_listen)
SERVER = Parsed("transport:host:port", parse_server)
SERVICE_URI = Parsed("sip:user@domain", parse_service_uri)
ADDRESS = Parsed("sip:user@domain", parse_endpoint_address)
DOMAIN = Parsed("domain", parse_name)
METHOD = Parsed("method", parse_method, needed=True)
URI = Parsed("sip:user@domain", parse_request_uri, needed=True)
FILE = click.Path(dir_okay=False, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def config_option(command: F) -> F:
    """`--config FILE`; without it the embedded defaults hold."""
    option = click.option("--config", "config_path", type=FILE, help="Configuration file; default: built-in values.")
    return option(command)
