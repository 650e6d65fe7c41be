"""Listening on all addresses of a pod, whichever families its cluster has."""

import errno
import socket

__all__ = ["listen_everywhere"]

# What a kernel without IPv6 says, or one where it is switched off.
_WITHOUT_IPV6 = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def listen_everywhere(port: int) -> socket.socket:
    """A listening socket for both families, or for IPv4 where there is no other. Raises OSError."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if error.errno not in _WITHOUT_IPV6:
                raise
    return socket.create_server(("", port))
