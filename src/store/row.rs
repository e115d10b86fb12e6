//! A record as databases keep it: its key, its end in milliseconds, and what it says as JSON.

use super::StoreError;
use crate::clock::Timestamp;
use crate::token::{Record, RecordKey};

/// How long a record stays after its end where several nodes see it, in milliseconds: those whose clocks differ by less agree on what is
/// used up and what is revoked.
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(super) const GRACE: i64 = 60_000;

/// A record in columns.
pub(super) struct Row {
    pub(super) key: RecordKey,
    pub(super) expires_at: i64,
    pub(super) value: String,
}

impl Row {
    pub(super) fn of(record: &Record) -> Result<Self, StoreError> {
        let value = serde_json::to_string(&record.value).map_err(StoreError::new)?;
        Ok(Self { key: record.key, expires_at: milliseconds(record.expires_at), value })
    }

    /// The record of a row with this key.
    pub(super) fn read(key: RecordKey, expires_at: i64, value: &str) -> Result<Record, StoreError> {
        let value = serde_json::from_str(value).map_err(|error| StoreError::new(Unreadable(error)))?;
        Ok(Record::new(key, Timestamp::from_millis(u64::try_from(expires_at).unwrap_or_default()), value))
    }
}

/// Milliseconds since 1970, as databases count; nothing that ends lies beyond them.
pub(super) fn milliseconds(moment: Timestamp) -> i64 {
    i64::try_from(moment.as_millis()).unwrap_or(i64::MAX)
}

/// A row is not what this crate writes.
#[derive(Debug, thiserror::Error)]
#[error("a stored record cannot be read: {0}")]
struct Unreadable(#[source] serde_json::Error);
