from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Evidence(_message.Message):
    __slots__ = ("join_token", "unix")
    JOIN_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNIX_FIELD_NUMBER: _ClassVar[int]
    join_token: str
    unix: UnixEvidence
    def __init__(self, join_token: _Optional[str] = ..., unix: _Optional[_Union[UnixEvidence, _Mapping]] = ...) -> None: ...

class UnixEvidence(_message.Message):
    __slots__ = ("workload",)
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    workload: str
    def __init__(self, workload: _Optional[str] = ...) -> None: ...

class AttestRequest(_message.Message):
    __slots__ = ("evidence", "csr")
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    CSR_FIELD_NUMBER: _ClassVar[int]
    evidence: Evidence
    csr: bytes
    def __init__(self, evidence: _Optional[_Union[Evidence, _Mapping]] = ..., csr: _Optional[bytes] = ...) -> None: ...

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
    __slots__ = ("spiffe_id", "chain", "not_before", "not_after", "issued_at", "renew_at")
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    RENEW_AT_FIELD_NUMBER: _ClassVar[int]
    spiffe_id: str
    chain: _containers.RepeatedScalarFieldContainer[bytes]
    not_before: int
    not_after: int
    issued_at: int
    renew_at: int
    def __init__(self, spiffe_id: _Optional[str] = ..., chain: _Optional[_Iterable[bytes]] = ..., not_before: _Optional[int] = ..., not_after: _Optional[int] = ..., issued_at: _Optional[int] = ..., renew_at: _Optional[int] = ...) -> None: ...

class Trust(_message.Message):
    __slots__ = ("sequence", "trust_domain", "roots", "scopes")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TRUST_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    trust_domain: str
    roots: _containers.RepeatedScalarFieldContainer[bytes]
    scopes: _containers.RepeatedCompositeFieldContainer[Scope]
    def __init__(self, sequence: _Optional[int] = ..., trust_domain: _Optional[str] = ..., roots: _Optional[_Iterable[bytes]] = ..., scopes: _Optional[_Iterable[_Union[Scope, _Mapping]]] = ...) -> None: ...

class Scope(_message.Message):
    __slots__ = ("spki_sha256", "path_prefix")
    SPKI_SHA256_FIELD_NUMBER: _ClassVar[int]
    PATH_PREFIX_FIELD_NUMBER: _ClassVar[int]
    spki_sha256: bytes
    path_prefix: str
    def __init__(self, spki_sha256: _Optional[bytes] = ..., path_prefix: _Optional[str] = ...) -> None: ...

class WatchIdentityRequest(_message.Message):
    __slots__ = ("csrs", "evidence", "acknowledged_sequence")
    CSRS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    csrs: _containers.RepeatedScalarFieldContainer[bytes]
    evidence: Evidence
    acknowledged_sequence: int
    def __init__(self, csrs: _Optional[_Iterable[bytes]] = ..., evidence: _Optional[_Union[Evidence, _Mapping]] = ..., acknowledged_sequence: _Optional[int] = ...) -> None: ...

class WatchIdentityResponse(_message.Message):
    __slots__ = ("svids", "trust", "server_time")
    SVIDS_FIELD_NUMBER: _ClassVar[int]
    TRUST_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    svids: _containers.RepeatedCompositeFieldContainer[Svid]
    trust: Trust
    server_time: int
    def __init__(self, svids: _Optional[_Iterable[_Union[Svid, _Mapping]]] = ..., trust: _Optional[_Union[Trust, _Mapping]] = ..., server_time: _Optional[int] = ...) -> None: ...
