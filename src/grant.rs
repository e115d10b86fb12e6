//! The grant: [`issue_client_credentials_token`] and its stages, in reading order.
//!
//! An embedder with a rule of its own calls the stages and edits the [`Grant`] between them; see the example `staged`.
//!
//! ```
//! # use client_credentials::*;
//! # async fn answer<C: ClientStore, T: TokenStore>(server: &AuthorizationServer<C, T>, request: &TokenRequest<'_>) -> Result<TokenResponse, TokenError> {
//! let client = server.authenticate(request.credentials()).await?;
//! let mut grant = server.authorize(&client, request)?;
//! grant.lifetime = grant.lifetime.min(300); // a rule of this server's
//! server.issue(client, grant).await
//! # }
//! ```

use crate::audit::Outcome;
use crate::authorization_details::AuthorizationDetails;
use crate::client::authentication::AuthenticatedClient;
use crate::client::{ClientId, ClientStore, MAX_LIFETIME};
use crate::clock::Timestamp;
use crate::error::{ErrorCode, Reason, TokenError};
#[cfg(feature = "jwt")]
use crate::jose::SigningKey;
use crate::request::TokenRequest;
use crate::resource::Audience;
use crate::response::TokenResponse;
use crate::scope::Scope;
use crate::server::{AuthorizationServer, ServerId};
#[cfg(feature = "dpop")]
use crate::token::dpop::InvalidDpopProof;
#[cfg(feature = "jwt")]
use crate::token::jwt;
use crate::token::{
    AccessToken, AccessTokenFormat, Claims, Confirmation, Inserted, Record, RecordKey, RecordValue, TokenRecord,
    TokenStore, opaque,
};
use std::borrow::Cow;
#[cfg(feature = "jwt")]
use std::sync::Arc;

/// Issues one access token to the client that sent `request`, or says why not.
///
/// Reads the client, writes once: the token and the one-time values it was bought with.
///
/// # Errors
/// Those of the stages: `invalid_client` (401); `invalid_request`, `unsupported_grant_type`, `invalid_dpop_proof`,
/// `unauthorized_client`, `invalid_target`, `invalid_authorization_details`, `invalid_scope` (400); `temporarily_unavailable`
/// (503), `server_error` (500). No token was sent; none is in the store, unless the store's own answer was lost.
///
/// RFC 6749 §4.4.
pub async fn issue_client_credentials_token<C: ClientStore, T: TokenStore>(
    server: &AuthorizationServer<C, T>,
    request: &TokenRequest<'_>,
) -> Result<TokenResponse, TokenError> {
    let client = server.authenticate(request.credentials()).await?; // RFC 6749 §2.3, §3.2.1
    let grant = server.authorize(&client, request)?; // RFC 6749 §3.3, RFC 8707, RFC 9396
    server.issue(client, grant).await // RFC 6749 §5.1
}

/// What a client is about to get; every public field may be edited before it is issued.
///
/// Belongs to the client and the server it was made for: `issue` refuses it elsewhere.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Grant {
    /// What the token permits; an empty scope is left out of the answer.
    pub scope: Scope,
    /// For whom the token is.
    pub audience: Audience,
    /// Its life in seconds, 1 to 315 360 000.
    pub lifetime: u64,
    /// Its format.
    pub format: AccessTokenFormat,
    /// The key that its holder must prove to have.
    pub confirmation: Option<Confirmation>,
    /// Granted details (RFC 9396).
    pub authorization_details: Option<AuthorizationDetails>,
    /// Claims of the embedder's own; what the protocol says of a token cannot be overwritten.
    pub claims: Claims,
    client_id: ClientId,
    server: ServerId,
    /// What may be used only once, and was used for this grant: a DPoP proof.
    one_time: Vec<Record>,
    /// The nonce that the client's next DPoP proof should have.
    dpop_nonce: Option<String>,
}

/// What a token is bought with, and may buy no other.
struct Once<'a> {
    of_client: &'a [Record],
    of_proof: Vec<Record>,
}

impl Once<'_> {
    fn is_empty(&self) -> bool {
        self.of_client.is_empty() && self.of_proof.is_empty()
    }

    fn records(&self) -> impl Iterator<Item = Record> {
        self.of_client.iter().chain(&self.of_proof).cloned()
    }

    /// Whose fault it is that a value was used before.
    fn used(&self, key: &RecordKey) -> Reason {
        #[cfg(feature = "dpop")]
        if self.of_proof.iter().any(|record| record.key == *key) {
            return InvalidDpopProof::Replayed.into();
        }
        let _ = key;
        Reason::AlreadyUsed
    }
}

/// A token that was committed.
struct Issued {
    jti: Jti,
    expires_at: Timestamp,
    response: TokenResponse,
}

