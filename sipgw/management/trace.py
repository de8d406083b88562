"""`sipgw trace`: calls as the running gateway has seen them, with what it decided at each step."""

import json
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from sipgw.config import Config, load_config
from sipgw.management.api_client import ApiError, GatewayClient, running_gateway
from sipgw.management.parameters import FILE, Parsed, config_option
from sipgw.management.trace_capture import write_capture
from sipgw.management.trace_text import heading, ladder, line_of, messages, printable
from sipgw.message.values import host_port
from sipgw.server.admin.call_models import CallBody
from sipgw.server.running import read_running

LAST = 10  # calls that are shown without --last
POLL = 0.5  # seconds between looks with --follow
NARROW, WIDE = 80, 140  # characters of a ladder
REMEMBERED = 1000  # calls of which is known how far they have been shown
NAMED = 5  # users and receivers, where nothing matches
_PAGE = 50
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SPAN = re.compile(r"(\d{1,9})([smhd])")


def parse_span(value: object) -> float:
    """`10m` to seconds. Raises ValueError."""
    found = _SPAN.fullmatch(str(value))
    if found is None:
        raise ValueError(f'"{value}" is no span of time; write one like 90s, 10m, 2h or 1d')
    return float(int(found[1]) * _UNITS[found[2]])


@click.command()
@click.option("--call-id", metavar="TEXT", help="The call with this Call-ID, which a line of the log has.")
@click.option("--user", metavar="ADDRESS", help="Calls of a user, who is in From or To.")
@click.option("--endpoint", metavar="ADDRESS", help="Calls to an endpoint.")
@click.option("--failed", is_flag=True, help="Calls in which something went wrong.")
@click.option("--probes", is_flag=True, help="Also the OPTIONS that the gateway asks pools with.")
@click.option("--since", "span", type=Parsed("span", parse_span, needed=True), help="Not longer ago: 90s, 10m, 2h, 1d.")
@click.option("--last", type=click.IntRange(1), help="How many, the last ones; default: 10, with --json or --pcap all.")
@click.option("--list", "as_lines", is_flag=True, help="One line for each call.")
@click.option("--messages", "whole", is_flag=True, help="Also every message, whole.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines; with --follow a line for each change.")
@click.option("--pcap", type=FILE, help="Write them to a file for Wireshark instead.")
@config_option
def trace(config_path: Path | None, follow: bool, as_json: bool, pcap: Path | None, **options: Any) -> int:
    """Show calls that the running gateway has seen, and what it decided at each step.

    A call is everything with one Call-ID: a conversation, or a user's registration. The gateway keeps the last ones, as
    [trace] of its configuration says. Passwords and what proves an identity are never shown; what people say is not
    unless trace.bodies allows it.
    """
    if follow and pcap is not None:
        raise click.UsageError("--follow has no end, and a file for Wireshark needs one; leave one of them out")
    gateway = _gateway(load_config(config_path))
    selection = _Selection(gateway, options)
    if follow:
        _follow(selection, as_json, options)
        return 0
    if pcap is not None:
        calls = selection.calls(options["last"])
        click.echo(f"{write_capture(pcap, calls)} messages of {len(calls)} calls written to {pcap}")
    elif as_json:
        shown = [call.model_dump() for call in reversed(selection.calls(options["last"]))]
        click.echo(json.dumps({"calls": shown}, indent=2))
    else:
        _show(selection.calls(options["last"] or LAST), options)
    _say_what_is_missing(selection)
    return 0


def _gateway(config: Config) -> GatewayClient:
    found = running_gateway(config)
    if found is not None:
        return found
    address = host_port(*config.admin.listen)
    running = read_running(config.store.path)
    if running is not None:
        who = f"the gateway (pid {running.pid}) that runs on {config.store.path}"
        advice = f"name the address that it has, or free that one and kill -HUP {running.pid}"
        raise ApiError(f"{who} does not answer at admin.listen, {address}: {advice}")
    raise ApiError(
        f"no gateway that runs on {config.store.path} answers at {address}; is it running, by this --config?"
    )


