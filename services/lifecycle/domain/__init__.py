"""The pure heart of lifecycle: a customer record as the fold over the set of its facts (FOLD rules 1 to 24).

Read in this order: ``order`` (which fact comes first), ``table`` (the statuses), ``links`` (which documents make a deal),
``documents``, ``figures`` and ``deals`` (a deal at a point), ``status``, ``handoffs`` and ``activity`` (the record's
status, its assignments, when anything last happened), ``state`` (one step), ``history`` and ``fold`` (what held when),
``adding``, ``stretches`` and ``leaps`` (more facts, late ones too), ``limits`` and ``parts`` (how large a record and its messages
become), ``known`` and ``record`` (decide and evolve), ``told`` (what is told of a change), ``refold`` (a status table that comes
late), ``summary`` (a record in one line). ``process`` says which tables are right.
Beside the fold: ``path`` (which statuses lead to a sale), ``mining`` and ``process_map`` (what really happened between statuses).
"""
