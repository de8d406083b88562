"""What is asked of the name service and what it says. Plain data; names are in lower case without a final dot."""

from dataclasses import dataclass
from typing import NamedTuple

NO_NAME = "no such name"
NO_RECORDS = "no records"
SERVER_FAILURE = "server failure"
TIMEOUT = "timeout"
UNKNOWN = frozenset({SERVER_FAILURE, TIMEOUT})  # nobody said what is there; the other two are answers (RFC 2308)


class Question(NamedTuple):
    """`type` is "NAPTR", "SRV", "A" or "AAAA"."""

    name: str
    type: str

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


class Srv(NamedTuple):
    """RFC 2782. `target` "." says that the service is not offered."""

    priority: int
    weight: int
    port: int
    target: str


class Naptr(NamedTuple):
    """RFC 3403 §4, without the regular expression, which RFC 3263 has no use for."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: records that match the question's type (A and AAAA: addresses as text), or a failure.

    `ttl` is in seconds: the smallest of the records and the aliases on the way to them; of NO_NAME and NO_RECORDS what
    the zone's SOA allows. `failure` is "" or one of this module's four; `detail` says more of it to an operator.
    """

    question: Question
    srv: tuple[Srv, ...] = ()
    naptr: tuple[Naptr, ...] = ()
    addresses: tuple[str, ...] = ()
    ttl: float = 0.0
    failure: str = ""
    detail: str = ""

    @property
    def unknown(self) -> bool:
        """Whether it says nothing about what is there."""
        return self.failure in UNKNOWN

    def __str__(self) -> str:
        """The failure for people: `SRV _sips._tcp.contoso.com: server failure (192.0.2.53: SERVFAIL)`."""
        return f"{self.question}: {self.failure}" + (f" ({self.detail})" if self.detail else "")
