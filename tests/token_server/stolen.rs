//! The example `resource_server` beside `token_server`: a stolen token is worth nothing there, whatever it is bound to.

use crate::assertions::{Signer, now, prove};
use crate::harness::*;
use crate::tls::self_signed;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

const OWNER: (&str, &str) = ("owner", "b7-Bound-Client");

/// The resource server as a process of its own.
struct Resource {
    child: Child,
    address: SocketAddr,
}

impl Resource {
    fn start(issuer: &str, others: &[&str]) -> Self {
        let mut child = Command::new(example("resource_server"))
            .args(["--listen", "127.0.0.1:0", "--issuer", issuer, "--audience", "https://api.example.com"])
            .args(["--client-id", "reports"])
            .args(others)
            .env("CLIENT_SECRET", "b7-Resource-Server")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").unwrap().parse().unwrap();
        Self { child, address }
    }

    fn url(&self) -> String {
        format!("http://{}/reports", self.address)
    }

    fn visit(&self, scheme: &str, token: &str, headers: &[(&str, &str)]) -> Answer {
        let request = Request::get("/reports").header("Authorization", format!("{scheme} {token}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let mut connection = Connection::open(self.address);
        connection.send(&request.octets());
        connection.answer(false).unwrap()
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An issuer of tokens in that format, whose client `owner` has `member` set.
fn issuer(format: &str, others: &str, member: &str) -> Server {
    let client = |id: &str, secret: &str| {
        format!(
            "[[clients]]\nclient_id = {id:?}\nclient_secret = {secret:?}\ntoken_endpoint_auth_method = \"client_secret_post\"\n"
        )
    };
    Server::start(&format!(
        "access_token_format = {format:?}\nresources = [\"https://api.example.com\"]\n\
         default_resources = [\"https://api.example.com\"]\n{others}{}grant_types = []\naudience = [\"https://api.example.com\"]\n\
         {}grant_types = [\"client_credentials\"]\nscope = \"read\"\ndefault_scope = \"read\"\n{member}\n",
        client("reports", "b7-Resource-Server"),
        client(OWNER.0, OWNER.1),
    ))
}

fn ask(server: &Server, field: (&str, &str)) -> String {
    let form = format!("{GRANT}&client_id={}&client_secret={}", OWNER.0, OWNER.1);
    server.send(&Request::post(TOKEN, form).header(field.0, field.1)).token()
}

/// Status and challenge.
fn refused(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("www-authenticate").unwrap_or_default())
}

// req: DP-032, DP-033
#[test]
fn a_token_that_is_bound_to_a_proof_s_key() {
    for format in ["opaque", "jwt"] {
        let server = issuer(format, "", "dpop_bound_access_tokens = true");
        let resource = Resource::start(&server.origin(), &[]);
        let (owner, thief) = (Signer::new("o"), Signer::new("t"));
        let at_issuer =
            json!({ "jti": "1", "htm": "POST", "htu": format!("{}{TOKEN}", server.origin()), "iat": now() });
        let token = ask(&server, ("DPoP", &prove(&owner, &at_issuer)));
        let ath = URL_SAFE_NO_PAD.encode(Sha256::digest(&token));
        let proof = |signer: &Signer, jti: &str| {
            prove(signer, &json!({ "jti": jti, "htm": "GET", "htu": resource.url(), "iat": now(), "ath": ath }))
        };
        let own = proof(&owner, "1");
        assert_eq!(resource.visit("DPoP", &token, &[("DPoP", &own)]).status, 200, "{format}");
        for (case, scheme, proof, code) in [
            ("as Bearer", "Bearer", None, "invalid_token"),
            ("without a proof", "DPoP", None, "invalid_dpop_proof"),
            ("with the thief's own key", "DPoP", Some(proof(&thief, "2")), "invalid_token"),
            ("with a proof that was overheard", "DPoP", Some(own.clone()), "invalid_dpop_proof"),
            ("as Bearer with a proof", "Bearer", Some(proof(&owner, "3")), "invalid_token"),
        ] {
            let headers: Vec<(&str, &str)> = proof.iter().map(|proof| ("DPoP", &**proof)).collect();
            let answer = resource.visit(scheme, &token, &headers);
            let (status, challenge) = refused(&answer);
            assert_eq!(status, 401, "{format}, {case}");
            assert!(challenge.starts_with("DPoP ") && challenge.contains(code), "{format}, {case}: {challenge}");
        }
        assert_eq!(resource.visit("DPoP", &token, &[("DPoP", &proof(&owner, "4"))]).status, 200, "{format}");
        server.finish();
    }
}

// req: MT-017
#[test]
fn a_token_that_is_bound_to_a_certificate() {
    for format in ["opaque", "jwt"] {
        let proxied = "trusted_proxies = [\"127.0.0.1\"]\n";
        let server = issuer(format, proxied, "tls_client_certificate_bound_access_tokens = true");
        let resource = Resource::start(&server.origin(), &["--trusted-proxy", "127.0.0.1"]);
        let (own, thief) = (self_signed("owner").forwarded(), self_signed("owner").forwarded());
        let token = ask(&server, ("Client-Cert", &own));
        assert_eq!(resource.visit("Bearer", &token, &[("Client-Cert", &own)]).status, 200, "{format}");
        for headers in [&[][..], &[("Client-Cert", &*thief)]] {
            let answer = resource.visit("Bearer", &token, headers);
            let (status, challenge) = refused(&answer);
            assert_eq!(status, 401, "{format}");
            assert!(challenge.starts_with("Bearer ") && challenge.contains("invalid_token"), "{format}: {challenge}");
        }
        assert_eq!(resource.visit("Bearer", &token, &[("Client-Cert", "nonsense")]).status, 400, "{format}");
        // Without a proxy in front, anybody could write the field.
        let open = Resource::start(&server.origin(), &[]);
        assert_eq!(open.visit("Bearer", &token, &[("Client-Cert", &own)]).status, 401, "{format}");
        server.finish();
    }
}
