"""All cmdlets."""

from sipgw.management.cmdlets import (
    endpoint_cmdlets,
    message_cmdlet,
    object_cmdlets,
    pool_cmdlets,
    user_cmdlets,
)
from sipgw.management.cmdlets.cmdlet import Call, Cmdlet, Parameter
from sipgw.management.cmdlets.errors import CmdletError, closest
from sipgw.management.cmdlets.items import Item
from sipgw.management.cmdlets.kinds import texts
from sipgw.management.cmdlets.syntax import UNDERSTOOD, Command

MODULES = ("lync", "skypeforbusiness")


def _import_module(call: Call) -> list[Item]:
    """Runbooks begin with it; what it would load is here already."""
    for name in call.get("Name"):
        if name.lower() not in MODULES:
            raise call.fail(f'there is no module "{name}"; the cmdlets of {" and ".join(MODULES)} are here', "NoModule")
    return []


CMDLETS: tuple[Cmdlet, ...] = (
    *endpoint_cmdlets.CMDLETS,
    *pool_cmdlets.CMDLETS,
    *user_cmdlets.CMDLETS,
    *message_cmdlet.CMDLETS,
    *object_cmdlets.CMDLETS,
    Cmdlet(
        "Import-Module",
        "Has no effect.",
        _import_module,
        (Parameter("Name", texts, required=True, position=0),),
        aliases=("ipmo",),
    ),
)
_BY_NAME = {name.lower(): cmdlet for cmdlet in CMDLETS for name in (cmdlet.name, *cmdlet.aliases)}


def find_cmdlet(command: Command) -> Cmdlet:
    """By name or alias, with or without its module. Raises CmdletError."""
    name = command.name.rpartition("\\")[2]
    cmdlet = _BY_NAME.get(name.lower())
    if cmdlet is not None:
        return cmdlet
    near = closest(name, [cmdlet.name for cmdlet in CMDLETS]) or f"; {UNDERSTOOD}"
    raise CmdletError(f"there is no such cmdlet{near}", "CommandNotFound", command.place, command.name)
