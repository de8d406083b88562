"""Whatever is registered at whichever worker, and however late they hear of each other: in the end all know the same,
it is what the store holds, and it is what one registrar could have come to."""

import asyncio
from collections import deque
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from sipgw.core.location import KEY, ROW
from sipgw.core.ownership import STALE, bucket_of
from sipgw.core.registrar import RegistrarSettings
from sipgw.events import Persist
from sipgw.server.shell import Shell
from sipgw.server.workers.ledger import Ledger
from sipgw.server.workers.replica import Replica
from sipgw.server.workers.wire import Change, Changed, Row, put_of
from tests.harness import Party, World

WORKERS, USERS, MOST = 3, 2, 2
WALL = 5000.0  # what the wall's clock is ahead
_AT = [ROW.index(name) for name in KEY]

register = st.tuples(
    st.just("register"),
    st.integers(0, WORKERS - 1),
    st.integers(0, USERS - 1),
    st.integers(0, 3),  # which endpoint, and its Call-ID
    st.integers(1, 6),  # CSeq
    st.sampled_from([0, 600, 600]),
)
step = st.one_of(
    register,
    register,
    st.tuples(st.just("disk"), st.booleans()),
    st.tuples(st.just("hear"), st.integers(0, WORKERS - 1)),
)


class Several:
    """Worlds that share their registrations: what they tell and hear waits until a step lets it through."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.stored: dict[Row, Row] = {}
        self.disk: deque[tuple[int, Change, int, bool]] = deque()
        self.inboxes: list[deque[Any]] = [deque() for _ in range(WORKERS)]
        self.worlds = [World(registrar=RegistrarSettings(max_bindings_per_user=MOST)) for _ in range(WORKERS)]
        self.replicas = [self._replica(number, world) for number, world in enumerate(self.worlds)]
        self.phones = [self._phones(number, world) for number, world in enumerate(self.worlds)]

    def _replica(self, number: int, world: World) -> Replica:
        world.store = "holds"
        replica = Replica(number, world.engine, cast(Shell, None), dict, lambda: WALL)
        world.engine.share(replica.sharing, [])
        return replica

    @staticmethod
    def _phones(number: int, world: World) -> list[list[Party]]:
        return [
            [world.phone(name, "UDP", f"198.51.{number}.{at}", instance=f"i{at}") for at in range(4)]
            for name in ("alice", "bob")
        ]

    def play(self, what: tuple[Any, ...]) -> None:
        if what[0] == "register":
            _, worker, user, endpoint, cseq, expires = what
            phone = self.phones[worker][user][endpoint]
            phone >> phone.register(call_id=f"c{endpoint}", cseq=cseq, expires=expires, contact=f"sip:{endpoint}@h")
            self._tell(worker)
        elif what[0] == "disk" and self.disk:
            self._settle(fails=not what[1])
        elif what[0] == "hear" and self.inboxes[what[1]]:
            self._hear(what[1])

    def _tell(self, worker: int) -> None:
        """What a worker wants to have stored goes to the ledger."""
        world, replica = self.worlds[worker], self.replicas[worker]
        held, world.held = world.held, []
        for persist in held:
            assert isinstance(persist, Persist)
            bucket = bucket_of(persist.aor)
            puts = [put_of(binding, WALL) for binding in persist.added]
            change = Change(persist.key, bucket, replica.sharing.versions[bucket], persist.deletes, puts)
            self.disk.append((worker, change, persist.key, self.ledger.take(change)))

    def _settle(self, fails: bool) -> None:
        worker, change, key, taken = self.disk.popleft()
        if not taken:
            self.inboxes[worker].append((key, change.bucket, STALE))
            return
        self.ledger.settled(change, done=not fails)
        for other in range(WORKERS):
            if other != worker or fails:
                told = Changed(change.bucket, change.deletes, change.puts)
                self.inboxes[other].append(told if not fails else change.bucket)
        self.inboxes[worker].append((key, change.bucket, "disk full" if fails else None))
        if not fails:
            for gone in change.deletes:
                self.stored.pop(tuple(gone), None)
            for row, _, _ in change.puts:
                self.stored[tuple(row[at] for at in _AT)] = row

    def _hear(self, worker: int) -> None:
        said, replica, world = self.inboxes[worker].popleft(), self.replicas[worker], self.worlds[worker]
        if isinstance(said, Changed):
            replica.changed(said)
        elif isinstance(said, int):
            replica.sharing.versions[said] += 1
        else:
            key, bucket, error = said
            replica.sharing.versions[bucket] += error is None
            world.perform(world.engine.persisted(key, error, world.now))
            self._tell(worker)

    def end(self) -> None:
        """Let everything through."""
        while self.disk or any(self.inboxes):
            while self.disk:
                self._settle(fails=False)
            for worker in range(WORKERS):
                while self.inboxes[worker]:
                    self._hear(worker)

    def known(self, worker: int) -> dict[Row, Row]:
        at = ROW.index("expires_at")
        rows = [binding.row() for binding in self.worlds[worker].engine.location]
        return {tuple(row[i] for i in _AT): (*row[:at], row[at] + WALL, *row[at + 1 :]) for row in rows}


async def play(story: list[tuple[Any, ...]]) -> None:
    several = Several()
    for what in story:
        several.play(what)
        for user in ("alice", "bob"):
            assert sum(key[0].startswith(user) for key in several.stored) <= MOST
    several.end()
    for worker in range(WORKERS):
        assert several.known(worker) == several.stored
        assert not several.worlds[worker].held
        assert several.worlds[worker].engine.sizes().parked == 0
    versions = [replica.sharing.versions for replica in several.replicas]
    assert versions[0] == versions[1] == versions[2]


@settings(deadline=None)
@given(st.lists(step, max_size=30))
def test_all_come_to_the_same(story: list[tuple[Any, ...]]) -> None:
    asyncio.run(play(story))


async def test_of_two_registers_the_later_one_counts_wherever_it_came() -> None:
    """Both are planned before either is settled."""
    for first, second in ((0, 1), (1, 0)):
        several = Several()
        several.play(("register", first, 0, 1, 5, 600))
        several.play(("register", second, 0, 1, 6, 600))
        several.end()
        (row,) = several.stored.values()
        assert row[ROW.index("cseq")] == 6
        several = Several()
        several.play(("register", first, 0, 1, 6, 600))
        several.play(("register", second, 0, 1, 5, 600))
        several.end()
        (row,) = several.stored.values()
        assert row[ROW.index("cseq")] == 6
        several.phones[second][0][1] << 500
