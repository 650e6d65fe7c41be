"""Runs a program that ends with the demo, whatever ended the demo, SIGKILL too.

A program of its own (``python -I -S tethered.py PARENT COMMAND...``) that becomes the command: the kernel's
request to signal a child at its parent's death can only be made by the child, and Python code between fork and
exec is not safe in a process with threads. It imports nothing of ours, so that it costs milliseconds.
"""

import ctypes
import os
import signal
import sys

# <linux/prctl.h>; it outlives exec.
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for SIGTERM at the parent's death, and become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # It may have died before we asked; then nobody would ever tell.
    if os.getppid() != parent:
        sys.exit("the program that started this one has ended")
    os.execvp(command[0], command)  # noqa: S606  it is ours, given as a list


if __name__ == "__main__":
    main()
