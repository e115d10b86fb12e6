//! The serde form of a client: member by member, so that one bad member is a named fault and not the end of reading.

#[cfg(feature = "mtls")]
use super::DistinguishedName;
use super::secret::{MAX_SECRET_OCTETS, RegisteredSecret, SecretVerifier};
#[cfg(feature = "jwt")]
use super::{AssertionAudience, FederatedIssuer};
use super::{AuthenticationMethod, BasicEncoding, Client, ClientId, Fault};
use crate::clock::Timestamp;
#[cfg(feature = "jwt")]
use crate::jose::{JwkSet, JwsAlgorithm, MacKey};
use crate::resource::Audience;
use crate::scope::Scope;
use crate::token::AccessTokenFormat;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
#[cfg(feature = "mtls")]
use std::net::IpAddr;
use zeroize::Zeroize;

/// Members of RFC 7591 §2 and §3.2.1 that inform people and decide nothing here.
const INFORMATIONAL: [&str; 12] = [
    "client_uri",
    "logo_uri",
    "contacts",
    "tos_uri",
    "policy_uri",
    "software_id",
    "software_version",
    "redirect_uris",
    "response_types",
    "client_id_issued_at",
    "registration_client_uri",
    "application_type",
];

/// Members that decide something which this build cannot: ignored, they would make a client weaker than it was meant.
const SECURITY: &[&str] = &[
    #[cfg(not(feature = "jwt"))]
    "jwks",
    #[cfg(not(feature = "jwt"))]
    "jwks_uri",
    #[cfg(not(feature = "jwt"))]
    "token_endpoint_auth_signing_alg",
    #[cfg(not(feature = "jwt"))]
    "assertion_audience",
    #[cfg(not(feature = "jwt"))]
    "federated",
    #[cfg(not(feature = "mtls"))]
    "tls_client_auth_subject_dn",
    #[cfg(not(feature = "mtls"))]
    "tls_client_auth_san_dns",
    #[cfg(not(feature = "mtls"))]
    "tls_client_auth_san_uri",
    #[cfg(not(feature = "mtls"))]
    "tls_client_auth_san_ip",
    #[cfg(not(feature = "mtls"))]
    "tls_client_auth_san_email",
    #[cfg(not(feature = "mtls"))]
    "tls_client_certificate_bound_access_tokens",
    #[cfg(not(feature = "dpop"))]
    "dpop_bound_access_tokens",
    #[cfg(not(feature = "rar"))]
    "authorization_details_types",
    "registration_access_token",
];

/// The members as they were read, each taken out once; what stays is unknown.
#[derive(Default)]
struct Members {
    values: BTreeMap<String, Value>,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl Members {
    fn take<V: DeserializeOwned>(&mut self, key: &str) -> Option<V> {
        let value = self.values.remove(key).filter(|value| !value.is_null())?;
        match serde_json::from_value(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.faults.push(Fault::new(key, without_value(&error)));
                None
            }
        }
    }

    fn take_resources(&mut self, key: &str) -> Option<Audience> {
        Some(self.take::<Vec<String>>(key)?.into_iter().collect())
    }

