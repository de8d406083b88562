"""Command line of the bench."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from benchmark import (
    forwarding,
    instructions,
    machine,
    memory,
    overload,
    plot,
    report,
    rig,
    scale,
    signed,
    workers,
)
from benchmark.proxies import PROXIES

ORDER = [
    "udp", "tcp", "tls", "highest-udp", "highest-tcp", "curve", "workers", "memory", "scale", "signed", "overload",
    "instructions",
]  # fmt: skip
CURVE = [250, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 5000, 6000]
FULL = memory.Scale(60, (2_000, 20_000), (100_000, 1_000_000))


class _UdpFirst(click.Group):
    """`udp` where no command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = bool(args) and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if named else ["udp", *args])


@click.group(cls=_UdpFirst)
def main() -> None:
    """A lookup call through the gateway, beside Kamailio at its best: INVITE to the contact object, ACK, two INFOs with
    300 bytes, BYE; on loopback, each proxy on one core.

    Figures are medians; a ratio is sipgw's figure divided by Kamailio's in the same run. Without a command: `udp`.
    """


def reported(body: Callable[..., Iterable[report.Section]]) -> click.Command:
    """A command that finds sections out: shown, kept, and written where that is asked for."""

    @wraps(body)
    def run(output: Path, document: Path | None, **options: Any) -> None:
        for section in body(**options):
            report.show(section)
            report.keep(section, output)
            if section.name == "curve":
                picture = output.with_suffix(".png")
                plot.draw(section.data["points"], machine.describe(), picture)
                print(f"plot in {picture}")
        print(f"figures in {output}")
        if document is not None:
            report.write(document, output, ORDER)

    kept = click.Path(path_type=Path, dir_okay=False)
    with_json = click.option("--json", "output", type=kept, default=Path("build/bench.json"), show_default=True)
    with_document = click.option(
        "--write", "document", type=kept, help="A document whose marked part gets all figures."
    )
    return main.command(name=body.__name__.strip("_").replace("_", "-"))(with_json(with_document(run)))


def a_number(name: str, default: int, lowest: int, highest: int, help_: str = "") -> Callable[[Any], Any]:
    kind = click.IntRange(lowest, highest)
    return click.option(f"--{name}", type=kind, default=default, show_default=True, help=help_)


def with_rates(default: list[int]) -> Callable[[Any], Any]:
    kind = click.IntRange(1, 20_000)
    return click.option("--rate", "rates", type=kind, multiple=True, default=default, show_default=True)


with_rounds = a_number("rounds", 5, 1, 50, "Of each, in turn.")
with_seconds = a_number("seconds", 5, 1, 60, "Measured in each round.")
with_only = click.option("--only", type=click.Choice(list(PROXIES)), multiple=True, help="Run these alone.")
with_build = click.option(
    "--build", type=click.Choice(["compiled", "interpreted"]), default="compiled", show_default=True
)


def command_line(arguments: Sequence[str] | None = None) -> str:
    """How to measure the same again; where the figures went does not matter to it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for option in ("--json", "--write"):
        while option in words:
            at = words.index(option)
            del words[at : at + 2]
    return " ".join(["scripts/bench", *(word for word in words if not word.startswith(("--json=", "--write=")))])


def _fixed(
    transport: str, rates: tuple[int, ...], rounds: int, seconds: int, only: tuple[str, ...]
) -> list[report.Section]:
    names = forwarding.chosen(only)
    return [forwarding.fixed_rates(transport, names, list(rates), rounds, seconds, command_line())]


@reported
@with_rates([500, 1000, 2000])
@with_rounds
@with_seconds
@with_only
def udp(**options: Any) -> list[report.Section]:
    """What a call costs over UDP."""
    return _fixed("udp", **options)


@reported
@with_rates([500, 1000])
@with_rounds
@with_seconds
@with_only
def tcp(**options: Any) -> list[report.Section]:
    """What a call costs over TCP, the callers having a hundred connections."""
    return _fixed("tcp", **options)


@reported
@with_rates([500, 1000])
@with_rounds
@with_seconds
@with_only
def tls(**options: Any) -> list[report.Section]:
    """What a call costs with TLS from callers, who have a hundred connections, and TCP to the pool."""
    return _fixed("tls", **options)


@reported
@click.option("--transport", type=click.Choice(["udp", "tcp", "tls"]), default="udp", show_default=True)
@with_rounds
@a_number("seconds", 3, 1, 60, "Of each trial.")
@with_only
def highest(transport: str, rounds: int, seconds: int, only: tuple[str, ...]) -> list[report.Section]:
    """The highest clean rate on one core, and p99 at half of Kamailio's."""
    return [forwarding.highest(transport, forwarding.chosen(only), rounds, seconds, command_line())]


