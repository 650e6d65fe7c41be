//! A number of clients, each of which asks again when it has its answer.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use load::result::Outcome;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::options::{Mode, Options};
use crate::post::Poster;
use crate::stream::Stream;

/// What all clients share.
struct Shared {
    options: Options,
    connected: Barrier,
    /// How many bodies have been posted.
    posted: Cell<usize>,
    outcome: RefCell<Outcome>,
    /// Certificates of answers that came within the time that counts.
    made: Cell<u64>,
}

enum Client {
    Stream(Stream),
    Poster(Poster),
}

/// Runs the load and prints what it measured.
pub async fn run(options: Options) -> Result<(), String> {
    let (connections, warm, seconds) = (options.connections, options.warm, options.seconds);
    let shared = Rc::new(Shared {
        connected: Barrier::new(connections + 1),
        options,
        posted: Cell::new(0),
        outcome: RefCell::new(Outcome::new()),
        made: Cell::new(0),
    });
    let mut clients = JoinSet::new();
    for number in 0..connections {
        clients.spawn_local(one(shared.clone(), number));
    }
    tokio::select! {
        _ = shared.connected.wait() => {}
        // Nobody ends before all are connected, unless something is wrong.
        Some(ended) = clients.join_next() => ended.map_err(|error| error.to_string())??,
    }
    tokio::time::sleep(warm).await;
    println!("begin");
    while let Some(ended) = clients.join_next().await {
        ended.map_err(|error| error.to_string())??;
    }
    println!("{} certificates={}", shared.outcome.borrow().line(seconds), shared.made.get());
    Ok(())
}

async fn one(shared: Rc<Shared>, number: usize) -> Result<(), String> {
    let mut client = Client::open(&shared.options, number).await?;
    shared.connected.wait().await;
    let begin = Instant::now() + shared.options.warm;
    let end = begin + shared.options.seconds;
    for turn in 0.. {
        let asked = Instant::now();
        let made = client.ask(&shared, number, turn).await?;
        let now = Instant::now();
        if now >= end {
            break;
        }
        if now >= begin {
            shared.outcome.borrow_mut().record(now - asked);
            shared.made.set(shared.made.get() + made);
        }
    }
    Ok(())
}

impl Client {
    async fn open(options: &Options, number: usize) -> Result<Client, String> {
        match options.mode {
            Mode::Post => Poster::open(options, number).await.map(Client::Poster).map_err(|e| e.to_string()),
            Mode::Batch => Stream::over_socket(options).await.map(Client::Stream).map_err(|e| e.why),
            _ => Stream::over_tls(options, number).await.map(Client::Stream).map_err(|e| e.why),
        }
    }

    /// The number of certificates in one answer.
    async fn ask(&mut self, shared: &Shared, number: usize, turn: usize) -> Result<u64, String> {
        let options = &shared.options;
        match self {
            Client::Poster(poster) => {
                let body = shared.next_body()?;
                poster.post(&options.path, body).await.map_err(|error| error.to_string())
            }
            Client::Stream(stream) if options.mode == Mode::Batch => {
                stream.batch(options, number, turn).await.map_err(|ended| ended.why)
            }
            Client::Stream(stream) => {
                let csr = options.csr(number, turn)?;
                stream.renew(csr).await.map_err(|ended| ended.why)
            }
        }
    }
}

impl Shared {
    fn next_body(&self) -> Result<&str, String> {
        if self.options.bodies.is_empty() {
            return Ok("");
        }
        let place = self.posted.replace(self.posted.get() + 1);
        let body = self.options.bodies.get(place);
        body.map(String::as_str).ok_or("--bodies holds too few lines".into())
    }
}
