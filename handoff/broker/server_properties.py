"""The broker's `server.properties`: in go the ports and the caller's wishes, out comes the text of the file.

Every path in it is relative to the directory that the broker runs in: Kafka reads this file as Latin-1 and splits
`log.dirs` at commas, so a data directory of any name works and may be moved.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from handoff.broker.ports import HOST

LOG_DIR = "data"

_MIB = 1 << 20

FIXED: Mapping[str, str] = {
    # One process that is both controller and broker.
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "BROKER",
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "log.dirs": LOG_DIR,
    # Topics are made on purpose, with the right number of partitions, or not at all.
    "auto.create.topics.enable": "false",
    # Facts are kept for ever: state is rebuilt from them.
    "log.retention.ms": "-1",
    # A hundred years instead of an hour: a clock that was set back must not have stamps refused that were right before it.
    # Topics say so themselves, but for those that were made by older versions.
    "log.message.timestamp.after.max.ms": str(100 * 365 * 24 * 3600 * 1000),
    # Above the 1 MiB at which clients refuse: a client's refusal is synchronous and harmless, while a refusal by the
    # broker ends an idempotent producer for good.
    "message.max.bytes": str(2 * _MIB),
    # Internal topics for a cluster of one.
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # The first member of a group starts at once instead of 3 s later; short sessions are allowed.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # After a crash the next start waits until the old registration has expired: 3 s instead of 9.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # Memory and threads for one machine; the log cleaner alone would take 128 MiB at start, used or not.
    "log.cleaner.dedupe.buffer.size": str(2 * _MIB),
    "log.segment.bytes": str(64 * _MIB),
    "num.network.threads": "1",
    "num.io.threads": "2",
    "background.threads": "2",
}


def render(port: int, controller_port: int, wishes: Mapping[str, str]) -> str:
    """The text of the file; `wishes` win over everything else."""
    properties = {
        **FIXED,
        "listeners": f"BROKER://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"BROKER://{HOST}:{port}",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        **wishes,
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def remembered_port(file: Path) -> int | None:
    """The port that `file` was last written with, or None if there is no such file."""
    try:
        text = file.read_text(encoding="latin-1")
    except FileNotFoundError:
        return None
    listener = re.search(rf"^listeners=BROKER://{re.escape(HOST)}:(\d+)", text, re.MULTILINE)
    return int(listener[1]) if listener else None
