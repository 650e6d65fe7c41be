//! Full handshakes, one after the other on each thread.

use std::thread;
use std::time::Instant;

use crate::connection::Connection;
use crate::options::Options;
use load::result::Outcome;

pub fn run(options: &Options) -> Outcome {
    let end = Instant::now() + options.seconds;
    let threads: Vec<_> = (0..options.connections)
        .map(|_| {
            let options = options.clone();
            thread::spawn(move || until(end, &options))
        })
        .collect();
    Outcome::sum(
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a load thread panicked")),
    )
}

fn until(end: Instant, options: &Options) -> Outcome {
    let mut outcome = Outcome::new();
    while Instant::now() < end {
        let begun = Instant::now();
        match Connection::open(options).and_then(Connection::shake_hands) {
            Ok(()) => outcome.record(begun.elapsed()),
            Err(error) => {
                eprintln!("handshake: {error}");
                outcome.failed += 1;
            }
        }
    }
    outcome
}
