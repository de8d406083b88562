"""Two emulated clients that talk to each other through the gateway: whether Persistent Chat works, from end to end."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from sipgw.options import ClientOptions
from sipgw.registry import Server
from sipgw.server.chat_client import ClientError, GroupChatClient

REFUSED = "Connection refused"
TIMEOUT = 15.0  # seconds for each answer


@dataclass(frozen=True)
class Transaction:
    """Who talks to whom, through which server, by way of which contact object, in which room ("" for the first).

    `logins` has account name and password of whom the gateway challenges.
    """

    server: Server
    contact_object: str
    sender: str
    receiver: str
    room: str = ""
    ca: Path | None = None
    timeout: float = TIMEOUT
    logins: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)


@dataclass
class Outcome:
    """`latency` is the time from a line's being said until the other has heard it, in seconds. Of a failure, `step` is
    what was being done and `error` what went wrong."""

    latency: float = 0.0
    step: str = ""
    error: str = ""
    room: str = ""
    steps: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.error


async def run_transaction(wanted: Transaction) -> Outcome:
    """Sign both in, join them, let each hear the other, sign them out. Never raises for what goes wrong on the way."""
    outcome = Outcome()
    sender, receiver = (GroupChatClient(_options(wanted, user)) for user in (wanted.sender, wanted.receiver))
    try:
        await _converse(wanted, sender, receiver, outcome)
    except (ClientError, OSError) as error:
        outcome.step, outcome.error = outcome.steps[-1], str(error)
        if len(outcome.steps) == 1 and REFUSED in outcome.error:
            outcome.error = f"no gateway runs at {wanted.server}: {outcome.error}"
    finally:
        for client in (sender, receiver):
            await client.leave()
    return outcome


async def _converse(wanted: Transaction, sender: GroupChatClient, receiver: GroupChatClient, outcome: Outcome) -> None:
    for client, user in ((sender, wanted.sender), (receiver, wanted.receiver)):
        outcome.steps.append(f"signing in {user} and finding {wanted.contact_object}")
        await client.start()
    outcome.steps.append("listing the rooms")
    rooms = await sender.find_rooms()
    outcome.room = wanted.room or next(iter(rooms), "")
    if not outcome.room:
        raise ClientError("the pool has no room that both could meet in")
    for client, user in ((sender, wanted.sender), (receiver, wanted.receiver)):
        outcome.steps.append(f"joining {user} to {outcome.room}")
        await client.join(outcome.room)
    outcome.latency = await _line(wanted, sender, receiver, outcome)
    await _line(_other_way_round(wanted), receiver, sender, outcome)
    for client, user in ((sender, wanted.sender), (receiver, wanted.receiver)):
        outcome.steps.append(f"signing out {user}")
        await client.sign_out()


def _other_way_round(wanted: Transaction) -> Transaction:
    return replace(wanted, sender=wanted.receiver, receiver=wanted.sender)


async def _line(wanted: Transaction, says: GroupChatClient, hears: GroupChatClient, outcome: Outcome) -> float:
    outcome.steps.append(f"a line from {wanted.sender} to {wanted.receiver}")
    text = f"sipgw synthetic transaction {uuid4()}"
    began = time.monotonic()
    heard = asyncio.ensure_future(hears.expect(text, wanted.sender))
    try:
        await says.say(outcome.room, text)
        await heard
    finally:
        heard.cancel()
        await asyncio.gather(heard, return_exceptions=True)
    return time.monotonic() - began


def _options(wanted: Transaction, user: str) -> ClientOptions:
    login, password = wanted.logins.get(user, ("", ""))
    return ClientOptions(
        user,
        wanted.server,
        wanted.contact_object,
        timeout=wanted.timeout,
        ca=wanted.ca,
        login=login,
        password=password,
    )
