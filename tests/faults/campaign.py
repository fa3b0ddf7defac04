"""A campaign: faults by plan while the load is published, a line for each; at its end everything is gathered and checked."""

import json
import time
import urllib.parse
from typing import Any, Final

import msgspec

from events.assignments import LeadAssigned
from events.bus.kafka import KafkaBus
from handoff.commands.rebuild import VIEWS
from services.lifecycle.store import Store as LifecycleStore
from services.routing.store import Store as RoutingStore
from tests.faults import gathering
from tests.faults.checker import findings, lacking
from tests.faults.copies import Copies
from tests.faults.evidence import LOST_NOTHING, Evidence
from tests.faults.load import items
from tests.faults.plan import SERVICES, Fault, Kind, When, kinds_on, plan
from tests.faults.publisher import BURST_MAX, Publisher
from tests.faults.site import Site
from tests.faults.stack import Stack, unforeseen
from tests.faults.tally import EVERYTHING, Tally, in_vain

FACTS_BY_FAULT: Final = 120
BURST_SECONDS_MAX: Final = 60.0
BUSY_SECONDS_MAX: Final = 2.0
"""How long a kill waits for its target to have something to do."""
COPIED_SECONDS: Final = 3.0
"""How much load comes after a copy."""
DISK_SECONDS: Final = 6.0
"""How long a disk stays full, or disks slow."""
FULL_TIMES_MAX: Final = 4
"""So many times as long until somebody has noticed: for a while there may be room in what a file has already."""
AWAY_SECONDS: Final = 15.0
"""How long one of several brokers stays away: longer than it takes the others to notice (9 s)."""
GO_ON_SECONDS_MAX: Final = 120.0
"""How long it may take until all services have moved on without it."""
LONG: Final = 60
"""A campaign with so many kills must have done all that it can."""
SLOW_MS: Final = (200, 500)
"""How long an fsync takes on a slow disk."""


