"""The configuration file: what it takes, what it says about mistakes, and that its documentation is true."""

import re
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.config import Config, ConfigError, ListenAddress, default_config, load_config, parse_config, parse_listen
from sipgw.config.load import _TABLES
from sipgw.config.problems import keys
from sipgw.config.tables import EndpointTable, PoolTable, Table
from sipgw.registry import Endpoint, Pool, Server

DOCUMENTED = Path(__file__).parent.parent / "config/sipgw.toml"
POOL = {"fqdn": "pc.contoso.com", "servers": ["tcp:10.0.0.1:5041"]}


def config(tmp_path: Path, **tables: Any) -> Config:
    return parse_config(tables, tmp_path / "gw.toml")


def problems(tmp_path: Path, **tables: Any) -> list[str]:
    """What is wrong, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, **tables)
    prefix = f"{tmp_path / 'gw.toml'}: "
    assert all(line.startswith(prefix) and "\n" not in line for line in caught.value.problems)
    return [line.removeprefix(prefix) for line in caught.value.problems]


def test_embedded_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = load_config(None)
    assert found.source is None
    assert found.gateway.domains == ("contoso.com",)
    assert [str(address) for address in found.gateway.listen] == ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]
    service = "sip:GC-1-PersistentChatService-1@contoso.com"
    assert found.pools == (Pool("pcpool.contoso.com", (Server("TCP", "127.0.0.1", 5041),), service),)
    address, pool = "sip:ocschat@contoso.com", "pcpool.contoso.com"
    assert found.endpoints == (Endpoint(address, pool, "Legacy Group Chat", declared=True),)
    assert found.store.path == tmp_path / "sipgw.db"
    assert not found.uses_tls


def test_documented_file_is_the_embedded_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """So each default that the file states is the program's."""
    monkeypatch.chdir(DOCUMENTED.parent)
    documented = parse_config(tomllib.loads(with_endpoint(DOCUMENTED.read_text("utf-8"))), DOCUMENTED)
    embedded = default_config()
    for name in Config.__dataclass_fields__:
        if name not in ("source", "lines"):
            assert getattr(documented, name) == getattr(embedded, name), name


def test_documented_file_as_it_is_leaves_the_address_to_group_chat() -> None:
    """Its Lookup services may still sign in, and New-CsPersistentChatEndpoint finds the address free."""
    found = load_config(DOCUMENTED)
    assert found.endpoints == () and [pool.fqdn for pool in found.pools] == ["pcpool.contoso.com"]


def with_endpoint(text: str) -> str:
    """The documented file with the endpoint that it has as a comment, at its end."""
    before, mark, keys = text.partition("# [[endpoint]]\n")
    assert mark
    return before + "[[endpoint]]\n" + re.sub(r"^# (?=[a-z_]+ = )", "", keys, flags=re.MULTILINE)


def test_documented_file_has_every_key_and_no_other() -> None:
    text = with_endpoint(DOCUMENTED.read_text("utf-8"))
    data = tomllib.loads(text)
    data |= {name: data[name][0] for name in ("pool", "endpoint")}
    models: dict[str, type[Table]] = {**_TABLES, "pool": PoolTable, "endpoint": EndpointTable}
    for name, model in models.items():
        commented = re.findall(r"^# ([a-z_]+) = ", section(text, name), re.MULTILINE)
        assert sorted([*data[name], *commented]) == sorted(keys(model)), name
        assert not [key for key in commented if model.model_fields[key].default not in (None, "")], name


def test_documented_file_gives_every_key_a_reason() -> None:
    """Each key is preceded by a comment, its own or that of the keys it stands with."""
    is_key = re.compile(r"(# )?[a-z0-9_]+ = ").match
    for paragraph in DOCUMENTED.read_text("utf-8").split("\n\n"):
        lines = [line for line in paragraph.splitlines() if not line.startswith("[")]
        if any(is_key(line) for line in lines):
            assert lines[0].startswith("# ") and not is_key(lines[0]), lines[0]


