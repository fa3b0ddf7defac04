"""The contract of Handoff: what travels between systems, and nothing about how it travels.

Depends on the standard library and msgspec only, so that a producer can vendor it.
"""
