"""The admin API of a gateway that runs: what it changes, who may, and that calls do not depend on it."""

import contextlib
import getpass
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sipgw.config import ConfigError, load_config
from sipgw.management.api_client import ApiError, GatewayClient, running_gateway
from sipgw.registry import AlreadyExists, BadAddress, Declared, HeldByUser, NotFound, UnknownPool
from sipgw.server.admin.listening import MAX_CONNECTIONS
from tests.e2e.admin_gateway import POOL, ROOT, START, TOKEN, Gateway, Phone, running, write

SECOND = {"sip_address": "Second@Contoso.com", "pool_fqdn": POOL, "display_name": "Two"}
SHOWN = {
    "sip_address": "sip:second@contoso.com",
    "pool_fqdn": POOL,
    "display_name": "Two",
    "declared": False,
    "enabled": True,
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One for all tests that leave nothing behind."""
    with running(tmp_path_factory.mktemp("gateway")) as found:
        yield found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One that asks for a token."""
    with running(tmp_path_factory.mktemp("guarded"), token=True) as found:
        yield found


@pytest.fixture
def client(gateway: Gateway) -> GatewayClient:
    return GatewayClient("127.0.0.1", gateway.port)


def problem(gateway: Gateway, status: int, *request: Any) -> dict[str, Any]:
    """The problem that a request is answered with."""
    reply = gateway.ask(*request)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json"), reply
    assert reply.body["status"] == status
    assert isinstance(reply.body, dict)
    return reply.body


# endpoints


def test_an_endpoint_works_when_the_answer_is_there_and_until_it_is_removed(gateway: Gateway) -> None:
    with Phone(gateway.udp_port()) as phone:
        assert phone.ask("INVITE", "sip:second@contoso.com")[0] == 404
        made = gateway.ask("POST", "/api/v1/endpoints", SECOND)
        assert (made.status, made.body) == (201, SHOWN)
        assert phone.ask("INVITE", "sip:second@contoso.com")[0] == 504  # its pool is down, but it has one
        assert gateway.ask("GET", made.headers["location"]).body == SHOWN
        assert gateway.ask("DELETE", made.headers["location"]).body == SHOWN
        assert phone.ask("INVITE", "sip:second@contoso.com")[0] == 404
    assert problem(gateway, 404, "GET", made.headers["location"])["type"] == "urn:sipgw:problem:not-found"


def test_endpoints_survive_an_abrupt_end(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        assert gateway.ask("POST", "/api/v1/endpoints", SECOND).status == 201
        gateway.stop(signal.SIGKILL)
        gateway.start()
        assert gateway.ask("GET", "/api/v1/endpoints/sip:second@contoso.com").body == SHOWN


def test_lists_are_asked_for_by_identity_and_pool(gateway: Gateway, client: GatewayClient) -> None:
    made = client.new_endpoint(**SECOND)
    try:
        assert [one.sip_address for one in client.endpoints()] == ["sip:ocschat@contoso.com", "sip:second@contoso.com"]
        assert client.endpoints(identity="TWO") == client.endpoints(identity="second@contoso.com") == [made]
        assert client.endpoints(identity="three") == client.endpoints(pool_fqdn="other.test") == []
        assert len(client.endpoints(pool_fqdn=POOL.upper())) == 2
    finally:
        assert client.remove_endpoint("sip:second@contoso.com") == made


def test_refusals_are_those_of_the_store(client: GatewayClient) -> None:
    with pytest.raises(AlreadyExists, match="declared in the configuration file"):
        client.new_endpoint("ocschat@contoso.com", POOL)
    with pytest.raises(UnknownPool, match=rf"nope\.test is not a configured pool .pools: {POOL}."):
        client.new_endpoint("second@contoso.com", "nope.test")
    with pytest.raises(BadAddress, match=r"the domain other\.test is not served here"):
        client.new_endpoint("second@other.test", POOL)
    with pytest.raises(Declared, match="remove it there"):
        client.remove_endpoint("sip:ocschat@contoso.com")
    with pytest.raises(NotFound):
        client.remove_endpoint("sip:nobody@contoso.com")
    with pytest.raises(NotFound):
        client.remove_endpoint("no/address at all")


def test_an_address_of_a_user_who_is_signed_in_is_refused_with_the_holder(tmp_path: Path) -> None:
    with running(tmp_path) as gateway, Phone(gateway.udp_port()) as phone:
        assert phone.ask("REGISTER", "sip:contoso.com", "second@contoso.com", "Expires: 600")[0] == 200
        said = problem(gateway, 409, "POST", "/api/v1/endpoints", SECOND)
        assert said["type"] == "urn:sipgw:problem:held-by-user"
        assert f"second@127.0.0.1:{phone.port}" in said["detail"]
        assert gateway.ask("GET", "/api/v1/endpoints").body["endpoints"] == [
            {**SHOWN, "sip_address": "sip:ocschat@contoso.com", "display_name": "", "declared": True}
        ]


def test_an_address_of_a_user_of_the_directory_is_refused_with_the_holder(tmp_path: Path) -> None:
    (tmp_path / "users.toml").write_text(
        '[[user]]\nuri = "sip:second@contoso.com"\nnames = ["CONTOSO\\\\second"]\npassword = "Passw0rd-2010"\n'
    )
    with running(tmp_path, extra='[auth]\nschemes = ["digest"]\nusers = "users.toml"') as gateway:
        said = problem(gateway, 409, "POST", "/api/v1/endpoints", SECOND)
        assert said["type"] == "urn:sipgw:problem:held-by-user"
        assert "CONTOSO\\second" in said["detail"]


def test_changes_are_on_record(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        gateway.ask("POST", "/api/v1/endpoints", SECOND)
        gateway.ask("POST", "/api/v1/endpoints", SECOND)  # refused, so nothing has changed
        gateway.ask("DELETE", "/api/v1/endpoints/second@contoso.com")
        made, removed = gateway.audit()
        assert (made["what"], made["subject"], made["before"], made["after"]) == (
            *("endpoint.new", "sip:second@contoso.com", None, SHOWN),
        )
        assert (removed["what"], removed["before"], removed["after"]) == ("endpoint.remove", SHOWN, None)
        assert made["who"]["via"] == "api"
        assert made["who"]["name"] == getpass.getuser()  # nobody has told it: the socket is this user's
        assert made["who"]["peer"].startswith("127.0.0.1:")
        assert gateway.config.with_name("gateway.db-audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_recorded_is_not_done(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        (tmp_path / "gateway.db-audit.jsonl").mkdir()
        assert "without it nothing is changed" in problem(gateway, 503, "POST", "/api/v1/endpoints", SECOND)["detail"]
        assert len(gateway.ask("GET", "/api/v1/endpoints").body["endpoints"]) == 1


# reload


def test_a_reload_tells_what_has_changed(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        text = gateway.config.read_text("utf-8")
        gateway.config.write_text(text.replace("sip:ocschat@", "sip:renamed@") + '[log]\nlevel = "debug"\n')
        reply = gateway.ask("POST", "/api/v1/reload")
        assert reply.status == 200
        assert reply.body["changed"] == [
            *("endpoint sip:ocschat@contoso.com", "endpoint sip:renamed@contoso.com", "log.level")
        ]
        assert gateway.ask("GET", "/api/v1/endpoints").body["endpoints"][0]["sip_address"] == "sip:renamed@contoso.com"
        entry = gateway.audit()[-1]
        assert (entry["what"], entry["before"]["log.level"], entry["after"]["log.level"]) == ("reload", "info", "debug")


def test_a_reload_of_a_bad_file_lists_file_key_and_line_and_changes_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        good = gateway.config.read_text("utf-8")
        bad = good.replace('"tcp:127.0.0.1:9"', '"tcp:127.0.0.1"') + '[log]\nlevel = "loud"\n'
        gateway.config.write_text(bad)
        lines = bad.splitlines()
        said = problem(gateway, 422, "POST", "/api/v1/reload")
        assert said["type"] == "urn:sipgw:problem:not-reloaded"
        found = {one["key"]: lines[one["line"] - 1] for one in said["problems"]}
        assert found == {"pool[0].servers[0]": 'servers = ["tcp:127.0.0.1"]', "log.level": 'level = "loud"'}
        assert {one["file"] for one in said["problems"]} == {str(gateway.config)}
        with pytest.raises(ConfigError, match=r"log\.level"):
            GatewayClient("127.0.0.1", gateway.port).reload()
        gateway.config.write_text("[log\n")
        (fault,) = problem(gateway, 422, "POST", "/api/v1/reload")["problems"]
        assert (fault["file"], fault["line"]) == (str(gateway.config), 1)
        assert "sipgw_config_last_reload_successful 0.0" in gateway.ask("GET", "/metrics").body
        gateway.config.write_text(good)
        assert gateway.ask("POST", "/api/v1/reload").body["changed"] == []
        assert [entry["what"] for entry in gateway.audit()] == ["reload"]


def test_tokens_are_read_again(tmp_path: Path) -> None:
    with running(tmp_path, token=True) as gateway:
        (tmp_path / "tokens").write_text("short\n")
        (fault,) = problem(gateway, 422, "POST", "/api/v1/reload")["problems"]
        assert "tokens:1: a token of 5 characters" in fault["text"] or fault["line"] == 1
        (tmp_path / "tokens").write_text("# since today\nnew " + TOKEN[::-1] + "\n")
        assert gateway.ask("POST", "/api/v1/reload").status == 200
        problem(gateway, 401, "GET", "/api/v1/pools")
        gateway.token = TOKEN[::-1]
        assert gateway.ask("GET", "/api/v1/pools").status == 200
        assert gateway.audit()[-1]["who"]["name"] == "token ops"


# who may


def test_without_a_token_there_is_nothing_but_the_probes(guarded: Gateway) -> None:
    anonymous = replace(guarded, token="")
    for path in ("/api/v1/endpoints", "/api/v1/openapi.json", "/metrics", "/api/v1/nothing"):
        reply = anonymous.ask("GET", path)
        assert (reply.status, reply.headers["www-authenticate"]) == (401, 'Bearer realm="sipgw"')
    assert anonymous.ask("GET", "/healthz").body == {"status": "alive"}
    checks = anonymous.ask("GET", "/readyz").body["checks"]
    assert [(check["name"], check["detail"]) for check in checks] == [("listening", ""), ("store", ""), ("pool", "")]
    assert "Connection refused" in guarded.ask("GET", "/readyz").body["checks"][2]["detail"]
    assert guarded.ask("GET", "/api/v1/endpoints").status == 200
    guarded.said("not let in")


@pytest.mark.parametrize("sent", [TOKEN[:-1], TOKEN + "0", "", "é"], ids=["short", "long", "none", "not ASCII"])
def test_other_tokens_are_none(guarded: Gateway, sent: str) -> None:
    anonymous = replace(guarded, token="")
    headers = {"Authorization": f"Bearer {sent}"}
    assert anonymous.ask("GET", "/api/v1/pools", None, headers).status == 401
    assert anonymous.ask("GET", "/api/v1/pools", None, {"Authorization": f"Basic {TOKEN}"}).status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "rebound.example"}, 421),
        ({"Host": "rebound.example:8060"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "[::1"}, 421),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:8060"}, 200),
        ({"Origin": "http://rebound.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
def test_a_web_page_gets_nothing(gateway: Gateway, headers: dict[str, str], status: int) -> None:
    reply = gateway.ask("GET", "/api/v1/endpoints", None, headers)
    assert reply.status == status
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]


# what is sent


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b"{", {}, 400, "no JSON"),
        (b"[]", {}, 422, ""),
        (b'{"sip_adress": "a@contoso.com", "pool_fqdn": "x"}', {}, 422, 'did you mean "sip_address"?'),
        (b'{"sip_address": 3, "pool_fqdn": "x"}', {}, 422, "write a text in quotes"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "application/json"),
        (b" " * 70_000, {}, 413, "65536"),
        (b"\xff\xfe", {}, 400, "no JSON"),
    ],
)
def test_bodies_that_cannot_be_used(
    gateway: Gateway, body: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    reply = gateway.ask("POST", "/api/v1/endpoints", body, headers)
    assert reply.status == status
    assert said in reply.body["detail"]


def test_what_there_is_not(gateway: Gateway) -> None:
    assert "openapi.json" in problem(gateway, 404, "GET", "/api/v2")["detail"]
    assert gateway.ask("PUT", "/api/v1/endpoints", {}).headers["allow"] == "GET, HEAD, POST"
    assert problem(gateway, 422, "GET", "/api/v1/pools?x=1")["problems"][0]["key"] == "x"
    assert problem(gateway, 422, "GET", "/api/v1/registrations?limit=1&limit=2")["problems"][0]["key"] == "limit"
    for mark in ("x", "bm9uZQ", "WzEsMiwzLDRd"):
        assert problem(gateway, 422, "GET", f"/api/v1/registrations?after={mark}")["problems"][0]["key"] == "after"


def test_connections_are_bounded_and_calls_go_on(gateway: Gateway) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), START))
        late = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), START))
        with contextlib.suppress(ConnectionResetError):
            assert late.recv(1) == b""
        phone = stack.enter_context(Phone(gateway.udp_port()))
        assert phone.ask("INVITE", "sip:nobody@contoso.com")[0] == 404


