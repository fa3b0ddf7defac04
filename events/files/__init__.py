"""How operations write things down: YAML files, read with line and column, so that all that is wrong is told at once.

``yaml_tree`` makes a tree of a file in which every node knows its place, ``reading`` gets typed values out of it. What a file means
is for the service that obeys it to say; how its versions travel is in :mod:`events.bus.versions`.
"""
