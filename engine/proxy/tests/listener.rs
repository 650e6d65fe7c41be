//! The Listener before callers that mean it no good: who has proven nothing gets a part of it only, and not for long.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod chains;
mod scene;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chains::{CA, PRICING, SCORING, World};
use featward_policy::SpiffeId;
use featward_proxy::credentials::Credentials;
use featward_proxy::listener::Listener;
use featward_proxy::runtime;
use featward_proxy::tls::{Anchor, Connector, Expect};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use scene::eventually;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, UnixListener, UnixStream};
use tokio::time::timeout;

type Client = SendRequest<Said>;

const PATIENCE: Duration = Duration::from_secs(20);

/// A message as its sender chooses: what there is of it, and whether that is all.
struct Said {
    now: Option<Bytes>,
    whole: bool,
}

const NOTHING: Said = Said {
    now: None,
    whole: false,
};

fn said(part: &'static str, whole: bool) -> Said {
    Said {
        now: Some(part.into()),
        whole,
    }
}

impl Body for Said {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match (self.now.take(), self.whole) {
            (Some(part), _) => Poll::Ready(Some(Ok(Frame::data(part)))),
            (None, true) => Poll::Ready(None),
            (None, false) => Poll::Pending,
        }
    }
}

/// A server that waits for a call's message as gRPC does, except for `/watch`, which it answers without end.
async fn serve(listener: UnixListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| async {
                let end = request.uri().path() != "/watch";
                if end && request.into_body().collect().await.is_err() {
                    return Ok::<_, Infallible>(Response::new(NOTHING));
                }
                Ok(Response::new(said("answer", end)))
            });
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

struct Stage {
    world: World,
    listener: Listener,
    address: String,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn tls(limits: Value) -> Stage {
        Stage::new(|_| "127.0.0.1:0".into(), limits)
    }

    fn unix(limits: Value) -> Stage {
        Stage::new(|folder| format!("unix:{folder}/front.sock"), limits)
    }

    fn new(listen: impl FnOnce(&str) -> String, limits: Value) -> Stage {
        let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
        world.platform.identify(&world.credentials, CA, |_| {});
        let far = folder.path().join("far.sock");
        let _runtime = runtime::handle().enter();
        runtime::handle().spawn(serve(UnixListener::bind(&far).unwrap()));
        let config = json!({
            "listen": listen(folder.path().to_str().unwrap()),
            "forward": far,
            "client_certificate": "optional",
            "far_connections": 1,
            "limits": limits,
        });
        let listener = Listener::new(world.credentials.clone(), config.to_string().as_bytes()).unwrap();
        let address = listener.start().unwrap();
        Stage {
            world,
            listener,
            address,
            _folder: folder,
        }
    }

    fn count(&self, outcome: &str) -> u64 {
        let counts = self.listener.tally().counts();
        counts.get(outcome).copied().unwrap_or_default()
    }

    /// A caller without certificate, from this address.
    fn stranger(&self, from: &str) -> Client {
        self.try_stranger(from).expect("the stranger was turned away")
    }

    fn try_stranger(&self, from: &str) -> Option<Client> {
        self.call_from(from, &self.world.credentials, false)
    }

    fn peer(&self, id: &str) -> Client {
        self.try_peer(id).expect("the peer was turned away")
    }

    fn try_peer(&self, id: &str) -> Option<Client> {
        let authority = match id {
            PRICING => &self.world.payments,
            _ => &self.world.risk,
        };
        self.call_from("127.0.0.1", &self.world.process(authority, id), true)
    }

    fn call_from(&self, from: &str, credentials: &Credentials, shows: bool) -> Option<Client> {
        let expect = Expect {
            identity: SpiffeId::parse(CA).unwrap(),
            by: Anchor::Trust,
        };
        let connector = Connector::new(credentials, expect, shows, &["h2"]);
        runtime::handle().block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
            let stream = socket.connect(self.address.parse().unwrap()).await.unwrap();
            client(connector.connect(stream).await.ok()?.stream).await
        })
    }

    fn user(&self) -> Client {
        self.try_user().expect("the user was turned away")
    }

    fn try_user(&self) -> Option<Client> {
        let path = self.address.strip_prefix("unix:").unwrap();
        runtime::handle().block_on(async { client(UnixStream::connect(path).await.unwrap()).await })
    }

    /// So many strangers from one address, all let in.
    fn crowd(&self, from: &str, number: usize) -> Vec<Client> {
        let before = self.count("accepted");
        let crowd: Vec<_> = (0..number).map(|_| self.stranger(from)).collect();
        eventually("all are in", || self.count("accepted") == before + number as u64);
        crowd
    }
}

