"""The whole boundary between Python and the Rust engine.

Certificates are DER, times are Unix seconds (float where parts of one matter), configuration and reports are
JSON in UTF-8, and policy is a serialised ``featward.policy.v1.Snapshot``. Every call may be made from any
thread; none blocks on the network except where it says so.
"""

from typing import Self, final

__all__ = [
    "ConfigError",
    "Credentials",
    "Dialer",
    "EngineError",
    "IdentityError",
    "IssuingError",
    "Listener",
    "PendingIdentity",
    "Policy",
    "PolicyError",
    "PreparedLeaves",
    "Proxy",
    "SigningKey",
    "__version__",
    "check_requests",
    "judge",
    "prepare_leaves",
    "refusals",
]

__version__: str

class EngineError(Exception):
    """Base of what the engine raises; its text is one sentence."""

class ConfigError(EngineError):
    """A setting is missing, unknown or impossible, or an address can't be bound."""

class IdentityError(EngineError):
    """A certificate chain, key or trust bundle does not hold what it must."""

class IssuingError(EngineError):
    """A certificate was not made: the checker refused it, or the permission to sign it is spent."""

class PolicyError(EngineError):
    """A snapshot can't be used: unreadable, of a newer format, or against itself."""

@final
class PendingIdentity:
    """A fresh P-256 key waiting for its certificate. The key never crosses this boundary."""

    @property
    def csr(self) -> bytes:
        """PKCS #10 request for the key, DER; its subject and extensions are empty."""

@final
class Credentials:
    """The identity and trust of this process, shared by its Proxy, Listeners and Dialers; swapped whole."""

    def __new__(cls, trust_domain: str) -> Self: ...
    def new_identity(self) -> PendingIdentity: ...
    def set_identity(self, pending: PendingIdentity, chain: list[bytes]) -> str:
        """Use this chain (leaf first) with the pending key from now on; returns the SPIFFE ID in it.

        Raises IdentityError when the key is not the leaf's or the leaf breaks the X.509-SVID rules.
        """
    def set_trust(
        self,
        roots: list[bytes],
        scopes: list[tuple[bytes, str]] | None,
        sequence: int,
        *,
        bans: list[tuple[str, str, int]] = ...,
        foreign: list[tuple[str, list[bytes]]] = ...,
    ) -> None:
        """Trust this and nothing else from now on; what is absent is no longer trusted.

        `scopes` is the table (SHA-256 of an authority's SPKI, path prefix), None for an issuer
        without one: then any chain to a root is good for any path. `bans` are ("identity", SPIFFE
        ID), ("serial", hex) or ("authority", SPKI SHA-256, hex), each with the Unix second it ends
        at, 0 until lifted. `foreign` are other trust domains with their roots; each judges only its
        own identities. Live connections are judged again at once. A sequence lower than the one in
        use is refused.
        """
    def set_external_identity(self, chain: list[bytes], key: bytes) -> str:
        """Use this chain and its PKCS #8 key, made by another issuer, from now on; returns the SPIFFE ID in it.

        Any RSA, ECDSA or Ed25519 key will do, and a chain may be a leaf alone. Raises IdentityError
        as set_identity.
        """
    def export_identity(self) -> tuple[list[bytes], bytes] | None:
        """Danger: the chain and the private key (PKCS #8) in use, both of one moment.

        Whoever has the key is this workload until the certificate expires. Only what hands an app
        its own identity may call this: the Workload API, SDS and file output.
        """
    def set_clock_offset(self, seconds: float | None) -> None:
        """Our clock minus the CA's; None when not known any more.

        It words refusals for time (`clock-skew`) and is a metric; it never makes a certificate acceptable.
        """
    def identity(self) -> bytes | None:
        """JSON of the SVID in use: spiffe_id, serial, authority (SPKI SHA-256, hex), not_before, not_after.

        `authority` is null for an external chain that is a leaf alone.
        """
    def serial_in_use(self) -> str | None:
        """The serial (hex) of the SVID in use; None before the first.

        After a renewal by another authority it is the earlier one's for as long as a connection
        lives that was made with it: until then nobody may stop trusting that authority. An app
        that was handed an identity is not counted.
        """
    def sequence(self) -> int:
        """The sequence of the trust in use, 0 before the first."""

