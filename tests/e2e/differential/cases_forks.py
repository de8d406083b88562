"""Users with several contacts, and pools with several servers: target sets, q, best response, 6xx, failover."""

from collections.abc import Iterable, Mapping

from tests.e2e.differential.book import UDP, add, case
from tests.e2e.differential.stage import TWO_CHAT, Answer, Party, Play, Stage, reply_later

Plays = Mapping[str, Iterable[Play]]


def fork(s: Stage, method: str, plays: Plays, qs: Mapping[str, str] | None = None) -> dict[str, Party]:
    """The caller's request to a user whose phones answer one after the other in the order given.

    Phones of one q ring together; those that do not yet ring answer when they do.
    """
    phones = {name: s.phone(name, (qs or {}).get(name, "1.0")) for name in plays}
    for phone in phones.values():
        reply_later(phone, method)
    s.caller.send(s.request(method, f"sip:{s.user}@contoso.com", branch="invite"))
    s.settle()
    for name, phone in phones.items():
        for play in plays[name]:
            if phone.requests(method):
                phone.answer(phone.requests(method)[0], play)
                s.settle()
            else:
                phone.plays[method].append(play)
    return phones


def parallel(name: str, method: str = "INVITE", **plays: Iterable[Play]) -> None:
    def script(s: Stage) -> None:
        fork(s, method, plays)

    add(f"fork_{name}", script, UDP)


def serial(name: str, method: str = "INVITE", **plays: Iterable[Play]) -> None:
    """Phones are tried in the order given."""

    def script(s: Stage) -> None:
        fork(s, method, plays, {phone: f"0.{9 - at}" for at, phone in enumerate(plays)})

    add(f"serial_{name}", script, UDP)


def challenge(name: str, status: int) -> Answer:
    header = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    return Answer(status, (f'{header}: Digest realm="{name}", nonce="1"',))


# one phone (RFC 3261 §16.5, §16.6 item 2)

parallel("of_one", a=[180, 200])
parallel("of_one_busy", a=[486])
parallel("of_one_503", a=[503])
parallel("of_one_503_with_retry_after", a=[Answer(503, ("Retry-After: 9",))])
parallel("of_one_302", a=[Answer(302, ("Contact: <sip:else@127.0.1.1>",))])
parallel("of_one_603", a=[603])
parallel("of_one_408", a=[408])
parallel("of_one_401", a=[challenge("a", 401)])
parallel("of_one_500", a=[500])
parallel("of_one_message_503", "MESSAGE", a=[503])
parallel("of_one_message_408", "MESSAGE", a=[408])

# several at once (§16.7 items 5-7, 10)

parallel("both_ring", a=[180], b=[183])
parallel("one_answers", a=[180, 200], b=[180])
parallel("both_answer", a=[200], b=[200])
parallel("both_busy", a=[486], b=[486])
parallel("486_and_404", a=[486], b=[404])
parallel("404_and_486", a=[404], b=[486])
parallel("486_and_603", a=[486], b=[603])
parallel("603_while_ringing", a=[180], b=[603])
parallel("603_and_200", a=[603], b=[180, 200])
parallel("404_and_503", a=[404], b=[503])
parallel("503_and_503", a=[503], b=[503])
parallel("500_and_503", a=[503], b=[500])
parallel("302_and_486", a=[Answer(302, ("Contact: <sip:else@127.0.1.1>",))], b=[486])
parallel(
    "302_and_302", a=[Answer(302, ("Contact: <sip:e@127.0.1.1>",))], b=[Answer(301, ("Contact: <sip:f@127.0.1.2>",))]
)
parallel("401_and_407", a=[challenge("a", 401)], b=[challenge("b", 407)])
parallel("407_and_407", a=[challenge("a", 407)], b=[challenge("b", 407)])
parallel("401_and_401", a=[challenge("a", 401)], b=[challenge("b", 401)])
parallel("486_and_401", a=[486], b=[challenge("b", 401)])
parallel("407_and_404", a=[challenge("a", 407)], b=[404])
parallel("420_and_486", a=[486], b=[Answer(420, ("Unsupported: x",))])
parallel("415_and_404", a=[404], b=[Answer(415, ("Accept: x/y",))])
parallel("484_and_480", a=[480], b=[484])
parallel("408_and_480", a=[408], b=[480])
parallel("404_and_500", a=[500], b=[404])
parallel("600_and_604", a=[604], b=[600])
parallel("three", a=[486], b=[180, 200], c=[180])
parallel("three_fail", a=[500], b=[404], c=[403])
parallel("message_200_and_404", "MESSAGE", a=[404], b=[200])
parallel("message_two_200", "MESSAGE", a=[200], b=[200])
parallel("options_1xx", "OPTIONS", a=[100, 180, 200], b=[404])
parallel("subscribe", "SUBSCRIBE", a=[200], b=[489])

# one after another (§16.6, q of §10.2.1.2)

serial("second_answers", a=[486], b=[180, 200])
serial("both_fail", a=[404], b=[486])
serial("first_answers", a=[200], b=[200])
serial("603_first", a=[603], b=[200])
serial("302_first", a=[Answer(302, ("Contact: <sip:else@127.0.1.1>",))], b=[200])
serial("503_first", a=[503], b=[200])
serial("all_503", a=[503], b=[503])
serial("401_first", a=[challenge("a", 401)], b=[486])
serial("provisionals_of_both", a=[180, 480], b=[180, 200])
serial("message", "MESSAGE", a=[404], b=[200])
serial("three", a=[486], b=[480], c=[603])


