"""The page of HTTP: every route of the three services, from their OpenAPI."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from docs.generator.json_schema import words
from docs.generator.markdown import code, json_code, link, prose, table
from events.bus.letters.office import Office
from events.bus.rebuild.builder import Builder
from services.forecast.api import create_app as forecast
from services.forecast.domain import EXPLANATIONS
from services.forecast.settings import Settings as ForecastSettings
from services.lifecycle.api import create_app as lifecycle
from services.lifecycle.mass.api import Resources
from services.lifecycle.publishing import Publisher
from services.routing.api import create_app as routing

_INTRODUCTION: Final = """# HTTP

The services answer on loopback unless `HANDOFF_HOST` says otherwise: lifecycle on port 8081, routing on 8082, forecast on 8083.
Whatever changes something comes through Kafka: what is posted is written there, and answered when Kafka has acknowledged it; what is done
about dead letters and rebuilds is noted in the service's database first. There is no authentication: see [run in production](../how-to/run-in-production.md#security).

Errors are problem documents (RFC 9457, `application/problem+json`): `type` (always `about:blank`), `title`, `status`, `detail` in words,
and for wrong parameters `errors`, a list of `parameter` and `detail`.

| status | when |
|---|---|
| 202 | what was posted is in Kafka; what it comes to is found out a moment later. A rebuild has begun, or is about to end |
| 304 | the answer is the one whose `ETag` was sent in `If-None-Match` (forecast, process map, a customer's record and timeline, dead letters) |
| 400 | a body is empty, incomplete, or not JSON |
| 404 | there is no such customer, deal, dead letter, view or path |
| 409 | the view is being made again already, or there is no rebuild to end |
| 413, 415 | a body is too large, or of another content type |
| 422 | a parameter is wrong, unknown or given twice, or nothing of a body can be accepted; `detail` says what would be right |
| 503 | not ready (`/readyz`), the database cannot be asked, the directory was not read yet, too many wait for a process map, or Kafka does not acknowledge; where there is a `Retry-After`, the same may be sent again after so many seconds |

`/livez`, `/readyz`, `/metrics` and `/v1/status` are the same for every service:

- `/readyz`: `{"ready": true, "checks": [{"name": ..., "ok": ..., "detail": ...}]}`, with status 503 where one check is not well.
- `/v1/status`: `service`, `state` (starting, running, retrying, stopped), `lag` (0: everything published is reflected), `lag_seconds`,
  `position`, `positions` by partition, `dead_letters`.
"""

_ANSWERS: Final[Mapping[tuple[str, str], str]] = {
    ("lifecycle", "/v1/customers/{customer_id}"): (
        "`customer_id`, `as_of` and `known_at` (null where they were not asked for), `stage`, `status`, `probability`, `owner`,"
        " `assignment_id`, `version`, `facts` (how many), `recorded_at`, `profile` (as in [Profile](events.md#profile)), `contact`,"
        " `bounces` (how often an assignment came to nothing), `deals` (each `deal_id`, `since` and the fields of"
        " [DealImage](events.md#dealimage)), `handoffs` (each `assignment_id`, `rep_id`, `team`, `previous_rep`, `assigned_at`,"
        " `accepted_at`, `seconds_to_accept`, `touched_at`, `seconds_to_touch`, `rejected_at`, `reason`, `recycled_at`, and `ended`:"
        " null or `how`, `at`, `reason`, `successor`), `commands` (each `source`, `id`, `type`, `occurred_at`, `actor`, `effective`,"
        " `rule`, `explanation`), `history` (each `effective_at`, `recorded_at`, `stage`, `status`, `probability`, `cause`)."
        " How to: [read a record](../how-to/read-a-record.md)."
    ),
    ("lifecycle", "/v1/timeline/{customer_id}"): (
        "`customer_id`, `as_of`, `known_at`, `version`, `facts` (how many in all), `timeline`, `next` (null on the last page). An"
        " entry: `type`, `source`, `id`, `occurred_at`, `recorded_at`, `version`, `data`, `changed` (what of it there is: `status` and"
        " `owner` with `from` and `to`, `profile` (names of fields), `deals` (each `deal_id` and fields with `from` and `to`),"
        " `handoffs` (each `assignment_id`, `rep_id`, `progress`, `reason`), `command` (`effective`, `rule`, `explanation`)), `late`,"
        " `delay_seconds` (from when it happened until it was recorded), and `corrected`: null, or `since`, `together_with` (other late"
        " facts), and what of it there is of `status`, `record`, `deals`, `handoffs`, `commands`. Or CSV."
    ),
    ("lifecycle", "POST /v1/commands"): (
        "202: `id`, `source`, `customer_id`, `type`, `time`, `verdict` (pending), `location` (also the header). 404 for a customer of"
        " whom nothing is known, 422 with `errors` (each `path` and `reason`). How to:"
        " [decide about a record](../how-to/decide-about-a-record.md)."
    ),
    ("lifecycle", "/v1/commands/{id}"): (
        "`id`, `source`, `customer_id`, `type`, `time`, `says` (its data), `verdict` (pending, effective, no effect, refused), `rule` and"
        " `explanation` where it has no effect or is refused, `changed` (what it changes at its place), `wakes_at` (of a recycling"
        " that stands), `record` (`stage`, `status`, `probability`, `owner`, `version`, now), `lag`, `lag_seconds`. 404, with the lag,"
        " where nothing is known of it yet."
    ),
    ("lifecycle", "/v1/events"): (
        "`source`, `id`, `state` (taken in, on its way, refused), `lag`, `lag_seconds`, and `found`, one for each customer that has an"
        " event of that name: `state`, `customer_id`, `topic`, `partition`, `offset`; of one that was taken in also `type`,"
        " `occurred_at`, `recorded_at`, `version` (of the record), `late`, `changed` (what its arrival changed, and since when),"
        " `together` (late facts that came in with it); of a refused one `error`, `reason`, `path`, `resolved`; of one on its way"
        " `home`, the partition it goes to. 404, with the lag, where nothing is known of it yet."
    ),
    ("lifecycle", "/v1/events/{source}/{id}"): "as of `GET /v1/events`.",
    ("lifecycle", "POST /v1/events"): (
        "202 where any event went in, 422 (a problem) where none did. `accepted`, `refused` (how many), `detail` in words, and"
        " `events`, one for each in their order: `index`, `accepted` (true or false), `id`, `source`, `type`, then `customer_id` and"
        " `topic`, or `errors`, each with `path` (from the whole body) and `reason`; `ignored` names fields that the type does not"
        " have. How to: [send events over HTTP](../how-to/send-over-http.md)."
    ),
    ("lifecycle", "/v1/customers"): (
        "`as_of`, `customers`, `next` (null on the last page), and `count` where it is asked for. A customer: `customer_id`,"
        " `company`, `stage`, `status`, `probability`, `since` (when it got this status), `owner`, `country`, `source`,"
        " `source_kind`, `score`, `began_at` (its first fact), `active_at` (when anything last happened), `touched_at` (when somebody"
        " last did something with it), `due_at`, `overdue`, `follow_up_at`, `follow_up_due`. Or CSV with these columns where `Accept`"
        " or `format` asks for it: the whole list then."
    ),
    **{
        (
            "lifecycle",
            f"{method}/v1/mass-changes{path}",
        ): "The mass change: `id`, `state` (previewing, previewed, applying, applied,"
        " cancelled), what was asked (`filter`, `change`, `actor`, `reason`), `reverts` and `reverted_by` (ids), `created_at`,"
        " `applied_at`, `ended_at`, how many records it means (`selected`), how many were looked at (`previewed`), change (`changing`)"
        " and stay (`staying`, `staying_by_rule`), on how many it is decided (`decided`), how many commands are `written`, `trouble`"
        " while it cannot go on, and `source`, under which its commands are found."
        for method, path in (
            *(("POST ", ""), ("", "/{id}"), ("POST ", "/{id}/apply"), ("POST ", "/{id}/cancel"), ("POST ", "/{id}/revert")),
        )
    },
    ("lifecycle", "/v1/mass-changes"): "`mass_changes` as below, and `next` (null on the last page).",
    ("lifecycle", "/v1/mass-changes/{id}/records"): (
        "`id`, `records` and `next` (null on the last page). A record: `customer_id`, `change` (null: none), `before` and `after`"
        " (each `stage`, `status`, `owner`), `outcome`, and where nothing happens `rule` and `explanation`. The outcome is"
        " `would-change` or `would-not` in a preview; then `stayed` (no command), `pending` (not taken in yet), `effective` or"
        " `no-effect`. Or CSV where `Accept` or `format` asks for it: the whole list then."
    ),
    ("lifecycle", "/v1/statuses"): (
        "`version`, `effective_from` and `until` (null: the beginning, no end yet), `in_force` (now), `author`, `recorded_at`,"
        " `comment`, `opportunities_enabled`, `statuses` (each with the keys of a"
        " [status table](../how-to/describe-your-process.md#the-table)), `triggers`, `versions` (all that are known), `problems`."
    ),
    ("lifecycle", "/v1/process-map.svg"): (
        "`image/svg+xml`. [See how you really sell](../how-to/see-how-you-really-sell.md) explains the picture."
    ),
    ("every service", "/v1/dead-letters"): (
        "`dead_letters`, `next` (null on the last page), and `count` where it is asked for. A letter: `letter` (its name among those of"
        " all services), `number`, `state` (waiting, replayed, dropped), `changed_at`, `error`, `path`, `reason`, `topic`, `partition`,"
        " `offset`, `recorded_at`, `customer_id` (the key), `source`, `id` and `type` as far as the event says them, `bytes` (of its"
        " value), `attempts`, `code_version`, `replay_of` (the first letter, where this is a replay that failed). With `ETag`. Or CSV"
        " with these columns where `Accept` or `format` asks for it: the whole list then."
    ),
    ("every service", "/v1/dead-letters/groups"): (
        "`by`, `groups` (the most frequent first), `more` (whether there are others), `count` (of letters, in all), `unpublished`. A"
        " group: what its letters have in common (by reason `error`, `path` and `reason`), `count`, `first` and `last` (the log's time),"
        " `newest` (a number)."
    ),
    ("every service", "/v1/dead-letters/replays"): (
        "`unpublished` (how many replays are not known to be in Kafka), and `logs`: each `log` that letters were replayed to, the"
        " `position` up to which it is taken in, and its `end` (null while Kafka does not answer)."
    ),
    ("every service", "/v1/dead-letters/{number}"): (
        "as in the list, and `key`, `value` and `headers` (each `text`, null where it is none, and `base64`; headers with `name`),"
        " `done` (each `act`, `at`, `actor`, `reason`, and of a replay `published`), `became` (the letters that its replays have"
        " become), `verdict`: `outcome` (accepted, repeated, refused), `error`, `reason`, `path`."
    ),
    ("every service", "/v1/dead-letters/{number}/value"): "`application/octet-stream`.",
    **{
        ("every service", f"POST /v1/dead-letters/{act}"): (
            "`dry_run`, `done` (to how many it was done, or would be), `kept` (how many stay as they are), `letters` (each `letter`,"
            " `number`, `topic`, `partition`, `state` before, `done`, or `why` not, and `verdict`), `next` (null where there are no more)."
        )
        for act in ("replay", "drop")
    },
    ("every view", "/v1/rebuilds"): "`views`, each as below.",
    **{
        ("every view", path): (
            "`view`, `service`, `generation` (how often it was made again), `running`, and `rebuild`, the present one or the last, null"
            " where there was none: `id`, `check`, `actor`, `worker`, `share`, `phase` (clearing, filling, comparing, done), `done` of"
            " `total` records (rows, in a comparison), `per_second` and `eta_seconds` (null while they are not known), `begun_at`,"
            " `ended_at`, `seconds`, `cancelled`, `outcome` (switched, equal, different, cancelled, failed, abandoned: its process"
            " ended), `detail`, `difference` (null, or `table`, `key`, `column`, `live`, `made`)."
        )
        for path in ("/v1/rebuilds/{view}", "POST /v1/rebuilds", "DELETE /v1/rebuilds/{view}")
    },
    ("routing", "/v1/assignments/{customer_id}"): (
        "`customer_id` and `assignments`, newest first, each as it was published:"
        " [crm.lead.assigned.v1](events.md#crmleadassignedv1) or [crm.lead.unassigned.v1](events.md#crmleadunassignedv1)."
    ),
}
"""What OpenAPI does not say, because the bodies are those of published events."""


def applications() -> Mapping[str, FastAPI]:
    """The applications, for their OpenAPI alone: nothing is asked of them, so there is nothing behind them."""
    nothing: Any = None
    registry = CollectorRegistry()
    office = Office(nothing, nothing, nothing, ends=nothing, transient=(), now=time.time_ns)
    builder = Builder(nothing, nothing, [], worker="", transient=())
    return {
        "lifecycle": lifecycle(
            *(nothing, nothing, nothing, registry),
            publisher=Publisher(nothing),
            mass=Resources(nothing, nothing, nothing, nothing, nothing),
            office=office,
            builder=builder,
        ),
        "routing": routing(nothing, nothing, nothing, registry, office),
        "forecast": forecast(
            nothing, nothing, nothing, registry, ForecastSettings.model_construct(), time.time_ns, office, builder
        ),
    }


def page() -> str:
    """The page."""
    models: dict[str, Mapping[str, Any]] = {}
    apps = {name: app.openapi() for name, app in applications().items()}
    letters = [_route("every service", *each) for each in operations(apps["lifecycle"]) if each[1].startswith(_LETTERS)]
    rebuilds = [_route("every view", *each) for each in operations(apps["forecast"]) if each[1].startswith(_REBUILDS)]
    sections = [_service(name, openapi, models) for name, openapi in apps.items()]
    rules = table(("rule", "explanation"), ((code(rule), text) for rule, text in EXPLANATIONS.items()))
    parts = [f"### {name}\n\n{_model(schema)}" for name, schema in sorted(models.items())]
    return "\n".join(
        [
            _INTRODUCTION,
            *sections,
            "## Dead letters\n\nThe same for every service, each with its own."
            " How to: [recover](../how-to/recover.md#dead-letters).\n",
            *letters,
            "## Rebuilds\n\nThe same for every service that has views. How to: [recover](../how-to/recover.md#a-view-that-is-wrong).\n",
            *rebuilds,
            f"## Rules of the forecast\n\nThe first that applies decides, in this order.\n\n{rules}",
            "## What answers are made of\n",
            *parts,
        ]
    )


def operations(openapi: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Every operation of a service: method, path, and what OpenAPI says of it."""
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _service(name: str, openapi: Mapping[str, Any], models: dict[str, Mapping[str, Any]]) -> str:
    schemas = openapi.get("components", {}).get("schemas", {})
    models |= schemas
    own = [each for each in operations(openapi) if each[1] not in _COMMON and not each[1].startswith((_LETTERS, _REBUILDS))]
    routes = [_route(name, *each) for each in own]
    common = ", ".join(code(path) for _, path, _ in operations(openapi) if path in _COMMON)
    has_views = any(path.startswith(_REBUILDS) for _, path, _ in operations(openapi))
    views = f", {link('Rebuilds')}" if has_views else ""
    return "\n".join([f"## {name}\n\nBesides {common}{views}, and {link('Dead letters')}:\n", *routes])


_COMMON: Final = ("/livez", "/readyz", "/metrics", "/v1/status")
_LETTERS: Final = "/v1/dead-letters"
_REBUILDS: Final = "/v1/rebuilds"


def _route(service: str, method: str, path: str, operation: Mapping[str, Any]) -> str:
    rows = [
        (
            code(each["name"]),
            each["in"],
            words(each["schema"], link),
            "yes" if each.get("required") else "",
            f"{prose(_meaning(each))} {_examples(each['schema'])}",
        )
        for each in operation.get("parameters", ())
    ]
    parameters = f"\n{table(('parameter', 'in', 'type', 'required', 'meaning'), rows)}" if rows else ""
    said = f"{prose(operation.get('description', ''))}\n{parameters}{_body(operation)}"
    return f"### {method} {path}\n\n{said}\n{_answer(service, method, path, operation)}\n"


def _body(operation: Mapping[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    said = (f"{code(media)}{_form(each.get('schema', {}))}" for media, each in content.items())
    return f"\nBody: {', '.join(said)}.\n" if content else ""


def _form(schema: Mapping[str, Any]) -> str:
    """The model of a body, where it is one."""
    return f", a {words(schema, link)}" if "$ref" in schema else ""


def _meaning(parameter: Mapping[str, Any]) -> str:
    schema = parameter["schema"]
    return next((str(each["description"]) for each in (parameter, schema, *schema.get("anyOf", ())) if "description" in each), "")


def _examples(schema: Mapping[str, Any]) -> str:
    examples = [value for each in (schema, *schema.get("anyOf", ())) for value in each.get("examples", ())]
    default = f"Default: {json_code(schema['default'])}. " if schema.get("default") is not None else ""
    return default + (f"For example {', '.join(code(value) for value in examples)}." if examples else "")


def _answer(service: str, method: str, path: str, operation: Mapping[str, Any]) -> str:
    if known := _ANSWERS.get((service, path if method == "GET" else f"{method} {path}")):
        return f"Answer: {known}"
    content = next(answer for status, answer in operation["responses"].items() if status.startswith("2")).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    csv = ", or CSV where `Accept` or `format` asks for it" if "text/csv" in content else ""
    return f"Answer: {words(schema, link)}{csv}."


def _model(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return f"{prose(schema.get('description', ''))}\n\nOne of {words(schema, link)}.\n"
    rows = [
        (code(name), words(field, link) + (", or null" if {"type": "null"} in field.get("anyOf", ()) else ""))
        for name, field in schema.get("properties", {}).items()
    ]
    return f"{prose(schema.get('description', ''))}\n\n{table(('field', 'type'), rows)}"
