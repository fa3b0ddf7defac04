"""A campaign: faults by plan while the load is published, a line for each; at its end everything is gathered and checked."""

import time
import urllib.parse
from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec

from events.assignments import LeadAssigned
from events.bus.kafka import KafkaBus
from services.lifecycle.store import Store as LifecycleStore
from services.routing.store import Store as RoutingStore
from tests.faults import gathering
from tests.faults.checker import findings
from tests.faults.evidence import Evidence
from tests.faults.load import items
from tests.faults.plan import SERVICES, Fault, Kind, When, plan
from tests.faults.publisher import Publisher
from tests.faults.stack import Stack

FACTS_BY_FAULT: Final = 120
BURST_SECONDS_MAX: Final = 10.0


class Campaign:
    """One stack, one load, one plan. ``run`` it; ``findings`` are then what is wrong."""

    def __init__(self, data_dir: Path, seed: int, kills: int) -> None:
        self.seed = seed
        self.stack = Stack(data_dir)
        self.killed: Counter[str] = Counter()
        self._plan = plan(seed, kills)
        self._began = time.monotonic()
        self._bus = KafkaBus(f"127.0.0.1:{self.stack.ports['kafka']}", "campaign")
        self._publisher = Publisher(
            f"127.0.0.1:{self.stack.ports['kafka']}", items(seed, time.time_ns, held=self._assignment), seed
        )
        self._last_pids: dict[str, int] = {}

    def run(self) -> list[str]:
        """Do everything; what is wrong in the end."""
        print(f"\nfaults: seed {self.seed}, {len(self._plan)} faults")
        self.stack.start()
        self._publisher.start()
        try:
            for number, fault in enumerate(self._plan, 1):
                self._publisher.allow(FACTS_BY_FAULT)
                self._do(number, fault)
            self.stack.await_ready()
            self._publisher.allow(FACTS_BY_FAULT)
            self._publisher.finish(120.0)
            self._say("everything is published")
            evidence, now = self._gather()
        finally:
            self._publisher.close()
            self._bus.close()
            self._end()
        self._say("everything is gathered, and stopped")
        found = findings(evidence, now)
        self._summarize(evidence, found)
        return found

    # ---------------------------------------------------------------------------------------- faults

    def _do(self, number: int, fault: Fault) -> None:
        stack = self.stack
        if fault.when is When.WORKING:
            stack.await_ready()
        if stack.worn(fault.target):
            fault = Fault(Kind.CRASH, fault.target if fault.target in SERVICES else SERVICES[0])
        self._await(fault)
        outcome = ""
        match fault.kind:
            case Kind.KILL:
                self._last_pids[fault.target] = stack.kill(fault.target)
                self.killed[fault.target] += 1
            case Kind.FREEZE:
                stack.freeze(fault.target)
            case Kind.REPLACE:
                outcome = stack.replace(fault.target, self._work)
            case Kind.RESTART | Kind.CRASH:
                if fault.kind is Kind.CRASH:
                    stack.crash()
                    self.killed["everything"] += 1
                else:
                    stack.stop()
                stack.start_anew(fault.target, fault.seconds)
                self.killed[fault.target] += 1
        self._tell(number, fault, outcome)

    def _await(self, fault: Fault) -> None:
        """The moment at which the fault is to come."""
        match fault.when:
            case When.WORKING:
                self._work()
            case When.STARTING:
                self.stack.await_successor(fault.target, self._last_pids.get(fault.target, 0))
        self.stack.pass_time(fault.seconds)

    def _work(self) -> None:
        """See to it that there is something to take in just now."""
        self._publisher.allow(20)
        self._publisher.await_burst(BURST_SECONDS_MAX)

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s       {what}")

    def _tell(self, number: int, fault: Fault, outcome: str) -> None:
        at = time.monotonic() - self._began
        place = "everything" if fault.kind in (Kind.RESTART, Kind.CRASH) else fault.target
        more = f", then kill -9 of {fault.target} while it starts" if place == "everything" else outcome
        when = f"{fault.when} +{fault.seconds:.2f} s" if not more else ""
        print(f"{at:6.1f} s  {number:3}  {fault.kind:8} {place:10} {len(self._publisher.sent):6,} facts  {when}{more.lstrip(', ')}")

    def _assignment(self, customer: str) -> LeadAssigned | None:
        """Whom routing has given a customer to, as a rep's tool would ask."""
        try:
            said = self._get("routing", f"/v1/assignments/{customer}")["assignments"]
        except OSError:  # it is down just now, or has decided nothing
            return None
        given = [each for each in said if "rule_set_version" in each]
        return msgspec.convert(given[0], LeadAssigned) if given else None

    def _end(self) -> None:
        if self.stack.process is not None and self.stack.process.poll() is None:
            self.stack.stop()

    # -------------------------------------------------------------------------------------- evidence

    def _gather(self) -> tuple[Evidence, int]:
        """Everything, when it has come to rest; and the instant at which it had."""
        self.stack.settle()
        self._say("everything is settled")
        now = time.time_ns()
        while True:  # a tick may have been on its way, when all else had settled
            logs = gathering.read_logs(self._bus, f"gathering-{now}")
            self.stack.settle()
            again = gathering.read_logs(self._bus, f"gathering-{now}-again")
            if {name: len(records) for name, records in logs.items()} == {name: len(r) for name, r in again.items()}:
                break
        customers = gathering.customers_of(self.stack.data_dir / "lifecycle.sqlite")
        records = {customer: self._get("lifecycle", f"/v1/customers/{customer}") for _, customer in customers}
        answers = [gathering.answer_of(path, asked, self._get("forecast", path, asked)) for path, asked in gathering.questions(now)]
        assert self.stack.stop() == 0, self.stack.lines[-5:]
        lifecycle = LifecycleStore(self.stack.data_dir / "lifecycle.sqlite", self._shards(), code_version="campaign")
        routing = RoutingStore(self.stack.data_dir / "routing.sqlite", code_version="campaign")
        try:
            return Evidence(
                sent=self._publisher.sent,
                partitions=self._shards(),
                logs=logs,
                accepted=gathering.stored_facts(lifecycle, customers),
                records=records,
                notifications=gathering.notifications(lifecycle),
                decisions=list(routing.replay()),
                letters={name: gathering.buried(self.stack.data_dir / f"{name}.sqlite") for name in SERVICES},
                answers=answers,
            ), now
        finally:
            lifecycle.close()
            routing.close()

    def _shards(self) -> int:
        return self.stack.settings.partitions

    def _get(self, service: str, path: str, asked: dict[str, str] | None = None) -> Any:
        return self.stack.get(service, f"{path}?{urllib.parse.urlencode(asked)}" if asked else path)

    def _summarize(self, evidence: Evidence, found: list[str]) -> None:
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.killed.items()))
        repeated = sum(len(records) for records in evidence.logs.values())
        print(
            f"faults: {sum(self.killed.values())} kills ({kills}), {len(evidence.sent):,} facts of {len(evidence.records):,} "
            f"customers, {repeated:,} records in all topics, {len(evidence.answers)} answers, "
            f"{sum(map(len, evidence.letters.values()))} dead letters, {time.monotonic() - self._began:.0f} s: "
            f"{f'{len(found)} findings' if found else 'everything is as the inputs say'}"
        )
