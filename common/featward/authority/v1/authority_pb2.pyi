from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
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
    __slots__ = ("token", "spiffe_id", "expires_at", "warnings")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    token: str
    spiffe_id: str
    expires_at: float
    warnings: _containers.RepeatedCompositeFieldContainer[Warning]
    def __init__(self, token: _Optional[str] = ..., spiffe_id: _Optional[str] = ..., expires_at: _Optional[float] = ..., warnings: _Optional[_Iterable[_Union[Warning, _Mapping]]] = ...) -> None: ...

class ShowRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShowResponse(_message.Message):
    __slots__ = ("environment", "trust_domain", "sequence", "authorities", "live_svids", "live_identities", "runway_seconds", "tainted_lineages", "streams", "streams_behind", "server_time", "unsafe_short_lives", "root_sha256", "rotations", "halted", "warnings", "live_clients", "replicas", "foreign", "bans", "store", "roots", "scopes")
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
    ROTATIONS_FIELD_NUMBER: _ClassVar[int]
    HALTED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    LIVE_CLIENTS_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    FOREIGN_FIELD_NUMBER: _ClassVar[int]
    BANS_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
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
    rotations: _containers.RepeatedCompositeFieldContainer[Rotation]
    halted: Halted
    warnings: _containers.RepeatedCompositeFieldContainer[Warning]
    live_clients: int
    replicas: _containers.RepeatedCompositeFieldContainer[Replica]
    foreign: _containers.RepeatedCompositeFieldContainer[Foreign]
    bans: int
    store: str
    roots: _containers.RepeatedScalarFieldContainer[bytes]
    scopes: _containers.RepeatedCompositeFieldContainer[TrustedScope]
    def __init__(self, environment: _Optional[str] = ..., trust_domain: _Optional[str] = ..., sequence: _Optional[int] = ..., authorities: _Optional[_Iterable[_Union[Authority, _Mapping]]] = ..., live_svids: _Optional[int] = ..., live_identities: _Optional[int] = ..., runway_seconds: _Optional[float] = ..., tainted_lineages: _Optional[int] = ..., streams: _Optional[int] = ..., streams_behind: _Optional[int] = ..., server_time: _Optional[float] = ..., unsafe_short_lives: _Optional[bool] = ..., root_sha256: _Optional[bytes] = ..., rotations: _Optional[_Iterable[_Union[Rotation, _Mapping]]] = ..., halted: _Optional[_Union[Halted, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[Warning, _Mapping]]] = ..., live_clients: _Optional[int] = ..., replicas: _Optional[_Iterable[_Union[Replica, _Mapping]]] = ..., foreign: _Optional[_Iterable[_Union[Foreign, _Mapping]]] = ..., bans: _Optional[int] = ..., store: _Optional[str] = ..., roots: _Optional[_Iterable[bytes]] = ..., scopes: _Optional[_Iterable[_Union[TrustedScope, _Mapping]]] = ...) -> None: ...

class TrustedScope(_message.Message):
    __slots__ = ("spki_sha256", "path_prefix")
    SPKI_SHA256_FIELD_NUMBER: _ClassVar[int]
    PATH_PREFIX_FIELD_NUMBER: _ClassVar[int]
    spki_sha256: bytes
    path_prefix: str
    def __init__(self, spki_sha256: _Optional[bytes] = ..., path_prefix: _Optional[str] = ...) -> None: ...

