"""What campaigns have done, in a table: faults by kind and target, what was published, how long it took."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, field

from tests.faults.plan import Kind

EVERYTHING = "everything"


class Tally(Struct, kw_only=True):
    """Of one campaign. ``kills``: processes, or all at once, that were killed by kill -9, whatever the fault was called.

    ``working``: those of them that were hit while everything worked; ``busy``: those of these that had something to do just then.
    ``effects``: how often somebody was seen to be troubled by a fault.
    """

    layout: str
    kills: Counter[str] = field(default_factory=Counter)
    working: Counter[str] = field(default_factory=Counter)
    busy: Counter[str] = field(default_factory=Counter)
    others: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    effects: Counter[Kind] = field(default_factory=Counter)
    facts: int = 0
    customers: int = 0
    records: int = 0
    letters: int = 0
    answers: int = 0
    seconds: float = 0.0
    findings: int = 0

    def killed(self, target: str, *, busy: bool | None = None) -> None:
        """A kill -9. ``busy``: whether the target had something to do, where everything worked."""
        self.kills[target] += 1
        self.working[target] += busy is not None
        self.busy[target] += bool(busy)

    def happened(self, kind: Kind, target: str, *, effect: bool) -> None:
        """Another fault. ``effect``: whether somebody was troubled by it."""
        self.others[kind, target] += 1
        self.effects[kind] += effect


def in_vain(tally: Tally, kinds: Iterable[Kind]) -> Iterator[str]:
    """What a long campaign should have done, and has not: that it found nothing would mean less. ``kinds``: all that it can do."""
    for kind in sorted(kinds):
        if not _of(tally.others, kind):
            yield f"campaign: {kind} never happened"
        elif not tally.effects[kind]:
            yield f"campaign: {kind} never troubled anybody"
    for target in sorted(target for target, times in tally.working.items() if times and not tally.busy[target]):
        yield f"campaign: {target} was never killed at work"


def table(tallies: Sequence[Tally]) -> list[str]:
    """The lines of the table: a column for each campaign, and one for all."""
    kills = sorted({target for tally in tallies for target in tally.kills})
    others = sorted({fault for tally in tallies for fault in tally.others})
    rows = [("kill -9", [sum(tally.kills.values()) for tally in tallies])]
    rows += [(f"  {target}", [tally.kills[target] for tally in tallies]) for target in kills]
    rows.append(("while all work", [tally.working.total() for tally in tallies]))
    rows.append(("of them at work", [tally.busy.total() for tally in tallies]))
    rows += [(f"  {target}", [tally.busy[target] for tally in tallies]) for target in kills if any(t.busy[target] for t in tallies)]
    for kind in dict.fromkeys(kind for kind, _ in others):
        rows.append((kind.value, [_of(tally.others, kind) for tally in tallies]))
        rows += [(f"  {target}", [tally.others[kind, target] for tally in tallies]) for each, target in others if each is kind]
    for name in ("facts", "customers", "records", "letters", "answers", "seconds", "findings"):
        rows.append((_NAMES.get(name, name), [round(getattr(tally, name)) for tally in tallies]))
    lines = [_line("", [*(tally.layout for tally in tallies), "all"])]
    return [*lines, *(_line(name, [*(f"{value:,}" for value in values), f"{sum(values):,}"]) for name, values in rows)]


_NAMES: Mapping[str, str] = {"facts": "facts published", "records": "records in all topics", "letters": "dead letters"}


def _of(others: Counter[tuple[Kind, str]], wanted: Kind) -> int:
    return sum(count for (kind, _), count in others.items() if kind is wanted)


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:<24}" + "".join(f"{cell:>11}" for cell in cells)
