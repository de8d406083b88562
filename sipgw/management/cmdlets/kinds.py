"""What a parameter takes, and how what is written becomes that. Each raises ValueError with what would be right."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sipgw.config.users import parse_name_of_account
from sipgw.config.values import parse_name
from sipgw.management.cmdlets.errors import CmdletError
from sipgw.management.cmdlets.items import Credential, Item, as_text
from sipgw.management.cmdlets.syntax import Script, Value

Kind = Callable[[Value], Any]
UNLIMITED = None  # as a result size
MAX_COUNT = 2_147_483_647
LIST_CHANGES = ("Add", "Remove", "Replace")


def text(value: Value) -> str:
    if isinstance(value, Script):
        raise ValueError("a text, not a script block")
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        raise ValueError("one text, not several")
    return as_text(value)


def some_text(value: Value) -> str:
    written = text(value)
    if not written.strip():
        raise ValueError("a text that is not empty")
    return written


def fqdn(value: Value) -> str:
    try:
        return parse_name(some_text(value))
    except ValueError:
        raise ValueError("a fully qualified domain name such as pcpool.contoso.com") from None


def truth(value: Value) -> bool:
    """As `-Switch:$false` has it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    written = text(value).lower() if value is not None else ""
    if written not in ("true", "false", "1", "0", "$true", "$false"):
        raise ValueError("$true or $false")
    return written in ("true", "1", "$true")


def truth_given(value: Value) -> bool:
    """Of a parameter that is no switch: the value has to stand there."""
    return truth(value)


def number(value: Value) -> int:
    written = text(value)
    if not re.fullmatch(r"[0-9]{1,10}", written) or int(written) > MAX_COUNT:
        raise ValueError(f"a number from 0 to {MAX_COUNT}")
    return int(written)


def port(value: Value) -> int:
    written = number(value)
    if not 1 <= written <= 65_535:
        raise ValueError("a port from 1 to 65535")
    return written


def result_size(value: Value) -> int | None:
    """None is no limit."""
    if text(value).lower() == "unlimited":
        return UNLIMITED
    try:
        return number(value)
    except ValueError:
        raise ValueError(f"Unlimited or a number from 0 to {MAX_COUNT}") from None


def one_of(*names: str) -> Kind:
    """One of some names, abbreviated as long as it is clear which."""

    def read(value: Value) -> str:
        wanted = text(value).lower()
        exact = [name for name in names if name.lower() == wanted]
        found = exact or [name for name in names if wanted and name.lower().startswith(wanted)]
        if len(found) != 1:
            raise ValueError(f"one of {', '.join(names)}")
        return found[0]

    return read


def texts(value: Value) -> list[str]:
    """One or several."""
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return [some_text(one) for one in value] if several else [some_text(value)]  # type: ignore[union-attr]


def filter_text(value: Value) -> Script | str:
    return value if isinstance(value, Script) else some_text(value)


def checked(kind: Kind, name: str, read: Callable[[Any], object]) -> Kind:
    """What has to be readable besides. Raises CmdletError."""

    def checking(value: Value) -> Any:
        found = kind(value)
        try:
            read(found)
        except CmdletError as error:
            error.message = f"{name}: {error.message}" if name else error.message
            raise
        return found

    return checking


def block(value: Value) -> Script:
    """One that is carried out, which whoever reads it beforehand sees to."""
    if not isinstance(value, Script):
        raise ValueError("cmdlets in braces such as {Remove-CsPersistentChatEndpoint $_}")
    return value


def block_or_name(value: Value) -> Script | str:
    """The same, or a property's name."""
    return value if isinstance(value, Script) else some_text(value)


def account(value: Value) -> Credential:
    """What Get-Credential gives; or the name of an account, whose password is asked for, as PowerShell does where a
    credential is given by name."""
    if isinstance(value, Item) and isinstance(value.source, Credential):
        return value.source
    try:
        return Credential(parse_name_of_account(some_text(value)))
    except ValueError:
        raise ValueError("an account's name such as CORP\\alice or alice@corp.contoso.com") from None


def list_change(value: Value) -> Mapping[str, list[str]]:
    """`@{Add="a","b"; Remove="c"}`, or what stands alone or is $null and replaces the whole list."""
    if value is None:
        return {"Replace": []}
    if not isinstance(value, Mapping):
        return {"Replace": [] if value == [] else texts(value)}
    change: dict[str, list[str]] = {}
    for name, named in value.items():
        try:
            change[one_of(*LIST_CHANGES)(name)] = texts(named)
        except ValueError as error:
            raise ValueError(f'a list, or @{{Add="…"; Remove="…"}}; {name}: {error}') from None
    if not change or ("Replace" in change and len(change) > 1):
        raise ValueError('a list, or one or both in @{Add="…"; Remove="…"}, or @{Replace="…"}')
    return change


def anything(value: Value) -> Any:
    return value
