"""`sipgw cutover`: from Group Chat to Persistent Chat, step by step as the runbook has it."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from sipgw.config import load_config
from sipgw.management.cmdlets.backend import Backend
from sipgw.management.cmdlets.choose import backend_for
from sipgw.management.cmdlets.command import Terminal
from sipgw.management.cmdlets.items import Item
from sipgw.management.cmdlets.runner import Run
from sipgw.management.cutover_journal import Journal
from sipgw.management.cutover_rollback import BACK, go_back
from sipgw.management.cutover_steps import STEPS, CutOver, Plan, Step, Verdict, go_through
from sipgw.management.parameters import ADDRESS, DOMAIN, EXISTING_FILE, config_option
from sipgw.management.suggestions import pools_begun
from sipgw.registry import NotFound

PATIENCE = 10.0  # seconds for a running gateway to take an endpoint over, which it does within one
NOT_THERE = "no endpoint"  # what a gateway says that does not know of it yet
PAUSE = 0.5  # seconds between two tries meanwhile
_COLOURS = {"ok": "green", "done": "green", "would": "cyan", "note": "yellow", "FAIL": "red"}


@click.command()
@click.option("--sip-address", type=ADDRESS, required=True, help="The well-known address, sip:ocschat@contoso.com.")
@click.option(
    "--pool-fqdn", type=DOMAIN, metavar="FQDN", shell_complete=pools_begun, help="The pool that it is to lead to."
)
@click.option("--display-name", default="", metavar="NAME", help="Of the endpoint.")
@click.option("--legacy-data", type=EXISTING_FILE, help="Data of an emulated legacy pool; see --pool-data.")
@click.option("--pool-data", type=EXISTING_FILE, help="Data of the emulated new pool, which has to have all of it.")
@click.option("--assume-data-moved", "moved", is_flag=True, help="Do not ask whether rooms and history were moved.")
@click.option("--disable-user", is_flag=True, help="Do not ask before the well-known user is disabled.")
@click.option("--sender", type=ADDRESS, default="", help="Of the synthetic transaction; default: monitor1@ the domain.")
@click.option("--receiver", type=ADDRESS, default="", help="Likewise; default: monitor2@.")
@click.option("--sender-account", default="", metavar="NAME", help="Who signs in with a password, where one is wanted.")
@click.option("--receiver-account", default="", metavar="NAME", help="Likewise.")
@click.option("--room", default="", metavar="NAME", help="Where the two meet; default: the first room.")
@click.option("--dry-run", is_flag=True, help="Look at every step and change nothing.")
@click.option("--rollback", is_flag=True, help="Take back what the cut-over of this address has changed.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")
@config_option
def cutover(
    sip_address: str,
    pool_fqdn: str | None,
    rollback: bool,
    as_json: bool,
    config_path: Path | None,
    **options: Any,
) -> int:
    """Let the well-known address of Group Chat lead to a Persistent Chat pool.

    Looks whether the legacy services, the user and the data are as they should be, makes the endpoint, and has two
    clients talk to each other. Whatever stands in the way is told with its remedy. Give the same line again to go on;
    what is done stays done.
    """
    if not pool_fqdn and not rollback:
        raise click.UsageError("Missing option '--pool-fqdn'")
    if (options["legacy_data"] is None) != (options["pool_data"] is None):
        raise click.UsageError("--legacy-data and --pool-data go together")
    if bool(options["sender_account"]) != bool(options["receiver_account"]):
        raise click.UsageError("--sender-account and --receiver-account go together")
    telling = _Telling(as_json)
    run = _begin(sip_address, pool_fqdn or "", config_path, telling, options, rollback)
    good = (go_back if rollback else go_through)(run, telling)
    telling.end(run, good, rollback)
    return 0 if good else 1


def _begin(
    sip_address: str, pool_fqdn: str, config_path: Path | None, telling: "_Telling", options: dict[str, Any], back: bool
) -> CutOver:
    config = load_config(config_path)
    journal = Journal(config.store.path)
    wanted = ("display_name", "legacy_data", "pool_data", "moved", "disable_user", "dry_run")
    has_accounts = bool(options["sender_account"])
    plan = Plan(sip_address, pool_fqdn, has_accounts=has_accounts, **{name: options[name] for name in wanted})
    entry = journal.find(sip_address) if back else journal.begin(sip_address, pool_fqdn)
    if entry is None:
        raise NotFound(f"{journal.path}: no cut-over of {sip_address} is known; `sipgw endpoint remove` removes others")
    transact = _Conversation(sip_address, options, telling.as_json)
    return CutOver(plan, config, backend_for(config), journal, entry, _ask, transact)


def _ask(question: str) -> bool | None:
    return click.confirm(question, default=False, err=True) if sys.stdin.isatty() else None


class _Conversation:
    """The synthetic transaction, as the cmdlet of the runbook."""

    def __init__(self, sip_address: str, options: dict[str, Any], as_json: bool) -> None:
        domain = sip_address.rpartition("@")[2]
        sender = options["sender"] or f"sip:monitor1@{domain}"
        receiver = options["receiver"] or f"sip:monitor2@{domain}"
        words = ["Test-CsPersistentChatMessage", "-SenderSipAddress", sender, "-ReceiverSipAddress", receiver]
        words += ["-ContactObject", sip_address]
        if options["room"]:
            words += ["-ChatRoomUri", options["room"]]
        if options["sender_account"] and options["receiver_account"]:
            words += ["-Authentication", "Negotiate", "-SenderCredential", options["sender_account"]]
            words += ["-ReceiverCredential", options["receiver_account"]]
        self.line = " ".join(word if at == 0 or word[0] == "-" else _quoted(word) for at, word in enumerate(words))
        self._as_json = as_json

    def __call__(self, backend: Backend, sip_address: str) -> Verdict:
        """Tried again for a while: a gateway that follows the store takes a moment."""
        deadline = time.monotonic() + PATIENCE
        while True:
            verdict = self._once(backend)
            if verdict.state != "FAIL" or NOT_THERE not in verdict.text or time.monotonic() > deadline:
                return verdict
            time.sleep(PAUSE)

    def _once(self, backend: Backend) -> Verdict:
        found: list[Item] = []
        complaints: list[str] = []
        run = Run(backend, Terminal(self._as_json), found.extend, complaints.append)
        good = run.script(self.line)
        if not found:
            reason = complaints[0].partition("\n")[0].partition(" : ")[2] if complaints else "nothing came of it"
            return Verdict("FAIL", reason, f'correct that, or try it by hand: sipgw cmdlet "{self.line}"')
        if good:
            return Verdict("ok", f"two clients heard each other, after {found[0].get('Latency')}")
        error = str(found[0].get("Error"))
        remedy = next((text for words, text in _REMEDIES.items() if words in error), "")
        return Verdict("FAIL", error, remedy or str(found[0].get("Diagnosis")))


_MEET = "name a room that both may join: --room NAME"
_REMEDIES = {  # by what the error says
    "a login is needed": "name two accounts that may sign in: --sender-account NAME --receiver-account NAME; passwords "
    "come from SIPGW_SENDER_PASSWORD and SIPGW_RECEIVER_PASSWORD, or are asked for",
    "has no room": f"make a room in the pool, or {_MEET}",
    "there is no room": _MEET,
    "not a member": _MEET,
    "no gateway runs": "start it: sipgw serve",
}


def _quoted(text: str) -> str:
    """As PowerShell quotes literally."""
    return "'" + text.replace("'", "''") + "'"


class _Telling:
    """Says what comes of each step, at once; or in the end, as JSON."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._steps: list[dict[str, str]] = []

    def __call__(self, step: Step, verdict: Verdict) -> None:
        self._steps.append({"name": step.name, **verdict._asdict()})
        if self.as_json:
            return
        steps = STEPS if step in STEPS else BACK
        place = f"[{steps.index(step) + 1}/{len(steps)}]"
        state = click.style(f"{verdict.state:5}", fg=_COLOURS[verdict.state])
        click.echo(f"{place} {state} {step.title}: {verdict.text}")
        if verdict.remedy:
            click.echo(f"            what to do: {verdict.remedy}")

    def end(self, run: CutOver, good: bool, rollback: bool) -> None:
        plan = run.plan
        if self.as_json:
            told = {"sip_address": plan.sip_address, "pool_fqdn": run.entry.pool_fqdn, "good": good}
            click.echo(json.dumps({**told, "dry_run": plan.dry_run, "steps": self._steps}, indent=2))
            return
        click.echo(_summary(run, good, rollback))


def _summary(run: CutOver, good: bool, rollback: bool) -> str:
    address, fqdn = run.plan.sip_address, run.entry.pool_fqdn
    if run.plan.dry_run:
        return "Nothing was changed." if good else "Nothing was changed; see above for what stands in the way."
    if rollback and good:
        kept = f"what was said in {fqdn} since stays there (sipgw pool export takes it along)"
        return f"{address} is free for Group Chat again: start its services; {kept}."
    if rollback:
        return f"Not yet free for Group Chat: {address}. See to what is left and give the same line again."
    if good:
        return f"Done: clients that ask for {address} are in {fqdn} from now on. To take it back: --rollback."
    return "Not finished. See to what stands in the way and give the same line again; what is done stays done."
