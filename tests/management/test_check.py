"""`sipgw check`: each thing that stands in the way of `serve` is a line, and only then is the status 1."""

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from sipgw.config import load_config
from sipgw.core.health import Health, HealthSettings
from sipgw.events import Hop
from sipgw.registry import Endpoint
from sipgw.server.running import RunningFile
from sipgw.server.store import Store
from tests.management.conftest import Run, edit
from tests.management.pool_server import answer_to, answering


@pytest.fixture
def pool_port() -> Iterator[int]:
    """A pool's server that answers."""
    with answering() as port:
        yield port


def lines(out: str) -> list[str]:
    return [" ".join(line.split()) for line in out.splitlines()]


def test_all_is_well(sipgw: Run, gw: Path, pool_port: int, tmp_path: Path) -> None:
    edit(gw, ("tcp:127.0.0.1:1", f"tcp:127.0.0.1:{pool_port}"))
    found = sipgw("check")
    assert lines(found.out) == [
        f"ok config: {gw}: sipgw.contoso.com serves contoso.com; pools: 1, endpoints declared: 1",
        f"ok store: {tmp_path / 'sipgw.db'} will be made",
        "note auth: schemes = []: nobody signs in, and whoever reaches a listener is who they say they are",
        "ok gateway.listen: udp:127.0.0.1:0 is free",
        "ok gateway.listen: tcp:127.0.0.1:0 is free",
        f"ok pool pc.contoso.com: tcp:127.0.0.1:{pool_port} answers OPTIONS with 200 Scripted",
    ]
    assert found.status == 0
    assert not (tmp_path / "sipgw.db").exists(), "asking makes no file"


def test_configuration_mistakes(sipgw: Run, gw: Path) -> None:
    edit(gw, ("[gateway]", "[gateway]\nworkers = 2\nworker_port = 65_535\nfqdn = 5"))
    found = sipgw("check")
    assert found.status == 1
    assert [line.split(":")[0] for line in lines(found.out)] == ["FAIL config", "FAIL config"]


