//! The serving side: from an accepted connection to an answer, one stage a module.
//!
//! `accept` (and identify) → `connection` → for each request `exchange`: `framing` and `body` (parse), `judge`
//! (select, decide, limit), `forward` (forward, filter), `account` (record), `answer` or `refuse`.

mod accept;
mod account;
mod activity;
mod answer;
mod body;
mod connection;
mod conversation;
mod denial;
mod exchange;
mod forward;
mod framing;
mod judge;
mod note;
mod refuse;

pub(crate) use accept::Door;
pub(crate) use answer::Answer;
pub(crate) use body::{Unread, discard, read as read_body};
pub(crate) use connection::Serving;
pub(crate) use framing::check as check_framing;
pub(crate) use refuse::problem_answer;
