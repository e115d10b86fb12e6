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
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};
use time::{OffsetDateTime, UtcDateTime, format_description::well_known::Rfc3339};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z; never negative.
///
/// Serialises as a NumericDate (RFC 7519 §2): whole seconds, with a fraction only where there is one that a number can say. Reads
/// such a number, or an RFC 3339 text such as `2027-01-31T12:00:00Z`. Nothing overflows: the far end is `u64::MAX` milliseconds.
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

    /// This many seconds later.
    #[cfg(feature = "jwt")]
    pub(crate) const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// A NumericDate: a JSON number of seconds, perhaps with a fraction, below 2^53 (RFC 7519 §2); `None` for anything else.
    #[cfg(feature = "jwt")]
    pub(crate) fn of_numeric_date(value: &serde_json::Value) -> Option<Self> {
        const END: f64 = 9_007_199_254_740_992.0;
        let seconds = value.as_f64().filter(|seconds| (0.0..END).contains(seconds))?;
        Some(value.as_u64().map_or_else(|| Self((seconds * 1000.0).round() as u64), Self::from_secs))
    }

    /// The full second that `self` lies in or before.
    pub(crate) const fn rounded_up(self) -> Self {
        Self::from_secs(self.0.div_ceil(1000))
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

/// The milliseconds that a number of seconds with a fraction can say: every one of the next quarter of a million years.
const FRACTIONS: Range<f64> = 0.0..9.0e15;

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let has_fraction = !self.0.is_multiple_of(1000) && FRACTIONS.contains(&(self.0 as f64));
        if has_fraction {
            serializer.serialize_f64(self.0 as f64 / 1000.0)
        } else {
            serializer.serialize_u64(self.as_secs())
        }
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
            fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<Timestamp, E> {
                let milliseconds = (seconds * 1000.0).round();
                if FRACTIONS.contains(&milliseconds) {
                    Ok(Timestamp::from_millis(milliseconds as u64))
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Float(seconds), &self))
                }
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

impl From<SystemTime> for Timestamp {
    /// The milliseconds since 1970, rounded down; a moment before that is 1970.
    fn from(moment: SystemTime) -> Self {
        let since_1970 = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
    }
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
        SystemTime::now().into()
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
        let fraction: Timestamp = serde_json::from_str("\"2026-01-01T00:00:00.5Z\"").unwrap();
        assert_eq!(serde_json::to_string(&fraction).unwrap(), "1767225600.5");
        assert_eq!(serde_json::from_str::<Timestamp>("1767225600.5").unwrap(), fraction);
        assert!(serde_json::from_str::<Timestamp>("-1").is_err());
        assert!(serde_json::from_str::<Timestamp>("-0.5").is_err());
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
    }

    #[test]
    fn the_far_end_saturates() {
        let end = Timestamp::from_secs(u64::MAX);
        assert_eq!(end.second_plus(1), end);
        assert_eq!(end.to_string(), end.as_secs().to_string());
        assert_eq!(Timestamp::default().seconds_left(end), 0);
        for milliseconds in [u64::MAX, 9_000_000_000_000_001, 8_999_999_999_999_999, 9_000_000_000_000_000] {
            let text = serde_json::to_string(&Timestamp::from_millis(milliseconds)).unwrap();
            let read: Timestamp = serde_json::from_str(&text).unwrap();
            assert_eq!(read.as_secs(), milliseconds / 1000, "what is written can be read");
        }
    }
}