class Campaign:
    """One stack, one load, one plan. ``run`` it within its site; what it answers is what is wrong."""

    def __init__(self, site: Site, seed: int, kills: int) -> None:
        self.seed = seed
        self.site = site
        self.stack = Stack(site)
        self.tally = Tally(layout=site.layout.name)
        self._long = kills >= LONG
        self._plan = plan(seed, kills, site.layout, without=site.missing)
        self._began = time.monotonic()
        bootstrap = self.stack.settings.bootstrap
        self._bus = KafkaBus(bootstrap, "campaign")
        self._publisher = Publisher(bootstrap, items(seed, time.time_ns, held=self._assignment), seed)
        self._last_pids: dict[str, int] = {}
        self._copies = Copies(site, self.stack, site.data_dir.parent / "copies")
        self._lost = LOST_NOTHING
        self._differing: list[str] = []
        """Of the views that were made again at the end."""

    def run(self) -> list[str]:
        """Do everything; what is wrong in the end."""
        print(f"\nfaults: {self.site.layout.name}, seed {self.seed}, {len(self._plan)} faults")
        for kind, reason in self.site.missing.items():
            print(f"faults: no {kind} on this machine: {reason}")
        self.stack.start()
        self._publisher.start()
        try:
            for number, fault in enumerate(self._plan, 1):
                self._publisher.allow(FACTS_BY_FAULT)
                self._do(number, fault)
            self.stack.await_ready()
            self._publisher.allow(FACTS_BY_FAULT)
            self._publisher.finish(300.0)
            self._say("everything is published")
            evidence, now = self._gather()
        finally:
            self._publisher.close()
            self._bus.close()
            self._end()
            self.tally.facts, self.tally.seconds = len(self._publisher.sent), time.monotonic() - self._began
        self._say("everything is gathered, and stopped")
        for line in self.stack.ended:
            self._say(line)
        found = [*findings(evidence, now), *(f"services: {line}" for line in unforeseen(self.stack.ended)), *self._differing]
        if self._long:
            found += [*in_vain(self.tally, kinds_on(self.site.layout) - self.site.missing.keys()), *lacking(evidence)]
        self._summarize(evidence, found)
        return found

    # ---------------------------------------------------------------------------------------- faults

    def _do(self, number: int, fault: Fault) -> None:
        stack = self.stack
        if fault.when is When.WORKING:
            stack.await_ready()
        if stack.worn(fault.target):
            fault = Fault(Kind.CRASH_ALL, fault.target if fault.target in SERVICES else SERVICES[0])
        self._await(fault)
        outcome, effect = "", True
        match fault.kind:
            case Kind.KILL:
                busy = self._await_busy(fault.target) if fault.when is When.WORKING else None
                self._last_pids[fault.target] = stack.kill(fault.target)
                self.tally.killed(fault.target, busy=busy)
                outcome = "" if busy is None else f"{fault.when} +{fault.seconds:.2f} s, {'at work' if busy else 'idle'}"
            case Kind.FREEZE:
                stack.freeze(fault.target, fault.lasts)
                outcome = f"for {fault.lasts:g} s"
            case Kind.REPLACE:
                refused = stack.replace(fault.target, self._work)
                outcome, effect = refused or "neither was refused", bool(refused)
            case Kind.RESTART:
                stack.restart(fault.target)
            case Kind.RESTART_ALL | Kind.CRASH_ALL | Kind.PUT_BACK:
                outcome = self._start_anew(fault)
            case Kind.AWAY:
                outcome = self._do_without(fault.target)
            case Kind.FULL_DISK:
                outcome, effect = self._fill(fault.target)
            case Kind.SLOW_DISKS:
                assert self.site.slow is not None
                before = self.site.slow.waits
                with self.site.slow.slow(*SLOW_MS):
                    self._load(DISK_SECONDS)
                waits = self.site.slow.waits - before
                outcome, effect = f"{waits} times somebody has waited", waits > 0
        self._tell(number, fault, outcome, effect=effect)

    def _start_anew(self, fault: Fault) -> str:
        match fault.kind:
            case Kind.CRASH_ALL:
                self.stack.crash()
                self.tally.killed(EVERYTHING)
            case Kind.PUT_BACK:
                self._put_back(fault.target)
            case _:
                self.stack.stop()
        self.stack.start_anew(fault.target, fault.seconds)
        self.tally.killed(fault.target)
        return f"then kill -9 of {fault.target} while it starts"

    def _put_back(self, target: str) -> None:
        """Two copies while there is load, and more load; then all is stopped, and the databases are what they were."""
        older = self._copies.make()
        self._load(COPIED_SECONDS)
        newer = self._copies.make()
        self._load(COPIED_SECONDS)
        assert self.stack.stop() == 0, self.stack.lines[-5:]
        before = gathering.held(self.site.open, SERVICES, self._shards())
        self._copies.put_back(older, [target])
        self._copies.put_back(newer, [service for service in SERVICES if service != target])
        after = gathering.held(self.site.open, SERVICES, self._shards())
        self._lost = self._lost.and_also(before.without(after))

    def _do_without(self, broker: str) -> str:
        """One of several brokers is away for a while: what is published is acknowledged, and every service moves on."""
        stack, began, sent = self.stack, time.monotonic(), len(self._publisher.sent)
        with stack.away(broker):
            before = {name: stack.position(name) for name in SERVICES}

            def moved() -> bool:
                self._publisher.keep(BURST_MAX)
                return len(self._publisher.sent) > sent and all(stack.position(name) > before[name] for name in SERVICES)

            stack.until(moved, GO_ON_SECONDS_MAX, f"all move on without {broker}")
            moved_after = time.monotonic() - began
            self._load(AWAY_SECONDS - moved_after)
            acknowledged = len(self._publisher.sent) - sent
        return f"{acknowledged} facts acknowledged meanwhile, all had moved on after {moved_after:.1f} s"

    def _fill(self, target: str) -> tuple[str, bool]:
        """A disk is full while there is something to write to it; what was to be seen of that, and whether of whom it is."""
        before = self.stack.ends(target)
        ended, troubles = 0, dict[str, str]()
        with self.site.disks[target].full():
            for _ in range(FULL_TIMES_MAX):
                self._load(DISK_SECONDS)
                troubles, ended = self.stack.troubles(), self.stack.ends(target) - before
                if ended or troubles:
                    break
        self.stack.await_ready()
        told = [f"it ended, {ended} times so far"] if ended else []
        told += [f"{name}: {trouble}" for name, trouble in troubles.items()]
        return "; ".join(told) or "nobody was troubled", bool(ended or (target in troubles if target in SERVICES else troubles))

    def _load(self, seconds: float) -> None:
        """Publish for a while, as far as that is possible."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._publisher.allow(20)
            self._publisher.await_burst(left)

    def _await(self, fault: Fault) -> None:
        """The moment at which the fault is to come."""
        match fault.when:
            case When.WORKING:
                self._work()
            case When.STARTING:
                self.stack.await_successor(fault.target, self._last_pids.get(fault.target, 0))
        self.stack.pass_time(fault.seconds)

    def _work(self) -> None:
        """See to it that there is something to take in just now, and that more is on its way."""
        self._publisher.keep(FACTS_BY_FAULT)
        taken = self._publisher.await_burst(BURST_SECONDS_MAX)
        assert taken, f"everything works, and nothing could be published within {BURST_SECONDS_MAX:g} s"

    def _await_busy(self, target: str) -> bool:
        """Return when a target has something to do, or not for a while; whether it has."""
        deadline = time.monotonic() + BUSY_SECONDS_MAX
        while not (busy := self._busy(target)) and time.monotonic() < deadline:
            self._publisher.keep(BURST_MAX)
        return busy

    def _busy(self, target: str) -> bool:
        if target in SERVICES:
            return self.stack.lag(target) > 0
        return self._publisher.publishing or any(self.stack.lag(name) for name in SERVICES)

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s       {what}")

    def _tell(self, number: int, fault: Fault, outcome: str, *, effect: bool) -> None:
        at = time.monotonic() - self._began
        place = EVERYTHING if fault.kind in (Kind.RESTART_ALL, Kind.CRASH_ALL, Kind.SLOW_DISKS) else fault.target
        if fault.kind is not Kind.KILL:
            self.tally.happened(fault.kind, place, effect=effect)
        when = outcome or f"{fault.when} +{fault.seconds:.2f} s"
        print(f"{at:6.1f} s  {number:3}  {fault.kind:11} {place:10} {len(self._publisher.sent):6,} facts  {when}")

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
        answers = [
            gathering.answer_of(path, asked, self._get("forecast", path, asked), ended=time.time_ns())
            for path, asked in gathering.questions(now)
        ]
        lifecycle = LifecycleStore(self.site.open("lifecycle"), self._shards(), code_version="campaign")
        routing = RoutingStore(self.site.open("routing"), code_version="campaign")
        try:
            customers = gathering.customers_of(lifecycle)
            records = {customer: self._get("lifecycle", f"/v1/customers/{customer}") for _, customer in customers}
            self._make_again()
            assert self.stack.stop() == 0, self.stack.lines[-5:]
            return Evidence(
                sent=self._publisher.sent,
                partitions=self._shards(),
                logs=logs,
                accepted=gathering.stored_facts(lifecycle, customers),
                records=records,
                notifications=gathering.notifications(lifecycle),
                withheld=gathering.withheld(lifecycle),
                decisions=list(routing.replay()),
                letters={name: gathering.buried(self.site.open(name)) for name in SERVICES},
                answers=answers,
                lost=self._lost,
            ), now
        finally:
            lifecycle.close()
            routing.close()

    def _make_again(self) -> None:
        """Every view once more, beside the live one, as an operator asks for it: the same to the byte (I6)."""
        for view in VIEWS:
            done = self.stack.run("rebuild", view, "--check", "--share", "100", "--json")
            said = json.loads(done.stdout) if done.stdout else {"outcome": done.stderr}
            self._say(f"the view {view} was made again: {said['outcome']}")
            if said["outcome"] != "equal":
                self._differing.append(f"rebuilt: the view {view}: {said}")

    def _shards(self) -> int:
        return self.stack.settings.partitions

    def _get(self, service: str, path: str, asked: dict[str, str] | None = None) -> Any:
        return self.stack.get(service, f"{path}?{urllib.parse.urlencode(asked)}" if asked else path)

    def _summarize(self, evidence: Evidence, found: list[str]) -> None:
        tally = self.tally
        tally.customers = len(evidence.records)
        tally.records = sum(map(len, evidence.logs.values()))
        tally.letters, tally.answers = sum(map(len, evidence.letters.values())), len(evidence.answers)
        tally.seconds, tally.findings = time.monotonic() - self._began, len(found)
        self._say(f"{len(found)} findings" if found else "everything is as the inputs say")
