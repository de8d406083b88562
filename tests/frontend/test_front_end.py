"""Self-subscriptions, provisioning, SERVICE, and the real client's whole session."""

from xml.etree import ElementTree

import pytest

from sipgw.frontend import notifications
from sipgw.frontend.notifier import MAX_UNANSWERED
from sipgw.message import Response, parse_message
from sipgw.registry import Endpoint, Pool, Registry, Server
from tests.harness import (
    DOMAIN,
    POOL_SERVERS,
    SERVICE_URI,
    SIPE,
    Dialog,
    MakeWorld,
    Party,
    World,
    default_endpoint,
    default_pool,
    reply,
)
from tests.harness import sipe_message as sipe

SIP = "{http://schemas.microsoft.com/2006/09/sip/provisiongrouplist-notification}"
OTHER_POOL = Pool(
    "pool2.example.test", (Server("TCP", "192.0.2.61", 5041),), f"sip:GC-1-PersistentChatService-2@{DOMAIN}"
)


def properties(answer: Response) -> dict[str, str]:
    """The persistentChatConfiguration of a provisioning document."""
    root = ElementTree.fromstring(answer.body)
    assert root.tag == f"{SIP}provisionGroupList"
    (group,) = root.findall(f"{SIP}provisionGroup")
    assert group.get("name") == "persistentChatConfiguration"
    return {str(item.get("name")): item.text or "" for item in group.iter(f"{SIP}property")}


def subscribe(party: Party, event: str, *headers: str) -> Response:
    """As a Lync client subscribes: the notification comes with the answer."""
    supported = "Supported: ms-piggyback-first-notify"
    party >> party.request("SUBSCRIBE", party.uri, f"Event: {event}", supported, *headers)
    answer: Response = party << 200
    party.nothing()
    return answer


def test_roaming_contacts(alice: Party) -> None:
    alice >> sipe("02")
    answer = alice << 200
    assert answer.first("event") == "vnd-microsoft-roaming-contacts"
    assert answer.first("content-type") == "application/vnd-microsoft-roaming-contacts+xml"
    assert answer.first("ms-piggyback-cseq") == "1"
    assert answer.first("subscription-state") == "active;expires=7200"
    assert answer.first("expires") == "7200"
    assert answer.to_tag
    assert ElementTree.fromstring(answer.body).tag.endswith("contactList")


def test_provisioning(alice: Party) -> None:
    """Group chat starts in the client only when this was processed."""
    alice >> sipe("03")
    answer = alice << 200
    assert answer.first("event") == "vnd-microsoft-provisioning-v2"
    assert answer.first("content-type") == "application/vnd-microsoft-roaming-provisioning-v2+xml"
    assert answer.first("ms-piggyback-cseq") == "1"
    assert answer.first("expires") == "0"
    assert answer.first("subscription-state") == "terminated;expires=0"
    assert properties(answer) == {
        "EnablePersistentChat": "true",
        "DefaultPersistentChatPoolUri": f"sip:ocschat@{DOMAIN}",
        "PersistentChatPoolUris": SERVICE_URI,
    }


@pytest.mark.parametrize(
    ("endpoints", "named"),
    [
        ([], None),
        ([("ocschat", DOMAIN, "pc1")], f"sip:ocschat@{DOMAIN}"),
        ([("ocschat", "other.test", "pc2")], "sip:ocschat@other.test"),
        ([("ocschat", "other.test", "pc1"), ("chat", DOMAIN, "pc2")], f"sip:chat@{DOMAIN}"),
        ([("second", DOMAIN, "pc2"), ("first", DOMAIN, "pc1")], f"sip:first@{DOMAIN}"),
        ([("ocschat", DOMAIN, "gone")], None),
    ],
)
def test_who_is_provisioned_with_which_contact_object(endpoints: list[tuple[str, str, str]], named: str | None) -> None:
    """That of the user's own SIP domain, else that of the first pool; without any the legacy service is looked for."""
    pools = [Pool(f"pc{n}.{DOMAIN}", POOL_SERVERS, f"sip:service{n}@{DOMAIN}") for n in (1, 2)]
    made = [Endpoint(f"sip:{user}@{host}", f"{pool}.{DOMAIN}", declared=True) for user, host, pool in endpoints]
    registry = Registry(pools, stored=made, domains=(DOMAIN, "other.test"))
    document = ElementTree.fromstring(notifications.provisioning(registry, DOMAIN))
    found = {each.get("name"): each.text for each in document.iter() if each.tag.endswith("property")}
    assert found["EnablePersistentChat"] == ("true" if named else "false")
    assert found.get("DefaultPersistentChatPoolUri") == named