def section(text: str, name: str) -> str:
    found = re.search(rf"^\[+{name}\]+$(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1]


def test_a_full_file(tmp_path: Path) -> None:
    for name in ("gw.pem", "gw.key", "ca.pem", "token"):
        (tmp_path / name).touch()
    (tmp_path / "gw.toml").write_text(
        """
[gateway]
fqdn = "SIP.contoso.com."
domains = ["contoso.com", "Fabrikam.com"]
listen = ["udp:0.0.0.0:5060", "tls:[::]:5061", "tcp:127.0.0.1:0"]
trusted_peers = ["10.0.0.0/8", "::1"]
[tls]
certificate = "gw.pem"
private_key = "gw.key"
ca = "ca.pem"
[store]
url = "sqlite:var/gw.db"
[auth]
trust_network = true
[[pool]]
fqdn = "a.contoso.com"
[[pool]]
fqdn = "B.contoso.com"
servers = ["tls:[2001:db8::1]:5041", "udp:chat:5060"]
service_uri = "sip:Chat@contoso.com"
[[endpoint]]
sip_address = "OcsChat@Fabrikam.com"
pool_fqdn = "b.Contoso.com"
display_name = " Old chat "
enabled = false
[admin]
listen = "[::]:8060"
token_file = "token"
[timers]
t1 = 1
""",
        "utf-8",
    )
    found = load_config(tmp_path / "gw.toml")
    assert found.gateway.fqdn == "sip.contoso.com"
    assert found.gateway.domains == ("contoso.com", "fabrikam.com")
    assert found.gateway.listen[1] == ListenAddress("TLS", "::", 5061)
    assert found.gateway.trusted_peers == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert found.tls.certificate == tmp_path / "gw.pem"
    assert found.store.path == tmp_path / "var/gw.db"
    first, second = found.pools
    assert first.servers == ()  # the name service is asked
    assert [first.service_uri, second.service_uri] == [
        "sip:GC-1-PersistentChatService-1@contoso.com",
        "sip:Chat@contoso.com",
    ]
    assert [str(server) for server in second.servers] == ["tls:[2001:db8::1]:5041", "udp:chat:5060"]
    endpoint = Endpoint("sip:ocschat@fabrikam.com", "b.contoso.com", "Old chat", declared=True, enabled=False)
    assert found.endpoints == (endpoint,)
    assert found.admin.listen == ("::", 8060)
    assert found.timers.t1 == 1.0
    assert found.uses_tls


def test_second_pool_gets_its_position(tmp_path: Path) -> None:
    found = config(tmp_path, pool=[POOL, POOL | {"fqdn": "b.contoso.com"}])
    assert found.pools[1].service_uri == "sip:GC-1-PersistentChatService-2@contoso.com"


def test_registry_of_a_config(tmp_path: Path) -> None:
    registry = config(tmp_path, pool=[POOL]).registry()
    pool = registry.pool_for("gc-1-persistentchatservice-1", "contoso.com")
    assert pool is not None and pool.fqdn == "pc.contoso.com"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("tcp:host", '"tcp:host" has no port; write transport:host:port'),
        ("tcp:host:", '"tcp:host:" has no port; write transport:host:port'),
        ("host:5041", '"host:5041" has no transport; write transport:host:port with udp, tcp or tls'),
        ("sctp:h:1", '"sctp:h:1" has no transport; write transport:host:port with udp, tcp or tls'),
        ("tcp:h:0", '"tcp:h:0" has port 0, which nobody can connect to; write transport:host:port'),
        ("tcp:h:65536", '"tcp:h:65536" has the port "65536"; write a number from 1 to 65535'),
        ("tcp:h:\u0665", '"tcp:h:\u0665" has the port "\u0665"; write a number from 1 to 65535'),
        ("tcp:::1:5060", '"tcp:::1:5060" has an IPv6 address without brackets; write it as [::1]'),
        ("tcp:[::1:5060", '"tcp:[::1:5060" has no ] after its IPv6 address; write transport:host:port'),
        ("tcp:[::1]", '"tcp:[::1]" has no port; write transport:host:port'),
        ("tcp:[h]:1", '"tcp:[h]:1" has no IPv6 address between its brackets'),
        ("tcp:999.1.1.1:1", '"tcp:999.1.1.1:1" has the host "999.1.1.1", which is neither an address nor a name'),
        ("tcp:a b:1", '"tcp:a b:1" has the host "a b", which is neither an address nor a name'),
        (5, "is 5; write a text in quotes"),
        (True, "is true; write a text in quotes"),
    ],
)
def test_wrong_servers(tmp_path: Path, written: object, text: str) -> None:
    assert problems(tmp_path, pool=[POOL | {"servers": [written]}]) == [f"pool[0].servers[0]: {text}"]


