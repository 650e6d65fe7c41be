//! A small feature server: answers with a column for every feature asked, and keeps what reached it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use featward_proxy::runtime;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Answering = dyn Fn(&Seen) -> Response<Bytes> + Send + Sync;

/// The server.
#[derive(Clone)]
pub struct Far {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<usize>>,
    answer: Arc<Mutex<Arc<Answering>>>,
}

impl Far {
    pub fn start() -> Far {
        let listener = runtime::handle()
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let far = Far {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
            answer: Arc::new(Mutex::new(Arc::new(columns))),
        };
        runtime::handle().spawn(far.clone().serve(listener));
        far
    }

    /// Answer so from now on.
    pub fn answer(&self, answer: impl Fn(&Seen) -> Response<Bytes> + Send + Sync + 'static) {
        *self.answer.lock() = Arc::new(answer);
    }

    /// Answer with this JSON.
    pub fn answer_json(&self, answer: Value) {
        self.answer(move |_| Response::new(answer.to_string().into()));
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub fn last(&self) -> Seen {
        self.seen()
            .last()
            .cloned()
            .expect("the feature server saw nothing")
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock()
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            *self.connections.lock() += 1;
            let far = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| far.clone().take(request));
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }

    async fn take(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        let seen = Seen {
            method: head.method.to_string(),
            target: head.uri.to_string(),
            headers: head.headers,
            body,
        };
        self.seen.lock().push(seen.clone());
        let answer = Arc::clone(&self.answer.lock());
        Ok(answer(&seen).map(Full::new))
    }
}

/// What Feast would say: the entities' columns, then one for each feature.
fn columns(seen: &Seen) -> Response<Bytes> {
    let Ok(asked) = serde_json::from_slice::<Value>(&seen.body) else {
        return Response::new(Bytes::from("unreadable"));
    };
    let entities = asked["entities"].as_object().cloned().unwrap_or_default();
    let rows = entities
        .values()
        .next()
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    let features: Vec<String> = match asked["feature_service"].as_str() {
        Some(_) => vec!["conv_rate".into(), "acc_rate".into()],
        None => asked["features"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|name| bare(name.as_str().unwrap_or_default()))
            .collect(),
    };
    let names: Vec<String> = entities.keys().cloned().chain(features).collect();
    let results: Vec<Value> = names
        .iter()
        .map(|name| json!({"values": vec![json!(name); rows], "statuses": vec!["PRESENT"; rows]}))
        .collect();
    Response::new(
        json!({"metadata": {"feature_names": names}, "results": results})
            .to_string()
            .into(),
    )
}

fn bare(name: &str) -> String {
    name.split_once(':')
        .map_or(name, |(_, feature)| feature)
        .to_owned()
}