def test_roaming_self(alice: Party) -> None:
    alice >> sipe("04")
    answer = alice << 200
    assert answer.first("event") == "vnd-microsoft-roaming-self"
    root = ElementTree.fromstring(answer.body)
    assert [child.tag.partition("}")[2] for child in root] == ["categories", "containers", "subscribers"]
    assert root[0].get("uri") == f"sip:alice@{DOMAIN}"


def test_the_user_is_escaped_in_documents(world: World) -> None:
    odd = world.phone("a&b", "UDP")
    root = ElementTree.fromstring(subscribe(odd, "vnd-microsoft-roaming-self").body)
    assert root[0].get("uri") == f"sip:a&b@{DOMAIN}"


def provisioned(world: World) -> dict[str, str]:
    return properties(subscribe(world.phone("alice"), "vnd-microsoft-provisioning-v2"))


def test_provisioning_without_pools(make_world: MakeWorld) -> None:
    assert provisioned(make_world([], [])) == {"EnablePersistentChat": "false"}


def test_a_pool_that_no_endpoint_leads_to_is_not_in_use_yet(make_world: MakeWorld) -> None:
    """Before the cut-over clients have to go on finding the legacy service by their own guess."""
    assert provisioned(make_world(endpoints=[])) == {"EnablePersistentChat": "false"}


def test_provisioning_passes_over_what_is_disabled_or_another_pools(make_world: MakeWorld) -> None:
    endpoints = [
        default_endpoint(user="other", pool=OTHER_POOL.fqdn),
        default_endpoint(user="off", enabled=False),
        default_endpoint(user="on", pool="PCPOOL.example.test"),
    ]
    found = provisioned(make_world([default_pool(), OTHER_POOL], endpoints))
    assert found["DefaultPersistentChatPoolUri"] == f"sip:on@{DOMAIN}"
    assert found["PersistentChatPoolUris"] == f"{SERVICE_URI} {OTHER_POOL.service_uri}"


@pytest.mark.parametrize(
    "event",
    ["vnd-microsoft-provisioning", "vnd-microsoft-roaming-ACL", "presence", "presence.wpending", "Presence;id=1"],
)
def test_packages_with_nothing_to_tell(world: World, event: str) -> None:
    answer = subscribe(world.phone("alice"), event)
    assert answer.first("event") == event.partition(";")[0]
    assert answer.body == b""
    assert "content-type" not in answer.index


@pytest.mark.parametrize("event", ["dialog", "", "vnd-microsoft-provisioning-v3"])
def test_unknown_packages(world: World, event: str) -> None:
    alice = world.phone("alice")
    alice >> alice.request("SUBSCRIBE", alice.uri, f"Event: {event}")
    answer = alice << 489
    assert "vnd-microsoft-provisioning-v2" in (answer.first("allow-events") or "")


@pytest.mark.parametrize(
    ("asked", "granted"), [("600", "600"), ("99999", "7200"), ("x", "7200"), ("0", "0"), ("9" * 30, "7200")]
)
def test_subscription_intervals(world: World, asked: str, granted: str) -> None:
    answer = subscribe(world.phone("alice"), "presence", f"Expires: {asked}")
    assert answer.first("expires") == granted