@pytest.mark.parametrize(
    ("table", "key", "value", "text"),
    [
        ("gateway", "fqdn", "a b", '"a b" is not a domain name; write one like chat.contoso.com'),
        ("gateway", "domains", [], "is empty; write at least one"),
        ("gateway", "domains", "contoso.com", 'is "contoso.com"; write an array in [ ]'),
        ("gateway", "domains", ["contoso.com", "CONTOSO.com"], "contoso.com is there twice; remove one"),
        ("gateway", "listen", ["udp:127.0.0.1:5", "UDP:127.0.0.1:5"], "udp:127.0.0.1:5 is there twice; remove one"),
        ("gateway", "workers", 0, "is 0; it has to be at least 1"),
        ("gateway", "workers", 65, "is 65; it has to be at most 64"),
        ("gateway", "worker_port", 65_536, "is 65536; it has to be at most 65535"),
        ("gateway", "workers", True, "is true; write a whole number"),
        ("gateway", "lisen", [], 'there is no such key; did you mean "listen"?'),
        ("tls", "ca", "nope.pem", "there is no file {folder}/nope.pem; paths start at the folder of this file"),
        ("store", "url", "redis://h", '"redis://h": redis arrives with a later release; write sqlite:FILE'),
        ("tls", "ca", "x" * 300, "{folder}/" + "x" * 300 + ": File name too long; name a file that this user can read"),
        ("tls", "ca", "a\0b", "a path cannot hold a null character"),
        ("store", "url", "sqlite:", '"sqlite:" is not a store; write sqlite:FILE'),
        (
            "store",
            "url",
            "sqlite::memory:",
            "registrations have to survive a restart, so the store is a file; write sqlite:FILE",
        ),
        ("store", "url", "gw.db", '"gw.db" is not a store; write sqlite:FILE'),
        ("store", "path", "gw.db", "there is no such key; the keys here are url"),
        ("auth", "schemes", "ntlm", 'is "ntlm"; write an array in [ ]'),
        ("auth", "trust_network", "yes", 'is "yes"; write true or false'),
        ("admin", "listen", "8060", '"8060" has no port; write host:port'),
        ("log", "level", "loud", 'is "loud"; write "debug", "info", "warning" or "error"'),
        ("limits", "max_bindings_per_user", 65, "is 65; it has to be at most 64"),
        ("limits", "max_transactions", 0, "is 0; it has to be at least 1"),
        ("limits", "max_transactions", 1.5, "is 1.5; write a whole number"),
        ("timers", "t1", "fast", 'is "fast"; write a number'),
        ("timers", "timer_c", 180, "is 180; it has to be more than 180.0"),
        ("timers", "t1", 5, "is 5; it has to be at most t2, which is 4"),
        (
            "registrar",
            "default_expires",
            1000,
            "is 1000; it has to lie between min_expires, which is 300, and max_expires, which is 900",
        ),
    ],
)
def test_wrong_values(tmp_path: Path, table: str, key: str, value: object, text: str) -> None:
    found = problems(tmp_path, **{table: {key: value}})
    place = f"{table}.{key}[0]" if text.startswith('"') and isinstance(value, list) else f"{table}.{key}"
    assert found == [f"{place}: {text.format(folder=tmp_path)}"]


@pytest.mark.parametrize(
    ("peer", "text"),
    [
        ("10.0.0.1/8", '"10.0.0.1/8" has bits beyond its prefix; write 10.0.0.0/8'),
        ("10.0.0", '"10.0.0" is neither a network nor a name; write one like 10.1.0.0/16 or sip.contoso.com'),
        ("*.local", '"*.local" is neither a network nor a name; write one like 10.1.0.0/16 or sip.contoso.com'),
    ],
)
def test_wrong_peers(tmp_path: Path, peer: str, text: str) -> None:
    assert problems(tmp_path, gateway={"trusted_peers": [peer]}) == [f"gateway.trusted_peers[0]: {text}"]


def test_kerberos_needs_a_keytab(tmp_path: Path) -> None:
    need = 'is missing, and auth.schemes has "kerberos"; name the file with the key of sip/sipgw.contoso.com'
    assert problems(tmp_path, auth={"schemes": ["kerberos"]}) == [f"auth.keytab: {need}"]
    (tmp_path / "gw.keytab").touch()
    assert config(tmp_path, auth={"schemes": ["kerberos"], "keytab": "gw.keytab"}).auth.schemes == ("kerberos",)