    /// All secrets, wherever they are written. No message repeats a value.
    fn take_secrets(&mut self, methods: &[AuthenticationMethod]) -> Vec<RegisteredSecret> {
        let keeps_raw = methods.contains(&AuthenticationMethod::ClientSecretJwt);
        let mut secrets = Vec::new();
        let expires_at: Option<Timestamp> = self.take("client_secret_expires_at");
        let expires_at = expires_at.filter(|at| *at > Timestamp::default()); // 0 means never (RFC 7591 §3.2.1)
        for (key, member) in [("client_secret", "secret"), ("client_secret_hash", "hash")] {
            if let Some(value) = self.values.remove(key).filter(|value| !value.is_null()) {
                let table = [(member.to_owned(), value)].into_iter().collect();
                let secret = self.read_secret(key, table, key, keeps_raw);
                secrets.extend(secret.map(|secret| RegisteredSecret { expires_at, ..secret }));
            }
        }
        if self.values.contains_key("client_secrets") && expires_at.is_some() {
            self.faults
                .push(Fault::new("client_secret_expires_at", "write expires_at beside each of the client_secrets"));
        }
        match self.values.remove("client_secrets") {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) => {
                for (at, value) in list.into_iter().enumerate() {
                    let key = format!("client_secrets[{at}]");
                    let table = match value {
                        Value::Object(table) => table,
                        text => [("secret".to_owned(), text)].into_iter().collect(),
                    };
                    let secret = self.read_secret(&key, table, &(at + 1).to_string(), keeps_raw);
                    secrets.extend(secret);
                }
            }
            Some(_) => self.faults.push(Fault::new("client_secrets", "must be a list of texts or tables")),
        }
        secrets
    }

    fn read_secret(
        &mut self,
        key: &str,
        mut table: serde_json::Map<String, Value>,
        id: &str,
        keeps_raw: bool,
    ) -> Option<RegisteredSecret> {
        let fault = |problem: &str| Fault::new(key, problem);
        #[cfg(feature = "jwt")]
        let mut mac_key: Option<MacKey> = match table.remove("mac_key").map(serde_json::from_value) {
            None => None,
            Some(Ok(mac_key)) => mac_key,
            Some(Err(_)) => {
                self.faults.push(fault("mac_key must be 32 to 1024 octets in base64url"));
                return None;
            }
        };
        let verifier = match (table.remove("secret"), table.remove("hash")) {
            #[cfg(feature = "jwt")]
            (None, None) if mac_key.is_some() => mac_key.as_ref().map(MacKey::verifier)?,
            #[cfg(feature = "jwt")]
            (Some(_), _) if mac_key.is_some() => {
                self.faults.push(fault("has secret and mac_key: one of the two"));
                return None;
            }
            (Some(Value::String(mut secret)), None) => {
                if secret.is_empty() || secret.len() > MAX_SECRET_OCTETS || secret.chars().any(char::is_control) {
                    self.faults.push(fault("must be 1 to 1024 octets of UTF-8 without control characters"));
                    return None;
                }
                if secret.chars().count() < 8 {
                    self.warnings.push(fault("is shorter than 8 characters"));
                }
                let verifier = SecretVerifier::sha256(&secret);
                #[cfg(feature = "jwt")]
                if keeps_raw {
                    match MacKey::new(secret.as_bytes()) {
                        Ok(raw) => mac_key = Some(raw),
                        Err(_) => self.faults.push(fault("client_secret_jwt needs a secret of at least 32 octets")),
                    }
                }
                secret.zeroize();
                verifier
            }
            (None, Some(Value::String(hash))) => match hash.parse() {
                Ok(verifier) => verifier,
                Err(super::InvalidVerifier { problem }) => {
                    self.faults.push(fault(problem));
                    return None;
                }
            },
            _ => {
                self.faults.push(fault("must be a text, or a table with either secret or hash as text"));
                return None;
            }
        };
        let id = match table.remove("id") {
            None => id.to_owned(),
            Some(Value::String(id)) if !id.chars().any(char::is_control) => id,
            Some(_) => {
                self.faults.push(fault("id must be a text without control characters"));
                return None;
            }
        };
        let expires_at = match table.remove("expires_at").map(serde_json::from_value) {
            None => None,
            Some(Ok(at)) => at,
            Some(Err(_)) => {
                self.faults.push(fault("expires_at must be seconds since 1970, or an RFC 3339 text"));
                return None;
            }
        };
        if let Some(unknown) = table.keys().next() {
            self.faults.push(fault(&format!("has an unknown member {unknown:?}")));
            return None;
        }
        #[cfg(not(feature = "jwt"))]
        let _ = keeps_raw;
        Some(RegisteredSecret {
            expires_at,
            #[cfg(feature = "jwt")]
            mac_key,
            ..RegisteredSecret::new(id, verifier)
        })
    }

    /// One method, or a list of them. Absent means `client_secret_basic` (RFC 7591 §2), save where only a federation is there to
    /// authenticate by.
    fn take_methods(&mut self) -> Vec<AuthenticationMethod> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "must be one method or a list of methods")]
        enum OneOrSeveral {
            One(AuthenticationMethod),
            Several(Vec<AuthenticationMethod>),
        }
        match self.take("token_endpoint_auth_method") {
            None => {
                let secrets = ["client_secret", "client_secret_hash", "client_secrets"];
                let has = |key: &str| self.values.get(key).is_some_and(|value| !value.is_null());
                let federates =
                    self.values.get("federated").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
                if federates && !secrets.into_iter().any(has) {
                    return vec![AuthenticationMethod::PrivateKeyJwt];
                }
                vec![AuthenticationMethod::ClientSecretBasic]
            }
            Some(OneOrSeveral::One(method)) => vec![method],
            Some(OneOrSeveral::Several(methods)) => methods,
        }
    }

    /// RFC 7591 §2: absent means `authorization_code`, which is not this grant.
    fn take_grant_types(&mut self) -> Vec<String> {
        if !self.values.contains_key("grant_types") {
            self.warnings.push(Fault::new(
                "grant_types",
                "is absent, which means authorization_code (RFC 7591): the client gets no token; \
                 write [\"client_credentials\"], or [] for a client that only introspects",
            ));
            return vec!["authorization_code".to_owned()];
        }
        self.take("grant_types").unwrap_or_default()
    }

    /// What is left over: informational, a security setting that this build cannot honour, or a typo.
    fn refuse_the_rest(&mut self) {
        for (key, value) in std::mem::take(&mut self.values) {
            let name = key.split_once('#').map_or(key.as_str(), |(name, _language)| name);
            if INFORMATIONAL.contains(&name) || name == "client_name" || value.is_null() {
                continue;
            }
            if SECURITY.contains(&name) {
                let off = value == Value::Bool(false) || value.as_array().is_some_and(Vec::is_empty);
                if !off {
                    self.faults.push(Fault::new(key, "needs a feature that this build lacks"));
                }
            } else {
                self.faults.push(Fault::new(key, "is not a known member"));
            }
        }
    }

    /// The client's own keys; a set in which none can verify is a warning, as it may be filled later.
    #[cfg(feature = "jwt")]
    fn take_jwks(&mut self) -> Option<JwkSet> {
        let jwks: Option<JwkSet> = self.take("jwks");
        if jwks.as_ref().is_some_and(JwkSet::is_empty) {
            self.warnings.push(Fault::new("jwks", "has no key that can verify a signature"));
        }
        jwks
    }

    fn into_client(mut self, client_id: ClientId) -> Client {
        let methods = self.take_methods();
        let client = Client {
            client_name: self.take("client_name"),
            client_secrets: self.take_secrets(&methods),
            token_endpoint_auth_method: methods,
            #[cfg(feature = "jwt")]
            jwks: self.take_jwks(),
            #[cfg(feature = "jwt")]
            jwks_uri: self.take("jwks_uri"),
            #[cfg(feature = "jwt")]
            token_endpoint_auth_signing_alg: self.take("token_endpoint_auth_signing_alg"),
            #[cfg(feature = "jwt")]
            assertion_audience: self.take("assertion_audience").unwrap_or_default(),
            #[cfg(feature = "jwt")]
            federated: self.take("federated").unwrap_or_default(),
            #[cfg(feature = "dpop")]
            dpop_bound_access_tokens: self.take("dpop_bound_access_tokens").unwrap_or_default(),
            #[cfg(feature = "mtls")]
            tls_client_auth_subject_dn: self.take("tls_client_auth_subject_dn"),
            #[cfg(feature = "mtls")]
            tls_client_auth_san_dns: self.take("tls_client_auth_san_dns"),
            #[cfg(feature = "mtls")]
            tls_client_auth_san_uri: self.take("tls_client_auth_san_uri"),
            #[cfg(feature = "mtls")]
            tls_client_auth_san_ip: self.take("tls_client_auth_san_ip"),
            #[cfg(feature = "mtls")]
            tls_client_auth_san_email: self.take("tls_client_auth_san_email"),
            #[cfg(feature = "mtls")]
            tls_client_certificate_bound_access_tokens: self
                .take("tls_client_certificate_bound_access_tokens")
                .unwrap_or_default(),
            grant_types: self.take_grant_types(),
            scope: self.take("scope"),
            default_scope: self.take("default_scope"),
            resources: self.take_resources("resources"),
            default_resources: self.take_resources("default_resources"),
            #[cfg(feature = "rar")]
            authorization_details_types: self.take("authorization_details_types"),
            audience: self.take_resources("audience").unwrap_or_default(),
            access_token_format: self.take("access_token_format"),
            access_token_lifetime: self.take("access_token_lifetime"),
            disabled: self.take("disabled").unwrap_or_default(),
            may_introspect: self.take("may_introspect").unwrap_or_default(),
            tokens_not_before: self.take("tokens_not_before"),
            basic_encoding: self.take::<BasicEncoding>("basic_encoding").unwrap_or_default(),
            ..Client::empty(client_id)
        };
        self.refuse_the_rest();
        Client { faults: self.faults, warnings: self.warnings, ..client }
    }
}

