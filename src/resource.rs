//! Resource indicators: for whom the token is meant (RFC 8707).
//!
//! ```
//! use client_credentials::Audience;
//!
//! let audience: Audience = ["https://api.example.com"].into_iter().collect();
//! assert!(audience.contains("https://api.example.com"));
//! assert!(!audience.contains("https://api.example.com/")); // octet for octet
//! assert_eq!(serde_json::to_string(&audience)?, r#""https://api.example.com""#);
//! # Ok::<(), serde_json::Error>(())
//! ```

use crate::client::Client;
use crate::error::Reason;
use crate::uri;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;
use std::sync::Arc;

/// `resource` values in one request, at most.
const MAX_RESOURCES: usize = 16;

/// The resource servers that a token is for, each once, in order; empty means no restriction.
///
/// Cloning shares the list. JSON: one value is a string, several are an array (RFC 7519 §4.1.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience(Arc<[Arc<str>]>);

impl Audience {
    /// Whether the token is for nobody in particular.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `identifier` is one of them, octet for octet.
    pub fn contains(&self, identifier: &str) -> bool {
        self.iter().any(|own| own == identifier)
    }

    /// The identifiers in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|identifier| &**identifier)
    }
}

impl<S: Into<Arc<str>>> FromIterator<S> for Audience {
    fn from_iter<I: IntoIterator<Item = S>>(identifiers: I) -> Self {
        let mut distinct: Vec<Arc<str>> = Vec::new();
        // Of many, as a JWT may have whose signature is not verified yet, each is looked for in a set.
        let mut seen = BTreeSet::new();
        for identifier in identifiers {
            let identifier = identifier.into();
            if distinct.len() == MAX_RESOURCES && seen.is_empty() {
                seen.extend(distinct.iter().cloned());
            }
            let is_new =
                if seen.is_empty() { !distinct.contains(&identifier) } else { seen.insert(Arc::clone(&identifier)) };
            if is_new {
                distinct.push(identifier);
            }
        }
        Self(distinct.into())
    }
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            [one] => serializer.serialize_str(one),
            several => serializer.collect_seq(several.iter().map(|identifier| &**identifier)),
        }
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrSeveral {
            One(String),
            Several(Vec<String>),
        }
        Ok(match OneOrSeveral::deserialize(deserializer)? {
            OneOrSeveral::One(one) => [one].into_iter().collect(),
            OneOrSeveral::Several(several) => several.into_iter().collect(),
        })
    }
}

/// The server's side of the decision.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The resources that tokens may be for.
    pub(crate) known: Vec<Arc<str>>,
    /// The audience of a token where neither the request nor the client names one.
    pub(crate) default: Audience,
}

impl Rules {
    /// Decides the audience of a token (RFC 8707 §2).
    ///
    /// Each `resource` must be one of the server's and, where the client has a list, one of the client's; one that is not
    /// refuses the request. Compared octet for octet: since every known value is an absolute URI without fragment
    /// ([`uri::is_absolute`]), nothing else can match. Nothing requested: the client's `default_resources`, by the same rule,
    /// else the server's, as far as the client may ask for them.
    pub(crate) fn select<'a>(
        &self,
        client: &Client,
        requested: impl ExactSizeIterator<Item = &'a str>,
    ) -> Result<Audience, Reason> {
        if requested.len() > MAX_RESOURCES {
            return Err(Reason::TooManyResources);
        }
        match (&client.default_resources, &client.resources) {
            _ if requested.len() > 0 => requested.map(|value| self.permit(client, value)).collect(),
            (Some(default), _) => default.iter().map(|value| self.permit(client, value)).collect(),
            (None, None) => Ok(self.default.clone()),
            (None, Some(_)) => Ok(self.default.iter().filter_map(|value| self.permit(client, value).ok()).collect()),
        }
    }

    fn permit(&self, client: &Client, resource: &str) -> Result<Arc<str>, Reason> {
        if resource.len() > uri::MAX_OCTETS {
            return Err(Reason::TooManyResources);
        }
        let known = self.known.iter().find(|known| ***known == *resource).ok_or(Reason::UnknownResource)?;
        match &client.resources {
            Some(own) if !own.contains(resource) => Err(Reason::ResourceNotRegistered),
            _ => Ok(Arc::clone(known)),
        }
    }
}
