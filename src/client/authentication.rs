//! Client authentication (RFC 6749 §2.3): which mechanism was used, is it registered, is it right.
//!
//! Every failure is the same answer, and an unknown client costs the work of a known one: the same look-up, and one
//! verification against a verifier that nothing matches.

use super::secret::{self, MAX_SECRET_OCTETS};
use super::{AuthenticationMethod, Client, ClientId, ClientStore, RegisteredSecret, RegistrationRules};
use crate::audit::{Claimed, Endpoint, Event, Outcome};
use crate::clock::Timestamp;
use crate::error::{Reason, TokenError};
use crate::request::{Credentials, Mechanism};
use crate::server::{AuthorizationServer, ServerId};
use crate::token::{Inserted, Record, TokenStore};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A client that proved who it is, at a moment that the rest of the request keeps to.
///
/// Made by [`AuthorizationServer::authenticate`], or by [`AuthorizationServer::vouch_for`] for an embedder with an
/// authentication of its own.
///
/// RFC 6749 §3.2.1.
pub struct AuthenticatedClient {
    pub(crate) client: Arc<Client>,
    pub(crate) at: Timestamp,
    pub(crate) server: ServerId,
    pub(crate) method: AuthenticationMethod,
    /// The place of the secret that was used among the client's.
    pub(crate) secret: Option<usize>,
    /// The place of the issuer that spoke for the client among its `federated`.
    #[cfg(feature = "jwt")]
    pub(crate) federated: Option<usize>,
    pub(crate) endpoint: Endpoint,
    pub(crate) peer: Option<IpAddr>,
    /// What the client may use only once, and used now; committed with the token.
    pub(crate) one_time: Vec<Record>,
}

impl AuthenticatedClient {
    /// The registration.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The moment of the request: the one reading of the clock.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// How the client authenticated.
    pub fn method(&self) -> &AuthenticationMethod {
        &self.method
    }

    /// Which of the client's secrets it used.
    pub fn secret_id(&self) -> Option<&str> {
        self.secret.and_then(|at| self.client.client_secrets.get(at)).map(|secret| secret.id.as_str())
    }

    /// Which issuer spoke for the client, where it did not speak for itself.
    pub fn federated_issuer(&self) -> Option<&str> {
        #[cfg(feature = "jwt")]
        {
            let trusted = self.federated.and_then(|at| self.client.federated.get(at));
            trusted.map(|federated| federated.issuer.as_str())
        }
        #[cfg(not(feature = "jwt"))]
        None
    }

    /// The event of a decision about this client.
    pub(crate) fn event<'a>(&'a self, issuer: &'a str, outcome: Outcome<'a>) -> Event<'a> {
        Event {
            issuer,
            endpoint: self.endpoint,
            client_id: Some(Claimed::new(self.client.client_id.as_str())),
            method: Some(&self.method),
            secret_id: self.secret_id(),
            federated_issuer: self.federated_issuer(),
            peer: self.peer,
            outcome,
        }
    }
}

