from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_OBSERVE: _ClassVar[Mode]
    MODE_SHADOW: _ClassVar[Mode]
    MODE_ENFORCE: _ClassVar[Mode]

class ColumnType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLUMN_TYPE_UNSPECIFIED: _ClassVar[ColumnType]
    COLUMN_TYPE_INT32: _ClassVar[ColumnType]
    COLUMN_TYPE_INT64: _ClassVar[ColumnType]
    COLUMN_TYPE_FLOAT: _ClassVar[ColumnType]
    COLUMN_TYPE_DOUBLE: _ClassVar[ColumnType]
    COLUMN_TYPE_STRING: _ClassVar[ColumnType]
    COLUMN_TYPE_BOOL: _ClassVar[ColumnType]
    COLUMN_TYPE_BYTES: _ClassVar[ColumnType]
    COLUMN_TYPE_TIMESTAMP: _ClassVar[ColumnType]
    COLUMN_TYPE_OTHER: _ClassVar[ColumnType]

class UpstreamAuth(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UPSTREAM_AUTH_UNSPECIFIED: _ClassVar[UpstreamAuth]
    UPSTREAM_AUTH_NONE: _ClassVar[UpstreamAuth]
    UPSTREAM_AUTH_PASSTHROUGH: _ClassVar[UpstreamAuth]
    UPSTREAM_AUTH_TOKEN: _ClassVar[UpstreamAuth]

class OverrideAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OVERRIDE_ACTION_UNSPECIFIED: _ClassVar[OverrideAction]
    OVERRIDE_ACTION_RELAX: _ClassVar[OverrideAction]
    OVERRIDE_ACTION_CLOSE: _ClassVar[OverrideAction]

class SubjectKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBJECT_KIND_UNSPECIFIED: _ClassVar[SubjectKind]
    SUBJECT_KIND_SPIFFE_ID: _ClassVar[SubjectKind]
    SUBJECT_KIND_WORKLOAD: _ClassVar[SubjectKind]
    SUBJECT_KIND_BUSINESS_UNIT: _ClassVar[SubjectKind]

class OnExcess(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_EXCESS_UNSPECIFIED: _ClassVar[OnExcess]
    ON_EXCESS_DENY: _ClassVar[OnExcess]
    ON_EXCESS_STRIP: _ClassVar[OnExcess]
MODE_UNSPECIFIED: Mode
MODE_OBSERVE: Mode
MODE_SHADOW: Mode
MODE_ENFORCE: Mode
COLUMN_TYPE_UNSPECIFIED: ColumnType
COLUMN_TYPE_INT32: ColumnType
COLUMN_TYPE_INT64: ColumnType
COLUMN_TYPE_FLOAT: ColumnType
COLUMN_TYPE_DOUBLE: ColumnType
COLUMN_TYPE_STRING: ColumnType
COLUMN_TYPE_BOOL: ColumnType
COLUMN_TYPE_BYTES: ColumnType
COLUMN_TYPE_TIMESTAMP: ColumnType
COLUMN_TYPE_OTHER: ColumnType
UPSTREAM_AUTH_UNSPECIFIED: UpstreamAuth
UPSTREAM_AUTH_NONE: UpstreamAuth
UPSTREAM_AUTH_PASSTHROUGH: UpstreamAuth
UPSTREAM_AUTH_TOKEN: UpstreamAuth
OVERRIDE_ACTION_UNSPECIFIED: OverrideAction
OVERRIDE_ACTION_RELAX: OverrideAction
OVERRIDE_ACTION_CLOSE: OverrideAction
SUBJECT_KIND_UNSPECIFIED: SubjectKind
SUBJECT_KIND_SPIFFE_ID: SubjectKind
SUBJECT_KIND_WORKLOAD: SubjectKind
SUBJECT_KIND_BUSINESS_UNIT: SubjectKind
ON_EXCESS_UNSPECIFIED: OnExcess
ON_EXCESS_DENY: OnExcess
ON_EXCESS_STRIP: OnExcess

class Snapshot(_message.Message):
    __slots__ = ("format", "engine_version", "environment", "trust_domain", "workload", "feature_sets", "bindings", "remotes")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    ENGINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    TRUST_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    FEATURE_SETS_FIELD_NUMBER: _ClassVar[int]
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    REMOTES_FIELD_NUMBER: _ClassVar[int]
    format: int
    engine_version: str
    environment: str
    trust_domain: str
    workload: str
    feature_sets: _containers.RepeatedCompositeFieldContainer[FeatureSet]
    bindings: _containers.RepeatedCompositeFieldContainer[Binding]
    remotes: _containers.RepeatedCompositeFieldContainer[Remote]
    def __init__(self, format: _Optional[int] = ..., engine_version: _Optional[str] = ..., environment: _Optional[str] = ..., trust_domain: _Optional[str] = ..., workload: _Optional[str] = ..., feature_sets: _Optional[_Iterable[_Union[FeatureSet, _Mapping]]] = ..., bindings: _Optional[_Iterable[_Union[Binding, _Mapping]]] = ..., remotes: _Optional[_Iterable[_Union[Remote, _Mapping]]] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("name", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: ColumnType
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[ColumnType, str]] = ...) -> None: ...

class Feature(_message.Message):
    __slots__ = ("name", "type", "sensitivity", "cost", "lineage")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SENSITIVITY_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: ColumnType
    sensitivity: int
    cost: int
    lineage: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[ColumnType, str]] = ..., sensitivity: _Optional[int] = ..., cost: _Optional[int] = ..., lineage: _Optional[str] = ...) -> None: ...

