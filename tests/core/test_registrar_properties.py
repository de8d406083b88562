"""Whatever is registered in whatever order, with a store that fails now and then: what is in the location service is
what the store holds, and neither grows beyond its bounds."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sipgw.core.location import ROW, Binding
from sipgw.core.registrar import RegistrarSettings
from sipgw.message import Response
from tests.harness import DOMAIN, Party, World

MOST, MOST_OF_A_USER = 3, 2
CONTACTS = ["sip:a@h", "sip:%61@H", "sip:a@h;x=1", "sip:b@h", "sips:b@h", "tel:1"]

contact = st.builds(
    lambda uri, instance, reg_id, expires: "".join(
        [
            f"<{uri}>",
            f';+sip.instance="<{instance}>"' if instance else "",
            f";reg-id={reg_id}" if reg_id else "",
            "" if expires is None else f";expires={expires}",
        ]
    ),
    st.sampled_from(CONTACTS),
    st.sampled_from(["", "i1", "i2"]),
    st.integers(0, 2),
    st.sampled_from([None] * 8 + [0, 0, 300, 900, 1]),
)
step = st.fixed_dictionaries(
    {
        "user": st.integers(0, 1),
        "contacts": st.one_of(*[st.lists(contact, min_size=1, max_size=3)] * 4, st.sampled_from([["*"], []])),
        "expires": st.sampled_from([None, None, None, 0, 600]),
        "supported": st.sampled_from(["", "outbound, gruu", "gruu-10"]),
        "call_id": st.sampled_from(["c1", "c2"]),
        "late": st.sampled_from([False] * 5 + [True]),
        "fails": st.sampled_from([False, False, True]),
        "pause": st.sampled_from([0.0, 1.0, 1.0, 200.0, 500.0]),
        "breaks": st.sampled_from(["", "", "before", "meanwhile"]),
    }
)


class Story:
    """A world, and a store that is kept by following what the engine asks to be stored."""

    def __init__(self) -> None:
        limits = RegistrarSettings(max_bindings_per_user=MOST_OF_A_USER)
        self.world = World(registrar=limits, max_bindings=MOST)
        self.world.store = "holds"
        self.stored: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self.parties = [self.world.phone(name, "TCP") for name in ("alice", "bob")]
        self.cseq = 10

    def play(self, what: dict[str, Any]) -> None:
        self.pass_time(what["pause"])
        party = self.parties[what["user"]]
        if what["breaks"] == "before":
            party.break_connection()
            party.connect()
        self.cseq += 0 if what["late"] else 1
        lines = [f"Contact: {', '.join(what['contacts'])}"] if what["contacts"] else []
        lines += [] if what["expires"] is None else [f"Expires: {what['expires']}"]
        lines += [f"Supported: {what['supported']}"] if what["supported"] else []
        party >> party.request(
            "REGISTER", f"sip:{DOMAIN}", *lines, to=party.uri, call_id=what["call_id"], cseq=self.cseq
        )
        if what["breaks"] == "meanwhile" and self.world.held:
            party.break_connection()
            party.connect()
        self.settle("disk full" if what["fails"] else None)
        self.check(party)

    def settle(self, error: str | None) -> None:
        """Let the store answer, and keep what it committed."""
        for persist in self.world.held:
            if error is None:
                for key in persist.deletes:  # type: ignore[union-attr]
                    self.stored.pop(key, None)
                for row in persist.puts:  # type: ignore[union-attr]
                    self.stored[Binding(row).key] = row
        self.world.release(error)

    def pass_time(self, seconds: float) -> None:
        self.world.advance(seconds)
        self.settle(None)

    def check(self, party: Party) -> None:
        answer = party.inbox.pop() if party.inbox else None  # lost with the connection
        held = list(self.world.engine.location)
        assert {binding.key: binding.row() for binding in held} == self.stored
        assert len(held) == len(self.stored) == self.world.engine.sizes().bindings <= MOST
        assert self.world.engine.sizes().parked == 0
        flows = self.world.engine.layer.flows
        assert all(binding.flow is None or binding.flow.cid in flows for binding in held)
        for user in ("alice", "bob"):
            assert sum(binding.aor == f"{user}@{DOMAIN}" for binding in held) <= MOST_OF_A_USER
        if isinstance(answer, Response) and answer.status == 200:
            mine = [binding for binding in held if binding.aor == f"{party.name}@{DOMAIN}"]
            assert len(answer.values("contact")) == len(mine)


@settings(max_examples=200)
@given(st.lists(step, min_size=3, max_size=15))
def test_memory_and_store_agree(steps: list[dict[str, Any]]) -> None:
    story = Story()
    for what in steps:
        story.play(what)
    location = story.world.engine.location
    story.pass_time(1000.0)
    assert story.stored == {}
    assert location.count == 0
    assert not location._by_handle
    assert not location._by_cid
    assert len(ROW) == 13
