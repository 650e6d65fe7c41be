//! Many clients that hold their streams, lose the CA, and come back as the sidecar's agent does.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::options::Options;
use crate::stream::{Ended, Stream};

/// The sidecar's first delay and the longest of one whose identity has ended, which double from one to the other
/// (featward_sidecar.backoff): all renew, as after an outage of more than a life.
const FIRST: f64 = 0.5;
const LONGEST: f64 = 20.0;
/// Before the CA goes away there is no storm to be measured, and no reason to make one.
const OPENED_AT_ONCE: usize = 200;

/// What all clients count.
struct Shared {
    options: Options,
    gate: Semaphore,
    open: Cell<usize>,
    renewed: Cell<usize>,
    /// Attempts since the first stream was cut.
    failed: Cell<usize>,
    cut: Cell<Option<Instant>>,
    /// Why attempts failed, and how many did.
    reasons: RefCell<BTreeMap<String, usize>>,
}

/// Runs until all have come back and renewed.
pub async fn run(options: Options) -> Result<(), String> {
    let all = options.connections;
    let shared = Rc::new(Shared {
        options,
        gate: Semaphore::new(OPENED_AT_ONCE),
        open: Cell::new(0),
        renewed: Cell::new(0),
        failed: Cell::new(0),
        cut: Cell::new(None),
        reasons: RefCell::default(),
    });
    let started = Instant::now();
    for number in 0..all {
        tokio::task::spawn_local(one(shared.clone(), number));
    }
    shared.report("open", &shared.open, started).await;
    while shared.cut.get().is_none() {
        sleep(Duration::from_millis(5)).await;
    }
    let cut = shared.cut.get().unwrap_or(started);
    shared.report("renewed", &shared.renewed, cut).await;
    for (reason, count) in shared.reasons.borrow().iter() {
        eprintln!("{count} x {reason}");
    }
    Ok(())
}

async fn one(shared: Rc<Shared>, number: usize) {
    let mut stream = shared.first(number).await;
    shared.open.set(shared.open.get() + 1);
    stream.wait().await;
    shared.cut.set(Some(shared.cut.get().unwrap_or_else(Instant::now)));
    let (mut stream, attempts) = shared.back(number).await;
    shared.failed.set(shared.failed.get() + attempts);
    shared.renewed.set(shared.renewed.get() + 1);
    stream.wait().await;
}

impl Shared {
    /// Prints a line when as many as there are have got there, and shows on the way how many have.
    async fn report(&self, what: &str, reached: &Cell<usize>, since: Instant) {
        let mut quarter = 1;
        while reached.get() < self.options.connections {
            if reached.get() * 4 >= self.options.connections * quarter {
                eprintln!("{what}: {} after {:.1} s", reached.get(), since.elapsed().as_secs_f64());
                quarter += 1;
            }
            sleep(Duration::from_millis(5)).await;
        }
        println!(
            "{what} count={} seconds={:.3} failed={}",
            reached.get(),
            since.elapsed().as_secs_f64(),
            self.failed.get()
        );
    }

    async fn first(&self, number: usize) -> Stream {
        loop {
            let permit = self.gate.acquire().await;
            let opened = Stream::over_tls(&self.options, number).await;
            drop(permit);
            match opened {
                Ok(stream) => return stream,
                Err(ended) => {
                    eprintln!("client {number}: {}", ended.why);
                    sleep(delay(0, &ended)).await;
                }
            }
        }
    }

    /// Tries until it has a stream and an SVID, and says how often it failed.
    async fn back(&self, number: usize) -> (Stream, usize) {
        let mut failures = 0;
        let mut ended = Ended { why: String::new(), come_back_after: None };
        loop {
            sleep(delay(failures, &ended)).await;
            match self.renewed(number).await {
                Ok(stream) => return (stream, failures),
                Err(again) => {
                    *self.reasons.borrow_mut().entry(again.why.clone()).or_default() += 1;
                    ended = again;
                }
            }
            failures += 1;
        }
    }

    async fn renewed(&self, number: usize) -> Result<Stream, Ended> {
        let mut stream = Stream::over_tls(&self.options, number).await?;
        let csr = self.options.csr(number, 0).map_err(crate::stream::ended)?;
        stream.renew(csr).await?;
        Ok(stream)
    }
}

/// As long as the server asks, or half to all of a delay that doubles.
fn delay(failures: usize, ended: &Ended) -> Duration {
    if let Some(asked) = ended.come_back_after {
        return asked.mul_f64(1.0 + chance() / 2.0);
    }
    let longest = (FIRST * 2f64.powi(failures.min(10) as i32)).min(LONGEST);
    Duration::from_secs_f64(longest * (0.5 + chance() / 2.0))
}

/// A number from 0 to 1; good enough to keep clients apart.
fn chance() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}
