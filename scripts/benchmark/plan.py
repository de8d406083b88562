"""What to measure, decided once from the command line."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SIPGW, KAMAILIO, GENERATOR = "sipgw", "kamailio", "generator"
MAX_RATE = 20_000  # the generator's own bound


class BenchError(Exception):
    """Something that keeps the bench from measuring; the text is one line for the user."""


@dataclass(frozen=True)
class Plan:
    peers: tuple[str, ...]
    rates: tuple[int, ...]  # calls a second
    rounds: int
    warm_up: int  # seconds of load before each measurement
    seconds: int  # of measurement
    timeout: int  # seconds until a call without an answer has failed
    find_max: bool
    proxy_core: int
    generator_core: int
    sipgw_command: tuple[str, ...]  # what `serve --config FILE` is appended to
    json_path: Path
    transport: str = "udp"


def kamailio_memory(plan: Plan, available: int) -> int:
    """Megabytes of shared memory for the plan, out of the machine's `available` ones.

    A finished transaction stays for five seconds, which takes up to 0.6 MB for each call a second. All of it is touched
    at start, so more would only cost time.
    """
    top = max(plan.rates, default=0)
    wanted = max(1024, int(0.75 * (max(8000, 2 * top) if plan.find_max else top)))
    return max(256, min(wanted, available // 2))
