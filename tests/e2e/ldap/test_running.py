"""A running gateway whose users are in a directory: who signs in by NTLM while that is there, away, and changed."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from sipgw.auth.password import nt_hash
from tests.e2e.ldap.slapd import ADMIN, BASE, SECRET, person, slapd
from tests.e2e.sign_in.site import site
from tests.e2e.test_client_auth import client

pytestmark = [
    pytest.mark.peer("slapd", "slapd"),
    pytest.mark.skipif(find_spec("bonsai") is None, reason="bonsai is not built; Debian package: libldap-dev"),
]
READING = f"""
[directory]
base = "{BASE}"
bind_dn = "{ADMIN}"
password_file = "directory.secret"
nt_hash_attribute = "sambaNTPassword"
netbios_domain = "CORP"
refresh = 1
"""


def alice(enabled: bool = True, password: str = "secret") -> str:
    return person(
        "alice",
        msRTCSIP_PrimaryUserAddress="sip:alice@contoso.com",
        msRTCSIP_UserEnabled=str(enabled).upper(),
        sambaNTPassword=nt_hash(password).hex().upper(),
    )


async def test_there_away_and_back_with_a_user_who_is_disabled(tmp_path: Path) -> None:
    (tmp_path / "directory.secret").write_text(SECRET)
    with slapd(tmp_path / "ldap", alice()) as directory:
        users = f'users = "ldap://127.0.0.1:{directory.port}"'
        async with site(tmp_path, "ntlm", auth=users, more=READING) as here:

            async def signs_in(password: str = "secret") -> tuple[int, str]:
                return await client(here, tmp_path, "--rooms", login="CORP\\alice", password=password)

            await here.gateway.line("directory read", "users=1")
            status, said = await signs_in()
            assert status == 0, said
            directory.stop()
            await here.gateway.line("directory away")
            status, said = await signs_in()
            assert status == 0, said
            status, said = await signs_in("another")
            assert status == 1 and "401" in said
            directory.clear()
            directory.add(alice(enabled=False))
            read = len(here.lines("directory read"))
            directory.start()
            while len(here.lines("directory read")) == read:
                await here.gateway.more()
            status, said = await signs_in()
            assert status == 1 and "403" in said and "the account is disabled" in said
            assert SECRET not in "\n".join(here.gateway.log)
