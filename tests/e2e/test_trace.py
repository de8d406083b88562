"""`sipgw trace` beside a gateway that runs: ladders, following, JSON, files for Wireshark, HEP; no secret in any."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sipgw.events import Flow, Hop
from sipgw.management.trace_advice import REMEDIES
from sipgw.options import ClientOptions
from sipgw.registry import Server
from sipgw.server.chat_client import GroupChatClient
from sipgw.server.running import read_running
from tests.e2e.faults.site import ALONE, PAIR, change, emulated_pool, pool, until, write
from tests.e2e.programs import Program, sipgw
from tests.e2e.raw_client import RawClient
from tests.e2e.sign_in.site import PASSWORD, write_users
from tests.e2e.test_explain import output_of
from tests.e2e.test_trace_failures import down_at
from tests.observability.capture import dissected, text_of
from tests.observability.sngrep import Sngrep
from tests.ports import free_port

ALICE = "sip:alice@contoso.com"
SAID = "the door code is 1234"
_SECRET = re.compile(rb'\b(?:gssapi-data|response|rspauth|nonce|cnonce)="?([^",\s]{8,})')


@dataclass
class Site:
    """A gateway that works, `alone` a pool that does not. `secrets` are those that have been on the wire."""

    gateway: Program
    config: Path
    ports: dict[str, int]
    secrets: set[bytes] = field(default_factory=set)

    def wire(self, direction: str, data: bytes, peer: Flow | Hop) -> None:
        self.secrets |= set(_SECRET.findall(data))

    async def chat(self, login: str = "") -> None:
        """Sign in, find the chat service, say something, sign out."""
        server = Server("TCP", "127.0.0.1", self.ports["tcp"])
        options = ClientOptions(ALICE, server, PAIR, timeout=10.0, login=login, password=PASSWORD if login else "")
        client = GroupChatClient(options, trace=self.wire)
        try:
            await client.start()
            await client.join("Lobby")
            await client.say("Lobby", SAID)
            await client.expect(SAID)
            await client.sign_out()
        finally:
            await client.close()

    async def trace(self, *arguments: str | Path) -> list[str]:
        status, lines = await output_of("trace", *arguments, "--config", self.config)
        assert status == 0, lines
        return lines


@asynccontextmanager
async def site(folder: Path, more: str = "", admin: str = "") -> AsyncIterator[Site]:
    admin = admin or f"127.0.0.1:{free_port()}"
    async with emulated_pool() as works:
        config = write(
            folder,
            pool("pc.contoso.com", [works], PAIR),
            pool("other.contoso.com", ["tcp:127.0.0.1:9"], ALONE),
            f'[admin]\nlisten = "{admin}"\n{more}',
            listen="'tcp:127.0.0.1:0', 'udp:127.0.0.1:0'",
        )
        async with sipgw("serve", "--config", config) as gateway:
            yield Site(gateway, config, await gateway.ports())


async def test_ladders(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.chat()
        lines = await here.trace("--endpoint", "ocschat@contoso.com")
        call_id = lines[0].rpartition("[")[2].removesuffix("]")
        assert re.fullmatch(r"\d{4}-\S+ \S+  INVITE sip:ocschat@contoso.com from alice@contoso.com  \[\w+\]", lines[0])
        assert lines[1] == "  200 OK"
        text = "\n".join(lines)
        (client,) = re.findall(r"ms (tcp:127.0.0.1:\d+) +sipgw +tcp:127.0.0.1:\d+\n", text)
        steps = re.findall(r"(?:──|◄─) (.+?) [─►│]|├ (.*)", text)
        assert [arrow for arrow, _ in steps if arrow][:6] == [
            "INVITE ocschat",
            "100 Trying (INVITE)",
            "INVITE ocschat",
            "200 OK (INVITE)",
            "200 OK (INVITE)",
            "ACK",
        ]
        assert "├ matched endpoint sip:ocschat@contoso.com;" in text and "├ inside its dialog, by its route" in text
        assert "INFO cmd:requri" in text
        assert await here.trace("--call-id", call_id) == lines
        everything = "\n".join(await here.trace("--user", "Alice@contoso.com", "--messages"))
        assert "REGISTER sip:contoso.com SIP/2.0\n" in everything and f"from {client}, connection " in everything
        assert SAID not in everything, "what people say is theirs"


async def test_lines_and_json(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.chat()
        listed = await here.trace("--list", "--last", "100")
        assert sum(" INVITE " in line for line in listed) == 2 and all("  200 OK  [" in line for line in listed)
        assert len(await here.trace("--list", "--last", "2")) == 2
        assert await here.trace("--list", "--since", "1d", "--last", "100") == listed
        found = json.loads("\n".join(await here.trace("--json")))
        assert len(found["calls"]) == len(listed)
        (register,) = [call for call in found["calls"] if call["method"] == "REGISTER"]
        assert (register["status"], register["failure"], register["sender"]) == (200, "", "alice@contoso.com")
        steps = register["steps"]
        assert [step["kind"] for step in steps[:1]] == ["in"] and {step["kind"] for step in steps} == {
            "in", "out", "decision"
        }  # fmt: skip
        signed_in = next(step for step in steps if step["kind"] == "decision" and "signed in" in step["label"])
        assert signed_in["fields"]["user"] == "alice@contoso.com"
        for asked in (("--failed",), ("--user", "nobody@contoso.com"), ("--call-id", "nope"), ("--endpoint", "x")):
            (line,) = await here.trace(*asked)
            assert line.startswith(f"no call matches {' '.join(asked)}; kept are "), line
            assert "from alice@contoso.com to " in line and "ocschat@contoso.com" in line, line
            assert line.endswith("; sipgw trace --list has them")


async def test_what_people_say_where_that_is_wanted(tmp_path: Path) -> None:
    async with site(tmp_path, "[trace]\nbodies = true") as here:
        await here.chat()
        assert any(SAID in line for line in await here.trace("--messages"))


# following


async def test_following(tmp_path: Path) -> None:
    """What was there before is not shown, what comes is, and of a call that goes on only what is new."""
    async with site(tmp_path) as here:
        old, new = RawClient("old@contoso.com"), RawClient("new@contoso.com")
        for client in (old, new):
            await client.connect(here.ports["tcp"])
        assert (await old.register())[0] == 200
        async with sipgw("trace", "--follow", "--config", here.config) as following:
            await follows(here, following)
            seen = len(following.log)
            assert (await new.register())[0] == 200
            await line_after(following, seen, "REGISTER sip:contoso.com from new@contoso.com")
            await line_after(following, seen, "200 OK (REGISTER)")
            seen = len(following.log)
            assert (await new.register())[0] == 200
            await line_after(following, seen, "200 OK (REGISTER)")
            again = following.log[seen:]
            assert sum("── REGISTER " in line for line in again) == 1, again
            assert not any("old@contoso.com" in line for line in following.log)
            following.process.send_signal(2)
            assert await following.process.wait() == 130
        await old.close()
        await new.close()


async def follows(here: Site, following: Program) -> None:
    """Wait until it has begun: until it shows what happens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        number = 0
        while not any("probe@contoso.com" in line for line in following.log):
            number += 1
            lines = ["INVITE sip:probe@contoso.com SIP/2.0", f"Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{number}"]
            lines += ["From: <sip:probe@contoso.com>;tag=1", "To: <sip:probe@contoso.com>", f"Call-ID: probe{number}"]
            lines += ["CSeq: 1 INVITE", "Max-Forwards: 70", "Contact: <sip:a@127.0.0.1:9>", "Content-Length: 0"]
            probe.sendto(("\r\n".join(lines) + "\r\n\r\n").encode(), ("127.0.0.1", here.ports["udp"]))
            await asyncio.sleep(0.2)