/// What would be right, without the value that is wrong: it may be a secret under the wrong name.
fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(", expected ").map_or_else(|| text.clone(), |(_, expected)| format!("must be {expected}"))
}

impl<'de> Deserialize<'de> for Client {
    /// Reads a map with a valid `client_id`; whatever else is wrong becomes a [`Fault`] of the client.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (members, client_id) = members(deserializer)?;
        Ok(members.into_client(client_id))
    }
}

#[cfg(feature = "jwt")]
impl Client {
    /// Reads what stands in a database, where `client_secrets` are kept in another form: `restore` makes the serde form of it.
    pub(crate) fn read_stored<E>(
        text: &str,
        restore: impl FnOnce(&ClientId, &mut Value) -> Result<(), E>,
    ) -> Result<Result<Self, E>, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let (mut members, client_id) = members(&mut deserializer)?;
        deserializer.end()?;
        let restored = members.values.get_mut("client_secrets").map_or(Ok(()), |secrets| restore(&client_id, secrets));
        Ok(restored.map(|()| members.into_client(client_id)))
    }
}

fn members<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(Members, ClientId), D::Error> {
    struct MembersVisitor;
    impl<'de> Visitor<'de> for MembersVisitor {
        type Value = Members;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a client registration")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
            let mut members = Members::default();
            while let Some((key, value)) = map.next_entry::<String, Value>()? {
                if members.values.contains_key(&key) {
                    members.faults.push(Fault::new(key.clone(), "stands twice"));
                }
                members.values.insert(key, value);
            }
            Ok(members)
        }
    }
    let mut members = deserializer.deserialize_map(MembersVisitor)?;
    let client_id = members.values.remove("client_id").ok_or_else(|| D::Error::missing_field("client_id"))?;
    let client_id =
        serde_json::from_value(client_id).map_err(|error| D::Error::custom(format_args!("client_id: {error}")))?;
    Ok((members, client_id))
}

