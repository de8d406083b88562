"""Ordinary SIP clients sign in by Digest, register and call the contact object: SIPp, baresip, linphone."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.faults.scripted import Exchange, Scripted, scripted
from tests.e2e.programs import Program, sipgw, write_config
from tests.e2e.sign_in.site import PASSWORD, write_users
from tests.ports import free_port

TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])
MD5 = 'digest_algorithms = ["MD5"]'
PATIENCE = 30.0  # seconds; a phone takes one to start
HERE = Path(__file__).parent


@dataclass
class Site:
    gateway: Program
    pool: Scripted
    port: int

    async def hears(self, *methods: str) -> None:
        """Wait until the pool has got these, in this order."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if _in_order(methods, self.pool.heard):
                    return
                await asyncio.sleep(0.02)


def takes_calls(exchange: Exchange) -> None:
    """Its Contact is the contact object: what leads to it is the route set."""
    if exchange.method != "ACK":
        lines = exchange.response(200).decode().split("\r\n")
        changed = ["Contact: <sip:ocschat@contoso.com>" if line.startswith("Contact:") else line for line in lines]
        exchange.write("\r\n".join(changed).encode())


def _in_order(wanted: tuple[str, ...], heard: list[str]) -> bool:
    left = iter(heard)
    return all(method in left for method in wanted)


@asynccontextmanager
async def site(folder: Path, transport: str, auth: str = "") -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(scripted(takes_calls))
        config = write_config(folder, pool.address, listen=(f"{transport}:127.0.0.1:{free_port()}",))
        config.write_text(f'{config.read_text()}[auth]\nschemes = ["digest"]\n{auth}\n[health]\ninterval = 0\n')
        write_users(folder)
        gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
        yield Site(gateway, pool, (await gateway.ports())[transport])


@asynccontextmanager
async def program(*arguments: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program whose home is `folder`; what it writes goes to `log` there."""
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *arguments, cwd=folder, env={**os.environ, "HOME": str(folder)}, stdin=asyncio.subprocess.PIPE,
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


# SIPp


async def run_sipp(folder: Path, here: Site, transport: str, what: str, uri: str, **keys: str) -> int:
    """Its credentials are for one URI, whatever the requests are for."""
    values = {"user": "alice", "account": "alice", "password": PASSWORD} | keys
    text = (HERE / f"phone_{what}.xml").read_text()
    for key, value in values.items():
        text = text.replace(f"{{{key}}}", value)
    scenario = folder / f"{what}.xml"
    scenario.write_text(text)
    mode = {"udp": "u1", "tcp": "t1"}[transport]
    given = ["-sf", str(scenario), "-t", mode, "-i", "127.0.0.1", "-p", str(free_port()), "-m", "1", "-nostdin"]
    given += ["-auth_uri", uri]
    async with program(
        "sipp", *given, "-timeout", "20s", "-trace_err", f"127.0.0.1:{here.port}", folder=folder
    ) as process:
        return await process.wait()


@pytest.mark.peer("sipp", "sip-tester")
@TRANSPORTS
async def test_sipp_registers_and_calls(tmp_path: Path, transport: str) -> None:
    async with site(tmp_path, transport, MD5) as here:
        assert await run_sipp(tmp_path, here, transport, "register", "contoso.com") == 0
        assert await run_sipp(tmp_path, here, transport, "call", "ocschat@contoso.com") == 0
        assert here.pool.heard == ["INVITE", "ACK", "INFO", "BYE"]


@pytest.mark.peer("sipp", "sip-tester")
@pytest.mark.parametrize(
    "keys",
    [
        {"password": "wrong"},
        {"account": "nobody"},
        {"account": "carol", "user": "carol"},
        {"user": "bob"},
    ],
    ids=["wrong password", "unknown user", "disabled", "of another"],
)
async def test_sipp_is_refused(tmp_path: Path, keys: dict[str, str]) -> None:
    async with site(tmp_path, "udp", MD5) as here:
        assert await run_sipp(tmp_path, here, "udp", "register", "contoso.com", **keys) != 0
        assert not here.pool.heard
        reason = {"wrong": "wrong password", "nobody": "no such user", "carol": "disabled", "alice": "signed in as"}
        await here.gateway.line(reason[keys.get("password") or keys.get("account", "alice")])


# phones


def baresip_home(folder: Path, transport: str, port: int) -> Path:
    home = folder / "baresip"
    home.mkdir()
    modules = [*("stdio", "g711", "ausine", "aufile"), "account", "menu"]
    lines = [f"module{'_app' if name in ('account', 'menu') else ''} {name}.so" for name in modules]
    sound = "audio_source ausine,440\naudio_player aufile,none.wav\naudio_alert aufile,none.wav"
    config = [f"sip_listen 127.0.0.1:{free_port()}", "module_path /usr/lib/baresip/modules", *lines, sound, ""]
    (home / "config").write_text("\n".join(config))
    outbound = f'outbound="sip:127.0.0.1:{port};transport={transport}"'
    (home / "accounts").write_text(
        f"<sip:alice@contoso.com>;auth_user=alice;auth_pass={PASSWORD};{outbound};regint=600\n"
    )
    (home / "contacts").touch()
    return home


@pytest.mark.peer("baresip", "baresip-core")
@TRANSPORTS
async def test_baresip_registers_and_calls(tmp_path: Path, transport: str) -> None:
    async with site(tmp_path, transport, MD5) as here:
        home = baresip_home(tmp_path, transport, here.port)
        async with program("baresip", "-f", str(home), folder=tmp_path) as baresip:
            await here.gateway.line("signed in", "alice@contoso.com")
            assert baresip.stdin is not None
            baresip.stdin.write(b"/dial sip:ocschat@contoso.com\n")
            await baresip.stdin.drain()
            await here.hears("INVITE", "ACK")


@pytest.mark.peer("linphonec", "linphone-cli")
@TRANSPORTS
async def test_linphone_registers_and_calls(tmp_path: Path, transport: str) -> None:
    """With SHA-256, which it knows."""
    async with site(tmp_path, transport) as here:
        for folder in (".local/share/linphone", ".config/linphone"):  # it hangs without
            (tmp_path / folder).mkdir(parents=True)
        server = f"<sip:127.0.0.1:{here.port};transport={transport}>"
        (tmp_path / "rc").write_text(
            "[sip]\nsip_port=-1\nsip_tcp_port=-1\nsip_tls_port=-1\ndefault_proxy=0\n"
            f"[proxy_0]\nreg_proxy={server}\nreg_route={server}\nreg_identity=sip:alice@contoso.com\nreg_sendregister=1\n"
            f"[auth_info_0]\nusername=alice\npasswd={PASSWORD}\nrealm=contoso.com\n"
        )
        async with program("linphonec", "-c", "rc", folder=tmp_path) as linphone:
            await here.gateway.line("signed in", "alice@contoso.com")
            assert linphone.stdin is not None
            linphone.stdin.write(b"call sip:ocschat@contoso.com\n")
            await linphone.stdin.drain()
            await here.hears("INVITE", "ACK")
