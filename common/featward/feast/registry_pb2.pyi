from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Registry(_message.Message):
    __slots__ = ("entities", "registry_schema_version", "feature_views", "feature_services", "on_demand_feature_views", "stream_feature_views", "projects", "label_views")
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    FEATURE_VIEWS_FIELD_NUMBER: _ClassVar[int]
    FEATURE_SERVICES_FIELD_NUMBER: _ClassVar[int]
    ON_DEMAND_FEATURE_VIEWS_FIELD_NUMBER: _ClassVar[int]
    STREAM_FEATURE_VIEWS_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    LABEL_VIEWS_FIELD_NUMBER: _ClassVar[int]
    entities: _containers.RepeatedCompositeFieldContainer[Entity]
    registry_schema_version: str
    feature_views: _containers.RepeatedCompositeFieldContainer[FeatureView]
    feature_services: _containers.RepeatedCompositeFieldContainer[FeatureService]
    on_demand_feature_views: _containers.RepeatedCompositeFieldContainer[OnDemandFeatureView]
    stream_feature_views: _containers.RepeatedCompositeFieldContainer[StreamFeatureView]
    projects: _containers.RepeatedCompositeFieldContainer[Project]
    label_views: _containers.RepeatedCompositeFieldContainer[LabelView]
    def __init__(self, entities: _Optional[_Iterable[_Union[Entity, _Mapping]]] = ..., registry_schema_version: _Optional[str] = ..., feature_views: _Optional[_Iterable[_Union[FeatureView, _Mapping]]] = ..., feature_services: _Optional[_Iterable[_Union[FeatureService, _Mapping]]] = ..., on_demand_feature_views: _Optional[_Iterable[_Union[OnDemandFeatureView, _Mapping]]] = ..., stream_feature_views: _Optional[_Iterable[_Union[StreamFeatureView, _Mapping]]] = ..., projects: _Optional[_Iterable[_Union[Project, _Mapping]]] = ..., label_views: _Optional[_Iterable[_Union[LabelView, _Mapping]]] = ...) -> None: ...

class Project(_message.Message):
    __slots__ = ("spec",)
    class Spec(_message.Message):
        __slots__ = ("name", "tags", "owner")
        class TagsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        NAME_FIELD_NUMBER: _ClassVar[int]
        TAGS_FIELD_NUMBER: _ClassVar[int]
        OWNER_FIELD_NUMBER: _ClassVar[int]
        name: str
        tags: _containers.ScalarMap[str, str]
        owner: str
        def __init__(self, name: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ..., owner: _Optional[str] = ...) -> None: ...
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: Project.Spec
    def __init__(self, spec: _Optional[_Union[Project.Spec, _Mapping]] = ...) -> None: ...

class Entity(_message.Message):
    __slots__ = ("spec",)
    class Spec(_message.Message):
        __slots__ = ("name", "value_type", "join_key", "project")
        NAME_FIELD_NUMBER: _ClassVar[int]
        VALUE_TYPE_FIELD_NUMBER: _ClassVar[int]
        JOIN_KEY_FIELD_NUMBER: _ClassVar[int]
        PROJECT_FIELD_NUMBER: _ClassVar[int]
        name: str
        value_type: int
        join_key: str
        project: str
        def __init__(self, name: _Optional[str] = ..., value_type: _Optional[int] = ..., join_key: _Optional[str] = ..., project: _Optional[str] = ...) -> None: ...
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: Entity.Spec
    def __init__(self, spec: _Optional[_Union[Entity.Spec, _Mapping]] = ...) -> None: ...

class Field(_message.Message):
    __slots__ = ("name", "value_type", "tags")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_TYPE_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    name: str
    value_type: int
    tags: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., value_type: _Optional[int] = ..., tags: _Optional[_Mapping[str, str]] = ...) -> None: ...

