"""The pure heart of lifecycle: a customer record as the fold over the set of its facts (FOLD rules 1 to 24).

Read in this order: ``order`` (which fact comes first), ``table`` (the statuses), ``links`` (which documents make a deal),
``documents``, ``figures`` and ``deals`` (a deal at a point), ``status``, ``handoffs`` and ``activity`` (the record's
status, its assignments, when anything last happened), ``state`` (one step), ``fold`` (the history), ``record`` (decide and evolve),
``refold`` (a status table that comes late), ``summary`` (a record in one line). ``process`` says which tables are right.
Beside the fold: ``path`` (which statuses lead to a sale), ``mining`` and ``process_map`` (what really happened between statuses).
"""
