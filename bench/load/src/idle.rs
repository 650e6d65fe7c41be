//! Many connections that have done one request each and now do nothing.

use std::thread;
use std::time::Instant;

use crate::connection::Connection;
use crate::options::Options;
use load::result::Outcome;

pub fn run(options: &Options) -> Outcome {
    let mut outcome = Outcome::new();
    let mut buffer = Vec::new();
    let held: Vec<_> = (0..options.connections)
        .filter_map(|_| match open_one(options, &mut buffer, &mut outcome) {
            Ok(connection) => Some(connection),
            Err(error) => {
                eprintln!("idle: {error}");
                outcome.failed += 1;
                None
            }
        })
        .collect();
    // Whoever measures memory waits for this line.
    println!("open={}", held.len());
    thread::sleep(options.seconds);
    outcome
}

fn open_one(options: &Options, buffer: &mut Vec<u8>, outcome: &mut Outcome) -> std::io::Result<Connection> {
    let begun = Instant::now();
    let mut connection = Connection::open(options)?;
    connection.send(&options.request)?;
    match connection.answer(buffer)? {
        (200, length) => outcome.bytes += length as u64,
        (status, _) => return Err(std::io::Error::other(format!("answered {status}"))),
    }
    outcome.record(begun.elapsed());
    Ok(connection)
}