def test_nonsense_is_answered_and_not_logged(gateway: Gateway) -> None:
    before = gateway.log.read_text("utf-8")
    with socket.create_connection(("127.0.0.1", gateway.port), START) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert gateway.log.read_text("utf-8") == before


# what is shown


def test_pools_and_readiness_follow_the_pool(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sipgw", "pool", "--listen", "tcp:127.0.0.1:0"]
    with (tmp_path / "pool.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
    pool = Gateway(tmp_path, tmp_path / "pool.log")
    pool.process = process
    try:
        server = pool.said("listening").partition("tcp:")[2].split()[0].strip("'\"")
        with running(tmp_path, pool=f"tcp:{server}", extra="[health]\ninterval = 0.2\nfall = 1") as gateway:
            assert gateway.ask("GET", "/readyz").status == 200
            (shown,) = gateway.ask("GET", "/api/v1/pools").body["pools"]
            assert (shown["fqdn"], shown["state"], shown["configured"]) == (POOL, "Normal", [f"tcp:{server}"])
            assert shown["servers"] == [
                {
                    "server": f"tcp:{server}",
                    "role": "active",
                    "health": "up",
                    "since": None,
                    "reason": "",
                    "until": None,
                }
            ]
            pool.stop()
            gateway.said("server down")
            reply = gateway.ask("GET", "/readyz")
            assert (reply.status, reply.body["ready"]) == (503, False)
            assert f"no server up: {POOL} (tcp:{server}" in reply.body["checks"][2]["detail"]
            (shown,) = gateway.ask("GET", "/api/v1/pools").body["pools"]
            assert shown["servers"][0]["health"] == "down"
            assert shown["servers"][0]["reason"]
    finally:
        if process.poll() is None:
            pool.stop()


def test_servers_of_a_pool_are_made_inactive_and_active_again(gateway: Gateway) -> None:
    path, server = f"/api/v1/pools/{POOL}", "tcp:127.0.0.1:9"
    with Phone(gateway.udp_port()) as phone:
        shown = gateway.ask("PATCH", path, {"remove": ["127.0.0.1"]}).body
        assert [(one["server"], one["role"]) for one in shown["servers"]] == [(server, "drained")]
        assert "is drained" in phone.ask("INVITE", "sip:ocschat@contoso.com")[1]
        shown = gateway.ask("PATCH", path, {"active": [server]}).body
        assert [(one["server"], one["role"]) for one in shown["servers"]] == [(server, "active")]
        assert "is drained" not in phone.ask("INVITE", "sip:ocschat@contoso.com")[1]
    assert gateway.ask("PATCH", path, {"state": "FailedOver"}).body["state"] == "FailedOver"
    assert gateway.ask("PATCH", path, {"state": "Normal"}).body["state"] == "Normal"
    first, *_, last = [entry for entry in gateway.audit() if entry["what"] == "pool-state.set"]
    assert (first["subject"], first["before"], first["after"]) == (
        POOL,
        {"state": "Normal", "active": [], "inactive": []},
        {"state": "Normal", "active": [], "inactive": [server]},
    )
    assert last["before"]["state"] == "FailedOver"


@pytest.mark.parametrize(
    ("fqdn", "body", "status", "said"),
    [
        ("nope.test", {"state": "Normal"}, 404, f"is not a configured pool (pools: {POOL})"),
        (POOL, {}, 422, "say one of state, active, or add and remove"),
        (POOL, {"state": "Normal", "add": ["a"]}, 422, "say one of"),
        (POOL, {"state": "Broken"}, 422, '"Normal" or "FailedOver"'),
        (POOL, {"add": ["10.9.9.9"]}, 422, 'no pool has a server "10.9.9.9" (servers: 127.0.0.1)'),
    ],
)
def test_changes_of_pools_that_cannot_be(gateway: Gateway, fqdn: str, body: object, status: int, said: str) -> None:
    assert said in problem(gateway, status, "PATCH", f"/api/v1/pools/{fqdn}", body)["detail"]


def test_registrations_come_in_pages(tmp_path: Path) -> None:
    users = [f"user{number:02}@contoso.com" for number in range(7)]
    with running(tmp_path) as gateway, Phone(gateway.udp_port()) as phone:
        for user in reversed(users):
            assert phone.ask("REGISTER", "sip:contoso.com", user, "Expires: 600", "User-Agent: phone")[0] == 200
        seen: list[dict[str, Any]] = []
        query = "limit=3"
        while query:
            page = gateway.ask("GET", f"/api/v1/registrations?{query}").body
            assert (len(page["registrations"]) <= 3, page["total"]) == (True, 7)
            seen += page["registrations"]
            query = f"limit=3&after={page['next']}" if page["next"] else ""
        assert [one["aor"] for one in seen] == users
        assert {(one["user_agent"], one["connected"]) for one in seen} == {("phone", False)}
        (one,) = GatewayClient("127.0.0.1", gateway.port).registrations("sip:USER03@contoso.com")
        assert one.contact == f"sip:user03@127.0.0.1:{phone.port}"


def test_explain_goes_by_what_the_gateway_knows(tmp_path: Path) -> None:
    with running(tmp_path) as gateway, Phone(gateway.udp_port()) as phone:
        wanted = {"method": "INVITE", "uri": "sip:bob@contoso.com", "from": "sip:alice@contoso.com"}
        assert gateway.ask("POST", "/api/v1/explain", wanted).body["decision"]["status"] == 404
        assert phone.ask("REGISTER", "sip:contoso.com", "bob@contoso.com", "Expires: 600")[0] == 200
        found = gateway.ask("POST", "/api/v1/explain", wanted).body
        assert (found["decision"]["kind"], found["bindings"][0]["contact"]) == (
            *("forwarded", f"sip:bob@127.0.0.1:{phone.port}"),
        )
        assert "capitals" in problem(gateway, 422, "POST", "/api/v1/explain", {**wanted, "method": "invite"})["detail"]


@pytest.mark.peer("promtool", "prometheus")
def test_promtool_accepts_the_metrics_and_calls_are_counted(tmp_path: Path) -> None:
    with running(tmp_path) as gateway, Phone(gateway.udp_port()) as phone:
        assert phone.ask("INVITE", "sip:ocschat@contoso.com")[0] == 504
        assert phone.ask("INVITE", "sip:nobody@contoso.com")[0] == 404
        text = gateway.ask("GET", "/metrics").body
        promtool = shutil.which("promtool")
        assert promtool is not None
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
        for line in (
            f'sipgw_calls_total{{endpoint="sip:ocschat@contoso.com",pool="{POOL}",result="unavailable"}} 1.0',
            'sipgw_calls_total{endpoint="",pool="",result="refused"} 1.0',
            'sipgw_failures_total{diagnostics="1003"} 1.0',
            'sipgw_failures_total{diagnostics="1011"} 1.0',
            'sipgw_responses_total{status="504"} 1.0',
            f'sipgw_call_setup_seconds_count{{pool="{POOL}"}} 1.0',
            f'sipgw_pool_server_up{{pool="{POOL}",role="active",server="tcp:127.0.0.1:9"}} 0.0',
            "sipgw_registrations 0.0",
        ):
            assert line in text.splitlines()


# beside calls


def test_calls_are_taken_where_the_address_is_not_to_be_had(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        config = write(tmp_path)
        port = other.getsockname()[1]
        config.write_text(config.read_text("utf-8").replace('listen = "127.0.0.1:0"', f'listen = "127.0.0.1:{port}"'))
        gateway = Gateway(config, tmp_path / "log")
        gateway.start()
        try:
            assert f"admin.listen 127.0.0.1:{port}: Address already in use" in gateway.said("no admin API")
            with Phone(gateway.udp_port()) as phone:
                assert phone.ask("INVITE", "sip:nobody@contoso.com")[0] == 404
        finally:
            gateway.stop()


def test_it_ends_in_time_while_somebody_is_connected(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=START)
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        with socket.create_connection(("127.0.0.1", gateway.port), START):
            assert gateway.stop() == 0
        connection.close()
    assert "Traceback" not in gateway.log.read_text("utf-8")


def test_a_bad_file_of_tokens_keeps_it_from_starting(tmp_path: Path) -> None:
    config = write(tmp_path, token=True)
    (tmp_path / "tokens").write_text("ops short\n")
    command = [sys.executable, "-m", "sipgw", "serve", "--config", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=START, check=False)
    assert ended.returncode == 1
    assert "tokens:1: a token of 5 characters" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


# the command line's way to it


def test_the_command_line_finds_the_gateway_of_its_store_and_no_other(guarded: Gateway, tmp_path: Path) -> None:
    config = load_config(guarded.config)
    here = replace(config, admin=config.admin.model_copy(update={"listen": ("127.0.0.1", guarded.port)}))
    found = running_gateway(here)
    assert found is not None
    assert found.gateway().pid == guarded.process.pid
    elsewhere = here.store.model_copy(update={"path": tmp_path / "other.db"})
    assert running_gateway(replace(here, store=elsewhere)) is None
    assert running_gateway(config) is None  # port 0 tells nothing
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = silent.getsockname()
        assert running_gateway(replace(here, admin=here.admin.model_copy(update={"listen": at}))) is None
    assert running_gateway(replace(here, admin=here.admin.model_copy(update={"listen": at}))) is None
    without = here.admin.model_copy(update={"token_file": None})
    with pytest.raises(
        ApiError, match=r"admin\.token_file: the gateway at \S+ wants a token, and no file is named; name the"
    ):
        running_gateway(replace(here, admin=without))


def test_held_by_user_is_an_error_of_its_own(gateway: Gateway, client: GatewayClient) -> None:
    with Phone(gateway.udp_port()) as phone:
        assert phone.ask("REGISTER", "sip:contoso.com", "held@contoso.com", "Expires: 600")[0] == 200
        with pytest.raises(HeldByUser, match="sign that user out first"):
            client.new_endpoint("held@contoso.com", POOL)
        assert json.loads(json.dumps(client.explain("INVITE", "sip:held@contoso.com")))["bindings"]
