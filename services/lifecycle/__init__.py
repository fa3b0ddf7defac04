"""Lifecycle: one customer record whose status is always right, from facts in any order (``python -m services.lifecycle``)."""
