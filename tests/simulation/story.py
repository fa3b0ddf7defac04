"""A failure as somebody reads it: what was published, who did what, who was killed when, and which promise is broken."""

from typing import Final

from tests.simulation.services import REAL, Kinds
from tests.simulation.shrink import RUNS_MAX, Shrinking
from tests.simulation.simulation import simulate
from tests.simulation.steps import Plan
from tests.simulation.world import ONCE_MORE

PROMISES: Final = {
    "inputs": "every accepted input is reflected exactly once, and none is lost (I1, I8)",
    "letters": "what cannot be taken in is one dead letter, and nothing else is one (I1)",
    "records": "a record is the fold of the set of its facts (I4)",
    "published": "what a consumer holds is the record, and the topic is the notification log (I4, I5)",
    "assignments": "one rep at most, one assignment per id, and the desk's log is what its requests make (I3, I7)",
    "forecast": "totals are the recomputation from the inputs, to the cent (I2)",
    "mass": "a mass change says and does the same (I1)",
    "rebuilt": "a view can always be built anew, and is the live one then (I6)",
    "restart": "what is done is done: another start changes nothing (I1)",
    "broken off": "a run can be checked, whatever comes out of it",
    "services": "a service goes on, whatever happens; it ends only where it was replaced",
}
"""Which promise a finding is about, by its first word."""
IDENTICAL: Final = "what is published again is the same, byte for byte (I5)"
FINDINGS_MAX: Final = 5
LINE_MAX: Final = 300


def about(finding: str) -> str:
    """The first word of a finding: what it is about."""
    return finding.partition(":")[0]


def told(plan: Plan, found: list[str], *, kinds: Kinds = REAL, runs_max: int = RUNS_MAX) -> tuple[Plan, str]:
    """A plan that fails, made short, and its story. ``found``: what is wrong."""
    kind = about(found[0])
    shrinking = Shrinking(lambda some: any(about(each) == kind for each in simulate(some, kinds=kinds)), runs_max=runs_max)
    short = shrinking.shortest(plan)
    lines: list[str] = []
    found = [each for each in simulate(short, kinds=kinds, tell=lines.append) if about(each) == kind]
    shape = short.shape
    processes = ", ".join(f"{getattr(shape, name)} of {name}" for name in ("lifecycle", "routing", "forecast"))
    return short, "\n".join(
        [
            f"seed {plan.seed}: {len(plan.steps)} steps, made short in {shrinking.runs} runs: {len(short.steps)} steps;"
            f" processes: {processes}; {shape.shards} partitions, {'static' if shape.static else 'dynamic'} members",
            *(f"  {number:3}  {line[:LINE_MAX]}" for number, line in enumerate(_until_checked(lines, kind), 1)),
            f"broken: {PROMISES.get(kind, IDENTICAL)}",
            *(f"  {each}" for each in found[:FINDINGS_MAX]),
            *([f"  and {len(found) - FINDINGS_MAX} more"] if len(found) > FINDINGS_MAX else []),
            f"again: make simulate SEED={plan.seed} SEEDS=1",
        ]
    )


def _until_checked(lines: list[str], kind: str) -> list[str]:
    """What happened before it was found."""
    end = len(lines) if kind in ("restart", "services", "broken off") or ONCE_MORE not in lines else lines.index(ONCE_MORE)
    return lines[:end]