class DataSource(_message.Message):
    __slots__ = ("request_data_options", "name")
    class RequestData(_message.Message):
        __slots__ = ("schema",)
        SCHEMA_FIELD_NUMBER: _ClassVar[int]
        schema: _containers.RepeatedCompositeFieldContainer[Field]
        def __init__(self, schema: _Optional[_Iterable[_Union[Field, _Mapping]]] = ...) -> None: ...
    REQUEST_DATA_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    request_data_options: DataSource.RequestData
    name: str
    def __init__(self, request_data_options: _Optional[_Union[DataSource.RequestData, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class FeatureView(_message.Message):
    __slots__ = ("spec",)
    class Spec(_message.Message):
        __slots__ = ("name", "project", "entities", "features", "tags", "batch_source", "online", "stream_source", "owner", "entity_columns", "disabled")
        class TagsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        NAME_FIELD_NUMBER: _ClassVar[int]
        PROJECT_FIELD_NUMBER: _ClassVar[int]
        ENTITIES_FIELD_NUMBER: _ClassVar[int]
        FEATURES_FIELD_NUMBER: _ClassVar[int]
        TAGS_FIELD_NUMBER: _ClassVar[int]
        BATCH_SOURCE_FIELD_NUMBER: _ClassVar[int]
        ONLINE_FIELD_NUMBER: _ClassVar[int]
        STREAM_SOURCE_FIELD_NUMBER: _ClassVar[int]
        OWNER_FIELD_NUMBER: _ClassVar[int]
        ENTITY_COLUMNS_FIELD_NUMBER: _ClassVar[int]
        DISABLED_FIELD_NUMBER: _ClassVar[int]
        name: str
        project: str
        entities: _containers.RepeatedScalarFieldContainer[str]
        features: _containers.RepeatedCompositeFieldContainer[Field]
        tags: _containers.ScalarMap[str, str]
        batch_source: DataSource
        online: bool
        stream_source: DataSource
        owner: str
        entity_columns: _containers.RepeatedCompositeFieldContainer[Field]
        disabled: bool
        def __init__(self, name: _Optional[str] = ..., project: _Optional[str] = ..., entities: _Optional[_Iterable[str]] = ..., features: _Optional[_Iterable[_Union[Field, _Mapping]]] = ..., tags: _Optional[_Mapping[str, str]] = ..., batch_source: _Optional[_Union[DataSource, _Mapping]] = ..., online: _Optional[bool] = ..., stream_source: _Optional[_Union[DataSource, _Mapping]] = ..., owner: _Optional[str] = ..., entity_columns: _Optional[_Iterable[_Union[Field, _Mapping]]] = ..., disabled: _Optional[bool] = ...) -> None: ...
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: FeatureView.Spec
    def __init__(self, spec: _Optional[_Union[FeatureView.Spec, _Mapping]] = ...) -> None: ...

class StreamFeatureView(_message.Message):
    __slots__ = ("spec",)
    class Spec(_message.Message):
        __slots__ = ("name", "project", "entities", "features", "entity_columns", "tags", "owner", "batch_source", "stream_source", "online", "disabled")
        class TagsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        NAME_FIELD_NUMBER: _ClassVar[int]
        PROJECT_FIELD_NUMBER: _ClassVar[int]
        ENTITIES_FIELD_NUMBER: _ClassVar[int]
        FEATURES_FIELD_NUMBER: _ClassVar[int]
        ENTITY_COLUMNS_FIELD_NUMBER: _ClassVar[int]
        TAGS_FIELD_NUMBER: _ClassVar[int]
        OWNER_FIELD_NUMBER: _ClassVar[int]
        BATCH_SOURCE_FIELD_NUMBER: _ClassVar[int]
        STREAM_SOURCE_FIELD_NUMBER: _ClassVar[int]
        ONLINE_FIELD_NUMBER: _ClassVar[int]
        DISABLED_FIELD_NUMBER: _ClassVar[int]
        name: str
        project: str
        entities: _containers.RepeatedScalarFieldContainer[str]
        features: _containers.RepeatedCompositeFieldContainer[Field]
        entity_columns: _containers.RepeatedCompositeFieldContainer[Field]
        tags: _containers.ScalarMap[str, str]
        owner: str
        batch_source: DataSource
        stream_source: DataSource
        online: bool
        disabled: bool
        def __init__(self, name: _Optional[str] = ..., project: _Optional[str] = ..., entities: _Optional[_Iterable[str]] = ..., features: _Optional[_Iterable[_Union[Field, _Mapping]]] = ..., entity_columns: _Optional[_Iterable[_Union[Field, _Mapping]]] = ..., tags: _Optional[_Mapping[str, str]] = ..., owner: _Optional[str] = ..., batch_source: _Optional[_Union[DataSource, _Mapping]] = ..., stream_source: _Optional[_Union[DataSource, _Mapping]] = ..., online: _Optional[bool] = ..., disabled: _Optional[bool] = ...) -> None: ...
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: StreamFeatureView.Spec
    def __init__(self, spec: _Optional[_Union[StreamFeatureView.Spec, _Mapping]] = ...) -> None: ...

class LabelView(_message.Message):
    __slots__ = ("spec",)
    class Spec(_message.Message):
        __slots__ = ("name", "project", "entities", "features", "tags", "source", "online", "owner", "entity_columns")
        class TagsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        NAME_FIELD_NUMBER: _ClassVar[int]
        PROJECT_FIELD_NUMBER: _ClassVar[int]
        ENTITIES_FIELD_NUMBER: _ClassVar[int]
        FEATURES_FIELD_NUMBER: _ClassVar[int]
        TAGS_FIELD_NUMBER: _ClassVar[int]
        SOURCE_FIELD_NUMBER: _ClassVar[int]
        ONLINE_FIELD_NUMBER: _ClassVar[int]
        OWNER_FIELD_NUMBER: _ClassVar[int]
        ENTITY_COLUMNS_FIELD_NUMBER: _ClassVar[int]
        name: str
        project: str
        entities: _containers.RepeatedScalarFieldContainer[str]
        features: _containers.RepeatedCompositeFieldContainer[Field]
        tags: _containers.ScalarMap[str, str]
        source: DataSource
        online: bool
        owner: str
        entity_columns: _containers.RepeatedCompositeFieldContainer[Field]
        def __init__(self, name: _Optional[str] = ..., project: _Optional[str] = ..., entities: _Optional[_Iterable[str]] = ..., features: _Optional[_Iterable[_Union[Field, _Mapping]]] = ..., tags: _Optional[_Mapping[str, str]] = ..., source: _Optional[_Union[DataSource, _Mapping]] = ..., online: _Optional[bool] = ..., owner: _Optional[str] = ..., entity_columns: _Optional[_Iterable[_Union[Field, _Mapping]]] = ...) -> None: ...
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: LabelView.Spec
    def __init__(self, spec: _Optional[_Union[LabelView.Spec, _Mapping]] = ...) -> None: ...

class OnDemandFeatureView(_message.Message):
    __slots__ = ("spec",)
    class Spec(_message.Message):
        __slots__ = ("name", "project", "features", "sources", "tags", "owner", "write_to_online_store", "disabled")
        class SourcesEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: OnDemandSource
            def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[OnDemandSource, _Mapping]] = ...) -> None: ...
        class TagsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        NAME_FIELD_NUMBER: _ClassVar[int]
        PROJECT_FIELD_NUMBER: _ClassVar[int]
        FEATURES_FIELD_NUMBER: _ClassVar[int]
        SOURCES_FIELD_NUMBER: _ClassVar[int]
        TAGS_FIELD_NUMBER: _ClassVar[int]
        OWNER_FIELD_NUMBER: _ClassVar[int]
        WRITE_TO_ONLINE_STORE_FIELD_NUMBER: _ClassVar[int]
        DISABLED_FIELD_NUMBER: _ClassVar[int]
        name: str
        project: str
        features: _containers.RepeatedCompositeFieldContainer[Field]
        sources: _containers.MessageMap[str, OnDemandSource]
        tags: _containers.ScalarMap[str, str]
        owner: str
        write_to_online_store: bool
        disabled: bool
        def __init__(self, name: _Optional[str] = ..., project: _Optional[str] = ..., features: _Optional[_Iterable[_Union[Field, _Mapping]]] = ..., sources: _Optional[_Mapping[str, OnDemandSource]] = ..., tags: _Optional[_Mapping[str, str]] = ..., owner: _Optional[str] = ..., write_to_online_store: _Optional[bool] = ..., disabled: _Optional[bool] = ...) -> None: ...
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: OnDemandFeatureView.Spec
    def __init__(self, spec: _Optional[_Union[OnDemandFeatureView.Spec, _Mapping]] = ...) -> None: ...

class OnDemandSource(_message.Message):
    __slots__ = ("feature_view", "request_data_source", "feature_view_projection")
    FEATURE_VIEW_FIELD_NUMBER: _ClassVar[int]
    REQUEST_DATA_SOURCE_FIELD_NUMBER: _ClassVar[int]
    FEATURE_VIEW_PROJECTION_FIELD_NUMBER: _ClassVar[int]
    feature_view: FeatureView
    request_data_source: DataSource
    feature_view_projection: Projection
    def __init__(self, feature_view: _Optional[_Union[FeatureView, _Mapping]] = ..., request_data_source: _Optional[_Union[DataSource, _Mapping]] = ..., feature_view_projection: _Optional[_Union[Projection, _Mapping]] = ...) -> None: ...

class Projection(_message.Message):
    __slots__ = ("feature_view_name", "feature_columns", "feature_view_name_alias", "join_key_map")
    class JoinKeyMapEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FEATURE_VIEW_NAME_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    FEATURE_VIEW_NAME_ALIAS_FIELD_NUMBER: _ClassVar[int]
    JOIN_KEY_MAP_FIELD_NUMBER: _ClassVar[int]
    feature_view_name: str
    feature_columns: _containers.RepeatedCompositeFieldContainer[Field]
    feature_view_name_alias: str
    join_key_map: _containers.ScalarMap[str, str]
    def __init__(self, feature_view_name: _Optional[str] = ..., feature_columns: _Optional[_Iterable[_Union[Field, _Mapping]]] = ..., feature_view_name_alias: _Optional[str] = ..., join_key_map: _Optional[_Mapping[str, str]] = ...) -> None: ...

class FeatureService(_message.Message):
    __slots__ = ("spec",)
    class Spec(_message.Message):
        __slots__ = ("name", "project", "features")
        NAME_FIELD_NUMBER: _ClassVar[int]
        PROJECT_FIELD_NUMBER: _ClassVar[int]
        FEATURES_FIELD_NUMBER: _ClassVar[int]
        name: str
        project: str
        features: _containers.RepeatedCompositeFieldContainer[Projection]
        def __init__(self, name: _Optional[str] = ..., project: _Optional[str] = ..., features: _Optional[_Iterable[_Union[Projection, _Mapping]]] = ...) -> None: ...
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: FeatureService.Spec
    def __init__(self, spec: _Optional[_Union[FeatureService.Spec, _Mapping]] = ...) -> None: ...
