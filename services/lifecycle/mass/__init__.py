"""Mass change: one decision about many records, seen beforehand, applied with progress, found and taken back by one id.

A *batch* is a filter and a change. Its preview says of every record that is meant what would happen to it; applied, it writes one
command for each record that would change, to the same topic as a single command. All commands of a batch have the batch's id as
theirs, so that whatever they did can be found by it. Nothing here changes a record: the fold does.

``change`` (what is wanted of a record, and what would happen), ``batches`` (what is kept), ``runner`` (the work), ``api``.
"""
