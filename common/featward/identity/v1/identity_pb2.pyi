from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Evidence(_message.Message):
    __slots__ = ("join_token", "unix", "kubernetes", "jwt")
    JOIN_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNIX_FIELD_NUMBER: _ClassVar[int]
    KUBERNETES_FIELD_NUMBER: _ClassVar[int]
    JWT_FIELD_NUMBER: _ClassVar[int]
    join_token: str
    unix: UnixEvidence
    kubernetes: KubernetesEvidence
    jwt: JwtEvidence
    def __init__(self, join_token: _Optional[str] = ..., unix: _Optional[_Union[UnixEvidence, _Mapping]] = ..., kubernetes: _Optional[_Union[KubernetesEvidence, _Mapping]] = ..., jwt: _Optional[_Union[JwtEvidence, _Mapping]] = ...) -> None: ...

class UnixEvidence(_message.Message):
    __slots__ = ("workload",)
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    workload: str
    def __init__(self, workload: _Optional[str] = ...) -> None: ...

class KubernetesEvidence(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class JwtEvidence(_message.Message):
    __slots__ = ("token", "workload")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    token: str
    workload: str
    def __init__(self, token: _Optional[str] = ..., workload: _Optional[str] = ...) -> None: ...

class AttestRequest(_message.Message):
    __slots__ = ("evidence", "csr", "version")
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    CSR_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    evidence: Evidence
    csr: bytes
    version: str
    def __init__(self, evidence: _Optional[_Union[Evidence, _Mapping]] = ..., csr: _Optional[bytes] = ..., version: _Optional[str] = ...) -> None: ...

class AttestResponse(_message.Message):
    __slots__ = ("svid", "trust", "server_time")
    SVID_FIELD_NUMBER: _ClassVar[int]
    TRUST_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    svid: Svid
    trust: Trust
    server_time: int
    def __init__(self, svid: _Optional[_Union[Svid, _Mapping]] = ..., trust: _Optional[_Union[Trust, _Mapping]] = ..., server_time: _Optional[int] = ...) -> None: ...

class Svid(_message.Message):
    __slots__ = ("spiffe_id", "chain", "not_before", "not_after", "issued_at", "renew_at", "lineage")
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    RENEW_AT_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    spiffe_id: str
    chain: _containers.RepeatedScalarFieldContainer[bytes]
    not_before: int
    not_after: int
    issued_at: int
    renew_at: int
    lineage: str
    def __init__(self, spiffe_id: _Optional[str] = ..., chain: _Optional[_Iterable[bytes]] = ..., not_before: _Optional[int] = ..., not_after: _Optional[int] = ..., issued_at: _Optional[int] = ..., renew_at: _Optional[int] = ..., lineage: _Optional[str] = ...) -> None: ...

class Trust(_message.Message):
    __slots__ = ("sequence", "trust_domain", "roots", "scopes", "bans", "foreign", "reissue_within_ms")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TRUST_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    BANS_FIELD_NUMBER: _ClassVar[int]
    FOREIGN_FIELD_NUMBER: _ClassVar[int]
    REISSUE_WITHIN_MS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    trust_domain: str
    roots: _containers.RepeatedScalarFieldContainer[bytes]
    scopes: _containers.RepeatedCompositeFieldContainer[Scope]
    bans: _containers.RepeatedCompositeFieldContainer[Ban]
    foreign: _containers.RepeatedCompositeFieldContainer[ForeignBundle]
    reissue_within_ms: int
    def __init__(self, sequence: _Optional[int] = ..., trust_domain: _Optional[str] = ..., roots: _Optional[_Iterable[bytes]] = ..., scopes: _Optional[_Iterable[_Union[Scope, _Mapping]]] = ..., bans: _Optional[_Iterable[_Union[Ban, _Mapping]]] = ..., foreign: _Optional[_Iterable[_Union[ForeignBundle, _Mapping]]] = ..., reissue_within_ms: _Optional[int] = ...) -> None: ...

class Scope(_message.Message):
    __slots__ = ("spki_sha256", "path_prefix", "tainted")
    SPKI_SHA256_FIELD_NUMBER: _ClassVar[int]
    PATH_PREFIX_FIELD_NUMBER: _ClassVar[int]
    TAINTED_FIELD_NUMBER: _ClassVar[int]
    spki_sha256: bytes
    path_prefix: str
    tainted: bool
    def __init__(self, spki_sha256: _Optional[bytes] = ..., path_prefix: _Optional[str] = ..., tainted: _Optional[bool] = ...) -> None: ...

class Ban(_message.Message):
    __slots__ = ("spiffe_id", "serial", "authority_spki_sha256", "expires_at")
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_SPKI_SHA256_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    spiffe_id: str
    serial: str
    authority_spki_sha256: bytes
    expires_at: int
    def __init__(self, spiffe_id: _Optional[str] = ..., serial: _Optional[str] = ..., authority_spki_sha256: _Optional[bytes] = ..., expires_at: _Optional[int] = ...) -> None: ...

class ForeignBundle(_message.Message):
    __slots__ = ("trust_domain", "sequence", "roots")
    TRUST_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    trust_domain: str
    sequence: int
    roots: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, trust_domain: _Optional[str] = ..., sequence: _Optional[int] = ..., roots: _Optional[_Iterable[bytes]] = ...) -> None: ...

class WatchIdentityRequest(_message.Message):
    __slots__ = ("csrs", "evidence", "acknowledged_sequence", "serial_in_use", "lineage", "version", "clock_offset_ms")
    CSRS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SERIAL_IN_USE_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CLOCK_OFFSET_MS_FIELD_NUMBER: _ClassVar[int]
    csrs: _containers.RepeatedScalarFieldContainer[bytes]
    evidence: Evidence
    acknowledged_sequence: int
    serial_in_use: str
    lineage: str
    version: str
    clock_offset_ms: int
    def __init__(self, csrs: _Optional[_Iterable[bytes]] = ..., evidence: _Optional[_Union[Evidence, _Mapping]] = ..., acknowledged_sequence: _Optional[int] = ..., serial_in_use: _Optional[str] = ..., lineage: _Optional[str] = ..., version: _Optional[str] = ..., clock_offset_ms: _Optional[int] = ...) -> None: ...

class WatchIdentityResponse(_message.Message):
    __slots__ = ("svids", "trust", "server_time", "order")
    SVIDS_FIELD_NUMBER: _ClassVar[int]
    TRUST_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    svids: _containers.RepeatedCompositeFieldContainer[Svid]
    trust: Trust
    server_time: int
    order: Order
    def __init__(self, svids: _Optional[_Iterable[_Union[Svid, _Mapping]]] = ..., trust: _Optional[_Union[Trust, _Mapping]] = ..., server_time: _Optional[int] = ..., order: _Optional[_Union[Order, _Mapping]] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("renew_within_ms", "reason")
    RENEW_WITHIN_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    renew_within_ms: int
    reason: str
    def __init__(self, renew_within_ms: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
