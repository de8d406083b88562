"""Finds servers for destinations: answers from the cache, asks for what it lacks, each thing once at a time."""

from collections import Counter
from dataclasses import dataclass, field

from sipgw.locating.cache import Cache, CacheLimits
from sipgw.locating.destination import Destination
from sipgw.locating.plan import Plan, Reach, plan
from sipgw.locating.records import Answer, Question
from sipgw.locating.result import OVERLOADED, TOO_MUCH, Located, NotLocated

MAX_ASKED = 512  # questions under way
MAX_DESTINATIONS = 1000  # waited for, and likewise results kept
MAX_ROUNDS = 8  # of questions for one destination; a cache that is too small for it must not go on for ever
NEVER = float("inf")
RECHECK = 1.0  # seconds that a result resting on stale answers is kept; the newer ones end it sooner


@dataclass(slots=True)
class _Wait:
    lacking: set[Question] = field(default_factory=set)
    rounds: int = 0


class Locator:
    """RFC 3263 with a memory; no I/O.

    `find` gives the result or None; then `take_questions` has what to ask, and `answered` gets what came back and tells
    which destinations `find` can now answer. `take_questions` has to be called after every `find`, also after one that
    gave a result: that may have been a stale one, which is renewed while it serves. Each question that was taken has to
    be answered, by a TIMEOUT if by nothing else.
    """

    def __init__(self, reach: Reach | None = None, limits: CacheLimits | None = None) -> None:
        self.reach = reach or Reach()
        self.cache = Cache(limits or CacheLimits())
        self.counters: Counter[str] = Counter()
        self._results: dict[Destination, tuple[float, Located | NotLocated | None]] = {}
        self._waiting: dict[Destination, _Wait] = {}
        self._asked: dict[Question, dict[Destination, None]] = {}  # who waits; nobody where it is renewed
        self.questions: list[Question] = []

    def use(self, reach: Reach) -> None:
        """Look for other transports and families from now on."""
        if reach != self.reach:
            self.reach = reach
            self._results.clear()

    @property
    def under_way(self) -> int:
        """How many questions have been asked and not been answered."""
        return len(self._asked)

    def find(self, destination: Destination, now: float) -> Located | NotLocated | None:
        """The servers of a destination, or why there are none; None when that has to be asked for."""
        until, result = self._results.get(destination, (now, None))
        if now < until:
            return result
        if destination in self._waiting:
            return None
        return self._search(destination, _Wait(), now)

    def take_questions(self) -> list[Question]:
        """What is to be asked now; each question once until it is answered."""
        questions, self.questions = self.questions, []
        return questions

    def answered(self, answer: Answer, now: float) -> list[Destination]:
        """An answer has come. Returns the destinations that waited and have a result now."""
        waiting = self._asked.pop(answer.question, None)
        if waiting is None:
            return []  # never asked
        self.counters["dns_failures" if answer.unknown else "dns_answers"] += 1
        if not self.cache.store(answer, now):
            self.counters["dns_kept_stale"] += 1
        self._results.clear()  # whatever rests on it; they are few and soon made again
        return [destination for destination in waiting if self._progress(destination, answer.question, now)]

    def _progress(self, destination: Destination, answered: Question, now: float) -> bool:
        wait = self._waiting[destination]
        wait.lacking.discard(answered)
        if wait.lacking:
            return False
        del self._waiting[destination]
        return self._search(destination, wait, now) is not None

    def _search(self, destination: Destination, wait: _Wait, now: float) -> Located | NotLocated | None:
        """The result, after which nothing of the destination is waited for; None when it waits (again).

        Stale answers may lead to a server. That there is none is not said before they have been asked again.
        """
        seen = _Seen(self.cache, now)
        found = plan(destination, self.reach, seen.known)
        if isinstance(found.result, Located) or (found.result is not None and not seen.stale):
            self._renew(seen.stale)
            return self._keep(destination, found, min(seen.until, now + RECHECK) if seen.stale else seen.until)
        wait.rounds += 1
        wait.lacking = set(found.missing or seen.stale)
        if wait.rounds > MAX_ROUNDS or not self._room(wait.lacking):
            self.counters["dns_refused"] += 1
            busy = NotLocated(TOO_MUCH, OVERLOADED, f"{destination}: too many names are being looked up")
            return self._keep(destination, Plan(result=busy), now + RECHECK)
        self._waiting[destination] = wait
        for question in found.missing or seen.stale:
            self._ask(question)[destination] = None
        self._renew(seen.stale)
        return None

    def _room(self, wanted: set[Question]) -> bool:
        asked = len(self._asked) + sum(question not in self._asked for question in wanted)
        return asked <= MAX_ASKED and len(self._waiting) < MAX_DESTINATIONS

    def _renew(self, stale: list[Question]) -> None:
        """Ask again without anybody waiting. When there is no room for it now, there will be at the next use."""
        for question in stale:
            if len(self._asked) < MAX_ASKED:
                self._ask(question)

    def _ask(self, question: Question) -> dict[Destination, None]:
        """Who waits for the question, which is asked if it is not under way."""
        if question not in self._asked:
            self._asked[question] = {}
            self.questions.append(question)
            self.counters["dns_questions"] += 1
        return self._asked[question]

    def _keep(self, destination: Destination, found: Plan, until: float) -> Located | NotLocated | None:
        self.counters["dns_records_dropped"] += found.dropped
        if len(self._results) >= MAX_DESTINATIONS:
            self._results.clear()
        if until < NEVER:  # what rests on no answer is as soon found again
            self._results[destination] = (until, found.result)
        return found.result


class _Seen:
    """What a plan looks at: which answers were stale, and until when the others hold."""

    def __init__(self, cache: Cache, now: float) -> None:
        self._cache = cache
        self._now = now
        self._looked: dict[Question, Answer | None] = {}
        self.stale: list[Question] = []
        self.until = NEVER

    def known(self, question: Question) -> Answer | None:
        if question not in self._looked:
            self._looked[question] = self._look(question)
        return self._looked[question]

    def _look(self, question: Question) -> Answer | None:
        known = self._cache.look(question, self._now)
        if known is None:
            return None
        if known.fresh:
            self.until = min(self.until, known.until)
        else:
            self.stale.append(question)
        return known.answer
