//! Scope: its grammar, and the decision what a client gets of what it asked for (RFC 6749 §3.3).
//!
//! ```
//! use client_credentials::Scope;
//!
//! let scope = Scope::parse("write read write")?;
//! assert_eq!(scope.as_str(), "write read"); // order of first use, each once
//! assert!(scope.contains("read") && !scope.contains("Read"));
//! assert!(Scope::parse("read  write").is_err()); // single spaces only
//! # Ok::<(), client_credentials::InvalidScope>(())
//! ```

use crate::client::Client;
use crate::error::Reason;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Octets of one scope value, at most.
const MAX_OCTETS: usize = 4096;
/// Tokens in one scope value, at most.
const MAX_TOKENS: usize = 64;
/// Octets of one scope token, at most.
const MAX_TOKEN_OCTETS: usize = 256;

/// A set of scope tokens in order of first use, kept as the text that goes over the wire.
///
/// Cloning shares the text. [`Scope::parse`] never makes an empty one; [`Scope::default`] is empty and stands for a
/// token without scope. Limits of a parsed value: 4096 octets, 64 tokens, 256 octets a token.
///
/// RFC 6749 §3.3.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Scope(Arc<str>);

/// The text does not follow RFC 6749 §3.3, or is over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope is tokens of %x21 / %x23-5B / %x5D-7E parted by single spaces; at most 64 of at most 256 octets")]
#[non_exhaustive]
pub struct InvalidScope;

impl Scope {
    /// Reads a scope value: `scope-token *( SP scope-token )`.
    ///
    /// # Errors
    /// [`InvalidScope`] for any other character, an empty value, a space that is not between two tokens, or a breach of a limit.
    pub fn parse(value: &str) -> Result<Self, InvalidScope> {
        check(value)?;
        if has_repeated_token(value) { Ok(Self::of_distinct(value.split(' '))) } else { Ok(Self(value.into())) }
    }

    /// The scope of these tokens, each of them one word; empty for no tokens. The limits on a whole value are for requests;
    /// an operator's list may be longer.
    ///
    /// # Errors
    /// [`InvalidScope`] where a token is empty, over 256 octets, or has a character outside the grammar.
    pub fn from_tokens<I: IntoIterator<Item: AsRef<str>>>(tokens: I) -> Result<Self, InvalidScope> {
        let tokens: Vec<I::Item> = tokens.into_iter().collect();
        if !tokens.iter().all(|token| is_token(token.as_ref())) {
            return Err(InvalidScope);
        }
        Ok(Self::of_distinct(tokens.iter().map(AsRef::as_ref)))
    }

    /// The value as it stands in requests and answers: tokens parted by single spaces.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no token in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tokens in order.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split_ascii_whitespace() // by octets: no other white space can be in it
    }

    /// Whether `token` is in it, octet for octet.
    pub fn contains(&self, token: &str) -> bool {
        *self.0 == *token && !token.is_empty() || self.tokens().any(|own| own == token)
    }

    /// Whether every token of `other` is in it.
    pub fn contains_all(&self, other: &Self) -> bool {
        self.0 == other.0 || other.tokens().all(|token| self.contains(token))
    }

    /// Each token once, in order of first use. By a set: the scope of a JWT is long if its sender likes, and read before its
    /// signature is verified.
    fn of_distinct<'a>(tokens: impl Iterator<Item = &'a str>) -> Self {
        let mut seen = BTreeSet::new();
        let distinct: Vec<&str> = tokens.filter(|token| seen.insert(*token)).collect();
        if distinct.is_empty() { Self::default() } else { Self(distinct.join(" ").into()) }
    }
}

