from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchPolicyRequest(_message.Message):
    __slots__ = ("hello", "applied", "report")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    applied: Applied
    report: Report
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., applied: _Optional[_Union[Applied, _Mapping]] = ..., report: _Optional[_Union[Report, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("version", "engine_version", "pod", "digest", "outbound", "serves", "plain")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENGINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OUTBOUND_FIELD_NUMBER: _ClassVar[int]
    SERVES_FIELD_NUMBER: _ClassVar[int]
    PLAIN_FIELD_NUMBER: _ClassVar[int]
    version: str
    engine_version: str
    pod: Pod
    digest: str
    outbound: _containers.RepeatedScalarFieldContainer[str]
    serves: bool
    plain: bool
    def __init__(self, version: _Optional[str] = ..., engine_version: _Optional[str] = ..., pod: _Optional[_Union[Pod, _Mapping]] = ..., digest: _Optional[str] = ..., outbound: _Optional[_Iterable[str]] = ..., serves: _Optional[bool] = ..., plain: _Optional[bool] = ...) -> None: ...

class Pod(_message.Message):
    __slots__ = ("namespace", "name", "uid", "node")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: str
    uid: str
    node: str
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[str] = ..., uid: _Optional[str] = ..., node: _Optional[str] = ...) -> None: ...

class Applied(_message.Message):
    __slots__ = ("digest", "error")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    digest: str
    error: str
    def __init__(self, digest: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("digest", "sets", "callers", "callers_left_out", "bypassing", "bypassing_left_out", "listening", "draining", "identity_not_after", "outbound")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SETS_FIELD_NUMBER: _ClassVar[int]
    CALLERS_FIELD_NUMBER: _ClassVar[int]
    CALLERS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    BYPASSING_FIELD_NUMBER: _ClassVar[int]
    BYPASSING_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    LISTENING_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    OUTBOUND_FIELD_NUMBER: _ClassVar[int]
    digest: str
    sets: _containers.RepeatedCompositeFieldContainer[SetReport]
    callers: _containers.RepeatedCompositeFieldContainer[Caller]
    callers_left_out: int
    bypassing: _containers.RepeatedCompositeFieldContainer[Peer]
    bypassing_left_out: int
    listening: _containers.RepeatedCompositeFieldContainer[Listening]
    draining: bool
    identity_not_after: int
    outbound: _containers.RepeatedCompositeFieldContainer[OutboundReport]
    def __init__(self, digest: _Optional[str] = ..., sets: _Optional[_Iterable[_Union[SetReport, _Mapping]]] = ..., callers: _Optional[_Iterable[_Union[Caller, _Mapping]]] = ..., callers_left_out: _Optional[int] = ..., bypassing: _Optional[_Iterable[_Union[Peer, _Mapping]]] = ..., bypassing_left_out: _Optional[int] = ..., listening: _Optional[_Iterable[_Union[Listening, _Mapping]]] = ..., draining: _Optional[bool] = ..., identity_not_after: _Optional[int] = ..., outbound: _Optional[_Iterable[_Union[OutboundReport, _Mapping]]] = ...) -> None: ...

class SetReport(_message.Message):
    __slots__ = ("feature_set", "mode", "answered", "refused", "would_refuse", "unidentified")
    FEATURE_SET_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    WOULD_REFUSE_FIELD_NUMBER: _ClassVar[int]
    UNIDENTIFIED_FIELD_NUMBER: _ClassVar[int]
    feature_set: str
    mode: str
    answered: int
    refused: int
    would_refuse: int
    unidentified: int
    def __init__(self, feature_set: _Optional[str] = ..., mode: _Optional[str] = ..., answered: _Optional[int] = ..., refused: _Optional[int] = ..., would_refuse: _Optional[int] = ..., unidentified: _Optional[int] = ...) -> None: ...

class Caller(_message.Message):
    __slots__ = ("spiffe_id", "address", "feature_set", "standing", "reason", "missing", "count", "last_seen")
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    FEATURE_SET_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    spiffe_id: str
    address: str
    feature_set: str
    standing: str
    reason: str
    missing: _containers.RepeatedScalarFieldContainer[str]
    count: int
    last_seen: int
    def __init__(self, spiffe_id: _Optional[str] = ..., address: _Optional[str] = ..., feature_set: _Optional[str] = ..., standing: _Optional[str] = ..., reason: _Optional[str] = ..., missing: _Optional[_Iterable[str]] = ..., count: _Optional[int] = ..., last_seen: _Optional[int] = ...) -> None: ...

class Peer(_message.Message):
    __slots__ = ("address", "port", "last_seen")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    address: str
    port: int
    last_seen: int
    def __init__(self, address: _Optional[str] = ..., port: _Optional[int] = ..., last_seen: _Optional[int] = ...) -> None: ...

class Listening(_message.Message):
    __slots__ = ("address", "port")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    address: str
    port: int
    def __init__(self, address: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class OutboundReport(_message.Message):
    __slots__ = ("feature_set", "server", "last_answer", "last_failure")
    FEATURE_SET_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    LAST_ANSWER_FIELD_NUMBER: _ClassVar[int]
    LAST_FAILURE_FIELD_NUMBER: _ClassVar[int]
    feature_set: str
    server: str
    last_answer: int
    last_failure: str
    def __init__(self, feature_set: _Optional[str] = ..., server: _Optional[str] = ..., last_answer: _Optional[int] = ..., last_failure: _Optional[str] = ...) -> None: ...

class WatchPolicyResponse(_message.Message):
    __slots__ = ("part", "current", "terms")
    PART_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    part: Part
    current: Current
    terms: Terms
    def __init__(self, part: _Optional[_Union[Part, _Mapping]] = ..., current: _Optional[_Union[Current, _Mapping]] = ..., terms: _Optional[_Union[Terms, _Mapping]] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("digest", "total", "offset", "data")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    digest: str
    total: int
    offset: int
    data: bytes
    def __init__(self, digest: _Optional[str] = ..., total: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Current(_message.Message):
    __slots__ = ("digest", "server_time")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    digest: str
    server_time: int
    def __init__(self, digest: _Optional[str] = ..., server_time: _Optional[int] = ...) -> None: ...

class Terms(_message.Message):
    __slots__ = ("report_ms",)
    REPORT_MS_FIELD_NUMBER: _ClassVar[int]
    report_ms: int
    def __init__(self, report_ms: _Optional[int] = ...) -> None: ...
