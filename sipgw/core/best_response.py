"""Which of the failures of a fork goes back to the caller (RFC 3261 §16.7 item 6)."""

from dataclasses import dataclass, field

from sipgw.core.failures import Failure
from sipgw.message.message import Response

_TELLING = frozenset({401, 407, 415, 420, 484})  # within 4xx: those after which the caller can do better


@dataclass(slots=True)
class Outcome:
    """How one branch ended: with a `response` of its server, or a `failure` of our own finding.

    `counts_as` is the status that it is compared by, where that is not the one that would be sent. `retry_after` is
    what a 503 of ours says, where its servers have named a time (§20.33).
    """

    status: int
    response: Response | None = None
    failure: Failure | None = None
    details: dict[str, str] = field(default_factory=dict)
    counts_as: int = 0
    retry_after: int = 0


def best(outcomes: list[Outcome], cancelled: bool = False) -> Outcome:
    """The outcome to return; `outcomes` is not empty. The first among equals. Who has `cancelled` is told that in 4xx,
    whatever branches answered before."""
    if cancelled and (ended := [outcome for outcome in outcomes if outcome.status == 487]):
        outcomes = ended[:1] + [outcome for outcome in outcomes if _rank(outcome)[0] != 4]
    return min(outcomes, key=_rank)


def _rank(outcome: Outcome) -> tuple[int, int, int]:
    """6xx first, then the lowest class; in it the telling ones first and 503 last, which is not to be passed on; a
    server's own answer before one of our making."""
    status = outcome.counts_as or outcome.status
    klass = 0 if status >= 600 else status // 100
    worth = 0 if status in _TELLING else 2 if status == 503 else 1
    return klass, worth, 0 if outcome.response is not None else 1


def collect_challenges(chosen: Outcome, outcomes: list[Outcome]) -> None:
    """Item 7: a 401 or 407 that goes back carries the challenges of all branches that were challenged."""
    if chosen.status not in (401, 407) or chosen.response is None:
        return
    for other in outcomes:
        if other.response is None or other is chosen or other.status not in (401, 407):
            continue
        for line, name in zip(other.response.lines, other.response.names, strict=True):
            if name in ("www-authenticate", "proxy-authenticate"):
                chosen.response.lines.append(line)
                chosen.response.names.append(name)
