"""The ports of the stack: free for it, taken by it, or taken by somebody else."""

from collections.abc import Sequence

from msgspec import Struct

from handoff.doctor.finding import Finding, Outcome, error
from handoff.doctor.sockets import Owner


class Port(Struct, frozen=True, kw_only=True):
    """One port. ``setting``: the variable that chooses it; ``obstacle``: why nobody could listen on it now, None where it is free.

    ``ours``: what is to be there is there. ``owner``: who listens, where that can be told.
    """

    server: str
    setting: str
    number: int
    obstacle: str | None
    ours: bool
    owner: Owner | None = None


def ports(found: Sequence[Port]) -> Outcome:
    """Which ports cannot be used by what is to listen on them."""
    findings: list[Finding] = []
    for port in found:
        if port.obstacle is None or port.ours:
            continue
        who = f"used by {port.owner}" if port.owner else f"not to be had ({port.obstacle})"
        stop = f"stop it (kill {port.owner.pid})" if port.owner else "stop the program that uses it"
        findings.append(
            error(
                f"port {port.number} of {port.server} is {who}",
                where=str(port.number),
                fix=f"{stop}, or choose another port with {port.setting}",
            )
        )
    states = [
        f"{port.server} {port.number} {'runs' if port.ours else 'free' if port.obstacle is None else 'taken'}" for port in found
    ]
    return Outcome(check="ports", said=", ".join(states), findings=tuple(findings))
