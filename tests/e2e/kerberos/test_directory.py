"""Users of a directory like Active Directory: tickets name them otherwise than their userPrincipalName does."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.kerberos.kdc import realm
from tests.e2e.kerberos.site import MARKS, client, enter, site
from tests.e2e.ldap.slapd import ADMIN, BASE, SECRET, slapd

pytestmark = [
    *MARKS,
    pytest.mark.peer("slapd", "slapd"),
    pytest.mark.skipif(find_spec("bonsai") is None, reason="bonsai is not built; Debian package: libldap-dev"),
]
PEOPLE = f"""
dn: dc=corp,{BASE}
objectClass: dcObject
objectClass: organization
dc: corp
o: Contoso

dn: cn=Alice,dc=corp,{BASE}
objectClass: user
cn: Alice
sn: x
sAMAccountName: alice
userPrincipalName: alice@contoso.com
msRTCSIP-PrimaryUserAddress: sip:alice@contoso.com
msRTCSIP-UserEnabled: TRUE
"""


async def test_a_ticket_for_the_implicit_principal_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with realm(tmp_path / "realm") as here, slapd(tmp_path / "ldap", PEOPLE) as directory:
        enter(monkeypatch, here.ticket("alice"))
        (tmp_path / "secret").write_text(SECRET)
        reading = f'[directory]\nbase = "{BASE}"\nbind_dn = "{ADMIN}"\npassword_file = "{tmp_path}/secret"\n'
        users = f"ldap://127.0.0.1:{directory.port}"
        async with site(tmp_path, here, users=users, more=reading) as (gateway, port):
            status, said = await client(port, "alice", "--rooms")
            assert status == 0, said
            await gateway.line("signed in", "alice@contoso.com")
