"""Signals and the API of one gateway: they do not get into each other's way."""

import signal
from pathlib import Path

from tests.e2e.admin_gateway import Phone, running


def test_a_signal_is_on_record_as_one(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        text = gateway.config.read_text("utf-8")
        gateway.config.write_text(text + '[log]\nlevel = "debug"\n')
        gateway.process.send_signal(signal.SIGHUP)
        gateway.said("reloaded")
        entry = gateway.audit()[-1]
        assert entry["who"] == {"via": "signal", "name": "SIGHUP", "peer": ""}
        assert (entry["before"], entry["after"]) == ({"log.level": "info"}, {"log.level": "debug"})


def test_endpoints_of_the_command_line_are_seen_and_those_of_the_api_stay_over_a_reload(tmp_path: Path) -> None:
    with running(tmp_path) as gateway, Phone(gateway.udp_port()) as phone:
        wanted = {"sip_address": "second@contoso.com", "pool_fqdn": "pcpool.contoso.com"}
        assert gateway.ask("POST", "/api/v1/endpoints", wanted).status == 201
        gateway.process.send_signal(signal.SIGHUP)
        gateway.said("reloaded")
        assert gateway.ask("GET", "/api/v1/endpoints/second@contoso.com").status == 200
        assert phone.ask("INVITE", "sip:second@contoso.com")[0] == 504
