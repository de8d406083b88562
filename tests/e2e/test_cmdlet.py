"""`sipgw cmdlet`, `sipgw backup` and `sipgw restore` beside a running gateway, each in a process of its own."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.admin_gateway import running
from tests.e2e.programs import sipgw, write_config
from tests.e2e.sign_in.site import site

ALICE, BOB = "sip:alice@contoso.com", "sip:bob@contoso.com"
TEST = f"Test-CsPersistentChatMessage -SenderSipAddress {ALICE} -ReceiverSipAddress {BOB}"
CHAT = "New-CsPersistentChatEndpoint -SipAddress sip:chat@contoso.com -PersistentChatPoolFqdn pcpool.contoso.com"


async def ran(*arguments: str | Path) -> tuple[int, str]:
    async with sipgw(*arguments) as program:
        status = await program.process.wait()
        await program.stop()
        return status, "\n".join(program.log)


async def objects(line: str, config: Path) -> tuple[int, list[dict[str, Any]]]:
    status, text = await ran("cmdlet", line, "--json", "--config", config)
    return status, json.loads(text)


def two_servers(config: Path, first: int, second: int) -> None:
    text = config.read_text().replace('["tcp:127.0.0.1:9"]', f'["tcp:127.0.0.1:{first}", "tcp:127.0.0.1:{second}"]')
    config.write_text(text)


async def test_a_synthetic_transaction_goes_through_the_gateway(tmp_path: Path) -> None:
    async with sipgw("pool", "--listen", "tcp:127.0.0.1:0", "--room", "Lobby", "--room", "Hall") as pool:
        config = write_config(tmp_path, f"tcp:127.0.0.1:{(await pool.ports())['tcp']}")
        async with sipgw("serve", "--config", config) as gateway:
            await gateway.ports()
            status, (result,) = await objects(TEST, config)
            assert status == 0 and (result["Result"], result["Error"], result["Diagnosis"]) == ("Success", "", "")
            assert result["TargetFqdn"] == "127.0.0.1" and result["Latency"].startswith("00:00:0")
            status, (result,) = await objects(f"{TEST} -TargetFqdn pcpool.contoso.com -ChatRoomUri 'x\\Hall'", config)
            assert (status, result["Result"], result["TargetFqdn"]) == (0, "Success", "pcpool.contoso.com")
            status, (result,) = await objects(f"{TEST} -ChatRoomUri Attic; Get-CsService", config)
            assert (status, result["Result"]) == (1, "Failure")
            assert "there is no room 'Attic'; there are: Hall, Lobby" in result["Error"]
            assert f"while joining {ALICE} to Attic" in result["Diagnosis"]
            status, (result,) = await objects(f"{TEST} -ContactObject sip:gone@contoso.com", config)
            assert (status, result["Result"]) == (1, "Failure")
            assert "User does not exist" in result["Error"] and "sipgw explain INVITE" in result["Diagnosis"]
        port = (await gateway.ports())["tcp"]
        status, text = await ran("cmdlet", f"{TEST} -TargetFqdn localhost.localdomain -rp {port}", "--config", config)
        assert status == 1 and "Result        : Failure" in text and "Error Message : " in text, text


async def test_servers_are_taken_out_and_put_back(tmp_path: Path) -> None:
    """New dialogs go where the active servers are; the gateway is not restarted."""
    async with (
        sipgw("pool", "--listen", "tcp:127.0.0.1:0", "--room", "Lobby") as first,
        sipgw("pool", "--listen", "tcp:127.0.0.1:0", "--room", "Hall") as second,
    ):
        ports = (await first.ports())["tcp"], (await second.ports())["tcp"]
        config = write_config(tmp_path, "tcp:127.0.0.1:9")
        two_servers(config, *ports)
        async with sipgw("serve", "--config", config) as gateway:
            await gateway.ports()
            assert (await objects(f"{TEST} -ChatRoomUri Lobby", config))[1][0]["Result"] == "Success"
            for lines, room in (
                (f'Set-CsPersistentChatActiveServer -ActiveServers @{{Remove="127.0.0.1:{ports[0]}"}}', "Hall"),
                ("Set-CsPersistentChatActiveServer -Identity service:pcpool.contoso.com -Swap", "Lobby"),
                ("Set-CsPersistentChatState -PoolState Normal", "Lobby"),
            ):
                seen = len([line for line in gateway.log if "pool changed" in line])
                assert (await ran("cmdlet", lines, "--config", config))[0] == 0
                while len([line for line in gateway.log if "pool changed" in line]) == seen:
                    await gateway.more()
                assert (await objects(f"{TEST} -ChatRoomUri {room}", config))[1][0]["Result"] == "Success"


async def test_a_store_comes_back_while_the_gateway_runs(tmp_path: Path) -> None:
    async with sipgw("pool", "--listen", "tcp:127.0.0.1:0", "--room", "Lobby") as pool:
        config = write_config(tmp_path, f"tcp:127.0.0.1:{(await pool.ports())['tcp']}", endpoint=False)
        async with sipgw("serve", "--config", config) as gateway:
            server = f"tcp:127.0.0.1:{(await gateway.ports())['tcp']}"
            assert (await ran("cmdlet", CHAT, "--config", config))[0] == 0
            await gateway.line("endpoints changed", "added=sip:chat@contoso.com")
            async with sipgw("client", "--user", BOB, "--server", server, "--contact-object", "sip:chat@contoso.com",
                             "--join", "Lobby", "--expect", "after all") as bob:  # fmt: skip
                await bob.line("joined Lobby")
                status, text = await ran("backup", tmp_path / "copy", "--config", config)
                assert status == 0 and "1 endpoints, 0 states of pools, 1 registrations" in text
                assert (await ran("cmdlet", "Get-CsPersistentChatEndpoint | Remove-CsPersistentChatEndpoint",
                                  "--config", config))[0] == 0  # fmt: skip
                await gateway.line("endpoints changed", "removed=sip:chat@contoso.com")
                (tmp_path / "bad").write_text("no store")
                assert (await ran("restore", tmp_path / "bad", "--config", config))[0] == 1
                restored = len(gateway.log)
                assert (await ran("restore", tmp_path / "copy", "--config", config))[0] == 0
                while not any("added=sip:chat@contoso.com" in line for line in gateway.log[restored:]):
                    await gateway.more()
                said = ("--contact-object", "sip:chat@contoso.com", "--join", "Lobby", "--say", "after all")
                assert (await ran("client", "--user", ALICE, "--server", server, *said))[0] == 0
                async with asyncio.timeout(30):
                    assert await bob.process.wait() == 0


@pytest.mark.parametrize("scheme", ["ntlm", "digest"])
async def test_a_synthetic_transaction_signs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("SIPGW_SENDER_PASSWORD", "secret")
    monkeypatch.setenv("SIPGW_RECEIVER_PASSWORD", "bob's secret")
    async with site(tmp_path, scheme) as signing_in:
        status, (result,) = await objects(f"{TEST} -SenderCredential alice -ReceiverCredential bob", signing_in.config)
        assert (status, result["Result"]) == (0, "Success"), result
        monkeypatch.setenv("SIPGW_RECEIVER_PASSWORD", "wrong")
        status, (result,) = await objects(f"{TEST} -SenderCredential alice -ReceiverCredential bob", signing_in.config)
        assert (status, result["Result"]) == (1, "Failure")
        assert f"while signing in {BOB}" in result["Diagnosis"] and "secret" not in str(result)


async def test_a_running_gateway_is_asked_through_its_api(tmp_path: Path) -> None:
    """What is made is in effect at once, and the gateway knows by whom."""
    with running(tmp_path, token=True) as gateway:
        free, taken = (f'[admin]\nlisten = "127.0.0.1:{port}"' for port in (0, gateway.port))
        assert free in gateway.config.read_text()
        gateway.config.write_text(gateway.config.read_text().replace(free, taken))
        pool = "-PersistentChatPoolFqdn pcpool.contoso.com"
        line = f"New-CsPersistentChatEndpoint -SipAddress new@contoso.com {pool} -DisplayName 'New chat' -PassThru"
        status, (made,) = await objects(line, gateway.config)
        assert (status, made["SipAddress"], made["Declared"]) == (0, "sip:new@contoso.com", False)
        assert "endpoint made" in gateway.log.read_text() and "token ops" in gateway.log.read_text()
        addresses = [one["sip_address"] for one in gateway.ask("GET", "/api/v1/endpoints").body["endpoints"]]
        assert addresses == ["sip:ocschat@contoso.com", "sip:new@contoso.com"]
        shown = await objects("Get-CsPersistentChatEndpoint | select SipAddress", gateway.config)
        assert shown[1] == [{"SipAddress": address} for address in addresses]
        status, text = await ran("cmdlet", line, "--config", gateway.config)
        assert status == 1 and "exists already, in the store" in text and "AlreadyExists,New-Cs" in text
        assert (await ran("endpoint", "remove", "New chat", "--config", gateway.config))[0] == 0
        assert len(gateway.ask("GET", "/api/v1/endpoints").body["endpoints"]) == 1
        status, text = await ran("cmdlet", "Remove-CsPersistentChatEndpoint ocschat@contoso.com", "--config",
                                 gateway.config)  # fmt: skip
        assert status == 1 and "is declared in the configuration file; remove it there" in text
        (gateway.config.parent / "tokens").write_text("another-token-of-somebody")
        status, text = await ran("cmdlet", "Get-CsPersistentChatEndpoint", "--config", gateway.config)
        assert status == 1 and "sipgw.toml: admin.token_file: the gateway at " in text
