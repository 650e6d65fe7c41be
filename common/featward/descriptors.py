"""Room for connections: raises this process's limit of open files as far as the system allows.

Most systems start programs with a soft limit of 1024, which is for programs that use `select`. A server that
keeps it can be stopped by anybody who opens a thousand sockets: then its probes, its upstream connections and
its files fail as well. Apart from the components, because each that serves needs it.
"""

import resource

__all__ = ["raise_limit"]

WANTED = 65_536
"""Four listeners with 4,096 or, at the CA, 16,384 connections each, their far sides, and files."""


def raise_limit() -> int:
    """Raise the soft limit up to the hard one; returns what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
