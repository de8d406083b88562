"""Taking a cut-over back: what it has changed, and nothing else, as its journal has it. What else keeps Group Chat from
its address is told."""

from collections.abc import Callable

from sipgw.config import ConfigError
from sipgw.management.cmdlets.accounts import enable, read_accounts
from sipgw.management.cutover_steps import CutOver, Step, Verdict, holder, taken
from sipgw.registry import NotFound
from sipgw.server.audit import audited, command_line_user
from sipgw.server.directory_search import DirectoryError


def endpoint_removed(run: CutOver) -> Verdict:
    address, fqdn = run.plan.sip_address, run.entry.pool_fqdn
    held = holder(run.backend.registry(), address)
    if held is None:
        return Verdict("ok", f"no endpoint has {address}")
    if held.declared:
        remedy = f"take its [[endpoint]] out of {run.config.source} and reload, then give the same line again"
        return Verdict("FAIL", f"{address} is an endpoint of the configuration file, to {held.pool_fqdn}", remedy)
    if not run.entry.endpoint or held.pool_fqdn.lower() != fqdn:
        remedy = f"if it may go: sipgw endpoint remove {address}; then give the same line again"
        return Verdict("FAIL", f"{address} leads to {held.pool_fqdn}, which this cut-over has not made", remedy)
    if run.plan.dry_run:
        return Verdict("would", f"{address} would lead to {fqdn} no longer")
    try:
        run.backend.remove_endpoint(address)
    except NotFound:
        return Verdict("ok", f"{address} was removed just now")
    return Verdict("done", f"{address} leads to {fqdn} no longer")


def user_enabled(run: CutOver) -> Verdict:
    address, path = run.plan.sip_address, run.config.auth.users_file
    if not run.entry.user or path is None:
        return _left_disabled(run)
    if run.plan.dry_run:
        return Verdict("would", f"{address} would be enabled again")
    with audited(run.config.store.path, command_line_user(), "user.enable", address) as entry:
        was = enable(path.resolve(), run.config, address)
        entry.before, entry.after = {"enabled": was}, {"enabled": True}
    return Verdict("ok" if was else "done", f"the user {address} of {path} is enabled")


def _left_disabled(run: CutOver) -> Verdict:
    """Of a user that this cut-over has not disabled, or in a directory, which is not written to."""
    address, where = run.plan.sip_address, run.config.auth.users_file or run.config.auth.users
    try:
        held = next((one for one in read_accounts(run.config) if one.uri == address), None)
    except (ConfigError, DirectoryError, OSError) as error:
        reason = str(error).partition("\n")[0]
        return Verdict("note", f"whether {address} is a user that is enabled could not be found out: {reason}")
    if held is None or held.enabled:
        return Verdict("ok", "this cut-over has disabled none")
    in_file = run.config.auth.users_file is not None
    how = f"sipgw user enable {address}" if in_file else "enable it with the directory's own tools"
    text = f"{address} is a user of {where} who is disabled, and not by this cut-over"
    return Verdict("FAIL", text, f"{how}; then give the same line again")


BACK = (
    Step("endpoint", "endpoint", endpoint_removed),
    Step("user", "well-known user", user_enabled),
)


def go_back(run: CutOver, tell: Callable[[Step, Verdict], None]) -> bool:
    """The changes in the opposite order, until something stands in the way; the journal forgets them when Group Chat
    can have its address again. Whether it can. Raises as `go_through` does."""
    good = True
    for step in BACK:
        verdict = taken(step, run)
        tell(step, verdict)
        good &= verdict.state != "FAIL"
        if not good and not run.plan.dry_run:
            return False
    if good and not run.plan.dry_run:
        run.journal.forget(run.plan.sip_address)
    return good
