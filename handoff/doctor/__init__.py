"""What is wrong with an installation, and what to do about it: facts are gathered once, and each check makes findings of them.

A check is a pure function from facts to an :class:`Outcome`, a file for each family. Facts come from :mod:`listeners` and
:mod:`cluster` (Kafka), :mod:`services` (HTTP), :mod:`stores` (the services' files), :mod:`ports` and :mod:`machine`;
:mod:`examination` gathers them side by side, each within its time, and runs the checks in order.
"""

from handoff.doctor.examination import examine
from handoff.doctor.finding import Finding, Outcome

__all__ = ["Finding", "Outcome", "examine"]
