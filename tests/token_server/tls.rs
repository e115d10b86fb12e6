//! TLS: client certificates in the handshake, and on the word of a proxy (RFC 8705, RFC 9440).

use crate::harness::*;
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, crypto::aws_lc_rs, version,
};

/// A certificate with its key.
pub(crate) struct Identity {
    der: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Identity {
    /// The field by which a proxy hands it on.
    pub(crate) fn forwarded(&self) -> String {
        format!(":{}:", STANDARD.encode(&self.der))
    }

    fn thumbprint(&self) -> String {
        client_credentials::Thumbprint::of_certificate(&self.der).to_string()
    }

    /// As a key set for `self_signed_tls_client_auth`.
    fn jwks(&self) -> Value {
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let (x, y) = self.key.public_key_raw()[1..].split_at(32);
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
            "x5c": [STANDARD.encode(&self.der)],
        }] })
    }
}

struct Authority(Issuer<'static, KeyPair>, String, CertificateDer<'static>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        Self(Issuer::new(params, key), own.pem(), own.der().clone())
    }

    fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        Identity { der: made.der().clone(), pem: made.pem(), key }
    }
}

pub(crate) fn self_signed(name: &str) -> Identity {
    let key = KeyPair::generate().unwrap();
    let made = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    Identity { der: made.der().clone(), pem: made.pem(), key }
}

/// Files of a server with TLS, whose own certificate and whose clients' are issued by one authority.
struct Setup {
    authority: Authority,
    folder: Folder,
}

impl Setup {
    fn new() -> Self {
        let setup = Self { authority: Authority::new(), folder: Folder::new() };
        let own = setup.authority.issue("localhost");
        setup.write("server.pem", &own.pem);
        setup.write("server.key", &own.key.serialize_pem());
        setup.write("ca.pem", &setup.authority.1);
        setup
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.0.join(name), text).unwrap();
    }

    fn key(&self, key: &str, file: &str) -> String {
        format!("{key} = {:?}\n", self.folder.0.join(file))
    }

    fn tls(&self) -> String {
        self.key("tls_certificate", "server.pem") + &self.key("tls_key", "server.key")
    }

    fn mutual(&self) -> String {
        self.tls() + &self.key("client_ca", "ca.pem")
    }

    fn stream(
        &self,
        server: &Server,
        client: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> StreamOwned<ClientConnection, std::net::TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.2.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some(Identity { der, key, .. }) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![der.clone()], key).unwrap()
            }
        };
        let tls = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        StreamOwned::new(tls, Connection::socket(server.address))
    }

    fn connect(&self, server: &Server, client: Option<&Identity>) -> Connection {
        Connection::over(self.stream(server, client, &[&version::TLS13]))
    }

    /// Sends a request on a connection with that certificate.
    fn send(&self, server: &Server, client: Option<&Identity>, request: &Request) -> Answer {
        server.send_over(self.connect(server, client), request)
    }

    fn ask(&self, server: &Server, client: Option<&Identity>, client_id: &str) -> Answer {
        self.send(server, client, &asking(client_id))
    }
}

fn asking(client_id: &str) -> Request {
    Request::post(TOKEN, format!("{GRANT}&client_id={client_id}"))
}

/// A client by the DNS name in its certificate.
fn by_name(client_id: &str, more: &str) -> String {
    format!(
        "[[clients]]\nclient_id = {client_id:?}\ngrant_types = [\"client_credentials\"]\nscope = \"read\"\n\
         default_scope = \"read\"\ntoken_endpoint_auth_method = \"tls_client_auth\"\n\
         tls_client_auth_san_dns = \"{client_id}.example.com\"\n{more}\n"
    )
}

const SECRET: &str = "[[clients]]\nclient_id = \"basic\"\nclient_secret = \"q8-Tls-Secret-One\"\nmay_introspect = true\n\
    grant_types = [\"client_credentials\"]\nscope = \"read\"\ndefault_scope = \"read\"\n";
const REFUSED: (u16, &str) = (401, "invalid_client");

fn outcome(answer: &Answer) -> (u16, String) {
    answer.outcome()
}

fn refused() -> (u16, String) {
    (REFUSED.0, REFUSED.1.to_owned())
}

