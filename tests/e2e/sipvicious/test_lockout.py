"""Who guesses passwords gets few tries, and the owner of the account goes on working meanwhile."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.sign_in.site import PASSWORD
from tests.e2e.sign_in.test_phones import HERE, MD5, Site, program, site
from tests.e2e.sign_in.test_sipvicious import DOMAIN, table, tool, words
from tests.ports import free_port

DESK = "127.0.0.2"  # where alice works; whoever guesses is at 127.0.0.1


async def signs_in(folder: Path, here: Site, at: str) -> bool:
    """Whether alice, with her password, is let in from an address of the loopback network."""
    text = (HERE / "phone_register.xml").read_text()
    for key, value in {"user": "alice", "account": "alice", "password": PASSWORD}.items():
        text = text.replace(f"{{{key}}}", value)
    scenario = folder / "register.xml"
    scenario.write_text(text)
    given = ["-sf", str(scenario), "-t", "u1", "-i", at, "-p", str(free_port()), "-m", "1", "-nostdin"]
    given += ["-auth_uri", "contoso.com", "-timeout", "20s", f"127.0.0.1:{here.port}"]
    async with program("sipp", *given, folder=folder) as sipp:
        return await sipp.wait() == 0


@pytest.mark.peer("sipp", "sip-tester")
@pytest.mark.peer("svcrack", "sipvicious")
async def test_the_owner_goes_on_while_somebody_guesses(tmp_path: Path) -> None:
    """From where he has signed in before. How long others wait is a matter for tests that can move the clock."""
    async with site(tmp_path, "udp", MD5) as here:
        assert await signs_in(tmp_path, here, DESK)
        guesses = words(tmp_path, "words", *(f"guess{number}" for number in range(60)))
        guessing = asyncio.create_task(tool(tmp_path, here.port, "svcrack", "-u", "alice", "-d", guesses, *DOMAIN))
        await here.gateway.line("too many failed sign-ins")
        assert await signs_in(tmp_path, here, DESK)
        assert "alice" not in table(await guessing)
        wrong = [line for line in here.gateway.log if "wrong password" in line]
        assert 3 < len(wrong) < 12, "of sixty guesses the others were not even looked at"
