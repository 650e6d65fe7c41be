//! What the workload serves: its feature sets with their columns, features and services, read from the snapshot
//! once and then trusted. Names are looked up here and nowhere else; the decision itself works on indices.

use ahash::AHashMap;

use crate::check::{self, Place};
use crate::error::PolicyError;
use crate::overriding::{Override, OverrideAction};
use crate::v1;

/// Position of a feature set in [`Catalogue::sets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetIndex(pub(crate) u32);

impl SetIndex {
    /// The position as a number, for tables beside the policy's own.
    pub fn position(self) -> usize {
        self.0 as usize
    }
}

/// Position of a feature among the features of all sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FeatureIndex(pub(crate) u32);

/// How much of a decision is applied, from the loosest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Everything passes; the verdict is recorded.
    Observe,
    /// Identity, routes and parsing hold; the decision is recorded.
    Shadow,
    /// Everything holds.
    Enforce,
}

impl Mode {
    /// The name in records and manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Observe => "observe",
            Mode::Shadow => "shadow",
            Mode::Enforce => "enforce",
        }
    }
}

/// The type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// 32-bit floating point number.
    Float,
    /// 64-bit floating point number.
    Double,
    /// Text.
    String,
    /// Truth value.
    Bool,
    /// Bytes.
    Bytes,
    /// A point in time.
    Timestamp,
    /// A list, map or structure; features only.
    Other,
}

impl ColumnType {
    /// The name in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            ColumnType::Int32 => "int32",
            ColumnType::Int64 => "int64",
            ColumnType::Float => "float",
            ColumnType::Double => "double",
            ColumnType::String => "string",
            ColumnType::Bool => "bool",
            ColumnType::Bytes => "bytes",
            ColumnType::Timestamp => "timestamp",
            ColumnType::Other => "other",
        }
    }
}

/// What becomes of the client's `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamAuth {
    /// It is dropped.
    None,
    /// It goes on, unless its token is unsigned.
    Passthrough,
    /// The sidecar's own token takes its place.
    Token,
}

/// One API of the feature server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `feast-http/v1`
    pub adapter: Box<str>,
    /// Host name or address.
    pub host: Box<str>,
    /// Port, never 0.
    pub port: u16,
}

/// A column that requests carry: a join key or a request input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: Box<str>,
    /// The type of its values, never [`ColumnType::Other`].
    pub kind: ColumnType,
}

/// One feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// As a request names it, `driver_hourly_stats:conv_rate`.
    pub name: Box<str>,
    /// The set that it belongs to.
    pub set: SetIndex,
    /// The type of its values.
    pub kind: ColumnType,
    /// 0 (public) to 3 (secret).
    pub sensitivity: u8,
    /// Cost units of one value, at least 1.
    pub cost: u32,
}

/// One feature set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureSet {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// `namespace/name`
    pub full_name: Box<str>,
    /// Its version.
    pub version: Box<str>,
    /// `prod.payments`
    pub business_unit: Box<str>,
    /// The team that owns it.
    pub owner_team: Box<str>,
    /// How to reach that team.
    pub owner_contact: Box<str>,
    /// How much of a decision is applied, as its owner declared it; [`FeatureSet::mode_at`] is what holds.
    pub mode: Mode,
    /// Callers without identity pass in observe and shadow before this time (Unix seconds); `None` for never.
    pub unidentified_until: Option<i64>,
    /// What becomes of `Authorization`.
    pub upstream_auth: UpstreamAuth,
    /// Where it is served, sorted by adapter.
    pub endpoints: Box<[Endpoint]>,
    /// Join keys, sorted by name.
    pub entities: Box<[Column]>,
    /// Request inputs of on-demand features, sorted by name.
    pub request_inputs: Box<[Column]>,
    /// What somebody decided by hand, in force or ended.
    pub overridden: Option<Override>,
}

