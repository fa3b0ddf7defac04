"""The page of settings."""

from docs.generator.markdown import code, prose, table
from handoff.configuration import all_settings


def page() -> str:
    """The page."""
    rows = [
        (
            code(each.name),
            each.default if " " in each.default or each.default == "none" else code(each.default),
            ", ".join(each.services),
            prose(each.meaning),
        )
        for each in all_settings()
    ]
    return f"""# Settings

Environment variables, all optional. `handoff config` shows what is in force on a machine and where each value comes from; a variable
`HANDOFF_...` that nothing reads is a warning with the one that was probably meant.

*Read by* says which process looks at it: `handoff` is the command line with the stack that `handoff up` starts; the stack hands its own
settings on to the services, and leaves all others as they are.

{table(("variable", "default", "read by", "meaning"), rows)}"""
