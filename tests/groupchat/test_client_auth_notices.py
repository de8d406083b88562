"""What a person with the emulated client is told when a sign-in does not last, and when messages were not heard."""

from types import SimpleNamespace

import pytest

from sipgw.events import Notice
from sipgw.options import ClientOptions
from sipgw.registry import Server
from sipgw.server.chat_client import ClientError, GroupChatClient

OPTIONS = ClientOptions("sip:alice@x.test", Server("TCP", "127.0.0.1", 9), "sip:ocschat@x.test", timeout=0.01)


def client() -> tuple[GroupChatClient, list[str]]:
    complaints: list[str] = []
    return GroupChatClient(OPTIONS, complain=complaints.append), complaints


def tell(one: GroupChatClient, kind: str, **fields: object) -> None:
    one._notice(Notice(kind, fields))


async def test_each_reason_for_dropping_is_told_once() -> None:
    one, complaints = client()
    for number in range(100):
        tell(one, "dropped", what=f"INFO sip:a ({number} INFO): not signed")
    tell(one, "dropped", what="INFO sip:a (1 INFO): wrongly signed")
    assert complaints == [
        "a message of the server's was dropped: INFO sip:a (0 INFO): not signed",
        "a message of the server's was dropped: INFO sip:a (1 INFO): wrongly signed",
    ]


async def test_who_waits_in_vain_is_told_what_was_dropped() -> None:
    one, _ = client()
    with pytest.raises(ClientError, match=r"within 0.01 s$"):
        await one.expect("hello")
    for _ in range(3):
        tell(one, "dropped", what="INFO sip:a (1 INFO): not signed")
    with pytest.raises(ClientError, match=r"within 0.01 s; messages of the server's were dropped: 3 not signed$"):
        await one.expect("hello")


async def test_a_sign_in_that_is_refused_later_is_told_and_not_tried_soon() -> None:
    one, complaints = client()
    tell(one, "not refreshed", reason="403 Forbidden", refused=True)
    assert complaints == ["no longer signed in: 403 Forbidden"]
    assert one._refresher is None


async def test_each_failure_to_come_back_waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    one, complaints = client()
    waits: list[float] = []
    monkeypatch.setattr(one, "_schedule_refresh", waits.append)
    tell(one, "disconnected", reason="reset")
    for _ in range(8):
        tell(one, "not refreshed", reason="connection refused", refused=False)
    tell(one, "refreshed")
    tell(one, "disconnected", reason="reset")
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 0.25]
    assert complaints == []


async def test_a_pool_that_does_not_answer_a_bye_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = client()
    done: list[str] = []

    def act(action: str) -> None:
        done.append(action)
        if action == "sign out":
            tell(one, "signed out")

    monkeypatch.setattr(one, "_client", SimpleNamespace(hang_up="hang up", sign_out="sign out"), raising=False)
    monkeypatch.setattr(one, "_act", act)
    await one.sign_out()
    assert done == ["hang up", "sign out"]


async def test_one_that_was_not_started_has_nothing_to_leave() -> None:
    one, _ = client()
    await one.leave()
