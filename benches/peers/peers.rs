//! Our opaque token beside that of oxide-auth, in one process; beside Authlib's, a round whenever `run` asks for one.
//!
//! ```text
//! benches/peers/run                                            # all peers
//! cargo bench --manifest-path benches/peers/Cargo.toml         # oxide-auth alone
//! ```
//!
//! All get the octets of one request and give those of the answer, keep tokens in memory, compare a SHA-256 of the secret
//! in constant time, and take 32 octets from the system for each random value. The floor of a peer's row is our row of the
//! same method, so that its ratio reads "times ours".
//!
//! oxide-auth's `TokenMap` makes a refresh token beside each access token, though its flow of client credentials gives none
//! out: the last row spares it the random octets for that. It keeps every token until `revoke` and keeps the token itself,
//! where ours and the floor keep a SHA-256 of it. Between rounds all maps are emptied and keep their room.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

#[path = "../harness/mod.rs"]
mod harness;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::{Field, Parts, RandomSource, SystemRandom};
use harness::opaque::{self, SECRET};
use harness::{Case, keeping, measure, per_call};
use oxide_auth::endpoint::{
    ClientCredentialsFlow, OwnerConsent, OwnerSolicitor, QueryParameter, Solicitation, WebRequest, WebResponse,
};
use oxide_auth::frontends::simple::endpoint::{Generic, Vacant};
use oxide_auth::primitives::generator::TagGrant;
use oxide_auth::primitives::grant::{Extensions, Grant};
use oxide_auth::primitives::issuer::{IssuedToken, Issuer, TokenMap};
use oxide_auth::primitives::registrar::{Client, ClientMap, PasswordPolicy, RegisteredUrl, RegistrarError};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::convert::Infallible;
use std::hint::black_box;
use std::io::stdin;
use subtle::ConstantTimeEq;
use url::Url;

/// More tokens than oxide-auth makes in a round.
const ROOM: usize = 14_000;

fn main() {
    if std::env::args().any(|argument| argument == "turns") { turns() } else { beside_oxide_auth() }
}

fn beside_oxide_auth() {
    let [floor, by_post, by_basic] = opaque::cases();
    let mut cases = [
        floor,
        by_post,
        by_basic,
        beside("oxide-auth, client_secret_post", 1, Random::ForBoth, opaque::by_post()),
        beside("oxide-auth, client_secret_basic", 2, Random::ForBoth, opaque::by_basic()),
        beside("oxide-auth, one random value a token", 2, Random::ForAccessTokens, opaque::by_basic()),
    ];
    measure("peers", &mut cases);
}