/// The serde form on the way out; its order is that of the documentation.
#[derive(Serialize)]
struct Written<'a> {
    client_id: &'a ClientId,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: &'a Option<String>,
    #[serde(skip_serializing_if = "<[RegisteredSecret]>::is_empty")]
    client_secrets: &'a [RegisteredSecret],
    token_endpoint_auth_method: OneOrSeveral<'a>,
    grant_types: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: &'a Option<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_scope: &'a Option<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_resources: Option<Vec<&'a str>>,
    #[cfg(feature = "rar")]
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_details_types: &'a Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    audience: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token_format: Option<AccessTokenFormat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token_lifetime: Option<u64>,
    disabled: bool,
    may_introspect: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_not_before: Option<Timestamp>,
    basic_encoding: BasicEncoding,
    #[cfg(feature = "jwt")]
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: &'a Option<JwkSet>,
    #[cfg(feature = "jwt")]
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: &'a Option<String>,
    #[cfg(feature = "jwt")]
    #[serde(skip_serializing_if = "Option::is_none")]
    token_endpoint_auth_signing_alg: Option<JwsAlgorithm>,
    #[cfg(feature = "jwt")]
    assertion_audience: AssertionAudience,
    #[cfg(feature = "jwt")]
    #[serde(skip_serializing_if = "<[FederatedIssuer]>::is_empty")]
    federated: &'a [FederatedIssuer],
    #[cfg(feature = "dpop")]
    dpop_bound_access_tokens: bool,
    #[cfg(feature = "mtls")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_subject_dn: &'a Option<DistinguishedName>,
    #[cfg(feature = "mtls")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_san_dns: &'a Option<String>,
    #[cfg(feature = "mtls")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_san_uri: &'a Option<String>,
    #[cfg(feature = "mtls")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_san_ip: Option<IpAddr>,
    #[cfg(feature = "mtls")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_san_email: &'a Option<String>,
    #[cfg(feature = "mtls")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_client_certificate_bound_access_tokens: bool,
}

