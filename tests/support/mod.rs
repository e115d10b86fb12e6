//! What the tests share: a server with a clock that stands still, and requests as plain data.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test panics where it fails")]

pub mod durable;
pub mod key;
pub mod servers;
pub mod signed;
pub mod state;

#[cfg(feature = "jwt")]
use client_credentials::store::SealingKeys;
use client_credentials::store::{MemoryClientStore, MemoryTokenStore, Registrations};
use client_credentials::{
    AuthorizationServer, CertificateChain, Client, ClientCertificate, ClientStore, Config, Field, IntrospectionRequest,
    Parts, Realms, RevocationRequest, Timestamp, TokenError, TokenRequest, TokenStore, introspect_token,
    issue_client_credentials_token, revoke_token,
};
use serde_json::Value;
use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

/// 2026-01-01T00:00:00Z, the moment of the vectors.
pub const NOW: u64 = 1_767_225_600;

/// Runs a future of the crate's to its end; no store needs a runtime.
pub fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        std::thread::yield_now();
    }
}

/// A clock that a test sets; in milliseconds.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub fn at(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds * 1000)))
    }
    pub fn set_millis(&self, milliseconds: u64) {
        self.0.store(milliseconds, Ordering::SeqCst);
    }
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl client_credentials::Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

pub type Server = AuthorizationServer<Arc<MemoryClientStore>, Arc<MemoryTokenStore>>;

/// A configuration from JSON; `issuer` is `https://as.example.com` where it is absent.
pub fn config(mut json: Value) -> Config {
    let members = json.as_object_mut().unwrap();
    members.entry("issuer").or_insert("https://as.example.com".into());
    serde_json::from_value(json).unwrap()
}

/// A client from JSON, as a configuration file has it.
pub fn client(json: Value) -> Client {
    serde_json::from_value(json).unwrap()
}

/// The seed's client: `myClient`, `mySecret`, scope `write`, by Basic and post.
pub fn my_client() -> Client {
    client(serde_json::json!({
        "client_id": "myClient", "client_secret": "mySecret", "scope": "write", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"],
    }))
}

/// How a database keeps the clients of an issuer, those with raw keys included.
pub fn registrations(issuer: &str) -> Registrations {
    let registrations = Registrations::new(issuer);
    #[cfg(feature = "jwt")]
    let registrations = registrations.with_sealing_keys(SealingKeys::new([[7; 32]]).unwrap());
    registrations
}

/// A server in memory whose clock stands at [`NOW`].
pub fn server(config: Config, clients: impl IntoIterator<Item = Client>) -> Server {
    server_at(config, clients, TestClock::at(NOW))
}

pub fn server_at(config: Config, clients: impl IntoIterator<Item = Client>, clock: TestClock) -> Server {
    let clients = Arc::new(clients.into_iter().collect::<MemoryClientStore>());
    AuthorizationServer::new(config, clients, Arc::default()).unwrap().with_clock(clock)
}

/// A request that owns its text.
#[derive(Clone, Default)]
pub struct Sent {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// What the TLS layer says of the connection.
    pub certificate: Option<(Vec<u8>, CertificateChain)>,
}

impl Sent {
    /// A form by POST.
    pub fn form(body: impl Into<Vec<u8>>) -> Self {
        Self { method: "POST".into(), path: "/oauth2/access_token".into(), body: body.into(), ..Self::default() }
            .header("Content-Type", "application/x-www-form-urlencoded")
    }
    /// With a header field more.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }
    /// With `Authorization: Basic` of the two texts as they are.
    pub fn basic(self, client_id: &str, client_secret: &str) -> Self {
        use base64::{Engine, engine::general_purpose::STANDARD};
        self.header("Authorization", format!("Basic {}", STANDARD.encode(format!("{client_id}:{client_secret}"))))
    }
    /// Over a connection with a client certificate.
    pub fn over(mut self, der: impl Into<Vec<u8>>, chain: CertificateChain) -> Self {
        self.certificate = Some((der.into(), chain));
        self
    }
    fn field(&self, name: &str) -> Field<'_> {
        self.headers
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
            .collect()
    }
    pub fn parts(&self) -> Parts<'_> {
        Parts {
            method: &self.method,
            path: &self.path,
            query: (!self.query.is_empty()).then_some(self.query.as_str()),
            content_type: self.field("content-type"),
            content_encoding: self.field("content-encoding"),
            authorization: self.field("authorization"),
            dpop: self.field("dpop"),
            accept: self.field("accept"),
            body: &self.body,
            certificate: self.certificate.as_ref().map(|(der, chain)| ClientCertificate::new(der, *chain)),
            ..Parts::default()
        }
    }
}

