"""Everything that Handoff needs on one machine, started, kept running and stopped together: :class:`Stack`."""

from handoff.stack.process import Program
from handoff.stack.stack import Reporter, Stack

__all__ = ["Program", "Reporter", "Stack"]
