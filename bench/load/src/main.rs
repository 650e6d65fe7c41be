//! Bounded load for a proxy on loopback, over mTLS with one client certificate.
//!
//! Prints one line of `key=value` pairs; times are in microseconds. The program stops by itself after `--seconds`.
#![forbid(unsafe_code)]

mod connection;
mod handshake;
mod idle;
mod options;
mod requests;

use options::{Mode, Options};

const HELP: &str = "\
usage: load requests|handshake|idle ADDRESS --ca FILE --cert FILE --key FILE [options]

  requests    one thread a connection, one request at a time; with --rate, requests are sent at fixed
              times (open loop) and latency counts from when each was due, so that a stall is not hidden
  handshake   connect, full TLS 1.3 handshake, close, wait for the peer's close; nothing is resumed
  idle        open --connections connections, send one request on each, hold them for --seconds

  --plain            cleartext, without certificates
  --connections N    default 16
  --seconds S        default 5
  --rate R           requests a second over all connections; default 0, as fast as answers come
  --body FILE        what each request posts to /get-online-features";

fn main() {
    let options = match Options::from_arguments() {
        Ok(Some(options)) => options,
        Ok(None) => return println!("{HELP}"),
        Err(error) => {
            eprintln!("error: {error}\n\n{HELP}");
            std::process::exit(2);
        }
    };
    let result = match options.mode {
        Mode::Requests => requests::run(&options),
        Mode::Handshake => handshake::run(&options),
        Mode::Idle => idle::run(&options),
    };
    println!("{}", result.line(options.seconds));
}
