//! Federation: another issuer's JWT speaks for a client, so that a workload needs no secret of its own.
//!
//! A Kubernetes service account token, a SPIFFE JWT-SVID, the OpenID Connect token of a CI job: the platform has vouched for the
//! workload already. Issuer, subject and audience are compared octet for octet; there are no wildcards.

use crate::jose::{self, JwkSet};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An issuer that a client trusts to speak for it.
///
/// The client sends the issuer's JWT as `client_assertion`, and its own `client_id` beside it. The JWT must have this `iss`, this
/// `sub`, this `aud` and no other, every one of `claims`, and an `exp`. No issuer of a client is called like the client, and no two
/// have both `issuer` and `subject` in common.
///
/// A platform's token is the same until it expires, so by default it may be used more than once: whoever copies it has
/// what the workload has, for that long. Keep its life short, and set `one_time` where the issuer makes a new token for each use.
///
/// ```
/// use client_credentials::Client;
///
/// let client: Client = serde_json::from_value(serde_json::json!({
///     "client_id": "billing", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt",
///     "federated": [{
///         "issuer": "https://kubernetes.example.com", "subject": "system:serviceaccount:prod:billing",
///         "audience": "https://as.example.com", "jwks_uri": "https://kubernetes.example.com/openid/v1/jwks",
///         "claims": { "kubernetes.io": { "namespace": "prod" } }
///     }]
/// }))?;
/// assert_eq!(client.federated[0].max_lifetime, 3600);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// RFC 7521 §4.2, RFC 7523 §3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FederatedIssuer {
    /// Its `iss`.
    pub issuer: String,
    /// The `sub` that stands for the client.
    pub subject: String,
    /// The one `aud` that the JWT must have; `None`: the authorization server's issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Its public keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<JwkSet>,
    /// Where it publishes its public keys, in place of `jwks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Further claims that the JWT must have: values are equal, and of an object each member that is named here is.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
    /// Seconds from now until `exp`, at most: 1 to 31 536 000. Default: 3600.
    #[serde(default = "default_lifetime")]
    pub max_lifetime: u64,
    /// Whether the JWT buys one token alone, by its `jti`. Default: no.
    #[serde(default)]
    pub one_time: bool,
}

const fn default_lifetime() -> u64 {
    3600
}

/// The longest life that may be configured: a year, the longest that Kubernetes gives a bound token.
const MAX_LIFETIME: u64 = 31_536_000;

impl FederatedIssuer {
    /// An issuer and a subject, as yet without keys.
    pub fn new(issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            subject: subject.into(),
            audience: None,
            jwks: None,
            jwks_uri: None,
            claims: Map::new(),
            max_lifetime: default_lifetime(),
            one_time: false,
        }
    }

    /// What is wrong with the registration of this issuer.
    pub(super) fn problem(&self, allowed_hosts: &[String]) -> Option<&'static str> {
        if self.issuer.is_empty() || self.subject.is_empty() {
            return Some("needs an issuer and a subject");
        }
        if self.audience.as_ref().is_some_and(String::is_empty) {
            return Some("has an empty audience");
        }
        if !(1..=MAX_LIFETIME).contains(&self.max_lifetime) {
            return Some("has a max_lifetime that is not 1 to 31536000 seconds");
        }
        match (&self.jwks, &self.jwks_uri) {
            (Some(_), None) => None,
            (None, Some(uri)) => jose::check_uri(uri, allowed_hosts).err(),
            _ => Some("needs either jwks or jwks_uri"),
        }
    }

    /// Whether a JWT has every claim that is asked for.
    pub(super) fn claims_match(&self, claims: &Map<String, Value>) -> bool {
        holds(claims, &self.claims)
    }
}

/// Whether `found` has every member of `wanted`, with the same value.
fn holds(found: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(name, wanted)| match (found.get(name), wanted) {
        (Some(Value::Object(found)), Value::Object(wanted)) => holds(found, wanted),
        (found, wanted) => found == Some(wanted),
    })
}

#[cfg(test)]
mod tests {
    use super::holds;
    use serde_json::json;

    #[test]
    fn claims_are_compared_member_by_member() {
        let found = json!({ "a": "x", "n": 1, "list": ["x", "y"], "k": { "ns": "prod", "pod": { "name": "p" } } });
        for (wanted, matches) in [
            (json!({}), true),
            (json!({ "a": "x", "n": 1 }), true),
            (json!({ "k": { "ns": "prod" } }), true),
            (json!({ "k": { "pod": { "name": "p" }, "ns": "prod" } }), true),
            (json!({ "list": ["x", "y"] }), true),
            (json!({ "a": "X" }), false),
            (json!({ "a": "*" }), false),
            (json!({ "n": "1" }), false),
            (json!({ "list": ["x"] }), false),
            (json!({ "list": "x" }), false),
            (json!({ "k": { "ns": "prod", "zone": "a" } }), false),
            (json!({ "k": "prod" }), false),
            (json!({ "absent": null }), false),
        ] {
            assert_eq!(holds(found.as_object().unwrap(), wanted.as_object().unwrap()), matches, "{wanted}");
        }
    }
}
