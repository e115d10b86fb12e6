//! A P-256 key of a client or of its proofs, by other implementations than the crate's.

use super::*;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

pub struct Key(rcgen::KeyPair);

impl Key {
    pub fn new() -> Self {
        Self(rcgen::KeyPair::generate().unwrap())
    }

    pub fn jwk(&self) -> Value {
        let point = self.0.public_key_raw();
        let encode = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..65]) })
    }

    pub fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_ec_der(&self.0.serialize_der())).unwrap()
    }

    /// A DPoP proof with these claims (RFC 9449 §4.2).
    pub fn prove(&self, claims: &Value) -> String {
        let jwk = Some(serde_json::from_value(self.jwk()).unwrap());
        self.sign(&Header { typ: Some("dpop+jwt".into()), jwk, ..Header::new(Algorithm::ES256) }, claims)
    }
}
