//! Records what ended before there was a request to keep an account of: refused handshakes, and bytes that are no
//! HTTP. Anybody who reaches the port can cause these, so they are rate-limited; the rest is only counted.

use std::net::IpAddr;
use std::sync::Arc;

use crate::clock;
use crate::record::Line;
use crate::refusal::Reason;
use crate::state::State;
use crate::tally::Tally;
use crate::tls::HandshakeError;
use crate::visitor::Visitor;

/// A handshake that did not lead to a connection.
pub(crate) fn handshake(state: &State, from: IpAddr, via: &'static str, error: &HandshakeError) {
    if !state.recorder.is_on() {
        return;
    }
    if !state.strangers.may_write() {
        state.metrics.records_dropped.inc();
        return;
    }
    let mut line = Line::new("handshake");
    line.time("time", clock::now());
    line.text("source", &from.to_canonical().to_string());
    line.text("via", via);
    line.text("outcome", Tally::Denied.as_str());
    line.text("reason", error.cause());
    line.text("detail", &error.to_string());
    write(state, line);
}

/// A request that hyper could not read and has answered with 400 itself.
pub(crate) fn unreadable(state: &State, visitor: &Visitor) {
    let reason = Reason::BadFraming.as_str();
    let label: Arc<str> = "".into();
    state.metrics.ended(
        &label,
        "none",
        Tally::BadRequest,
        reason,
        std::time::Duration::ZERO,
    );
    state.callers.count(
        &visitor.caller,
        Tally::BadRequest,
        reason,
        (&label, 0),
        std::iter::empty(),
    );
    if !state.recorder.is_on() {
        return;
    }
    if !state.strangers.may_write() {
        state.metrics.records_dropped.inc();
        return;
    }
    let mut line = Line::new("decision");
    line.time("time", clock::now());
    line.optional("peer", visitor.identity().map(|identity| identity.as_str()));
    line.text("source", &visitor.source);
    line.text("via", visitor.via);
    line.text("outcome", Tally::BadRequest.as_str());
    line.flag("applied", true);
    line.text("reason", reason);
    write(state, line);
}

fn write(state: &State, line: Line) {
    // Nobody waits for an answer, so a failure can only be counted.
    let _ = state.write_record(&line.finish());
}
