"""Phones where something goes wrong: passwords, another's name, a gateway that comes back; and among themselves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.programs import sipgw
from tests.e2e.sign_in.site import PASSWORD
from tests.e2e.sign_in.test_phones import MD5, PATIENCE, TRANSPORTS, baresip_home, program, run_sipp, site

BARESIP = pytest.mark.peer("baresip", "baresip-core")
LINPHONE = pytest.mark.peer("linphonec", "linphone-cli")
SIPP = pytest.mark.peer("sipp", "sip-tester")
Typing = Callable[[str], Awaitable[None]]


@asynccontextmanager
async def running(folder: Path, *arguments: str) -> AsyncIterator[Typing]:
    """A phone that takes lines."""
    async with program(*arguments, folder=folder) as phone:
        stdin = phone.stdin
        assert stdin is not None

        async def types(line: str) -> None:
            stdin.write(f"{line}\n".encode())
            await stdin.drain()

        yield types


@asynccontextmanager
async def linphone(folder: Path, transport: str, port: int, name: str, password: str) -> AsyncIterator[Typing]:
    home = folder / name
    for needed in (".local/share/linphone", ".config/linphone"):  # it hangs without
        (home / needed).mkdir(parents=True)
    server = f"<sip:127.0.0.1:{port};transport={transport}>"
    identity = f"reg_identity=sip:{name}@contoso.com\nreg_sendregister=1"
    (home / "rc").write_text(
        "[sip]\nsip_port=-1\nsip_tcp_port=-1\nsip_tls_port=-1\ndefault_proxy=0\n"
        f"[proxy_0]\nreg_proxy={server}\nreg_route={server}\n{identity}\n"
        f"[auth_info_0]\nusername={name}\npasswd={password}\nrealm=contoso.com\n"
    )
    async with running(home, "linphonec", "-c", "rc") as types:
        yield types


@asynccontextmanager
async def baresip(folder: Path, transport: str, port: int, password: str = PASSWORD) -> AsyncIterator[Typing]:
    """Alice's."""
    home = baresip_home(folder, transport, port)
    accounts = home / "accounts"
    accounts.write_text(accounts.read_text().replace(f"auth_pass={PASSWORD}", f"auth_pass={password}"))
    async with running(folder, "baresip", "-f", str(home)) as types:
        yield types


async def says(folder: Path, *words: str) -> None:
    """Wait until a phone has written a line with all of these."""
    async with asyncio.timeout(PATIENCE):
        while True:
            written = (folder / "log").read_text("latin-1").split("\n")
            if any(all(word in line for word in words) for line in written):
                return
            await asyncio.sleep(0.05)


@BARESIP
@LINPHONE
@TRANSPORTS
async def test_two_phones_of_two_makers_call_each_other(tmp_path: Path, transport: str) -> None:
    async with site(tmp_path, transport, MD5) as here:
        async with (
            linphone(tmp_path, transport, here.port, "bob", "bob's secret") as bob,
            baresip(tmp_path, transport, here.port) as alice,
        ):
            for name in ("alice", "bob"):
                await here.gateway.line("signed in", f"{name}@contoso.com")
            await alice("/dial sip:bob@contoso.com")
            await says(tmp_path / "bob", "incoming call from sip:alice@contoso.com")
            await bob("answer")
            await says(tmp_path / "bob", "with sip:alice@contoso.com connected")
            await alice("/hangup")  # unless it has ended the call already, as there is nothing to listen to here
            await says(tmp_path / "bob", "with sip:alice@contoso.com ended")
        assert not here.pool.heard


@BARESIP
async def test_baresip_with_a_wrong_password(tmp_path: Path) -> None:
    """It tries again now and then; that is not taken for a storm, and lets nobody in."""
    async with site(tmp_path, "udp", MD5) as here, baresip(tmp_path, "udp", here.port, "wrong"):
        await here.gateway.line("sign-in failed", "alice", "wrong password")
        await says(tmp_path, "reg: sip:alice@contoso.com: 40")
        assert not any("signed in" in line for line in here.gateway.log)


@LINPHONE
@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        ("alice", "wrong", "wrong password"),
        ("nobody", PASSWORD, "no such user"),
        ("carol", PASSWORD, "the account is disabled"),
    ],
)
async def test_linphone_is_refused(tmp_path: Path, name: str, password: str, reason: str) -> None:
    async with site(tmp_path, "udp") as here, linphone(tmp_path, "udp", here.port, name, password):
        await here.gateway.line("sign-in failed", reason)
        await says(tmp_path / name, f"Password for {name}")
        assert not any("signed in" in line for line in here.gateway.log)


@SIPP
@TRANSPORTS
async def test_a_call_in_anothers_name(tmp_path: Path, transport: str) -> None:
    """403 with 4004, and the pool hears nothing of it."""
    async with site(tmp_path, transport, MD5) as here:
        assert await run_sipp(tmp_path, here, transport, "call", "ocschat@contoso.com", user="bob") != 0
        await here.gateway.line("request failed", "4004", "sip:bob@contoso.com", "signed in as sip:alice@contoso.com")
        assert here.pool.heard == []


@LINPHONE
@TRANSPORTS
async def test_a_phone_goes_on_when_the_gateway_comes_back(tmp_path: Path, transport: str) -> None:
    """Its nonce is of the gateway that is gone: it is told so (stale), and asks nobody for the password again."""
    async with site(tmp_path, transport) as here, linphone(tmp_path, transport, here.port, "alice", PASSWORD) as alice:
        await here.gateway.line("signed in", "alice@contoso.com")
        await here.gateway.stop()
        async with sipgw("serve", "--config", tmp_path / "sipgw.toml") as again:
            await again.ports()
            await alice("call sip:ocschat@contoso.com")
            await here.hears("INVITE", "ACK")
            assert not any("wrong password" in line for line in again.log)
