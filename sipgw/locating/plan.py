"""RFC 3263 §4: from a destination and what is known of names to servers, or to the questions that are still open.

A function of its input: it is run again when more is known, and asks for all that it can use at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sipgw.locating.destination import DEFAULT_PORTS, Destination, is_address
from sipgw.locating.records import NO_NAME, NO_RECORDS, SERVER_FAILURE, TIMEOUT, Answer, Naptr, Question
from sipgw.locating.result import (
    CANNOT_ROUTE,
    NO_ADDRESS,
    NO_SRV,
    NO_TRANSPORT,
    NOT_OFFERED,
    Located,
    NotLocated,
    Service,
)

MAX_NAPTR = 8  # usable ones that are followed, the preferred first
MAX_RECORDS = 32  # SRV records, in all; the last by rank and priority go
MAX_ADDRESSES = 16  # of one name and family
_SRV_NAMES = {"TLS": "_sips._tcp.", "TCP": "_sip._tcp.", "UDP": "_sip._udp."}  # RFC 3263 §4.1
_NAPTR_SERVICES = {"sips+d2t": "TLS", "sip+d2t": "TCP", "sip+d2u": "UDP"}
_WORST = (TIMEOUT, SERVER_FAILURE, NO_RECORDS, NO_NAME)  # what is said of several failures

Known = Callable[[Question], Answer | None]


@dataclass(frozen=True, slots=True)
class Reach:
    """What this machine can use: `transports` in our order of preference, `families` as record types in theirs."""

    transports: tuple[str, ...] = ("TLS", "TCP", "UDP")
    families: tuple[str, ...] = ("AAAA", "A")


@dataclass(slots=True)
class Plan:
    """How far it got: open questions (then there is no result yet), or the result. `dropped` counts records beyond the
    bounds."""

    missing: list[Question] = field(default_factory=list)
    result: Located | NotLocated | None = None
    dropped: int = 0


def plan(destination: Destination, reach: Reach, known: Known) -> Plan:
    """Locate the servers of a destination. `known` tells the answer to a question, None when it has to be asked."""
    return _Search(destination, reach, known).run()


class _Search:
    """One run. `_services` is empty as long as nothing is found; `_remarks` are failures that need not matter."""

    def __init__(self, destination: Destination, reach: Reach, known: Known) -> None:
        self._to = destination
        self._reach = reach
        self._known = known
        self._plan = Plan()
        self._remarks: list[str] = []

    def run(self) -> Plan:
        usable = [one for one in self._reach.transports if one == "TLS" or not self._to.secure]
        fixed = self._fixed_transport()
        if not usable or (fixed and fixed not in usable):
            wanted = fixed or "TLS"
            text = f"{self._to}: no way to go there by {wanted}; here it could be {', '.join(usable) or 'nothing'}"
            self._fail(NO_TRANSPORT, CANNOT_ROUTE, text)
        elif fixed and (self._to.port or is_address(self._to.host)):
            self._find_addresses([self._service(fixed)])
        else:
            self._by_name_service([fixed] if fixed else usable)
        return self._plan

    def _fixed_transport(self) -> str:
        """§4.1: the transport where no look-up decides it; "" where one does."""
        to = self._to
        return to.transport or (to.default_transport if to.port or is_address(to.host) else "")

    def _service(self, transport: str) -> Service:
        """The destination itself as a server, by its own port or the default one."""
        to = self._to
        port = to.default_port if transport == to.default_transport else 0
        return Service(0, 0, 0, transport, to.host, to.port or port or DEFAULT_PORTS[transport])

    # NAPTR and SRV

    def _by_name_service(self, transports: Sequence[str]) -> None:
        """§4.1 and §4.2 for a name without a port."""
        standard = [(transport, _SRV_NAMES[transport] + self._to.host) for transport in transports]
        naptr = None if self._to.transport else Question(self._to.host, "NAPTR")
        asked = [Question(name, "SRV") for _, name in standard]
        self._ask([*([naptr] if naptr else []), *asked])  # together: NAPTR records mostly lead to the standard names
        if self._plan.missing:
            return
        chosen = self._naptr_choice(naptr, transports) if naptr is not None else []
        self._ask([Question(name, "SRV") for _, name in chosen])
        if not self._plan.missing:
            self._by_srv(chosen or standard, chosen[0][0] if chosen else self._fallback(transports))

    def _fallback(self, transports: Sequence[str]) -> str:
        """The transport when the name service names none."""
        default = self._to.transport or self._to.default_transport
        return default if default in transports else transports[0]

    def _naptr_choice(self, question: Question, transports: Sequence[str]) -> list[tuple[str, str]]:
        """(transport, SRV name) as the usable NAPTR records say, in their order; none: the standard names are next."""
        answer = self._take(question)
        if answer.unknown:
            self._remarks.append(str(answer))
        usable = [record for record in sorted(answer.naptr) if self._transport_of(record) in transports]
        self._plan.dropped += len(usable[MAX_NAPTR:])
        return [(self._transport_of(record), record.replacement) for record in usable[:MAX_NAPTR]]

    @staticmethod
    def _transport_of(record: Naptr) -> str:
        usable = record.flags.lower() == "s" and record.replacement not in ("", ".")  # §4.1 knows no other form
        return _NAPTR_SERVICES.get(record.service.lower(), "") if usable else ""

    def _by_srv(self, names: Sequence[tuple[str, str]], fallback: str) -> None:
        answers = [(transport, self._take(Question(name, "SRV"))) for transport, name in names]
        failed = [answer for _, answer in answers if answer.unknown]
        self._remarks += map(str, failed)
        answers = _not_below(answers)
        services = [
            Service(rank, record.priority, record.weight, transport, record.target, record.port)
            for rank, (transport, answer) in enumerate(answers)
            for record in answer.srv
            if record.target != "." and record.port
        ]
        refused = {transport for transport, answer in answers if answer.srv}
        if services:
            services.sort(key=lambda service: (service.rank, service.priority))
            self._plan.dropped += len(services[MAX_RECORDS:])
            self._find_addresses(services[:MAX_RECORDS])
        elif failed:
            self._fail(_worst(failed), NO_SRV, "; ".join(map(str, failed)))
        elif fallback in refused:
            offers = f'the SRV records of {self._to.host} say that it offers no SIP over {fallback} (target ".")'
            self._fail(NOT_OFFERED, NO_SRV, offers)
        else:
            self._find_addresses([self._service(fallback)])

    # addresses

    def _find_addresses(self, services: Sequence[Service]) -> None:
        names = dict.fromkeys(service.host for service in services if not is_address(service.host))
        self._ask([Question(name, family) for name in names for family in self._reach.families])
        if self._plan.missing:
            return
        found = {name: self._families(name) for name in names}
        known = [service._replace(families=found.get(service.host) or _numeric(service.host)) for service in services]
        reachable = tuple(service for service in known if any(service.families))
        if reachable:
            self._plan.result = Located(reachable, self._to.verify_name, tuple(self._remarks))
        else:
            self._no_address(names)

    def _families(self, name: str) -> tuple[tuple[str, ...], ...]:
        answers = [self._take(Question(name, family)) for family in self._reach.families]
        self._plan.dropped += sum(len(answer.addresses[MAX_ADDRESSES:]) for answer in answers)
        failed = [answer for answer in answers if answer.unknown]
        if failed or not any(answer.addresses for answer in answers):
            self._remarks.append(_why(name, answers))
        return tuple(answer.addresses[:MAX_ADDRESSES] for answer in answers)

    def _no_address(self, names: Sequence[str] | dict[str, None]) -> None:
        answers = [self._take(Question(name, family)) for name in names for family in self._reach.families]
        self._fail(_worst(answers), NO_ADDRESS, "; ".join(self._remarks))

    # bookkeeping

    def _ask(self, questions: Sequence[Question]) -> None:
        self._plan.missing += [one for one in dict.fromkeys(questions) if self._known(one) is None]

    def _take(self, question: Question) -> Answer:
        answer = self._known(question)
        assert answer is not None  # _ask was there before
        return answer

    def _fail(self, kind: str, diagnostics: int, text: str) -> None:
        self._plan.result = NotLocated(kind, diagnostics, text)


def _not_below(answers: list[tuple[str, Answer]]) -> list[tuple[str, Answer]]:
    """Without what is less preferred than a TLS that nobody could tell about: whoever keeps the answer from us must not
    bring it about that we go in clear."""
    hidden = [at for at, (transport, answer) in enumerate(answers) if transport == "TLS" and answer.unknown]
    return [one for at, one in enumerate(answers) if one[0] == "TLS" or not hidden or at < hidden[0]]


def _numeric(host: str) -> tuple[tuple[str, ...], ...]:
    return ((host,),) if is_address(host) else ()


def _worst(answers: Sequence[Answer]) -> str:
    failures = {answer.failure or NO_RECORDS for answer in answers}
    return next((kind for kind in _WORST if kind in failures), NO_RECORDS)


def _why(name: str, answers: Sequence[Answer]) -> str:
    """Why a name has no address, or not those of one family."""
    failed = [str(answer) for answer in answers if answer.unknown]
    if failed:
        return "; ".join(failed)
    if all(answer.failure == NO_NAME for answer in answers):
        return f"{name}: there is no such name"
    types = " or ".join(sorted(answer.question.type for answer in answers))
    return f"{name} has no {types} record"