/// One method is written as RFC 7591 has it; a list is our extension.
#[derive(Serialize)]
#[serde(untagged)]
enum OneOrSeveral<'a> {
    One(&'a AuthenticationMethod),
    Several(&'a [AuthenticationMethod]),
}

impl Serialize for Client {
    /// Writes what [`Deserialize`] reads; secrets as their hashes, with `mac_key` beside them where there is one. A faulty client is refused: what it meant is not known.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.faults.is_empty() {
            return Err(S::Error::custom(format_args!("the client is faulty: {}", Fault::list(&self.faults))));
        }
        Written {
            client_id: &self.client_id,
            client_name: &self.client_name,
            client_secrets: &self.client_secrets,
            token_endpoint_auth_method: match self.token_endpoint_auth_method.as_slice() {
                [one] => OneOrSeveral::One(one),
                several => OneOrSeveral::Several(several),
            },
            grant_types: &self.grant_types,
            scope: &self.scope,
            default_scope: &self.default_scope,
            resources: self.resources.as_ref().map(|list| list.iter().collect()),
            default_resources: self.default_resources.as_ref().map(|list| list.iter().collect()),
            #[cfg(feature = "rar")]
            authorization_details_types: &self.authorization_details_types,
            audience: self.audience.iter().collect(),
            access_token_format: self.access_token_format,
            access_token_lifetime: self.access_token_lifetime,
            disabled: self.disabled,
            may_introspect: self.may_introspect,
            tokens_not_before: self.tokens_not_before,
            basic_encoding: self.basic_encoding,
            #[cfg(feature = "jwt")]
            jwks: &self.jwks,
            #[cfg(feature = "jwt")]
            jwks_uri: &self.jwks_uri,
            #[cfg(feature = "jwt")]
            token_endpoint_auth_signing_alg: self.token_endpoint_auth_signing_alg,
            #[cfg(feature = "jwt")]
            assertion_audience: self.assertion_audience,
            #[cfg(feature = "jwt")]
            federated: &self.federated,
            #[cfg(feature = "dpop")]
            dpop_bound_access_tokens: self.dpop_bound_access_tokens,
            #[cfg(feature = "mtls")]
            tls_client_auth_subject_dn: &self.tls_client_auth_subject_dn,
            #[cfg(feature = "mtls")]
            tls_client_auth_san_dns: &self.tls_client_auth_san_dns,
            #[cfg(feature = "mtls")]
            tls_client_auth_san_uri: &self.tls_client_auth_san_uri,
            #[cfg(feature = "mtls")]
            tls_client_auth_san_ip: self.tls_client_auth_san_ip,
            #[cfg(feature = "mtls")]
            tls_client_auth_san_email: &self.tls_client_auth_san_email,
            #[cfg(feature = "mtls")]
            tls_client_certificate_bound_access_tokens: self.tls_client_certificate_bound_access_tokens,
        }
        .serialize(serializer)
    }
}
