"""The page of statuses: the built-in status table, its process, and what sets which."""

from docs.generator.markdown import table
from events.files.reading import duration_text
from services.lifecycle.domain.table import StatusRow
from services.lifecycle.statuses import built_in


def page() -> str:
    """The page."""
    holds = built_in()
    rows = [
        (row.stage, row.name, str(row.probability), _duration(row.target_duration), _duration(row.follow_up)) for row in holds.rows
    ]
    triggers = [(trigger, name) for trigger, name in holds.triggers.items()]
    return f"""# Statuses

A record is at a stage (lead, prospect, customer) and has a status of that stage. Statuses further down are further. The probability is
that of a deal at this status, unless its documents name one. This is the built-in table, version 0: it holds until the first version
of your own does ([describe your sales process](../how-to/describe-your-process.md)).

{table(("stage", "status", "probability in percent", "target duration", "follow up after"), rows)}
## What sets a status

{table(("because of", "status"), triggers)}
A prospect has the status of its most probable open deal. The rules in full are in [explanation](../explanation.md#a-customer-is-a-set-of-facts).

## The sales process

What is meant by each status, and what is done there, as the built-in
[status-table.yaml](../../services/lifecycle/defaults/status-table.yaml) has it.

{"".join(_process(row) for row in holds.rows)}"""


def _duration(nanoseconds: int | None) -> str:
    return "" if nanoseconds is None else duration_text(nanoseconds)


def _process(row: StatusRow) -> str:
    lists = {
        "Objectives": row.objectives,
        "Entered when": row.entry_criteria,
        "Left when": row.exit_criteria,
        "Actions": row.actions,
        "Tools": row.tools,
    }
    lines = [f"- {title}: {' · '.join(entries)}\n" for title, entries in lists.items() if entries]
    return f"### {row.name}\n\n{row.definition}\n\n{''.join(lines)}\n"
