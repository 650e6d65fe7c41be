//! Handshakes between two of our own ends: who gets through, and what each end is told.

#![allow(clippy::unwrap_used, reason = "panicking is how a test fails")]

mod chains;

use chains::{Authority, CA, DOMAIN, PRICING, SCORING, World, live, sha256};
use featward_policy::SpiffeId;
use featward_proxy::credentials::{Credentials, NewTrust};
use featward_proxy::peer::{PeerWatch, Verdict};
use featward_proxy::tls::{
    Accepted, Acceptor, Anchor, ClientCertificate, ConnectError, Connected, Connector, Expect, GRPC, HTTP,
    HandshakeError, Http,
};
use featward_proxy::verify::Cause;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

type Ends = (
    Result<Accepted<DuplexStream>, HandshakeError>,
    Result<Connected<DuplexStream>, ConnectError>,
);

async fn handshake(acceptor: &Acceptor, connector: &Connector) -> Ends {
    let (server, client) = duplex(64 * 1024);
    tokio::join!(acceptor.accept(server), connector.connect(client))
}

fn required(credentials: &Credentials) -> Acceptor {
    Acceptor::new(credentials, ClientCertificate::Required, GRPC)
}

fn to(credentials: &Credentials, id: &str) -> Connector {
    Connector::new(credentials, expect(id), true, GRPC)
}

fn expect(id: &str) -> Expect {
    Expect {
        identity: SpiffeId::parse(id).unwrap(),
        by: Anchor::Trust,
    }
}

fn first_contact(root: &Authority) -> Connector {
    let digest: [u8; 32] = sha256(&root.der).try_into().unwrap();
    let expect = Expect {
        by: Anchor::Root(digest),
        ..expect(CA)
    };
    Connector::new(&Credentials::new(DOMAIN).unwrap(), expect, false, GRPC)
}

