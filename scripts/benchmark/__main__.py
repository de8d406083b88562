"""Command line and report of the bench."""

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmark import overload, rig, signed
from benchmark.figures import Round, summary

GATEWAY_CORE, LOAD_CORE = 0, 1


@click.group(invoke_without_command=True)
@click.pass_context
@click.option("--rate", "rates", type=click.IntRange(1, 20_000), multiple=True, default=[500, 1000], show_default=True)
@click.option("--rounds", type=click.IntRange(1, 50), default=5, show_default=True, help="Of each proxy, alternating.")
@click.option("--seconds", type=click.IntRange(1, 60), default=5, show_default=True, help="Measured in each round.")
@click.option("--only", type=click.Choice(list(rig.PROXIES)), help="Run one proxy alone.")
@click.option("--json", "output", type=click.Path(path_type=Path), default=Path("build/bench.json"), show_default=True)
def main(
    context: click.Context, rates: tuple[int, ...], rounds: int, seconds: int, only: str | None, output: Path
) -> None:
    """INVITE to the contact object, ACK, two INFOs with 300 bytes, BYE; over UDP on loopback, each proxy on one core.

    Figures are medians; the ratio is sipgw's figure divided by Kamailio's in the same run.
    """
    if context.invoked_subcommand is not None:
        return
    names = [only] if only else list(rig.PROXIES)
    try:
        results = run(names, rates, rounds, seconds)
    except rig.BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
    rows = summary(results)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"summary": rows, "rounds": [asdict(one) for one in results]}, indent=1) + "\n")
    Console().print(table(rows, names))
    print(f"rounds in {output}")


@main.command("overload")
@click.option("--seconds", type=click.IntRange(2, 60), default=10, show_default=True, help="At twice the capacity.")
def at_twice(seconds: int) -> None:
    """Find the rate that the gateway can take, offer twice as much, see what becomes of the calls."""
    try:
        figures = overload.main(seconds, GATEWAY_CORE, LOAD_CORE)
    except rig.BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
    made = Table("figure", "value", title="sipgw at twice its capacity")
    for key, value in figures.items():
        made.add_row(key.replace("_", " "), f"{value:.2f}" if isinstance(value, float) else str(value))
    Console().print(made)


@main.command("signed")
@click.option("--rounds", type=click.IntRange(1, 1000), default=15, show_default=True, help="Of each kind, in turn.")
def with_signatures(rounds: int) -> None:
    """What verifying and signing every message of an NTLM client costs the engine, beside a client that does not."""
    cost = signed.measure(rounds)
    made = Table("", "CPU a call", title="a lookup call of a client that signs (NTLM), engine alone, in memory")
    made.add_row("not signed", f"{cost.plain:.0f} \u00b5s")
    made.add_row("signed", f"{cost.signed:.0f} \u00b5s")
    made.add_row("ratio", f"{cost.ratio:.2f}")
    made.add_row("a message signed or verified", f"{cost.message:.1f} \u00b5s")
    Console().print(made)


def run(names: list[str], rates: tuple[int, ...], rounds: int, seconds: int) -> list[Round]:
    """Every round starts its proxy anew, so that none inherits another's memory."""
    results: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="sipgw-bench-") as name:
        folder = Path(name)
        program = rig.build_generator(folder)
        with rig.generator(program, LOAD_CORE) as load:
            for rate in rates:
                for _ in range(rounds):
                    for proxy in names:
                        with rig.PROXIES[proxy](folder, load.pool_port, GATEWAY_CORE) as (pid, port):
                            results.append(load.run(proxy, pid, port, rate, seconds))
                        print(describe(results[-1]), file=sys.stderr)
    return results


def describe(one: Round) -> str:
    clean = "" if one.clean else "  NOT CLEAN"
    return f"{one.proxy:9} {one.rate:5}/s  {one.cpu_per_call:.3f} ms/call  p99 {one.p99:.2f} ms{clean}"


def table(rows: list[dict[str, Any]], names: list[str]) -> Table:
    made = Table("calls/s", "proxy", "CPU ms/call", "p50 ms", "p99 ms", "MiB", "clean rounds")
    for row in rows:
        for name in names:
            figures = row[name]
            values = [f"{figures[key]:.3f}" for key in ("cpu_per_call", "p50", "p99")]
            made.add_row(str(row["rate"]), name, *values, f"{figures['memory']:.0f}", f"{figures['clean']:.0%}")
        if "ratio" in row:
            ratios = [f"{row['ratio'][key]:.2f}" for key in ("cpu_per_call", "p50", "p99", "memory")]
            made.add_row(str(row["rate"]), "ratio", *ratios, "", style="bold", end_section=True)
    return made


if __name__ == "__main__":
    main()