async def line_after(program: Program, seen: int, text: str) -> None:
    await until(lambda: any(text in line for line in program.log[seen:]))


async def test_following_ends_with_the_gateway(tmp_path: Path) -> None:
    """As JSON, a line for each change."""
    async with site(tmp_path) as here, sipgw("trace", "--follow", "--json", "--config", here.config) as following:
        await follows(here, following)
        assert all(json.loads(line)["call_id"].startswith("probe") for line in following.log)
        assert await here.gateway.stop() == 0
        await until(lambda: following.process.returncode is not None)
        await following.ended()
        assert following.process.returncode == 1 and following.log[-1].startswith("sipgw: the gateway at http://")


# what is said when there is nothing to show


async def test_no_gateway_and_nothing_kept(tmp_path: Path) -> None:
    async with site(tmp_path, "[trace]\nenabled = false") as here:
        await here.chat()
        assert await here.trace() == ["nothing is kept: trace.enabled is false"]
        change(here.config, "enabled = false", "enabled = true")
        here.gateway.process.send_signal(1)
        await here.gateway.line("reloaded")
        assert await here.trace() == ["no call has come yet"]
        await here.chat()
        assert len(await here.trace("--list")) > 2
        config = here.config
    status, lines = await output_of("trace", "--config", config)
    assert status == 1 and len(lines) == 1
    assert re.fullmatch(r"sipgw: no gateway that runs on \S+/gateway.db answers at 127.0.0.1:\d+; is it .*", lines[0])


