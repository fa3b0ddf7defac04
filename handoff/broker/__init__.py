"""The Kafka of the one-machine stack: a real broker as a child process, without Docker and without a Java to install.

`EmbeddedKafka` runs one; `prepare` makes a machine ready to run them offline; whatever is in the way is one line in a
`KafkaUnavailable`. Settings of the machine, all optional: HANDOFF_CACHE_DIR, HANDOFF_JAVA, HANDOFF_MAVEN_URL.
"""

from handoff.broker.embedded import EmbeddedKafka
from handoff.broker.errors import KafkaUnavailable
from handoff.broker.provision import prepare

__all__ = ["EmbeddedKafka", "KafkaUnavailable", "prepare"]