/// The identifier of a token; that of an opaque one is only computed for those who ask.
enum Jti {
    OfRecord(RecordKey),
    #[cfg(feature = "jwt")]
    Text(String),
}

impl Jti {
    fn into_text(self) -> String {
        match self {
            Self::OfRecord(key) => key.jti(),
            #[cfg(feature = "jwt")]
            Self::Text(text) => text,
        }
    }
}

impl<C: ClientStore, T: TokenStore> AuthorizationServer<C, T> {
    /// Decides what the client gets: stage two of three. Reads and writes nothing.
    ///
    /// # Errors
    /// `unsupported_grant_type`, `invalid_request` (nothing to bind the token to), `invalid_dpop_proof`,
    /// `unauthorized_client`, `invalid_target`, `invalid_authorization_details`, `invalid_scope` (400), the first that applies in this order.
    ///
    /// RFC 6749 §3.3, §5.2; RFC 9449 §5; RFC 8705 §3; RFC 8707 §2; RFC 9396 §5.
    pub fn authorize(&self, client: &AuthenticatedClient, request: &TokenRequest<'_>) -> Result<Grant, TokenError> {
        self.decide(client, request).map_err(|reason| self.refused(client, reason))
    }

    /// Mints the token and commits it with what it was bought with, in one all-or-nothing write: stage three of three.
    ///
    /// # Errors
    /// `invalid_client` (401) when a one-time value was used before; `invalid_authorization_details` (400) when a signed token with
    /// them would not fit into a header field of 8 KiB; `temporarily_unavailable` (503) when the store or the
    /// random source fails; `server_error` (500) when the grant is another client's or server's, was edited into something
    /// that cannot be issued, or every new token's key stood in the store already.
    ///
    /// RFC 6749 §5.1.
    pub async fn issue(&self, client: AuthenticatedClient, grant: Grant) -> Result<TokenResponse, TokenError> {
        let issued = self.commit(&client, grant).await;
        let Issued { jti, expires_at, response } = issued.map_err(|reason| self.refused(&client, reason))?;
        if let Some(observer) = &self.observer {
            let (jti, scope) = (&*jti.into_text(), response.scope.as_str());
            observer(&client.event(&self.issuer, Outcome::Issued { jti, scope, expires_at }));
        }
        Ok(response)
    }

