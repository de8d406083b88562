"""One row of the table of differences."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """In each of `cases` these `fields` differ, as (sipgw's, Kamailio's); `why` says by what sipgw is right, or that
    either is. Sections without an RFC's number are RFC 3261's."""

    cases: tuple[str, ...]
    fields: Mapping[str, tuple[str, str]]
    why: str
