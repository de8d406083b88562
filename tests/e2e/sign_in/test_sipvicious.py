"""SIPVicious, which people look for open servers with, learns that there is a server and nothing more."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.sign_in.test_phones import MD5, PATIENCE, site
from tests.ports import free_port

NAMES = ("alice", "bob", "carol", "ocschat", "nobody", "2000")
DOMAIN = ("--domain", "contoso.com")
pytestmark = pytest.mark.peer("svwar", "sipvicious")


async def tool(folder: Path, port: int, name: str, *arguments: str) -> str:
    """Run one of its programs to its end; what it has said."""
    local = ("-P", str(free_port()), "-b", "127.0.0.1")
    process = await asyncio.create_subprocess_exec(
        name, "-p", str(port), *local, *arguments, "127.0.0.1",
        cwd=folder, env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode("utf-8", "replace")


def words(folder: Path, name: str, *listed: str) -> str:
    path = folder / name
    path.write_text("\n".join([*listed, ""]))
    return str(path)


def table(said: str) -> set[str]:
    """The first column of the table that it ends with."""
    return {line.split("|")[1].strip() for line in said.splitlines() if line.startswith("| ")} - {"Extension"}


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS"])
async def test_it_finds_no_user(tmp_path: Path, method: str) -> None:
    async with site(tmp_path, "udp", MD5) as here:
        names = words(tmp_path, "names", *NAMES)
        said = await tool(tmp_path, here.port, "svwar", "-m", method, "-d", names, *DOMAIN)
        assert "authentication request for an unknown extension" in said and "found nothing" in said
        forced = await tool(tmp_path, here.port, "svwar", "-m", method, "-d", names, *DOMAIN, "--force")
        assert table(forced).isdisjoint(NAMES), "at most the user that it has made up"


async def test_it_finds_no_password(tmp_path: Path) -> None:
    """Its list has the password, behind more words than anybody may try."""
    async with site(tmp_path, "udp", MD5) as here:
        guesses = words(tmp_path, "words", *(f"guess{number}" for number in range(30)), "secret")
        said = await tool(tmp_path, here.port, "svcrack", "-u", "alice", "-d", guesses, *DOMAIN)
        assert "alice" not in table(said) and "secret" not in said
        await here.gateway.line("too many failed sign-ins")
        assert not any("signed in" in line for line in here.gateway.log)
        assert not any("guess" in line for line in here.gateway.log), "what was tried is nobody's business"


async def test_it_does_not_learn_what_the_server_is(tmp_path: Path) -> None:
    async with site(tmp_path, "udp", MD5) as here:
        said = await tool(tmp_path, here.port, "svmap")
        assert f"127.0.0.1:{here.port}" in said and "sipgw" not in said.lower()
