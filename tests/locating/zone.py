"""A zone for the locator's tests: what a name server would answer, in memory, at a time that the test says."""

from random import Random

from sipgw.locating import Answer, CacheLimits, Destination, Located, Locator, NotLocated, Question, Reach
from sipgw.locating.records import NO_NAME, NO_RECORDS, Naptr, Srv


class Zone:
    """`add` records by name; `failures` are said instead of an answer, for a name or a question."""

    def __init__(self, ttl: float = 300.0, negative_ttl: float = 30.0) -> None:
        self.ttl = ttl
        self.negative_ttl = negative_ttl
        self.failures: dict[str | Question, str] = {}
        self.asked: list[Question] = []
        self._srv: dict[str, list[Srv]] = {}
        self._naptr: dict[str, list[Naptr]] = {}
        self._addresses: dict[str, list[str]] = {}

    def a(self, name: str, *addresses: str) -> "Zone":
        """IPv4 and IPv6 addresses."""
        self._addresses.setdefault(name, []).extend(addresses)
        return self

    def srv(self, name: str, *records: tuple[int, int, int, str]) -> "Zone":
        self._srv.setdefault(name, []).extend(Srv(*record) for record in records)
        return self

    def naptr(self, name: str, *records: tuple[int, int, str, str, str]) -> "Zone":
        self._naptr.setdefault(name, []).extend(Naptr(*record) for record in records)
        return self

    def forget(self, name: str) -> None:
        for table in (self._srv, self._naptr, self._addresses):
            table.pop(name, None)

    def answer(self, question: Question) -> Answer:
        self.asked.append(question)
        failure = self.failures.get(question) or self.failures.get(question.name)
        if failure:
            return Answer(question, failure=failure, detail="192.0.2.53:53")
        name, kind = question
        srv = tuple(self._srv.get(name, ())) if kind == "SRV" else ()
        naptr = tuple(self._naptr.get(name, ())) if kind == "NAPTR" else ()
        family = {"A": False, "AAAA": True}.get(kind)
        addresses = tuple(one for one in self._addresses.get(name, ()) if (":" in one) == family)
        if srv or naptr or addresses:
            return Answer(question, srv, naptr, addresses, self.ttl)
        return Answer(question, ttl=self.negative_ttl, failure=NO_RECORDS if self._exists(name) else NO_NAME)

    def _exists(self, name: str) -> bool:
        known = [*self._srv, *self._naptr, *self._addresses]
        return any(one == name or one.endswith(f".{name}") for one in known)


class Client:
    """A locator with its zone and a clock that the test moves."""

    def __init__(self, zone: Zone, reach: Reach | None = None, limits: CacheLimits | None = None) -> None:
        self.zone = zone
        self.locator = Locator(reach, limits)
        self.now = 1000.0
        self.random = Random(1)
        self.rounds: list[list[Question]] = []

    def find(self, destination: Destination) -> Located | NotLocated:
        """With every question answered at once, those of a renewal included."""
        found = self.locator.find(destination, self.now)
        self.answer_all()
        if found is None:
            found = self.locator.find(destination, self.now)
        assert found is not None
        return found

    def answer_all(self) -> list[Destination]:
        """Answer what is asked until nothing is. Returns the destinations that have a result now."""
        settled: list[Destination] = []
        while questions := self.locator.take_questions():
            self.rounds.append(questions)
            for question in questions:
                settled += self.locator.answered(self.zone.answer(question), self.now)
        return settled

    def servers(self, destination: Destination) -> list[str]:
        """`tls:192.0.2.1:5061` in the order to try; fails where there is none."""
        found = self.find(destination)
        assert isinstance(found, Located), found
        return [f"{one.transport.lower()}:{one.address}:{one.port}" for one in found.order(self.random)]

    def failure(self, destination: Destination) -> NotLocated:
        found = self.find(destination)
        assert isinstance(found, NotLocated), found
        return found
