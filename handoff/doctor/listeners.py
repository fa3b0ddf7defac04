"""Kafka's door: whether the bootstrap address answers, and whether the address that the cluster gives its clients does too.

Asked on the wire, by one Metadata request and without a client: a client that gets a wrong advertised address only ever says
that it cannot connect, and takes long to say so.
"""

import socket
import struct
import time
from collections.abc import Mapping
from functools import partial
from typing import Final

from msgspec import Struct

from events.bus.kafka.clients import addresses
from handoff.doctor.deadline import Asked
from handoff.doctor.finding import Finding, Outcome, error, skipped, warning
from handoff.settings import variable

Address = tuple[str, int]

ANSWER_SECONDS_MAX: Final = 1.5
NAME_SECONDS_MAX: Final = 1.9
"""With the time that a name server may take."""
BYTES_MAX: Final = 1 << 20
_METADATA: Final = struct.pack(">ihhihi", 14, 3, 2, 7, -1, 0)
"""Length, api key 3, version 2, correlation 7, no client id, no topics."""


class Met(Struct, frozen=True):
    """A broker that answered: how long that took, which cluster it is of, and where clients are told to go."""

    seconds: float
    cluster_id: str
    brokers: tuple[Address, ...]


class Doors(Struct, frozen=True):
    """The bootstrap addresses and the advertised ones: who answered, or why nobody did."""

    bootstrap: Mapping[Address, Met | str]
    advertised: Mapping[Address, Met | str]

    @property
    def met(self) -> Met | None:
        """The first bootstrap address that answered."""
        return next((met for met in self.bootstrap.values() if isinstance(met, Met)), None)

    @property
    def usable(self) -> bool:
        """Whether clients can work: the cluster answers there, and where it sends them."""
        return bool(self.advertised) and all(isinstance(met, Met) for met in self.advertised.values())


def knock(bootstrap: str) -> Doors:
    """Ask every bootstrap address, then every advertised one; each group at once, and at most some 2 s."""
    first = _meet_all(addresses(bootstrap))
    told = {broker: None for met in first.values() if isinstance(met, Met) for broker in met.brokers}
    known = {address: met for address, met in first.items() if address in told}
    return Doors(first, {**known, **_meet_all([address for address in told if address not in known])})


def broker(doors: Doors, bootstrap: str, *, expected: bool, named: bool) -> Outcome:
    """Whether Kafka answers. ``expected``: it should run now; ``named``: by HANDOFF_KAFKA, and not started by `handoff up`."""
    met = doors.met
    away = {address: why for address, why in doors.bootstrap.items() if isinstance(why, str)}
    if met is None:
        why = "; ".join(f"{_named(address)}: {reason}" for address, reason in away.items())
        if not expected:
            return skipped("broker", f"not running at {bootstrap}; `handoff up` starts it")
        start = (
            f"start that cluster, or correct {variable('kafka')}"
            if named
            else "look into kafka/broker.log in the data directory, then start `handoff up` again"
        )
        return Outcome(
            check="broker", said="no answer", findings=(error(f"Kafka does not answer ({why})", where=bootstrap, fix=start),)
        )
    findings: list[Finding] = [
        warning(
            f"this bootstrap server does not answer ({reason}); another one does",
            where=_named(address),
            fix=f"start it, or take it out of {variable('kafka')}",
        )
        for address, reason in away.items()
    ]
    if not met.brokers:
        findings.append(
            error(
                "Kafka answers, but no broker has registered with its controller",
                where=bootstrap,
                fix="wait until it has started; look into the broker's log if it does not",
            )
        )
    said = f"cluster {met.cluster_id} at {bootstrap}, answered in {met.seconds * 1000:.0f} ms"
    return Outcome(check="broker", said=said, findings=tuple(findings))


def advertised(doors: Doors, bootstrap: str) -> Outcome:
    """Whether the addresses that the cluster gives its clients answer here, and are of the same cluster."""
    met = doors.met
    if met is None:
        return skipped("listener", "Kafka does not answer")
    findings: list[Finding] = []
    fix = (
        "set the broker's advertised.listeners (in a container KAFKA_ADVERTISED_LISTENERS) to an address that this machine "
        f"reaches, or name in {variable('kafka')} a listener that advertises one"
    )
    for address, there in doors.advertised.items():
        place = _named(address)
        if isinstance(there, str):
            findings.append(
                error(
                    f"Kafka answers at {bootstrap}, but sends its clients to {place}, which does not ({there})",
                    where=place,
                    fix=fix,
                )
            )
        elif there.cluster_id != met.cluster_id:
            findings.append(
                error(
                    f"Kafka at {bootstrap} is {met.cluster_id}, but sends its clients to {place}, which is {there.cluster_id}",
                    where=place,
                    fix=fix,
                )
            )
    return Outcome(
        check="listener",
        said=f"clients are sent to {', '.join(map(_named, doors.advertised)) or 'nowhere'}",
        findings=tuple(findings),
    )


# ---------------------------------------------------------------------------------------------- wire


def _meet_all(wanted: list[Address]) -> dict[Address, Met | str]:
    asked = {address: Asked(partial(meet, address)) for address in wanted}
    deadline = time.monotonic() + NAME_SECONDS_MAX
    found: dict[Address, Met | str] = {}
    for address, question in asked.items():
        try:
            found[address] = question.answer(max(0.0, deadline - time.monotonic()))
        except (OSError, ValueError, struct.error) as failure:
            found[address] = getattr(failure, "strerror", None) or str(failure)
    return found


def meet(address: Address) -> Met:
    """Ask one broker for the layout of its cluster. Raises ``OSError`` or ``ValueError``."""
    began = time.monotonic()
    with socket.create_connection(address, ANSWER_SECONDS_MAX) as connection:
        connection.settimeout(max(0.1, ANSWER_SECONDS_MAX - (time.monotonic() - began)))
        connection.sendall(_METADATA)
        length, correlation = struct.unpack(">ii", _exactly(connection, 8))
        if correlation != 7 or not 4 <= length <= BYTES_MAX:
            raise ValueError("what answers there does not speak Kafka's protocol in the clear")
        body = _Body(_exactly(connection, length - 4))
    brokers = tuple(body.broker() for _ in range(body.number()))
    return Met(time.monotonic() - began, body.text() or "", brokers)


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        chunk = connection.recv(size - len(found))
        if not chunk:
            raise ValueError("the connection was closed without an answer: no Kafka, or one that wants TLS")
        found += chunk
    return bytes(found)


class _Body:
    """The answer, read from its beginning."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def number(self) -> int:
        return int(self._take(">i"))

    def text(self) -> str | None:
        size = int(self._take(">h"))
        if size < 0:
            return None
        self._at += size
        return self._content[self._at - size : self._at].decode()

    def broker(self) -> Address:
        self.number()  # its id
        host, port = self.text() or "", self.number()
        self.text()  # its rack
        return host, port

    def _take(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self._content, self._at)
        self._at += struct.calcsize(form)
        return int(value)


def _named(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