fn beside(name: &str, ours: usize, random: Random, parts: Parts<'static>) -> Case<'static> {
    let run = move |peer: &mut Peer| drop(black_box(answer(peer, parts)));
    keeping(name, ours, peer(random), run, move |peer| peer.issuer = emptied(random))
}

/// For each line that comes in, nanoseconds a token of one round of ours: by post and by Basic.
fn turns() {
    let [_, mut by_post, mut by_basic] = opaque::cases();
    for _ in stdin().lines() {
        let [post, basic] = [&mut by_post, &mut by_basic].map(|case| {
            let time = per_call(&mut *case.run);
            (case.reset)();
            time
        });
        println!("{post}\t{basic}");
    }
}

type Peer = Generic<ClientMap, Vacant, TokenMap<Random>, ItsOwn>;

fn peer(random: Random) -> Peer {
    let mut registrar = ClientMap::new();
    registrar.set_password_policy(Sha256Digest);
    let redirect_uri = RegisteredUrl::Semantic("https://client.example.com/".parse().unwrap());
    let scope = "write".parse().unwrap();
    registrar.register_client(Client::confidential("myClient", redirect_uri, scope, SECRET.as_bytes()));
    let issuer = emptied(random);
    Generic { registrar, authorizer: Vacant, issuer, solicitor: ItsOwn, scopes: Vacant, response: Vacant }
}

/// Octets in, octets out.
fn answer(peer: &mut Peer, parts: Parts<'static>) -> Vec<u8> {
    let mut flow = ClientCredentialsFlow::prepare(peer).ok().unwrap();
    flow.allow_credentials_in_body(true);
    flow.execute(Request::parse(black_box(parts))).ok().unwrap().0
}

/// Without a token, and with the room for those of a round.
fn emptied(random: Random) -> TokenMap<Random> {
    let mut tokens = TokenMap::new(random);
    let issued: Vec<IssuedToken> = (0..ROOM).map(|_| tokens.issue(grant()).unwrap()).collect();
    for IssuedToken { token, refresh, .. } in issued {
        tokens.revoke(&token);
        refresh.iter().for_each(|refresh| tokens.revoke(refresh));
    }
    tokens
}

fn grant() -> Grant {
    Grant {
        owner_id: "myClient".into(),
        client_id: "myClient".into(),
        scope: "write".parse().unwrap(),
        redirect_uri: "https://client.example.com/".parse().unwrap(),
        until: "2100-01-01T00:00:00Z".parse().unwrap(),
        extensions: Extensions::new(),
    }
}

#[derive(Clone, Copy)]
enum Random {
    ForBoth,
    /// A refresh token that could be guessed: right only where nothing takes refresh tokens.
    ForAccessTokens,
}

impl TagGrant for Random {
    fn tag(&mut self, usage: u64, _: &Grant) -> Result<String, ()> {
        if matches!(self, Self::ForAccessTokens) && usage % 2 == 1 {
            return Ok(usage.to_string());
        }
        let mut octets = [0; 32];
        SystemRandom.fill(&mut octets).map_err(drop)?;
        Ok(URL_SAFE_NO_PAD.encode(octets))
    }
}

/// A secret from a generator needs no slow hash.
struct Sha256Digest;

impl PasswordPolicy for Sha256Digest {
    fn store(&self, _: &str, secret: &[u8]) -> Vec<u8> {
        Sha256::digest(secret).to_vec()
    }

    fn check(&self, _: &str, secret: &[u8], stored: &[u8]) -> Result<(), RegistrarError> {
        let same = Sha256::digest(secret).ct_eq(stored);
        if same.into() { Ok(()) } else { Err(RegistrarError::Unspecified) }
    }
}

/// The client is the owner of what it asks for.
struct ItsOwn;

impl OwnerSolicitor<Request> for ItsOwn {
    fn check_consent(&mut self, _: &mut Request, asked: Solicitation<'_>) -> OwnerConsent<Answer> {
        OwnerConsent::Authorized(asked.pre_grant().client_id.clone())
    }
}

/// The least that `WebRequest` allows: its form must own what it holds.
struct Request {
    authorization: Option<&'static str>,
    form: Vec<(String, String)>,
}

impl Request {
    fn parse(parts: Parts<'static>) -> Self {
        let authorization = match parts.authorization {
            Field::One(octets) => Some(std::str::from_utf8(octets).unwrap()),
            _ => None,
        };
        Self { authorization, form: url::form_urlencoded::parse(parts.body).into_owned().collect() }
    }
}

impl WebRequest for Request {
    type Error = Infallible;
    type Response = Answer;

    fn query(&mut self) -> Result<Cow<'_, dyn QueryParameter + 'static>, Infallible> {
        unreachable!("the query is no part of this grant")
    }

    fn urlbody(&mut self) -> Result<Cow<'_, dyn QueryParameter + 'static>, Infallible> {
        Ok(Cow::Borrowed(&self.form))
    }

    fn authheader(&mut self) -> Result<Option<Cow<'_, str>>, Infallible> {
        Ok(self.authorization.map(Cow::Borrowed))
    }
}

#[derive(Default)]
struct Answer(Vec<u8>);

impl WebResponse for Answer {
    type Error = Infallible;

    fn ok(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn redirect(&mut self, _: Url) -> Result<(), Infallible> {
        unreachable!("this grant never redirects")
    }

    fn client_error(&mut self) -> Result<(), Infallible> {
        unreachable!("every request is right")
    }

    fn unauthorized(&mut self, _: &str) -> Result<(), Infallible> {
        unreachable!("every secret is right")
    }

    fn body_text(&mut self, text: &str) -> Result<(), Infallible> {
        self.body_json(text)
    }

    fn body_json(&mut self, json: &str) -> Result<(), Infallible> {
        self.0 = json.into();
        Ok(())
    }
}