def test_a_subscription_is_ended_at_the_contact_of_its_answer(world: World, alice: Party) -> None:
    alice >> sipe("02")
    answer = alice << 200
    target = answer.values("contact")[0].strip("<>")
    local, remote = str(answer.first("from")), str(answer.first("to"))
    dialog = Dialog(alice, answer.call_id, local, remote, target, [], cseq=1)
    alice >> dialog.request("SUBSCRIBE", "Event: vnd-microsoft-roaming-contacts", "Expires: 0")
    ended = alice << 200
    assert ended.first("subscription-state") == "terminated;expires=0"
    alice.nothing()


@pytest.mark.parametrize("transport", ["UDP", "TCP", "TLS"])
@pytest.mark.parametrize(("asked", "state"), [("600", "active;expires=600"), ("0", "terminated;reason=timeout")])
def test_a_plain_subscriber_is_sent_a_notify(world: World, transport: str, asked: str, state: str) -> None:
    """RFC 6665 §4.2.2: after the 200, inside the dialog that it has opened, the way that the SUBSCRIBE came."""
    alice = world.phone("alice", transport)
    event = "Event: vnd-microsoft-provisioning-v2;id=7"
    alice >> alice.request("SUBSCRIBE", alice.uri, event, f"Expires: {asked}", cseq=20)
    answer = alice << 200
    assert (answer.first("expires"), answer.body) == (asked, b"")
    assert {"ms-piggyback-cseq", "event", "subscription-state"}.isdisjoint(answer.index)
    notice = alice << "NOTIFY"
    assert (notice.uri, notice.call_id, notice.cseq.number) == (alice.contact, answer.call_id, 20)
    assert (notice.from_tag, notice.to_tag) == (answer.to_tag, "alice-tag")
    assert (notice.first("event"), notice.first("subscription-state")) == ("vnd-microsoft-provisioning-v2;id=7", state)
    assert (notice.first("content-type") or "").endswith("provisioning-v2+xml")
    assert b"provisionGroupList" in notice.body
    assert len(notice.values("via")) == 1
    alice >> reply(notice, 200)


def test_a_plain_subscription_is_refreshed_and_ended_with_a_notify_each(world: World) -> None:
    alice = world.phone("alice")
    alice >> alice.request("SUBSCRIBE", alice.uri, "Event: presence", "Expires: 600")
    answer = alice << 200
    alice >> reply(alice << "NOTIFY", 200)
    target = answer.values("contact")[0].strip("<>")
    dialog = Dialog(alice, answer.call_id, f"<{alice.uri}>;tag=alice-tag", str(answer.first("to")), target, [])
    numbers = []
    for expires, state in (("300", "active;expires=300"), ("0", "terminated;reason=timeout")):
        alice >> dialog.request("SUBSCRIBE", "Event: presence", f"Expires: {expires}", f"Contact: <{alice.contact}>")
        assert (alice << 200).to_tag == answer.to_tag
        notice = alice << "NOTIFY"
        assert (notice.first("subscription-state"), notice.from_tag) == (state, answer.to_tag)
        assert "content-type" not in notice.index
        numbers.append(notice.cseq.number)
        alice >> reply(notice, 200)
    assert numbers == sorted(numbers)


def test_a_plain_subscriber_behind_a_proxy_is_notified_through_it(world: World) -> None:
    edge = world.server("UDP", "203.0.113.80", 5060, name="alice")
    route = "<sip:203.0.113.80;lr>"
    edge >> edge.request("SUBSCRIBE", edge.uri, "Event: presence", f"Record-Route: {route}")
    assert (edge << 200).values("record-route") == [route]
    notice = edge << "NOTIFY"
    assert (notice.values("route"), notice.uri) == ([route], edge.contact)
    edge >> reply(notice, 200)


def test_a_subscriber_that_is_silent_or_gone_leaves_nothing(world: World) -> None:
    alice, bob = world.phone("alice", "UDP"), world.phone("bob", host="198.51.100.8")
    for party in (alice, bob):
        party >> party.request("SUBSCRIBE", party.uri, "Event: presence")
        party << 200
        party << "NOTIFY"
    bob.break_connection()
    world.advance(40)
    assert len(alice.inbox) == 10  # Timer E
    alice.inbox.clear()