/// `scope = scope-token *( SP scope-token )` (RFC 6749 §3.3), within the limits of a request; looks at each octet once.
fn check(value: &str) -> Result<(), InvalidScope> {
    let (mut tokens, mut octets) = (1, 0);
    for octet in value.bytes().take(MAX_OCTETS + 1) {
        match octet {
            b' ' if octets > 0 => (tokens, octets) = (tokens + 1, 0),
            octet if is_of_token(octet) && octets < MAX_TOKEN_OCTETS => octets += 1,
            _ => return Err(InvalidScope),
        }
    }
    let within = value.len() <= MAX_OCTETS && tokens <= MAX_TOKENS && octets > 0;
    if within { Ok(()) } else { Err(InvalidScope) }
}

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )` (RFC 6749 §3.3).
fn is_token(token: &str) -> bool {
    (1..=MAX_TOKEN_OCTETS).contains(&token.len()) && token.bytes().all(is_of_token)
}

fn is_of_token(octet: u8) -> bool {
    matches!(octet, 0x21 | 0x23..=0x5B | 0x5D..=0x7E)
}

fn has_repeated_token(value: &str) -> bool {
    let mut rest = value;
    while let Some((token, after)) = rest.split_once(' ') {
        if after.split(' ').any(|other| other == token) {
            return true;
        }
        rest = after;
    }
    false
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({:?})", &*self.0)
    }
}

impl std::str::FromStr for Scope {
    type Err = InvalidScope;
    fn from_str(value: &str) -> Result<Self, InvalidScope> {
        Self::parse(value)
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Scope {
    /// Reads the space-separated text of a registration or a record, of any length; the empty text is the empty scope.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let tokens = (!text.is_empty()).then(|| text.split(' ')).into_iter().flatten();
        Self::from_tokens(tokens).map_err(de::Error::custom)
    }
}

/// What happens to a request for more scope than the client may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ScopePolicy {
    /// One token that is not permitted refuses the request with `invalid_scope`.
    #[default]
    Strict,
    /// What is not permitted is dropped and the answer says what is left; nothing left is `invalid_scope`.
    Narrow,
}

/// The server's side of the decision.
#[derive(Debug)]
pub(crate) struct Rules {
    /// What the server offers; `None`: no list, the registrations decide.
    pub(crate) offered: Option<Scope>,
    /// Granted to a client without a default of its own that asks for none.
    pub(crate) default: Scope,
    pub(crate) policy: ScopePolicy,
}

impl Rules {
    /// Decides the scope of a token (RFC 6749 §3.3).
    ///
    /// * A client without a registered `scope` is registered for exactly the server's default scopes.
    /// * Nothing requested: the client's default, else the server's, each within what the client may have; never "all".
    ///   An explicitly empty default of the client gives a token without scope.
    /// * Something requested: each token must be offered by the server and registered for the client.
    pub(crate) fn select(&self, client: &Client, requested: Option<&str>) -> Result<Scope, Reason> {
        let registered = client.scope.as_ref().unwrap_or(&self.default);
        let Some(requested) = requested else {
            let (default, absent) = match &client.default_scope {
                Some(default) if default.is_empty() => return Ok(Scope::default()),
                Some(default) => (default, Reason::ScopeNotPermitted),
                None => (&self.default, Reason::NoDefaultScope),
            };
            return match self.permitted(default.clone(), registered) {
                Permitted::Whole(scope) | Permitted::Part(scope) => Ok(scope),
                Permitted::Nothing => Err(absent),
            };
        };
        let known = [Some(registered), client.default_scope.as_ref()].into_iter().flatten();
        let requested = match known.into_iter().find(|known| known.as_str() == requested && !known.is_empty()) {
            Some(same) => same.clone(), // the ordinary request: nothing to check again, nothing to copy
            None => Scope::parse(requested).map_err(|InvalidScope| Reason::MalformedScope)?,
        };
        match (self.permitted(requested, registered), self.policy) {
            (Permitted::Whole(scope), _) | (Permitted::Part(scope), ScopePolicy::Narrow) => Ok(scope),
            (Permitted::Part(_), ScopePolicy::Strict) | (Permitted::Nothing, _) => Err(Reason::ScopeNotPermitted),
        }
    }

    /// The part of `wanted` that the server offers and the client is registered for.
    fn permitted(&self, wanted: Scope, registered: &Scope) -> Permitted {
        let lists = [Some(registered), self.offered.as_ref()];
        if wanted.is_empty() {
            return Permitted::Nothing;
        }
        if lists.iter().flatten().all(|list| list.contains_all(&wanted)) {
            return Permitted::Whole(wanted);
        }
        let may = |token: &&str| lists.iter().flatten().all(|list| list.contains(token));
        let part = Scope::of_distinct(wanted.tokens().filter(may));
        if part.is_empty() { Permitted::Nothing } else { Permitted::Part(part) }
    }
}

/// What is left of a scope that was asked for.
enum Permitted {
    Whole(Scope),
    Part(Scope),
    Nothing,
}