async fn client<IO>(io: IO) -> Option<Client>
where
    IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let shaking = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io));
    let (sender, connection) = shaking.await.ok()?;
    tokio::spawn(connection);
    Some(sender)
}

fn begin(client: &mut Client, path: &str, body: Said) -> Option<Response<Incoming>> {
    let request = Request::post(format!("https://localhost{path}"))
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap();
    runtime::handle().block_on(async {
        let answered = timeout(PATIENCE, client.send_request(request)).await;
        answered.expect("no answer for too long").ok()
    })
}

/// gRPC's status and its sentence, where the Listener itself answered.
fn refused(answer: &Response<Incoming>) -> Option<(&str, &str)> {
    let header = |name| answer.headers().get(name)?.to_str().ok();
    Some((header("grpc-status")?, header("grpc-message")?))
}

fn is_answered(client: &mut Client) -> bool {
    let answer = begin(client, "/call", said("message", true));
    answer.is_some_and(|answer| refused(&answer).is_none())
}

fn is_turned_away(caller: Option<Client>) -> bool {
    caller.is_none_or(|mut caller| !is_answered(&mut caller))
}

#[test]
fn one_source_of_strangers_keeps_neither_others_nor_peers_out() {
    let stage = Stage::tls(json!({"connections": 256, "source_connections": 4}));
    let mut crowd = stage.crowd("127.0.0.1", 4);
    assert!(is_turned_away(stage.try_stranger("127.0.0.1")));
    eventually("it is counted", || stage.count("too-many-of-one-source") == 1);
    assert!(is_answered(&mut stage.peer(PRICING)));
    assert!(is_answered(&mut stage.stranger("127.0.0.2")));
    assert!(is_answered(&mut crowd[0]));
    drop(crowd);
    eventually("there is room again", || {
        !is_turned_away(stage.try_stranger("127.0.0.1"))
    });
}

#[test]
fn strangers_from_everywhere_leave_most_places_to_peers() {
    let stage = Stage::tls(json!({"connections": 80, "source_connections": 5}));
    let crowds: Vec<_> = (1..5)
        .map(|number| stage.crowd(&format!("127.0.0.{number}"), 5))
        .collect();
    assert!(is_turned_away(stage.try_stranger("127.0.0.9")));
    eventually("it is counted", || stage.count("too-many-strangers") == 1);
    let mut peers: Vec<_> = (0..30).map(|_| stage.peer(PRICING)).collect();
    assert!(peers.iter_mut().all(is_answered));
    drop(crowds);
}

#[test]
fn one_identity_leaves_half_of_the_places_to_others() {
    let stage = Stage::tls(json!({"connections": 40}));
    let parked: Vec<_> = (0..20).map(|_| stage.peer(SCORING)).collect();
    eventually("all are in", || stage.count("accepted") == 20);
    assert!(is_turned_away(stage.try_peer(SCORING)));
    eventually("it is counted", || stage.count("too-many-of-one-caller") == 1);
    assert!(is_answered(&mut stage.peer(PRICING)));
    drop(parked);
}

#[test]
fn handshakes_that_do_not_end_leave_places_to_others() {
    let stage = Stage::tls(json!({"connections": 64}));
    let silent: Vec<_> = (0..80)
        .map(|_| std::net::TcpStream::connect(&stage.address).unwrap())
        .collect();
    // At first half of the places are free for all, then a source has its part. The two are seen a moment apart.
    eventually("the surplus is closed", || {
        stage.count("too-many-handshakes") >= 32
    });
    assert!(is_answered(&mut stage.stranger("127.0.0.2")));
    drop(silent);
}

