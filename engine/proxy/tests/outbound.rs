//! The client side: a local app's plain HTTP becomes mTLS to the one server that may answer.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod chains;
mod scene;

use std::net::SocketAddr;
use std::path::PathBuf;

use chains::{PRICING, SCORING, World, live};
use featward_policy::v1;
use featward_proxy::credentials::{Ban, Credentials, NewTrust};
use featward_proxy::proxy::Proxy;
use prost::Message;
use scene::policy::{CONV, SECRET};
use scene::wire::Wire;
use scene::{Scene, ask, post, request};
use serde_json::{Value, json};

#[test]
fn the_status_says_where_each_set_is_called_who_serves_it_and_how_that_went() {
    let scene = Scene::new(|_| {});
    let credentials = scene.caller(PRICING);
    let change = |config: &mut Value, _: &PathBuf| {
        let more = json!({"feature_set": "riders", "listen": "127.0.0.1:0"});
        config["outbound"].as_array_mut().unwrap().push(more);
    };
    let server = scene.mtls.to_string();
    let client = Client::configured(&scene, credentials, SCORING, &server, change);
    let outbound = |at: usize| {
        let status: Value = serde_json::from_slice(&client.proxy.status()).unwrap();
        status["outbound"][at].clone()
    };
    let address = client.address.unwrap();
    assert_eq!(
        outbound(0),
        json!({"feature_set": "drivers", "listen": address.to_string(), "last_answer": null, "last_failure": null,
               "server": {"address": server, "spiffe_id": SCORING}})
    );
    assert_eq!(outbound(1)["server"], json!(null));
    let mut wire = Wire::tcp(address);
    assert_eq!(post(&mut wire, &ask(&[SECRET], 1)).status, 403);
    assert!(outbound(0)["last_answer"].as_i64().unwrap() >= scene::policy::now() - 60);
    assert_eq!(outbound(0)["last_failure"], json!(null), "a refusal is an answer");
    let other = remotes(&scene, &[("drivers", &server, PRICING)]);
    client.proxy.set_policy(&other).unwrap();
    assert_eq!(post(&mut wire, &ask(&[CONV], 1)).reason(), "server-not-trusted");
    let failure = outbound(0)["last_failure"].clone();
    assert_eq!(failure["reason"], "server-not-trusted");
    assert!(failure["detail"].as_str().unwrap().contains(&server));
    assert!(failure["time"].as_i64().unwrap() >= scene::policy::now() - 60);
}

/// A client's sidecar before the scene's server.
struct Client {
    proxy: Proxy,
    credentials: Credentials,
    address: Option<SocketAddr>,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Client {
    fn new(scene: &Scene, credentials: Credentials, expected: &str) -> Client {
        Client::configured(scene, credentials, expected, &scene.mtls.to_string(), |_, _| {})
    }

    fn configured(
        scene: &Scene,
        credentials: Credentials,
        expected: &str,
        address: &str,
        change: impl FnOnce(&mut Value, &PathBuf),
    ) -> Client {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("drivers.sock");
        let mut config = json!({"outbound": [{"feature_set": "drivers", "listen": "127.0.0.1:0"}]});
        change(&mut config, &socket);
        let proxy = Proxy::new(credentials.clone(), config.to_string().as_bytes()).unwrap();
        let bound: Value = serde_json::from_slice(&proxy.start().unwrap()).unwrap();
        proxy
            .set_policy(&remotes(scene, &[("drivers", address, expected)]))
            .unwrap();
        let address = bound["outbound"]["drivers"].as_str().unwrap().parse().ok();
        Client {
            proxy,
            credentials,
            address,
            socket,
            _folder: folder,
        }
    }

    fn app(&self) -> Wire {
        Wire::tcp(self.address.unwrap())
    }
}

fn remotes(scene: &Scene, named: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut snapshot = scene.draft.0.clone();
    snapshot.workload = PRICING.into();
    snapshot.feature_sets.clear();
    snapshot.bindings.clear();
    snapshot.remotes = named
        .iter()
        .map(|(name, address, identity)| v1::Remote {
            namespace: "ml".into(),
            name: (*name).into(),
            address: (*address).into(),
            spiffe_id: (*identity).into(),
        })
        .collect();
    snapshot.encode_to_vec()
}

fn client(scene: &Scene) -> Client {
    Client::new(scene, scene.caller(PRICING), SCORING)
}

#[test]
fn an_app_that_knows_no_tls_is_answered_as_its_workload() {
    let scene = Scene::new(|_| {});
    let client = client(&scene);
    let mut app = client.app();
    let answer = post(&mut app, &ask(&[CONV], 2));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.json()["metadata"]["feature_names"],
        json!(["driver_id", "conv_rate"])
    );
    assert_eq!(
        answer.header("featward-request-id").unwrap(),
        scene.record()[0]["id"]
    );
    assert_eq!(scene.record()[0]["peer"], PRICING);
}

