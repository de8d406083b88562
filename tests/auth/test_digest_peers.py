"""Digest with clients that others wrote: what they make of our challenges, and we of their credentials."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import cast

import pytest

from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.answer import Answer
from sipgw.auth.digest_gate import DigestGate
from sipgw.auth.digest_server import DigestServer, DigestSettings
from sipgw.auth.lockout import Lockout, LockoutSettings
from sipgw.auth.password import ha1_of
from sipgw.message import Request, parse_message
from sipgw.message.build import response_to
from tests.ports import free_port

REALM, PASSWORD = "contoso.com", "secret"
ALICE = Account("sip:alice@contoso.com", ("alice",), ha1=ha1_of("alice", REALM, PASSWORD))
SCENARIO = Path(__file__).parent / "sipp" / "register.xml"


class Registrar(asyncio.DatagramProtocol):
    """Says yes to everybody whom the gate lets in."""

    def __init__(self, algorithms: tuple[str, ...]) -> None:
        self.counters: Counter[str] = Counter()
        server = DigestServer(DigestSettings(REALM, algorithms), AccountTable([ALICE]), Random(1), self.counters)
        self._gate = DigestGate(server, Lockout(LockoutSettings(), self.counters))
        self.taken: list[str] = []  # the algorithms that clients chose
        self.accepted, self.refused = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        request = parse_message(data)
        if not isinstance(request, Request) or request.method == "ACK":
            return
        came = self._gate.judge(request, address[0], asyncio.get_running_loop().time())
        status, headers = (came.status, came.headers) if isinstance(came, Answer) else (200, ())
        if status == 200:
            line = request.first("authorization") or request.first("proxy-authorization") or ""
            self.taken.append(line.partition("algorithm=")[2].partition(",")[0].strip('" '))
            self.accepted.set()
        elif isinstance(came, Answer) and came.failed:
            self.refused.set()
        answer = response_to(request, status, to_tag="gw", headers=[*headers, f"Contact: {request.first('contact')}"])
        self._transport.sendto(answer.encode(), address)


@asynccontextmanager
async def registrar(*algorithms: str) -> AsyncIterator[tuple[Registrar, int]]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Registrar(algorithms), ("127.0.0.1", 0)
    )
    try:
        yield protocol, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


@asynccontextmanager
async def program(*arguments: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program whose home is `folder`."""
    process = await asyncio.create_subprocess_exec(
        *arguments,
        cwd=folder,
        env={**os.environ, "HOME": str(folder)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.peer("sipp", "sip-tester")
async def test_sipp(tmp_path: Path) -> None:
    """It knows MD5 only, and ends at the sight of another algorithm."""
    async with registrar("MD5") as (server, port):
        arguments = ["-sf", str(SCENARIO), "-i", "127.0.0.1", "-p", str(free_port()), "-auth_uri", "contoso.com"]
        more = ["-m", "20", "-r", "50", "-nostdin", "-timeout", "20s", f"127.0.0.1:{port}"]
        async with program("sipp", *arguments, *more, folder=tmp_path) as sipp:
            assert await sipp.wait() == 0
    assert server.taken == ["MD5"] * 40
    assert server.counters == {"digest_missing": 40, "digest_accepted": 40}


ACCOUNT = '<sip:alice@contoso.com>;auth_user=alice;auth_pass={};outbound="sip:127.0.0.1:{}";regint=600\n'


def baresip_folder(folder: Path, password: str, port: int) -> Path:
    home = folder / "baresip"
    home.mkdir()
    modules = "/usr/lib/baresip/modules"
    (home / "config").write_text(
        f"sip_listen 127.0.0.1:0\nmodule_path {modules}\nmodule stdio.so\nmodule_app account.so\nmodule_app menu.so\n"
    )
    (home / "accounts").write_text(ACCOUNT.format(password, port))
    (home / "contacts").touch()
    return home


@pytest.mark.peer("baresip", "baresip-core")
async def test_baresip(tmp_path: Path) -> None:
    """Version 1.0 of Debian 12 knows MD5 only, and does not look for it behind another algorithm."""
    async with registrar("MD5") as (server, port):
        home = baresip_folder(tmp_path, PASSWORD, port)
        async with program("baresip", "-f", str(home), folder=tmp_path), asyncio.timeout(20):
            await server.accepted.wait()
    assert server.taken[0] in ("", "MD5")  # the same: it is what no name means
    assert not server.counters["digest_refused"] and not server.counters["digest_malformed"]


@pytest.mark.peer("baresip", "baresip-core")
async def test_baresip_with_a_wrong_password(tmp_path: Path) -> None:
    async with registrar("MD5") as (server, port):
        home = baresip_folder(tmp_path, "wrong", port)
        async with program("baresip", "-f", str(home), folder=tmp_path), asyncio.timeout(20):
            await server.refused.wait()
    assert not server.taken


@pytest.mark.peer("linphonec", "linphone-cli")
async def test_linphone(tmp_path: Path) -> None:
    """It takes the topmost of several that it knows, as RFC 8760 §2.4 has it."""
    for folder in (".local/share/linphone", ".config/linphone"):  # it hangs without
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "rc").write_text(f"[sip]\nsip_port={free_port()}\nsip_tcp_port=0\n")
    async with (
        registrar("SHA-256", "SHA-512-256", "MD5") as (server, port),
        program("linphonec", "-c", "rc", folder=tmp_path) as linphone,
        asyncio.timeout(20),
    ):
        assert linphone.stdin is not None
        linphone.stdin.write(f"register sip:alice@contoso.com sip:127.0.0.1:{port} {PASSWORD}\n".encode())
        await linphone.stdin.drain()
        await server.accepted.wait()
    assert server.taken[0] == "SHA-256"
    assert not server.counters["digest_refused"] and not server.counters["digest_malformed"]
