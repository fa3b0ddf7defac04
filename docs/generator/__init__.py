"""The reference, made from the code: ``python -m docs.generator`` (``make docs``) writes ``docs/reference/*.md``.

A development tool, not shipped. In go the contract, the settings, the command line, the services' OpenAPI and their metrics; out
come Markdown pages. A test compares the pages with what is made here, so a command, setting, type or route cannot be forgotten.
"""
