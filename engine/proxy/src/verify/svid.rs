//! The X.509-SVID rules for a leaf, and the facts read from it. rustls-webpki judges signatures, times and the
//! constraints of authorities; what makes a certificate a SPIFFE identity is checked here, because webpki looks
//! at neither the leaf's key usage nor how many URIs its subject alternative name holds.

use featward_policy::SpiffeId;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::{Cause, IdentityError};
use crate::hex;

/// What a leaf says, after it was found to follow the X.509-SVID rules. Nothing here is proven until the chain is.
#[derive(Clone, Debug)]
pub(crate) struct Svid {
    pub(crate) id: SpiffeId,
    pub(crate) serial: String,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) spki: Vec<u8>,
}

impl Svid {
    /// Read a leaf and refuse it unless it follows every rule.
    pub(crate) fn parse(leaf: &CertificateDer<'_>) -> Result<Svid, IdentityError> {
        let certificate = read(leaf)?;
        let id = only_uri(&certificate)?;
        check_constraints(&certificate)?;
        check_key_usage(&certificate)?;
        check_extended_key_usage(&certificate)?;
        Ok(Svid {
            id,
            serial: hex::encode(without_padding(certificate.raw_serial())),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            spki: certificate.public_key().raw.to_vec(),
        })
    }
}

/// Read one certificate and nothing after it.
pub(crate) fn read<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, IdentityError> {
    match X509Certificate::from_der(der.as_ref()) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(bad("something follows the certificate")),
        Err(error) => Err(bad(format!("the certificate cannot be read: {error}"))),
    }
}

/// X509-SVID sections 2 and 3.1: exactly one URI, which names a workload; critical where the subject is empty.
fn only_uri(certificate: &X509Certificate<'_>) -> Result<SpiffeId, IdentityError> {
    let Some(names) = certificate.subject_alternative_name().map_err(unreadable)? else {
        return Err(bad(
            "the certificate has no subject alternative name, expected one with a SPIFFE ID",
        ));
    };
    if !names.critical && certificate.subject().iter().next().is_none() {
        return Err(bad(
            "the subject is empty, so the subject alternative name must be critical",
        ));
    }
    if names
        .value
        .general_names
        .iter()
        .any(|name| matches!(name, GeneralName::Invalid(..)))
    {
        return Err(bad(
            "the subject alternative name holds a name that cannot be read",
        ));
    }
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let (Some(uri), None) = (uris.next(), uris.next()) else {
        return Err(bad("the subject alternative name must hold exactly one URI"));
    };
    SpiffeId::parse(uri).map_err(|error| bad(error.to_string()))
}

/// X509-SVID section 4.1: a leaf signs nothing.
fn check_constraints(certificate: &X509Certificate<'_>) -> Result<(), IdentityError> {
    match certificate.basic_constraints().map_err(unreadable)? {
        Some(constraints) if constraints.value.ca => Err(bad("the leaf is marked as an authority (cA)")),
        _ => Ok(()),
    }
}

/// X509-SVID section 4.3: present, critical, digitalSignature, and no right to sign certificates or CRLs.
fn check_key_usage(certificate: &X509Certificate<'_>) -> Result<(), IdentityError> {
    let Some(usage) = certificate.key_usage().map_err(unreadable)? else {
        return Err(bad(
            "the leaf has no key usage, expected a critical one with digitalSignature",
        ));
    };
    if !usage.critical {
        return Err(bad("the leaf's key usage is not critical"));
    }
    if !usage.value.digital_signature() {
        return Err(bad("the leaf's key usage lacks digitalSignature"));
    }
    if usage.value.key_cert_sign() || usage.value.crl_sign() {
        return Err(bad(
            "the leaf's key usage has keyCertSign or cRLSign, which only authorities have",
        ));
    }
    Ok(())
}

/// X509-SVID section 4.4: both purposes, or the extension is absent.
fn check_extended_key_usage(certificate: &X509Certificate<'_>) -> Result<(), IdentityError> {
    match certificate.extended_key_usage().map_err(unreadable)? {
        Some(usage) if !(usage.value.server_auth && usage.value.client_auth) => Err(bad(
            "the leaf's extended key usage must hold both serverAuth and clientAuth",
        )),
        _ => Ok(()),
    }
}

fn bad(detail: impl Into<String>) -> IdentityError {
    IdentityError::new(Cause::BadSvid, detail)
}

fn unreadable(error: x509_parser::error::X509Error) -> IdentityError {
    bad(format!("an extension of the certificate cannot be read: {error}"))
}

/// DER pads a positive integer with a zero byte where its first bit is set; a serial is written without it.
fn without_padding(serial: &[u8]) -> &[u8] {
    match serial {
        [0, rest @ ..] if !rest.is_empty() => rest,
        _ => serial,
    }
}
