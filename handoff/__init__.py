"""The command line of Handoff and its one-machine stack: Kafka, the services, importers."""