@reported
@with_rates(CURVE)
@a_number("rounds", 3, 1, 50, "Of each, in turn.")
@a_number("seconds", 3, 1, 60, "Measured in each round.")
@with_only
def curve(rates: tuple[int, ...], rounds: int, seconds: int, only: tuple[str, ...]) -> list[report.Section]:
    """p99 at many rates, and a plot of it beside the JSON file."""
    return [forwarding.curve("udp", forwarding.chosen(only), list(rates), rounds, seconds, command_line())]


@reported
@with_build
@a_number("rate", 1000, 1, 10_000, "Of each worker.")
@with_rounds
@a_number("seconds", 3, 1, 60, "Of each trial.")
def _workers(build: str, rate: int, rounds: int, seconds: int) -> list[report.Section]:
    """Two workers beside one."""
    return [workers.section(build, rate, rounds, seconds, command_line())]


@reported
@with_build
@a_number("seconds", FULL.seconds, 1, 600, "At 1,000 calls a second.")
@click.option("--clients", type=click.IntRange(1, 100_000), multiple=True, default=FULL.clients, show_default=True)
@click.option("--stored", type=click.IntRange(1, 1_000_000), multiple=True, default=FULL.stored, show_default=True)
def _memory(build: str, seconds: int, clients: tuple[int, ...], stored: tuple[int, ...]) -> list[report.Section]:
    """Memory under load, of idle clients, and of stored registrations."""
    return [memory.section(build, memory.Scale(seconds, clients, stored), command_line())]


@reported
@with_build
@a_number("rounds", 15, 1, 1000, "Of each, in turn.")
@a_number("endpoints", scale.ENDPOINTS, 1, scale.ENDPOINTS)
@a_number("bindings", scale.BINDINGS, 1, scale.BINDINGS)
def _scale(build: str, rounds: int, endpoints: int, bindings: int) -> list[report.Section]:
    """Whether a call costs more where there is more."""
    return [scale.section(build, rounds, endpoints, bindings, command_line())]


@reported
@with_build
@a_number("rounds", 15, 1, 1000, "Of each kind, in turn.")
def _signed(build: str, rounds: int) -> list[report.Section]:
    """What verifying and signing every message of an NTLM client costs the engine, beside a client that does not."""
    return [signed.section(build, rounds, command_line())]


@reported
@with_build
@a_number("seconds", 10, 2, 60, "At twice the capacity.")
@a_number("linger", overload.LINGER, 0, 60, "Seconds at the capacity before memory counts as settled.")
def _overload(build: str, seconds: int, linger: int) -> list[report.Section]:
    """Find the rate that the gateway can take, offer twice as much, see what becomes of the calls."""
    return [overload.section(build, seconds, command_line(), linger)]


@reported
@click.option("--build", type=click.Choice(["compiled", "interpreted"]), multiple=True, help="This one alone.")
@click.option("--record", is_flag=True, help="Make what is found the baseline.")
def _instructions(build: tuple[str, ...], record: bool) -> list[report.Section]:
    """Instructions of a call in the engine, beside those that are recorded; 5 % more are too many."""
    return [instructions.section(build or ("interpreted", "compiled"), record, command_line())]


@reported
@with_rounds
@with_seconds
def _all(rounds: int, seconds: int) -> Iterator[report.Section]:
    """Everything, which takes more than an hour."""
    names, line = forwarding.chosen(()), command_line()
    for transport, rates in {"udp": [500, 1000, 2000], "tcp": [500, 1000], "tls": [500, 1000]}.items():
        yield forwarding.fixed_rates(transport, names, rates, rounds, seconds, line)
    for transport in ("udp", "tcp"):
        yield forwarding.highest(transport, names, rounds, 3, line)
    yield forwarding.curve("udp", names, CURVE, 3, 3, line)
    yield workers.section("compiled", 1000, rounds, 3, line)
    yield memory.section("compiled", FULL, line)
    yield scale.section("compiled", 15, scale.ENDPOINTS, scale.BINDINGS, line)
    yield signed.section("compiled", 15, line)
    yield overload.section("compiled", 10, line)
    yield instructions.section(("interpreted", "compiled"), False, line)


def start() -> None:
    try:
        main.main(standalone_mode=True)
    except (rig.BenchError, report.ReportError) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    start()