fn refused<IO: std::fmt::Debug>(outcome: Result<Accepted<IO>, HandshakeError>) -> Cause {
    match outcome {
        Err(HandshakeError::Refused(error)) => error.cause,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn distrusted<IO: std::fmt::Debug>(outcome: Result<Connected<IO>, ConnectError>) -> Cause {
    match outcome {
        Err(ConnectError::NotTrusted(error)) => error.cause,
        other => panic!("expected distrust, got {other:?}"),
    }
}

#[tokio::test]
async fn both_ends_learn_who_the_other_is_over_a_post_quantum_exchange() {
    let world = World::new();
    let server = world.process(&world.risk, SCORING);
    let client = world.process(&world.payments, PRICING);
    let (accepted, connected) = handshake(&required(&server), &to(&client, SCORING)).await;
    let (accepted, connected) = (accepted.unwrap(), connected.unwrap());
    assert_eq!(accepted.peer.unwrap().id().as_str(), PRICING);
    assert_eq!(connected.peer.id().as_str(), SCORING);
    assert_eq!(connected.http, Some(Http::Two));
    let tls = connected.stream.get_ref().1;
    assert_eq!(tls.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(
        tls.negotiated_key_exchange_group().unwrap().name(),
        rustls::NamedGroup::X25519MLKEM768
    );
}

#[tokio::test]
async fn a_second_connection_resumes_nothing() {
    let world = World::new();
    let server = required(&world.process(&world.risk, SCORING));
    let client = to(&world.process(&world.payments, PRICING), SCORING);
    for _ in 0..2 {
        let (accepted, connected) = handshake(&server, &client).await;
        let (mut accepted, mut connected) = (accepted.unwrap().stream, connected.unwrap().stream);
        accepted.write_all(b"x").await.unwrap();
        accepted.flush().await.unwrap();
        connected.read_u8().await.unwrap();
        let tls = connected.get_ref().1;
        assert_eq!(tls.tls13_tickets_received(), 0);
        assert_ne!(tls.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    }
}

#[tokio::test]
async fn a_client_without_certificate_is_refused_where_one_is_required() {
    let world = World::new();
    let server = world.process(&world.risk, SCORING);
    let nobody = Connector::new(&world.credentials, expect(SCORING), false, GRPC);
    let (accepted, _) = handshake(&required(&server), &nobody).await;
    assert_eq!(refused(accepted), Cause::NoCertificate);
}

#[tokio::test]
async fn an_optional_certificate_may_be_absent_but_not_bad() {
    let world = World::new();
    let server = Acceptor::new(
        &world.process(&world.platform, CA),
        ClientCertificate::Optional,
        GRPC,
    );
    let nobody = Connector::new(&world.credentials, expect(CA), false, GRPC);
    assert!(handshake(&server, &nobody).await.0.unwrap().peer.is_none());
    let stolen = Credentials::new(DOMAIN).unwrap();
    world.trust(&stolen, 1);
    world.payments.identify(&stolen, SCORING, |_| {});
    assert_eq!(
        refused(handshake(&server, &to(&stolen, CA)).await.0),
        Cause::OutOfScope
    );
}

#[tokio::test]
async fn a_server_with_another_identity_is_not_trusted() {
    let world = World::new();
    let server = world.process(&world.payments, PRICING);
    let client = world.process(&world.payments, PRICING);
    let (_, connected) = handshake(&required(&server), &to(&client, SCORING)).await;
    assert_eq!(distrusted(connected), Cause::WrongIdentity);
}

#[tokio::test]
async fn an_expired_client_is_refused_or_within_the_grace_marked() {
    let world = World::new();
    let server = world.process(&world.platform, CA);
    let client = Credentials::new(DOMAIN).unwrap();
    world.trust(&client, 1);
    world
        .payments
        .identify(&client, PRICING, |params| live(params, -3600, -60));
    assert_eq!(
        refused(handshake(&required(&server), &to(&client, CA)).await.0),
        Cause::Expired
    );
    let lenient = required(&server).expired_grace(3600);
    assert!(
        handshake(&lenient, &to(&client, CA))
            .await
            .0
            .unwrap()
            .peer
            .unwrap()
            .expired()
    );
}

#[tokio::test]
async fn an_expired_server_is_never_trusted() {
    let world = World::new();
    let server = Credentials::new(DOMAIN).unwrap();
    world.trust(&server, 1);
    world
        .platform
        .identify(&server, CA, |params| live(params, -3600, -60));
    let client = world.process(&world.payments, PRICING);
    assert_eq!(
        distrusted(handshake(&required(&server), &to(&client, CA)).await.1),
        Cause::Expired
    );
}

#[tokio::test]
async fn a_new_identity_is_used_by_the_next_handshake() {
    let world = World::new();
    let server = world.process(&world.risk, SCORING);
    let client = world.process(&world.payments, PRICING);
    let (acceptor, connector) = (required(&server), to(&client, SCORING));
    let first = handshake(&acceptor, &connector).await;
    world.payments.identify(&client, PRICING, |_| {});
    world.risk.identify(&server, SCORING, |_| {});
    let second = handshake(&acceptor, &connector).await;
    let serials = |ends: Ends| {
        (
            ends.0.unwrap().peer.unwrap().serial().to_owned(),
            ends.1.unwrap().peer.serial().to_owned(),
        )
    };
    let ((client_1, server_1), (client_2, server_2)) = (serials(first), serials(second));
    assert_ne!(client_1, client_2);
    assert_ne!(server_1, server_2);
}

#[tokio::test]
async fn first_contact_finds_the_platform_below_the_root_of_the_digest() {
    let world = World::new();
    let server = Acceptor::new(
        &world.process(&world.platform, CA),
        ClientCertificate::Optional,
        GRPC,
    )
    .send_root(true);
    let (_, connected) = handshake(&server, &first_contact(&world.root)).await;
    assert_eq!(connected.unwrap().peer.id().as_str(), CA);
}

#[tokio::test]
async fn first_contact_refuses_an_impostor_with_a_stolen_business_unit_authority() {
    let world = World::new();
    let impostor = Credentials::new(DOMAIN).unwrap();
    // The impostor trusts itself, so that its chain ends with the true root.
    let scopes = vec![(world.payments.spki_sha256(), "/featward/".to_owned())];
    impostor
        .set_trust(NewTrust::new(vec![world.root.der.clone()], scopes, 1))
        .unwrap();
    world.payments.identify(&impostor, CA, |_| {});
    let server = Acceptor::new(&impostor, ClientCertificate::Optional, GRPC).send_root(true);
    assert_eq!(
        distrusted(handshake(&server, &first_contact(&world.root)).await.1),
        Cause::OutOfScope
    );
}

#[tokio::test]
async fn first_contact_refuses_a_platform_authority_below_a_stolen_one() {
    let world = World::new();
    let impostor = Credentials::new(DOMAIN).unwrap();
    let below = world.payments.intermediate("platform");
    let pending = impostor.new_identity().unwrap();
    let leaf = below.leaf(CA, &chains::requested_key(&pending), |_| {});
    let chain = vec![
        leaf,
        below.der.clone(),
        world.payments.der.clone(),
        world.root.der.clone(),
    ];
    impostor.set_identity(&pending, chain).unwrap();
    let server = Acceptor::new(&impostor, ClientCertificate::Optional, GRPC);
    assert!(matches!(
        handshake(&server, &first_contact(&world.root)).await.1,
        Err(ConnectError::NotTrusted(_))
    ));
}

#[tokio::test]
async fn first_contact_refuses_another_root_and_a_root_that_is_not_sent() {
    let world = World::new();
    let server = world.process(&world.platform, CA);
    let silent = Acceptor::new(&server, ClientCertificate::Optional, GRPC);
    assert_eq!(
        distrusted(handshake(&silent, &first_contact(&world.root)).await.1),
        Cause::UnknownAuthority
    );
    let open = silent.send_root(true);
    let other = first_contact(&Authority::root(DOMAIN));
    assert_eq!(
        distrusted(handshake(&open, &other).await.1),
        Cause::UnknownAuthority
    );
}

#[tokio::test]
async fn without_an_identity_neither_end_starts() {
    let world = World::new();
    let client = world.process(&world.payments, PRICING);
    let (accepted, _) = handshake(&required(&world.credentials), &to(&client, CA)).await;
    assert!(matches!(accepted, Err(HandshakeError::NoIdentity)));
    let (_, connected) = handshake(&required(&client), &to(&world.credentials, PRICING)).await;
    assert!(matches!(connected, Err(ConnectError::NoIdentity)));
}

#[tokio::test]
async fn istio_s_names_are_understood() {
    let world = World::new();
    let server = Acceptor::new(
        &world.process(&world.risk, SCORING),
        ClientCertificate::Required,
        HTTP,
    );
    let client = world.process(&world.payments, PRICING);
    for (offered, http) in [
        (&["istio-peer-exchange", "istio-h2", "h2"][..], Some(Http::Two)),
        (&["istio-http/1.1"], Some(Http::One)),
        (&["istio-h2"], Some(Http::Two)),
        (&["istio"], None),
        (&["http/1.1"], Some(Http::One)),
    ] {
        let connector = Connector::new(&client, expect(SCORING), true, offered);
        assert_eq!(
            handshake(&server, &connector).await.0.unwrap().http,
            http,
            "{offered:?}"
        );
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_given_up() {
    let world = World::new();
    let server =
        required(&world.process(&world.risk, SCORING)).deadline(std::time::Duration::from_millis(20));
    let (silent, _kept) = duplex(1024);
    assert!(matches!(
        server.accept(silent).await,
        Err(HandshakeError::Slow(_))
    ));
}

async fn peer_of(world: &World, life: (i64, i64)) -> (Credentials, featward_proxy::peer::Peer) {
    let server = world.process(&world.platform, CA);
    let client = Credentials::new(DOMAIN).unwrap();
    world.trust(&client, 1);
    world
        .payments
        .identify(&client, PRICING, |params| live(params, life.0, life.1));
    let (accepted, _) = handshake(&required(&server).expired_grace(3600), &to(&client, CA)).await;
    (server, accepted.unwrap().peer.unwrap())
}

#[tokio::test]
async fn a_peer_is_cut_when_its_authority_leaves_the_table() {
    let world = World::new();
    let (server, peer) = peer_of(&world, (-60, 3600)).await;
    let mut watch = PeerWatch::new(&server, &peer);
    assert!(futures_now(watch.next()).await.is_none());
    server
        .set_trust(NewTrust::new(
            vec![world.root.der.clone()],
            world.scopes()[1..].to_vec(),
            2,
        ))
        .unwrap();
    let Verdict::Cut(error) = watch.next().await else {
        panic!("expected a cut")
    };
    assert_eq!(error.cause, Cause::OutOfScope);
}

#[tokio::test]
async fn a_change_of_trust_between_handshake_and_watch_is_noticed() {
    let world = World::new();
    let (server, peer) = peer_of(&world, (-60, 3600)).await;
    server
        .set_trust(NewTrust::new(vec![world.root.der.clone()], vec![], 2))
        .unwrap();
    assert!(matches!(
        PeerWatch::new(&server, &peer).next().await,
        Verdict::Cut(_)
    ));
}

#[tokio::test]
async fn a_change_that_leaves_a_peer_trusted_does_not_touch_it() {
    let world = World::new();
    let (server, peer) = peer_of(&world, (-60, 3600)).await;
    let mut watch = PeerWatch::new(&server, &peer);
    server
        .set_trust(NewTrust::new(
            vec![world.root.der.clone()],
            world.scopes()[..1].to_vec(),
            2,
        ))
        .unwrap();
    assert!(futures_now(watch.next()).await.is_none());
}

#[tokio::test]
async fn a_peer_is_drained_once_after_most_of_its_life_and_cut_at_its_end() {
    let world = World::new();
    let (server, peer) = peer_of(&world, (-60, 2)).await;
    let mut watch = PeerWatch::new(&server, &peer);
    assert_eq!(watch.next().await, Verdict::Drain);
    let Verdict::Cut(error) = watch.next().await else {
        panic!("drain is told once")
    };
    assert_eq!(error.cause, Cause::Expired);
}

#[tokio::test]
async fn a_peer_that_came_late_in_its_life_is_not_sent_away_at_once() {
    let world = World::new();
    let (server, peer) = peer_of(&world, (-3600, 600)).await;
    assert!(futures_now(PeerWatch::new(&server, &peer).next()).await.is_none());
}

#[tokio::test]
async fn a_peer_within_its_grace_is_not_cut_for_being_expired() {
    let world = World::new();
    let (server, peer) = peer_of(&world, (-3600, -60)).await;
    let mut watch = PeerWatch::new(&server, &peer);
    world.trust(&server, 3);
    server
        .set_trust(NewTrust::new(
            vec![world.root.der.clone()],
            world.scopes()[..1].to_vec(),
            4,
        ))
        .unwrap();
    assert!(futures_now(watch.next()).await.is_none());
}

/// What a future answers at once, if anything.
async fn futures_now<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = future => Some(done),
        () = tokio::task::yield_now() => None,
    }
}
