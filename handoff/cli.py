"""The command line: which commands there are, and how each one ends. What they do is in :mod:`handoff.commands`.

Exit codes: 0 well, 1 not well (the answer is bad news), 2 wrong usage or environment. Errors go to standard error, in one line.
"""

import logging
import os
import sys

import typer
from kafka.errors import KafkaError

from events.bus import BusError
from handoff.broker import KafkaUnavailable
from handoff.commands import (
    backup,
    command,
    config,
    customer,
    customers,
    database,
    dead_letters,
    demo,
    doctor,
    explain,
    forecast,
    imports,
    mass_change,
    process_map,
    rebuild,
    send,
    status,
    statuses,
    tail,
    topics,
    up,
)
from handoff.console import complain
from handoff.errors import INTERRUPTED, NOT_WELL, USAGE, CommandError

app = typer.Typer(
    help="Sales-force automation on Kafka: one customer record, the right rep, a forecast that adds up.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(up.up)
app.command()(demo.demo)
app.command()(status.status)
app.command()(doctor.doctor)
app.command()(config.config)
app.add_typer(topics.app, name="topics")
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(backup.restored)
app.add_typer(database.app, name="database")
app.add_typer(imports.app, name="import")
app.command()(send.send)
app.command()(tail.tail)
app.command()(customer.customer)
app.command()(customers.customers)
app.add_typer(command.app, name="command")
app.add_typer(mass_change.app, name="mass-change")
app.add_typer(dead_letters.app, name="dead-letters")
app.command()(rebuild.rebuild)
app.command()(forecast.forecast)
app.command()(explain.explain)
app.command()(process_map.process_map)
app.add_typer(statuses.app, name="statuses")


def main() -> int:
    """Run the command that was typed. Returns the exit code."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what matters comes as an exception too
    try:
        return app(standalone_mode=False, prog_name="handoff") or 0
    except CommandError as error:
        complain(str(error))
        return error.code
    except typer.TyperException as error:
        if message := error.format_message():  # none where the help was shown instead
            complain(f"{message} (see `handoff --help`)")
        return USAGE
    except BusError as error:
        complain(f"{error} (is `handoff up` running? HANDOFF_KAFKA says where Kafka is)")
        return USAGE
    except (LookupError, KafkaUnavailable, KafkaError) as error:
        complain(str(error))
        return USAGE
    except typer.Abort:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_WELL
    except OSError as error:
        if error.filename is None:
            raise
        complain(f"{os.fsdecode(error.filename)}: {error.strerror}")
        return USAGE