@final
class Listener:
    """Ends TLS for a gRPC server of ours and forwards HTTP/2 to its UNIX socket.

    Request headers starting with ``featward-peer-`` are dropped, then set: ``featward-peer-spiffe-id``,
    ``featward-peer-serial`` (hex), ``featward-peer-authority`` (SPKI SHA-256, hex), ``featward-peer-key``
    (SPKI SHA-256 of the peer's own key, hex), ``featward-peer-expired`` ("1" within the grace),
    ``featward-peer-address`` (the IP address) and ``featward-peer-trust-domain`` also without a
    certificate, or for a caller on a UNIX socket ``featward-peer-uid``, ``-gid`` and ``-pid``. With
    ``"far_connections": n`` in the configuration all callers share n connections to the server, else
    each has its own.

    With `others` it serves several trust domains on one address. A caller that asks for ``<trust
    domain>`` or ``policy.<trust domain>`` of one of them by TLS server name (SNI) is shown that
    identity and judged by that trust alone; any other caller gets the first. No domain may be there
    twice.
    """

    def __new__(
        cls, credentials: Credentials, config: bytes, others: list[Credentials] = ...
    ) -> Self: ...
    def start(self) -> str:
        """Bind and serve; returns the bound address. Raises ConfigError."""
    def stop(self, grace: float) -> None: ...
    def handshakes(self) -> bytes:
        """JSON object of connections so far by outcome: ``accepted``, the cause of refusal, or which limit
        turned them away."""

@final
class Dialer:
    """A UNIX socket (0600) whose far end is verified mTLS to one address.

    A gRPC channel to it, or to a Listener's UNIX front, needs the option
    ``("grpc.default_authority", "localhost")``: by default gRPC sends the socket's path, which is no authority.
    A call that cannot be carried ends as UNAVAILABLE with the trailing metadata ``featward-cause``:
    ``no-identity``, ``unreachable``, ``not-trusted`` or ``refused``; beside the last one stands
    ``featward-alert``, the TLS alert by which the server refused: ``CertificateRevoked``.

    With ``"platform_by_root": true`` the far end, which must be our own platform, is judged by any
    trusted root and its issuer's name instead of the scope table: every Dialer to the CA that has
    trust wants it. With ``"carry": "bytes"`` the socket carries HTTP/1.1 or anything else as it is;
    a near connection then just closes on failure.
    """

    def __new__(cls, credentials: Credentials, config: bytes) -> Self: ...
    def start(self) -> str: ...
    def stop(self) -> None: ...
    def last_error(self) -> str | None:
        """Why the newest connection attempt failed, one sentence; None after one that held."""