impl FeatureSet {
    /// The override in force.
    pub fn override_at(&self, now: i64) -> Option<&Override> {
        self.overridden
            .as_ref()
            .filter(|overridden| overridden.is_in_force(now))
    }

    /// Whether it is closed by hand: nothing is answered from it, in any mode.
    pub fn is_closed(&self, now: i64) -> bool {
        self.override_at(now)
            .is_some_and(|overridden| overridden.action == OverrideAction::Close)
    }

    /// The mode that holds. A closed set enforces whatever it declares, so that nothing passes it unread.
    pub fn mode_at(&self, now: i64) -> Mode {
        match self.is_closed(now) {
            true => Mode::Enforce,
            false => self.mode_while_open(now),
        }
    }

    /// The mode as if nothing were closed, which tells what closing takes away.
    pub(crate) fn mode_while_open(&self, now: i64) -> Mode {
        match self.override_at(now).map(|overridden| overridden.action) {
            Some(OverrideAction::Relax) => self.mode.min(Mode::Shadow),
            _ => self.mode,
        }
    }

    /// Whether callers without identity may hope for an answer. Never in enforce, whatever the manifest says. What
    /// is closed is closed to all callers, and says so itself.
    pub fn admits_unidentified(&self, now: i64) -> bool {
        self.mode_while_open(now) != Mode::Enforce && self.unidentified_until.is_some_and(|until| now < until)
    }
}

/// All sets of one workload.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) sets: Vec<FeatureSet>,
    pub(crate) features: Vec<Feature>,
    features_by_name: AHashMap<Box<str>, FeatureIndex>,
    sets_by_name: AHashMap<Box<str>, SetIndex>,
    services: AHashMap<Box<str>, Service>,
    columns: AHashMap<Box<str>, (ColumnType, SetIndex)>,
}

#[derive(Debug)]
struct Service {
    features: Box<[FeatureIndex]>,
    set: SetIndex,
}

impl Catalogue {
    /// Add a set; sets come in the order of their names.
    pub(crate) fn add(&mut self, set: v1::FeatureSet, environment: &str) -> Result<(), PolicyError> {
        let at = Place::of("feature set", &set.namespace, &set.name)?;
        check::business_unit(&at, environment, &set.business_unit)?;
        let index = SetIndex(check::index(self.sets.len(), "feature sets")?);
        let built = feature_set(&at, &set)?;
        if let Some(last) = self.sets.last() {
            let before = (&*last.namespace, &*last.name);
            check::ascending(
                "the snapshot",
                "feature_sets",
                before,
                (&set.namespace, &set.name),
            )?;
        }
        self.sets_by_name.insert(built.full_name.clone(), index);
        for column in built.entities.iter().chain(&built.request_inputs) {
            self.add_column(column, index, &built.full_name)?;
        }
        self.sets.push(built);
        self.add_features(&at, index, &set.features)?;
        self.add_services(&at, index, &set.services)
    }

    pub(crate) fn feature(&self, name: &str) -> Option<FeatureIndex> {
        self.features_by_name.get(name).copied()
    }

    pub(crate) fn set(&self, full_name: &str) -> Option<SetIndex> {
        self.sets_by_name.get(full_name).copied()
    }

    pub(crate) fn service(&self, name: &str) -> Option<&[FeatureIndex]> {
        self.services.get(name).map(|service| &*service.features)
    }

    pub(crate) fn column(&self, name: &str) -> Option<ColumnType> {
        self.columns.get(name).map(|(kind, _)| *kind)
    }

    pub(crate) fn feature_record(&self, index: FeatureIndex) -> &Feature {
        &self.features[index.0 as usize]
    }

    pub(crate) fn set_record(&self, index: SetIndex) -> &FeatureSet {
        &self.sets[index.0 as usize]
    }

