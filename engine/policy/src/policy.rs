//! A loaded snapshot: checked whole before it is used at all, immutable after, shared by every connection.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::binding::{Binding, BindingIndex, Bindings, BindingsReader};
use crate::catalogue::{Catalogue, ColumnType, Feature, FeatureIndex, FeatureSet, Mode, SetIndex};
use crate::check::{self, Place, spiffe_error};
use crate::envelope::{self, Envelope};
use crate::error::PolicyError;
use crate::spiffe::{SpiffeId, TrustDomain};
use crate::subject::Subjects;
use crate::table::Table;
use crate::v1;

/// The layout of snapshots that this engine reads.
const FORMAT: u32 = 1;
/// The version that snapshots are compared with; all crates of the engine have the same.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where a feature set of the environment is served, for the outbound side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The set's namespace.
    pub namespace: Box<str>,
    /// The set's name.
    pub name: Box<str>,
    /// `host:port` of the server's sidecar.
    pub address: Box<str>,
    /// What the server must prove.
    pub spiffe_id: SpiffeId,
}

/// The compiled policy of one workload.
#[derive(Debug)]
pub struct Policy {
    digest: String,
    environment: Box<str>,
    workload: SpiffeId,
    remotes: Vec<Remote>,
    pub(crate) catalogue: Catalogue,
    pub(crate) subjects: Subjects,
    pub(crate) bindings: Bindings,
    pub(crate) table: Table,
}

impl Policy {
    /// Read a snapshot and check all of it. The bytes are not kept.
    pub fn load(bytes: &[u8]) -> Result<Policy, PolicyError> {
        let envelope = Envelope::open(bytes)?;
        let head = &envelope.head;
        check_format(head)?;
        envelope.check_head()?;
        let (workload, mut subjects) = read_head(head)?;
        let catalogue = read_catalogue(&envelope, &head.environment)?;
        let bindings = read_bindings(&envelope, &catalogue, &mut subjects)?;
        subjects.shrink_to_fit();
        let table = Table::build(&bindings, subjects.len(), catalogue.features.len())?;
        Ok(Policy {
            digest: hex_digest(bytes),
            environment: head.environment.as_str().into(),
            workload,
            remotes: read_remotes(&envelope)?,
            catalogue,
            subjects,
            bindings,
            table,
        })
    }

    /// SHA-256 of the snapshot's bytes, in lower-case hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// `prod`
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The trust domain of the environment.
    pub fn trust_domain(&self) -> &str {
        self.workload.trust_domain()
    }

    /// The workload that the snapshot is for.
    pub fn workload(&self) -> &SpiffeId {
        &self.workload
    }

    /// The strictest mode of all sets that holds now: the one for requests that name no set. A policy without sets
    /// enforces.
    pub fn mode_at(&self, now: i64) -> Mode {
        let sets = self.catalogue.sets.iter();
        sets.map(|set| set.mode_at(now)).max().unwrap_or(Mode::Enforce)
    }

    /// The sets that the workload serves, by namespace, then name. Empty for a pure client.
    pub fn feature_sets(&self) -> &[FeatureSet] {
        &self.catalogue.sets
    }

    /// A set.
    pub fn feature_set(&self, index: SetIndex) -> &FeatureSet {
        self.catalogue.set_record(index)
    }

    /// The features of all sets.
    pub fn features(&self) -> &[Feature] {
        &self.catalogue.features
    }

    /// A feature.
    pub fn feature(&self, index: FeatureIndex) -> &Feature {
        self.catalogue.feature_record(index)
    }

    /// The position of a feature, by the name that requests use.
    pub fn find_feature(&self, name: &str) -> Option<FeatureIndex> {
        self.catalogue.feature(name)
    }

    /// The features of a service, in the order of their names.
    pub fn expand(&self, service: &str) -> Option<&[FeatureIndex]> {
        self.catalogue.service(service)
    }

    /// The type of a join key or request input; a name has the same type in all sets.
    pub fn entity_column(&self, name: &str) -> Option<ColumnType> {
        self.catalogue.column(name)
    }

    /// How many bindings there are.
    pub fn bindings_count(&self) -> usize {
        self.bindings.len()
    }

    /// Every binding's index, in the order of positions.
    pub fn bindings(&self) -> impl Iterator<Item = BindingIndex> {
        self.bindings.indices()
    }

