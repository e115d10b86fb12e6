//! Rich authorization requests: what a token permits, told in objects that each have a type (RFC 9396).
//!
//! The server's configuration names the types that it knows, a client's registration those that it may use. What an object of a type
//! must look like is a closure's to say: see `AuthorizationServer::with_authorization_details_type`.
//!
//! ```
//! use client_credentials::AuthorizationDetails;
//! use serde_json::json;
//!
//! let details = AuthorizationDetails::new(json!([{ "type": "payment", "actions": ["initiate"], "limit": 1000 }]))?;
//! let payment = details.iter().next().ok_or("none")?;
//! assert_eq!((payment.type_name(), payment.get("limit")), ("payment", Some(1000)));
//! assert!(AuthorizationDetails::new(json!([{ "actions": ["initiate"] }])).is_err()); // without a type
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "rar")]
mod rules;

#[cfg(feature = "jwt")]
use crate::resource::Audience;
#[cfg(feature = "rar")]
pub(crate) use rules::{Rules, problem_of_types};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Granted authorization details: a JSON array of objects, each with a `type` (RFC 9396 §2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Map<String, Value>>")]
pub struct AuthorizationDetails(
    #[expect(clippy::box_collection, reason = "8 octets in a record that has none")] Box<Vec<AuthorizationDetail>>,
);

/// The value is no array of objects with a text `type`, or an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("authorization_details are an array of objects, each with a text member `type`")]
#[non_exhaustive]
pub struct InvalidAuthorizationDetails;

impl AuthorizationDetails {
    /// The details that `value` serialises to; for a rule of the embedder's own that grants others than were asked for.
    ///
    /// What is granted on request is at most 16 KiB and six levels deep, so that every resource server can read it; keep to that.
    ///
    /// # Errors
    /// [`InvalidAuthorizationDetails`] when that is no array of objects with a text `type`, or an empty one.
    pub fn new(value: impl Serialize) -> Result<Self, InvalidAuthorizationDetails> {
        let value = serde_json::to_value(value).map_err(|_| InvalidAuthorizationDetails)?;
        serde_json::from_value(value).map_err(|_| InvalidAuthorizationDetails)
    }

    /// The objects in order; there is one at least.
    pub fn iter(&self) -> impl Iterator<Item = &AuthorizationDetail> {
        self.0.iter()
    }

    /// What a token for this audience says: nothing that others alone are concerned with (RFC 9396 §9.1, §12).
    #[cfg(feature = "jwt")]
    pub(crate) fn of_audience(&self, audience: &Audience) -> impl Iterator<Item = &AuthorizationDetail> {
        self.iter().filter(|object| audience.is_empty() || object.concerns(audience))
    }
}

impl TryFrom<Vec<Map<String, Value>>> for AuthorizationDetails {
    type Error = InvalidAuthorizationDetails;
    fn try_from(details: Vec<Map<String, Value>>) -> Result<Self, InvalidAuthorizationDetails> {
        let typed = |object: &Map<String, Value>| object.get("type").is_some_and(Value::is_string);
        if details.is_empty() || !details.iter().all(typed) {
            return Err(InvalidAuthorizationDetails);
        }
        Ok(Self(Box::new(details.into_iter().map(AuthorizationDetail).collect())))
    }
}

/// One object of authorization details; `type` decides what its other members mean.
///
/// Numbers are integers of 64 bits, else of double precision.
///
/// RFC 9396 §2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AuthorizationDetail(Map<String, Value>);

impl AuthorizationDetail {
    /// Its `type`, which is compared octet for octet.
    pub fn type_name(&self) -> &str {
        self.0.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// The value of one member; `None` where it is not there, or is no `V`.
    pub fn get<V: DeserializeOwned>(&self, name: &str) -> Option<V> {
        self.0.get(name).and_then(|value| V::deserialize(value).ok())
    }

    /// The names of its members, `type` among them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The whole object as a `V`, such as a struct with a field for `type` and for each other member. With serde's
    /// `deny_unknown_fields` nothing else may stand there.
    ///
    /// # Errors
    /// [`InvalidMembers`] when it is no `V`.
    pub fn read<V: DeserializeOwned>(&self) -> Result<V, InvalidMembers> {
        serde_json::from_value(Value::Object(self.0.clone())).map_err(|error| InvalidMembers::of(&error))
    }

    /// Whether one of its `locations` is a resource server of `audience`, or lies below one; without any it is for each of them
    /// (RFC 9396 §2.2).
    #[cfg(feature = "jwt")]
    fn concerns(&self, audience: &Audience) -> bool {
        let Some(Value::Array(locations)) = self.0.get("locations") else { return true };
        let lies_at = |location: &str, server: &str| {
            let below = location.strip_prefix(server);
            below.is_some_and(|rest| rest.is_empty() || server.ends_with('/') || rest.starts_with(['/', '?', '#']))
        };
        let is_ours = |location: &str| audience.iter().any(|server| lies_at(location, server));
        locations.is_empty() || locations.iter().filter_map(Value::as_str).any(is_ours)
    }
}

/// An object has not the members that its reader wants; says what would be right, and repeats nothing of the object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
#[non_exhaustive]
pub struct InvalidMembers(String);

impl InvalidMembers {
    /// serde's text without what it quotes.
    fn of(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        Self(match text.rsplit_once(", expected ") {
            Some((problem, _)) if problem.starts_with("unknown field ") => "has an unknown member".to_owned(),
            Some((_, expected)) => format!("must be {expected}"),
            None => text,
        })
    }
}

impl From<InvalidMembers> for Cow<'static, str> {
    /// For a closure that hands it on as its cause.
    fn from(InvalidMembers(text): InvalidMembers) -> Self {
        text.into()
    }
}

/// Without the feature `rar` nobody is granted details.
#[cfg(not(feature = "rar"))]
pub(crate) struct Rules;

#[cfg(not(feature = "rar"))]
impl Rules {
    pub(crate) fn of(_: &crate::server::Config) -> Self {
        Self
    }

    /// Who asks for details is told so, and gets no weaker token (RFC 9396 §5).
    pub(crate) fn select(
        &self,
        _: &crate::client::Client,
        requested: Option<&str>,
    ) -> Result<Option<AuthorizationDetails>, crate::error::Reason> {
        requested.map_or(Ok(None), |_| Err(crate::error::Reason::AuthorizationDetailsNotSupported))
    }
}