    /// A request may name a join key of any set beside one of another, so a name has one type in all of them.
    fn add_column(&mut self, column: &Column, set: SetIndex, at: &str) -> Result<(), PolicyError> {
        let entry = self
            .columns
            .entry(column.name.clone())
            .or_insert((column.kind, set));
        if entry.0 == column.kind {
            return Ok(());
        }
        let first = self.sets.get(entry.1.0 as usize).map_or(at, |set| &set.full_name);
        Err(conflict("column", &column.name, first, at))
    }

    fn add_features(
        &mut self,
        at: &Place,
        set: SetIndex,
        features: &[v1::Feature],
    ) -> Result<(), PolicyError> {
        check::sorted(at, "features", features, |feature| feature.name.as_str())?;
        for feature in features {
            let index = FeatureIndex(check::index(self.features.len(), "features")?);
            let built = build_feature(at, set, feature)?;
            if let Some(first) = self.features_by_name.insert(built.name.clone(), index) {
                let first = &self.set_record(self.feature_record(first).set).full_name;
                return Err(conflict("feature", &built.name, first, at.name()));
            }
            self.features.push(built);
        }
        Ok(())
    }

    fn add_services(
        &mut self,
        at: &Place,
        set: SetIndex,
        services: &[v1::Service],
    ) -> Result<(), PolicyError> {
        check::sorted(at, "services", services, |service| service.name.as_str())?;
        for service in services {
            let features = self.resolve(at, set, &service.features)?.into();
            let built = Service { features, set };
            if let Some(first) = self.services.insert(service.name.as_str().into(), built) {
                let first = &self.set_record(first.set).full_name;
                return Err(conflict("service", &service.name, first, at.name()));
            }
        }
        Ok(())
    }

    /// The indices of features that must be of one set, in the order of their names.
    pub(crate) fn resolve(
        &self,
        at: &Place,
        set: SetIndex,
        names: &[String],
    ) -> Result<Vec<FeatureIndex>, PolicyError> {
        check::sorted(at, "features", names, String::as_str)?;
        let find = |name: &String| {
            let found = self
                .feature(name)
                .filter(|index| self.feature_record(*index).set == set);
            found.ok_or_else(|| at.unknown("feature", name))
        };
        names.iter().map(find).collect()
    }
}

fn conflict(what: &'static str, name: &str, first: &str, second: &str) -> PolicyError {
    PolicyError::Conflict {
        what,
        name: name.to_owned(),
        first: first.to_owned(),
        second: second.to_owned(),
    }
}