def test_peers_are_networks_or_names(tmp_path: Path) -> None:
    for name in ("gw.pem", "gw.key", "ca.pem"):
        (tmp_path / name).touch()
    tls: dict[str, Any] = {"certificate": "gw.pem", "private_key": "gw.key", "ca": "ca.pem"}
    gateway: dict[str, Any] = {"listen": ["tls:127.0.0.1:5061"], "trusted_peers": ["10.0.0.0/8", "Edge.contoso.com."]}
    found = config(tmp_path, tls=tls, gateway=gateway).gateway
    assert found.trusted_networks == (ip_network("10.0.0.0/8"),)
    assert found.trusted_names == ("edge.contoso.com",)
    need = "edge.contoso.com has to be proved by a certificate, for which there must be"
    advice = f"gateway.trusted_peers: {need} a tls listener, tls.ca and tls.ask_clients = true"
    assert problems(tmp_path, tls=tls | {"ask_clients": False}, gateway=gateway) == [advice]
    assert problems(tmp_path, tls=tls, gateway=gateway | {"listen": ["tcp:127.0.0.1:5060"]}) == [advice]
    assert problems(tmp_path, tls={**tls, "ca": ""}, gateway=gateway) == [advice]


@pytest.mark.parametrize("address", ["udp:0.0.0.0:5060", "tcp:[::]:5060", "tcp:10.0.0.1:5060", "tcp:gw.contoso.com:0"])
def test_listening_beyond_loopback_has_to_be_meant(tmp_path: Path, address: str) -> None:
    risk = f"is false, and with schemes = [] whoever reaches {address} can act as any user"
    advice = "listen on 127.0.0.1, or write true if that network is trusted"
    assert problems(tmp_path, gateway={"listen": [address]}) == [f"auth.trust_network: {risk}; {advice}"]
    assert config(tmp_path, gateway={"listen": [address]}, auth={"trust_network": True})


@pytest.mark.parametrize(
    ("peers", "all_of_them"),
    [
        (["0.0.0.0/0", "10.0.0.0/8"], "0.0.0.0/0"),
        (["10.0.0.1", "::/0"], "::/0"),
        (["128.0.0.0/1", "0.0.0.0/1"], "0.0.0.0/0"),
        (["sip.contoso.com", "8000::/1", "::/2", "4000::/2"], "::/0"),
    ],
)
def test_to_trust_everybody_has_to_be_meant(tmp_path: Path, peers: list[str], all_of_them: str) -> None:
    gateway = {"listen": ["udp:0.0.0.0:5060"], "trusted_peers": peers}
    found = [
        problem for problem in problems(tmp_path, gateway=gateway, auth={"schemes": ["ntlm"]}) if "everybody" in problem
    ]
    risk = f"with {all_of_them} whoever reaches udp:0.0.0.0:5060 can act as any user, and relay anywhere"
    advice = "name your servers' networks, or write trust_network = true in [auth] if that is meant"
    assert found == [f"gateway.trusted_peers: is everybody, and {risk}; {advice}"]
    addresses = [peer for peer in peers if peer != "sip.contoso.com"]
    meant = {"listen": ["udp:0.0.0.0:5060"], "trusted_peers": addresses}
    assert config(tmp_path, gateway=meant, auth={"trust_network": True})
    assert config(tmp_path, gateway={"listen": ["udp:127.0.0.1:5060"], "trusted_peers": addresses})


def test_half_of_the_world_is_what_one_may_trust(tmp_path: Path) -> None:
    peers = {"listen": ["udp:0.0.0.0:5060"], "trusted_peers": ["0.0.0.0/1", "8000::/1"]}
    assert config(tmp_path, gateway=peers, auth={"trust_network": True})
    assert not [each for each in problems(tmp_path, gateway=peers) if "everybody" in each]


@pytest.mark.parametrize("address", ["udp:127.0.0.9:5060", "tcp:[::1]:5060", "tcp:localhost:5060"])
def test_loopback_needs_no_trust(tmp_path: Path, address: str) -> None:
    assert config(tmp_path, gateway={"listen": [address]}).gateway.listen[0].is_loopback


