"""Whatever is asked, answered, lost and delayed in whatever order: nobody waits for ever, nothing is asked twice."""

from hypothesis import given
from hypothesis import strategies as st

from sipgw.locating import CacheLimits, Destination, Locator, NotLocated, Question, of_pool, of_server
from sipgw.locating.records import SERVER_FAILURE, TIMEOUT
from sipgw.locating.result import TOO_MUCH
from tests.locating.zone import Zone

PLACES: list[Destination] = [
    of_pool("a.test"),
    of_pool("b.test"),
    of_pool("gone.test"),
    of_server("TCP", "s1.test", 5060, ""),
    of_server("TLS", "s1.test", 0, "a.test"),
]


def zone() -> Zone:
    made = Zone(ttl=20, negative_ttl=10).a("a.test", "192.0.2.1", "2001:db8::1").a("s1.test", "192.0.2.2")
    made.srv("_sips._tcp.b.test", (0, 0, 5041, "s1.test"), (1, 0, 5041, "s2.test"))
    return made.naptr("b.test", (0, 0, "s", "SIPS+D2T", "_sips._tcp.b.test"))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("find"), st.integers(0, len(PLACES) - 1)),
        st.tuples(st.just("answer"), st.integers(0, 50)),
        st.tuples(st.just("lose"), st.integers(0, 50)),
        st.tuples(st.just("wait"), st.integers(1, 400)),
    ),
    max_size=60,
)


@given(steps, st.sampled_from([2, 8, 4096]))
def test_any_order_of_events(events: list[tuple[str, int]], size: int) -> None:
    run = _Run(size)
    for what, number in events:
        getattr(run, what)(number)
    while run.out:
        run.answer(0)
    assert run.locator.under_way == 0
    assert run.waiting == set(), "all that waited have been told"
    assert len(run.locator.cache) <= size


class _Run:
    def __init__(self, size: int) -> None:
        self.zone = zone()
        self.locator = Locator(limits=CacheLimits(size=size))
        self.size = size
        self.now = 0.0
        self.out: list[Question] = []
        self.waiting: set[Destination] = set()

    def find(self, number: int) -> None:
        found = self.locator.find(PLACES[number], self.now)
        if found is None:
            self.waiting.add(PLACES[number])
        else:
            assert PLACES[number] not in self.waiting
        self._take()

    def answer(self, number: int) -> None:
        self._give(number)

    def lose(self, number: int) -> None:
        self._give(number, TIMEOUT if number % 2 else SERVER_FAILURE)

    def wait(self, seconds: int) -> None:
        self.now += seconds

    def _give(self, number: int, failure: str = "") -> None:
        if not self.out:
            return
        question = self.out.pop(number % len(self.out))
        self.zone.failures = {question: failure} if failure else {}
        for destination in self.locator.answered(self.zone.answer(question), self.now):
            self.waiting.remove(destination)
            found = self.locator.find(destination, self.now)
            assert found is not None, "it was said to be there"
            assert not isinstance(found, NotLocated) or found.kind != TOO_MUCH or self.size < 4096
        self._take()

    def _take(self) -> None:
        for question in self.locator.take_questions():
            assert question not in self.out, "asked twice"
            self.out.append(question)
