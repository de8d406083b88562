"""The API of a gateway in this process, where its surroundings can be bent."""

import asyncio
import http.client
import json
import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import trustme

from sipgw.auth.accounts import Account
from sipgw.config import Config, parse_config
from sipgw.observability import log
from sipgw.registry import Endpoint
from sipgw.server import app as app_module
from sipgw.server import store_file, user_source
from sipgw.server.admin import lag
from sipgw.server.admin.lag import LoopLag
from sipgw.server.app import GatewayApp
from sipgw.server.directory_entries import Found
from sipgw.server.store_file import StoreError
from tests.ports import free_port
from tests.server.certificates import issue

POOL = "pcpool.contoso.com"
SECOND = {"sip_address": "sip:second@contoso.com", "pool_fqdn": POOL}


@asynccontextmanager
async def gateway(folder: Path, more: Mapping[str, Any] | None = None) -> AsyncIterator[GatewayApp]:
    """One that runs, with a pool that nobody has asked for yet."""
    log.configure("console", "error")
    data = {
        "gateway": {"fqdn": "127.0.0.1", "listen": ["udp:127.0.0.1:0"]},
        "store": {"url": "sqlite:gateway.db"},
        "admin": {"listen": "127.0.0.1:0"},
        "pool": [{"fqdn": POOL, "servers": ["udp:127.0.0.1:9"]}],
        **(more or {}),
    }
    app = GatewayApp(parse_config(data, folder / "sipgw.toml"))
    await app.start()
    try:
        yield app
    finally:
        await app.close()