impl fmt::Debug for AuthenticatedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticatedClient")
            .field("client_id", &self.client.client_id)
            .field("method", &self.method)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<C: ClientStore, T: TokenStore> AuthorizationServer<C, T> {
    /// Finds out who sent a request: stage one of three, and the same for introspection and revocation.
    ///
    /// Reads the clock once and the client store once (twice for a Basic header that reads differently raw). Writes nothing: an
    /// assertion is spent when the token is committed, so an endpoint of your own that ends here can be shown a copy of it for as
    /// long as it lives.
    ///
    /// # Errors
    /// `invalid_client` (401 with a challenge) whatever failed; `invalid_request` (400) for a Basic header whose escapes
    /// cannot be decoded; `temporarily_unavailable` (503) when the client store fails, or too many slow hashes run already.
    /// An event tells the reason.
    ///
    /// RFC 6749 §2.3, §3.2.1.
    pub async fn authenticate(&self, credentials: &Credentials<'_>) -> Result<AuthenticatedClient, TokenError> {
        let at = self.clock.now();
        match self.identify(credentials, at).await {
            Ok(client) => Ok(client),
            Err(reason) => {
                let error = TokenError::new(reason, Some(&self.challenge));
                self.report(credentials.endpoint, credentials.claimed_client_id(), credentials.peer, &error);
                Err(error)
            }
        }
    }

    /// Takes the embedder's word for who the client is: the entry for an authentication of its own.
    ///
    /// The registration must be usable: neither disabled, nor faulty, nor that of a public client
    /// (`token_endpoint_auth_method` is `none`). A client that authenticates in no other way is registered for `custom`.
    ///
    /// `once` are values, with their ends, that bought this request and may buy no other, such as the identifier of a
    /// voucher: they are committed with the token, and a second use before their ends is refused there. An end is rounded up to a
    /// full second, and must lie ahead: leave room for the skew that you accept.
    ///
    /// # Errors
    /// `invalid_client` (401) when the registration cannot be used, or a value's end has come.
    pub fn vouch_for(
        &self,
        client: Arc<Client>,
        once: &[(&str, Timestamp)],
    ) -> Result<AuthenticatedClient, TokenError> {
        let at = self.clock.now();
        let unusable = match &*client {
            client if client.disabled => Some(Reason::DisabledClient),
            client if client.is_public() => Some(Reason::MethodNotRegistered(AuthenticationMethod::Custom)),
            _ if once.iter().any(|(_, end)| *end <= at) => Some(Reason::OneTimeValueExpired),
            client => self.check_registration(client).err(),
        };
        if let Some(reason) = unusable {
            let error = TokenError::new(reason, Some(&self.challenge));
            self.report(Endpoint::Token, Some(client.client_id.as_str()), None, &error);
            return Err(error);
        }
        let record =
            |(value, end): &(&str, Timestamp)| Record::one_time(self.keys.one_time(&client.client_id, value), *end);
        let one_time = once.iter().map(record).collect();
        let found = Found { one_time, ..Found::new(client, AuthenticationMethod::Custom, None) };
        Ok(self.authenticated(found, at, Endpoint::Token, None))
    }

    /// Spends what the caller may use only once, for a request that issues no token to commit it with.
    pub(crate) async fn spend(&self, caller: &AuthenticatedClient) -> Result<(), Reason> {
        if caller.one_time.is_empty() {
            return Ok(());
        }
        match self.tokens.insert(&caller.one_time, caller.at).await.map_err(Reason::TokenStore)? {
            Inserted::All => Ok(()),
            Inserted::Exists(_) => Err(Reason::AlreadyUsed),
        }
    }

    async fn identify(&self, credentials: &Credentials<'_>, at: Timestamp) -> Result<AuthenticatedClient, Reason> {
        let body_client_id = credentials.client_id.as_deref();
        let found = match &credentials.mechanism {
            Mechanism::None => return Err(Reason::NoCredentials),
            Mechanism::UnsupportedScheme => return Err(Reason::UnsupportedScheme),
            #[cfg(feature = "jwt")]
            Mechanism::Assertion(assertion) => match assertion {
                Ok(assertion) => self.check_assertion(assertion, body_client_id, at).await?,
                Err(unreadable) => return Err(unreadable.clone().into()),
            },
            #[cfg(not(feature = "jwt"))]
            Mechanism::Assertion => return Err(Reason::MethodNotEnabled(AuthenticationMethod::PrivateKeyJwt)),
            #[cfg(feature = "mtls")]
            Mechanism::Certificate(certificate) => self.check_certificate(*certificate, body_client_id, at).await?,
            #[cfg(not(feature = "mtls"))]
            Mechanism::Certificate => return Err(Reason::MethodNotEnabled(AuthenticationMethod::TlsClientAuth)),
            Mechanism::Post { client_id, client_secret } => {
                check_length(client_secret.expose())?;
                let client = self.find(client_id).await?;
                self.check_secret(client, AuthenticationMethod::ClientSecretPost, client_secret.expose(), at).await?
            }
            Mechanism::Basic(basic) => {
                let (raw, method) = (basic.raw(), AuthenticationMethod::ClientSecretBasic);
                let named = |id: &str| body_client_id.is_none_or(|body| body == id);
                match basic.decoded() {
                    Some(decoded) if !named(decoded.0) && !named(raw.0) => return Err(Reason::ClientIdMismatch),
                    Some(decoded) if decoded == raw => {
                        check_length(raw.1)?;
                        let client = self.find(raw.0).await?;
                        self.check_secret(client, method, raw.1, at).await?
                    }
                    // Two readings: the registration says which one is meant; nobody's is checked like the RFC's.
                    Some(decoded) => {
                        check_length(decoded.1)?;
                        let by_decoded = self.find(decoded.0).await?;
                        let by_raw = if decoded.0 == raw.0 { by_decoded.clone() } else { self.find(raw.0).await? };
                        let form_client = by_decoded.filter(|client| !client.reads_basic_raw());
                        match by_raw.filter(|client| form_client.is_none() && client.reads_basic_raw()) {
                            Some(raw_client) => self.check_secret(Some(raw_client), method, raw.1, at).await?,
                            None => self.check_secret(form_client, method, decoded.1, at).await?,
                        }
                    }
                    // Only a raw client can have meant this; whoever fails gets the answer to a malformed header, so that
                    // the answer does not tell who is registered for raw Basic.
                    None => {
                        let client = self.find(raw.0).await?.filter(|client| client.reads_basic_raw());
                        let found = self.check_secret(client, method, raw.1, at).await;
                        found.map_err(|reason| match reason {
                            Reason::ClientStore(_) | Reason::VerifierBusy | Reason::VerifierLost => reason,
                            _ => Reason::MalformedAuthorization("a bad escape"),
                        })?
                    }
                }
            }
        };
        // After authentication only the authenticated client counts; a body that names another is refused.
        if body_client_id.is_some_and(|body| body != found.client.client_id.as_str()) {
            return Err(Reason::ClientIdMismatch);
        }
        Ok(self.authenticated(found, at, credentials.endpoint, credentials.peer))
    }

    /// Looks a client up by what a stranger wrote, or a token says. Text that no client can be called never reaches the store.
    pub(crate) async fn find(&self, client_id: &str) -> Result<Option<Arc<Client>>, Reason> {
        if !ClientId::is_valid(client_id) {
            return Ok(None);
        }
        let client = self.clients.client(client_id).await.map_err(Reason::ClientStore)?;
        Ok(client.filter(|client| client.client_id.as_str() == client_id))
    }

    /// Checks a secret against the client's, or against a dummy of the configured kind where the client cannot use it.
    async fn check_secret(
        &self,
        client: Option<Arc<Client>>,
        method: AuthenticationMethod,
        presented: &str,
        at: Timestamp,
    ) -> Result<Found, Reason> {
        let usable = match client {
            None => Err(Reason::UnknownClient),
            Some(client) => self.check_standing(&client, &method).map(|()| client),
        };
        let secrets = match &usable {
            Ok(client) => client.client_secrets.as_slice(),
            Err(_) => std::slice::from_ref(&self.dummy_secret),
        };
        let matched = self.matching(secrets, presented).await?;
        let client = usable?;
        match matched.and_then(|place| client.client_secrets.get(place)) {
            // An empty secret is nobody's, even where its hash is registered (RFC 6749 §2.3.1).
            _ if presented.is_empty() => Err(Reason::WrongSecret),
            None => Err(Reason::WrongSecret),
            Some(secret) if !secret.stands_at(at) => Err(Reason::ExpiredSecret),
            Some(_) => Ok(Found::new(client, method, matched)),
        }
    }

    pub(super) fn check_standing(&self, client: &Client, method: &AuthenticationMethod) -> Result<(), Reason> {
        if client.disabled {
            return Err(Reason::DisabledClient);
        }
        self.check_registration(client)?;
        if !client.token_endpoint_auth_method.contains(method) {
            return Err(Reason::MethodNotRegistered(method.clone()));
        }
        if !self.methods.contains(method) {
            return Err(Reason::MethodNotEnabled(method.clone()));
        }
        Ok(())
    }

    /// Clients arrive at run time, so their faults do too.
    pub(crate) fn check_registration(&self, client: &Client) -> Result<(), Reason> {
        let faults = client.faults(&RegistrationRules::of(&self.config, &self.methods));
        if faults.is_empty() { Ok(()) } else { Err(Reason::FaultyClient(faults)) }
    }

    /// The place of the secret that matches: every fast verifier is compared, in constant time, with one digest; then the
    /// slow ones, one after the other. Where nothing matched and nothing slow was tried, the configured kind of work is
    /// done all the same, so that a client with a fast secret costs what an unknown one costs.
    async fn matching(&self, secrets: &[RegisteredSecret], presented: &str) -> Result<Option<usize>, Reason> {
        let digest = secret::digest(presented);
        let mut matched = None;
        for (at, secret) in secrets.iter().enumerate() {
            if secret.verifier.matches_digest(&digest) {
                matched = Some(at);
            }
        }
        #[cfg(feature = "argon2")]
        {
            let slow = |secret: &RegisteredSecret| secret.verifier.slow().cloned();
            let places = secrets.iter().enumerate();
            let mut tries: Vec<_> = places.filter_map(|(at, secret)| Some((Some(at), slow(secret)?))).collect();
            if tries.is_empty() {
                tries.extend(slow(&self.dummy_secret).map(|dummy| (None, dummy)));
            }
            for (at, phc) in tries {
                if matched.is_none() && self.slow_verifier.verify(&phc, presented).await? {
                    matched = at;
                }
            }
        }
        Ok(matched)
    }

    fn authenticated(
        &self,
        found: Found,
        at: Timestamp,
        endpoint: Endpoint,
        peer: Option<IpAddr>,
    ) -> AuthenticatedClient {
        AuthenticatedClient {
            client: found.client,
            at,
            server: self.id,
            method: found.method,
            secret: found.secret,
            #[cfg(feature = "jwt")]
            federated: found.federated,
            endpoint,
            peer,
            one_time: found.one_time,
        }
    }
}

/// A secret that is longer than any registered one is wrong whoever is asked, so it is not looked at (nor cut).
fn check_length(secret: &str) -> Result<(), Reason> {
    if secret.len() > MAX_SECRET_OCTETS { Err(Reason::CredentialsTooLong("client_secret")) } else { Ok(()) }
}

/// A client, and how it was found to be the one.
pub(super) struct Found {
    pub(super) client: Arc<Client>,
    pub(super) method: AuthenticationMethod,
    /// The place of the secret that was used.
    pub(super) secret: Option<usize>,
    /// The place of the issuer that spoke for the client.
    #[cfg(feature = "jwt")]
    pub(super) federated: Option<usize>,
    /// What may be used only once, and was.
    pub(super) one_time: Vec<Record>,
}

impl Found {
    pub(super) fn new(client: Arc<Client>, method: AuthenticationMethod, secret: Option<usize>) -> Self {
        Self {
            client,
            method,
            secret,
            #[cfg(feature = "jwt")]
            federated: None,
            one_time: Vec::new(),
        }
    }
}

impl Client {
    fn reads_basic_raw(&self) -> bool {
        self.basic_encoding == super::BasicEncoding::Raw
    }
}
