"""`scripts/run` and `scripts/run --demo`: gateway and emulated pool in one process, and the call as a ladder."""

import asyncio
import signal
import sys
import tempfile
import time
from pathlib import Path

from sipgw.config import Config, ConfigError, ListenAddress, parse_config
from sipgw.events import Flow, Hop
from sipgw.groupchat.rooms import RoomsError
from sipgw.observability import log
from sipgw.observability.ladder import Step, label, render
from sipgw.options import ClientOptions, PoolOptions
from sipgw.registry import Server
from sipgw.server.app import GatewayApp
from sipgw.server.chat_client import ClientError, GroupChatClient
from sipgw.server.pool_app import PoolApp
from sipgw.server.store import StoreError

DOMAIN = "contoso.com"
ROOMS = ("Lobby", "Weather")
GATEWAY, POOL = "sipgw", "pool"


class Recorder:
    """Turns what the gateway receives and sends into the steps of a ladder."""

    def __init__(self, pool_port: int) -> None:
        self.steps: list[Step] = []
        self._pool_port = pool_port
        self._names: dict[int, str] = {}
        self._start = time.monotonic()

    def __call__(self, direction: str, data: bytes, peer: Flow | Hop) -> None:
        other = POOL if peer.port == self._pool_port else self._client(data, peer)
        ends = (other, GATEWAY) if direction == "in" else (GATEWAY, other)
        self.steps.append(Step(time.monotonic() - self._start, *ends, label(data)))

    def _client(self, data: bytes, peer: Flow | Hop) -> str:
        """Clients are told apart by their ports and named by the From of their first REGISTER."""
        if peer.port not in self._names and data.startswith(b"REGISTER "):
            user = data.partition(b"\r\nFrom: <sip:")[2].partition(b"@")[0]
            self._names[peer.port] = user.decode("latin-1")
        return self._names.get(peer.port, "")


def demo_config(folder: Path, listen: list[str], pool_server: str) -> Config:
    """The gateway of the demo: one pool, one endpoint, its store in `folder`."""
    data = {
        "gateway": {"fqdn": "127.0.0.1", "domains": [DOMAIN], "listen": listen},
        "store": {"url": "sqlite:sipgw.db"},
        "pool": [{"fqdn": f"pcpool.{DOMAIN}", "servers": [pool_server]}],
        "endpoint": [{"sip_address": f"sip:ocschat@{DOMAIN}", "pool_fqdn": f"pcpool.{DOMAIN}"}],
    }
    return parse_config(data, folder / "embedded defaults")


async def run_demo(ladder: bool) -> int:
    """Run until Ctrl-C, or with `ladder` one conversation. Returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="sipgw-") as folder:
        try:
            return await (_show_ladder if ladder else _run)(Path(folder))
        except (OSError, StoreError, RoomsError, ConfigError, ClientError) as error:
            print(f"sipgw: {error}", file=sys.stderr)
            return 1


async def _start(folder: Path, pool_port: int, listen: list[str], record: bool) -> tuple[PoolApp, GatewayApp, Recorder]:
    pool = PoolApp(PoolOptions((ListenAddress("TCP", "127.0.0.1", pool_port),), DOMAIN, rooms=ROOMS))
    await pool.start()
    port = pool.listeners[0].port
    recorder = Recorder(port)
    try:
        config = demo_config(folder, listen, f"tcp:127.0.0.1:{port}")
        gateway = GatewayApp(config, trace=recorder if record else None)
        await gateway.start()
    except BaseException:
        await pool.close()
        raise
    return pool, gateway, recorder


async def _run(folder: Path) -> int:
    pool, gateway, _ = await _start(folder, 5041, ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"], False)
    print(
        f"""
sipgw is listening on {" ".join(str(listener) for listener in gateway.listeners)}
  domain {DOMAIN}; sip:ocschat@{DOMAIN} leads to the emulated pool on {pool.listeners[0]}
  rooms: {", ".join(pool.room_names)}; nobody has to authenticate, and nothing is kept after Ctrl-C

Try, in another terminal:
  .venv/bin/sipgw client --user sip:alice@{DOMAIN} --server tcp:127.0.0.1:5060
or point pidgin or finch at it: user alice@{DOMAIN}, any password, server 127.0.0.1:5060, connection type TCP.
""",
        flush=True,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await gateway.close()
    await pool.close()
    return 0


async def _show_ladder(folder: Path) -> int:
    log.configure("console", "warning")
    pool, gateway, recorder = await _start(folder, 0, ["tcp:127.0.0.1:0"], True)
    server = Server("TCP", "127.0.0.1", gateway.listeners[0].port)
    try:
        await _converse(server)
    finally:
        await gateway.close()
        await pool.close()
    print(render(["alice", "bob", GATEWAY, POOL], recorder.steps))
    print(f"\n{len(recorder.steps)} messages. alice and bob each heard what the other said in {ROOMS[0]}.")
    return 0


async def _converse(server: Server) -> None:
    clients = []
    try:
        for name in ("alice", "bob"):
            user = f"sip:{name}@{DOMAIN}"
            client = GroupChatClient(ClientOptions(user, server, f"sip:ocschat@{DOMAIN}", timeout=10.0))
            clients.append(client)
            await client.start()
            await client.join(ROOMS[0])
        alice, bob = clients
        await alice.say(ROOMS[0], "hello bob")
        await bob.expect("hello bob")
        await bob.say(ROOMS[0], "good morning, Ålice")
        await alice.expect("good morning, Ålice")
        for client in clients:
            await client.sign_out()
    finally:
        for client in clients:
            await client.close()
