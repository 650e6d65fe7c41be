//! Requests: the key of a good one is taken, and nothing makes a bad one pass or the reader panic.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod kit;

use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use featward_issue::RequestError;
use featward_issue::request::{LONGEST, public_key};
use kit::{a_pair, a_request, ecdsa, spki_of, tlv};
use proptest::prelude::*;

#[test]
fn the_key_of_a_request_is_taken_and_nothing_else() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["evil.example".into()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "root");
    let csr = params.serialize_request(&key).unwrap();
    assert_eq!(
        public_key(csr.der()),
        Ok(rcgen::PublicKeyData::subject_public_key_info(&key))
    );
}

#[test]
fn a_request_without_anything_but_a_key_is_enough() {
    let pair = a_pair();
    let spki = spki_of(pair.public_key().as_ref());
    assert_eq!(public_key(&a_request(&spki, &pair, &ecdsa(2))), Ok(spki));
}

#[test]
fn sizes_are_bounded_before_anything_is_read() {
    assert_eq!(public_key(&[]), Err(RequestError::Size(0)));
    assert_eq!(public_key(&[0; LONGEST]), Err(RequestError::Unreadable));
    assert_eq!(
        public_key(&vec![0x30; LONGEST + 1]),
        Err(RequestError::Size(LONGEST + 1))
    );
}

#[test]
fn something_after_a_request_is_refused() {
    let pair = a_pair();
    let mut csr = a_request(&spki_of(pair.public_key().as_ref()), &pair, &ecdsa(2));
    csr.push(0);
    assert_eq!(public_key(&csr), Err(RequestError::Unreadable));
}

#[test]
fn a_key_that_everybody_holds_is_refused() {
    let pair = a_pair();
    let base_x = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
    let base_y = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let negative_y = "b01cbd1c01e58065711814b583f061e9d431cca994cea1313449bf97c840ae0a";
    for y in [base_y, negative_y] {
        let point = [&[4][..], &unhex(base_x), &unhex(y)].concat();
        let csr = a_request(&spki_of(&point), &pair, &ecdsa(2));
        assert_eq!(public_key(&csr), Err(RequestError::KnownKey));
    }
}

#[test]
fn other_kinds_of_key_are_refused() {
    let pair = a_pair();
    let point = pair.public_key().as_ref().to_vec();
    let compressed = [&[2 + (point[64] & 1)][..], &point[1..33]].concat();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let rsa = tlv(
        0x30,
        &[&kit::oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]), &[5, 0]],
    );
    let mut trailing = spki_of(&point);
    trailing[1] += 1;
    trailing.push(0);
    for spki in [
        spki_of(&compressed),
        spki_of(&[0]),
        spki_of(p384.public_key().as_ref()),
        tlv(0x30, &[&rsa, &tlv(3, &[&[0], &[0x30, 6, 2, 1, 9, 2, 1, 3]])]),
        trailing,
    ] {
        let csr = a_request(&spki, &pair, &ecdsa(2));
        let refused = public_key(&csr).unwrap_err();
        assert!(
            matches!(refused, RequestError::Key | RequestError::Unreadable),
            "{refused:?}"
        );
    }
}

#[test]
fn a_point_off_the_curve_is_refused() {
    let pair = a_pair();
    let mut point = pair.public_key().as_ref().to_vec();
    point[64] ^= 1;
    let csr = a_request(&spki_of(&point), &pair, &ecdsa(2));
    assert_eq!(public_key(&csr), Err(RequestError::Signature));
}

#[test]
fn a_signature_by_another_key_or_with_another_digest_is_refused() {
    let (pair, other) = (a_pair(), a_pair());
    let spki = spki_of(pair.public_key().as_ref());
    let with_null = tlv(
        0x30,
        &[&kit::oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]), &[5, 0]],
    );
    let sha1 = tlv(0x30, &[&kit::oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1])]);
    for csr in [
        a_request(&spki, &other, &ecdsa(2)),
        a_request(&spki, &pair, &ecdsa(3)),
        a_request(&spki, &pair, &with_null),
        a_request(&spki, &pair, &sha1),
    ] {
        assert_eq!(public_key(&csr), Err(RequestError::Signature));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = public_key(&bytes);
    }

    #[test]
    fn a_damaged_request_never_gives_another_key(at in 0usize..200, with in any::<u8>()) {
        let pair = a_pair();
        let spki = spki_of(pair.public_key().as_ref());
        let mut csr = a_request(&spki, &pair, &ecdsa(2));
        let at = at % csr.len();
        csr[at] = with;
        if let Ok(read) = public_key(&csr) {
            prop_assert_eq!(read, spki);
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