#[test]
fn a_refusal_of_the_server_passes_as_it_is() {
    let scene = Scene::new(|_| {});
    let answer = post(&mut client(&scene).app(), &ask(&[SECRET], 1));
    assert_eq!((answer.status, answer.reason().as_str()), (403, "not-granted"));
    assert_eq!(answer.json()["missing"], json!([SECRET]));
    assert_eq!(answer.header("featward-refused-by"), None);
}

#[test]
fn its_own_failures_are_told_apart() {
    let scene = Scene::new(|_| {});
    let own = |client: &Client| {
        let answer = post(&mut client.app(), &ask(&[CONV], 1));
        assert_eq!(answer.header("featward-refused-by"), Some("outbound"));
        (answer.status, answer.reason())
    };
    let nobody = Credentials::new(chains::DOMAIN).unwrap();
    assert_eq!(
        own(&Client::new(&scene, nobody, SCORING)),
        (503, "no-identity".into())
    );
    let other = "spiffe://prod.acme.example/bu/risk/svc/other";
    assert_eq!(
        own(&Client::new(&scene, scene.caller(PRICING), other)),
        (502, "server-not-trusted".into())
    );
    let closed = Client::configured(&scene, scene.caller(PRICING), SCORING, "127.0.0.1:1", |_, _| {});
    assert_eq!(own(&closed), (502, "server-unreachable".into()));
    let unknown = client(&scene);
    unknown.proxy.set_policy(&remotes(&scene, &[])).unwrap();
    assert_eq!(own(&unknown), (404, "unknown-feature-set".into()));
    assert!(scene.far.seen().is_empty());
}

#[test]
fn a_client_that_the_server_does_not_accept_is_told_that_it_was_refused() {
    let scene = Scene::new(|_| {});
    let elsewhere = World::new();
    let credentials = Credentials::new(chains::DOMAIN).unwrap();
    scene.world.trust(&credentials, 1);
    elsewhere.payments.identify(&credentials, PRICING, |_| {});
    let answer = post(
        &mut Client::new(&scene, credentials, SCORING).app(),
        &ask(&[CONV], 1),
    );
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (502, "server-unreachable")
    );
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("refused our certificate"),
        "{}",
        answer.text()
    );
}

#[test]
fn connections_to_the_server_are_kept_until_the_identity_changes() {
    let scene = Scene::new(|_| {});
    let client = client(&scene);
    let serials = |scene: &Scene| {
        scene
            .record()
            .iter()
            .map(|line| line["serial"].clone())
            .collect::<Vec<_>>()
    };
    let mut app = client.app();
    for _ in 0..3 {
        assert_eq!(post(&mut app, &ask(&[CONV], 1)).status, 200);
    }
    scene
        .world
        .payments
        .identify(&client.credentials, PRICING, |_| {});
    assert_eq!(post(&mut app, &ask(&[CONV], 1)).status, 200);
    let serials = serials(&scene);
    assert!(
        serials[0] == serials[1] && serials[1] == serials[2] && serials[2] != serials[3],
        "{serials:?}"
    );
    assert!(
        scene
            .proxy
            .metrics()
            .contains("featward_connections{listener=\"mtls\"} 1")
    );
}

