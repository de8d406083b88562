"""The steps of a cut-over, in the order of the runbook ([TechNet] Migration from Group Chat to Persistent Chat).

Each looks at how things are and changes only what is not yet so; so all of them can be gone through again at any time.
What can be known beforehand to stand in the way, such as a typing error, is looked at before the first.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from sipgw.auth.accounts import Account
from sipgw.config import Config, ConfigError
from sipgw.core.location import ROW
from sipgw.management import pool_probes
from sipgw.management.cmdlets.accounts import disable, read_accounts
from sipgw.management.cmdlets.backend import Backend
from sipgw.management.cmdlets.errors import closest
from sipgw.management.cutover_journal import Entry, Journal
from sipgw.registry import AlreadyExists, BadAddress, Endpoint, Registry, RegistryError, check_display_name
from sipgw.server.audit import audited, command_line_user
from sipgw.server.directory_search import DirectoryError
from sipgw.server.resolver import Resolver
from sipgw.server.room_compare import Comparison, compare
from sipgw.server.running import read_running
from sipgw.server.store import StoreError, contents

State = Literal["ok", "done", "would", "note", "FAIL"]
SHOWN = 5  # of what is named in one line


class Verdict(NamedTuple):
    """ "ok" for what is as it should be, "done" for what was changed, "would" for what would be, "note" for what cannot
    be known or was left out, "FAIL" for what stands in the way, with the remedy."""

    state: State
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Plan:
    """What is wanted. `moved` says that the data was, `disable_user` that the user may be disabled, unasked;
    `has_accounts` that the synthetic transaction signs in with passwords."""

    sip_address: str
    pool_fqdn: str
    display_name: str = ""
    legacy_data: Path | None = None
    pool_data: Path | None = None
    moved: bool = False
    disable_user: bool = False
    has_accounts: bool = False
    dry_run: bool = False


@dataclass
class CutOver:
    """One under way. `ask` puts a question to the administrator; None is no answer, as nobody can be asked.
    `transact` carries the synthetic transaction out and says what came of it."""

    plan: Plan
    config: Config
    backend: Backend
    journal: Journal
    entry: Entry
    ask: Callable[[str], bool | None]
    transact: Callable[[Backend, str], Verdict]

    def save(self) -> None:
        if not self.plan.dry_run:
            self.journal.save(self.entry)


def lookup_gone(run: CutOver) -> Verdict:
    """No Lookup service is signed in under the address any more."""
    store, key = run.config.store.path, run.plan.sip_address.removeprefix("sip:")
    now = time.time()
    bindings = contents(store, now).bindings if store.exists() else []
    live = [dict(zip(ROW, row, strict=True)) for row in bindings if row[0] == key]
    if not live:
        return Verdict("ok", f"nobody is signed in as {run.plan.sip_address}")
    named = ", ".join(str(one["received"]) for one in live[:SHOWN]) + (" ..." if len(live) > SHOWN else "")
    longest = max(float(str(one["expires_at"])) for one in live) - now
    count = f"{len(live)} service{'s are' if len(live) > 1 else ' is'}"
    text = f"{count} still signed in as {run.plan.sip_address}: {named}"
    remedy = f"stop Group Chat on these servers; what was not stopped properly is gone in {longest:.0f} s at the latest"
    return Verdict("FAIL", text, remedy)


def user_gone(run: CutOver) -> Verdict:
    """The address belongs to no user any more."""
    address, config = run.plan.sip_address, run.config
    where = config.auth.users_file or config.auth.users
    try:
        held = next((one for one in read_accounts(config) if one.uri == address and one.enabled), None)
    except (ConfigError, DirectoryError, OSError) as error:
        reason = str(error).partition("\n")[0]
        return Verdict("note", f"whether {address} still is a user could not be found out: {reason}")
    if held is None:
        return Verdict("ok", f"no enabled user of {where} has {address}")
    if config.auth.users_file is None:
        remedy = "disable or delete that user with the directory's own tools"
        return Verdict("FAIL", f"{address} is still a user of {where}", remedy)
    return _disabled(run, config.auth.users_file, held)


def _disabled(run: CutOver, path: Path, held: Account) -> Verdict:
    text = f"{held.uri} is still the user {', '.join(held.names)} of {path}"
    if run.plan.dry_run:
        return Verdict("would", f"{text}, which would be disabled")
    if not run.plan.disable_user and not run.ask(f"{text}. Disable it?"):
        remedy = f"give --disable-user, or: sipgw cmdlet 'Disable-CsUser -Identity {held.uri}'"
        return Verdict("FAIL", text, remedy)
    run.entry.user = True
    run.save()
    with audited(run.config.store.path, command_line_user(), "user.disable", held.uri) as entry:
        disable(path.resolve(), run.config, held.uri)
        entry.before, entry.after = {"enabled": True}, {"enabled": False}
    return Verdict("done", f"the user {', '.join(held.names)} of {path} is disabled")


def data_moved(run: CutOver) -> Verdict:
    """What was said in the legacy pool is in the new one."""
    plan = run.plan
    if plan.legacy_data is not None and plan.pool_data is not None:
        comparison = compare(plan.legacy_data, plan.pool_data)
        if not comparison.is_complete:
            return _incomplete(comparison, plan.legacy_data, plan.pool_data)
        counted = f"{len(comparison.rooms)} rooms and {comparison.messages} messages"
        return _noted(run, f"{plan.pool_data} has all of {plan.legacy_data}: {counted}")
    if plan.moved:
        return _noted(run, "taken as moved, because --assume-data-moved says so")
    if run.entry.data_moved:
        return Verdict("ok", run.entry.data_moved)
    if plan.dry_run:
        return Verdict("would", "you would be asked whether rooms and history were moved")
    question = "Were rooms and history exported from the legacy pool and imported into the new one?"
    if run.ask(question):
        return _noted(run, "moved, as was said when asked")
    remedy = "move it (sipgw pool export and import), then give --legacy-data and --pool-data, or --assume-data-moved"
    return Verdict("FAIL", "it is not known whether the data was moved", remedy)


def _noted(run: CutOver, text: str) -> Verdict:
    run.entry.data_moved = text
    return Verdict("ok", text)


def _incomplete(comparison: Comparison, legacy: Path, new: Path) -> Verdict:
    wanting = [room for room in comparison.rooms if not room.is_there]
    named = ", ".join(
        f"{room.name} ({', '.join(room.differences) or f'{room.missing} of {room.messages} messages'})"
        for room in wanting[:SHOWN]
    ) + (" ..." if len(wanting) > SHOWN else "")
    text = f"{new} lacks {len(wanting)} of the {len(comparison.rooms)} rooms of {legacy}, or part of them: {named}"
    remedy = f"sipgw pool export rooms.zip --data {legacy} && sipgw pool import rooms.zip --data {new}"
    return Verdict("FAIL", text, remedy)


def pool_healthy(run: CutOver) -> Verdict:
    """A server of the pool takes connections."""
    fqdn = run.plan.pool_fqdn
    verdicts = [one for one in asyncio.run(pool_probes.pools(run.config, Resolver())) if one.subject == f"pool {fqdn}"]
    bad = [one.text for one in verdicts if one.grade == "FAIL"]
    good = [one.text for one in verdicts if one.grade != "FAIL"]
    if bad and not good:
        return Verdict("FAIL", "; ".join(bad), "start Persistent Chat; `sipgw check` tells more")
    if bad:
        return Verdict("note", "; ".join([*good, *bad]))
    return Verdict("ok", "; ".join(good))


def endpoint_made(run: CutOver) -> Verdict:
    """The address leads to the pool."""
    plan = run.plan
    if holder(run.backend.registry(), plan.sip_address) is not None:
        return Verdict("ok", f"{plan.sip_address} leads to {plan.pool_fqdn} already")
    if plan.dry_run:
        return Verdict("would", f"{plan.sip_address} would be made to lead to {plan.pool_fqdn}")
    run.entry.endpoint = True
    run.save()
    run.backend.add_endpoint(Endpoint(plan.sip_address, plan.pool_fqdn, check_display_name(plan.display_name)))
    return Verdict("done", f"{plan.sip_address} now leads to {plan.pool_fqdn}")


def conversation(run: CutOver) -> Verdict:
    """Two clients find each other through the gateway."""
    if run.plan.dry_run:
        return Verdict("would", "two clients would sign in, meet in a room, and hear each other")
    return run.transact(run.backend, run.plan.sip_address)


# What can be known beforehand: each says what would stand in the way of a step, or None


def pool_known(run: CutOver) -> Verdict | None:
    fqdn, registry = run.plan.pool_fqdn, run.backend.registry()
    if registry.pool(fqdn) is not None:
        return None
    known = [pool.fqdn for pool in registry.pools]
    remedy = f'correct --pool-fqdn, or add [[pool]] with fqdn = "{fqdn}" to {_file(run)} and reload'
    text = f"{fqdn} is not a configured pool{closest(fqdn, known)} (pools: {', '.join(known) or 'none'})"
    return Verdict("FAIL", text, remedy)


def address_free(run: CutOver) -> Verdict | None:
    plan, registry = run.plan, run.backend.registry()
    wanted = Endpoint(plan.sip_address, plan.pool_fqdn, check_display_name(plan.display_name))
    held = holder(registry, plan.sip_address)
    if held is not None and held.pool_fqdn.lower() != wanted.pool_fqdn:
        remedy = f"sipgw endpoint remove {plan.sip_address}"
        if held.declared:
            remedy = f"change its [[endpoint]] in {run.config.source} and reload"
        return Verdict("FAIL", f"{plan.sip_address} leads to another pool, {held.pool_fqdn}", remedy)
    try:
        if held is None and registry.pool(wanted.pool_fqdn) is not None:
            registry.add(wanted)  # of a copy
    except BadAddress as error:
        return Verdict("FAIL", str(error), f"correct --sip-address, or add the domain to {_file(run)} and reload")
    except AlreadyExists as error:
        return Verdict("FAIL", str(error), "name the address of Group Chat, or give that pool another service_uri")
    return None


def gateway_runs(run: CutOver) -> Verdict | None:
    config = run.config
    if read_running(config.store.path) is None:
        remedy = f"start it: sipgw serve{f' --config {config.source}' if config.source else ''}"
        return Verdict("FAIL", "no gateway runs on this store", remedy)
    if config.auth.schemes and not config.gateway.trusted_peers and not run.plan.has_accounts:
        text = f"a login is needed here ({', '.join(config.auth.schemes)})"
        return Verdict("FAIL", text, "give --sender-account and --receiver-account, names of two that may sign in")
    return None


def holder(registry: Registry, sip_address: str) -> Endpoint | None:
    """The endpoint of that address."""
    return next((one for one in registry.endpoints() if one.sip_address == sip_address), None)


def _file(run: CutOver) -> str:
    return str(run.config.source or "a configuration file")


class Step(NamedTuple):
    """`name` stands in the journal and in JSON, `title` before what is said of it. `foresee` says before anything is
    changed what would stand in the way."""

    name: str
    title: str
    take: Callable[[CutOver], Verdict]
    foresee: Callable[[CutOver], Verdict | None] = lambda run: None


STEPS = (
    Step("lookup", "Lookup services", lookup_gone),
    Step("user", "well-known user", user_gone),
    Step("data", "rooms and history", data_moved),
    Step("pool", "new pool", pool_healthy, pool_known),
    Step("endpoint", "endpoint", endpoint_made, address_free),
    Step("conversation", "synthetic transaction", conversation, gateway_runs),
)


def foreseen(step: Step, run: CutOver) -> Verdict | None:
    """What stands in the way of a step already now."""
    return _told(step.foresee, run)


def taken(step: Step, run: CutOver) -> Verdict:
    """A step; what it could not read or change is said as what stands in the way."""
    return _told(step.take, run)


Said = TypeVar("Said", bound=Verdict | None)


def _told(said: Callable[[CutOver], Said], run: CutOver) -> Said | Verdict:
    try:
        return said(run)
    except (ConfigError, RegistryError, StoreError, OSError) as error:
        reason = "; ".join(_reason(error).splitlines())
        return Verdict("FAIL", reason, "see to that, then give the same line again")


def _reason(error: Exception) -> str:
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def go_through(run: CutOver, tell: Callable[[Step, Verdict], None]) -> bool:
    """All steps, until one stands in the way; a dry run looks at all of them. What can be foreseen is said before the
    first. Whether none did. Raises StoreError or OSError where the journal cannot be kept."""
    if not run.plan.dry_run and _foretold(run, tell):
        return False
    good = True
    for step in STEPS:
        verdict = foreseen(step, run) or taken(step, run)
        run.entry.steps[step.name] = {"state": verdict.state, "text": verdict.text, "at": time.time()}
        run.save()
        tell(step, verdict)
        good &= verdict.state != "FAIL"
        if not good and not run.plan.dry_run:
            return False
    if good:
        run.entry.finished = time.time()
        run.save()
    return good


def _foretold(run: CutOver, tell: Callable[[Step, Verdict], None]) -> bool:
    """Whether it is known beforehand that a step cannot be taken; then none is, and nothing is written down."""
    found = [(step, verdict) for step in STEPS if (verdict := foreseen(step, run)) is not None]
    for step, verdict in found:
        tell(step, verdict)
    return bool(found)
