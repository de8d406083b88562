"""What an agent on the network writes down of itself."""

from typing import NamedTuple

NONE = 0  # the status of an outcome that is no response


class Outcome(NamedTuple):
    """What the user of a request was told in the end: a status, or NONE."""

    status: int
    when: float


class Heard(NamedTuple):
    """A request that came up to a user: `what` begins with method, Call-ID and CSeq."""

    what: tuple[str, ...]
    branch: str
    when: float

    @property
    def request(self) -> tuple[str, ...]:
        """What all copies have in common, whoever has forwarded them."""
        return self.what[:3]


class Record:
    """`outcomes` has, by label, every end of each request: one, if all is well. `branches` tells whose they are."""

    def __init__(self) -> None:
        self.outcomes: dict[str, list[Outcome]] = {}
        self.branches: dict[str, tuple[str, str]] = {}
        self.heard: list[Heard] = []

    def asks(self, label: str, branch: str = "", method: str = "") -> None:
        """A request goes out; `branch` is "" where the user does not know it."""
        self.outcomes[label] = []
        self.branches[label] = branch, method

    def ends(self, label: str, status: int, now: float) -> None:
        self.outcomes[label].append(Outcome(status, now))

    def ends_of(self, method: str) -> list[Outcome]:
        """How the requests of a method ended."""
        return [one for label, ends in self.outcomes.items() if label.split()[2] == method for one in ends]

    def of(self, method: str) -> list[int]:
        return [one.status for one in self.ends_of(method)]
