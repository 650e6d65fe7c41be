//! The template against the linter: what one writes the other accepts, and whatever differs in one field, or in one
//! byte, is refused.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod kit;

use featward_issue::{IssueError, Leaf, Linter, Template, prepare};
use kit::{Fields, NOW, PREFIX, Scene, a_leaf, an_spki, extension, oid, purpose, tlv, uri};
use proptest::prelude::*;

type Mutation = (&'static str, fn(&mut Fields));
type Order = (&'static str, fn(&mut Leaf));

/// Every field of a leaf, in each way in which it could be wrong.
const MUTATIONS: &[Mutation] = &[
    ("version 1", |f| f.version = vec![]),
    ("version 2", |f| f.version = vec![0xa0, 3, 2, 1, 1]),
    ("another serial", |f| f.serial = tlv(2, &[&[0x11; 16]])),
    ("a negative serial", |f| {
        f.serial.splice(..3, [2, 16]).for_each(drop)
    }),
    ("a weaker algorithm", |f| {
        f.algorithm = tlv(0x30, &[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1])])
    }),
    ("a stronger algorithm", |f| f.algorithm = kit::ecdsa(3)),
    ("parameters of the algorithm", |f| {
        f.algorithm = tlv(0x30, &[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]), &[5, 0]]);
    }),
    ("no issuer", |f| f.issuer = vec![0x30, 0]),
    ("an issuer with one letter changed", |f| {
        *f.issuer.last_mut().unwrap() ^= 1
    }),
    ("an earlier start", |f| {
        f.validity[0] = tlv(0x17, &[b"261121230000Z"])
    }),
    ("a later end", |f| f.validity[1] = tlv(0x17, &[b"261122010001Z"])),
    ("a start in the wrong form", |f| {
        f.validity[0] = tlv(0x18, &[b"20261122000000Z"])
    }),
    ("an end in the wrong form", |f| {
        f.validity[1] = tlv(0x18, &[b"20261122010000Z"])
    }),
    ("a time without seconds", |f| {
        f.validity[1] = tlv(0x17, &[b"2611220100Z"])
    }),
    ("a time with an offset", |f| {
        f.validity[1] = tlv(0x17, &[b"261122010000+0000"])
    }),
    ("ends swapped", |f| f.validity.swap(0, 1)),
    ("a subject", |f| {
        f.subject = tlv(
            0x30,
            &[&tlv(
                0x31,
                &[&tlv(0x30, &[&oid(&[0x55, 4, 3]), &tlv(0x0c, &[b"x"])])],
            )],
        );
    }),
    ("another key", |f| f.spki = an_spki()),
    ("a compressed key", |f| {
        f.spki = kit::spki_of(&[&[2][..], &f.spki[27..59]].concat())
    }),
    ("an issuer's unique identifier", |f| {
        f.unique = vec![0x81, 2, 0, 1]
    }),
    ("a subject's unique identifier", |f| {
        f.unique = vec![0x82, 2, 0, 1]
    }),
    ("no extensions", |f| f.extensions.clear()),
    ("an authority", |f| {
        f.put("constraints", extension(0x13, true, &tlv(0x30, &[&[1, 1, 0xff]])))
    }),
    ("a path length", |f| {
        f.put("constraints", extension(0x13, true, &tlv(0x30, &[&[2, 1, 0]])))
    }),
    ("cA FALSE written out", |f| {
        f.put("constraints", extension(0x13, true, &tlv(0x30, &[&[1, 1, 0]])))
    }),
    ("constraints that are not critical", |f| {
        f.put("constraints", extension(0x13, false, &[0x30, 0]))
    }),
    ("no constraints", |f| f.put("constraints", vec![])),
    ("a key usage that is not critical", |f| {
        f.put("usage", extension(0x0f, false, &[3, 2, 7, 0x80]))
    }),
    ("certificate signing", |f| {
        f.put("usage", extension(0x0f, true, &[3, 2, 2, 0x84]))
    }),
    ("key encipherment", |f| {
        f.put("usage", extension(0x0f, true, &[3, 2, 5, 0xa0]))
    }),
    ("decipher only", |f| {
        f.put("usage", extension(0x0f, true, &[3, 3, 7, 0x80, 0x80]))
    }),
    ("no bit of usage", |f| {
        f.put("usage", extension(0x0f, true, &[3, 1, 0]))
    }),
    ("usage with zero bits at its end", |f| {
        f.put("usage", extension(0x0f, true, &[3, 2, 0, 0x80]))
    }),
    ("no key usage", |f| f.put("usage", vec![])),
    ("another key's identifier", |f| {
        f.put("own key", extension(0x0e, false, &tlv(4, &[&[7; 20]])))
    }),
    ("a critical key identifier", |f| {
        let value = tlv(4, &[&kit::sha1(&f.spki[26..])]);
        f.put("own key", extension(0x0e, true, &value));
    }),
    ("no key identifier", |f| f.put("own key", vec![])),
    ("another authority's identifier", |f| {
        f.put(
            "authority key",
            extension(0x23, false, &tlv(0x30, &[&tlv(0x80, &[&[7; 20]])])),
        );
    }),
    ("no authority key identifier", |f| f.put("authority key", vec![])),
    ("an empty authority key identifier", |f| {
        f.put("authority key", extension(0x23, false, &[0x30, 0]))
    }),
    ("server use only", |f| {
        f.put("purposes", extension(0x25, false, &tlv(0x30, &[&purpose(1)])))
    }),
    ("client use only", |f| {
        f.put("purposes", extension(0x25, false, &tlv(0x30, &[&purpose(2)])))
    }),
    ("one more use", |f| {
        f.put(
            "purposes",
            extension(0x25, false, &tlv(0x30, &[&purpose(1), &purpose(2), &purpose(3)])),
        );
    }),
    ("one use twice", |f| {
        f.put(
            "purposes",
            extension(0x25, false, &tlv(0x30, &[&purpose(1), &purpose(2), &purpose(2)])),
        );
    }),
    ("critical uses", |f| {
        f.put(
            "purposes",
            extension(0x25, true, &tlv(0x30, &[&purpose(1), &purpose(2)])),
        );
    }),
    ("no extended use", |f| f.put("purposes", vec![])),
    ("a name that is not critical", |f| {
        let name = tlv(0x30, &[&uri(&a_leaf().spiffe_id)]);
        f.put("name", extension(0x11, false, &name));
    }),
    ("two URIs", |f| {
        let one = uri(&a_leaf().spiffe_id);
        f.put("name", extension(0x11, true, &tlv(0x30, &[&one, &one])));
    }),
    ("a DNS name too", |f| {
        let one = uri(&a_leaf().spiffe_id);
        f.put(
            "name",
            extension(0x11, true, &tlv(0x30, &[&one, &tlv(0x82, &[b"x.example"])])),
        );
    }),
    ("a DNS name only", |f| {
        f.put(
            "name",
            extension(0x11, true, &tlv(0x30, &[&tlv(0x82, &[b"x.example"])])),
        )
    }),
    ("no name in the extension", |f| {
        f.put("name", extension(0x11, true, &[0x30, 0]))
    }),
    ("no name", |f| f.put("name", vec![])),
    ("another workload", |f| {
        named(f, "spiffe://prod.acme.example/bu/payments/svc/pricing-api2")
    }),
    ("another trust domain", |f| {
        named(f, "spiffe://dev.acme.example/bu/payments/svc/pricing-api")
    }),
    ("another business unit", |f| {
        named(f, "spiffe://prod.acme.example/bu/risk/svc/pricing-api")
    }),
    ("another spelling", |f| {
        named(f, "SPIFFE://prod.acme.example/bu/payments/svc/pricing-api")
    }),
    ("no SPIFFE ID", |f| {
        named(f, "https://prod.acme.example/bu/payments/svc/pricing-api")
    }),
    ("one more extension", |f| {
        f.extensions.push(("more", extension(0x12, false, &[0x30, 0])))
    }),
    ("an extension twice", |f| {
        f.extensions.push(("more", extension(0x13, true, &[0x30, 0])))
    }),
    ("name constraints", |f| {
        f.extensions.push(("more", extension(0x1e, true, &[0x30, 0])))
    }),
];

