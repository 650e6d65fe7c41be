//! HTTP/2 frames by hand, as no client library sends what some tests need.

use super::{PRICING, SCORING};
use super::{Scene, Wire};

pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
const END_STREAM_AND_HEADERS: u8 = 5;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A request's head, every field a literal without index (RFC 7541 section 6.2.2).
pub fn head(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    let base = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/get-online-features"),
        (":authority", "a"),
    ];
    let mut block = Vec::new();
    for (name, value) in base.iter().chain(more) {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    frame(HEADERS, END_STREAM_AND_HEADERS, stream, &block)
}

pub fn connect(scene: &Scene) -> Wire {
    let mut wire = Wire::tls(scene.mtls, &scene.caller(PRICING), SCORING, &["h2"]);
    wire.send(
        &[
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(SETTINGS, 0, 0, &[]),
        ]
        .concat(),
    );
    wire
}

/// The next frame that is not one of these kinds: kind, stream, payload.
pub fn next(wire: &mut Wire, but: &[u8]) -> Option<(u8, u32, Vec<u8>)> {
    loop {
        let head = wire.take(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = wire.take(length)?;
        if !but.contains(&head[3]) {
            return Some((
                head[3],
                u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
                payload,
            ));
        }
    }
}
