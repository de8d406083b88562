"""The name service of the virtual world: a zone that holds addresses and nothing else."""

from ipaddress import ip_address

from sipgw.locating import Answer, Question
from sipgw.locating.records import NO_NAME, NO_RECORDS

TTL = 30.0


def answer(question: Question, names: dict[str, list[str]]) -> Answer:
    """What a zone with these addresses of these names would say."""
    if question.name not in names:
        return Answer(question, failure=NO_NAME)
    family = {"A": 4, "AAAA": 6}.get(question.type)
    found = tuple(address for address in names[question.name] if ip_address(address).version == family)
    return Answer(question, addresses=found, ttl=TTL, failure="" if found else NO_RECORDS)