fn named(fields: &mut Fields, text: &str) {
    fields.put("name", extension(0x11, true, &tlv(0x30, &[&uri(text)])));
}

#[test]
fn the_template_writes_what_the_standard_says() {
    let (scene, leaf) = (Scene::new(), a_leaf());
    let built = Template::of(&scene.issuer).unwrap().build(&leaf).unwrap();
    assert_eq!(built, Fields::of(&scene.issuer, &leaf).tbs());
}

#[test]
fn every_mutation_of_a_field_is_refused() {
    let (scene, leaf) = (Scene::new(), a_leaf());
    let linter = Linter::of(&scene.issuer, PREFIX).unwrap();
    let good = Fields::of(&scene.issuer, &leaf);
    linter.lint(good.tbs(), &leaf).unwrap();
    let mut passed = Vec::new();
    for (name, mutate) in MUTATIONS {
        let mut fields = good.clone();
        mutate(&mut fields);
        assert_ne!(fields.tbs(), good.tbs(), "{name} changes nothing");
        if linter.lint(fields.tbs(), &leaf).is_ok() {
            passed.push(name);
        }
    }
    assert!(passed.is_empty(), "{passed:?}");
}

#[test]
fn every_other_byte_anywhere_is_refused() {
    let (scene, leaf) = (Scene::new(), a_leaf());
    let linter = Linter::of(&scene.issuer, PREFIX).unwrap();
    let good = Template::of(&scene.issuer).unwrap().build(&leaf).unwrap();
    let mut passed = Vec::new();
    for at in 0..good.len() {
        for change in 1..=255 {
            let mut tbs = good.clone();
            tbs[at] ^= change;
            if linter.lint(tbs, &leaf).is_ok() {
                passed.push(format!("byte {at} changed by {change:02x}"));
            }
        }
    }
    assert!(passed.is_empty(), "{passed:?}");
}