/// An answer as it would go over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    fn granted<'a>(headers: impl Iterator<Item = (&'static str, Cow<'a, str>)>, body: Vec<u8>) -> Self {
        Self { status: 200, headers: headers.map(|(name, value)| (name.into(), value.into())).collect(), body }
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
    /// The member `error`; empty for a success.
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }
    pub fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_default().to_owned()
    }
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
    /// Status and error together, for short assertions.
    pub fn outcome(&self) -> (u16, String) {
        (self.status, self.error())
    }
}

impl From<TokenError> for Answer {
    fn from(error: TokenError) -> Self {
        let headers = error.headers().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
        Self { status: error.status(), headers, body: error.body() }
    }
}

/// The token endpoint: octets in, octets out.
pub fn token<C: ClientStore, T: TokenStore>(server: &AuthorizationServer<C, T>, sent: &Sent) -> Answer {
    let answer =
        TokenRequest::parse(sent.parts()).and_then(|request| run(issue_client_credentials_token(server, &request)));
    answer.map_or_else(Answer::from, |granted| Answer::granted(granted.headers(), granted.body()))
}

/// The introspection endpoint.
pub fn introspect<C: ClientStore, T: TokenStore>(server: &AuthorizationServer<C, T>, sent: &Sent) -> Answer {
    let answer = IntrospectionRequest::parse(sent.parts()).and_then(|request| run(introspect_token(server, &request)));
    answer.map_or_else(Answer::from, |told| Answer::granted(told.headers(), told.body()))
}

/// The revocation endpoint.
pub fn revoke<C: ClientStore, T: TokenStore>(server: &AuthorizationServer<C, T>, sent: &Sent) -> Answer {
    let answer = RevocationRequest::parse(sent.parts()).and_then(|request| run(revoke_token(server, &request)));
    answer.map_or_else(Answer::from, |done| Answer::granted(done.headers(), done.body()))
}

/// Servers by realm, all in memory.
pub type TestRealms = Realms<Arc<MemoryClientStore>, Arc<MemoryTokenStore>>;

/// The vectors of one file.
pub fn vectors(file: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(vectors["cases"].as_array().unwrap().len() as u64, vectors["count"].as_u64().unwrap(), "{file}");
    vectors
}

/// Octets as the vectors write them.
pub fn octets(value: &Value) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    if value.is_null() {
        Vec::new()
    } else if let Some(text) = value["text"].as_str() {
        text.as_bytes().to_vec()
    } else if let Some(text) = value["base64"].as_str() {
        STANDARD.decode(text).unwrap()
    } else {
        let part = |name: &str| value["repeat"][name].as_str().unwrap().to_owned();
        let count = value["repeat"]["count"].as_u64().unwrap() as usize;
        (part("prefix") + &part("unit").repeat(count) + &part("suffix")).into_bytes()
    }
}

/// The request of a vector.
pub fn sent(request: &Value) -> Sent {
    let text = |name: &str| request[name].as_str().unwrap().to_owned();
    let headers = request["headers"].as_array().unwrap().iter();
    Sent {
        method: text("method"),
        path: text("path"),
        query: text("query"),
        headers: headers.map(|pair| (pair[0].as_str().unwrap().into(), pair[1].as_str().unwrap().into())).collect(),
        body: octets(&request["body"]),
        certificate: None,
    }
}