@final
class Proxy:
    """The data plane of one sidecar: serving side, outbound side, health and admin.

    With ``"hold": true`` in the configuration GET /startedz says 503 until there is an identity. With
    ``"record_bytes": n`` a record that would be larger is moved to its path with ``.1``, in the place of the
    one before, and begun anew; 0, the default, is for never. ``"upstream": "127.0.0.1:6566"`` in ``serve`` is
    where the feature server is instead of where the sets say; only a loopback address is taken.
    """

    def __new__(cls, credentials: Credentials, config: bytes) -> Self: ...
    def start(self) -> bytes:
        """Bind everything and serve; returns JSON of the bound addresses. Raises ConfigError."""
    def stop(self, grace: float) -> None:
        """Drain (GOAWAY, Connection: close), wait up to `grace` seconds, then cut. Blocks without the GIL."""
    def set_policy(self, snapshot: bytes) -> str:
        """Decide by this snapshot from the next request on; returns its digest. Raises PolicyError."""
    def reopen_record(self) -> None:
        """Append records from now on to the file that has the configured path now, after somebody moved it.

        Raises ConfigError where it can't be opened; the one before stays in use.
        """
    def set_agent_status(self, status: bytes) -> None:
        """JSON object that the admin socket shows under "agent".

        Of its members ``policy.refused_edits``, ``identity.renewals`` and ``identity.failed_renewals``
        (counts) and ``policy.confirmed_at`` (Unix seconds) are series of `metrics` as well.
        """
    def metrics(self) -> str:
        """All series in the Prometheus text format."""
    def status(self) -> bytes:
        """JSON: what the admin socket answers to GET /status.

        Its member ``sets`` has for each set served ``name`` and the counts ``answered``, ``refused``,
        ``would_refuse`` (answered, but not when enforced) and ``unidentified``, of requests since this
        process first served it. One that asks for several sets counts for each, and one that names none for
        the only set there is. What the feature server failed to answer is in neither of the first two.
        """
    def drain_events(self) -> bytes:
        """JSON list of what happened since the last call, oldest first; bounded, with a count of lost ones."""

@final
class Policy:
    """A snapshot to ask questions of: the same decision as the proxy's."""

    def __new__(cls, snapshot: bytes) -> Self: ...
    @property
    def digest(self) -> str: ...
    def decide(self, request: bytes) -> bytes:
        """Decide one JSON request; returns the decision as JSON. Raises PolicyError on a malformed request."""
    def readers(self, feature: str, now: int) -> bytes:
        """JSON list of the subjects that may read this feature, each with its binding."""
    def grants(self, identity: str, now: int) -> bytes:
        """JSON list of the features that this identity may read, each with the binding that grants it."""

def judge(question: bytes) -> bytes:
    """Judge a chain as a handshake would, at any second, by any trust. Raises ConfigError on a
    malformed question.

    JSON in: trust_domain, roots, scopes (list of [SPKI SHA-256, prefix], or null), bans (as set_trust takes
    them; may be left out), chain (leaf first), at (Unix seconds); certificates and digests in hex. JSON out:
    accepted, cause and detail (null if accepted), spiffe_id (of the leaf if it can be read; proven only if
    accepted), authority (SPKI SHA-256, null unless accepted).
    """

def refusals() -> bytes:
    """JSON list of the refusal table: reason, status, kind, title, remedy, type."""

def check_requests(csrs: list[bytes]) -> list[bytes | str]:
    """For each PKCS #10 request the SubjectPublicKeyInfo (DER) of the key that it proves to hold,
    or the sentence of its refusal. Nothing else of a request is looked at.
    """

def prepare_leaves(
    issuer: bytes, prefix: str, leaves: list[tuple[bytes, str, bytes, int, int]]
) -> PreparedLeaves:
    """Build and check SVIDs of one authority, whose certificate is `issuer` and which may sign below the SPIFFE
    path `prefix`.

    A leaf is its SPKI, SPIFFE ID, serial number (16 bytes), first and last second. Raises IssuingError with the
    checker's findings; one leaf that is refused refuses the batch.
    """

@final
class PreparedLeaves:
    """SVIDs that were checked, and the permission to sign each of them once."""

    @property
    def tbs_sha256(self) -> list[bytes]:
        """The digests of the bytes that will be signed, in the order of the batch."""
    def keep(self, places: set[int]) -> None:
        """Give up the permission to sign all but these places of the batch. Raises IssuingError."""

@final
class SigningKey:
    """An authority's P-256 key, which signs nothing but `PreparedLeaves`."""

    def __new__(cls, pkcs8: bytes) -> Self:
        """Take the key from unencrypted PKCS #8. Raises IssuingError."""
    @property
    def spki(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""
    def sign_leaves(self, prepared: PreparedLeaves) -> list[bytes]:
        """The certificates (DER) of what is kept of a batch, in its order, each verified.

        The permission is spent whatever comes of it: a second call, and one with another authority's key, raise
        IssuingError.
        """
