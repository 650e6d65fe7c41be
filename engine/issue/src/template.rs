//! Writes the to-be-signed part of a leaf from an order. Makes no decisions and checks nothing: the linter does.
//!
//! What is the same for all leaves of one authority is encoded once and copied, so that a leaf costs little more
//! than copying four hundred bytes.

use aws_lc_rs::digest;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::der::{ECDSA_WITH_SHA256, P256_HEAD, element};
use crate::{IssueError, Leaf};

const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// `[0] { INTEGER 2 }`: X.509 version 3.
const VERSION_3: [u8; 5] = [0xa0, 0x03, 0x02, 0x01, 0x02];
const EMPTY_NAME: [u8; 2] = [SEQUENCE, 0];
/// `BOOLEAN TRUE`
const CRITICAL: [u8; 3] = [0x01, 0x01, 0xff];
const BASIC_CONSTRAINTS: [u8; 3] = [0x55, 0x1d, 0x13];
const KEY_USAGE: [u8; 3] = [0x55, 0x1d, 0x0f];
const SUBJECT_KEY_IDENTIFIER: [u8; 3] = [0x55, 0x1d, 0x0e];
const AUTHORITY_KEY_IDENTIFIER: [u8; 3] = [0x55, 0x1d, 0x23];
const EXTENDED_KEY_USAGE: [u8; 3] = [0x55, 0x1d, 0x25];
const SUBJECT_ALTERNATIVE_NAME: [u8; 3] = [0x55, 0x1d, 0x11];
/// `BIT STRING` with the first bit set: digitalSignature.
const DIGITAL_SIGNATURE: [u8; 4] = [0x03, 0x02, 0x07, 0x80];
const SERVER_AUTH: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const CLIENT_AUTH: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
const SECONDS_A_DAY: i64 = 86_400;

/// Builds the leaves of one authority.
#[derive(Clone, Debug)]
pub struct Template {
    /// Signature algorithm and issuer, as they stand between serial number and validity.
    issuer: Vec<u8>,
    /// Basic constraints, key usage and extended key usage hold the same in every leaf.
    constraints_and_usage: Vec<u8>,
    authority_key: Vec<u8>,
    extended_usage: Vec<u8>,
}

impl Template {
    /// A template for the authority with this certificate (DER).
    pub fn of(issuer: &[u8]) -> Result<Template, IssueError> {
        let (_, certificate) =
            X509Certificate::from_der(issuer).map_err(|error| IssueError::Issuer(error.to_string()))?;
        let key = sha1(&certificate.public_key().subject_public_key.data);
        let identifier = element(SEQUENCE, &[&element(0x80, &[&key])]);
        Ok(Template {
            issuer: [&ECDSA_WITH_SHA256, certificate.subject().as_raw()].concat(),
            constraints_and_usage: [
                extension(&BASIC_CONSTRAINTS, &CRITICAL, &element(SEQUENCE, &[])),
                extension(&KEY_USAGE, &CRITICAL, &DIGITAL_SIGNATURE),
            ]
            .concat(),
            authority_key: extension(&AUTHORITY_KEY_IDENTIFIER, &[], &identifier),
            extended_usage: extension(&EXTENDED_KEY_USAGE, &[], &both_usages()),
        })
    }

    /// The to-be-signed part of one leaf, DER.
    pub fn build(&self, leaf: &Leaf) -> Result<Vec<u8>, IssueError> {
        let validity = element(SEQUENCE, &[&time(leaf.not_before)?, &time(leaf.not_after)?]);
        Ok(element(
            SEQUENCE,
            &[
                &VERSION_3,
                &integer(&leaf.serial),
                &self.issuer,
                &validity,
                &EMPTY_NAME,
                &leaf.spki,
                &self.extensions(leaf)?,
            ],
        ))
    }

    fn extensions(&self, leaf: &Leaf) -> Result<Vec<u8>, IssueError> {
        let point = leaf
            .spki
            .strip_prefix(&P256_HEAD)
            .ok_or(IssueError::Order("its key is not on P-256"))?;
        let key = element(OCTET_STRING, &[&sha1(point)]);
        // RFC 5280 4.2.1.6: critical, because the subject is empty.
        let name = element(SEQUENCE, &[&element(0x86, &[leaf.spiffe_id.as_bytes()])]);
        let all = element(
            SEQUENCE,
            &[
                &self.constraints_and_usage,
                &extension(&SUBJECT_KEY_IDENTIFIER, &[], &key),
                &self.authority_key,
                &self.extended_usage,
                &extension(&SUBJECT_ALTERNATIVE_NAME, &CRITICAL, &name),
            ],
        );
        Ok(element(0xa3, &[&all]))
    }
}

fn both_usages() -> Vec<u8> {
    let server = element(OBJECT_IDENTIFIER, &[&SERVER_AUTH]);
    let client = element(OBJECT_IDENTIFIER, &[&CLIENT_AUTH]);
    element(SEQUENCE, &[&server, &client])
}

fn extension(oid: &[u8], critical: &[u8], value: &[u8]) -> Vec<u8> {
    element(
        SEQUENCE,
        &[
            &element(OBJECT_IDENTIFIER, &[oid]),
            critical,
            &element(OCTET_STRING, &[value]),
        ],
    )
}

/// RFC 5280 4.2.1.2, method 1; the digest names a key and secures nothing.
fn sha1(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes)
        .as_ref()
        .to_vec()
}

/// A positive INTEGER: no zero bytes in front, but one where the first bit is set (X.690 8.3).
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let rest = &bytes[zeros..];
    let pad: &[u8] = if rest.first().is_none_or(|byte| byte & 0x80 != 0) {
        &[0]
    } else {
        &[]
    };
    element(0x02, &[pad, rest])
}

/// RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime after it.
fn time(seconds: i64) -> Result<Vec<u8>, IssueError> {
    let (year, month, day) = date(seconds.div_euclid(SECONDS_A_DAY));
    let second = seconds.rem_euclid(SECONDS_A_DAY);
    let (hours, minutes, seconds) = (second / 3600, second / 60 % 60, second % 60);
    let rest = format!("{month:02}{day:02}{hours:02}{minutes:02}{seconds:02}Z");
    match year {
        1950..=2049 => Ok(element(0x17, &[format!("{:02}{rest}", year % 100).as_bytes()])),
        2050..=9999 => Ok(element(0x18, &[format!("{year:04}{rest}").as_bytes()])),
        _ => Err(IssueError::Order(
            "a certificate begins and ends between 1950 and 9999",
        )),
    }
}

/// The Gregorian date of a day counted from 1970-01-01. Counts eras of 400 years from a 1 March, so that the leap
/// day is the last of its year.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (400 * era + year_of_era + i64::from(month <= 2), month, day)
}
