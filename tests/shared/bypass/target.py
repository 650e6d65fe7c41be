"""What the corpus is run against: a sidecar before a real Feast, with a relay between them."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from bypass.relay import Address, Relay


@dataclass(frozen=True)
class ProtectedFeast:
    """The fixture ``protected_feast``, and what the entries take for granted.

    Feast serves the demo's repository (its three feature views and one service, 3,000 rows). The
    sidecar enforces; its limits are the defaults, but `header_seconds` and `body_seconds` are 2.
    The client of `certificate` is granted driver_hourly_stats:conv_rate, driver_hourly_stats:acc_rate
    and the service driver_activity_v1 (so conv_rate_plus:conv_plus), and nothing else, with
    ``onExcess: deny``, no rows limit of its own and no rate. ``upstreamAuth`` is none.
    """

    # The sidecar's mTLS listener.
    address: Address
    # PEM files: the environment's root and intermediates; the client's chain and its key.
    trust: Path
    certificate: Path
    key: Path
    # The sidecar's upstream, which passes on to Feast.
    upstream: Relay
    # Feast itself, for what it does alone.
    feast: Address

    def connect(self, protocol: str, seconds: float) -> ssl.SSLSocket:
        """A TLS connection of the client, `protocol` agreed by ALPN."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # A SPIFFE certificate names no host; its identity is the business of other tests.
        context.check_hostname = False
        context.load_verify_locations(self.trust)
        context.load_cert_chain(self.certificate, self.key)
        context.set_alpn_protocols([protocol])
        connection = socket.create_connection(self.address, timeout=seconds)
        return context.wrap_socket(connection)
