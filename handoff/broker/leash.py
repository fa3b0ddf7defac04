"""A child process that never outlives its parent, not even one that is killed with SIGKILL.

In go a command and where its output goes; out comes a handle to end it. Between parent and child stands a shell that
holds the reading end of a pipe: end of file on it means that the parent closed its end on purpose (`stop`) or is gone,
and the child is told to end. This works wherever there is a POSIX shell; Linux's parent-death signal does not, and it
fires already when the *thread* that started the child ends.

A parent that forks without `exec` (multiprocessing's "fork") gives copies of the pipe away and so delays the end of
file until they are gone too: use "spawn" beside this.
"""

import fcntl
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_SHELL = """
pid_file=$1
eval "set -- $LEASH_COMMAND"; unset LEASH_COMMAND
exec 3<&0                                   # 3 is the leash
"$@" </dev/null 3<&- & child=$!
echo "$child" >"$pid_file"
trap 'kill "$child"' TERM INT HUP
(trap - TERM INT HUP; read -r _ <&3; kill "$child" 2>/dev/null) & watcher=$!
exec 3<&-
while :; do
    wait "$child"; code=$?
    kill -0 "$child" 2>/dev/null || break   # `wait` returns early when a trap has run
done
kill "$watcher" 2>/dev/null
exit "$code"
"""

_SHELL_DESCRIPTORS = 10
"""A shell script can redirect the descriptors below this number, so one that is to pass through has a higher one."""


class Leash:
    """One running command. It gets a session of its own, so that Ctrl-C in the terminal does not reach it first."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        pid_file: Path,
        output: BinaryIO,
        lock: int,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start `command` in `cwd`; `lock` is a descriptor that the command and its shell keep open while they live.

        `environment`: all of the command's, in place of this process's own. The command travels in it, so that a look at
        the list of processes finds one that runs the command, and not its shells too.
        """
        kept = fcntl.fcntl(lock, fcntl.F_DUPFD, _SHELL_DESCRIPTORS)
        try:
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _SHELL, "leash", str(pid_file)],
                cwd=cwd,
                env={**(os.environ if environment is None else environment), "LEASH_COMMAND": shlex.join(command)},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=(kept,),
                start_new_session=True,
            )
        finally:
            os.close(kept)

    @property
    def running(self) -> bool:
        return self._shell.poll() is None

    @property
    def code(self) -> int | None:
        """The exit code as a shell tells it (128 + the signal that ended it), None while it runs."""
        return self._shell.poll()

    def stop(self, timeout: float) -> None:
        """Ask the command to end, by SIGTERM; after `timeout` seconds, `kill` it."""
        self._let_go()
        try:
            self._shell.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the command and its shell at once, by SIGKILL; also what a shell that was killed by somebody left running."""
        if self.running or self._shell.returncode < 0:
            with suppress(ProcessLookupError):
                os.killpg(self._shell.pid, signal.SIGKILL)
            self._shell.wait()
        self._let_go()

    def _let_go(self) -> None:
        if self._shell.stdin:
            self._shell.stdin.close()
