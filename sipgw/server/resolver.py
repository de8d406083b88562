"""Asks name servers: a question of the locator becomes an answer, whatever happens. dnspython does the asking."""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Generic, TypeVar

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from sipgw.locating import Answer, Question
from sipgw.locating.hosts import Hosts, local_answer, parse_hosts
from sipgw.locating.records import NO_NAME, NO_RECORDS, SERVER_FAILURE, TIMEOUT, Naptr, Srv
from sipgw.message.values import host_port

RESOLV_CONF, HOSTS_FILE = Path("/etc/resolv.conf"), Path("/etc/hosts")
DNS_PORT = 53
PER_TRY, IN_ALL = 1.5, 4.0  # seconds until the next name server is asked, and until nobody is any more
MAX_AT_ONCE = 64  # queries; each has a socket of its own, for its random port
UDP_PAYLOAD = 1232  # bytes of an answer that come through without fragments; a larger one is fetched by TCP
LOOK_AGAIN = 5.0  # seconds between looks whether the hosts file and resolv.conf have changed
MAX_HOSTS = 4 << 20  # bytes of the hosts file
T = TypeVar("T")


class Resolver:
    """A stub resolver without memory (the locator has one): hosts file first, then the name servers in their order.

    `name_servers` are (address, port); none: those of resolv.conf, which is read here and now, and again when it has
    changed. Its search list does not count: names in SIP are complete. `per_try` and `in_all` are seconds.
    """

    def __init__(
        self,
        name_servers: Sequence[tuple[str, int]] = (),
        *,
        per_try: float = PER_TRY,
        in_all: float = IN_ALL,
        hosts_file: Path = HOSTS_FILE,
        resolv_conf: Path = RESOLV_CONF,
    ) -> None:
        self._servers = None if name_servers else ServersFile(resolv_conf)
        self.name_servers: list[tuple[str, int]] = []
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._ask_of(list(name_servers) if self._servers is None else self._servers.content)
        self._resolver.timeout, self._resolver.lifetime = per_try, in_all
        self._resolver.use_edns(0, 0, UDP_PAYLOAD)
        self._backend = dns.asyncbackend.get_backend("asyncio")
        self._room = asyncio.Semaphore(MAX_AT_ONCE)
        self._hosts = HostsFile(hosts_file)

    def _ask_of(self, name_servers: list[tuple[str, int]]) -> None:
        self.name_servers = name_servers
        self._resolver.nameservers = [dns.nameserver.Do53Nameserver(*address) for address in name_servers]

    async def ask(self, question: Question) -> Answer:
        """The answer; raises nothing, because requests wait for it."""
        local = local_answer(question, await self._hosts.now())
        if local is not None:
            return local
        if self._servers is not None and (await self._servers.now()) != self.name_servers:
            self._ask_of(self._servers.content)
        if not self.name_servers:
            return Answer(question, failure=SERVER_FAILURE, detail="no name server is configured")
        async with self._room:
            return await self._query(question)

    async def _query(self, question: Question) -> Answer:
        try:
            name = dns.name.from_text(question.name)
        except (dns.exception.DNSException, UnicodeError) as error:
            return Answer(question, failure=NO_NAME, detail=str(error) or type(error).__name__)
        try:
            found = await self._resolver.resolve(
                name, question.type, search=False, raise_on_no_answer=False, backend=self._backend
            )
        except dns.resolver.NXDOMAIN as error:
            return Answer(question, failure=NO_NAME, ttl=_negative_ttl(error, name))
        except dns.resolver.LifetimeTimeout as error:
            return Answer(question, failure=TIMEOUT, detail=_asked(error))
        except dns.resolver.NoNameservers as error:
            return Answer(question, failure=SERVER_FAILURE, detail=_asked(error))
        except Exception as error:  # whatever a library may come up with: the question has to get its answer
            return Answer(question, failure=SERVER_FAILURE, detail=f"{type(error).__name__}: {error}")
        return _answer(question, found)


