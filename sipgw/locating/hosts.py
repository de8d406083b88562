"""Names that this machine knows by itself: the hosts file, and localhost (RFC 6761 §6.3)."""

from ipaddress import ip_address

from sipgw.locating.destination import is_address
from sipgw.locating.records import NO_RECORDS, Answer, Question

TTL = 5.0  # seconds; the file is read again when it has changed
LOCALHOST = ("::1", "127.0.0.1")

Hosts = dict[str, tuple[str, ...]]


def parse_hosts(text: str) -> Hosts:
    """Names to addresses. Lines that make no sense are passed over, as everybody does."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if names and is_address(address):
            for name in names:
                known = found.setdefault(name.rstrip(".").lower(), [])
                if address not in known:
                    known.append(address)
    return {name: tuple(addresses) for name, addresses in found.items()}


def local_answer(question: Question, hosts: Hosts) -> Answer | None:
    """The answer to a question about a name that is known here, None for another name.

    What the hosts file names is asked of no name server: not for the family that the file does not give, as with the
    system's own resolver, and not for services, of which such a name has none.
    """
    name = host_of(question)
    addresses = hosts.get(name) or (LOCALHOST if name == "localhost" or name.endswith(".localhost") else ())
    if not addresses:
        return None
    wanted = {"A": 4, "AAAA": 6}.get(question.type)
    fitting = tuple(address for address in addresses if ip_address(address).version == wanted)
    failure, detail = ("", "") if fitting else (NO_RECORDS, "the hosts file has this name")
    return Answer(question, addresses=fitting, ttl=TTL, failure=failure, detail=detail)


def host_of(question: Question) -> str:
    """The host or domain that a question is about: of `_sips._tcp.contoso.com` the last part."""
    name = question.name
    while question.type == "SRV" and name.startswith("_"):
        name = name.partition(".")[2]
    return name