    /// Refuses an authenticated client by a rule of the embedder's own, with an event; for use between the stages.
    ///
    /// The client gets `code` and the fixed description that belongs to it; `cause` is for the operator.
    ///
    /// ```
    /// # use client_credentials::*;
    /// # fn rule<C: ClientStore, T: TokenStore>(server: &AuthorizationServer<C, T>, client: &AuthenticatedClient) -> Result<(), TokenError> {
    /// if client.client().client_id.as_str().starts_with("batch-") {
    ///     return Err(server.refuse(client, ErrorCode::UnauthorizedClient, "batch jobs run at night"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn refuse(
        &self,
        client: &AuthenticatedClient,
        code: ErrorCode,
        cause: impl Into<Cow<'static, str>>,
    ) -> TokenError {
        self.refused(client, Reason::Refused { code, cause: cause.into() })
    }

    fn decide(&self, client: &AuthenticatedClient, request: &TokenRequest<'_>) -> Result<Grant, Reason> {
        if !self.config.offers_grant() {
            return Err(Reason::UnsupportedGrantType); // switched off for the whole server
        }
        let registration = client.client();
        let bound = self.bind(registration, request, client.at)?; // RFC 9449 §5, RFC 8705 §3
        if !registration.may_use_grant() {
            return Err(Reason::GrantNotRegistered); // RFC 6749 §5.2 unauthorized_client
        }
        let audience = self.resource_rules.select(registration, request.resource())?; // RFC 8707 §2
        let authorization_details = self.details_rules.select(registration, request.authorization_details())?; // RFC 9396 §5, §6
        let scope = match self.scope_rules.select(registration, request.scope()) {
            Err(Reason::NoDefaultScope) if authorization_details.is_some() => Scope::default(), // RFC 9396 §3.1
            selected => selected?,                                                              // RFC 6749 §3.3
        };
        Ok(Grant {
            scope,
            audience,
            lifetime: registration.access_token_lifetime.unwrap_or(self.config.access_token_lifetime),
            format: registration.access_token_format.unwrap_or(self.config.access_token_format),
            confirmation: bound.confirmation,
            authorization_details,
            claims: Claims::default(),
            client_id: registration.client_id.clone(),
            server: self.id,
            one_time: bound.one_time,
            dpop_nonce: bound.dpop_nonce,
        })
    }

    async fn commit(&self, client: &AuthenticatedClient, grant: Grant) -> Result<Issued, Reason> {
        if grant.server != self.id || client.server != self.id || grant.client_id != client.client.client_id {
            return Err(Reason::ForeignGrant);
        }
        if !(1..=MAX_LIFETIME).contains(&grant.lifetime) {
            return Err(Reason::InvalidGrant("its lifetime is out of bounds"));
        }
        let expires_at = client.at.second_plus(grant.lifetime);
        let token_type = Confirmation::token_type(grant.confirmation.as_ref());
        let (scope, authorization_details) = (grant.scope.clone(), grant.authorization_details.clone());
        let once = Once { of_client: &client.one_time, of_proof: grant.one_time };
        let token = TokenRecord {
            client_id: grant.client_id,
            scope: grant.scope,
            audience: grant.audience,
            issued_at: client.at.second_plus(0),
            confirmation: grant.confirmation.map(Box::new),
            authorization_details: grant.authorization_details,
            claims: grant.claims,
        };
        let (access_token, jti) = match grant.format {
            AccessTokenFormat::Opaque => self.commit_opaque(client, once, expires_at, token).await?,
            #[cfg(feature = "jwt")]
            AccessTokenFormat::Jwt => self.commit_jwt(client, once, expires_at, token).await?,
            #[cfg(not(feature = "jwt"))]
            AccessTokenFormat::Jwt => return Err(Reason::InvalidGrant("its format is not in this build")),
        };
        let expires_in = expires_at.seconds_left(client.at);
        let dpop_nonce = grant.dpop_nonce;
        let response = TokenResponse { access_token, token_type, expires_in, scope, authorization_details, dpop_nonce };
        Ok(Issued { jti, expires_at, response })
    }

    /// One write: the record, and the one-time values that it was bought with.
    async fn commit_opaque(
        &self,
        client: &AuthenticatedClient,
        once: Once<'_>,
        expires_at: Timestamp,
        token: TokenRecord,
    ) -> Result<(AccessToken, Jti), Reason> {
        let mut record = Record::new(RecordKey::from_bytes([0; 32]), expires_at, RecordValue::AccessToken(token));
        // A key that stands already means that the random source repeats itself: never overwrite, try again, give up soon.
        for _ in 0..3 {
            let access_token = opaque::mint(&*self.random, &self.config.access_token_prefix)?;
            record.key = self.keys.access_token(access_token.expose());
            let inserted = if once.is_empty() {
                self.tokens.insert(std::slice::from_ref(&record), client.at).await
            } else {
                let records: Vec<Record> = once.records().chain([record.clone()]).collect();
                self.tokens.insert(&records, client.at).await
            };
            match inserted.map_err(Reason::TokenStore)? {
                Inserted::All => return Ok((access_token, Jti::OfRecord(record.key))),
                Inserted::Exists(key) if key != record.key => return Err(once.used(&key)),
                Inserted::Exists(_) => {}
            }
        }
        Err(Reason::KeyCollision)
    }

    /// A signed token is its own record: nothing is written but the one-time values that it was bought with, if any.
    #[cfg(feature = "jwt")]
    async fn commit_jwt(
        &self,
        client: &AuthenticatedClient,
        once: Once<'_>,
        expires_at: Timestamp,
        token: TokenRecord,
    ) -> Result<(AccessToken, Jti), Reason> {
        let key = self.signer(client.at)?;
        let jti = self.jti.next(&*self.random, client.at)?;
        let access_token = jwt::mint(&key, &jti, &self.issuer, expires_at, &token)?;
        if !once.is_empty() {
            let records: Vec<Record> = once.records().collect();
            match self.tokens.insert(&records, client.at).await.map_err(Reason::TokenStore)? {
                Inserted::All => {}
                Inserted::Exists(key) => return Err(once.used(&key)),
            }
        }
        Ok((access_token, Jti::Text(jti)))
    }

    /// The key that signs at that moment: of the first of the configured algorithms.
    #[cfg(feature = "jwt")]
    pub(crate) fn signer(&self, at: Timestamp) -> Result<Arc<SigningKey>, Reason> {
        let algorithm = self.config.signing_algorithms.first().ok_or(Reason::NoSigningKey("any algorithm"))?;
        self.signing_keys.signer(*algorithm, at).ok_or(Reason::NoSigningKey(algorithm.as_str()))
    }

    /// An answer to an authenticated client, with the event that tells of it.
    pub(crate) fn refused(&self, client: &AuthenticatedClient, reason: Reason) -> TokenError {
        #[cfg(feature = "dpop")]
        let nonce = self.dpop.nonce_for(&reason, &self.issuer, client.at);
        let error = TokenError::new(reason, Some(&self.challenge));
        #[cfg(feature = "dpop")]
        let error = error.with_dpop_nonce(nonce);
        if let Some(observer) = &self.observer {
            observer(&client.event(&self.issuer, Outcome::Refused(&error)));
        }
        error
    }
}
