"""The page of statuses: the status table that holds, and what sets which."""

from docs.generator.markdown import table
from services.lifecycle.domain.table import DEFAULT


def page() -> str:
    """The page."""
    rows = [(row.stage, row.name, str(row.probability)) for row in DEFAULT.rows]
    triggers = [(trigger, name) for trigger, name in DEFAULT.triggers.items()]
    return f"""# Statuses

A record is at a stage (lead, prospect, customer) and has a status of that stage. Statuses further down are further. The probability is
that of a deal at this status, unless its documents name one. This version of Handoff reads no table of your own.

{table(("stage", "status", "probability in percent"), rows)}
## What sets a status

{table(("because of", "status"), triggers)}
A prospect has the status of its most probable open deal. The rules in full are in [explanation](../explanation.md#a-customer-is-a-set-of-facts).
"""