    /// A binding.
    pub fn binding(&self, index: BindingIndex) -> Binding<'_> {
        self.bindings.view(index)
    }

    /// Where the environment's sets are served, by namespace, then name.
    pub fn remotes(&self) -> &[Remote] {
        &self.remotes
    }
}

fn check_format(head: &v1::Snapshot) -> Result<(), PolicyError> {
    if head.format != FORMAT {
        return Err(PolicyError::Format {
            found: head.format,
            expected: FORMAT,
        });
    }
    let needed = parse_version(&head.engine_version)
        .ok_or_else(|| invalid("engine_version", &head.engine_version, "three numbers, 0.1.0"))?;
    if Some(needed) > parse_version(VERSION) {
        let needed = head.engine_version.clone();
        return Err(PolicyError::EngineVersion {
            needed,
            ours: VERSION,
        });
    }
    Ok(())
}

fn parse_version(version: &str) -> Option<[u32; 3]> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let numbers: Option<Vec<u32>> = version.split('.').map(number).collect();
    numbers?.try_into().ok()
}

fn read_head(head: &v1::Snapshot) -> Result<(SpiffeId, Subjects), PolicyError> {
    let at = || "the snapshot".to_owned();
    if head.environment.is_empty() || head.environment.contains(['.', '/']) {
        return Err(invalid("environment", &head.environment, "a name without dots"));
    }
    let trust_domain = TrustDomain::parse(&head.trust_domain)
        .map_err(|error| spiffe_error(at(), &head.trust_domain, error))?;
    let workload =
        SpiffeId::parse(&head.workload).map_err(|error| spiffe_error(at(), &head.workload, error))?;
    if workload.trust_domain() != trust_domain.as_str() {
        return Err(invalid(
            "workload",
            &head.workload,
            "one of the snapshot's trust domain",
        ));
    }
    Ok((workload, Subjects::new(&head.environment, trust_domain)))
}

fn read_catalogue(envelope: &Envelope<'_>, environment: &str) -> Result<Catalogue, PolicyError> {
    let mut catalogue = Catalogue::default();
    for bytes in &envelope.feature_sets {
        let set: v1::FeatureSet = envelope::entry(bytes, |set: &v1::FeatureSet| {
            format!("feature set {}/{}", set.namespace, set.name)
        })?;
        catalogue.add(set, environment)?;
    }
    Ok(catalogue)
}

fn read_bindings(
    envelope: &Envelope<'_>,
    catalogue: &Catalogue,
    subjects: &mut Subjects,
) -> Result<Bindings, PolicyError> {
    let mut reader = BindingsReader::default();
    for bytes in &envelope.bindings {
        let binding: v1::Binding = envelope::entry(bytes, |binding: &v1::Binding| {
            format!("binding {}/{}", binding.namespace, binding.name)
        })?;
        reader.add(binding, catalogue, subjects)?;
    }
    Ok(reader.finish())
}

fn read_remotes(envelope: &Envelope<'_>) -> Result<Vec<Remote>, PolicyError> {
    let mut remotes: Vec<Remote> = Vec::with_capacity(envelope.remotes.len());
    for bytes in &envelope.remotes {
        let remote: v1::Remote = envelope::entry(bytes, |remote: &v1::Remote| {
            format!("remote {}/{}", remote.namespace, remote.name)
        })?;
        let at = Place::of("remote", &remote.namespace, &remote.name)?;
        if let Some(last) = remotes.last() {
            let before = (&*last.namespace, &*last.name);
            let after = (remote.namespace.as_str(), remote.name.as_str());
            check::ascending("the snapshot", "remotes", before, after)?;
        }
        remotes.push(Remote {
            address: address(&at, &remote.address)?,
            spiffe_id: at.spiffe_id(&remote.spiffe_id)?,
            namespace: remote.namespace.into(),
            name: remote.name.into(),
        });
    }
    Ok(remotes)
}

fn address(at: &Place, address: &str) -> Result<Box<str>, PolicyError> {
    let fits =
        |(host, port): (&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0);
    if address.rsplit_once(':').is_some_and(fits) {
        Ok(address.into())
    } else {
        Err(at.invalid("address", address, "host:port"))
    }
}

fn invalid(field: &'static str, value: &str, expected: &'static str) -> PolicyError {
    PolicyError::Invalid {
        at: "the snapshot".to_owned(),
        field,
        value: value.to_owned(),
        expected,
    }
}

fn hex_digest(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
