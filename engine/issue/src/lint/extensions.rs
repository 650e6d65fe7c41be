//! The extensions of a leaf: exactly those of an X.509-SVID, each with the one value that it may have.

use aws_lc_rs::digest;
use featward_policy::SpiffeId;
use x509_parser::certificate::TbsCertificate;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};

use super::Findings;
use super::authority::Authority;
use super::strict::{END, outline};
use crate::Leaf;

/// What an extension must be: the content of its object identifier, whether it is critical, and the outline of its
/// value.
type Expected = (&'static [u8], bool, &'static [u8]);

/// RFC 5280 4.2.1.1, 4.2.1.2: key identifiers are not critical; X509-SVID 4.3: key usage is; RFC 5280 4.2.1.6: the
/// name is where the subject is empty.
const EXPECTED: [Expected; 6] = [
    (&[0x55, 0x1d, 14], false, &[0x04]),
    (&[0x55, 0x1d, 15], true, &[0x03]),
    (&[0x55, 0x1d, 17], true, &[0x30, 0x86, END]),
    (&[0x55, 0x1d, 19], true, &[0x30, END]),
    (&[0x55, 0x1d, 35], false, &[0x30, 0x80, END]),
    (&[0x55, 0x1d, 37], false, &[0x30, 0x06, 0x06, END]),
];
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

pub(super) fn look(
    read: &TbsCertificate<'_>,
    leaf: &Leaf,
    authority: &Authority,
    prefix: &str,
    findings: &mut Findings,
) {
    let all = read.extensions();
    let is_there = |(oid, critical, _): &Expected| {
        all.iter()
            .filter(|found| found.oid.as_bytes() == *oid && found.critical == *critical)
            .count()
            == 1
    };
    if all.len() != EXPECTED.len() || !EXPECTED.iter().all(is_there) {
        findings.add("its extensions, or which of them are critical, are not those of an SVID");
    }
    for extension in all {
        findings.unless(
            has_its_outline(extension),
            "an extension has not the form of an SVID's",
        );
        one(extension, read, authority, findings);
        if let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() {
            identity(&names.general_names, leaf, prefix, findings);
        }
    }
}

fn has_its_outline(extension: &X509Extension<'_>) -> bool {
    let expected = EXPECTED.iter().find(|(oid, ..)| extension.oid.as_bytes() == *oid);
    expected.is_some_and(|(_, _, tags)| outline(extension.value).as_deref() == Some(*tags))
}

fn one(
    extension: &X509Extension<'_>,
    read: &TbsCertificate<'_>,
    authority: &Authority,
    findings: &mut Findings,
) {
    match extension.parsed_extension() {
        ParsedExtension::BasicConstraints(constraints) => findings.unless(
            !constraints.ca && constraints.path_len_constraint.is_none(),
            "its basic constraints are not those of a leaf",
        ),
        // X509-SVID 4.3. Named bits are written without trailing zeros (X.690 11.2.2), which the flags don't show.
        ParsedExtension::KeyUsage(_) => findings.unless(
            extension.value == [0x03, 0x02, 0x07, 0x80],
            "its key usage is not digitalSignature alone",
        ),
        ParsedExtension::ExtendedKeyUsage(_) => findings.unless(
            is_both_usages(extension),
            "its extended key usage is not serverAuth and clientAuth",
        ),
        ParsedExtension::SubjectKeyIdentifier(identifier) => findings.unless(
            identifier.0 == sha1(&read.public_key().subject_public_key.data),
            "its subject key identifier is not its key's",
        ),
        ParsedExtension::AuthorityKeyIdentifier(identifier) => findings.unless(
            identifier.key_identifier.as_ref().map(|key| key.0) == Some(authority.key.as_slice())
                && identifier.authority_cert_issuer.is_none()
                && identifier.authority_cert_serial.is_none(),
            "its authority key identifier is not its issuer's",
        ),
        ParsedExtension::SubjectAlternativeName(_) => {}
        _ => findings.add("an extension can't be read, or is not an SVID's"),
    }
}

/// X509-SVID 4.4: serverAuth and clientAuth, each once and nothing else, in whichever order.
fn is_both_usages(extension: &X509Extension<'_>) -> bool {
    let ParsedExtension::ExtendedKeyUsage(usage) = extension.parsed_extension() else {
        return false;
    };
    // What stands behind the flags is looked at too: x509-parser's object identifiers may have more than one form.
    let is_written = |oid: &[u8]| extension.value.windows(oid.len()).any(|bytes| bytes == oid);
    usage.server_auth && usage.client_auth && is_written(SERVER_AUTH) && is_written(CLIENT_AUTH)
}

/// X509-SVID 2 and 3.1: one name, a SPIFFE ID with a path; ours, the attested one, in its authority's scope.
fn identity(names: &[GeneralName<'_>], leaf: &Leaf, prefix: &str, findings: &mut Findings) {
    let [GeneralName::URI(uri)] = names else {
        findings.add("it has not exactly one name, a URI");
        return;
    };
    match SpiffeId::parse(uri) {
        Ok(id) => {
            findings.unless(
                id.as_str() == leaf.spiffe_id,
                "its SPIFFE ID is not the attested one",
            );
            if !(prefix.starts_with('/') && prefix.ends_with('/') && id.path().starts_with(prefix)) {
                findings.add(format!(
                    "its SPIFFE path is outside of what the authority may sign ({prefix})"
                ));
            }
        }
        Err(error) => findings.add(format!("its name is no SPIFFE ID ({error})")),
    }
}

fn sha1(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes)
        .as_ref()
        .to_vec()
}