#[test]
fn orders_that_no_authority_may_fill_are_refused() {
    let scene = Scene::new();
    let other_scope = |prefix: &str| prepare(&scene.issuer, prefix, &[a_leaf()]).unwrap_err();
    for prefix in [
        "",
        "/",
        "bu/payments/",
        "/bu/pay",
        "/bu/payments",
        "/bu/risk/",
        "/featward/",
    ] {
        if prefix != "/" {
            assert!(other_scope(prefix).to_string().contains("outside"), "{prefix:?}");
        }
    }
    let orders: [Order; 6] = [
        ("outlives", |leaf| leaf.not_after = 2_556_144_001),
        ("starts before", |leaf| leaf.not_before = 1_767_225_599),
        ("ends before", |leaf| leaf.not_after = leaf.not_before - 1),
        ("65 to 128 bits", |leaf| {
            leaf.serial = [
                0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            ]
        }),
        ("65 to 128 bits", |leaf| leaf.serial = [0; 16]),
        ("SPIFFE ID", |leaf| leaf.spiffe_id.push('/')),
    ];
    for (finding, change) in orders {
        let mut leaf = a_leaf();
        change(&mut leaf);
        let refused = prepare(&scene.issuer, PREFIX, &[leaf]).unwrap_err().to_string();
        assert!(refused.contains(finding), "{refused}");
    }
}

#[test]
fn an_authoritys_own_key_gets_no_leaf() {
    let scene = Scene::new();
    let mut leaf = a_leaf();
    leaf.spki = scene.key().spki().to_vec();
    let refused = prepare(&scene.issuer, PREFIX, &[leaf]).unwrap_err();
    assert!(refused.to_string().contains("authority's own"), "{refused}");
}

#[test]
fn a_leaf_signs_no_leaves() {
    let scene = Scene::new();
    let mut linted = prepare(&scene.issuer, PREFIX, &[a_leaf()]).unwrap();
    let leaf = scene.key().sign(linted.remove(0)).unwrap();
    assert!(matches!(
        prepare(&leaf, PREFIX, &[a_leaf()]),
        Err(IssueError::Issuer(_))
    ));
    assert!(matches!(prepare(b"", PREFIX, &[]), Err(IssueError::Issuer(_))));
}

