"""/api/v1/reload: the same as SIGHUP, with the outcome as the answer."""

from sipgw.server.admin.config_changes import values_changed
from sipgw.server.admin.lines import fault_of
from sipgw.server.admin.models import Reloaded
from sipgw.server.admin.operation import Answer, Call
from sipgw.server.admin.problems import Problem


async def reload(call: Call) -> Answer:
    """Raises Problem, with every fault of the file."""
    gateway, before = call.gateway, call.gateway.config
    assert call.actor is not None, "the guard lets nobody else come here"
    problems = await gateway.reload(call.actor)
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise Problem("not-reloaded", f"{problems[0]}{more}", [fault_of(problem) for problem in problems])
    source = str(gateway.config.source or "")
    listening = [str(listener) for listener in gateway.listeners]
    return Answer(Reloaded(source=source, listening=listening, changed=list(values_changed(before, gateway.config)[0])))
