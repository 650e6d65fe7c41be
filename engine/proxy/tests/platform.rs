//! A workload that was away for long, before a CA whose newest authority it never heard of.

#![allow(clippy::unwrap_used, reason = "panicking is how a test fails")]

mod chains;

use std::time::Duration;

use chains::{Authority, CA, DOMAIN, World};
use featward_policy::SpiffeId;
use featward_proxy::credentials::{Ban, Credentials, NewTrust};
use featward_proxy::peer::{PeerWatch, Verdict};
use featward_proxy::tls::{
    Acceptor, Anchor, ClientCertificate, ConnectError, Connected, Connector, Expect, GRPC,
};
use featward_proxy::verify::Cause;
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

/// A CA with this identity, signed by this authority; it trusts itself.
fn ca(world: &World, authority: &Authority, id: &str) -> Credentials {
    let credentials = Credentials::new(DOMAIN).unwrap();
    world.trust(&credentials, 1);
    authority.identify(&credentials, id, |_| {});
    credentials
}

async fn dial(
    client: &Credentials,
    by: Anchor,
    server: &Credentials,
) -> Result<Connected<DuplexStream>, ConnectError> {
    let expect = Expect {
        identity: SpiffeId::parse(CA).unwrap(),
        by,
    };
    let connector = Connector::new(client, expect, false, GRPC);
    let acceptor = Acceptor::new(server, ClientCertificate::Optional, GRPC);
    let (near, far) = duplex(64 * 1024);
    tokio::join!(acceptor.accept(near), connector.connect(far)).1
}

async fn cause(client: &Credentials, server: &Credentials) -> Option<Cause> {
    match dial(client, Anchor::PlatformByRoot, server).await {
        Ok(_) => None,
        Err(ConnectError::NotTrusted(error)) => Some(error.cause),
        Err(error) => panic!("{error}"),
    }
}

/// Why a live connection is cut, which takes no second.
async fn cut(watch: &mut PeerWatch) -> Cause {
    match timeout(Duration::from_secs(1), watch.next()).await {
        Ok(Verdict::Cut(error)) => error.cause,
        other => panic!("expected a cut, got {other:?}"),
    }
}

#[tokio::test]
async fn a_ca_whose_authority_is_not_in_the_table_yet_is_found_by_the_root() {
    let world = World::new();
    let newest = world.root.intermediate("platform");
    let server = ca(&world, &newest, CA);
    let by_table = dial(&world.credentials, Anchor::Trust, &server).await;
    assert!(matches!(by_table, Err(ConnectError::NotTrusted(error)) if error.cause == Cause::OutOfScope));
    assert_eq!(cause(&world.credentials, &server).await, None);
}

#[tokio::test]
async fn nobody_else_gets_in_by_the_root() {
    let world = World::new();
    let client = &world.credentials;
    assert_eq!(
        cause(client, &ca(&world, &world.payments, CA)).await,
        Some(Cause::OutOfScope)
    );
    let stranger = Authority::root(DOMAIN).intermediate("platform");
    assert_eq!(
        cause(client, &ca(&world, &stranger, CA)).await,
        Some(Cause::UnknownAuthority)
    );
    let other = "spiffe://prod.acme.example/featward/operator";
    assert_eq!(
        cause(client, &ca(&world, &world.platform, other)).await,
        Some(Cause::WrongIdentity)
    );
    let nothing = Credentials::new(DOMAIN).unwrap();
    assert_eq!(
        cause(&nothing, &ca(&world, &world.platform, CA)).await,
        Some(Cause::NoTrust)
    );
}

#[tokio::test]
async fn a_foreign_root_makes_no_platform_of_ours() {
    let world = World::new();
    let theirs = Authority::root("partner.example");
    let new = NewTrust {
        foreign: vec![("partner.example".into(), vec![theirs.der.clone()])],
        ..NewTrust::new(vec![world.root.der.clone()], world.scopes(), 2)
    };
    world.credentials.set_trust(new).unwrap();
    let server = ca(&world, &theirs.intermediate("platform"), CA);
    assert_eq!(
        cause(&world.credentials, &server).await,
        Some(Cause::UnknownAuthority)
    );
}

#[tokio::test]
async fn a_ban_ends_a_connection_to_the_platform_and_other_changes_do_not() {
    let world = World::new();
    let server = ca(&world, &world.platform, CA);
    let connected = dial(&world.credentials, Anchor::PlatformByRoot, &server)
        .await
        .unwrap();
    let mut watch = PeerWatch::new(&world.credentials, &connected.peer);
    let roots = || vec![world.root.der.clone()];
    // An empty table is a change of trust that the platform does not depend on.
    world
        .credentials
        .set_trust(NewTrust::new(roots(), vec![], 2))
        .unwrap();
    let still = timeout(Duration::from_millis(50), watch.next()).await;
    assert!(still.is_err());
    let new = NewTrust {
        bans: vec![Ban::read("identity", CA, 0).unwrap()],
        ..NewTrust::new(roots(), vec![], 3)
    };
    world.credentials.set_trust(new).unwrap();
    assert_eq!(cut(&mut watch).await, Cause::Banned);
    assert_eq!(cause(&world.credentials, &server).await, Some(Cause::Banned));
}

#[tokio::test]
async fn first_contact_heeds_the_bans_that_are_known() {
    let world = World::new();
    let client = Credentials::new(DOMAIN).unwrap();
    let server = ca(&world, &world.platform, CA);
    let digest: [u8; 32] = chains::sha256(&world.root.der).try_into().unwrap();
    let by_root = || async {
        let expect = Expect {
            identity: SpiffeId::parse(CA).unwrap(),
            by: Anchor::Root(digest),
        };
        let connector = Connector::new(&client, expect, false, GRPC);
        let acceptor = Acceptor::new(&server, ClientCertificate::Optional, GRPC).send_root(true);
        let (near, far) = duplex(64 * 1024);
        tokio::join!(acceptor.accept(near), connector.connect(far)).1
    };
    let connected = by_root().await.unwrap();
    let mut watch = PeerWatch::new(&client, &connected.peer);
    let new = NewTrust {
        bans: vec![Ban::read("identity", CA, 0).unwrap()],
        ..NewTrust::new(vec![world.root.der.clone()], world.scopes(), 2)
    };
    client.set_trust(new).unwrap();
    assert_eq!(cut(&mut watch).await, Cause::Banned);
    assert!(matches!(by_root().await, Err(ConnectError::NotTrusted(error)) if error.cause == Cause::Banned));
}