def test_tls_needs_its_files(tmp_path: Path) -> None:
    (tmp_path / "gw.pem").touch()
    listener = problems(tmp_path, gateway={"listen": ["tls:127.0.0.1:5061"]})
    assert listener == [
        "tls.certificate: is missing, and the listener tls:127.0.0.1:5061 needs it; name a PEM file",
        "tls.private_key: is missing, and the listener tls:127.0.0.1:5061 needs it; name a PEM file",
    ]
    pool = "tls.ca: is missing, and pool pc.contoso.com, which is reached by TLS, needs it; name a PEM file"
    assert problems(tmp_path, pool=[{"fqdn": "pc.contoso.com"}]) == [pool]
    assert problems(tmp_path, pool=[POOL | {"servers": ["tls:h:5041"]}]) == [pool]
    assert config(tmp_path, pool=[POOL | {"servers": ["tls:h:5041"], "ca": "gw.pem"}])
    lone = "tls.private_key: is missing, and the certificate needs it; name a PEM file"
    assert problems(tmp_path, tls={"certificate": "gw.pem"}) == [lone]


def test_a_pool_has_the_files_of_the_gateway_or_its_own(tmp_path: Path) -> None:
    for name in ("gw.pem", "gw.key", "ca.pem", "b.pem", "b.key"):
        (tmp_path / name).touch()
    tls = {"certificate": "gw.pem", "private_key": "gw.key", "ca": "ca.pem"}
    other = {"fqdn": "b.contoso.com", "certificate": "b.pem", "private_key": "b.key"}
    found = config(tmp_path, tls=tls, pool=[POOL, other, {"fqdn": "c.contoso.com", "ca": "b.pem"}]).pool_tls
    assert {name: [path.name for path in files if path] for name, files in found.items()} == {
        "pc.contoso.com": ["gw.pem", "gw.key", "ca.pem"],
        "b.contoso.com": ["b.pem", "b.key", "ca.pem"],
        "c.contoso.com": ["gw.pem", "gw.key", "b.pem"],
    }
    for lone, missing, there in (("certificate", "private_key", "certificate"), ("private_key", "certificate", "key")):
        text = f"pool[0].{missing}: is missing, and the pool's {there} needs it; name a PEM file"
        assert problems(tmp_path, tls=tls, pool=[POOL | {lone: "b.pem"}]) == [text]


@pytest.mark.parametrize(
    ("listen", "server", "like"),
    [
        ("tcp:127.0.0.1:5060", "udp:10.0.0.1:5060", "udp:0.0.0.0:5060"),
        ("tcp:127.0.0.1:5060", "udp:chat.contoso.com:5060", "udp:0.0.0.0:5060"),
        ("udp:127.0.0.1:5060", "udp:[2001:db8::1]:5060", "udp:[::]:5060"),
        ("udp:[::1]:5060", "udp:10.0.0.1:5060", "udp:0.0.0.0:5060"),
        ("udp:[::1]:5060", "udp:chat.contoso.com:5060", ""),
        ("udp:127.0.0.1:5060", "udp:10.0.0.1:5060", ""),
    ],
)
def test_datagrams_need_an_address_to_leave_from(tmp_path: Path, listen: str, server: str, like: str) -> None:
    tables = {"gateway": {"listen": [listen]}, "pool": [POOL | {"servers": ["tcp:10.0.0.1:5041", server]}]}
    if not like:
        config(tmp_path, **tables)
        return
    text = f'gateway.listen has no address to send to {server} from; add one like "{like}", or reach it by tcp or tls'
    assert problems(tmp_path, **tables) == [f"pool[0].servers: {text}"]


def test_admin_beyond_loopback_needs_a_token(tmp_path: Path) -> None:
    text = "is missing, and admin.listen on 0.0.0.0 needs it; name a file, or listen on 127.0.0.1"
    assert problems(tmp_path, admin={"listen": "0.0.0.0:8060"}) == [f"admin.token_file: {text}"]


def endpoint(address: str, pool: str = "pc.contoso.com") -> dict[str, str]:
    return {"sip_address": address, "pool_fqdn": pool}