class Authority(_message.Message):
    __slots__ = ("id", "owner", "state", "path_prefix", "not_before", "not_after", "spki_sha256", "issuer", "announced_sequence", "tainted_sequence", "generation", "live_svids", "replace_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PATH_PREFIX_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    SPKI_SHA256_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TAINTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    LIVE_SVIDS_FIELD_NUMBER: _ClassVar[int]
    REPLACE_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    owner: str
    state: str
    path_prefix: str
    not_before: int
    not_after: int
    spki_sha256: bytes
    issuer: str
    announced_sequence: int
    tainted_sequence: int
    generation: int
    live_svids: int
    replace_at: int
    def __init__(self, id: _Optional[str] = ..., owner: _Optional[str] = ..., state: _Optional[str] = ..., path_prefix: _Optional[str] = ..., not_before: _Optional[int] = ..., not_after: _Optional[int] = ..., spki_sha256: _Optional[bytes] = ..., issuer: _Optional[str] = ..., announced_sequence: _Optional[int] = ..., tainted_sequence: _Optional[int] = ..., generation: _Optional[int] = ..., live_svids: _Optional[int] = ..., replace_at: _Optional[int] = ...) -> None: ...

class Rotation(_message.Message):
    __slots__ = ("id", "owner", "target", "predecessor", "kind", "step", "state", "step_since", "deadline", "acknowledged", "needed", "requested_by", "reason", "blockers", "blockers_left_out")
    ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PREDECESSOR_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STEP_SINCE_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    NEEDED_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BLOCKERS_FIELD_NUMBER: _ClassVar[int]
    BLOCKERS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    id: str
    owner: str
    target: str
    predecessor: str
    kind: str
    step: str
    state: str
    step_since: float
    deadline: float
    acknowledged: int
    needed: int
    requested_by: str
    reason: str
    blockers: _containers.RepeatedCompositeFieldContainer[Blocker]
    blockers_left_out: int
    def __init__(self, id: _Optional[str] = ..., owner: _Optional[str] = ..., target: _Optional[str] = ..., predecessor: _Optional[str] = ..., kind: _Optional[str] = ..., step: _Optional[str] = ..., state: _Optional[str] = ..., step_since: _Optional[float] = ..., deadline: _Optional[float] = ..., acknowledged: _Optional[int] = ..., needed: _Optional[int] = ..., requested_by: _Optional[str] = ..., reason: _Optional[str] = ..., blockers: _Optional[_Iterable[_Union[Blocker, _Mapping]]] = ..., blockers_left_out: _Optional[int] = ...) -> None: ...

class Halted(_message.Message):
    __slots__ = ("since", "by", "reason")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    since: float
    by: str
    reason: str
    def __init__(self, since: _Optional[float] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Warning(_message.Message):
    __slots__ = ("code", "text", "remedy", "due")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    DUE_FIELD_NUMBER: _ClassVar[int]
    code: str
    text: str
    remedy: str
    due: int
    def __init__(self, code: _Optional[str] = ..., text: _Optional[str] = ..., remedy: _Optional[str] = ..., due: _Optional[int] = ...) -> None: ...

class Replica(_message.Message):
    __slots__ = ("id", "seen_at", "sequence", "streams")
    ID_FIELD_NUMBER: _ClassVar[int]
    SEEN_AT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    id: str
    seen_at: float
    sequence: int
    streams: int
    def __init__(self, id: _Optional[str] = ..., seen_at: _Optional[float] = ..., sequence: _Optional[int] = ..., streams: _Optional[int] = ...) -> None: ...

class Foreign(_message.Message):
    __slots__ = ("trust_domain", "sequence", "fetched_at", "error", "first_end")
    TRUST_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FETCHED_AT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FIRST_END_FIELD_NUMBER: _ClassVar[int]
    trust_domain: str
    sequence: int
    fetched_at: float
    error: str
    first_end: int
    def __init__(self, trust_domain: _Optional[str] = ..., sequence: _Optional[int] = ..., fetched_at: _Optional[float] = ..., error: _Optional[str] = ..., first_end: _Optional[int] = ...) -> None: ...

class ListClientsRequest(_message.Message):
    __slots__ = ("limit", "after", "behind_sequence", "authority")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    BEHIND_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    limit: int
    after: str
    behind_sequence: int
    authority: str
    def __init__(self, limit: _Optional[int] = ..., after: _Optional[str] = ..., behind_sequence: _Optional[int] = ..., authority: _Optional[str] = ...) -> None: ...

class ListClientsResponse(_message.Message):
    __slots__ = ("clients", "next", "total")
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    clients: _containers.RepeatedCompositeFieldContainer[Client]
    next: str
    total: int
    def __init__(self, clients: _Optional[_Iterable[_Union[Client, _Mapping]]] = ..., next: _Optional[str] = ..., total: _Optional[int] = ...) -> None: ...

class Client(_message.Message):
    __slots__ = ("lineage", "spiffe_id", "connected", "seen_at", "acknowledged_sequence", "serial_in_use", "authority", "not_after", "method", "version", "clock_offset_ms")
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SEEN_AT_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SERIAL_IN_USE_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CLOCK_OFFSET_MS_FIELD_NUMBER: _ClassVar[int]
    lineage: str
    spiffe_id: str
    connected: bool
    seen_at: float
    acknowledged_sequence: int
    serial_in_use: str
    authority: str
    not_after: int
    method: str
    version: str
    clock_offset_ms: int
    def __init__(self, lineage: _Optional[str] = ..., spiffe_id: _Optional[str] = ..., connected: _Optional[bool] = ..., seen_at: _Optional[float] = ..., acknowledged_sequence: _Optional[int] = ..., serial_in_use: _Optional[str] = ..., authority: _Optional[str] = ..., not_after: _Optional[int] = ..., method: _Optional[str] = ..., version: _Optional[str] = ..., clock_offset_ms: _Optional[int] = ...) -> None: ...

class StepRequest(_message.Message):
    __slots__ = ("authority", "generation", "force", "dry_run", "reason")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    authority: str
    generation: int
    force: bool
    dry_run: bool
    reason: str
    def __init__(self, authority: _Optional[str] = ..., generation: _Optional[int] = ..., force: _Optional[bool] = ..., dry_run: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class StepResponse(_message.Message):
    __slots__ = ("authority", "rotation", "blockers", "breaks", "changed", "blockers_left_out", "breaks_left_out", "steps")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    BLOCKERS_FIELD_NUMBER: _ClassVar[int]
    BREAKS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    BLOCKERS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    BREAKS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    authority: Authority
    rotation: Rotation
    blockers: _containers.RepeatedCompositeFieldContainer[Blocker]
    breaks: _containers.RepeatedScalarFieldContainer[str]
    changed: bool
    blockers_left_out: int
    breaks_left_out: int
    steps: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, authority: _Optional[_Union[Authority, _Mapping]] = ..., rotation: _Optional[_Union[Rotation, _Mapping]] = ..., blockers: _Optional[_Iterable[_Union[Blocker, _Mapping]]] = ..., breaks: _Optional[_Iterable[str]] = ..., changed: _Optional[bool] = ..., blockers_left_out: _Optional[int] = ..., breaks_left_out: _Optional[int] = ..., steps: _Optional[_Iterable[str]] = ...) -> None: ...

class Blocker(_message.Message):
    __slots__ = ("kind", "who", "text", "until", "client")
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    who: str
    text: str
    until: float
    client: Client
    def __init__(self, kind: _Optional[str] = ..., who: _Optional[str] = ..., text: _Optional[str] = ..., until: _Optional[float] = ..., client: _Optional[_Union[Client, _Mapping]] = ...) -> None: ...

class RotateRequest(_message.Message):
    __slots__ = ("owner", "reason", "dry_run", "generation", "step_timeout_seconds")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    STEP_TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    owner: str
    reason: str
    dry_run: bool
    generation: int
    step_timeout_seconds: float
    def __init__(self, owner: _Optional[str] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ..., generation: _Optional[int] = ..., step_timeout_seconds: _Optional[float] = ...) -> None: ...

class ControlRotationRequest(_message.Message):
    __slots__ = ("rotation", "action", "reason")
    class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTION_UNSPECIFIED: _ClassVar[ControlRotationRequest.Action]
        PAUSE: _ClassVar[ControlRotationRequest.Action]
        RESUME: _ClassVar[ControlRotationRequest.Action]
        CANCEL: _ClassVar[ControlRotationRequest.Action]
        FORCE: _ClassVar[ControlRotationRequest.Action]
    ACTION_UNSPECIFIED: ControlRotationRequest.Action
    PAUSE: ControlRotationRequest.Action
    RESUME: ControlRotationRequest.Action
    CANCEL: ControlRotationRequest.Action
    FORCE: ControlRotationRequest.Action
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    rotation: str
    action: ControlRotationRequest.Action
    reason: str
    def __init__(self, rotation: _Optional[str] = ..., action: _Optional[_Union[ControlRotationRequest.Action, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class CompromiseRequest(_message.Message):
    __slots__ = ("authority", "dry_run", "within_seconds", "reason")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    WITHIN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    authority: str
    dry_run: bool
    within_seconds: float
    reason: str
    def __init__(self, authority: _Optional[str] = ..., dry_run: _Optional[bool] = ..., within_seconds: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class CompromiseResponse(_message.Message):
    __slots__ = ("breaks", "steps", "recovery_seconds", "rotation", "warnings")
    BREAKS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    breaks: _containers.RepeatedCompositeFieldContainer[Client]
    steps: _containers.RepeatedScalarFieldContainer[str]
    recovery_seconds: float
    rotation: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, breaks: _Optional[_Iterable[_Union[Client, _Mapping]]] = ..., steps: _Optional[_Iterable[str]] = ..., recovery_seconds: _Optional[float] = ..., rotation: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class HaltRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class ResumeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HaltResponse(_message.Message):
    __slots__ = ("halted", "changed")
    HALTED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    halted: Halted
    changed: bool
    def __init__(self, halted: _Optional[_Union[Halted, _Mapping]] = ..., changed: _Optional[bool] = ...) -> None: ...

class AddBanRequest(_message.Message):
    __slots__ = ("spiffe_id", "serial", "authority", "reason", "lifetime_seconds")
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    spiffe_id: str
    serial: str
    authority: str
    reason: str
    lifetime_seconds: float
    def __init__(self, spiffe_id: _Optional[str] = ..., serial: _Optional[str] = ..., authority: _Optional[str] = ..., reason: _Optional[str] = ..., lifetime_seconds: _Optional[float] = ...) -> None: ...

class RemoveBanRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class BanResponse(_message.Message):
    __slots__ = ("ban", "sequence", "changed", "live_svids")
    BAN_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    LIVE_SVIDS_FIELD_NUMBER: _ClassVar[int]
    ban: BanEntry
    sequence: int
    changed: bool
    live_svids: int
    def __init__(self, ban: _Optional[_Union[BanEntry, _Mapping]] = ..., sequence: _Optional[int] = ..., changed: _Optional[bool] = ..., live_svids: _Optional[int] = ...) -> None: ...

class ListBansRequest(_message.Message):
    __slots__ = ("limit", "after")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    limit: int
    after: str
    def __init__(self, limit: _Optional[int] = ..., after: _Optional[str] = ...) -> None: ...

class ListBansResponse(_message.Message):
    __slots__ = ("bans", "next")
    BANS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    bans: _containers.RepeatedCompositeFieldContainer[BanEntry]
    next: str
    def __init__(self, bans: _Optional[_Iterable[_Union[BanEntry, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class BanEntry(_message.Message):
    __slots__ = ("id", "kind", "value", "reason", "by", "created_at", "expires_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: str
    value: str
    reason: str
    by: str
    created_at: float
    expires_at: float
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[str] = ..., value: _Optional[str] = ..., reason: _Optional[str] = ..., by: _Optional[str] = ..., created_at: _Optional[float] = ..., expires_at: _Optional[float] = ...) -> None: ...

class WhyExpiryRequest(_message.Message):
    __slots__ = ("serial",)
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    serial: str
    def __init__(self, serial: _Optional[str] = ...) -> None: ...

class WhyExpiryResponse(_message.Message):
    __slots__ = ("spiffe_id", "issued_at", "not_after", "cap", "caps")
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    CAP_FIELD_NUMBER: _ClassVar[int]
    CAPS_FIELD_NUMBER: _ClassVar[int]
    spiffe_id: str
    issued_at: int
    not_after: int
    cap: str
    caps: _containers.RepeatedCompositeFieldContainer[Cap]
    def __init__(self, spiffe_id: _Optional[str] = ..., issued_at: _Optional[int] = ..., not_after: _Optional[int] = ..., cap: _Optional[str] = ..., caps: _Optional[_Iterable[_Union[Cap, _Mapping]]] = ...) -> None: ...

class Cap(_message.Message):
    __slots__ = ("name", "not_after", "text", "applied")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    name: str
    not_after: int
    text: str
    applied: bool
    def __init__(self, name: _Optional[str] = ..., not_after: _Optional[int] = ..., text: _Optional[str] = ..., applied: _Optional[bool] = ...) -> None: ...

class MoveNamespaceRequest(_message.Message):
    __slots__ = ("cluster", "namespace", "business_unit", "dry_run")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    namespace: str
    business_unit: str
    dry_run: bool
    def __init__(self, cluster: _Optional[str] = ..., namespace: _Optional[str] = ..., business_unit: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class MoveNamespaceResponse(_message.Message):
    __slots__ = ("before", "affected", "changed")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFFECTED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    before: str
    affected: _containers.RepeatedCompositeFieldContainer[Client]
    changed: bool
    def __init__(self, before: _Optional[str] = ..., affected: _Optional[_Iterable[_Union[Client, _Mapping]]] = ..., changed: _Optional[bool] = ...) -> None: ...

class ListRequestsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRequestsResponse(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[PendingRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[PendingRequest, _Mapping]]] = ...) -> None: ...

class PendingRequest(_message.Message):
    __slots__ = ("authority", "owner", "csr", "not_before", "not_after", "path_prefix")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CSR_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    PATH_PREFIX_FIELD_NUMBER: _ClassVar[int]
    authority: str
    owner: str
    csr: bytes
    not_before: int
    not_after: int
    path_prefix: str
    def __init__(self, authority: _Optional[str] = ..., owner: _Optional[str] = ..., csr: _Optional[bytes] = ..., not_before: _Optional[int] = ..., not_after: _Optional[int] = ..., path_prefix: _Optional[str] = ...) -> None: ...

class ImportCertificatesRequest(_message.Message):
    __slots__ = ("certificates", "root")
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    certificates: _containers.RepeatedScalarFieldContainer[bytes]
    root: bytes
    def __init__(self, certificates: _Optional[_Iterable[bytes]] = ..., root: _Optional[bytes] = ...) -> None: ...

class ImportCertificatesResponse(_message.Message):
    __slots__ = ("authorities",)
    AUTHORITIES_FIELD_NUMBER: _ClassVar[int]
    authorities: _containers.RepeatedCompositeFieldContainer[Authority]
    def __init__(self, authorities: _Optional[_Iterable[_Union[Authority, _Mapping]]] = ...) -> None: ...

class BackupRequest(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class BackupResponse(_message.Message):
    __slots__ = ("bytes", "sequence", "sha256")
    BYTES_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    sequence: int
    sha256: str
    def __init__(self, bytes: _Optional[int] = ..., sequence: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...
