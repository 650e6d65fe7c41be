//! A request has one reading or none; what is written says what was read; an answer keeps what was granted.

mod answers;
mod properties;
mod requests;

use featward_policy::ColumnType;

use super::*;
use crate::refusal::Reason;

/// A column of every declared type.
fn columns(name: &str) -> Option<ColumnType> {
    Some(match name {
        "driver_id" | "größe" => ColumnType::Int64,
        "small" => ColumnType::Int32,
        "val_to_add" => ColumnType::Double,
        "ratio" => ColumnType::Float,
        "city" => ColumnType::String,
        "active" => ColumnType::Bool,
        "blob" => ColumnType::Bytes,
        "since" => ColumnType::Timestamp,
        "list" => ColumnType::Other,
        _ => return None,
    })
}

/// What is read where the caller may know of the catalogue.
fn parsed(body: &[u8]) -> Result<Read<'_>, Fault> {
    parse(body, columns, &ParseLimits::default()).and_then(Read::sound)
}

fn read(body: &str) -> Result<Read<'_>, Reason> {
    parsed(body.as_bytes()).map_err(|fault| fault.reason)
}

fn written(body: &str) -> String {
    String::from_utf8(read(body).unwrap().write(None)).unwrap()
}
