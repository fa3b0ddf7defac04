"""From one seed a plan: how many of what there are, what producers send when, who works when, and what goes wrong.

Every seed chooses among the kinds of trouble first, and how much of each there is: runs with one kind of trouble only find what
runs with all of them hide.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from random import Random
from typing import Final

from events.codec import encode
from events.facts import LeadRecycled
from events.topics import LIFECYCLE, LIFECYCLE_INPUTS
from tests.faults.load import Item, Odds, items
from tests.lifecycle.domain.histories import TABLES
from tests.simulation.reference import BEGIN, DIRECTORIES, RUBBISH, RULE_SETS
from tests.simulation.steps import (
    BUILDING,
    SERVICES,
    Answer,
    AnyStep,
    Away,
    Backup,
    Begin,
    Conclude,
    Die,
    Drift,
    Expire,
    Fail,
    Gap,
    Input,
    Kill,
    Letters,
    Look,
    Lose,
    Mass,
    Overtake,
    Pass,
    Plan,
    Publish,
    Rebuild,
    Replace,
    Restore,
    Service,
    Shape,
    Slow,
    Stop,
    Turn,
    Version,
    Zombie,
)

DAY: Final = 24 * 3600 * 1000
"""In milliseconds."""
NANOS: Final = 1_000_000
"""Nanoseconds in a millisecond."""
STORY: Final = 300 * DAY
INPUTS: Final = (5, 32)
"""So many inputs a plan has, at least and at most."""
MASS_CHANGES: Final = [
    ("lead", '{"command": "set-owner", "rep_id": "grace"}'),
    ("lead", '{"command": "set-status", "status": "Qualified"}'),
    ("lead", '{"command": "recycle", "until": "2026-01-03"}'),
    ("prospect", '{"command": "revert", "stage": "lead"}'),
    ("prospect", '{"command": "set-owner", "rep_id": "frank"}'),
    ("customer", '{"command": "set-owner", "rep_id": "elena"}'),
]
"""Stages, and what is wanted of all in them."""
POINTS: Final = ("begin", "commit", "committed", "send", "sent")


VIEWS: Final[Sequence[tuple[str, Service]]] = (
    ("customers", "lifecycle"),
    ("traces", "lifecycle"),
    ("wakes", "lifecycle"),
    ("forecast", "forecast"),
)
"""What can be made again, and whose it is."""


def plan(seed: int) -> Plan:
    """The plan of a seed."""
    return _Drawing(seed).plan()


class _Drawing:
    """A plan while it is drawn."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._chance = chance = Random(f"simulation {seed}")
        self._now = BEGIN
        self._numbers = itertools.count(1)
        self._steps: list[AnyStep] = []
        self.shape = Shape(
            shards=chance.choice([1, 2, 3]),
            lifecycle=chance.choice([1, 1, 2, 3]),
            routing=chance.choice([1, 1, 2]),
            forecast=chance.choice([1, 1, 2]),
            static=chance.random() < 0.7,
            records_max=chance.choice([1, 3, 10, 50]),
        )
        self._places = self.shape.places()
        often, seldom = chance.choice([0.4, 0.7, 1.0]), chance.choice([0.1, 0.3, 0.7])
        self._troubles = [(trouble, chance.choice([0.05, 0.12, 0.25])) for trouble in CRASHES if chance.random() < often]
        self._troubles += [(trouble, chance.choice([0.02, 0.05, 0.1])) for trouble in OTHERS if chance.random() < seldom]
        self._turns = chance.choice([4, 8, 12])
        self._rebuilding = Random(f"rebuilds {seed}")  # of its own: plans stay what they were but for these steps
        self._rebuild_odds = self._rebuilding.choice([0, 0.05, 0.2, 0.4])
        self._changing = Random(f"mass changes {seed}")
        self._restoring = Random(f"restorations {seed}")
        self._restore_odds = self._restoring.choice([0, 0, 0.05, 0.15])
        self._overtaking = Random(f"overtakings {seed}")
        self._reading = Random(f"reads {seed}")
        self._read_odds = self._reading.choice([0, 0.02, 0.05, 0.15])

    def plan(self) -> Plan:
        """Inputs one by one or together, and between them work and trouble."""
        chance = self._chance
        left = chance.randint(*INPUTS)
        load = self._load()
        while left > 0:
            together = min(left, chance.choice([1, 1, 1, 2, 5]))
            left -= together
            self._now += chance.choice([1, 40, 5_000])
            self._publish(tuple(_input(item) for item in itertools.islice(load, together)))
            for _ in range(chance.randrange(self._turns)):
                self._work()
                if self._rebuilding.random() < self._rebuild_odds:
                    self._rebuild()
                if self._restoring.random() < self._restore_odds:
                    self._restore()
                if self._reading.random() < self._read_odds:
                    self._break_off_reading()
                for trouble, odds in self._troubles:
                    if chance.random() < odds:
                        self._steps += trouble(self)
        return Plan(self._seed, self.shape, tuple(self._steps))

    def _load(self) -> Iterator[Item]:
        chance = self._chance
        odds = Odds(
            twice=chance.choice([0, 0.1, 0.4]),
            late=chance.choice([0, 0.1, 0.5]),
            other_content=chance.choice([0, 0.05, 0.2]),
            stray=chance.choice([0, 0.1, 0.5]),
            malformed=chance.choice([0, 0.05, 0.2]),
            now=chance.choice([0, 0.2, 0.9]),
        )
        customers = chance.choice([1, 2, 4, 8])
        return items(self._seed, lambda: self._now * NANOS, shards=self.shape.shards, at_a_time=customers, odds=odds, later_max=20)

    def _publish(self, inputs: tuple[Input, ...]) -> None:
        self._steps.append(Publish(at=self._now, inputs=inputs))

    def _work(self) -> None:
        self._steps.append(self._turn(*self._place()))

    def _turn(self, service: Service, number: int) -> Turn:
        return Turn(
            service=service,
            number=number,
            which=self._chance.randrange(2),
            seed=self._chance.choice([None, self._draw()]),
            times=self._chance.choice([1, 1, 2, 4]),
        )

    def _turns_of(self, service: Service, number: int) -> list[AnyStep]:
        """Some work in a place, so that what is to happen there does."""
        return [self._turn(service, number) for _ in range(self._chance.randrange(4))]

    def _rebuild(self) -> None:
        """A view is asked for, or the work on one goes on."""
        chance = self._rebuilding
        view, service = chance.choice(VIEWS)
        number = chance.randrange(getattr(self.shape, service))
        if chance.random() < 0.4:
            what = chance.choice(["switch", "switch", "check", "check", "cancel"])
            self._steps.append(Rebuild(at=self._now, service=service, number=number, view=view, what=what))
        times = chance.choice([1, 2, 5, 20])
        self._steps.append(Turn(service=service, number=number, which=BUILDING, times=times))

    def _restore(self) -> None:
        """Some databases are copied, or put back, each of them perhaps of another moment."""
        chance = self._restoring
        services = [service for service in SERVICES if chance.random() < 0.5]
        if chance.random() < 0.6:
            self._steps += [Backup(service=service) for service in services]
        else:
            self._steps += [Restore(service=service, lost=chance.random() < 0.2) for service in services]

    def _break_off_reading(self) -> None:
        """A process is not answered when it reads, or is killed there."""
        chance = self._reading
        service, number = chance.choice(self._places)
        step = chance.choice([Fail, Fail, Die])
        self._steps.append(step(service=service, number=number, point="read", nth=chance.choice([1, 1, 2, 5])))

    # -------------------------------------------------------------------------------------- what is drawn

    def _place(self) -> tuple[Service, int]:
        return self._chance.choice(self._places)

    def _draw(self) -> int:
        return self._chance.randrange(10_000)

    def answers(self) -> list[AnyStep]:
        how = self._chance.choice(["accepts", "rejects", "works"])
        return [Answer(at=self._now, customer=f"c{self._chance.randint(1, 4)}", number=next(self._numbers), how=how)]

    def days(self) -> list[AnyStep]:
        self._now += self._chance.choice([3600_000, DAY, 3 * DAY])
        return [Pass(at=self._now)]

    def drifts(self) -> list[AnyStep]:
        return [Drift(ahead=self._chance.choice([-30 * 60_000, -2_000, 0, 2_000, 60_000]))]

    def recycles(self) -> list[AnyStep]:
        """A lead is put aside until a day that will come."""
        until = str(_date(self._now + self._chance.randint(1, 4) * DAY))
        data = LeadRecycled(customer_id=f"c{self._chance.randint(1, 4)}", reason="not now", until=until)
        at = (self._now - self._chance.choice([0, DAY])) * NANOS
        number = next(self._numbers)
        message = encode("crm.lead.v1", "crm.lead.recycled.v1", data, source="crm/0", id=f"r{number}", occurred_at=at)
        return [Publish(at=self._now, inputs=(Input(number, message),))]

    def versions(self) -> list[AnyStep]:
        topic, names = self._chance.choice([("table", TABLES), ("rules", RULE_SETS), ("directory", DIRECTORIES)])
        name = RUBBISH if self._chance.random() < 0.1 else self._chance.choice(sorted(names))
        since = self._now - self._chance.choice([0, DAY, STORY // 2, STORY * 2]) + self._chance.choice([0, DAY])
        steps: list[AnyStep] = [Version(at=self._now, topic=topic, name=name, since=since)]
        return steps + [Look(service=s, number=n) for s, n in self._places if self._chance.random() < 0.5]

    def mass_changes(self) -> list[AnyStep]:
        """Somebody changes all of a stage, and perhaps gives it up in the middle, or takes it back."""
        name, back = next(self._numbers), next(self._numbers)
        stage, change = self._chance.choice(MASS_CHANGES)
        asked: list[Mass] = [
            Mass(at=self._now, number=self._draw(), name=name, what="preview", stage=stage, change=change),
            Mass(number=self._draw(), name=name, what="apply"),
        ]
        if self._chance.random() < 0.2:
            asked.append(Mass(number=self._draw(), name=name, what="cancel"))
        if self._chance.random() < 0.5:
            asked.append(Mass(number=self._draw(), name=back, what="take back", of=name))
            asked.append(Mass(number=self._draw(), name=back, what="apply"))
        for step in asked:
            self._steps.append(step)
            for _ in range(self._chance.randrange(1, 5)):
                number = self._chance.randrange(self.shape.lifecycle)
                self._steps.append(Turn(service="lifecycle", number=number, which=self._chance.choice([0, 1, 1]), times=2))
            if self._changing.random() < 0.7:  # it is done before the next thing is asked, or too few are ever taken back
                self._steps += [Turn(service="lifecycle", number=number, which=which, times=4) for which in (1, 0)]
        return []

    def letters(self) -> list[AnyStep]:
        what = self._chance.choice(["replay", "replay", "drop"])
        return [Letters(at=self._now, number=self._draw(), what=what, force=self._chance.random() < 0.5)]

    def gaps(self) -> list[AnyStep]:
        topic = self._chance.choice([*(topic.name for topic in LIFECYCLE_INPUTS), LIFECYCLE.name, "routing.request.v1"])
        return [Gap(topic=topic, partition=self._chance.randrange(3), offsets=self._chance.randint(1, 3))]

    def transactions(self) -> list[AnyStep]:
        name = next(self._numbers)
        number = next(self._numbers)
        data = LeadRecycled(customer_id=f"c{self._chance.randint(1, 4)}", reason="in a transaction")
        at = self._now * NANOS
        message = encode("crm.lead.v1", "crm.lead.recycled.v1", data, source="crm/0", id=f"t{number}", occurred_at=at)
        begun = Begin(at=self._now, name=name, inputs=(Input(number, message),))
        self._steps.append(begun)
        for _ in range(self._chance.randrange(4)):
            self._work()
        return [Conclude(name=name, abort=self._chance.random() < 0.5)]

    def looks(self) -> list[AnyStep]:
        service, number = self._place()
        return [Look(service=service, number=number)]

    def dies(self) -> list[AnyStep]:
        service, number = self._place()
        steps: list[AnyStep] = [
            Die(service=service, number=number, point=self._chance.choice(POINTS), nth=self._chance.choice([1, 1, 2, 5]))
        ]
        return [*steps, *self._turns_of(service, number), *self._perhaps_expired(service, number)]

    def kills(self) -> list[AnyStep]:
        service, number = self._place()
        return [Kill(service=service, number=number), *self._perhaps_expired(service, number)]

    def _perhaps_expired(self, service: Service, number: int) -> list[AnyStep]:
        if self.shape.static and self._chance.random() < 0.7:
            return []
        return [Expire(service=service, number=number)]

    def stops(self) -> list[AnyStep]:
        service, number = self._place()
        return [Stop(service=service, number=number)]

    def expires(self) -> list[AnyStep]:
        service, number = self._place()
        return [Expire(service=service, number=number)]

    def zombies(self) -> list[AnyStep]:
        """One is replaced; later, while the other one works, it goes on."""
        service, number = self._place()
        self._steps.append(Replace(service=service, number=number))
        for _ in range(self._chance.randrange(1, 4)):
            self._steps.append(Turn(service=service, number=number, which=self._chance.randrange(2), times=2))
        which, times = self._chance.randrange(2), self._chance.randint(1, 3)
        return [Zombie(service=service, number=number, which=which, seed=self._draw()) for _ in range(times)]

    def overtakes(self) -> list[AnyStep]:
        service, number = self._place()
        return [
            Overtake(
                service=service,
                number=number,
                nth=self._chance.choice([1, 1, 2, 4]),
                turns=self._chance.randint(1, 6),
                seed=self._chance.choice([None, self._draw()]),
                point=self._overtaking.choice(["begin", "committed", "send", "send"]),  # it is sent less often than committed
            ),
            *self._turns_of(service, number),
        ]

    def database_fails(self) -> list[AnyStep]:
        service, number = self._place()
        point = self._chance.choice(["begin", "commit", "commit", "committed"])
        failure = Fail(service=service, number=number, point=point, nth=self._chance.choice([1, 1, 1, 2]))
        return [failure, *self._turns_of(service, number)]

    def log_fails(self) -> list[AnyStep]:
        return [Lose(fault=self._chance.choice(["refused", "unanswered"]), nth=self._chance.choice([1, 2, 5]))]

    def log_away(self) -> list[AnyStep]:
        return self._for_a_while(Away(away=True), Away(away=False))

    def log_slow(self) -> list[AnyStep]:
        return self._for_a_while(Slow(slow=True), Slow(slow=False))

    def _for_a_while(self, begin: AnyStep, end: AnyStep) -> list[AnyStep]:
        self._steps.append(begin)
        for _ in range(self._chance.randint(1, 6)):
            self._work()
        return [end]


Trouble = Callable[[_Drawing], list[AnyStep]]
CRASHES: Final[list[Trouble]] = [
    _Drawing.dies,
    _Drawing.kills,
    _Drawing.zombies,
    _Drawing.overtakes,
    _Drawing.database_fails,
    _Drawing.log_fails,
]
OTHERS: Final[list[Trouble]] = [
    _Drawing.answers,
    _Drawing.days,
    _Drawing.drifts,
    _Drawing.recycles,
    _Drawing.versions,
    _Drawing.mass_changes,
    _Drawing.letters,
    _Drawing.gaps,
    _Drawing.transactions,
    _Drawing.looks,
    _Drawing.stops,
    _Drawing.expires,
    _Drawing.log_away,
    _Drawing.log_slow,
]


def _input(item: Item) -> Input:
    return Input(item.number, item.message, item.malformed)


def _date(milliseconds: int) -> date:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date()
