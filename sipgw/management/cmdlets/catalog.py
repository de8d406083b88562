"""All cmdlets, and what is said of others."""

import re

from sipgw.management.cmdlets import (
    endpoint_cmdlets,
    file_cmdlets,
    message_cmdlet,
    object_cmdlets,
    pool_cmdlets,
    session_cmdlets,
    table_cmdlets,
    user_cmdlets,
)
from sipgw.management.cmdlets.cmdlet import Cmdlet
from sipgw.management.cmdlets.errors import CmdletError, closest
from sipgw.management.cmdlets.syntax import UNDERSTOOD, Command

CMDLETS: tuple[Cmdlet, ...] = (
    *endpoint_cmdlets.CMDLETS,
    *pool_cmdlets.CMDLETS,
    *user_cmdlets.CMDLETS,
    *message_cmdlet.CMDLETS,
    *object_cmdlets.CMDLETS,
    *table_cmdlets.CMDLETS,
    *file_cmdlets.CMDLETS,
    *session_cmdlets.cmdlets(lambda: CMDLETS),
)
_BY_NAME = {name.lower(): cmdlet for cmdlet in CMDLETS for name in (cmdlet.name, *cmdlet.aliases)}
_SERVICES = "Group Chat is stopped and started on its own servers, an emulated pool with its process"
ELSEWHERE = (
    (r"export-cs(persistentchat|mgc)data", "`sipgw pool export FILE --data DATA` does that with emulated pools"),
    (r"import-cs(persistentchat|mgc)data", "`sipgw pool import FILE --data DATA` does that with emulated pools"),
    (r"\w+-cs(mgc|mgcdata|persistentchatdata)", "`sipgw pool export`, `import` and `compare` are for data"),
    (r"(stop|start|restart|get)-(cswindows)?service", f"{_SERVICES}; the gateway by `systemctl stop|start sipgw`"),
    (
        r"(enable|publish)-cs(topology|computer)",
        "the topology is the configuration; SIGHUP or the admin API reloads it",
    ),
    (
        r"(new|remove|set)-csuser",
        "`sipgw user add|remove` does that in the file of users; a directory has its own tools",
    ),
    (
        r"(new|set|remove|get)-cspersistentchat(room|category|addin)",
        "rooms are the pool's own: its own tools show them",
    ),
)


def find_cmdlet(command: Command) -> Cmdlet:
    """By name or alias, with or without its module. Raises CmdletError."""
    name = command.name.rpartition("\\")[2]
    cmdlet = _BY_NAME.get(name.lower())
    if cmdlet is not None:
        return cmdlet
    raise CmdletError(f"there is no such cmdlet{_instead(name)}", "CommandNotFound", command.place, command.name)


def _instead(name: str) -> str:
    """What does it otherwise; or what was meant, but of what changes something only with the same verb: nobody who
    writes Enable- means Disable-."""
    for pattern, advice in ELSEWHERE:
        if re.fullmatch(pattern, name.lower()):
            return f"; {advice}"
    verb = name.lower().partition("-")[0]
    near = [one.name for one in CMDLETS if not one.changes or one.name.lower().startswith(f"{verb}-")]
    return closest(name, near) or f"; {UNDERSTOOD}"
