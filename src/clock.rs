//! Time comes from outside: one reading a request, from a [`Clock`] that a test can set.
//!
//! ```
//! use client_credentials::{Clock, SystemClock, Timestamp};
//!
//! let now = SystemClock.now();
//! assert!(now > Timestamp::from_secs(1_700_000_000));
//! ```

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};
use time::{OffsetDateTime, UtcDateTime, format_description::well_known::Rfc3339};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z; never negative.
///
/// Serialises as a NumericDate of whole seconds (RFC 7519 §2); reads such a number, or an RFC 3339 text such as
/// `2027-01-31T12:00:00Z`. All arithmetic saturates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment this many milliseconds after 1970.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// The moment this many seconds after 1970.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down: a NumericDate (RFC 7519 §2).
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// This many seconds later than the whole second that `self` lies in.
    pub(crate) const fn second_plus(self, seconds: u64) -> Self {
        Self::from_secs(self.as_secs().saturating_add(seconds))
    }

    /// The whole seconds from `now` until `self`, rounded down; 0 when `self` is past.
    pub(crate) const fn seconds_left(self, now: Self) -> u64 {
        self.0.saturating_sub(now.0) / 1000
    }

    fn parse(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().map(Self)
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC, or the bare seconds where the year has more than four digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = i64::try_from(self.as_secs())
            .ok()
            .and_then(|seconds| UtcDateTime::from_unix_timestamp(seconds).ok())
            .and_then(|moment| moment.format(&Rfc3339).ok());
        match text {
            Some(text) => f.write_str(&text),
            None => write!(f, "{}", self.as_secs()),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.as_secs())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since 1970, or an RFC 3339 text")
            }
            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Timestamp, E> {
                Ok(Timestamp::from_secs(seconds))
            }
            fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Timestamp, E> {
                u64::try_from(seconds)
                    .map(Timestamp::from_secs)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(seconds), &self))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Where the server reads the time; the system's by default, a fixed one in tests.
///
/// Read once a request, in [`authenticate`](crate::AuthorizationServer::authenticate), so that `iat`, `exp` and
/// `expires_in` of one answer agree.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// The operating system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_are_the_same_moment() {
        let text: Timestamp = serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap();
        let number: Timestamp = serde_json::from_str("1767225600").unwrap();
        assert_eq!(text, number);
        assert_eq!(number.to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(serde_json::to_string(&text).unwrap(), "1767225600");
        assert!(serde_json::from_str::<Timestamp>("-1").is_err());
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
    }

    #[test]
    fn the_far_end_saturates() {
        let end = Timestamp::from_secs(u64::MAX);
        assert_eq!(end.second_plus(1), end);
        assert_eq!(end.to_string(), end.as_secs().to_string());
        assert_eq!(Timestamp::default().seconds_left(end), 0);
    }
}
