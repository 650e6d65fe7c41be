"""What a Feast registry offers online, as plain values: views, features, keys, services, owners.

It exists apart from reading the bytes (`source`) and from writing manifests (`manifest`), so that
both the import and the comparison work on the same picture. Pure: no files, no Feast.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from google.protobuf.message import DecodeError

from featward.feast import registry_pb2 as pb
from featward.feast.errors import RegistryUnreadableError

__all__ = ["Column", "FeastCatalogue", "Feature", "Service", "View", "read"]

# Feast's stand-in for "no entity"; a request never names it.
NO_ENTITY = "__dummy_id"
# feast.types.ValueType.Enum to the types of manifests. The rest (lists, sets, maps, structs) is
# `other`.
TYPES = {
    1: "bytes",
    2: "string",
    3: "int32",
    4: "int64",
    5: "double",
    6: "float",
    7: "bool",
    8: "timestamp",
    # UUID, time UUID: strings of JSON.
    36: "string",
    37: "string",
}


@dataclass(frozen=True, order=True)
class Column:
    """A join key or a request input."""

    name: str
    type: str


@dataclass(frozen=True)
class Feature:
    """One column of a view: `driver_hourly_stats:conv_rate`."""

    name: str
    type: str
    lineage: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """A feature view of any kind that Feast serves online."""

    name: str
    features: tuple[Feature, ...]
    # What a request must bring: join keys, and the inputs of an on-demand view.
    entities: tuple[Column, ...] = ()
    inputs: tuple[Column, ...] = ()
    # The views that an on-demand view computes from; their join keys are needed too.
    computed_from: tuple[str, ...] = ()
    # The features that it computes from, where they are read when it is asked for: its sources.
    sources: tuple[str, ...] = ()
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """A feature service, expanded to full feature names."""

    name: str
    features: tuple[str, ...]
    # Join keys under the names that this service gives them.
    entities: tuple[Column, ...] = ()


@dataclass(frozen=True)
class FeastCatalogue:
    """All that one Feast project offers online, sorted by name.

    `notes` say what was left out and why.
    """

    project: str
    views: tuple[View, ...]
    services: tuple[Service, ...]
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def features(self) -> dict[str, Feature]:
        """Every feature by its full name."""
        return {feature.name: feature for view in self.views for feature in view.features}

    def only(self, names: Iterable[str]) -> "FeastCatalogue":
        """The same with these views alone, and the services that live on them."""
        wanted = set(names)
        if unknown := sorted(wanted - {view.name for view in self.views}):
            known = ", ".join(view.name for view in self.views)
            raise RegistryUnreadableError(
                f"Feast's project has no online view {unknown[0]!r}; it has {known}"
            )
        views = tuple(view for view in self.views if view.name in wanted)
        left = {feature.name for view in views for feature in view.features}
        services = tuple(service for service in self.services if left.issuperset(service.features))
        return FeastCatalogue(self.project, views, services, self.owner, self.tags, self.notes)


def read(registry: bytes, project: str | None = None) -> FeastCatalogue:
    """The catalogue in the bytes of a registry. Raises RegistryUnreadableError.

    `project` may be left out where the registry holds one only.
    """
    parsed = _parse(registry)
    return _Reader(parsed, _project(parsed, project)).catalogue()


def _parse(registry: bytes) -> pb.Registry:
    try:
        parsed = pb.Registry.FromString(registry)
    except DecodeError as error:
        raise RegistryUnreadableError(
            "the file is no Feast registry (a protobuf that `feast apply` writes)"
        ) from error
    # A file has a schema version; what Feast prints from a database has not. Nothing at all is no registry.
    if not (parsed.registry_schema_version or parsed.projects or parsed.feature_views):
        raise RegistryUnreadableError("the file is no Feast registry that `feast apply` wrote")
    return parsed


def _project(registry: pb.Registry, wanted: str | None) -> str:
    projects = sorted(
        {view.spec.project for view in registry.feature_views}
        | {view.spec.project for view in registry.on_demand_feature_views}
        | {view.spec.project for view in registry.stream_feature_views}
        | {project.spec.name for project in registry.projects}
    )
    if wanted is not None and wanted in projects:
        return wanted
    if wanted is None and len(projects) == 1:
        return projects[0]
    names = ", ".join(projects) or "none"
    if wanted is not None:
        raise RegistryUnreadableError(f"the registry has no project {wanted!r}; it has {names}")
    raise RegistryUnreadableError(
        f"the registry holds several projects or none ({names}); name one with --project"
    )


class _Reader:
    """Walks one project of a parsed registry and collects notes on the way."""

    def __init__(self, registry: pb.Registry, project: str) -> None:
        self._registry = registry
        self._project = project
        self._entities = {
            e.spec.name: e.spec for e in registry.entities if e.spec.project == project
        }
        self._notes: list[str] = []

    def catalogue(self) -> FeastCatalogue:
        views = sorted([*self._stored(), *self._on_demand()], key=lambda view: view.name)
        views = [self._with_source_entities(view, views) for view in views]
        known = {feature.name for view in views for feature in view.features}
        by_name = {view.name: view for view in views}
        services = [
            self._service(s.spec, by_name, known)
            for s in self._registry.feature_services
            if self._ours(s.spec)
        ]
        about = next(
            (p.spec for p in self._registry.projects if p.spec.name == self._project),
            pb.Project.Spec(),
        )
        return FeastCatalogue(
            project=self._project,
            views=tuple(views),
            services=tuple(
                sorted((s for s in services if s is not None), key=lambda service: service.name)
            ),
            owner=about.owner,
            tags=dict(about.tags),
            notes=tuple(self._notes),
        )

    def _ours(self, spec: object) -> bool:
        return bool(getattr(spec, "project", None) == self._project)

    def _stored(self) -> Iterator[View]:
        stored: list[
            tuple[pb.FeatureView.Spec | pb.StreamFeatureView.Spec | pb.LabelView.Spec, str]
        ] = [
            *((v.spec, v.spec.batch_source.name) for v in self._registry.feature_views),
            *(
                (v.spec, v.spec.batch_source.name or v.spec.stream_source.name)
                for v in self._registry.stream_feature_views
            ),
            *((v.spec, v.spec.source.name) for v in self._registry.label_views),
        ]
        for spec, source in stored:
            if not self._ours(spec):
                continue
            if not spec.online or getattr(spec, "disabled", False):
                self._notes.append(f"view {spec.name} is left out: Feast does not serve it online")
                continue
            yield View(
                name=spec.name,
                features=_features(spec.name, spec.features, source, spec.tags),
                entities=tuple(self._join_keys(spec)),
                owner=spec.owner,
                tags=dict(spec.tags),
            )

    def _join_keys(
        self, spec: pb.FeatureView.Spec | pb.StreamFeatureView.Spec | pb.LabelView.Spec
    ) -> Iterator[Column]:
        typed = {column.name: column.value_type for column in spec.entity_columns}
        for name in spec.entities:
            entity = self._entities.get(name)
            key = entity.join_key if entity is not None else name
            if name == "__dummy" or key == NO_ENTITY:
                continue
            number = typed.get(key) or (entity.value_type if entity is not None else 0)
            yield Column(key, self._scalar(number, f"entity {key} of view {spec.name}"))

    def _on_demand(self) -> Iterator[View]:
        for stored in self._registry.on_demand_feature_views:
            spec = stored.spec
            if not self._ours(spec):
                continue
            if spec.disabled:
                self._notes.append(f"view {spec.name} is left out: Feast does not serve it online")
                continue
            sources = sorted({_source_view(source) for source in spec.sources.values()} - {""})
            yield View(
                name=spec.name,
                features=_features(spec.name, spec.features, ", ".join(sources), spec.tags),
                inputs=tuple(sorted(self._inputs(spec))),
                computed_from=tuple(sources),
                # One that Feast computes when it is written is read like any stored view.
                sources=() if spec.write_to_online_store else tuple(sorted(_source_features(spec))),
                owner=spec.owner,
                tags=dict(spec.tags),
            )

    def _inputs(self, spec: pb.OnDemandFeatureView.Spec) -> Iterator[Column]:
        for source in spec.sources.values():
            for column in source.request_data_source.request_data_options.schema:
                yield Column(
                    column.name,
                    self._scalar(
                        column.value_type, f"request input {column.name} of view {spec.name}"
                    ),
                )

    def _scalar(self, number: int, what: str) -> str:
        if number == 0:
            self._notes.append(
                f"{what} has no type in the registry: written as string, set it by hand"
            )
            return "string"
        if number not in TYPES:
            raise RegistryUnreadableError(f"{what} has Feast's type {number}, not a scalar")
        return TYPES[number]

    def _with_source_entities(self, view: View, views: Iterable[View]) -> View:
        """An on-demand view is asked for with the join keys of the views it computes from."""
        if not view.computed_from:
            return view
        keys = {
            key for source in views if source.name in view.computed_from for key in source.entities
        }
        return replace(view, entities=tuple(sorted(keys)))

    def _service(
        self, spec: pb.FeatureService.Spec, views: Mapping[str, View], known: set[str]
    ) -> Service | None:
        features: set[str] = set()
        entities: set[Column] = set()
        for projection in spec.features:
            view = projection.feature_view_name
            names = {f"{view}:{column.name}" for column in projection.feature_columns}
            if not names <= known:
                self._notes.append(
                    f"service {spec.name} is left out: {min(names - known)} is not served online"
                )
                return None
            alias = projection.feature_view_name_alias
            if alias not in ("", view):
                # Feast names the columns after the alias, by which nothing can be granted: callers
                # would get their keys back and not a feature.
                self._notes.append(
                    f"service {spec.name} is left out: it calls view {view} {alias} (with_name), and asked "
                    f"with full_feature_names Feast names its columns {alias}__…, which no grant can name; "
                    "take with_name out of the service and apply it, or let its callers ask for "
                    f"{view}:… by features"
                )
                return None
            features |= names
            entities |= {
                Column(projection.join_key_map.get(key.name, key.name), key.type)
                for key in views[view].entities
            }
        self._note_sources(spec.name, features, views)
        return Service(spec.name, tuple(sorted(features)), tuple(sorted(entities)))

    def _note_sources(self, service: str, features: set[str], views: Mapping[str, View]) -> None:
        """Older SDKs of Feast (0.58) read the sources of an on-demand view themselves."""
        for view in sorted({name.partition(":")[0] for name in features}):
            if missing := set(views[view].sources) - features:
                self._notes.append(
                    f"service {service} computes {view} from {', '.join(sorted(missing))}, which the service "
                    "has not: an older SDK of Feast (0.58) asks for these itself and is refused where the "
                    "service alone is granted; for such callers grant these beside it, or name only the "
                    "columns needed in the sources of the on-demand view and have them in the service"
                )


def _features(
    view: str, fields: Iterable[pb.Field], lineage: str, tags: Mapping[str, str]
) -> tuple[Feature, ...]:
    made = (
        Feature(f"{view}:{f.name}", TYPES.get(f.value_type, "other"), lineage, {**tags, **f.tags})
        for f in fields
    )
    return tuple(sorted(made, key=lambda feature: feature.name))


def _source_features(spec: pb.OnDemandFeatureView.Spec) -> Iterator[str]:
    for source in spec.sources.values():
        projection = source.feature_view_projection
        for column in projection.feature_columns or source.feature_view.spec.features:
            yield f"{_source_view(source)}:{column.name}"


def _source_view(source: pb.OnDemandSource) -> str:
    return source.feature_view_projection.feature_view_name or source.feature_view.spec.name