#[test]
fn rotating_both_ends_under_load_fails_no_request() {
    let scene = Scene::new(|_| {});
    let client = client(&scene);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut app = client.app();
                    let mut count = 0;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let answer = post(&mut app, &ask(&[CONV], 1));
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        for round in 0..6 {
            std::thread::sleep(std::time::Duration::from_millis(150));
            // Lives so short that the server drains connections by itself as well.
            scene
                .world
                .payments
                .identify(&client.credentials, PRICING, |params| live(params, -1, 2));
            scene
                .world
                .risk
                .identify(&scene.world.credentials, SCORING, |params| live(params, -1, 2));
            scene.world.trust(&client.credentials, 2 + round);
        }
        scene
            .world
            .payments
            .identify(&client.credentials, PRICING, |_| {});
        scene
            .world
            .risk
            .identify(&scene.world.credentials, SCORING, |_| {});
        std::thread::sleep(std::time::Duration::from_millis(1500));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for caller in callers {
            assert!(caller.join().unwrap() > 5);
        }
    });
}

#[test]
fn a_server_that_restarts_fails_no_request_on_kept_connections() {
    let scene = Scene::new(|_| {});
    let client = client(&scene);
    let mut app = client.app();
    assert_eq!(post(&mut app, &ask(&[CONV], 1)).status, 200);
    let address = scene.mtls;
    scene.proxy.stop(std::time::Duration::from_secs(5));
    let config = json!({"serve": {"listen": address.to_string()}});
    let again = Proxy::new(scene.world.credentials.clone(), config.to_string().as_bytes()).unwrap();
    again.start().unwrap();
    again.set_policy(&scene.draft.bytes()).unwrap();
    assert_eq!(post(&mut app, &ask(&[CONV], 1)).status, 200);
}

#[test]
fn method_path_and_body_pass_and_what_says_who_calls_does_not() {
    let scene = Scene::new(|draft| {
        draft.mode(v1::Mode::Observe);
    });
    let client = client(&scene);
    let mut app = client.app();
    app.send(&request(
        "PUT",
        "/push?to=online",
        &[("x-forwarded-for", "1"), ("x-mine", "2")],
        b"raw",
    ));
    assert_eq!(app.read().status, 200);
    let seen = scene.far.last();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str(), &seen.body[..]),
        ("PUT", "/push?to=online", &b"raw"[..])
    );
    assert!(seen.headers.contains_key("x-mine") && !seen.headers.contains_key("x-forwarded-for"));
}

#[test]
fn a_unix_socket_lets_only_the_named_user_in() {
    let scene = Scene::new(|_| {});
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    let over_unix = |user: u32| {
        Client::configured(
            &scene,
            scene.caller(PRICING),
            SCORING,
            &scene.mtls.to_string(),
            |config, socket| {
                config["outbound"][0]["listen"] = json!(format!("unix:{}", socket.display()));
                config["outbound"][0]["peer_uid"] = json!(user);
            },
        )
    };
    let welcome = over_unix(own);
    assert_eq!(
        post(&mut Wire::unix(&welcome.socket), &ask(&[CONV], 1)).status,
        200
    );
    let unwelcome = over_unix(own + 1);
    assert!(Wire::unix(&unwelcome.socket).is_closed());
}

#[test]
fn a_ban_of_the_server_ends_a_request_that_waits_for_it() {
    let scene = Scene::new(|_| {});
    scene.far.answer(|_| {
        std::thread::sleep(std::time::Duration::from_secs(4));
        http::Response::new("too late".into())
    });
    let client = client(&scene);
    let mut app = client.app();
    app.send(&request(
        "POST",
        "/get-online-features",
        &[("content-type", "application/json")],
        ask(&[CONV], 1).to_string().as_bytes(),
    ));
    scene::eventually("the server works on it", || !scene.far.seen().is_empty());
    let begun = std::time::Instant::now();
    let new = NewTrust {
        bans: vec![Ban::read("identity", SCORING, 0).unwrap()],
        ..NewTrust::new(vec![scene.world.root.der.clone()], scene.world.scopes(), 2)
    };
    client.credentials.set_trust(new).unwrap();
    let answer = app.read();
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (502, "server-not-trusted")
    );
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("(banned)"), "{detail}");
    // And so does every later one.
    let later = post(&mut app, &ask(&[CONV], 1));
    assert_eq!(
        (later.status, later.reason().as_str()),
        (502, "server-not-trusted")
    );
}
