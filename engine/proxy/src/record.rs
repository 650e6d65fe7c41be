//! The decision record: one line of JSON for each decision, given to the kernel before the first byte of the answer.
//!
//! A line is one `write(2)` to a file opened for appending, so that lines of several threads never mix and a
//! killed process loses none: what the kernel has is not ours to lose. There is no buffer, on purpose. The line
//! names features and rows, never the values of entities.
//!
//! Whoever rotates the file renames it and asks for it to be opened again. A line that is being written meanwhile
//! goes whole to the file before, so that none is lost between the two. Where nobody does, and the disk is small, the
//! recorder moves a full file away itself and keeps that one beside the present one.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

/// Where lines go.
#[derive(Debug)]
pub(crate) struct Recorder {
    path: Option<PathBuf>,
    file: ArcSwapOption<Opened>,
    /// The size at which a file is full; `u64::MAX` for none.
    full: u64,
    /// Held while the file is changed for another, with why that failed the last time.
    changing: Mutex<Option<io::Error>>,
}

#[derive(Debug)]
struct Opened {
    file: File,
    /// The last line was written in part (a full disk), so the next must begin on its own.
    torn: AtomicBool,
    /// How much is in it, as far as we know; stays 0 for a pipe or a device, which is never full.
    length: AtomicU64,
    is_file: bool,
}

/// Longer than any sensible name. Callers choose the names that are recorded, and must not fill the disk with them.
const NAME_BYTES: usize = 256;

impl Recorder {
    /// Append to this file, or record nothing without one. Above `full` bytes it is moved away; 0 for never.
    pub(crate) fn open(path: Option<&Path>, full: u64) -> io::Result<Recorder> {
        let opened = path.map(Opened::open).transpose()?;
        Ok(Recorder {
            path: path.map(Path::to_owned),
            file: ArcSwapOption::new(opened.map(Arc::new)),
            full: if full == 0 { u64::MAX } else { full },
            changing: Mutex::default(),
        })
    }

    /// Append from now on to the file that has the path now. Where it cannot be opened, the one before stays.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        let _changing = self.changing.lock();
        if let Some(path) = &self.path {
            self.file.store(Some(Arc::new(Opened::open(path)?)));
        }
        Ok(())
    }

    /// Whether anything is kept at all.
    pub(crate) fn is_on(&self) -> bool {
        self.path.is_some()
    }

    /// Write one finished line.
    pub(crate) fn write(&self, line: &[u8]) -> io::Result<()> {
        let opened = self.file.load();
        let Some(opened) = &*opened else {
            return Ok(());
        };
        if opened.fits(line, self.full) {
            opened.write(line)
        } else {
            self.changed(opened).write(line)
        }
    }

    /// Why a full file could not be moved away, if that failed since the last time this was asked.
    pub(crate) fn unmoved(&self) -> Option<io::Error> {
        match self.full {
            u64::MAX => None,
            _ => self.changing.lock().take(),
        }
    }

    /// The file to write to instead of a full one. Where it cannot be changed lines still go to the full one, and it
    /// is tried again when as much has come once more: the record is worth more than the room.
    fn changed(&self, full: &Arc<Opened>) -> Arc<Opened> {
        let mut changing = self.changing.lock();
        let (Some(present), Some(path)) = (self.file.load_full(), &self.path) else {
            return Arc::clone(full);
        };
        if !Arc::ptr_eq(&present, full) {
            return present;
        }
        match full.move_away(path).and_then(|()| Opened::open(path)) {
            Ok(fresh) => {
                let fresh = Arc::new(fresh);
                self.file.store(Some(Arc::clone(&fresh)));
                fresh
            }
            Err(error) => {
                full.length.store(0, Ordering::Relaxed);
                *changing = Some(error);
                Arc::clone(full)
            }
        }
    }
}

