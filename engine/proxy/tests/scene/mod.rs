//! A proxy before a small feature server, over real sockets: what the pipeline's tests play on.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test binary uses a part"
)]

pub mod far;
pub mod policy;
pub mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use featward_proxy::credentials::Credentials;
use featward_proxy::proxy::Proxy;
use serde_json::{Value, json};

use crate::chains::{PRICING, SCORING, World};
use far::Far;
use policy::Draft;
use wire::{Answer, Wire};

/// What all tests of one kind start from.
pub struct Scene {
    pub world: World,
    pub far: Far,
    pub proxy: Proxy,
    pub mtls: SocketAddr,
    pub plain: SocketAddr,
    pub health: SocketAddr,
    pub folder: tempfile::TempDir,
    pub draft: Draft,
}

impl Scene {
    /// A proxy that enforces `draft` before a server that answers everything with what was asked.
    pub fn new(draft: impl FnOnce(&mut Draft)) -> Scene {
        Scene::with(draft, json!({}))
    }

    /// The same with other limits.
    pub fn with(draft: impl FnOnce(&mut Draft), limits: Value) -> Scene {
        Scene::configured(draft, |config| config["limits"] = limits)
    }

    pub fn configured(draft: impl FnOnce(&mut Draft), change: impl FnOnce(&mut Value)) -> Scene {
        let world = World::new();
        world.risk.identify(&world.credentials, SCORING, |_| {});
        let far = Far::start();
        let mut written = Draft::new(far.address.port());
        draft(&mut written);
        let folder = tempfile::tempdir().unwrap();
        let mut config = json!({
            "serve": {"listen": "127.0.0.1:0", "plain": "127.0.0.1:0"},
            "health": "127.0.0.1:0",
            "admin": folder.path().join("admin.sock"),
            "record": folder.path().join("record.jsonl"),
        });
        change(&mut config);
        let proxy = Proxy::new(world.credentials.clone(), config.to_string().as_bytes()).unwrap();
        let bound: Value = serde_json::from_slice(&proxy.start().unwrap()).unwrap();
        let address = |value: &Value| value.as_str().unwrap().parse().unwrap();
        proxy.set_policy(&written.bytes()).unwrap();
        Scene {
            mtls: address(&bound["serve"]["listen"]),
            plain: address(&bound["serve"]["plain"]),
            health: address(&bound["health"]),
            world,
            far,
            proxy,
            folder,
            draft: written,
        }
    }

    /// Edit the policy that is in use.
    pub fn edit(&mut self, change: impl FnOnce(&mut Draft)) {
        change(&mut self.draft);
        self.proxy.set_policy(&self.draft.bytes()).unwrap();
    }

    /// Credentials of a caller.
    pub fn caller(&self, id: &str) -> Credentials {
        let authority = if id.contains("/bu/risk/") {
            &self.world.risk
        } else {
            &self.world.payments
        };
        self.world.process(authority, id)
    }

    /// A connection of the pricing workload.
    pub fn pricing(&self) -> Wire {
        Wire::tls(self.mtls, &self.caller(PRICING), SCORING, &["http/1.1"])
    }

    /// A connection of nobody in particular.
    pub fn nobody(&self) -> Wire {
        Wire::tcp(self.plain)
    }

    /// Everything in the record.
    pub fn record(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("record.jsonl")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub fn status(&self) -> Value {
        serde_json::from_slice(&self.proxy.status()).unwrap()
    }
}

/// A request for these features and rows.
pub fn ask(features: &[&str], rows: usize) -> Value {
    json!({"features": features, "entities": {"driver_id": (1..=rows).collect::<Vec<_>>()}})
}

/// Send a body to the adapter's route on this connection.
pub fn post(wire: &mut Wire, body: &Value) -> Answer {
    wire.send(&request(
        "POST",
        "/get-online-features",
        &[("content-type", "application/json")],
        body.to_string().as_bytes(),
    ));
    wire.read()
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "{method} {path} HTTP/1.1\r\nhost: features\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    [format!("{out}\r\n").as_bytes(), body].concat()
}

/// Wait until something holds; tests of what happens in the background need it.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

pub type Shared<T> = Arc<parking_lot::Mutex<T>>;
