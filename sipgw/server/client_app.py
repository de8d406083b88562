"""`sipgw client`: one-shot for scripts, a small chat program for people."""

import asyncio
import sys

from sipgw.groupchat import xccos
from sipgw.options import ClientOptions
from sipgw.server.chat_client import ClientError, GroupChatClient

HELP = "/rooms  /join NAME  /who  /history  /part  /quit; anything else is said in the room that you joined last"


async def run_client(options: ClientOptions) -> int:
    """Do what the options say. Returns 0 when all of it came about, else 1 with the reason on standard error."""
    client = GroupChatClient(options, _show, complain=_complain)
    try:
        async with asyncio.timeout(options.timeout if _is_one_shot(options) else None):
            await client.start()
            if _is_one_shot(options):
                await _one_shot(client, options)
            else:
                await _interactive(client, options)
            await client.sign_out()
    except TimeoutError:  # an OSError too
        print(f"sipgw client: not done within {options.timeout:g} s", file=sys.stderr)
        return 1
    except (ClientError, OSError) as error:
        print(f"sipgw client: {_plain(str(error))}", file=sys.stderr)
        return 1
    finally:
        await client.leave()
    return 0


def _is_one_shot(options: ClientOptions) -> bool:
    return bool(options.join or options.list_rooms or options.history or options.say or options.expect)


async def _one_shot(client: GroupChatClient, options: ClientOptions) -> None:
    if options.list_rooms:
        for name, uri in (await client.find_rooms()).items():
            print(f"{name}\t{uri}")
    for room in options.join:
        print(f"joined {room}: {', '.join(await client.join(room))}")
        if options.history:
            for message in await client.history(room):
                _show(message)
    if (options.say or options.history) and not options.join:
        raise ClientError("--say and --history need --join NAME")
    for text in options.say:
        for room in options.join:
            await client.say(room, text)
    for text in options.expect:
        await client.expect(text)


def _show(message: xccos.GroupChat) -> None:
    """One line of chat."""
    print(f"{message.ts[11:19]} {message.display or message.author}: {_plain(message.text)}", flush=True)


def _complain(text: str) -> None:
    print(f"! {_plain(text)}", file=sys.stderr, flush=True)


def _plain(text: str) -> str:
    """A terminal must not be steered by what somebody says."""
    return "".join(char if char.isprintable() else " " for char in text)


async def _interactive(client: GroupChatClient, options: ClientOptions) -> None:
    print(f"signed in as {options.user}. {HELP}")
    for name in await client.find_rooms():
        print(f"  room: {name}")
    room = ""
    while True:
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line or line.strip() == "/quit":
            return
        try:
            room = await _obey(client, line.rstrip("\n"), room)
        except ClientError as error:
            print(f"! {error}")


async def _obey(client: GroupChatClient, line: str, room: str) -> str:
    """Carry out one line of input. Returns the room that is current afterwards."""
    word, _, rest = line.partition(" ")
    if word == "/rooms":
        print("\n".join(f"  room: {name}" for name in await client.find_rooms()))
    elif word == "/join" and rest:
        print("here:", ", ".join(await client.join(rest)))
        return rest
    elif word.startswith("/") and word not in ("/who", "/history", "/part"):
        print(HELP)
    elif not room and line:
        print("join a room first: /join NAME")
    elif word == "/who":
        print("here:", ", ".join(await client.join(room)))
    elif word == "/history":
        for message in await client.history(room):
            _show(message)
    elif word == "/part":
        await client.part(room)
        return ""
    elif line:
        await client.say(room, line)
    return room
