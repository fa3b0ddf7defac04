"""What is different between two status tables. Pure: in go two tables as lifecycle tells them, out come the differences."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

FIELDS: Final = (
    "stage",
    "probability",
    "definition",
    "objectives",
    "entry_criteria",
    "exit_criteria",
    "actions",
    "tools",
    "target_duration",
    "follow_up",
)


class Difference(Struct, frozen=True):
    """One of them. ``where``: a status, ``triggers`` or the table itself, with the ``field`` of it; None is what is not there."""

    where: str
    field: str
    before: Any
    after: Any

    def __str__(self) -> str:
        what = f"{self.where}: {self.field}" if self.field else self.where
        if self.before in (None, [], ()):
            return f"+ {what}: {_said(self.after)}"
        if self.after in (None, [], ()):
            return f"- {what}: {_said(self.before)}"
        return f"  {what}: {_said(self.before)} -> {_said(self.after)}"


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """All of them: the statuses in their order, then triggers, then the rest. A status with another name is another status."""
    old, new = ({row["name"]: row for row in table["statuses"]} for table in (before, after))
    found = [*_statuses(old, new)]
    kept_before, kept_after = [name for name in old if name in new], [name for name in new if name in old]
    if kept_before != kept_after:
        found.append(Difference("statuses", "order", kept_before, kept_after))
    for trigger, name in after["triggers"].items():
        if before["triggers"][trigger] != name:
            found.append(Difference("triggers", trigger, before["triggers"][trigger], name))
    for field in ("opportunities_enabled", "comment"):
        if before[field] != after[field]:
            found.append(Difference(field, "", before[field], after[field]))
    return found


def _statuses(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for name, row in old.items():
        if name not in new:
            yield Difference(name, "status", _gist(row), None)
    for name, row in new.items():
        if name not in old:
            yield Difference(name, "status", None, _gist(row))
            continue
        for field in FIELDS:
            if old[name][field] != row[field]:
                yield Difference(name, field, old[name][field], row[field])


def _gist(row: Mapping[str, Any]) -> str:
    return f"{row['stage']}, {row['probability']} %"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "; ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
