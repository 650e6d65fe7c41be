"""Turns this process into the lean sidecar, with a configuration that is already validated."""

import os
import sys
from typing import NoReturn

from featward_sidecar.configuration import Configuration

__all__ = ["become_sidecar"]


def become_sidecar(configuration: Configuration) -> NoReturn:
    """Replace this process: the same process id, so that supervisors notice nothing.

    The configuration goes through an anonymous file. It holds no secrets, but an argument would be cut off by
    `ps` and limited in length.
    """
    descriptor = os.memfd_create("featward-sidecar-configuration", 0)  # flags 0: not closed by exec
    with os.fdopen(os.dup(descriptor), "w", encoding="utf-8") as file:
        file.write(configuration.to_json())
    os.lseek(descriptor, 0, os.SEEK_SET)
    sys.stdout.flush()
    sys.stderr.flush()
    # -P: a folder of our name where we are started must not be taken for us.
    os.execv(  # noqa: S606 -- ourselves, by absolute path
        sys.executable,
        [sys.executable, "-P", "-m", "featward_sidecar", "--configuration-fd", str(descriptor)],
    )