class _File(Generic[T]):
    """A file of the system, read when this is made and then, off the event loop, when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: tuple[int, int, int] | None = None
        self._look_at = 0.0
        self.content = self._nothing()
        self._look()

    async def now(self) -> T:
        """What it says, as far as it has been looked at lately."""
        now = asyncio.get_running_loop().time()
        if now >= self._look_at:
            self._look_at = now + LOOK_AGAIN  # before anything is awaited: one look is enough
            await asyncio.to_thread(self._look)
        return self.content

    def _look(self) -> None:
        try:
            status = self._path.stat()
            state = (status.st_mtime_ns, status.st_size, status.st_ino)
            if state != self._state:
                self.content = self._read()
                self._state = state
        except OSError:
            self.content, self._state = self._nothing(), None

    def _nothing(self) -> T:
        raise NotImplementedError

    def _read(self) -> T:
        raise NotImplementedError


class HostsFile(_File[Hosts]):
    """The names in the hosts file."""

    def _nothing(self) -> Hosts:
        return {}

    def _read(self) -> Hosts:
        with self._path.open(encoding="utf-8", errors="replace") as file:
            return parse_hosts(file.read(MAX_HOSTS))


class ServersFile(_File[list[tuple[str, int]]]):
    """The name servers in resolv.conf; none when it cannot be read or used: names of the hosts file work on."""

    def _nothing(self) -> list[tuple[str, int]]:
        return []

    def _read(self) -> list[tuple[str, int]]:
        reader = dns.resolver.Resolver(configure=False)
        try:
            reader.read_resolv_conf(str(self._path))
        except (dns.exception.DNSException, ValueError):
            return []
        return [(str(server), DNS_PORT) for server in reader.nameservers]


def _answer(question: Question, found: dns.resolver.Answer) -> Answer:
    ttl = float(found.chaining_result.minimum_ttl)
    records: list[Any] = list(found)  # of the question's type, which the library's types do not tell
    if not records:
        return Answer(question, failure=NO_RECORDS, ttl=ttl)
    if question.type == "SRV":
        return Answer(question, srv=tuple(_srv(record) for record in records), ttl=ttl)
    if question.type == "NAPTR":
        return Answer(question, naptr=tuple(_naptr(record) for record in records), ttl=ttl)
    usable = tuple(record.address for record in records if _usable(record.address))
    detail = "" if usable else "only addresses that nobody can be at"
    return Answer(question, addresses=usable, ttl=ttl, failure="" if usable else NO_RECORDS, detail=detail)


def _srv(record: Any) -> Srv:
    return Srv(record.priority, record.weight, record.port, _text(record.target))


def _naptr(record: Any) -> Naptr:
    flags, service = record.flags.decode("latin-1"), record.service.decode("latin-1")
    return Naptr(record.order, record.preference, flags, service, _text(record.replacement))


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _usable(address: str) -> bool:
    """A zone must not aim us at ourselves or at a whole network."""
    known = ip_address(address)
    return not (known.is_unspecified or known.is_multicast)


def _negative_ttl(error: dns.resolver.NXDOMAIN, name: dns.name.Name) -> float:
    try:
        return float(error.kwargs["responses"][name].resolve_chaining().minimum_ttl)
    except (KeyError, dns.exception.DNSException):
        return 0.0  # the cache has a shortest time of its own


def _asked(error: dns.exception.DNSException) -> str:
    """Which name servers said or did what: `192.0.2.53:53: SERVFAIL`."""
    found: dict[str, None] = {}
    for server, _, port, what, _ in error.kwargs.get("errors", []):
        host = str(server).removeprefix("Do53:").rpartition("@")[0] or str(server)
        said = "no answer" if isinstance(what, dns.exception.Timeout) else str(what) or type(what).__name__
        found[f"{host_port(host, port)}: {said.rstrip('.')}"] = None
    return ", ".join(found)
