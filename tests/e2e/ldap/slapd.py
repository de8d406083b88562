"""A real directory on loopback, stopped and started by its process."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port

BASE, ADMIN, SECRET = "dc=contoso,dc=com", "cn=admin,dc=contoso,dc=com", "directory secret"
SCHEMA = Path(__file__).parent / "active_directory.schema"
CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include {schema}
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
{tls}
sizelimit size.soft=3 size.hard=3 size.pr=1000 size.prtotal=unlimited
database mdb
suffix "{base}"
rootdn "cn=root,{base}"
directory {folder}/data
access to attrs=userPassword by * auth
access to * by dn.exact="{admin}" read by * none
"""
TLS = """
TLSCertificateFile {certificate}
TLSCertificateKeyFile {private_key}
TLSCACertificateFile {ca}
"""
PEOPLE = f"""
dn: {BASE}
objectClass: dcObject
objectClass: organization
dc: contoso
o: Contoso

dn: {ADMIN}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: admin
userPassword: {SECRET}

"""


def person(logon: str, **attributes: str | list[str]) -> str:
    """An entry as LDIF; `_` in an attribute's name stands for a hyphen."""
    lines = [f"dn: cn={logon},{BASE}", "objectClass: user", f"cn: {logon}", "sn: x", f"sAMAccountName: {logon}"]
    for name, value in attributes.items():
        values = [value] if isinstance(value, str) else value
        lines += [f"{name.replace('_', '-')}: {one}" for one in values]
    return "\n".join(lines) + "\n\n"


class Slapd:
    """`port` on 127.0.0.1. What a directory holds is written while it is stopped."""

    def __init__(self, folder: Path, tls: Mapping[str, Path] | None = None) -> None:
        self._folder = folder
        (folder / "data").mkdir(parents=True)
        self.port = free_port()
        text = CONFIG.format(schema=SCHEMA, folder=folder, base=BASE, admin=ADMIN, tls=TLS.format(**tls) if tls else "")
        self._config = folder / "slapd.conf"
        self._config.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None
        self.add(PEOPLE)

    def add(self, ldif: str) -> None:
        """Add entries while it is stopped."""
        assert self._process is None
        done = self._run("-Tadd", "-f", str(self._config), text=ldif)
        assert done.returncode == 0, done.stderr

    def clear(self) -> None:
        """Take all entries away but the two that it is made with, while it is stopped."""
        assert self._process is None
        shutil.rmtree(self._folder / "data")
        (self._folder / "data").mkdir()
        self.add(PEOPLE)

    def _run(self, *arguments: str, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["slapd", *arguments], input=text, capture_output=True, text=True, timeout=20)

    def start(self) -> None:
        assert self._process is None
        address = f"ldap://127.0.0.1:{self.port}/"
        self._process = subprocess.Popen(
            ["slapd", "-d", "0", "-h", address, "-f", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None, "slapd ended"
            time.sleep(0.02)
        raise AssertionError("slapd does not listen")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


@contextmanager
def slapd(folder: Path, ldif: str, tls: Mapping[str, Path] | None = None) -> Iterator[Slapd]:
    """A directory that has these entries, and runs."""
    server = Slapd(folder, tls)
    try:
        server.add(ldif)
        server.start()
        yield server
    finally:
        server.stop()
