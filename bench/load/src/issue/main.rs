//! Bounded load for an issuer of certificates on loopback: featward's CA, or step-ca.
//!
//! `renew`, `batch` and `post` print `begin` when the warm-up is over and a line of `key=value` pairs at the end;
//! times are in microseconds. `hold` prints a line whenever all of its clients have got one step further.
#![forbid(unsafe_code)]

mod closed_loop;
mod connect;
mod hold;
mod message;
mod options;
mod post;
mod stream;

use options::{Mode, Options};

const HELP: &str = "\
usage: issue renew|batch|post|hold ADDRESS [options]

  renew   WatchIdentity over mTLS: one certificate request a message, the next when its SVID is there
  batch   the same with twenty a message, over the CA's UNIX socket (ADDRESS is a path)
  post    HTTP/1.1 over TLS: one POST at a time
  hold    keep streams open; a client that is cut off comes back as the sidecar does, and renews

  --ca FILE          roots of the server (all but batch)
  --clients FILE     certificates of the clients: leaf, intermediate, leaf, intermediate, ...
  --key FILE         the one key of all clients
  --csrs FILE        certificate requests, taken in turn
  --first N          the first of the clients that is used; default 0
  --connections N    default 1
  --warm S           seconds before what counts; default 1
  --seconds S        default 4
  --path PATH        what is posted to
  --bodies FILE      one body a line, each posted once; without it nothing is posted";

fn main() {
    let options = match Options::from_arguments() {
        Ok(Some(options)) => options,
        Ok(None) => return println!("{HELP}"),
        Err(error) => {
            eprintln!("error: {error}\n\n{HELP}");
            std::process::exit(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        runtime.block_on(tokio::task::LocalSet::new().run_until(async {
            match options.mode {
                Mode::Hold => hold::run(options).await,
                _ => closed_loop::run(options).await,
            }
        }))
    });
    if let Err(error) = done {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}
