"""Reference data that operations publish as whole versions: directory, rules, status table, plan.

A record on a reference topic is one :class:`Version`; which one holds at an instant is said by :func:`in_force`.
"""

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Raw, Struct

from events.values import Id, Text, parse_instant


class Version(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One whole version of reference data, in force from an instant (RFC 3339) until the next one.

    ``author`` says who published it; ``digest`` (SHA-256 of its file, or of its content) lets it be published once.
    """

    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    effective_from: str
    author: Text
    content: Raw
    digest: str | None = None


class Rep(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person who sells. ``team`` and ``region`` are what forecasts are grouped by."""

    rep_id: Id
    name: Text | None = None
    email: Text | None = None
    team: Text | None = None
    region: Text | None = None
    time_zone: Text | None = None
    skills: tuple[Text, ...] = ()
    active: bool = True
    attributes: dict[str, Any] = {}


class Directory(Struct, frozen=True, kw_only=True):
    """The sales force at a time (``crm.directory.v1``)."""

    reps: tuple[Rep, ...]


V = TypeVar("V", bound=Version)


def in_force(versions: Iterable[V], instant: int) -> V | None:
    """The version that holds at an instant (nanoseconds): the latest ``effective_from``, and of those the highest version.

    Before the first one's date the first one holds. ``None`` where there is no version.
    """
    ordered = sorted(versions, key=lambda v: (parse_instant(v.effective_from), v.version))
    begun = [v for v in ordered if parse_instant(v.effective_from) <= instant]
    candidates = begun or ordered[:1]
    return candidates[-1] if candidates else None