fn feature_set(at: &Place, set: &v1::FeatureSet) -> Result<FeatureSet, PolicyError> {
    Ok(FeatureSet {
        namespace: set.namespace.as_str().into(),
        name: set.name.as_str().into(),
        full_name: at.name().into(),
        version: set.version.as_str().into(),
        business_unit: set.business_unit.as_str().into(),
        owner_team: set.owner_team.as_str().into(),
        owner_contact: set.owner_contact.as_str().into(),
        mode: mode(at, set.mode())?,
        unidentified_until: unidentified_until(at, set)?,
        upstream_auth: upstream_auth(at, set.upstream_auth())?,
        endpoints: endpoints(at, &set.endpoints)?,
        entities: columns(at, "entities", &set.entities)?,
        request_inputs: columns(at, "request_inputs", &set.request_inputs)?,
        overridden: Override::of_set(at, set.r#override.as_ref())?,
    })
}

/// Prost reads an enum number that it does not know as the default, so that unknown modes are unspecified ones.
fn mode(at: &Place, mode: v1::Mode) -> Result<Mode, PolicyError> {
    match mode {
        v1::Mode::Observe => Ok(Mode::Observe),
        v1::Mode::Shadow => Ok(Mode::Shadow),
        v1::Mode::Enforce => Ok(Mode::Enforce),
        v1::Mode::Unspecified => Err(at.unspecified("mode")),
    }
}

fn unidentified_until(at: &Place, set: &v1::FeatureSet) -> Result<Option<i64>, PolicyError> {
    match (set.unidentified_allow, set.unidentified_until) {
        (false, 0) => Ok(None),
        (true, until) if until > 0 => Ok(Some(until)),
        (allow, until) => Err(at.invalid(
            "unidentified_until",
            until,
            if allow {
                "a date, as unidentified callers are allowed"
            } else {
                "0, as none is allowed"
            },
        )),
    }
}

fn upstream_auth(at: &Place, auth: v1::UpstreamAuth) -> Result<UpstreamAuth, PolicyError> {
    match auth {
        v1::UpstreamAuth::None => Ok(UpstreamAuth::None),
        v1::UpstreamAuth::Passthrough => Ok(UpstreamAuth::Passthrough),
        v1::UpstreamAuth::Token => Ok(UpstreamAuth::Token),
        v1::UpstreamAuth::Unspecified => Err(at.unspecified("upstream_auth")),
    }
}

fn endpoints(at: &Place, endpoints: &[v1::Endpoint]) -> Result<Box<[Endpoint]>, PolicyError> {
    check::sorted(at, "endpoints", endpoints, |endpoint| endpoint.adapter.as_str())?;
    endpoints
        .iter()
        .map(|endpoint| build_endpoint(at, endpoint))
        .collect()
}

fn build_endpoint(at: &Place, endpoint: &v1::Endpoint) -> Result<Endpoint, PolicyError> {
    let port = u16::try_from(endpoint.port).ok().filter(|port| *port != 0);
    if endpoint.host.is_empty() {
        return Err(at.invalid("endpoint host", "", "a host name or address"));
    }
    Ok(Endpoint {
        adapter: endpoint.adapter.as_str().into(),
        host: endpoint.host.as_str().into(),
        port: port.ok_or_else(|| at.invalid("endpoint port", endpoint.port, "1 to 65535"))?,
    })
}

fn columns(at: &Place, list: &'static str, columns: &[v1::Column]) -> Result<Box<[Column]>, PolicyError> {
    check::sorted(at, list, columns, |column| column.name.as_str())?;
    let build = |column: &v1::Column| {
        let kind = column_type(at, column.r#type())?;
        if kind == ColumnType::Other {
            return Err(at.invalid(list, &column.name, "columns of a scalar type"));
        }
        Ok(Column {
            name: column.name.as_str().into(),
            kind,
        })
    };
    columns.iter().map(build).collect()
}

fn build_feature(at: &Place, set: SetIndex, feature: &v1::Feature) -> Result<Feature, PolicyError> {
    let sensitivity = u8::try_from(feature.sensitivity).ok().filter(|level| *level <= 3);
    if feature.cost == 0 {
        return Err(at.invalid("cost", &feature.name, "features that cost at least 1"));
    }
    Ok(Feature {
        name: feature.name.as_str().into(),
        set,
        kind: column_type(at, feature.r#type())?,
        sensitivity: sensitivity.ok_or_else(|| at.invalid("sensitivity", feature.sensitivity, "0 to 3"))?,
        cost: feature.cost,
    })
}

fn column_type(at: &Place, kind: v1::ColumnType) -> Result<ColumnType, PolicyError> {
    match kind {
        v1::ColumnType::Int32 => Ok(ColumnType::Int32),
        v1::ColumnType::Int64 => Ok(ColumnType::Int64),
        v1::ColumnType::Float => Ok(ColumnType::Float),
        v1::ColumnType::Double => Ok(ColumnType::Double),
        v1::ColumnType::String => Ok(ColumnType::String),
        v1::ColumnType::Bool => Ok(ColumnType::Bool),
        v1::ColumnType::Bytes => Ok(ColumnType::Bytes),
        v1::ColumnType::Timestamp => Ok(ColumnType::Timestamp),
        v1::ColumnType::Other => Ok(ColumnType::Other),
        v1::ColumnType::Unspecified => Err(at.unspecified("type")),
    }
}