async def test_a_gateway_whose_api_is_somewhere_else(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await until(lambda: read_running(tmp_path / "gateway.db") is not None)
        text = here.config.read_text("utf-8")
        here.config.write_text(re.sub(r"(?m)^listen = .127.0.0.1:\d+.$", 'listen = "127.0.0.1:0"', text), "utf-8")
        status, (line,) = await output_of("trace", "--config", here.config)
        pid = here.gateway.process.pid
        assert status == 1 and line.startswith(
            f"sipgw: the gateway (pid {pid}) that runs on {tmp_path / 'gateway.db'} does "
        )


async def test_probes_are_shown_when_they_are_wanted(tmp_path: Path) -> None:
    """Those of the pool that is not there as failures; calls are not lost among them."""
    async with site(tmp_path) as here:
        change(here.config, "[health]\ninterval = 0", "[health]\ninterval = 0.1")
        here.gateway.process.send_signal(1)
        await here.gateway.line("reloaded")
        await until(lambda: down_at(tmp_path / "gateway.db") == 1)
        assert await here.trace() == ["no call has come yet, only probes of pools, which --probes shows"]
        lines = await here.trace("--probes", "--list", "--last", "40")
        assert all(" OPTIONS sip:127.0.0.1:" in line for line in lines)
        assert sum("under way" in line for line in lines) <= 2, "what has just been sent to each of two servers"
        assert any(" 200 OK " in line for line in lines)
        refused = await here.trace("--probes", "--failed")
        assert "  FAILED  probe failed: Connection refused" in refused
        assert f"  to do   {REMEDIES[1011]}" in refused
        await here.chat()
        lines = await here.trace("--list", "--last", "40")
        assert lines and not any(" OPTIONS " in line for line in lines)
        change(here.config, "[health]\ninterval = 0.1", "[health]\ninterval = 0")  # or it has gone when it is asked for
        here.gateway.process.send_signal(1)
        await until(lambda: sum("reloaded" in line for line in here.gateway.log) == 2)
        call_id = (await here.trace("--probes", "--list", "--last", "1"))[0].rpartition("[")[2].rstrip("]")
        assert any("OPTIONS" in line for line in await here.trace("--call-id", call_id)), "by its name it is shown"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--since", "soon"], '"soon" is no span of time; write one like 90s, 10m, 2h or 1d'),
        (["--follow", "--pcap", "x"], "--follow has no end, and a file for Wireshark needs one"),
        (["--last", "0"], "0 is not in the range x>=1"),
    ],
)
async def test_mistakes(tmp_path: Path, arguments: list[str], text: str) -> None:
    status, lines = await output_of("trace", *arguments)
    assert status == 2 and len(lines) == 1 and text in lines[0]


# what leaves it


@pytest.mark.peer("tshark", "tshark")
async def test_a_file_for_wireshark(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.chat()
        path = tmp_path / "calls.pcapng"
        (line,) = await here.trace("--pcap", path)
        found = await asyncio.to_thread(dissected, path)
        assert (
            line
            == f"{len(found)} messages of {len(await here.trace('--list', '--last', '99'))} calls written to {path}"
        )
        assert all("sip" in packet for packet in found)
        invites = [one["sip"]["sip.Request-Line_tree"]["sip.r-uri"] for one in found if is_invite(one)]
        assert invites[:2] == ["sip:ocschat@contoso.com"] * 2
        port = str(here.ports["tcp"])
        assert found[0]["tcp"]["tcp.dstport"] == port and found[1]["tcp"]["tcp.srcport"] == port
        assert "matched endpoint sip:ocschat@contoso.com" in await asyncio.to_thread(text_of, path)
        assert SAID.encode() not in path.read_bytes()


def is_invite(packet: dict[str, dict[str, dict[str, str]]]) -> bool:
    return packet["sip"].get("sip.Request-Line_tree", {}).get("sip.Method") == "INVITE"


@pytest.mark.peer("sngrep", "sngrep")
@pytest.mark.peer("tshark", "tshark")
@pytest.mark.parametrize("scheme", ["ntlm", "digest"])
async def test_no_secret_gets_out(tmp_path: Path, scheme: str) -> None:
    """A whole session that signs in, looked at in every way there is; sngrep is on the far end of HEP."""
    write_users(tmp_path)
    collector = await asyncio.to_thread(Sngrep, tmp_path / "hep.pcap")
    more = f'[auth]\nschemes = ["{scheme}"]\n[trace]\nhep = "udp:127.0.0.1:{collector.port}"\nbodies = true'
    try:
        async with site(tmp_path, f'{more}\n[log]\nlevel = "debug"') as here:
            await here.chat("alice")
            assert len(here.secrets) > 2
            shown = ["\n".join(await here.trace(*way, "--last", "99")) for way in (["--messages"], ["--json"])]
            await here.trace("--pcap", tmp_path / "calls.pcapng")
            await asyncio.to_thread(collector.has, 4)  # registration, subscription, two dialogs
            assert await here.gateway.stop() == 0
    finally:
        await asyncio.to_thread(collector.stop)
    files = [(tmp_path / name).read_bytes() for name in ("calls.pcapng", "hep.pcap")]
    for seen in [*files, *(text.encode() for text in shown), "\n".join(here.gateway.log).encode()]:
        assert [secret for secret in here.secrets if secret in seen] == []
        assert PASSWORD.encode() not in seen
    assert all(SAID.encode() in data for data in files), "they hold the messages themselves"
    by_sngrep = await asyncio.to_thread(dissected, tmp_path / "hep.pcap")
    assert sum(is_invite(packet) for packet in by_sngrep) == 4, "two calls, as they came and as they went on"
