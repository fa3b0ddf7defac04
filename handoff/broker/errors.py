"""The one error of this package: what is missing or in the way, and the way out, in one line."""


class KafkaUnavailable(Exception):  # noqa: N818 - says what is the case, and is part of the interface
    """The embedded broker cannot be provided; the message is one line, fit to be shown to a user as it is."""
