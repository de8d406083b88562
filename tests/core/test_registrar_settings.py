"""What the configuration says to the registrar, and what is said about mistakes in it."""

from pathlib import Path
from typing import Any

import pytest

from sipgw.config import ConfigError, parse_config
from sipgw.server.settings import engine_settings


def registrar(**keys: Any) -> Any:
    return engine_settings(parse_config({"registrar": keys}, Path("gw.toml")), b"0" * 32).registrar


def test_there_is_no_service_route_by_default() -> None:
    assert registrar().service_route == ()


def test_a_service_route() -> None:
    route = ["sip:edge.contoso.com;lr", "sips:[2001:db8::1]:5061;transport=tls;lr"]
    assert registrar(service_route=route).service_route == tuple(route)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("sip:edge.contoso.com;lr", 'service_route: is "sip:edge.contoso.com;lr"; write an array in [ ]'),
        ([5060], "service_route[0]: is 5060; write a text in quotes"),
        (["sip:edge.contoso.com"], "no loose router; write it with ;lr at its end"),
        (["sip:edge.contoso.com;lr?Subject=x"], "no loose router"),
        (
            ["edge.contoso.com"],
            "service_route[0]: not a URI: 'edge.contoso.com'; write one like sip:proxy.contoso.com;lr",
        ),
        (["tel:1;lr"], "the URI scheme 'tel' is not supported; write one like"),
        (["sip:edge.contoso.com;lr>,<sip:x;lr"], "a character or escape is not allowed in a URI"),
    ],
)
def test_what_is_no_service_route(value: object, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        registrar(service_route=value)
    (problem,) = caught.value.problems
    assert problem.startswith("gw.toml: registrar.service_route")
    assert text in problem


def test_the_time_of_day_is_handed_on() -> None:
    config = parse_config({}, Path("gw.toml"))
    assert engine_settings(config, b"0" * 32).wall_offset is None
    assert engine_settings(config, b"0" * 32, 12.5).wall_offset == 12.5
