"""Routing: every record without an owner gets the right rep, with the whole reason, each exactly once.

In go lifecycle's messages (``crm.lifecycle.v1``), rules and directory; out go assignments (``crm.assignment.v1``).
"""