#[test]
fn one_user_of_the_machine_has_only_so_many_connections() {
    let stage = Stage::unix(json!({"source_connections": 3}));
    let mut users: Vec<_> = (0..3).map(|_| stage.user()).collect();
    assert!(users.iter_mut().all(is_answered));
    assert!(is_turned_away(stage.try_user()));
    eventually("it is counted", || stage.count("too-many-of-one-source") == 1);
}

#[test]
fn a_stranger_s_call_whose_message_does_not_begin_is_ended() {
    let stage = Stage::tls(json!({"header_seconds": 0.4}));
    let mut peer = stage.peer(PRICING);
    let request = Request::post("https://localhost/call").body(NOTHING).unwrap();
    let waits = runtime::handle().spawn(async move {
        timeout(Duration::from_secs(2), peer.send_request(request))
            .await
            .is_err()
    });
    let begun = Instant::now();
    let answer = begin(&mut stage.stranger("127.0.0.1"), "/call", NOTHING).unwrap();
    let (status, message) = refused(&answer).unwrap();
    assert_eq!(status, "4");
    assert_eq!(
        message,
        "the call's message did not begin within 0.4 s; send it with the call"
    );
    assert!(begun.elapsed() < Duration::from_secs(2));
    let waits = runtime::handle().block_on(waits).unwrap();
    assert!(waits, "a peer's call may take its time");
}

#[test]
fn a_user_waits_for_what_the_server_says_and_not_to_speak() {
    let stage = Stage::unix(json!({"header_seconds": 0.4, "stranger_seconds": 0.8}));
    let mut user = stage.user();
    let answer = begin(&mut user, "/call", NOTHING).unwrap();
    assert_eq!(refused(&answer).unwrap().0, "4");
    let mut watch = begin(&mut user, "/watch", NOTHING).unwrap().into_body();
    runtime::handle().block_on(async {
        assert_eq!(
            watch.frame().await.unwrap().unwrap().into_data().unwrap(),
            "answer"
        );
        let more = timeout(Duration::from_secs(2), watch.frame()).await;
        assert!(more.is_err(), "the stream ended: {more:?}");
    });
}

#[test]
fn a_stranger_s_call_whose_message_does_not_end_is_ended() {
    for stage in [Stage::tls, Stage::unix] {
        let stage = stage(json!({"header_seconds": 0.4, "stranger_seconds": 0.8}));
        let mut client = match stage.address.starts_with("unix:") {
            true => stage.user(),
            false => stage.stranger("127.0.0.1"),
        };
        let answer = begin(&mut client, "/call", said("mess", false)).unwrap();
        let (status, message) = refused(&answer).unwrap();
        assert_eq!(status, "4");
        assert!(
            message.starts_with("the call was not answered within 0.8 s"),
            "{message}"
        );
    }
}

#[test]
fn a_stranger_that_does_not_read_its_answer_is_cut_off() {
    let stage = Stage::tls(json!({"stranger_seconds": 0.4}));
    let mut stranger = stage.stranger("127.0.0.1");
    let mut answer = begin(&mut stranger, "/watch", NOTHING).unwrap().into_body();
    let mut peer = stage.peer(PRICING);
    let mut other = begin(&mut peer, "/watch", NOTHING).unwrap().into_body();
    runtime::handle().block_on(async {
        for body in [&mut answer, &mut other] {
            assert!(body.frame().await.unwrap().is_ok());
        }
        let ended = timeout(PATIENCE, answer.frame()).await.expect("still open");
        assert!(ended.is_none_or(|frame| frame.is_err()));
        assert!(timeout(Duration::from_millis(100), other.frame()).await.is_err());
    });
}

#[test]
fn a_stranger_that_has_made_its_call_does_not_stay() {
    let stage = Stage::tls(json!({"header_seconds": 0.4, "idle_seconds": 60}));
    let (mut stranger, mut peer) = (stage.stranger("127.0.0.1"), stage.peer(PRICING));
    assert!(is_answered(&mut stranger) && is_answered(&mut peer));
    eventually("the stranger is sent away", || stranger.is_closed());
    assert!(!peer.is_closed());
}