def test_a_subscriber_without_a_contact_that_can_be_read_has_its_answer_alone(world: World) -> None:
    alice = world.phone("alice")
    alice >> alice.request("SUBSCRIBE", alice.uri, "Event: presence", "Contact: <tel:+1>", contact=False)
    alice << 200
    alice.nothing()


def test_notifications_under_way_are_bounded(world: World) -> None:
    alice = world.phone("alice", "UDP")
    for number in range(MAX_UNANSWERED + 1):
        alice >> alice.request("SUBSCRIBE", alice.uri, "Event: presence", call_id=f"s{number}")
        alice << 200
        if number < MAX_UNANSWERED:
            alice << "NOTIFY"
    alice.nothing()
    assert world.engine.counters["notifications_unsent"] == 1
    world.advance(40)
    alice.inbox.clear()
    alice >> alice.request("SUBSCRIBE", alice.uri, "Event: presence")
    alice << 200
    alice >> reply(alice << "NOTIFY", 200)


def test_subscriptions_to_others_are_forwarded(world: World) -> None:
    alice, bob = world.phone("alice"), world.phone("bob")
    bob.sign_in()
    alice >> alice.request("SUBSCRIBE", bob.uri, "Event: presence")
    bob >> reply(bob << "SUBSCRIBE", 200)
    alice << 200


@pytest.mark.parametrize("name", ["05", "07", "08"])
def test_service_to_oneself(alice: Party, name: str) -> None:
    alice >> sipe(name)
    assert (alice << 200).body == b""


def test_options_to_the_gateway(world: World) -> None:
    alice = world.phone("alice")
    for uri in (f"sip:{DOMAIN}", "sip:192.0.2.1:5060"):
        alice >> alice.request("OPTIONS", uri)
        assert "REGISTER" in ((alice << 200).first("allow") or "")


@pytest.mark.parametrize("method", ["MESSAGE", "INFO", "PUBLISH", "BYE"])
def test_other_requests_to_the_gateway(world: World, method: str) -> None:
    alice = world.phone("alice")
    alice >> alice.request(method, f"sip:{DOMAIN}")
    assert "OPTIONS" in ((alice << 405).first("allow") or "")


def test_an_invite_to_the_gateway_itself(world: World) -> None:
    alice = world.phone("alice")
    alice >> alice.request("INVITE", f"sip:{DOMAIN}")
    alice.fail_call(405)


# the real client's whole session


def test_a_session_of_the_real_client(world: World, alice: Party) -> None:
    """Its own bytes; only Route and tags follow what this server answered."""
    pool = world.server()
    for name in ("01", "02", "03", "04", "05"):
        alice >> sipe(name)
        alice << 200
    alice >> sipe("06")
    alice.sent[sipe("06").call_id] = sipe("06")
    alice << 100
    at_pool = pool << "INVITE"
    assert at_pool.body == sipe("06").body
    pool >> reply(
        at_pool, 200, tag="BCC5A3C2F30541E8", contact=f"sip:ocschat@{DOMAIN}:5041;opaque=srvr:lookup;transport=tcp"
    )
    route = "".join(f"Route: {value}\r\n" for value in (alice << 200).values("record-route")[::-1]).encode()
    for name in ("07", "08"):
        alice >> sipe(name)
        alice << 200
    for name, method in (("09", "ACK"), ("10", "INFO"), ("12", "BYE")):
        data = sipe(name).encode().replace(b"From:", route + b"From:", 1)
        alice >> data
        message = pool << method
        assert message.uri == sipe(name).uri
        assert message.body == sipe(name).body
        if method != "ACK":
            pool >> reply(message, 200)
            alice << 200
    alice >> sipe("31")
    alice << 200
    alice.nothing()
    pool.nothing()


def test_the_channel_of_the_recording_is_not_a_user_here(alice: Party) -> None:
    """The URI that another server's lookup handed out."""
    alice >> sipe("13")
    alice << 404


def test_the_recorded_messages_survive_byte_by_byte() -> None:
    for path in sorted(SIPE.glob("*.sip")):
        assert parse_message(path.read_bytes()).encode() == path.read_bytes()