class Service(_message.Message):
    __slots__ = ("name", "features")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    name: str
    features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., features: _Optional[_Iterable[str]] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("adapter", "host", "port")
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    adapter: str
    host: str
    port: int
    def __init__(self, adapter: _Optional[str] = ..., host: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class Override(_message.Message):
    __slots__ = ("action", "until", "name")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    action: OverrideAction
    until: int
    name: str
    def __init__(self, action: _Optional[_Union[OverrideAction, str]] = ..., until: _Optional[int] = ..., name: _Optional[str] = ...) -> None: ...

class FeatureSet(_message.Message):
    __slots__ = ("namespace", "name", "version", "business_unit", "owner_team", "owner_contact", "mode", "unidentified_allow", "unidentified_until", "endpoints", "upstream_auth", "entities", "request_inputs", "features", "services", "override")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
    OWNER_TEAM_FIELD_NUMBER: _ClassVar[int]
    OWNER_CONTACT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    UNIDENTIFIED_ALLOW_FIELD_NUMBER: _ClassVar[int]
    UNIDENTIFIED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_AUTH_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_INPUTS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    OVERRIDE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: str
    version: str
    business_unit: str
    owner_team: str
    owner_contact: str
    mode: Mode
    unidentified_allow: bool
    unidentified_until: int
    endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    upstream_auth: UpstreamAuth
    entities: _containers.RepeatedCompositeFieldContainer[Column]
    request_inputs: _containers.RepeatedCompositeFieldContainer[Column]
    features: _containers.RepeatedCompositeFieldContainer[Feature]
    services: _containers.RepeatedCompositeFieldContainer[Service]
    override: Override
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[str] = ..., business_unit: _Optional[str] = ..., owner_team: _Optional[str] = ..., owner_contact: _Optional[str] = ..., mode: _Optional[_Union[Mode, str]] = ..., unidentified_allow: _Optional[bool] = ..., unidentified_until: _Optional[int] = ..., endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ..., upstream_auth: _Optional[_Union[UpstreamAuth, str]] = ..., entities: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., request_inputs: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., features: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ..., services: _Optional[_Iterable[_Union[Service, _Mapping]]] = ..., override: _Optional[_Union[Override, _Mapping]] = ...) -> None: ...

class Subject(_message.Message):
    __slots__ = ("kind", "value")
    KIND_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    kind: SubjectKind
    value: str
    def __init__(self, kind: _Optional[_Union[SubjectKind, str]] = ..., value: _Optional[str] = ...) -> None: ...

class Rate(_message.Message):
    __slots__ = ("amount", "per_seconds", "burst")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    amount: int
    per_seconds: int
    burst: int
    def __init__(self, amount: _Optional[int] = ..., per_seconds: _Optional[int] = ..., burst: _Optional[int] = ...) -> None: ...

class Binding(_message.Message):
    __slots__ = ("namespace", "name", "subjects", "feature_set_namespace", "feature_set_name", "features", "purpose", "cost", "rows_per_request", "on_excess", "expires", "override")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    FEATURE_SET_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    FEATURE_SET_NAME_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_REQUEST_FIELD_NUMBER: _ClassVar[int]
    ON_EXCESS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    OVERRIDE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: str
    subjects: _containers.RepeatedCompositeFieldContainer[Subject]
    feature_set_namespace: str
    feature_set_name: str
    features: _containers.RepeatedScalarFieldContainer[str]
    purpose: str
    cost: Rate
    rows_per_request: int
    on_excess: OnExcess
    expires: int
    override: Override
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[str] = ..., subjects: _Optional[_Iterable[_Union[Subject, _Mapping]]] = ..., feature_set_namespace: _Optional[str] = ..., feature_set_name: _Optional[str] = ..., features: _Optional[_Iterable[str]] = ..., purpose: _Optional[str] = ..., cost: _Optional[_Union[Rate, _Mapping]] = ..., rows_per_request: _Optional[int] = ..., on_excess: _Optional[_Union[OnExcess, str]] = ..., expires: _Optional[int] = ..., override: _Optional[_Union[Override, _Mapping]] = ...) -> None: ...

class Remote(_message.Message):
    __slots__ = ("namespace", "name", "address", "spiffe_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: str
    address: str
    spiffe_id: str
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[str] = ..., address: _Optional[str] = ..., spiffe_id: _Optional[str] = ...) -> None: ...