def test_workers(sipgw: Run, gw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    assert verdicts(sipgw, "gateway.workers") == []
    edit(gw, ("[gateway]", "[gateway]\nworkers = 2"))
    assert verdicts(sipgw, "gateway.workers") == ["ok gateway.workers: 2 of 2 cores"]
    edit(gw, ("workers = 2", "workers = 3"))
    advice = "3 share 2, which is slower than one each; write 2 or less"
    assert verdicts(sipgw, "gateway.workers") == [f"note gateway.workers: {advice}"]


def test_ports_of_workers(sipgw: Run, gw: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        edit(gw, ("[gateway]", f"[gateway]\nworkers = 1\nworker_port = {port}"))
        assert verdicts(sipgw, "gateway.worker_port") == []
        edit(gw, ("workers = 1", "workers = 2"))
        (found,) = verdicts(sipgw, "gateway.worker_port")[:1]
        assert found.startswith(f"FAIL gateway.worker_port: udp:127.0.0.1:{port}: in use by another program")


def verdicts(sipgw: Run, subject: str) -> list[str]:
    """The lines about one thing, without the place of what is wrong; the pool is down, so the status is 1 whatever else
    is found."""
    found = sipgw("check")
    assert found.status == 1
    return [re.sub(r" \(/[^()]+\.toml:[0-9]+\)\Z", "", one) for one in lines(found.out) if f" {subject}: " in one]


def test_what_is_wrong_is_told_with_its_place(sipgw: Run, gw: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        edit(gw, ("tcp:127.0.0.1:0", f"tcp:127.0.0.1:{port}"))
        found = lines(sipgw("check").out)
    (taken,) = [one for one in found if one.startswith("FAIL gateway.listen")]
    assert taken.endswith(f" ({gw}:3)")


def test_pool_is_down(sipgw: Run) -> None:
    text = "tcp:127.0.0.1:1: Connection refused; start it, or correct pool.servers"
    assert verdicts(sipgw, "pool pc.contoso.com") == [f"FAIL pool pc.contoso.com: {text}"]


def test_pool_by_udp(sipgw: Run, gw: Path) -> None:
    edit(gw, ("tcp:127.0.0.1:1", "udp:127.0.0.1:1"))
    text = "udp:127.0.0.1:1: Connection refused; start it, or correct pool.servers"
    assert verdicts(sipgw, "pool pc.contoso.com") == [f"FAIL pool pc.contoso.com: {text}"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]

        def answer() -> None:
            data, source = server.recvfrom(65_536)
            server.sendto(b"\r\n\r\n", source)
            server.sendto(answer_to(data, 404), source)

        answering_once = threading.Thread(target=answer)
        answering_once.start()
        edit(gw, ("udp:127.0.0.1:1", f"udp:127.0.0.1:{port}"))
        found = sipgw("check")
        answering_once.join()
    assert found.status == 0
    assert f"ok pool pc.contoso.com: udp:127.0.0.1:{port} answers OPTIONS with 404 Scripted" in lines(found.out)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (503, " answers OPTIONS with 503 Scripted: it takes no calls; look at its load"),
        (-1, " takes connections, but did not answer OPTIONS within 0.2 s; look at it, or name another server"),
        (0, " closed the connection when it was asked with OPTIONS; look at it, or name another server"),
        (b"SIP/2.0 200 OK\r\nContent-Length: x\r\n\r\n", " takes connections, but it does not speak SIP: "),
        (
            b"INFO sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n" * 21,
            " takes connections, but it says other things than an ",
        ),
    ],
    ids=["busy", "silent", "hangs up", "no SIP", "talks of something else"],
)
def test_pool_that_takes_connections_and_no_calls(sipgw: Run, gw: Path, status: int | bytes, text: str) -> None:
    patience = 0.2 if status == -1 else 10.0  # a busy machine may be slow
    with answering(status) as port:
        edit(gw, ("tcp:127.0.0.1:1", f"tcp:127.0.0.1:{port}"))
        edit(gw, ("[gateway]", f"[timers]\nfirst_response = {patience}\n[gateway]"))
        (found,) = verdicts(sipgw, "pool pc.contoso.com")
        assert found.startswith(f"FAIL pool pc.contoso.com: tcp:127.0.0.1:{port}{text}")


def test_what_the_gateway_that_runs_knows_of_a_server(sipgw: Run, gw: Path, pool_port: int) -> None:
    """It answers again, and calls are still taken elsewhere."""
    edit(gw, ("tcp:127.0.0.1:1", f"tcp:127.0.0.1:{pool_port}"))
    config, health = load_config(gw), Health(HealthSettings(interval=10.0))
    health.failed(Hop("TCP", "127.0.0.1", pool_port), "timeout", 100.0, certain=True)
    file = RunningFile(config.store.path)
    file.look(config, [], health, 160.0)
    try:
        found = sipgw("check")
    finally:
        file.close()
    line = next(line for line in lines(found.out) if " pool pc.contoso.com: " in line)
    assert line.startswith(
        f"note pool pc.contoso.com: tcp:127.0.0.1:{pool_port} answers OPTIONS with 200 Scripted, but "
    )
    assert " the gateway that runs has it down since " in line and line.endswith(" UTC: timeout")
    assert found.status == 0


def test_pool_without_an_active_server(sipgw: Run, gw: Path, pool_port: int) -> None:
    """By command, and by the file: each has its own way back."""
    edit(gw, ("tcp:127.0.0.1:1", f"tcp:127.0.0.1:{pool_port}"))
    assert sipgw("check").status == 0
    assert sipgw("pool-state", "set", "pc.contoso.com", "--none").status == 0
    said = "FAIL pool pc.contoso.com: no active server: all are drained, and no new dialog is taken; "
    assert verdicts(sipgw, "pool pc.contoso.com")[-1] == f"{said}sipgw pool-state set pc.contoso.com --normal"
    assert sipgw("pool-state", "set", "pc.contoso.com", "--normal").status == 0
    assert sipgw("check").status == 0
    edit(gw, ("[[pool]]", '[[pool]]\ndrained = ["127.0.0.1"]'))
    assert verdicts(sipgw, "pool pc.contoso.com")[-1] == f"{said}take one out of pool.drained, and reload"


def test_pool_whose_state_was_set_by_command(sipgw: Run, gw: Path, pool_port: int) -> None:
    edit(gw, ('["tcp:127.0.0.1:1"]', f'["tcp:127.0.0.1:{pool_port}", "tcp:127.0.0.1:1"]'))
    assert sipgw("pool-state", "set", "pc.contoso.com", "--remove", "127.0.0.1:1").status == 0
    found = sipgw("check")
    text = f"set by command: active tcp:127.0.0.1:{pool_port}, inactive tcp:127.0.0.1:1; "
    back = "sipgw pool-state set pc.contoso.com --normal puts it back as configured"
    assert f"note pool pc.contoso.com: {text}{back}" in lines(found.out)
    assert found.status == 0


def test_ports_in_use(sipgw: Run, gw: Path, pool_port: int) -> None:
    edit(gw, ("tcp:127.0.0.1:0", f"tcp:127.0.0.1:{pool_port}"))
    assert verdicts(sipgw, "gateway.listen") == [
        "ok gateway.listen: udp:127.0.0.1:0 is free",
        f"FAIL gateway.listen: tcp:127.0.0.1:{pool_port}: in use by another program, "
        "or by a gateway that has another store",
    ]


def test_an_address_of_another_machine(sipgw: Run, gw: Path) -> None:
    edit(gw, ("tcp:127.0.0.1:0", "tcp:192.0.2.1:0"), ("[gateway]", "[auth]\ntrust_network = true\n[gateway]"))
    text = "tcp:192.0.2.1:0: this machine does not have that address"
    assert verdicts(sipgw, "gateway.listen")[1] == f"FAIL gateway.listen: {text}"


def test_store(sipgw: Run, gw: Path, tmp_path: Path) -> None:
    path = tmp_path / "sipgw.db"
    store = Store.open(path)
    assert verdicts(sipgw, "store") == [f"ok store: {path} is writable; endpoints made by command: 0"]
    store.add_endpoint(Endpoint("sip:x@contoso.com", "gone.contoso.com"), 0)
    problem = "stored endpoint sip:x@contoso.com: gone.contoso.com is not a configured pool (pools: pc.contoso.com)"
    remedy = "put the [[pool]] gone.contoso.com back and reload, or sipgw endpoint remove sip:x@contoso.com"
    assert verdicts(sipgw, "store") == [
        f"ok store: {path} is writable; endpoints made by command: 1",
        f"FAIL store: {problem}; {remedy}",
    ]
    store.close()
    path.write_bytes(b"?" * 999)
    text = f"store {path}: file is not a database; name another file in store.url"
    assert verdicts(sipgw, "store") == [f"FAIL store: {text}"]
    edit(gw, ("[gateway]", '[store]\nurl = "sqlite:nowhere/gw.db"\n[gateway]'))
    folder = tmp_path / "nowhere"
    text = f"{folder / 'gw.db'} cannot be made; make the folder {folder} writable"
    assert verdicts(sipgw, "store") == [f"FAIL store: {text}"]


@pytest.fixture
def authority(gw: Path, tmp_path: Path) -> trustme.CA:
    """Its certificate is ca.pem; the gateway listens by TLS with gw.pem and gw.key."""
    edit(
        gw,
        ("tcp:127.0.0.1:0", "tls:127.0.0.1:0"),
        ("[gateway]", '[tls]\ncertificate = "gw.pem"\nprivate_key = "gw.key"\nca = "ca.pem"\n[gateway]'),
    )
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issue(authority, tmp_path)
    return authority


def issue(authority: trustme.CA, folder: Path, name: str = "sipgw.contoso.com", until: datetime | None = None) -> None:
    since = datetime.now(UTC) - timedelta(days=9)
    certificate = authority.issue_cert(name, not_before=since, not_after=until)
    certificate.private_key_pem.write_to_path(folder / "gw.key")
    certificate.cert_chain_pems[0].write_to_path(folder / "gw.pem")


def test_certificate(sipgw: Run, authority: trustme.CA, tmp_path: Path) -> None:
    assert verdicts(sipgw, "tls.ca") == [f"ok tls.ca: {tmp_path / 'ca.pem'}: authorities: 1"]
    assert verdicts(sipgw, "tls.certificate") == [
        f"ok tls.certificate: {tmp_path / 'gw.pem'} and {tmp_path / 'gw.key'} belong together",
        "ok tls.certificate: is valid for sipgw.contoso.com to whoever trusts tls.ca",
    ]


def test_certificate_of_another_name(sipgw: Run, authority: trustme.CA, tmp_path: Path) -> None:
    issue(authority, tmp_path, "other.contoso.com")
    text = "Hostname mismatch, certificate is not valid for 'sipgw.contoso.com'"
    assert verdicts(sipgw, "tls.certificate")[1] == f"FAIL tls.certificate: for sipgw.contoso.com and tls.ca: {text}"


def test_certificate_that_has_expired(sipgw: Run, authority: trustme.CA, tmp_path: Path) -> None:
    issue(authority, tmp_path, until=datetime.now(UTC) - timedelta(days=1))
    text = "for sipgw.contoso.com and tls.ca: certificate has expired"
    assert verdicts(sipgw, "tls.certificate")[1] == f"FAIL tls.certificate: {text}"


def test_certificate_of_another_authority_may_be_meant(sipgw: Run, authority: trustme.CA, tmp_path: Path) -> None:
    issue(trustme.CA(), tmp_path)
    assert verdicts(sipgw, "tls.certificate")[1].startswith("note tls.certificate: for sipgw.contoso.com and tls.ca: ")


def test_key_of_another_certificate(sipgw: Run, authority: trustme.CA, tmp_path: Path) -> None:
    authority.issue_cert("x.y").private_key_pem.write_to_path(tmp_path / "gw.key")
    text = f"{tmp_path / 'gw.key'} is not the key of {tmp_path / 'gw.pem'}; name the files that were made together"
    assert verdicts(sipgw, "tls.certificate") == [f"FAIL tls.certificate: {text}"]


def test_files_that_are_not_pem(sipgw: Run, authority: trustme.CA, tmp_path: Path) -> None:
    for name in ("gw.pem", "ca.pem"):
        (tmp_path / name).write_text("nothing of the kind")
    assert verdicts(sipgw, "tls.ca")[0].endswith("; name a readable file of PEM certificates in ca")
    assert verdicts(sipgw, "tls.certificate")[0].endswith(
        "; name readable, unencrypted PEM files in certificate and private_key"
    )


@pytest.mark.parametrize(
    ("name", "grade", "text"),
    [
        ("pc.contoso.com", "ok", "answers OPTIONS with 200 Scripted"),
        ("other.contoso.com", "FAIL", "certificate is not valid for 'pc.contoso.com')"),
        ("*.contoso.com", "FAIL", "its certificate is for pc.contoso.com by a wildcard only, not used in SIP"),
    ],
)
def test_pool_by_tls_has_to_prove_its_name(
    sipgw: Run, authority: trustme.CA, gw: Path, name: str, grade: str, text: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with answering(context=context) as port:
        edit(gw, ("tcp:127.0.0.1:1", f"tls:127.0.0.1:{port}"))
        found = lines(sipgw("check").out)[-1]
    assert found.startswith(f"{grade} pool pc.contoso.com: ")
    assert found.endswith(text)


def test_pool_that_wants_a_certificate_of_ours(sipgw: Run, authority: trustme.CA, gw: Path) -> None:
    """With TLS 1.3 it says so when the handshake is over for us."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("pc.contoso.com").configure_cert(context)
    trustme.CA().configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with answering(context=context) as port:
        edit(gw, ("tcp:127.0.0.1:1", f"tls:127.0.0.1:{port}"))
        found = lines(sipgw("check").out)[-1]
    assert found.endswith("the other side does not know the authority of our certificate")


def test_pool_by_tls_whose_certificate_ends_soon(sipgw: Run, authority: trustme.CA, gw: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    until = datetime.now(UTC) + timedelta(days=3.5)
    authority.issue_cert("pc.contoso.com", not_after=until).configure_cert(context)
    with answering(context=context) as port:
        edit(gw, ("tcp:127.0.0.1:1", f"tls:127.0.0.1:{port}"))
        found = lines(sipgw("check").out)[-1]
    assert found.startswith("note ")
    assert found.endswith("answers OPTIONS with 200 Scripted, but its certificate expires soon, days left: 3")


@pytest.mark.parametrize(
    ("days", "grade", "text"), [(12.5, "note", "days left: 12; replace it"), (-1.5, "FAIL", "; replace it")]
)
def test_certificate_that_ends(
    sipgw: Run, authority: trustme.CA, tmp_path: Path, days: float, grade: str, text: str
) -> None:
    issue(authority, tmp_path, until=datetime.now(UTC) + timedelta(days=days))
    found = verdicts(sipgw, "tls.certificate")[-1]
    assert found.startswith(f"{grade} tls.certificate: {tmp_path / 'gw.pem'} (sipgw.contoso.com) ")
    assert found.endswith(text)


def test_certificate_of_a_pool(sipgw: Run, authority: trustme.CA, gw: Path, tmp_path: Path) -> None:
    """Its own files have their own verdicts; those of the gateway are told once."""
    own = authority.issue_cert("gw.fabrikam.com")
    own.cert_chain_pems[0].write_to_path(tmp_path / "pool.pem")
    own.private_key_pem.write_to_path(tmp_path / "pool.key")
    edit(gw, ("[[pool]]", '[[pool]]\ncertificate = "pool.pem"\nprivate_key = "pool.key"'))
    together = f"{tmp_path / 'pool.pem'} and {tmp_path / 'pool.key'} belong together"
    assert verdicts(sipgw, "pool pc.contoso.com.certificate") == [f"ok pool pc.contoso.com.certificate: {together}"]
    assert len(verdicts(sipgw, "tls.ca")) == 1
    (tmp_path / "pool.key").write_text("nothing")
    (failed,) = verdicts(sipgw, "pool pc.contoso.com.certificate")
    assert failed.endswith("; name readable, unencrypted PEM files in certificate and private_key")
