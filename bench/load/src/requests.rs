//! Requests on kept-alive connections, as fast as answers come or at fixed times.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::options::Options;
use load::result::Outcome;

pub fn run(options: &Options) -> Outcome {
    // All threads begin together, after their connections are up.
    let start = Instant::now() + Duration::from_millis(300);
    let threads: Vec<_> = (0..options.connections)
        .map(|index| {
            let options = options.clone();
            thread::spawn(move || one_connection(&options, index, start))
        })
        .collect();
    Outcome::sum(
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a load thread panicked")),
    )
}

fn one_connection(options: &Options, index: usize, start: Instant) -> Outcome {
    let mut outcome = Outcome::new();
    if let Err(error) = send_until_the_end(options, index, start, &mut outcome) {
        eprintln!("connection {index}: {error}");
        outcome.failed += 1;
    }
    outcome
}

fn send_until_the_end(
    options: &Options,
    index: usize,
    start: Instant,
    outcome: &mut Outcome,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(65_536);
    let mut connection = Connection::open(options)?;
    exchange(&mut connection, options, &mut buffer)?;
    let end = start + options.seconds;
    sleep_until(start);
    for round in 0.. {
        let due = due(options, index, round, start);
        sleep_until(due);
        // An overdue open loop stops soon after the end instead of working off all that it owes.
        if due >= end || Instant::now() >= end + Duration::from_secs(2) {
            break;
        }
        outcome.bytes += exchange(&mut connection, options, &mut buffer)? as u64;
        outcome.record(due.elapsed());
    }
    Ok(())
}

/// When the round's request should be sent: connections take turns at an even pace, or at once in a closed loop.
fn due(options: &Options, index: usize, round: u64, start: Instant) -> Instant {
    let Some(rate) = options.rate else {
        return Instant::now();
    };
    let turn = round as f64 * options.connections as f64 + index as f64;
    start + Duration::from_secs_f64(turn / rate)
}

fn exchange(connection: &mut Connection, options: &Options, buffer: &mut Vec<u8>) -> io::Result<usize> {
    connection.send(&options.request)?;
    match connection.answer(buffer)? {
        (200, length) => Ok(length),
        (status, _) => Err(io::Error::other(format!(
            "answered {status}: {}",
            String::from_utf8_lossy(buffer)
        ))),
    }
}

fn sleep_until(when: Instant) {
    thread::sleep(when.saturating_duration_since(Instant::now()));
}
