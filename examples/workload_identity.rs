//! A workload gets a token without a secret of its own: its platform's JWT speaks for it.
//!
//! ```text
//! cargo run --example workload_identity --features jwt
//! ```
//!
//! The platform here is a Kubernetes cluster, played by a few lines below: it hands each pod a signed service account token. The
//! client `billing` is registered with the cluster's issuer, the subject that stands for it, and the cluster's public keys. In
//! a real server they come from `jwks_uri`, which the cluster publishes, by a `JwksCache`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationServer, Client, Clock, Config, Field, Parts, SystemClock, TokenError, TokenRequest,
    issue_client_credentials_token,
};
use serde_json::{Value, json};
use std::error::Error;

const ISSUER: &str = "https://as.example.com";
const CLUSTER: &str = "https://kubernetes.example.com";

/// What stands for a cluster: a key, and tokens for its service accounts.
struct Cluster(rcgen::KeyPair);

impl Cluster {
    /// The key set that a cluster publishes at `/openid/v1/jwks`.
    fn jwks(&self) -> Value {
        let point = self.0.public_key_raw(); // 4, x, y
        let coordinate = |octets: Option<&[u8]>| URL_SAFE_NO_PAD.encode(octets.unwrap_or_default());
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "kid": "cluster-1", "use": "sig",
            "x": coordinate(point.get(1..33)), "y": coordinate(point.get(33..65)),
        }] })
    }

    /// What a pod finds in its volume `serviceAccountToken`, asked for with the audience of the authorization server.
    fn token(&self, namespace: &str, account: &str) -> Result<String, Box<dyn Error>> {
        let now = SystemClock.now().as_secs();
        let claims = json!({
            "iss": CLUSTER, "sub": format!("system:serviceaccount:{namespace}:{account}"), "aud": [ISSUER],
            "iat": now, "nbf": now, "exp": now + 3600,
            "kubernetes.io": { "namespace": namespace, "serviceaccount": { "name": account } },
        });
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        header.kid = Some("cluster-1".into());
        let key = jsonwebtoken::EncodingKey::from_ec_der(&self.0.serialize_der());
        Ok(jsonwebtoken::encode(&header, &claims, &key)?)
    }
}

type Server = AuthorizationServer<MemoryClientStore, MemoryTokenStore>;

/// The workload's request: its client id, and the platform's token in place of a secret.
async fn ask(server: &Server, client_id: &str, platform_token: &str) -> Result<String, TokenError> {
    let assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let body = format!(
        "grant_type=client_credentials&scope=invoices&client_id={client_id}\
         &client_assertion_type={assertion_type}&client_assertion={platform_token}"
    );
    let request = TokenRequest::parse(Parts {
        method: "POST",
        content_type: Field::One(b"application/x-www-form-urlencoded"),
        body: body.as_bytes(),
        ..Parts::default()
    })?;
    let response = issue_client_credentials_token(server, &request).await?;
    Ok(format!("a token with scope {} for {} seconds", response.scope, response.expires_in))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let cluster = Cluster(rcgen::KeyPair::generate()?);
    let billing: Client = serde_json::from_value(json!({
        "client_id": "billing", "grant_types": ["client_credentials"], "scope": "invoices",
        "token_endpoint_auth_method": "private_key_jwt",
        "federated": [{
            "issuer": CLUSTER, "subject": "system:serviceaccount:prod:billing", "audience": ISSUER, "jwks": cluster.jwks(),
            "claims": { "kubernetes.io": { "namespace": "prod" } },
        }],
    }))?;
    let config = Config::new(ISSUER);
    if let Some(fault) = billing.validate(&config).first() {
        return Err(fault.clone().into());
    }
    let server = AuthorizationServer::new(config, [billing].into_iter().collect(), MemoryTokenStore::default())?;

    let own = cluster.token("prod", "billing")?;
    println!("billing in prod: {}", ask(&server, "billing", &own).await?);
    // The platform's token is the same until it expires, so it may be used again.
    println!("the same token again: {}", ask(&server, "billing", &own).await?);

    // Another workload of the same cluster is another subject; nobody else's token speaks for billing.
    for (namespace, account) in [("prod", "frontend"), ("test", "billing")] {
        match ask(&server, "billing", &cluster.token(namespace, account)?).await {
            Err(error) => println!("{account} in {namespace}: {error}"),
            Ok(_) => return Err("a stranger got a token".into()),
        }
    }
    Ok(())
}
