"""States of pools over their configuration: who gets new dialogs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.registry import NoServer, Pool, PoolState, Registry, Server, ServersUnknown
from sipgw.registry.pool_changes import changes, swaps, to_state
from sipgw.registry.pool_state import (
    active_servers,
    applied,
    find_servers,
    inactive_servers,
    role_of,
    servers_called,
    shown_names,
)

ONE, TWO, THREE = "tcp:10.0.0.1:5041", "tcp:10.0.0.1:5042", "tls:chat3.contoso.com:5041"
SERVERS = (
    Server("TCP", "10.0.0.1", 5041),
    Server("TCP", "10.0.0.1", 5042),
    Server("TLS", "chat3.contoso.com", 5041),
)
PLAIN = Pool("pc.contoso.com", SERVERS, "sip:GC-1@contoso.com")
STANDBY = Pool("pc.contoso.com", SERVERS, "sip:GC-1@contoso.com", standby=frozenset({THREE}))
BY_ADDRESS = Pool("pc.contoso.com", SERVERS, "sip:GC-1@contoso.com", drained=frozenset({"10.0.0.1"}))
BY_NAME = Pool("dns.contoso.com", (), "sip:GC-2@contoso.com", standby=frozenset({"10.1.0.5"}))
FRESH = PoolState("pc.contoso.com")


def roles(pool: Pool) -> str:
    return " ".join(role_of(pool, server) for server in pool.servers)


def after(pool: Pool, wanted: dict[str, list[str]], state: PoolState = FRESH) -> PoolState:
    return changes([pool], wanted)[pool.fqdn](state)


@pytest.mark.parametrize(
    ("pool", "wanted", "found"),
    [
        (PLAIN, {"Remove": ["10.0.0.1:5041"]}, "drained active active"),
        (PLAIN, {"Remove": ["10.0.0.1"]}, "drained drained active"),
        (PLAIN, {"Remove": [ONE], "Add": [TWO]}, "drained active active"),
        (PLAIN, {"Replace": ["CHAT3.contoso.com"]}, "drained drained active"),
        (PLAIN, {"Replace": []}, "drained drained drained"),
        (STANDBY, {"Add": ["chat3.contoso.com"]}, "active active active"),
        (STANDBY, {"Replace": [ONE]}, "active drained drained"),
        (BY_ADDRESS, {"Add": [ONE]}, "active drained active"),
    ],
)
def test_changes(pool: Pool, wanted: dict[str, list[str]], found: str) -> None:
    assert roles(applied(pool, after(pool, wanted))) == found


def test_what_is_as_configured_leaves_no_trace() -> None:
    state = after(STANDBY, {"Add": [THREE]})
    assert not state.is_as_configured
    assert after(STANDBY, {"Remove": [THREE]}, state).is_as_configured
    assert after(STANDBY, {"Remove": [THREE]}).is_as_configured, "it is not active"
    assert swaps([STANDBY])[STANDBY.fqdn](swaps([STANDBY])[STANDBY.fqdn](FRESH)).is_as_configured


def test_a_pool_fails_over_and_back() -> None:
    state = to_state(STANDBY, True)(FRESH)
    assert state.failed_over and roles(applied(STANDBY, state)) == "drained drained active"
    assert to_state(STANDBY, False)(state).is_as_configured
    alone = to_state(PLAIN, True)(FRESH)
    assert alone.failed_over and applied(PLAIN, alone) == PLAIN


@given(
    st.lists(st.sampled_from(["add", "remove", "exactly", "swap", "over", "back"])), st.sets(st.sampled_from(range(3)))
)
def test_a_server_is_active_or_not_and_a_swap_is_undone_by_another(steps: list[str], chosen: set[int]) -> None:
    names = [str(SERVERS[at]) for at in sorted(chosen)]
    state = FRESH
    for step in steps:
        if step in ("add", "remove", "exactly"):
            verb = {"add": "Add", "remove": "Remove", "exactly": "Replace"}[step]
            made = changes([STANDBY], {verb: names}).get(STANDBY.fqdn)
            state = made(state) if made is not None else state
        elif step == "swap":
            state = swaps([STANDBY])[STANDBY.fqdn](state)
        else:
            state = to_state(STANDBY, step == "over")(state)
        pool = applied(STANDBY, state)
        assert sorted(active_servers(pool) + inactive_servers(pool)) == sorted(map(str, SERVERS))
        if step == "exactly":
            assert active_servers(pool) == [str(server) for server in SERVERS if str(server) in names]
    swap = swaps([STANDBY])[STANDBY.fqdn]
    assert active_servers(applied(STANDBY, swap(swap(state)))) == active_servers(applied(STANDBY, state))


def test_a_pool_whose_servers_the_name_service_knows() -> None:
    state = after(BY_NAME, {"Remove": ["10.1.0.7"], "Add": ["10.1.0.5"]}, PoolState("dns.contoso.com"))
    pool = applied(BY_NAME, state)
    assert (pool.standby, pool.drained) == (frozenset(), frozenset({"10.1.0.7"}))
    assert inactive_servers(pool) == ["10.1.0.7"]
    undone = after(BY_NAME, {"Add": ["10.1.0.7"]}, PoolState("dns.contoso.com", inactive=frozenset({"10.1.0.7"})))
    assert undone.is_as_configured
    for wanted in ({"Replace": ["10.1.0.5"]}, {"Replace": list[str]()}):
        with pytest.raises(ServersUnknown, match="known to the name service alone"):
            after(BY_NAME, wanted)
    with pytest.raises(ServersUnknown):
        swaps([BY_NAME])
    with pytest.raises(NoServer, match=r'no pool has a server "chat1" \(servers: by address only\)'):
        after(BY_NAME, {"Add": ["chat1"]})


def test_names_of_servers() -> None:
    assert shown_names(PLAIN) == {ONE: ONE, TWO: TWO, THREE: "chat3.contoso.com"}
    assert servers_called(PLAIN, " TCP:10.0.0.1:5042 ") == [TWO]
    assert servers_called(PLAIN, "chat3") == []
    assert find_servers([PLAIN, BY_NAME], "10.0.0.1") == {"pc.contoso.com": [ONE, TWO], "dns.contoso.com": ["10.0.0.1"]}
    with pytest.raises(NoServer, match=f"servers: {ONE}, {TWO}, chat3.contoso.com"):
        find_servers([PLAIN], "10.0.0.9")


def test_the_registry_goes_by_states() -> None:
    registry = Registry([PLAIN], domains=["contoso.com"])
    registry.replace_states([PoolState("PC.contoso.com", inactive=frozenset({ONE, "tcp:gone:1"}))])
    changed = registry.pool("pc.CONTOSO.com")
    assert changed is not None and changed.drained == {ONE}
    assert registry.pool_for("gc-1", "contoso.com") is changed and registry.pools == (changed,)
    assert registry.configured == (PLAIN,)
    registry.replace_states([PoolState("gone.contoso.com", failed_over=True), PoolState("pc.contoso.com")])
    assert registry.pools == (PLAIN,)
    assert registry.problems() == ["state of pool gone.contoso.com is stored: no such pool"]