// req: MD-004, MT-018
#[test]
fn tls_alone_is_an_https_origin_and_no_method() {
    let setup = Setup::new();
    let server = Server::start(&format!("{}{SECRET}", setup.tls()));
    assert!(server.origin().starts_with("https://"));
    let told = setup.send(&server, None, &Request::get(WELL_KNOWN)).json();
    assert_eq!(told["issuer"], server.origin());
    let methods = json!(["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"]);
    assert_eq!(told["token_endpoint_auth_methods_supported"], methods);
    assert_eq!(told.get("tls_client_certificate_bound_access_tokens"), None);
    let request = Request::post(TOKEN, GRANT).basic("basic", "q8-Tls-Secret-One");
    setup.send(&server, None, &request).token();
    // Both versions of TLS that are good enough; and plain HTTP is none of them.
    server.send_over(Connection::over(setup.stream(&server, None, &[&version::TLS12])), &request).token();
    let mut plain = Connection::open(server.address);
    plain.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    server.finish();
}

// req: MT-001, MT-002, MT-003, MT-004, MT-008, MT-012, MT-013, MT-014, MT-016, MT-018
#[test]
fn a_certificate_of_the_authority_is_a_client() {
    let setup = Setup::new();
    let bound = "tls_client_certificate_bound_access_tokens = true";
    let config = format!("{}{}{}{SECRET}", setup.mutual(), by_name("reports", bound), by_name("billing", ""));
    let server = Server::start(&format!("{config}{bound}\n"));
    let told = setup.send(&server, None, &Request::get(WELL_KNOWN)).json();
    assert_eq!(told["tls_client_certificate_bound_access_tokens"], true);
    let methods = told["token_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(methods.contains(&json!("tls_client_auth")) && methods.contains(&json!("self_signed_tls_client_auth")));

    let (reports, billing) =
        (setup.authority.issue("reports.example.com"), setup.authority.issue("billing.example.com"));
    let basic = |request: Request| request.basic("basic", "q8-Tls-Secret-One");
    let cnf = |token: &str| {
        let about = basic(Request::post(INTROSPECT, format!("token={token}")));
        setup.send(&server, None, &about).json().get("cnf").cloned()
    };
    for _ in 0..2 {
        let token = setup.ask(&server, Some(&reports), "reports").token();
        assert_eq!(cnf(&token), Some(json!({ "x5t#S256": reports.thumbprint() })));
    }
    let tls12 = Connection::over(setup.stream(&server, Some(&reports), &[&version::TLS12]));
    server.send_over(tls12, &asking("reports")).token();
    let token = setup.ask(&server, Some(&billing), "billing").token();
    assert_eq!(cnf(&token), None);
    let token = setup.send(&server, Some(&billing), &basic(Request::post(TOKEN, GRANT))).token();
    assert_eq!(
        cnf(&token),
        Some(json!({ "x5t#S256": billing.thumbprint() })),
        "whose certificate it is does not count"
    );
    let without = setup.send(&server, None, &basic(Request::post(TOKEN, GRANT)));
    assert_eq!(outcome(&without), (400, "invalid_request".into()));

    for (certificate, client_id) in [
        (None, "reports"),
        (Some(&billing), "reports"),
        (Some(&reports), "nobody"),
        (Some(&reports), "basic"),
        (Some(&reports), ""),
    ] {
        assert_eq!(outcome(&setup.ask(&server, certificate, client_id)), refused(), "{client_id:?}");
    }
    // A certificate of nobody we know does not get through the handshake.
    let stranger = Authority::new().issue("reports.example.com");
    assert!(is_refused(&setup, &server, &stranger));
    assert!(is_refused(&setup, &server, &self_signed("reports.example.com")));
    setup.ask(&server, Some(&reports), "reports").token();
    assert!(server.log().contains("outcome=refused reason=\"no connection: "), "{}", server.log());
    server.finish();
}

/// Whether the server ends a handshake.
fn is_refused(setup: &Setup, server: &Server, client: &Identity) -> bool {
    use std::io::{Read, Write};
    let mut stream = setup.stream(server, Some(client), &[&version::TLS13]);
    let sent = stream.write_all(&asking("reports").octets());
    sent.is_err() || stream.read(&mut [0; 1]).is_err()
}

// req: MT-009, MT-010
#[test]
fn a_self_signed_certificate_is_for_whom_it_is_registered() {
    let setup = Setup::new();
    let own = self_signed("own.example.com");
    let registered = format!(
        "[[clients]]\nclient_id = \"own\"\ngrant_types = [\"client_credentials\"]\nscope = \"read\"\ndefault_scope = \"read\"\n\
         token_endpoint_auth_method = \"self_signed_tls_client_auth\"\njwks = '{}'\n",
        own.jwks()
    );
    let server = Server::start(&format!("{}{registered}{}", setup.mutual(), by_name("reports", "")));
    setup.ask(&server, Some(&own), "own").token();
    let tls12 = Connection::over(setup.stream(&server, Some(&own), &[&version::TLS12]));
    server.send_over(tls12, &asking("own")).token();
    assert_eq!(outcome(&setup.ask(&server, Some(&self_signed("own.example.com")), "own")), refused());
    // The handshake takes every certificate now; a name in one still needs the authority behind it.
    for forged in [self_signed("reports.example.com"), Authority::new().issue("reports.example.com")] {
        assert_eq!(outcome(&setup.ask(&server, Some(&forged), "reports")), refused());
    }
    assert!(server.log().contains("its chain was not verified"));
    setup.ask(&server, Some(&setup.authority.issue("reports.example.com")), "reports").token();
    server.finish();
}

// req: MT-020
#[test]
fn a_header_counts_on_the_word_of_a_trusted_proxy_alone() {
    let setup = Setup::new();
    let reports = setup.authority.issue("reports.example.com");
    let forged = asking("reports").header("Client-Cert", reports.forwarded());

    // Nobody is trusted, or somebody else.
    for config in [setup.mutual(), "trusted_proxies = [\"192.0.2.1\", \"2001:db8::1\"]\n".to_owned()] {
        let server = Server::start(&format!("{config}{}", by_name("reports", "")));
        let send = |request: &Request| match server.origin().starts_with("https") {
            true => setup.send(&server, None, request),
            false => server.send(request),
        };
        assert_eq!(outcome(&send(&forged)), refused());
        assert_eq!(outcome(&send(&asking("reports").header("Client-Cert", "nonsense"))), refused());
        server.finish();
    }

    // A proxy in front, by plain HTTP.
    let bound = "tls_client_certificate_bound_access_tokens = true";
    let server = Server::start(&format!("trusted_proxies = [\"::ffff:127.0.0.1\"]\n{}", by_name("reports", bound)));
    server.send(&forged).token();
    let chain = format!(":{}:", STANDARD.encode(&setup.authority.2));
    server.send(&forged.clone().header("Client-Cert-Chain", chain)).token();
    assert_eq!(outcome(&server.send(&asking("reports"))), refused());
    let other = asking("reports").header("Client-Cert", setup.authority.issue("billing.example.com").forwarded());
    assert_eq!(outcome(&server.send(&other)), refused());
    for bad in [
        asking("reports").header("Client-Cert", "nonsense"),
        asking("reports").header("Client-Cert", reports.pem.replace('\n', " ")),
        forged.clone().header("Client-Cert", reports.forwarded()),
        asking("reports").header("Client-Cert-Chain", reports.forwarded()),
    ] {
        assert_eq!(outcome(&server.send(&bad)), (400, "invalid_request".into()));
    }
    server.finish();

    // A proxy that has a certificate itself: it is not its clients'.
    let server =
        Server::start(&format!("{}trusted_proxies = [\"127.0.0.1\"]\n{}", setup.mutual(), by_name("reports", "")));
    assert_eq!(outcome(&setup.ask(&server, Some(&reports), "reports")), refused());
    setup.send(&server, Some(&setup.authority.issue("proxy.example.com")), &forged).token();
    server.finish();
}

/// Neither who begins no handshake, nor who asks nothing after it, holds a connection for long.
#[test]
fn who_says_nothing_is_cut_off() {
    use std::io::{ErrorKind, Read, Write};
    let setup = Setup::new();
    let server = Server::start(&format!("{}{SECRET}", setup.mutual()));
    let mut silent = Connection::socket(server.address);
    let mut begun = Connection::socket(server.address);
    begun.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    let mut shaken = setup.stream(&server, None, &[&version::TLS13]);
    shaken.write_all(b"POST /oauth2/access_token HTTP/1.1\r\nHost: ").unwrap();
    let mut octets = Vec::new();
    assert_eq!(silent.read_to_end(&mut octets).unwrap(), 0);
    // An alert may come first, or the end of TCP without the end of TLS; but it is an end, and not our patience that is over.
    let is_end = |read: std::io::Result<usize>| {
        read.map_or_else(|error| ![ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()), |_| true)
    };
    assert!(is_end(begun.read_to_end(&mut octets)));
    let mut answer = Vec::new();
    assert!(is_end(shaken.read_to_end(&mut answer)));
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    setup.send(&server, None, &Request::post(TOKEN, GRANT).basic("basic", "q8-Tls-Secret-One")).token();
    server.finish();
}

// req: HT-014
#[test]
fn what_is_wrong_with_the_files_is_named() {
    let setup = Setup::new();
    setup.write("other.key", &KeyPair::generate().unwrap().serialize_pem());
    setup.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    setup.write("empty.pem", "");
    let (certificate, key) = (setup.key("tls_certificate", "server.pem"), setup.key("tls_key", "server.key"));
    let faults = |config: &str| {
        let ended = run(Some(config.as_bytes()), &["--check"]);
        let keys = ended.lines.iter().filter_map(|line| line.strip_prefix("error: ")?.split_once(": "));
        (ended.code, keys.map(|(key, _)| key.to_owned()).collect::<Vec<_>>())
    };
    for (config, wrong) in [
        (certificate.clone(), vec!["tls_certificate"]),
        (key.clone(), vec!["tls_key"]),
        (setup.key("client_ca", "ca.pem"), vec!["client_ca"]),
        (setup.key("tls_certificate", "absent.pem") + &key, vec!["tls_certificate"]),
        (setup.key("tls_certificate", "empty.pem") + &key, vec!["tls_certificate"]),
        (certificate.clone() + &setup.key("tls_key", "server.pem"), vec!["tls_key"]),
        (certificate.clone() + &setup.key("tls_key", "other.key"), vec!["tls_key"]),
        (setup.tls() + &setup.key("client_ca", "broken.pem"), vec!["client_ca"]),
        (setup.tls() + &setup.key("client_ca", "server.key"), vec!["client_ca"]),
        ("tls_certificate = 7\ntls_key = true\n".to_owned(), vec!["tls_certificate", "tls_key"]),
        ("trusted_proxies = \"127.0.0.1\"\n".to_owned(), vec!["trusted_proxies"]),
        ("trusted_proxies = [\"10.0.0.0/8\"]\n".to_owned(), vec!["trusted_proxies"]),
        (
            "[realms.\"/a\"]\ntrusted_proxies = []\ntls_key = \"x\"\n".to_owned(),
            vec!["realms.\"/a\".tls_key", "realms.\"/a\".trusted_proxies"],
        ),
        (
            "token_endpoint_auth_methods = [\"client_secret_basic\", \"tls_client_auth\"]\n".to_owned(),
            vec!["token_endpoint_auth_methods"],
        ),
        (by_name("reports", ""), vec!["clients.\"reports\".token_endpoint_auth_method"]),
        (
            format!("trusted_proxies = []\n{}", by_name("reports", "")),
            vec!["clients.\"reports\".token_endpoint_auth_method"],
        ),
        (
            format!("{SECRET}tls_client_certificate_bound_access_tokens = true\n"),
            vec!["clients.\"basic\".tls_client_certificate_bound_access_tokens"],
        ),
    ] {
        let (code, mut found) = faults(&config);
        found.sort_unstable();
        assert_eq!((code, found), (Some(2), wrong.into_iter().map(str::to_owned).collect()), "{config}");
    }
    assert_eq!(faults(&(setup.mutual() + &by_name("reports", ""))), (Some(0), vec![]));
    assert_eq!(faults(&format!("trusted_proxies = [\"10.0.0.1\"]\n{}", by_name("reports", ""))), (Some(0), vec![]));
}

#[test]
fn a_proxy_before_both_kinds_of_clients_is_warned_about() {
    let jwks = format!("jwks = '{}'\n", self_signed("own.example.com").jwks());
    let own = format!(
        "[[clients]]\nclient_id = \"own\"\ngrant_types = [\"client_credentials\"]\nscope = \"read\"\ndefault_scope = \"read\"\n\
         token_endpoint_auth_method = \"self_signed_tls_client_auth\"\n{jwks}"
    );
    for (clients, warned) in [(own.clone() + &by_name("reports", ""), 1), (own, 0), (by_name("reports", ""), 0)] {
        let config = format!("trusted_proxies = [\"127.0.0.1\"]\n{clients}");
        let ended = run(Some(config.as_bytes()), &["--check"]);
        assert_eq!(ended.code, Some(0), "{:?}", ended.lines);
        let found = ended.lines.iter().filter(|line| line.starts_with("warning: trusted_proxies: ")).count();
        assert_eq!(found, warned, "{:?}", ended.lines);
    }
}