#[test]
fn a_signature_is_made_by_the_authority_it_was_checked_for_alone() {
    let (scene, other) = (Scene::new(), Scene::new());
    let linted = prepare(&scene.issuer, PREFIX, &[a_leaf()]).unwrap().remove(0);
    assert_eq!(other.key().sign(linted), Err(IssueError::AnotherAuthority));
}

#[test]
fn a_signed_leaf_verifies_and_holds_the_linted_bytes() {
    let scene = Scene::new();
    let linted = prepare(&scene.issuer, PREFIX, &[a_leaf()]).unwrap().remove(0);
    let digest = *linted.tbs_sha256();
    let signed = scene.key().sign(linted).unwrap();
    let (_, certificate) = x509_parser::parse_x509_certificate(&signed).unwrap();
    let tbs = certificate.tbs_certificate.as_ref();
    let key = scene.key();
    aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1,
        &key.spki()[26..],
    )
    .verify(tbs, &certificate.signature_value.data)
    .unwrap();
    let again = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, tbs);
    assert_eq!(again.as_ref(), digest);
}

#[test]
fn a_key_that_is_no_p256_key_is_refused() {
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    for bytes in [&p384.serialize_der()[..], b"", b"\x30\x00"] {
        assert!(matches!(
            featward_issue::SigningKey::from_pkcs8(bytes),
            Err(IssueError::Key(_))
        ));
    }
}

#[test]
fn one_leaf_that_is_refused_refuses_its_batch_and_is_named() {
    let scene = Scene::new();
    let mut stray = a_leaf();
    stray.spiffe_id = "spiffe://prod.acme.example/bu/risk/svc/scoring".into();
    let refused = prepare(&scene.issuer, PREFIX, &[a_leaf(), stray]).unwrap_err();
    assert!(refused.to_string().contains("/bu/risk/svc/scoring"), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_template_writes_the_linter_accepts(
        path in "(/([a-zA-Z0-9_-][a-zA-Z0-9._-]{0,40})){1,12}",
        serial in any::<[u8; 16]>(),
        start in 1_767_225_600i64..2_550_000_000,
        life in 1i64..6_000_000,
    ) {
        prop_assume!(serial[..8] != [0; 8]);
        let scene = Scene::new();
        let leaf = Leaf {
            spiffe_id: format!("spiffe://prod.acme.example/bu/payments{path}"),
            serial,
            not_before: start,
            not_after: start + life,
            ..a_leaf()
        };
        let linted = prepare(&scene.issuer, PREFIX, std::slice::from_ref(&leaf)).unwrap().remove(0);
        scene.key().sign(linted).unwrap();
    }

    #[test]
    fn a_leaf_is_only_good_for_its_own_order(other in 0usize..5) {
        let (scene, leaf) = (Scene::new(), a_leaf());
        let tbs = Template::of(&scene.issuer).unwrap().build(&leaf).unwrap();
        let mut order = leaf;
        match other {
            0 => order.spki = an_spki(),
            1 => order.serial[15] ^= 1,
            2 => order.not_before = NOW - 1,
            3 => order.not_after += 1,
            _ => order.spiffe_id.push('x'),
        }
        prop_assert!(Linter::of(&scene.issuer, PREFIX).unwrap().lint(tbs, &order).is_err());
    }

    #[test]
    fn no_bytes_make_the_linter_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let scene = Scene::new();
        prop_assert!(Linter::of(&scene.issuer, PREFIX).unwrap().lint(bytes, &a_leaf()).is_err());
    }

    #[test]
    fn no_cut_or_insertion_passes(at in 0usize..400, inserted in proptest::collection::vec(any::<u8>(), 0..4), cut in 0usize..4) {
        let (scene, leaf) = (Scene::new(), a_leaf());
        let good = Template::of(&scene.issuer).unwrap().build(&leaf).unwrap();
        let at = at % good.len();
        let end = (at + cut).min(good.len());
        let mut tbs = good.clone();
        tbs.splice(at..end, inserted);
        prop_assume!(tbs != good);
        prop_assert!(Linter::of(&scene.issuer, PREFIX).unwrap().lint(tbs, &leaf).is_err());
    }
}
