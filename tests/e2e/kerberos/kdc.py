"""Real key distribution centres on loopback, each in a folder of its own: realms with alice, bob and the gateway."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port

REALM, FQDN = "CORP.CONTOSO.COM", "sipgw.contoso.com"
PASSWORD = "secret"
START = 15.0  # seconds that a centre may take to listen
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_KRB5 = """
[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
udp_preference_limit = 1
[domain_realm]
.contoso.com = CORP.CONTOSO.COM
[realms]
"""
_KDC = """
[kdcdefaults]
kdc_listen = ""
kdc_tcp_listen = 127.0.0.1:{port}
[logging]
kdc = FILE:{folder}/kdc.log
[realms]
{realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
  max_life = 1h
}}
"""


class Realm:
    """What a program needs to take part is in `environment`; `keytab` has the gateway's key, and one of HTTP.

    `clock` is what its time differs by, as faketime has it ("-2h"), "" for nothing.
    """

    def __init__(self, folder: Path, name: str, clock: str = "") -> None:
        self.folder, self.name, self.port = folder, name, 0
        self.keytab = folder / "gateway.keytab"
        files = {"KRB5_CONFIG": str(folder / "krb5.conf"), "KRB5_KDC_PROFILE": str(folder / "kdc.conf")}
        self.environment = {**os.environ, **files, "PATH": _PATH, **(clock_off(clock) if clock else {})}

    def run(self, *command: str, text: str = "", environment: Mapping[str, str] | None = None) -> None:
        done = subprocess.run(
            command, input=text, env=environment or self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    def admin(self, *command: str) -> None:
        self.run("kadmin.local", "-r", self.name, *command)

    def add_key(self, service: str) -> None:
        """A new key for a service, into the keytab as well. Keys that it had stay in there."""
        self.admin("ktadd", "-k", str(self.keytab), service)

    def ticket(self, user: str, *options: str) -> dict[str, str]:
        """A user's own environment, with a ticket."""
        mine = {**self.environment, "KRB5CCNAME": f"FILE:{self.folder / user}.tickets"}
        self.run("kinit", *options, f"{user}@{self.name}", text=f"{PASSWORD}\n", environment=mine)
        return mine

    def fill(self) -> None:
        """Make the database."""
        self.configure([self])
        (self.folder / "acl").touch()
        self.run("kdb5_util", "create", "-s", "-r", self.name, "-P", "master")
        for user in ("alice", "bob"):
            self.admin("addprinc", "-pw", PASSWORD, user)
        for service in (f"sip/{FQDN}", f"HTTP/{FQDN}"):
            self.admin("addprinc", "-randkey", service)
            self.add_key(service)

    def configure(self, known: Sequence["Realm"]) -> None:
        """Whose centres programs of this realm are to find."""
        (self.folder / "kdc.conf").write_text(_KDC.format(realm=self.name, port=self.port, folder=self.folder))
        centres = [f"{realm.name} = {{\n  kdc = 127.0.0.1:{realm.port}\n}}\n" for realm in known]
        (self.folder / "krb5.conf").write_text(_KRB5.format(realm=self.name) + "".join(centres))

    def start(self) -> subprocess.Popen[bytes]:
        """Start the centre on a free port; another if somebody takes that meanwhile."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            self.port = free_port()
            self.configure([self])
            process = subprocess.Popen(
                ["krb5kdc", "-n", "-r", self.name], env=self.environment,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            if self._listens(process, deadline):
                return process
            _end(process)
        raise AssertionError(self._log())

    def _listens(self, process: subprocess.Popen[bytes], deadline: float) -> bool:
        while process.poll() is None and time.monotonic() < deadline:
            if "commencing operation" in self._log():
                return True
            time.sleep(0.01)
        return False

    def _log(self) -> str:
        path = self.folder / "kdc.log"
        return path.read_text() if path.exists() else ""


@dataclass(frozen=True)
class Trust:
    """`local` lets in whom `foreign` vouches for."""

    local: Realm
    foreign: Realm


@contextmanager
def realm(folder: Path, name: str = REALM, clock: str = "") -> Iterator[Realm]:
    """A realm of which alice, bob and the gateway are principals."""
    folder.mkdir(parents=True, exist_ok=True)
    here = Realm(folder, name, clock)
    here.fill()
    process = here.start()
    try:
        yield here
    finally:
        _end(process)


@contextmanager
def trust(folder: Path) -> Iterator[Trust]:
    """Our realm, and EVIL.TEST, which ours trusts."""
    with realm(folder / "local") as local, realm(folder / "foreign", "EVIL.TEST") as foreign:
        for each in (local, foreign):
            each.admin("addprinc", "-pw", "shared", f"krbtgt/{local.name}@{foreign.name}")
            each.configure([local, foreign])
        yield Trust(local, foreign)


def clock_off(by: str) -> dict[str, str]:
    """Variables with which a program takes the time for another one: "-2h", "+10m"."""
    found = subprocess.run(["faketime", "-f", "+0s", "printenv", "LD_PRELOAD"], capture_output=True, text=True)
    return {"LD_PRELOAD": found.stdout.strip(), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()