@pytest.mark.parametrize(
    ("tables", "place", "text"),
    [
        (
            {"endpoint": [{"pool_fqdn": "pc.contoso.com"}]},
            "endpoint[0].sip_address",
            'is missing; write sip_address = "sip:ocschat@contoso.com"',
        ),
        (
            {"endpoint": [endpoint("ocschat")]},
            "endpoint[0].sip_address",
            '"ocschat" is not of the form sip:user@domain',
        ),
        (
            {"endpoint": [endpoint("a@contoso.com", "x.y")]},
            "endpoint[0].pool_fqdn",
            "there is no [[pool]] x.y (pools: pc.contoso.com); add it",
        ),
        (
            {"endpoint": [endpoint("a@fabrikam.com")]},
            "endpoint[0].sip_address",
            "sip:a@fabrikam.com: the domain fabrikam.com is not served here; add it to gateway.domains (contoso.com)",
        ),
        (
            {"endpoint": [endpoint("a@contoso.com"), endpoint("sip:A@contoso.com")]},
            "endpoint[1].sip_address",
            "sip:a@contoso.com is a contact object twice; remove one",
        ),
        (
            {"endpoint": [endpoint("gc-1-PersistentChatService-1@contoso.com")]},
            "endpoint[0].sip_address",
            "sip:gc-1-persistentchatservice-1@contoso.com is a contact object twice; remove one",
        ),
        (
            {"pool": [POOL, POOL | {"service_uri": "b@contoso.com"}]},
            "pool[1].fqdn",
            "pc.contoso.com is a pool twice; remove one",
        ),
        ({"pool": {"fqdn": "x"}}, "pool", 'is {"fqdn": "x"}; write [[pool]]'),
        ({"gatway": {}}, "gatway", 'there is no such key; did you mean "gateway"?'),
        ({"gateway": 5}, "gateway", "is 5; write a table"),
    ],
)
def test_wrong_tables(tmp_path: Path, tables: dict[str, Any], place: str, text: str) -> None:
    assert problems(tmp_path, **{"pool": [POOL]} | tables) == [f"{place}: {text}"]


def test_a_key_like_no_other(tmp_path: Path) -> None:
    tables = "gateway, tls, store, auth, directory, admin, log, trace, limits, registrar, health, timers"
    tables += ", pool, endpoint"
    assert problems(tmp_path, **{"a b": 1}) == [f'"a b": there is no such key; the keys here are {tables}']


def test_everything_is_reported_at_once_and_nothing_that_only_follows(tmp_path: Path) -> None:
    """Broken servers are no TLS pool, a broken pool no reason to call its endpoint's pool unknown, and so on."""
    found = problems(
        tmp_path,
        gateway={"fqdn": 5, "domains": ["a b"], "workers": 3, "worker_port": 65_534},
        tls={"certificate": "no.pem"},
        auth={"scheme": []},
        pool=[{"fqdn": "a.b", "servers": ["tcp:host"]}, {"servers": ["tcp:host:1"]}],
        endpoint=[endpoint("x@fabrikam.com", "other")],
        registrar={"min_expires": 700},
    )
    assert [line.split(": ")[0] for line in found] == [
        "gateway.fqdn",
        "gateway.domains[0]",
        "tls.certificate",
        "auth.scheme",
        "pool[0].servers[0]",
        "pool[1].fqdn",
        "gateway.worker_port",
        "registrar.default_expires",
    ]


def test_unreadable_files(tmp_path: Path) -> None:
    cases = {
        "missing.toml": (None, " No such file or directory; name a configuration file"),
        "broken.toml": (b"\n[gateway\n", "2: not TOML: "),
        "ending.toml": (b"\n\n[gateway]\nlisten = [", "4: not TOML: "),
        "doubled.toml": (b"[log]\r\nlevel = 1\r\nlevel = 2\r\n", "3: not TOML: "),
        "binary.toml": (b"\n\r\n\xff\xfe", "3: not UTF-8, which TOML has to be"),
    }
    for name, (content, text) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert str(caught.value).startswith(f"{path}:{text}")
        assert len(caught.value.problems) == 1


@given(st.sampled_from(["udp", "tcp", "tls"]), st.ip_addresses(), st.integers(0, 65535))
def test_listen_addresses_survive_a_round_trip(transport: str, host: Any, port: int) -> None:
    address = ListenAddress(transport.upper(), str(host), port)
    assert parse_listen(str(address)) == address


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KNOWN_KEYS = sorted({key for model in _TABLES.values() for key in keys(model)} | {"fqdn", "servers", "sip_address"})


TABLES = st.dictionaries(st.sampled_from(KNOWN_KEYS), VALUES)


@given(st.dictionaries(st.sampled_from([*_TABLES, "pool", "endpoint"]), VALUES | TABLES | st.lists(TABLES, max_size=3)))
def test_any_content_is_taken_or_explained(tables: dict[str, Any]) -> None:
    """Never another exception, never a line without a place."""
    try:
        parse_config(tables, Path("/nowhere/gw.toml"))
    except ConfigError as error:
        assert all(re.match(r"/nowhere/gw\.toml: \S+.*: \S", line) for line in error.problems)