impl Opened {
    fn open(path: &Path) -> io::Result<Opened> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let torn = AtomicBool::new(ends_torn(&file));
        let facts = file.metadata()?;
        Ok(Opened {
            torn,
            length: AtomicU64::new(facts.len()),
            is_file: facts.is_file(),
            file,
        })
    }

    /// Whether one more line leaves it within this size. One that holds nothing takes a line of any length.
    fn fits(&self, line: &[u8], full: u64) -> bool {
        let length = self.length.load(Ordering::Relaxed);
        !self.is_file || length == 0 || length.saturating_add(line.len() as u64) <= full
    }

    /// Give the path up to a new file. If it is another file's by now, somebody else has moved this one, and must not
    /// lose what they kept.
    fn move_away(&self, path: &Path) -> io::Result<()> {
        let ours = self.file.metadata()?;
        match fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {
                let mut kept = path.as_os_str().to_owned();
                kept.push(".1");
                fs::rename(path, kept)
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        if self.torn.swap(false, Ordering::AcqRel) {
            let fresh = [b"\n", line].concat();
            let written = self.write_once(&fresh);
            // As long as the disk takes nothing, the torn line is still the last one.
            self.torn.fetch_or(written.is_err(), Ordering::AcqRel);
            return written;
        }
        self.write_once(line)
    }

    fn write_once(&self, line: &[u8]) -> io::Result<()> {
        let mut file = &self.file;
        loop {
            match file.write(line) {
                Ok(written) if written == line.len() => {
                    self.length.fetch_add(written as u64, Ordering::Relaxed);
                    return Ok(());
                }
                Ok(_) => {
                    self.torn.store(true, Ordering::Release);
                    return Err(io::ErrorKind::WriteZero.into());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether an earlier process left half a line behind. What cannot be read (a pipe, a device) holds no lines.
fn ends_torn(file: &File) -> bool {
    let length = file.metadata().map_or(0, |facts| facts.len());
    let mut last = [b'\n'];
    length > 0 && file.read_exact_at(&mut last, length - 1).is_ok() && last != *b"\n"
}

/// A line in the making. Written by hand because a general serialiser would want every value borrowed at once,
/// while a line is begun at the decision and ended after the upstream's answer.
#[derive(Debug)]
pub(crate) struct Line {
    bytes: Vec<u8>,
}

impl Line {
    /// Begin a line of this kind.
    pub(crate) fn new(kind: &'static str) -> Line {
        let mut bytes = Vec::with_capacity(1024);
        bytes.extend_from_slice(b"{\"kind\":\"");
        bytes.extend_from_slice(kind.as_bytes());
        bytes.push(b'"');
        Line { bytes }
    }

    /// A time, in RFC 3339.
    pub(crate) fn time(&mut self, key: &'static str, time: std::time::Duration) {
        self.key(key);
        self.bytes.push(b'"');
        crate::clock::write_rfc3339(&mut self.bytes, time);
        self.bytes.push(b'"');
    }

    /// A text, escaped.
    pub(crate) fn text(&mut self, key: &'static str, value: &str) {
        self.key(key);
        write_string(&mut self.bytes, value);
    }

    /// A name that a caller chose.
    pub(crate) fn name(&mut self, key: &'static str, value: &str) {
        self.text(key, &shortened(value));
    }

    /// A text or null.
    pub(crate) fn optional(&mut self, key: &'static str, value: Option<&str>) {
        match value {
            Some(value) => self.text(key, value),
            None => self.null(key),
        }
    }

    /// A text of plain letters and digits.
    pub(crate) fn digits(&mut self, key: &'static str, value: &[u8]) {
        self.key(key);
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(value);
        self.bytes.push(b'"');
    }

    /// A whole number.
    pub(crate) fn number(&mut self, key: &'static str, value: u64) {
        self.key(key);
        self.bytes
            .extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Seconds, to the microsecond.
    pub(crate) fn seconds(&mut self, key: &'static str, value: std::time::Duration) {
        self.key(key);
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        let _ = write!(self.bytes, "{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    }

    /// True or false.
    pub(crate) fn flag(&mut self, key: &'static str, value: bool) {
        self.key(key);
        self.bytes
            .extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Null.
    pub(crate) fn null(&mut self, key: &'static str) {
        self.key(key);
        self.bytes.extend_from_slice(b"null");
    }

    /// A list of names that a caller chose.
    pub(crate) fn list<'a>(&mut self, key: &'static str, values: impl Iterator<Item = &'a str>) {
        self.key(key);
        self.bytes.push(b'[');
        for (position, value) in values.enumerate() {
            if position > 0 {
                self.bytes.push(b',');
            }
            write_string(&mut self.bytes, &shortened(value));
        }
        self.bytes.push(b']');
    }

    /// The finished line.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(b"}\n");
        self.bytes
    }

    fn key(&mut self, key: &'static str) {
        self.bytes.extend_from_slice(b",\"");
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }
}

/// A name that a caller chose, cut where it is longer than any real one.
pub(crate) fn shortened(name: &str) -> Cow<'_, str> {
    if name.len() <= NAME_BYTES {
        return Cow::Borrowed(name);
    }
    // Zero is a boundary, so there is always one.
    let end = (0..=NAME_BYTES).rev().find(|end| name.is_char_boundary(*end));
    Cow::Owned(format!("{}…", &name[..end.unwrap_or_default()]))
}

/// Everything but plain ASCII is escaped: terminals act on more control characters than JSON escapes, and some
/// readers take U+0085 or U+2028 for the end of the line.
fn write_string(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    // Every byte is looked at, without an early end: so the compiler looks at sixteen at a time.
    if value.bytes().fold(true, |all, byte| all & plain(byte)) {
        out.extend_from_slice(value.as_bytes());
    } else {
        value.chars().for_each(|letter| write_escaped(out, letter));
    }
    out.push(b'"');
}

fn write_escaped(out: &mut Vec<u8>, letter: char) {
    match letter {
        '"' | '\\' => out.extend_from_slice(&[b'\\', letter as u8]),
        ' '..='~' => out.push(letter as u8),
        _ => {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                // Cannot fail: a Vec takes every byte.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn line() -> Line {
        let mut line = Line::new("decision");
        line.time("time", Duration::from_millis(1_795_401_905_123));
        line.text("peer", "a\"b\\c\n\u{1}ü");
        line.optional("service", None);
        line.number("rows", 20);
        line.list("features", ["v:a", "v:b"].into_iter());
        line.flag("applied", true);
        line.seconds("seconds", Duration::from_micros(1_200));
        line
    }

    #[test]
    fn a_line_is_one_json_object_whatever_its_texts_hold() {
        let bytes = line().finish();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            value,
            json!({"kind": "decision", "time": "2026-11-23T02:45:05.123Z", "peer": "a\"b\\c\n\u{1}ü", "service": null,
                   "rows": 20, "features": ["v:a", "v:b"], "applied": true, "seconds": 0.0012})
        );
    }

    #[test]
    fn lines_are_appended_to_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.jsonl");
        for _ in 0..2 {
            Recorder::open(Some(&path), 0)
                .unwrap()
                .write(&line().finish())
                .unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn a_file_that_was_moved_gets_lines_until_the_path_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("record.jsonl"), folder.path().join("record.1"));
        let recorder = Recorder::open(Some(&path), 0).unwrap();
        recorder.write(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        recorder.write(b"two\n").unwrap();
        recorder.reopen().unwrap();
        recorder.write(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_path_that_cannot_be_opened_again_leaves_the_file_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.jsonl");
        let moved = folder.path().join("record.1");
        let recorder = Recorder::open(Some(&path), 0).unwrap();
        std::fs::rename(&path, &moved).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(recorder.reopen().is_err());
        recorder.write(b"one\n").unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\n");
    }

    #[test]
    fn a_full_record_is_moved_away_and_no_line_is_lost() {
        const LINES: usize = 1000;
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (
            folder.path().join("record.jsonl"),
            folder.path().join("record.jsonl.1"),
        );
        // Ten bytes a line, so that it is full once.
        let recorder = Recorder::open(Some(&path), 6000).unwrap();
        std::thread::scope(|threads| {
            for thread in 0..4 {
                let recorder = &recorder;
                threads.spawn(move || {
                    for number in (thread..LINES).step_by(4) {
                        recorder.write(format!("{number:09}\n").as_bytes()).unwrap();
                    }
                });
            }
        });
        let (before, after) = (
            fs::read_to_string(&moved).unwrap(),
            fs::read_to_string(&path).unwrap(),
        );
        assert!(
            before.len() >= 6000 && after.len() <= 4000,
            "{} {}",
            before.len(),
            after.len()
        );
        let mut numbers: Vec<usize> = before
            .lines()
            .chain(after.lines())
            .map(|l| l.parse().unwrap())
            .collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..LINES));
    }

    #[test]
    fn a_file_that_somebody_else_moved_is_not_moved_over_what_they_kept() {
        let folder = tempfile::tempdir().unwrap();
        let [path, kept, theirs] =
            ["record.jsonl", "record.jsonl.1", "record.old"].map(|name| folder.path().join(name));
        let recorder = Recorder::open(Some(&path), 10).unwrap();
        fs::write(&kept, "kept\n").unwrap();
        recorder.write(b"one\n").unwrap();
        fs::rename(&path, &theirs).unwrap();
        recorder.write(b"and more\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "and more\n");
        fs::rename(&path, &theirs).unwrap();
        fs::write(&path, "of others\n").unwrap();
        recorder.write(b"last\n").unwrap();
        assert_eq!(fs::read_to_string(&kept).unwrap(), "kept\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "of others\nlast\n");
        assert!(recorder.unmoved().is_none());
    }

    #[test]
    fn a_record_that_cannot_be_moved_goes_on_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.jsonl");
        fs::create_dir(folder.path().join("record.jsonl.1")).unwrap();
        let recorder = Recorder::open(Some(&path), 10).unwrap();
        for line in ["one\n", "and more\n", "last\n"] {
            recorder.write(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nand more\nlast\n");
        assert!(recorder.unmoved().is_some());
        assert!(recorder.unmoved().is_none(), "said once");
    }

    #[test]
    fn a_disk_that_takes_nothing_is_an_error() {
        let recorder = Recorder::open(Some(Path::new("/dev/full")), 1).unwrap();
        assert!(recorder.write(b"x\n").is_err());
    }

    #[test]
    fn a_line_is_one_line_for_every_reader_and_inert_on_a_terminal() {
        let name = "v:\u{2028}\u{85}\u{9b}31m\u{7f}\u{1f600}\u{202e}";
        let mut line = line();
        line.name("name", name);
        let bytes = line.finish();
        assert!(
            bytes[..bytes.len() - 1]
                .iter()
                .all(|byte| matches!(byte, b' '..=b'~'))
        );
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["name"], name);
    }

    #[test]
    fn a_name_of_a_caller_cannot_make_a_long_line() {
        let mut line = Line::new("decision");
        line.list("features", [&*"é".repeat(500_000)].into_iter());
        line.name("service", &"x".repeat(1_000_000));
        assert!(line.finish().len() < 3000);
    }

    #[test]
    fn a_torn_line_is_remembered_until_the_disk_takes_a_whole_one() {
        let opened = Opened::open(Path::new("/dev/full")).unwrap();
        opened.torn.store(true, Ordering::Release);
        assert!(opened.write(b"{}\n").is_err());
        assert!(opened.torn.load(Ordering::Acquire));
    }

    #[test]
    fn a_torn_line_of_an_earlier_process_costs_no_line_of_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.jsonl");
        std::fs::write(&path, "{\"torn\":").unwrap();
        Recorder::open(Some(&path), 0).unwrap().write(b"{}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"torn\":\n{}\n");
    }

    #[test]
    fn a_line_after_a_torn_one_begins_on_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.jsonl");
        let opened = Opened::open(&path).unwrap();
        opened.write(b"{\"torn\":").unwrap();
        opened.torn.store(true, Ordering::Release);
        opened.write(b"{}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"torn\":\n{}\n");
    }
}
