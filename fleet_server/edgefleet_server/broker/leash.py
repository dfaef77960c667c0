"""Starts a program that dies when its parent dies, even by SIGKILL: ``python -m ... PARENT_PID PROGRAM ARGUMENT...``.

Linux sends the signal when the *thread* that forked ends (prctl(2), PR_SET_PDEATHSIG), so the supervisor forks in a
thread that lives as long as the server. It is set here, after the fork and before the program, because a hook between
fork and exec is unsafe in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Put the leash on, then become the program."""
    parent, *command = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != int(parent):
        sys.exit(1)  # the parent died before the leash was on
    os.execvp(command[0], command)  # noqa: S606 - becoming the program is the point; no shell is meant


if __name__ == "__main__":
    main(sys.argv[1:])
