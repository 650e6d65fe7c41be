//! The sidecar's own bearer token for a feature server that asks for one (`upstreamAuth: token`). Platforms renew
//! such tokens in place, so the file is looked at again every few seconds, and read again when it changed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;
use parking_lot::Mutex;

/// Projected tokens are renewed minutes before they expire; this is soon enough, and no system call a request.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The file and what it held.
#[derive(Debug)]
pub(crate) struct Token {
    path: Option<PathBuf>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    looked: Option<Instant>,
    changed: Option<SystemTime>,
    header: Option<HeaderValue>,
}

impl Token {
    pub(crate) fn new(path: Option<PathBuf>) -> Token {
        Token {
            path,
            held: Mutex::default(),
        }
    }

    /// `Bearer …`, marked as secret; None when there is no file or nothing usable in it.
    pub(crate) fn header(&self, now: Instant) -> Option<HeaderValue> {
        let path = self.path.as_deref()?;
        let mut held = self.held.lock();
        if held
            .looked
            .is_none_or(|looked| now.duration_since(looked) >= LOOK_EVERY)
        {
            held.looked = Some(now);
            held.look(path);
        }
        held.header.clone()
    }
}

impl Held {
    fn look(&mut self, path: &Path) {
        let changed = std::fs::metadata(path).and_then(|facts| facts.modified()).ok();
        if changed.is_some() && changed == self.changed {
            return;
        }
        self.header = std::fs::read_to_string(path)
            .ok()
            .and_then(|text| bearer(text.trim()));
        // What could not be read, or was half written, is read again at the next look.
        self.changed = changed.filter(|_| self.header.is_some());
    }
}

fn bearer(token: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
        .ok()
        .filter(|_| !token.is_empty())?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewed_token_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "one\n").unwrap();
        let token = Token::new(Some(path.clone()));
        let start = Instant::now();
        assert_eq!(token.header(start).unwrap(), "Bearer one");
        std::fs::write(&path, "two").unwrap();
        let past = std::fs::File::options().write(true).open(&path).unwrap();
        past.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(token.header(start + LOOK_EVERY).unwrap(), "Bearer two");
        assert!(token.header(start).unwrap().is_sensitive());
    }

    #[test]
    fn a_token_that_could_not_be_read_once_is_read_at_the_next_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "").unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let token = Token::new(Some(path.clone()));
        let start = Instant::now();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(token.header(start).is_none());
        std::fs::write(&path, "one").unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(token.header(start + LOOK_EVERY).unwrap(), "Bearer one");
    }

    #[test]
    fn without_a_file_there_is_no_token() {
        assert!(Token::new(None).header(Instant::now()).is_none());
        assert!(
            Token::new(Some("/nowhere/token".into()))
                .header(Instant::now())
                .is_none()
        );
    }
}
