"""Names that need no name server."""

import pytest

from sipgw.locating import Question
from sipgw.locating.hosts import host_of, local_answer, parse_hosts
from sipgw.locating.records import NO_RECORDS

FILE = """
# comment
127.0.0.1   localhost
192.0.2.1   PC1.contoso.com pc1   # the first
192.0.2.1   pc1
2001:db8::1 pc1.contoso.com.
not-an-address pc2.contoso.com
192.0.2.9
"""
HOSTS = parse_hosts(FILE)


def test_the_file_is_read_as_everybody_reads_it() -> None:
    assert HOSTS == {
        "localhost": ("127.0.0.1",),
        "pc1.contoso.com": ("192.0.2.1", "2001:db8::1"),
        "pc1": ("192.0.2.1",),
    }


@pytest.mark.parametrize(
    ("name", "kind", "addresses"),
    [
        ("pc1.contoso.com", "A", ("192.0.2.1",)),
        ("pc1.contoso.com", "AAAA", ("2001:db8::1",)),
        ("pc1", "AAAA", ()),
        ("localhost", "A", ("127.0.0.1",)),
        ("localhost", "AAAA", ()),
        ("pc1", "NAPTR", ()),
        ("_sips._tcp.pc1.contoso.com", "SRV", ()),
    ],
)
def test_what_the_file_names_is_asked_of_nobody(name: str, kind: str, addresses: tuple[str, ...]) -> None:
    answer = local_answer(Question(name, kind), HOSTS)
    assert answer is not None
    assert answer.addresses == addresses
    assert answer.failure == ("" if addresses else NO_RECORDS)
    assert not answer.srv


@pytest.mark.parametrize("question", [Question("pc2.contoso.com", "A"), Question("_sip._tcp.contoso.com", "SRV")])
def test_other_names_are_not_known(question: Question) -> None:
    assert local_answer(question, HOSTS) is None


@pytest.mark.parametrize("name", ["localhost", "pc1.localhost"])
def test_localhost_is_here_whatever_the_file_says(name: str) -> None:
    found = [local_answer(Question(name, kind), {}) for kind in ("AAAA", "A", "NAPTR")]
    assert [answer.addresses if answer else None for answer in found] == [("::1",), ("127.0.0.1",), ()]


@pytest.mark.parametrize(
    ("question", "host"),
    [
        (Question("_sips._tcp.contoso.com", "SRV"), "contoso.com"),
        (Question("contoso.com", "NAPTR"), "contoso.com"),
        (Question("_odd.contoso.com", "A"), "_odd.contoso.com"),
    ],
)
def test_whom_a_question_is_about(question: Question, host: str) -> None:
    assert host_of(question) == host
