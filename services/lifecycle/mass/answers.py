"""What is said of batches and of the records in them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

from events.values import format_instant
from events.web.spreadsheet import csv_of, safe
from services.lifecycle.domain.status import Verdict
from services.lifecycle.mass.batches import Batch, Batches, Entry, Tally
from services.lifecycle.mass.change import Standing
from services.lifecycle.mass.runner import SOURCE, Runner

CSV_PAGE: Final = 500
FIGURES_KEPT_MAX: Final = 1000
"""Of how many applied batches the figures are kept in memory."""
COLUMNS: Final = (
    *("customer_id", "before_stage", "before_status", "before_owner", "after_stage", "after_status", "after_owner"),
    *("outcome", "rule", "explanation"),
)
Outcome = Literal["would-change", "would-not", "stayed", "pending", "effective", "no-effect"]
"""Of a record in a batch: by the preview; once it is decided on: no command, one that is not taken in yet, or what came of it."""


class Answers:
    """Says it, as of now."""

    def __init__(self, batches: Batches, runner: Runner) -> None:
        self._batches = batches
        self._runner = runner
        self._of_applied = lru_cache(FIGURES_KEPT_MAX)(self._counted)

    def batch(self, batch: Batch) -> dict[str, Any]:
        """A batch: what is wanted, how many records it means and changes, and how far it is."""
        tally, rules = self._figures(batch)
        reverting = self._batches.reverting(batch.id)
        return {
            "id": batch.id,
            "state": batch.state,
            "filter": json.loads(batch.criteria),
            "change": None if batch.change is None else batch.change.model_dump(exclude_none=True),
            "actor": batch.actor,
            "reason": batch.reason,
            "reverts": batch.reverts,
            "reverted_by": None if reverting is None else reverting.id,
            **{name: _instant(getattr(batch, name)) for name in ("created_at", "applied_at", "ended_at")},
            "selected": batch.selected,
            "previewed": tally.seen,
            "changing": tally.changing,
            "staying": tally.seen - tally.changing,
            "staying_by_rule": rules,
            "decided": tally.decided,
            "written": tally.written,
            "trouble": self._runner.trouble(batch),
            "source": SOURCE,
        }

    def _figures(self, batch: Batch) -> tuple[Tally, Mapping[str, int]]:
        """How far it is, and how many stay by which rule. Of what is applied it is counted once: a list has many of them."""
        return self._of_applied(batch.id) if batch.state == "applied" else self._counted(batch.id)

    def _counted(self, id: str) -> tuple[Tally, Mapping[str, int]]:
        return self._batches.tally(id), self._batches.rules(id)

    def records(self, batch: Batch, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Records of a batch: how each stood before and stands after, and what became of its command."""
        verdicts = self._runner.verdicts(batch, entries)
        return [_entry(entry, verdicts.get(entry.customer_id)) for entry in entries]

    def csv(self, batch: Batch, effective: bool | None) -> Iterator[str]:
        """All records of a batch as CSV, a piece at a time."""
        yield csv_of(COLUMNS, [])
        after = ""
        while entries := self._batches.entries(batch.id, after=after, limit=CSV_PAGE, effective=effective):
            yield csv_of(None, [_cells(record) for record in self.records(batch, entries)])
            after = entries[-1].customer_id


def _instant(at: int | None) -> str | None:
    return None if at is None else format_instant(at)


def _entry(entry: Entry, verdict: Verdict | None) -> dict[str, Any]:
    shown = verdict or entry.outlook.verdict
    return {
        "customer_id": entry.customer_id,
        "change": None if entry.change is None else entry.change.model_dump(exclude_none=True),
        "before": _standing(entry.outlook.before),
        "after": _standing(entry.outlook.after),
        "outcome": _outcome(entry, verdict),
        "rule": shown.rule or None,
        "explanation": shown.explanation or None,
    }


def _outcome(entry: Entry, verdict: Verdict | None) -> Outcome:
    if entry.written is None:
        return "would-change" if entry.outlook.verdict.effective else "would-not"
    if not entry.written:
        return "stayed"
    if verdict is None:
        return "pending"
    return "effective" if verdict.effective else "no-effect"


def _standing(standing: Standing) -> dict[str, str | None]:
    return {"stage": standing.stage, "status": standing.status, "owner": standing.owner}


def _cells(record: dict[str, Any]) -> list[str]:
    standings = [record[when][what] for when in ("before", "after") for what in ("stage", "status", "owner")]
    return [safe(text) for text in (record["customer_id"], *standings, record["outcome"], record["rule"], record["explanation"])]