@case()
def q_absent_counts_as_one(s: Stage) -> None:
    first, second = s.phone("a", "0.5"), s.phone("b")
    reply_later(first, "INVITE")
    reply_later(second, "INVITE")
    s.caller.send(s.request("INVITE", f"sip:{s.user}@contoso.com"))
    s.settle()


@case()
def groups_of_q(s: Stage) -> None:
    """Two together, then the third."""
    plays: Plays = {"a": [486], "b": [404], "c": [200]}
    fork(s, "INVITE", plays, {"a": "0.8", "b": "0.8", "c": "0.3"})


@case()
def cancel_of_a_fork(s: Stage) -> None:
    phones = fork(s, "INVITE", {"a": [180], "b": [180]})
    s.caller.send(s.request("CANCEL", f"sip:{s.user}@contoso.com", branch="invite"))
    s.settle()
    for phone in phones.values():
        phone.answer(phone.heard[0], 487)
        s.settle()


@case()
def cancel_of_a_fork_with_a_silent_branch(s: Stage) -> None:
    phones = fork(s, "INVITE", {"a": [180], "b": []})
    s.caller.send(s.request("CANCEL", f"sip:{s.user}@contoso.com", branch="invite"))
    s.settle()
    phones["b"].answer(phones["b"].heard[0], 180)
    s.settle()


@case()
def cancel_ends_the_search(s: Stage) -> None:
    phones = fork(s, "INVITE", {"a": [180], "b": [200]}, {"a": "0.9", "b": "0.5"})
    s.caller.send(s.request("CANCEL", f"sip:{s.user}@contoso.com", branch="invite"))
    s.settle()
    phones["a"].answer(phones["a"].heard[0], 487)
    s.settle()


@case()
def second_200_after_the_first(s: Stage) -> None:
    """§16.7 item 5: the loser of the race answered before its CANCEL came."""
    phones = fork(s, "INVITE", {"a": [180, 200], "b": [180]})
    phones["b"].answer(phones["b"].heard[0], 200)
    s.settle()


@case()
def loser_is_cancelled(s: Stage) -> None:
    phones = fork(s, "INVITE", {"a": [180], "b": [180]})
    phones["a"].answer(phones["a"].heard[0], 200)
    s.settle()
    phones["b"].answer(phones["b"].heard[0], 487)
    s.settle()


@case()
def six_hundred_waits_for_the_others(s: Stage) -> None:
    """§16.7 item 5: 6xx cancels the rest and goes back when they have ended."""
    phones = fork(s, "INVITE", {"a": [180], "b": [603]})
    phones["a"].answer(phones["a"].heard[0], 487)
    s.settle()


@case()
def two_hundred_beats_six_hundred(s: Stage) -> None:
    phones = fork(s, "INVITE", {"a": [180], "b": [603]})
    phones["a"].answer(phones["a"].heard[0], 200)
    s.settle()


@case()
def provisional_after_a_failure_of_the_other(s: Stage) -> None:
    phones = fork(s, "INVITE", {"a": [486], "b": [180]})
    phones["b"].answer(phones["b"].heard[0], 183)
    phones["b"].answer(phones["b"].heard[0], 404)
    s.settle()


@case()
def dialog_with_one_of_a_fork(s: Stage) -> None:
    fork(s, "INVITE", {"a": [180], "b": [180, 200]})
    s.caller.send(s.inside("ACK", 1))
    s.settle()
    s.caller.send(s.inside("BYE", 2))
    s.settle()


# contacts (§16.6 items 2 and 6)


@case()
def contact_with_parameters(s: Stage) -> None:
    phone = s.client("a")
    s.register(phone, f'Contact: "Me" <sip:a%20b@{phone.address};x=y;ob>;expires=600;q=1.0')
    s.caller.send(s.request("INVITE", f"sip:{s.user}@contoso.com"))
    s.settle()


@case()
def contact_on_a_connection(s: Stage) -> None:
    s.phone("a", "1.0", "TCP")
    s.caller.send(s.request("INVITE", f"sip:{s.user}@contoso.com"))
    s.settle()
    s.caller.send(s.inside("ACK", 1), s.inside("BYE", 2))
    s.settle()


@case()
def phone_calls_phone(s: Stage) -> None:
    """Both on connections of their own."""
    s.phone("a", "1.0", "TCP")
    b = s.client("b", "TCP")
    b.send(s.request("INVITE", f"sip:{s.user}@contoso.com", sender=b))
    s.settle()


@case()
def request_with_a_spelling_of_the_user(s: Stage) -> None:
    s.phone("a")
    user = s.user.upper().replace("U", "%75", 1)
    s.caller.send(
        s.request("MESSAGE", f"sip:{user};x=y@CONTOSO.COM"), s.request("MESSAGE", f"sip:{user}@contoso.com;u=p")
    )
    s.settle()


# servers of a pool (RFC 3263 §4.3)


def two_servers(name: str, method: str, first: Iterable[Play], second: Iterable[Play]) -> None:
    def script(s: Stage) -> None:
        s.pool.plays[method], s.spare.plays[method] = list(first), list(second)
        s.caller.send(s.request(method, TWO_CHAT))
        s.settle()

    add(f"servers_{name}", script, UDP)


two_servers("first_answers", "INVITE", [180, 200], [200])
two_servers("first_is_busy", "INVITE", [503], [180, 200])
two_servers("both_are_busy", "INVITE", [503], [Answer(503, ("Retry-After: 9",))])
two_servers("second_refuses", "INVITE", [503], [404])
two_servers("first_refuses", "INVITE", [404], [200])
two_servers("first_is_busy_for_info", "INFO", [503], [200])
two_servers("first_rings_then_is_busy", "INVITE", [180, 503], [200])
