"""Producers that use another partitioner: their records lie in another partition than their customers' home.

Lifecycle sends such records home and counts them by source; that works, and costs a second way through Kafka for each of them.
"""

from collections.abc import Mapping

from handoff.doctor.finding import Outcome, skipped, warning


def senders(moved: Mapping[str, int] | None) -> Outcome:
    """``moved``: how many records lifecycle sent home since its start, by ``ce_source``; None where it does not answer."""
    if moved is None:
        return skipped("partitioner", "lifecycle does not answer")
    fix = "set that producer's partitioner: murmur2_random in librdkafka; Java and kafka-python have it by default"
    findings = tuple(
        warning(
            f"{source} sent {count:,} record{'s' if count != 1 else ''} to another partition than the customer's",
            where=source,
            fix=fix,
        )
        for source, count in sorted(moved.items(), key=lambda pair: (-pair[1], pair[0]))
    )
    return Outcome(
        check="partitioner", said="by the customer's key" if not moved else f"not the same for all: {len(moved)}", findings=findings
    )
