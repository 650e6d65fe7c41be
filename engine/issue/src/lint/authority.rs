//! What the checker takes from an authority's certificate, after it has found that it is one.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The facts about an authority that its leaves are held against.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    /// Its subject, DER.
    pub(super) subject: Vec<u8>,
    pub(super) spki: Vec<u8>,
    /// Its subject key identifier.
    pub(super) key: Vec<u8>,
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

impl Authority {
    pub(super) fn read(issuer: &[u8]) -> Result<Authority, &'static str> {
        let Ok(([], certificate)) = X509Certificate::from_der(issuer) else {
            return Err("it can't be read");
        };
        may_sign_leaves(&certificate)?;
        Ok(Authority {
            subject: certificate.subject().as_raw().to_vec(),
            spki: certificate.public_key().raw.to_vec(),
            key: key_identifier(&certificate)
                .ok_or("it has no subject key identifier")?
                .to_vec(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }
}

/// RFC 5280 4.2.1.9 and 4.2.1.3.
fn may_sign_leaves(certificate: &X509Certificate<'_>) -> Result<(), &'static str> {
    if !matches!(certificate.basic_constraints(), Ok(Some(constraints)) if constraints.value.ca) {
        return Err("it is not marked as an authority (cA)");
    }
    if !matches!(certificate.key_usage(), Ok(Some(usage)) if usage.value.key_cert_sign()) {
        return Err("its key usage lacks keyCertSign");
    }
    if !on_p256(certificate.public_key()) {
        return Err("its key is not on P-256");
    }
    Ok(())
}

fn key_identifier<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0),
            _ => None,
        })
}

/// RFC 5480 2: id-ecPublicKey with the named curve secp256r1, and an uncompressed point.
pub(super) fn on_p256(key: &SubjectPublicKeyInfo<'_>) -> bool {
    let curve = key
        .algorithm
        .parameters
        .as_ref()
        .and_then(|curve| curve.as_oid().ok());
    key.algorithm.algorithm.to_id_string() == "1.2.840.10045.2.1"
        && curve.is_some_and(|curve| curve.to_id_string() == "1.2.840.10045.3.1.7")
        && key.subject_public_key.unused_bits == 0
        && matches!(key.subject_public_key.data.as_ref(), [0x04, rest @ ..] if rest.len() == 64)
}
