"""Turns this process into the lean sidecar, with a configuration that is already validated."""

import os
import sys
from typing import NoReturn

from featward_sidecar.configuration import Configuration

__all__ = ["become_sidecar"]

MALLOC = {"MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_TRIM_THRESHOLD_": "2097152"}
"""glibc raises these to 32 and 64 MiB by itself once a block of such a size was freed. From then on the tables
of each new policy are made in the heap, where something small above them keeps them from ever going back: with
100,000 bindings a sidecar of 57 MB grew to 88 at the second edit and 123 at the eighth. Once they are set, they
stay. Bodies of up to a mebibyte, the default limit, still come from the heap. Other C libraries ignore them."""


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
    os.execve(  # noqa: S606 -- ourselves, by absolute path
        sys.executable,
        [sys.executable, "-P", "-m", "featward_sidecar", "--configuration-fd", str(descriptor)],
        MALLOC | os.environ,
    )
