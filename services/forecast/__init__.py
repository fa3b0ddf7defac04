"""Forecast: what the deals add up to, now or at any past instant, and the documents behind every figure.

``crm.lifecycle.v1`` comes in, a bitemporal projection is kept, and HTTP answers go out. Follow one deal: :mod:`.inbound` takes
the message in, :mod:`.changes` reads it, :mod:`.view` writes the history, :mod:`.inquiry` is asked for an answer, :mod:`.figures`
reads a slice of the history, :mod:`.domain` says what counts, :mod:`.answers` words it.
"""
