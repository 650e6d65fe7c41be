from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateJoinTokenRequest(_message.Message):
    __slots__ = ("workload", "lifetime_seconds")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    workload: str
    lifetime_seconds: float
    def __init__(self, workload: _Optional[str] = ..., lifetime_seconds: _Optional[float] = ...) -> None: ...

class CreateJoinTokenResponse(_message.Message):
    __slots__ = ("token", "spiffe_id", "expires_at")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    token: str
    spiffe_id: str
    expires_at: float
    def __init__(self, token: _Optional[str] = ..., spiffe_id: _Optional[str] = ..., expires_at: _Optional[float] = ...) -> None: ...

class ShowRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShowResponse(_message.Message):
    __slots__ = ("environment", "trust_domain", "sequence", "authorities", "live_svids", "live_identities", "runway_seconds", "tainted_lineages", "streams", "streams_behind", "server_time", "unsafe_short_lives", "root_sha256")
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    TRUST_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AUTHORITIES_FIELD_NUMBER: _ClassVar[int]
    LIVE_SVIDS_FIELD_NUMBER: _ClassVar[int]
    LIVE_IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    RUNWAY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TAINTED_LINEAGES_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    STREAMS_BEHIND_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    UNSAFE_SHORT_LIVES_FIELD_NUMBER: _ClassVar[int]
    ROOT_SHA256_FIELD_NUMBER: _ClassVar[int]
    environment: str
    trust_domain: str
    sequence: int
    authorities: _containers.RepeatedCompositeFieldContainer[Authority]
    live_svids: int
    live_identities: int
    runway_seconds: float
    tainted_lineages: int
    streams: int
    streams_behind: int
    server_time: float
    unsafe_short_lives: bool
    root_sha256: bytes
    def __init__(self, environment: _Optional[str] = ..., trust_domain: _Optional[str] = ..., sequence: _Optional[int] = ..., authorities: _Optional[_Iterable[_Union[Authority, _Mapping]]] = ..., live_svids: _Optional[int] = ..., live_identities: _Optional[int] = ..., runway_seconds: _Optional[float] = ..., tainted_lineages: _Optional[int] = ..., streams: _Optional[int] = ..., streams_behind: _Optional[int] = ..., server_time: _Optional[float] = ..., unsafe_short_lives: _Optional[bool] = ..., root_sha256: _Optional[bytes] = ...) -> None: ...

class Authority(_message.Message):
    __slots__ = ("id", "owner", "state", "path_prefix", "not_before", "not_after", "spki_sha256")
    ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PATH_PREFIX_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    SPKI_SHA256_FIELD_NUMBER: _ClassVar[int]
    id: str
    owner: str
    state: str
    path_prefix: str
    not_before: int
    not_after: int
    spki_sha256: bytes
    def __init__(self, id: _Optional[str] = ..., owner: _Optional[str] = ..., state: _Optional[str] = ..., path_prefix: _Optional[str] = ..., not_before: _Optional[int] = ..., not_after: _Optional[int] = ..., spki_sha256: _Optional[bytes] = ...) -> None: ...
