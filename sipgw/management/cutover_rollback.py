"""Taking a cut-over back: what it has changed, and nothing else, as its journal has it."""

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from sipgw.config import Config, ConfigError
from sipgw.config.users import addresses, read_users, users_rules
from sipgw.config.users_text import editing, replace_file
from sipgw.management.cutover_steps import CutOver, Step, Verdict, taken
from sipgw.registry import NotFound
from sipgw.server.audit import audited, command_line_user

_DISABLED = re.compile(r"(?m)^([ \t]*enabled[ \t]*=[ \t]*)false\b")


def endpoint_removed(run: CutOver) -> Verdict:
    address, fqdn = run.plan.sip_address, run.entry.pool_fqdn
    if not run.entry.endpoint:
        return Verdict("ok", "this cut-over has made none")
    held = next((one for one in run.backend.registry().endpoints() if one.sip_address == address), None)
    if held is None or held.pool_fqdn.lower() != fqdn or held.declared:
        return Verdict("ok", f"{address} leads to {fqdn} no longer")
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
        return Verdict("ok", "this cut-over has disabled none")
    if run.plan.dry_run:
        return Verdict("would", f"{address} would be enabled again")
    with audited(run.config.store.path, command_line_user(), "user.enable", address) as entry:
        was = enable(path.resolve(), run.config, address)
        entry.before, entry.after = {"enabled": was}, {"enabled": True}
    return Verdict("ok" if was else "done", f"the user {address} of {path} is enabled")


def enable(path: Path, config: Config, uri: str) -> bool:
    """Turn `enabled = false` in a user's entry into true, touching nothing else. Whether it was enabled already. Raises
    ConfigError or OSError."""
    with editing(path):
        text = path.read_text("utf-8") if path.exists() else ""
        known = addresses(text, path)
        if uri not in known:
            raise ConfigError([f"{path}: there is no user {uri} any more; sipgw user add makes one"])
        wanted = tomllib.loads(text)
        entry = wanted["user"][known.index(uri)]
        if entry.get("enabled", True):
            return True
        entry["enabled"] = True
        changed = next((one for one in _candidates(text) if tomllib.loads(one) == wanted), None)
        if changed is None:
            raise ConfigError([f"{path}: user[{known.index(uri)}]: enable it in an editor"])
        read_users(changed, path, users_rules(config))
        replace_file(path, changed)
    return False


def _candidates(text: str) -> Iterator[str]:
    for line in _DISABLED.finditer(text):
        yield f"{text[: line.start()]}{line[1]}true{text[line.end() :]}"


BACK = (
    Step("endpoint", "endpoint", endpoint_removed),
    Step("user", "well-known user", user_enabled),
)


def go_back(run: CutOver, tell: Callable[[Step, Verdict], None]) -> bool:
    """The changes in the opposite order; the journal forgets them when all are undone. Whether they are. Raises as
    `go_through` does."""
    good = True
    for step in BACK:
        verdict = taken(step, run)
        tell(step, verdict)
        good &= verdict.state != "FAIL"
    if good and not run.plan.dry_run:
        run.journal.forget(run.plan.sip_address)
    return good
