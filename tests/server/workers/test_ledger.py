"""One order of changes for all workers, and what a worker that comes has to know."""

from array import array

from sipgw.core.location import ROW, Subscription
from sipgw.core.ownership import BUCKETS, first_cid
from sipgw.server.workers.ledger import Ledger
from sipgw.server.workers.wire import Change, FlowData

CIDS = [first_cid(number, 5) + 1 for number in range(3)]
SUBSCRIPTION = Subscription("ours", "theirs", best_effort=True)


def row(user: str, expires_at: float = 1000.0) -> tuple[object, ...]:
    values: dict[str, object] = dict.fromkeys(ROW, "")
    values |= {"aor": f"{user}@contoso.com", "contact": f"sip:{user}@h", "reg_id": 0, "expires_at": expires_at}
    return tuple(values[name] for name in ROW)


def key(user: str) -> tuple[object, ...]:
    return (f"{user}@contoso.com", f"sip:{user}@h", "", 0)


def change(user: str, cid: int = 0, seen: int = 0, expires_at: float = 1000.0) -> Change:
    return Change(1, 7, seen, [], [(row(user, expires_at), cid, SUBSCRIPTION)])


def flow(cid: int) -> FlowData:
    return FlowData("TCP", "127.0.0.1", 5070, "tcp:127.0.0.1:5060", cid, ())


def versions(ledger: Ledger) -> list[int]:
    return array("I", ledger.snapshot([]).versions).tolist()


def test_of_two_changes_planned_at_once_one_is_taken() -> None:
    ledger = Ledger()
    assert ledger.take(change("alice"))
    assert not ledger.take(change("alice"))
    assert not ledger.take(change("alice", seen=2)), "nobody can have seen what has not been"
    assert ledger.take(change("alice", seen=1))


def test_other_users_do_not_wait() -> None:
    ledger = Ledger()
    assert ledger.take(change("alice"))
    assert ledger.take(change("bob")._replace(bucket=8))


def test_what_is_taken_is_told_when_it_is_settled_whether_it_was_made_or_not() -> None:
    ledger = Ledger()
    for user, done in (("alice", True), ("bob", False)):
        seen = versions(ledger)[7]
        assert ledger.take(change(user, seen=seen))
        assert versions(ledger)[7] == seen
        ledger.settled(change(user, seen=seen), done=done)
    assert versions(ledger)[7] == 2 and sum(versions(ledger)) == 2
    assert len(versions(ledger)) == BUCKETS


def test_a_worker_that_comes_is_told_what_stands() -> None:
    ledger = Ledger()
    for cid in CIDS:
        ledger.opened(flow(cid))
    ledger.settled(change("alice", CIDS[0]), done=True)
    ledger.settled(change("bob", CIDS[1]), done=True)
    ledger.settled(change("carol"), done=True)
    ledger.settled(change("dave", CIDS[2]), done=False)
    ledger.signed(("127.0.0.1", 5070), 1)
    ledger.signed(("127.0.0.1", 5071), 0)
    ledger.gone(0)
    found = ledger.snapshot([1, 2])
    assert found.alive == (1, 2)
    assert found.flows == (flow(CIDS[1]), flow(CIDS[2]))
    assert found.signed == ((("127.0.0.1", 5070), 1),)
    assert (key("bob"), CIDS[1], SUBSCRIPTION) in found.homes
    assert {home[0] for home in found.homes} == {key("alice"), key("bob")}, "that alice's connection is gone is known"
    ledger.prune(0.0)
    assert [home[0] for home in ledger.snapshot([]).homes] == [key("bob")]


def test_homes_go_with_their_bindings() -> None:
    ledger = Ledger()
    ledger.opened(flow(CIDS[0]))
    ledger.settled(change("alice", CIDS[0]), done=True)
    ledger.settled(change("bob", CIDS[0], expires_at=2000.0), done=True)
    ledger.prune(1500.0)
    assert ledger.sizes() == {"connections": 1, "homes": 1}
    ledger.settled(Change(1, 7, 0, [key("bob")], []), done=True)
    assert ledger.sizes() == {"connections": 1, "homes": 0}
    ledger.settled(change("alice", CIDS[0]), done=True)
    ledger.settled(change("alice"), done=True)  # now by datagram
    assert ledger.sizes() == {"connections": 1, "homes": 0}
    ledger.lost(CIDS[0])
    assert ledger.sizes() == {"connections": 0, "homes": 0}


def test_who_signs_is_forgotten() -> None:
    ledger = Ledger()
    ledger.signed(("127.0.0.1", 5070), 1)
    ledger.signed(("127.0.0.1", 5070), -1)
    ledger.signed(("127.0.0.1", 5070), -1)
    assert ledger.snapshot([]).signed == ()
