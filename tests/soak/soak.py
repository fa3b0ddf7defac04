"""A soak: the demo's stack at a steady rate for an hour, looked at all the time, and counted anew from the inputs at its end."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from events.topics import PARTITIONS
from handoff.client import Services
from handoff.settings import SERVICES
from tests.bench import machine
from tests.faults.plan import KAFKA, Layout
from tests.faults.site import Site
from tests.faults.stack import Stack
from tests.soak.listening import Asker, Latencies, Listener
from tests.soak.recount import recount
from tests.soak.traffic import PROBE, Traffic
from tests.soak.watching import Watch

ONE_MACHINE: Final = Layout("sqlite", (KAFKA,))
"""What `handoff up` starts by itself."""
LOOK_SECONDS: Final = 5.0
SETTLE_SECONDS_MAX: Final = 300.0
PROBE_DEAL: Final = f"opportunity:{PROBE}"
FORMAT: Final = 3
"""The version of the JSON's shape."""


class Soak:
    """One run. ``run`` it; it writes its JSON every minute, and once more at the end."""

    def __init__(
        self, folder: Path, *, minutes: float, rate: float, seed: int, json: Path, say: Callable[[str], None], note: str = ""
    ) -> None:
        self._stack = Stack(Site(ONE_MACHINE, folder))
        self._minutes = minutes
        self._rate = rate
        self._seed = seed
        self._json = json
        self._say = say
        self._said: dict[str, Any] = {
            "format": FORMAT,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "minutes": minutes,
            "rate": rate,
            "seed": seed,
            "note": note,
            "machine": machine.facts(folder),
        }

    def run(self) -> dict[str, Any]:
        """Do everything; answers with what was found."""
        self._stack.start()
        try:
            return self._run()
        finally:
            if self._stack.process is not None and self._stack.process.poll() is None:
                self._stack.stop()

    def _run(self) -> dict[str, Any]:
        bootstrap = f"127.0.0.1:{self._stack.ports['kafka']}"
        latencies = Latencies()
        listener = Listener(bootstrap, latencies)
        traffic = Traffic(bootstrap, listener, latencies, rate=self._rate, seed=self._seed)
        asker = Asker(self._stack.settings.url("forecast"), traffic.probes, PROBE_DEAL, latencies)
        with Services(self._stack.settings) as services:
            watch = Watch(self._stack, services)
            for each in (listener, traffic, asker):
                each.start()
            self._watch(watch, traffic, latencies)
            traffic.stop()
            settling = time.monotonic()
            self._stack.settle(SETTLE_SECONDS_MAX)
            settled = time.monotonic() - settling
            asker.stop()
            listener.stop()
            self._say(f"everything is reflected {settled:.1f} s after the last fact; counting anew")
            self._said["end"] = {
                "settled_seconds": round(settled, 1),
                "sent": traffic.sent,
                "malformed": traffic.malformed,
                "error": traffic.error,
                "missed_probes": asker.missed,
                "dead_letters": {name: services.status(name)["dead_letters"] for name in SERVICES},
                "deaths": [name for _, name in self._deaths()],
                "warnings": self._warnings(),
                **recount(bootstrap, services, sent=traffic.sent, partitions=PARTITIONS, processes=os.cpu_count() or 1),
            }
        self._note(watch, latencies)
        return self._said

    def _watch(self, watch: Watch, traffic: Traffic, latencies: Latencies) -> None:
        began = time.monotonic()
        number = 0
        while (passed := time.monotonic() - began) < self._minutes * 60 and not traffic.error:
            sample = watch.look(traffic.sent)
            if number % 12 == 0:
                self._note(watch, latencies)
                self._say(_line(sample))
            number += 1
            self._stack.pass_time(max(0.0, min(number * LOOK_SECONDS, self._minutes * 60) - passed))
        watch.look(traffic.sent)

    def _deaths(self) -> list[tuple[float, str]]:
        self._stack.pass_time(0)
        return self._stack.deaths

    def _warnings(self) -> list[str]:
        """The first lines of the services' logs that warn or report an error."""
        found: list[str] = []
        for name in SERVICES:
            lines = (self._stack.data_dir / "logs" / f"{name}.log").read_text(errors="replace").splitlines()
            found += [f"{name}: {line}" for line in lines if " WARNING " in line or " ERROR " in line]
        return found[:100]

    def _note(self, watch: Watch, latencies: Latencies) -> None:
        said = {**self._said, "samples": watch.samples, "latencies_ms": latencies.by_minute()}
        self._said = said
        self._json.write_bytes(msgspec.json.format(msgspec.json.encode(said), indent=1) + b"\n")


def _line(sample: dict[str, Any]) -> str:
    parts = [f"{sample['seconds'] / 60:5.1f} min {sample['sent']:9,} facts"]
    for name, found in sample["processes"].items():
        said = sample["services"].get(name) or {}
        if found:
            lag = f" lag {said['lag']}" if "lag" in said else ""
            parts.append(f"{name} {found['anonymous_mib']:.0f} MiB {found['handles']:.0f} handles{lag}")
    return ", ".join(parts)
