"""The names by which clients find their server: which are there, and the zone's lines for those that are not.

A legacy client that is not told its server asks for the four services of a domain at once, takes the first that has
records, and without any tries three host names. It wants the server's name to end in its own SIP domain.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sipgw.config import ListenAddress
from sipgw.locating import Answer, Question
from sipgw.locating.destination import is_address
from sipgw.locating.records import Srv
from sipgw.management.probes import Verdict

SERVICES = {"TLS": ("_sipinternaltls._tcp", "_sip._tls"), "TCP": ("_sipinternal._tcp", "_sip._tcp")}  # in their order
HOSTS = ("sipinternal", "sip", "sipexternal")
FAMILIES = ("AAAA", "A")
TTL = 3600  # seconds, in the lines that are proposed
Answers = Mapping[Question, Answer]


class Names(NamedTuple):
    """`zone` are lines for the zone files, absolute names throughout; those that begin with ; need an address."""

    verdicts: list[Verdict]
    zone: list[str]


def questions(fqdn: str, domains: Sequence[str], listen: Sequence[ListenAddress]) -> list[Question]:
    """What has to be asked for `findings`; nothing when no other machine can reach a listener."""
    if not _ports(listen):
        return []
    hosts = [] if is_address(fqdn) else [fqdn]
    hosts += [f"{host}.{domain}" for domain in domains for host in HOSTS]
    services = [f"{name}.{domain}" for domain in domains for names in SERVICES.values() for name in names]
    addresses = [Question(host, family) for host in dict.fromkeys(hosts) for family in FAMILIES]
    return [*addresses, *(Question(service, "SRV") for service in services)]


def findings(fqdn: str, domains: Sequence[str], listen: Sequence[ListenAddress], answers: Answers) -> Names:
    """What the answers to `questions` mean for the clients of the served domains."""
    ports = _ports(listen)
    if not ports:
        return Names([], [])
    own = [fqdn] if is_address(fqdn) else _addresses(fqdn, answers) or _bound(listen)
    found = Names([], [])
    if not is_address(fqdn):
        _report(found, _own_name(fqdn, own, answers))
    for domain in domains:
        judge = _Domain(domain.lower(), fqdn.lower(), ports, own, answers)
        for verdict, lines in judge.run():
            _report(found, (verdict, lines))
    return found


Finding = tuple[Verdict, list[str]]


def _report(found: Names, finding: Finding) -> None:
    verdict, lines = finding
    found.verdicts.append(verdict)
    found.zone.extend(line for line in lines if line not in found.zone)


def _own_name(fqdn: str, own: list[str], answers: Answers) -> Finding:
    known = _addresses(fqdn, answers)
    subject = f"name {fqdn}"
    if known:
        return Verdict("ok", subject, f"is {', '.join(known)}"), []
    failed = _unknown(answers, *(Question(fqdn, family) for family in FAMILIES))
    if failed:
        return Verdict("note", subject, f"could not be looked up: {failed}"), []
    text = "has no address: pool servers and clients that are sent to this name do not find the gateway"
    return Verdict("note", subject, text), _address_lines(fqdn, own)


class _Domain:
    """What one domain's clients find. `ports` are those listened on, by transport; `own` the gateway's addresses."""

    def __init__(self, domain: str, fqdn: str, ports: dict[str, list[int]], own: list[str], answers: Answers) -> None:
        self._domain = domain
        self._ports = ports
        self._own = own
        self._answers = answers
        inside = fqdn == domain or fqdn.endswith(f".{domain}")
        self._target = fqdn if inside and not is_address(fqdn) else f"sip.{domain}"
        self._names = {fqdn, self._target}

    def run(self) -> Iterator[Finding]:
        for transport in SERVICES:
            yield from self._service(transport)
        yield from self._hosts()

    def _service(self, transport: str) -> Iterator[Finding]:
        """One verdict for a transport: on the first of its names that has records, or on their being missing."""
        asked = [Question(f"{name}.{self._domain}", "SRV") for name in SERVICES[transport]]
        there = next((one for one in asked if one in self._answers and self._answers[one].srv), None)
        failed = _unknown(self._answers, *asked)
        if there is not None:
            yield self._judge(transport, there.name, min(self._answers[there].srv))
        elif transport not in self._ports:
            return
        elif failed:
            yield Verdict("note", f"domain {self._domain}", f"could not be looked up: {failed}"), []
        else:
            yield self._missing(transport, asked[0].name)

    def _missing(self, transport: str, name: str) -> Finding:
        port = self._ports[transport][0]
        text = f"there is no {name}: clients find no server by {transport} unless they are told its name"
        lines = [f"{name}. {TTL} IN SRV 0 0 {port} {self._target}."]
        if not _addresses(self._target, self._answers):
            lines += _address_lines(self._target, self._own)
        return Verdict("note", f"domain {self._domain}", text), lines

    def _judge(self, transport: str, name: str, record: Srv) -> Finding:
        """What a service record that is there leads to."""
        subject, leads = f"domain {self._domain}", f"{name} leads to {record.target}:{record.port}"
        if record.target not in self._names:
            return Verdict("note", subject, f"{leads}, not to this gateway: who is not told its server goes there"), []
        if transport not in self._ports:
            text = f"{leads} by {transport}, for which there is no listener; clients try it first"
            return Verdict("FAIL", subject, text), []
        if record.port not in self._ports[transport]:
            right = f"{name}. {TTL} IN SRV 0 0 {self._ports[transport][0]} {self._target}."
            return Verdict("FAIL", subject, f"{leads}, where no {transport} listener is"), [right]
        if not record.target.endswith(f".{self._domain}") and record.target != self._domain:
            text = f"{leads}, outside the domain: legacy clients warn of such a server or refuse it"
            lines = [f"{name}. {TTL} IN SRV 0 0 {record.port} {self._target}."]
            return Verdict("note", subject, text), lines + _address_lines(self._target, self._own)
        addresses = _addresses(record.target, self._answers)
        if not addresses:
            return Verdict("FAIL", subject, f"{leads}, which has no address"), _address_lines(record.target, self._own)
        return Verdict("ok", subject, leads), []

    def _hosts(self) -> Iterator[Finding]:
        """The host names that are tried without service records: one that is there has to be the gateway."""
        for host in HOSTS:
            name = f"{host}.{self._domain}"
            known = _addresses(name, self._answers)
            if known and self._own:
                here = not set(known).isdisjoint(self._own)
                text = f"{name} is {', '.join(known)}" + ("" if here else ", which is not this gateway")
                yield Verdict("ok" if here else "note", f"domain {self._domain}", text), []


def _ports(listen: Sequence[ListenAddress]) -> dict[str, list[int]]:
    """The ports that clients on other machines can reach, by transport; those chosen at start are not known."""
    ports: dict[str, list[int]] = {}
    for address in listen:
        if address.transport in SERVICES and address.port and _reachable(address):
            ports.setdefault(address.transport, []).append(address.port)
    return ports


def _reachable(address: ListenAddress) -> bool:
    return not address.is_loopback


def _bound(listen: Sequence[ListenAddress]) -> list[str]:
    """The addresses that are listened on, where they are told."""
    hosts = [one.host for one in listen if _reachable(one) and is_address(one.host)]
    return [host for host in dict.fromkeys(hosts) if host not in ("0.0.0.0", "::")]


def _addresses(name: str, answers: Answers) -> list[str]:
    asked = [Question(name, family) for family in FAMILIES]
    return [address for one in asked if one in answers for address in answers[one].addresses]


def _unknown(answers: Answers, *asked: Question) -> str:
    return "; ".join(str(answers[one]) for one in asked if one in answers and answers[one].unknown)


def _address_lines(name: str, addresses: Sequence[str]) -> list[str]:
    lines = [f"{name}. {TTL} IN {'AAAA' if ':' in address else 'A'} {address}" for address in addresses]
    return lines or [f"; {name}. {TTL} IN A (the address of this machine)"]