class _Selection:
    """The calls that are wanted."""

    def __init__(self, gateway: GatewayClient, options: dict[str, Any]) -> None:
        self._gateway = gateway
        names = ("call_id", "user", "endpoint", "failed")
        self._query: dict[str, Any] = {name: options[name] for name in names if options[name]}
        self._query["probes"] = bool(options["probes"] or options["call_id"])
        self._since = time.time() - options["span"] if options["span"] else 0.0
        self._steps = not options["as_lines"]
        self.newest = self.missed = self.seen = self.found = 0
        self.enabled = True

    @property
    def wanted(self) -> str:
        """In words, as it was asked for."""
        words = {"call_id": "--call-id", "user": "--user", "endpoint": "--endpoint"}
        asked = [f"{option} {self._query[name]}" for name, option in words.items() if name in self._query]
        asked += ["--failed"] if "failed" in self._query else []
        return " ".join([*asked, *(["--since"] if self._since else [])])

    def others(self) -> list[CallBody]:
        """What there is besides: the last calls, whatever is wanted."""
        return self._gateway.calls(limit=_PAGE, probes=False).calls

    def calls(self, last: int | None, after: int = 0) -> list[CallBody]:
        """What has changed after a serial number, the last so many, the latest first."""
        found: list[CallBody] = []
        before: int | None = None
        while last is None or len(found) < last:
            limit = _PAGE if last is None else min(_PAGE, last - len(found))
            query = {**self._query, "since": self._since, "after": after, "limit": limit, "steps": self._steps}
            page = self._gateway.calls(**query, **({"before": before} if before is not None else {}))
            if before is None:
                self.newest, self.missed, self.enabled, self.seen = page.newest, page.missed, page.enabled, page.kept
            found += page.calls
            before = page.next
            if before is None:
                break
        self.found = len(found)
        return found


def _show(calls: list[CallBody], options: dict[str, Any]) -> None:
    for call in sorted(calls, key=lambda call: (call.began, call.serial)):
        click.echo("\n".join(_lines(call, options, 0)))


def _lines(call: CallBody, options: dict[str, Any], behind: int) -> Iterator[str]:
    if options["as_lines"]:
        yield line_of(call)
        return
    for line in heading(call):
        yield click.style(line, fg="red") if line.startswith("  FAILED") else line
    width = min(WIDE, max(NARROW, shutil.get_terminal_size((100, 24)).columns))
    yield ladder(call, width, behind)
    yield ""
    if options["whole"]:
        yield from messages(call, behind)


def _say_what_is_missing(selection: _Selection) -> None:
    """On the side: what is shown may not be all that there was."""
    if not selection.enabled:
        click.echo("nothing is kept: trace.enabled is false", err=True)
    elif not selection.newest:
        click.echo("no call has come yet", err=True)
    elif not selection.found:
        _say_what_there_is(selection)
    if selection.missed:
        click.echo(f"{selection.missed} messages were not kept, as there were more than trace.rate allows", err=True)


def _say_what_there_is(selection: _Selection) -> None:
    """Where nothing is shown."""
    others = selection.others()
    if not others:
        click.echo("no call has come yet, only probes of pools, which --probes shows", err=True)
        return
    users = _some(call.sender for call in others)
    called = _some(call.matched.partition(" ")[2].removeprefix("sip:") or call.receiver for call in others)
    last = f"the last {len(others)}" if len(others) == _PAGE else str(len(others))
    text = f"no call matches {selection.wanted}; kept are {last}, from {users} to {called}; sipgw trace --list has them"
    click.echo(printable(text), err=True)


def _some(names: Iterable[str]) -> str:
    known = [name for name in dict.fromkeys(names) if name]
    return ", ".join([*known[:NAMED], *(["..."] if len(known) > NAMED else [])]) or "nobody known"


def _follow(selection: _Selection, as_json: bool, options: dict[str, Any]) -> None:
    """Show what there is (only what --last asks for), then what comes."""
    shown: dict[str, int] = {}
    calls = selection.calls(options["last"] or 1)
    if options["last"] is None:
        for call in calls:
            shown[call.call_id] = _turns(call)
        calls = []
    while True:
        for call in reversed(calls):
            behind = shown.pop(call.call_id, 0)
            shown[call.call_id] = _turns(call)
            text = json.dumps(call.model_dump()) if as_json else "\n".join(_lines(call, options, behind))
            click.echo(text)
        for call_id in list(shown)[:-REMEMBERED]:
            del shown[call_id]
        time.sleep(POLL)
        newest = selection.newest
        calls = selection.calls(None, newest)
        if selection.newest < newest:  # another gateway, which began to count anew
            shown, calls = {}, selection.calls(None)


def _turns(call: CallBody) -> int:
    return max((step.turn for step in call.steps or ()), default=0)