async def ask(app: GatewayApp, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status, and the body as JSON or text."""
    assert app.admin is not None
    port = int(app.admin.url.rpartition(":")[2])
    with ThreadPoolExecutor(1) as caller:  # not one of the loop's own threads, which the gateway needs
        return await asyncio.get_running_loop().run_in_executor(caller, _ask, port, method, path, body)


def _ask(port: int, method: str, path: str, body: object) -> tuple[int, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        text = response.read().decode()
    return response.status, json.loads(text) if "json" in response.headers["content-type"] else text


async def test_a_gateway_that_drains_is_not_ready(tmp_path: Path) -> None:
    async with gateway(tmp_path, {"pool": []}) as app:
        status, found = await ask(app, "GET", "/readyz")
        assert found["checks"][0] == {"name": "listening", "ok": True, "detail": ""}
        await app.drain()
        status, found = await ask(app, "GET", "/readyz")
        assert (status, found["checks"][0]["ok"]) == (503, False)
        assert "draining" in found["checks"][0]["detail"]
        assert (await ask(app, "GET", "/healthz"))[0] == 200


async def test_a_store_that_others_hold_is_told_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_file, "BUSY_TIMEOUT", 0.01)
    async with gateway(tmp_path) as app:
        with closing(sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            status, found = await ask(app, "GET", "/readyz")
            assert (status, found["checks"][1]["ok"]) == (503, False)
            assert "another process holds it" in found["checks"][1]["detail"]
            status, found = await ask(app, "POST", "/api/v1/endpoints", SECOND)
            assert (status, found["type"]) == (503, "urn:sipgw:problem:store")
        assert (await ask(app, "GET", "/api/v1/endpoints"))[1] == {"endpoints": []}
        assert (await ask(app, "POST", "/api/v1/endpoints", SECOND))[0] == 201


async def test_what_many_want_at_once_one_gets(tmp_path: Path) -> None:
    async with gateway(tmp_path) as app:
        answers = await asyncio.gather(*(ask(app, "POST", "/api/v1/endpoints", SECOND) for _ in range(8)))
        assert sorted(status for status, _ in answers) == [201] + 7 * [409]
        others = [{**SECOND, "sip_address": f"sip:e{number}@contoso.com"} for number in range(8)]
        answers = await asyncio.gather(*(ask(app, "POST", "/api/v1/endpoints", one) for one in others))
        assert {status for status, _ in answers} == {201}
        assert len(app.registry.endpoints()) == 9
        answers = await asyncio.gather(*(ask(app, "DELETE", "/api/v1/endpoints/e1@contoso.com") for _ in range(4)))
        assert sorted(status for status, _ in answers) == [200, 404, 404, 404]


USERS = '[[user]]\nuri = "sip:second@contoso.com"\nnames = ["second"]\npassword = "secret"\n'


async def test_a_user_of_just_now_disabled_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users are looked at again before somebody is refused for them; not only when that is due."""
    monkeypatch.setattr(app_module, "FILES_POLL", 3600.0)
    users = tmp_path / "users.toml"
    users.write_text(USERS)
    users.chmod(0o600)
    async with gateway(tmp_path, {"auth": {"users": "users.toml", "schemes": ["digest"]}}) as app:
        status, found = await ask(app, "POST", "/api/v1/endpoints", SECOND)
        assert (status, found["type"]) == (409, "urn:sipgw:problem:held-by-user")
        users.write_text(USERS + "enabled = false\n")
        assert (await ask(app, "POST", "/api/v1/endpoints", SECOND))[0] == 201


async def test_a_directory_is_read_again_before_somebody_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [Account("sip:second@contoso.com", ("second",))]
    monkeypatch.setattr(user_source, "read_directory", lambda source: Found(accounts=list(users)))
    directory = {"base": "dc=contoso,dc=com", "refresh": 3600.0}
    more = {"auth": {"users": "ldap://127.0.0.1:9", "schemes": ["ntlm"]}, "directory": directory}
    async with gateway(tmp_path, more) as app:
        assert (await ask(app, "POST", "/api/v1/endpoints", SECOND))[0] == 409
        users.clear()
        assert (await ask(app, "POST", "/api/v1/endpoints", SECOND))[0] == 201


async def test_a_directory_that_takes_its_time_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was last read holds then."""
    slow = threading.Event()

    def read(source: object) -> Found:
        if slow.is_set():
            released.wait(30.0)
        return Found(accounts=[Account("sip:second@contoso.com", ("second",))])

    released = threading.Event()
    monkeypatch.setattr(user_source, "read_directory", read)
    monkeypatch.setattr(app_module, "USERS_PATIENCE", 0.05)
    more = {
        "auth": {"users": "ldap://127.0.0.1:9", "schemes": ["ntlm"]},
        "directory": {"base": "dc=contoso,dc=com", "refresh": 3600.0},
    }
    async with gateway(tmp_path, more) as app:
        slow.set()
        try:
            assert (await ask(app, "POST", "/api/v1/endpoints", SECOND))[0] == 409
        finally:
            released.set()


async def test_an_address_that_was_taken_is_tried_again_with_a_reload(tmp_path: Path) -> None:
    file = tmp_path / "sipgw.toml"
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        async with gateway(tmp_path, {"admin": {"listen": listen}, "pool": []}) as app:
            assert app.admin is None
            other.close()
            file.write_text(
                '[gateway]\nfqdn = "127.0.0.1"\nlisten = ["udp:127.0.0.1:0"]\n[store]\nurl = "sqlite:gateway.db"\n'
                f'[admin]\nlisten = "{listen}"\n'
            )
            assert await app.reload() == []
            assert (await ask(app, "GET", "/api/v1/pools"))[1] == {"pools": []}
            status, found = await ask(app, "GET", "/readyz")
            assert (status, found["checks"][2]["detail"]) == (503, "no pool is configured; add a [[pool]]")


async def test_certificates_are_among_the_metrics(tmp_path: Path) -> None:
    files = issue(trustme.CA(), tmp_path, "gw.contoso.com", days=10)
    more = {"tls": {key: str(path) for key, path in files._asdict().items()}}
    async with gateway(tmp_path, more) as app:
        _, text = await ask(app, "GET", "/metrics")
        lines = [line for line in text.splitlines() if line.startswith("sipgw_certificate_expiry_timestamp_seconds{")]
        assert [line for line in lines if 'name="gw.contoso.com"' in line]


async def test_the_loop_is_seen_to_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "EVERY", 0.001)
    loop = asyncio.get_running_loop()
    seen = LoopLag()
    try:
        end = loop.time() + 0.06
        while loop.time() < end:
            pass  # nothing else runs meanwhile, and that is the point
        for _ in range(1000):
            await asyncio.sleep(0)  # a turn of the loop, which is when it looks
    finally:
        seen.close()
    assert seen.durations.total >= 0.05
    assert sum(seen.durations.buckets) >= 1


# another configuration


def written(folder: Path, listen: str) -> None:
    """The configuration of `gateway` as a file, with other addresses."""
    ours = f'[gateway]\nfqdn = "127.0.0.1"\nlisten = [{listen}]\n'
    others = '[store]\nurl = "sqlite:gateway.db"\n[admin]\nlisten = "127.0.0.1:0"\n'
    pool = f'[[pool]]\nfqdn = "{POOL}"\nservers = ["udp:127.0.0.1:9"]\n'
    (folder / "sipgw.toml").write_text(ours + others + pool)


async def test_a_store_that_cannot_be_read_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificates and addresses included."""

    def fails() -> None:
        raise StoreError("disk I/O error")

    port = free_port()
    written(tmp_path, f'"udp:127.0.0.1:0", "tcp:127.0.0.1:{port}"')
    async with gateway(tmp_path) as app:
        before = app._tls, app.config, app.registry, app.listeners
        with monkeypatch.context() as bent:
            bent.setattr(app.store, "load_endpoints", fails)
            assert await app.reload() == ["disk I/O error"]
        assert (app._tls, app.config, app.registry, app.listeners) == before
        assert app.shell._connector.tls is before[0]
        socket.create_server(("127.0.0.1", port)).close()  # nobody holds it
        assert await app.reload() == []
        assert [listener.port for listener in app.listeners if listener.transport == "TCP"] == [port]


async def test_what_the_command_line_changes_meanwhile_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, '"udp:127.0.0.1:0"')
    async with gateway(tmp_path) as app:

        async def slowly(config: Config) -> None:
            app.store.add_endpoint(Endpoint("sip:second@contoso.com", POOL), time.time())
            app.follow_store()

        monkeypatch.setattr(app, "_read_users", slowly)
        assert await app.reload() == []
        app.follow_store()
        assert [endpoint.sip_address for endpoint in app.registry.endpoints()] == ["sip:second@contoso.com"]
