"""``python -m handoff`` is the command ``handoff``."""

import sys

from handoff.cli import main

sys.exit(main())
