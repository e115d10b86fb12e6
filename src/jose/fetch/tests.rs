use super::*;
use crate::clock::Timestamp;
use crate::jose::{JwkSet, JwksError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

const SET: &str =
    r#"{"keys":[{"kty":"new"},{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
const JSON: &str = "Content-Type: application/json";

/// A certificate authority of the test's own.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// TLS for `localhost`.
    fn acceptor(&self) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let key = key.serialize_der().try_into().unwrap();
        let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// What a server does with a connection.
#[derive(Clone)]
enum Answer {
    Octets(Vec<u8>),
    /// Octets, then these again and again, with a pause before each.
    Endless(Vec<u8>, Vec<u8>, Duration),
    /// Not even TLS.
    Silence,
}

impl Answer {
    fn with(status: &str, headers: &str, body: &str) -> Self {
        let headers = if headers.is_empty() { String::new() } else { format!("{headers}\r\n") };
        let length = body.len();
        Self::Octets(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into())
    }
}

/// A server on loopback; each of its tasks ends with the test's runtime.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(tls: Option<TlsAcceptor>, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, connections: Arc::default(), requests: Arc::default() };
        let (connections, requests) = (Arc::clone(&server.connections), Arc::clone(&server.requests));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (tls, answer, requests) = (tls.clone(), answer.clone(), Arc::clone(&requests));
                tokio::spawn(async move {
                    match tls {
                        _ if matches!(answer, Answer::Silence) => sleep(Duration::from_secs(600)).await,
                        None => speak(stream, answer, &requests).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                speak(stream, answer, &requests).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    fn uri(&self) -> String {
        format!("https://localhost:{}/jwks", self.port)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn speak(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: Answer, requests: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(octet) => request.push(octet),
            Err(_) => return,
        }
    }
    requests.lock().unwrap().push(String::from_utf8(request).unwrap());
    match answer {
        Answer::Octets(octets) => {
            let _ = stream.write_all(&octets).await;
            let _ = stream.shutdown().await;
        }
        Answer::Endless(start, again, pause) => {
            let mut written = stream.write_all(&start).await;
            while written.is_ok() {
                let _ = stream.flush().await;
                sleep(pause).await;
                written = stream.write_all(&again).await;
            }
        }
        Answer::Silence => {}
    }
}

async fn keys(cache: &JwksCache, uri: &str) -> Result<JwkSet, JwksError> {
    // Whatever a server does, the answer comes in bounded time.
    timeout(Duration::from_secs(60), cache.keys(uri, Timestamp::from_secs(1_767_225_600))).await.unwrap()
}

/// What a cache that allows `localhost` makes of an answer.
async fn outcome_of(answer: Answer) -> Result<JwkSet, JwksError> {
    let ca = Ca::new();
    let server = Server::start(Some(ca.acceptor()), answer).await;
    keys(&JwksCache::https_with_roots(["localhost"], &ca.pem).unwrap(), &server.uri()).await
}

/// All that an error says, and its sources.
fn words(error: &JwksError) -> String {
    let mut error: Option<&dyn Error> = Some(error);
    let mut words = String::new();
    while let Some(one) = error {
        words = format!("{words}: {one}");
        error = one.source();
    }
    words
}

#[tokio::test]
// req: AS-053
async fn a_set_comes_by_https() {
    let ca = Ca::new();
    let answer = Answer::with("200 OK", &format!("{JSON}; charset=utf-8\r\nSet-Cookie: a=b"), SET);
    let server = Server::start(Some(ca.acceptor()), answer).await;
    let cache = JwksCache::https_with_roots(["localhost"], &ca.pem).unwrap();
    for path in ["/jwks?a=%41", "/again"] {
        let set = keys(&cache, &format!("https://localhost:{}{path}", server.port)).await.unwrap();
        assert_eq!(set.iter().count(), 1);
    }
    let requests = server.requests.lock().unwrap();
    assert!(requests[0].starts_with("GET /jwks?a=%41 HTTP/1.1\r\n"), "{requests:?}");
    for request in requests.iter().map(|request| request.to_ascii_lowercase()) {
        assert!(request.contains("\r\naccept-encoding: identity\r\n"), "{request}");
        assert!(request.contains("\r\nuser-agent: client-credentials\r\n"), "{request}");
        for absent in ["\r\ncookie", "\r\nauthorization", "\r\nreferer"] {
            assert!(!request.contains(absent), "{request}");
        }
    }
}

#[tokio::test]
async fn a_certificate_of_another_ca_or_name_is_not_believed() {
    let (ca, other) = (Ca::new(), Ca::new());
    let server = Server::start(Some(ca.acceptor()), Answer::with("200 OK", JSON, SET)).await;
    let cache = JwksCache::https_with_roots(["localhost", "127.0.0.1"], &other.pem).unwrap();
    assert!(words(&keys(&cache, &server.uri()).await.unwrap_err()).contains("certificate"));
    let cache = JwksCache::https_with_roots(["localhost", "127.0.0.1"], &ca.pem).unwrap();
    let by_address = format!("https://127.0.0.1:{}/jwks", server.port);
    assert!(words(&keys(&cache, &by_address).await.unwrap_err()).contains("certificate"));
    assert!(server.requests.lock().unwrap().is_empty());
    assert!(keys(&cache, &server.uri()).await.is_ok());
}

#[tokio::test]
// req: AS-051
async fn http_is_for_allowed_loopback_hosts() {
    let server = Server::start(None, Answer::with("200 OK", JSON, SET)).await;
    // Roots of its own, for a machine that has none.
    let cache = |allowed: &str| JwksCache::https_with_roots([allowed], &Ca::new().pem).unwrap();
    for (host, allowed) in [("127.0.0.1", "127.0.0.0/8"), ("localhost", "localhost")] {
        let uri = format!("http://{host}:{}/jwks", server.port);
        assert!(keys(&cache(allowed), &uri).await.is_ok());
        let before = server.connections();
        assert!(keys(&cache("keys.internal"), &uri).await.is_err());
        assert_eq!(server.connections(), before);
    }
}

/// G-1 of the threat model: a `jwks_uri` that points inside.
#[tokio::test]
// req: AS-052
async fn a_private_address_is_never_connected() {
    let ca = Ca::new();
    let server = Server::start(Some(ca.acceptor()), Answer::with("200 OK", JSON, SET)).await;
    let fetcher = |allowed: &[&str]| {
        let fetcher = Fetcher::new(allowed, roots(&ca.pem).unwrap()).unwrap();
        // As if the listener had the usual port, so that the address alone decides.
        JwksCache::https_by(Fetcher { port: server.port, ..fetcher })
    };
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "0.0.0.0", "[::]"] {
        let error = keys(&fetcher(&["10.0.0.0/8", "local", "::2"]), &format!("https://{host}:{}/", server.port)).await;
        assert!(words(&error.unwrap_err()).contains("not globally reachable"), "{host}");
    }
    for host in ["127.1", "2130706433", "0x7f.1", "017700000001", "127.0.0.1.", "localhost%2e", "%6cocalhost"] {
        assert!(keys(&fetcher(&[]), &format!("https://{host}:{}/", server.port)).await.is_err(), "{host}");
    }
    assert_eq!(server.connections(), 0);
    // It is the policy that kept them away.
    assert!(keys(&fetcher(&["127.0.0.0/8", "::/0"]), &server.uri()).await.is_ok());
    assert_eq!(server.connections(), 1);
}

/// G-2: a redirect that leads inside; even to a host that is allowed.
#[tokio::test]
// req: AS-052
async fn no_redirect_is_followed() {
    let ca = Ca::new();
    let silent = Server::start(Some(ca.acceptor()), Answer::with("200 OK", JSON, SET)).await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let headers = format!("{JSON}\r\nLocation: {}", silent.uri());
        let server = Server::start(Some(ca.acceptor()), Answer::with(status, &headers, SET)).await;
        let cache = JwksCache::https_with_roots(["localhost"], &ca.pem).unwrap();
        assert!(words(&keys(&cache, &server.uri()).await.unwrap_err()).contains("status 30"), "{status}");
        assert_eq!((server.connections(), silent.connections()), (1, 0));
    }
}

#[tokio::test]
// req: AS-052
async fn an_answer_that_is_no_key_set_is_refused() {
    let chunked = |length: usize| {
        let start = format!("HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let body = " ".repeat(length - SET.len());
        Answer::Octets(format!("{start}{:x}\r\n{SET}\r\n{:x}\r\n{body}\r\n0\r\n\r\n", SET.len(), body.len()).into())
    };
    let padded = |length: usize| Answer::with("200 OK", JSON, &(SET.to_owned() + &" ".repeat(length - SET.len())));
    let short = format!("HTTP/1.1 200 OK\r\n{JSON}\r\nContent-Length: {}\r\n\r\n{SET}", SET.len() + 1);
    let bomb = format!("HTTP/1.1 200 OK\r\n{JSON}\r\nContent-Length: 18446744073709551615\r\n\r\n");
    for (answer, problem) in [
        (Answer::with("201 Created", JSON, SET), "status 201"),
        (Answer::with("206 Partial Content", JSON, SET), "status 206"),
        (Answer::with("404 Not Found", JSON, SET), "status 404"),
        (Answer::with("500 Internal Server Error", JSON, SET), "status 500"),
        (Answer::with("200 OK", "", SET), "neither"),
        (Answer::with("200 OK", "Content-Type: text/html", SET), "neither"),
        (Answer::with("200 OK", "Content-Type: application/jsonp", SET), "neither"),
        (Answer::with("200 OK", "Content-Type: application/json, text/html", SET), "neither"),
        (Answer::with("200 OK", &format!("{JSON}\r\n{JSON}"), SET), "neither"),
        (Answer::with("200 OK", &format!("{JSON}\r\nContent-Encoding: gzip"), SET), "content encoding"),
        (Answer::with("200 OK", &format!("{JSON}\r\nContent-Encoding: br"), SET), "content encoding"),
        (Answer::with("200 OK", JSON, "<html>"), "no key set"),
        (Answer::with("200 OK", JSON, ""), "no key set"),
        (Answer::with("200 OK", JSON, "{\"keys\":[[]]}"), "no key set"),
        (padded(MAX_SET + 1), "over 64 KiB"),
        (padded(MAX_SET * 10), "over 64 KiB"),
        (chunked(MAX_SET + 1), "over 64 KiB"),
        (chunked(MAX_SET * 10), "over 64 KiB"),
        (Answer::Octets(bomb.into()), "failed"),
        (Answer::Octets(short.into()), "failed"),
        (Answer::Octets(b"SSH-2.0-OpenSSH_9.9\r\n".into()), "failed"),
        (Answer::Octets(Vec::new()), "failed"),
    ] {
        let error = words(&outcome_of(answer).await.unwrap_err());
        assert!(error.contains(problem), "{problem}{error}");
    }
    for good in [
        padded(MAX_SET),
        chunked(MAX_SET),
        Answer::with("200 OK", "Content-Type: Application/JWK-Set+JSON ;charset=utf-8", SET),
        Answer::with("200 OK", "content-type:application/json", SET),
    ] {
        assert_eq!(outcome_of(good).await.unwrap().iter().count(), 1);
    }
}

/// G-5: all at once, for each of them takes its time.
#[tokio::test]
// req: AS-052
async fn slow_and_endless_answers_end() {
    let head = format!("HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let tick = Duration::from_millis(200);
    let mut outcomes = JoinSet::new();
    for (answer, problem) in [
        (Answer::Silence, "timed out"),
        (Answer::Endless(Vec::new(), Vec::new(), tick), "timed out"),
        (Answer::Endless(b"HTTP/1.1 200 OK\r\nX: ".into(), b"a".into(), tick), "timed out"),
        (Answer::Endless(head.clone().into(), b"1\r\n \r\n".into(), tick), "timed out"),
        (
            Answer::Endless(
                head.into(),
                b"1000\r\n".iter().copied().chain([b' '; 0x1000]).chain(*b"\r\n").collect(),
                Duration::ZERO,
            ),
            "over 64 KiB",
        ),
        (
            Answer::Endless(b"HTTP/1.1 200 OK\r\n".into(), b"X: aaaaaaaaaaaaaaa\r\n".repeat(64), Duration::ZERO),
            "failed",
        ),
    ] {
        outcomes.spawn(async move {
            let error = words(&outcome_of(answer).await.unwrap_err());
            assert!(error.contains(problem), "{problem}{error}");
        });
    }
    outcomes.join_all().await;
}

#[test]
fn hosts_that_are_not_allowed_have_port_443_and_public_addresses() {
    let fetcher = Fetcher::new(["keys.internal", "10.0.0.0/8", "fd00::/8"], roots(&Ca::new().pem).unwrap()).unwrap();
    for good in [
        "https://a/",
        "https://a:443/",
        "https://a:/",
        "HTTPS://A.Example/x?y",
        "https://8.8.8.8/",
        "https://[2606:4700::1]/",
        "https://[2606:4700:0:0::1]/",
        "https://[64:ff9b::808:808]/",
        "https://keys.internal:8443/",
        "https://Keys.Internal/",
        "https://10.1.2.3:1/",
        "https://[::ffff:10.1.2.3]/",
        "https://[fd00::1]:8443/",
    ] {
        assert!(fetcher.url(good).is_ok(), "{good}");
    }
    for bad in [
        "https://a:80/",
        "https://a:8443/",
        "https://a:0/",
        "https://a:65536/",
        "https://8.8.8.8:8443/",
        "https://x.keys.internal:8443/",
        "https://keys.internal.a:8443/",
        "https://11.0.0.1:1/",
        "https://192.168.0.1/",
        "https://169.254.169.254/latest",
        "https://[fe80::1]/",
        "https://[::ffff:192.168.0.1]/",
        "https://[64:ff9b::c0a8:1]/",
        "https://[64:ff9b:1::a00:1]/",
        "https://[2002:a00:1::]/",
        "https://xn--/",
        "http://10.0.0.1/",
        "http://keys.internal/",
        "https://u@keys.internal/",
        "https://keys.internal/#f",
    ] {
        assert!(fetcher.url(bad).is_err(), "{bad}");
    }
}

#[test]
fn one_private_address_of_a_name_spoils_it() {
    let sockets = |addresses: &[&str]| -> Vec<SocketAddr> {
        addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect()
    };
    let allowed = AllowedHosts::new(["10.0.0.0/8", "keys.internal"]).unwrap();
    for good in [&["8.8.8.8"][..], &["8.8.8.8", "10.0.0.1", "2606:4700::1"], &["::ffff:10.0.0.1"]] {
        assert!(may_connect_all("a", &sockets(good), &allowed), "{good:?}");
    }
    for bad in [&["8.8.8.8", "192.168.0.1"][..], &["127.0.0.1", "8.8.8.8"], &["8.8.8.8", "::1"]] {
        assert!(!may_connect_all("a", &sockets(bad), &allowed), "{bad:?}");
        assert!(may_connect_all("Keys.Internal", &sockets(bad), &allowed), "{bad:?}");
    }
}

#[test]
fn what_is_globally_reachable() {
    for (first, last) in [
        ("0.0.0.0", "0.255.255.255"),
        ("10.0.0.0", "10.255.255.255"),
        ("100.64.0.0", "100.127.255.255"),
        ("127.0.0.0", "127.255.255.255"),
        ("169.254.0.0", "169.254.255.255"),
        ("172.16.0.0", "172.31.255.255"),
        ("192.0.0.0", "192.0.0.255"),
        ("192.0.2.0", "192.0.2.255"),
        ("192.88.99.0", "192.88.99.255"),
        ("192.168.0.0", "192.168.255.255"),
        ("198.18.0.0", "198.19.255.255"),
        ("198.51.100.0", "198.51.100.255"),
        ("203.0.113.0", "203.0.113.255"),
        ("224.0.0.0", "255.255.255.255"),
        ("::", "1fff:ffff::"),
        ("2001::", "2001:1ff:ffff::"),
        ("2001:db8::", "2001:db8:ffff::"),
        ("2002::", "2002:ffff::"),
        ("3fff::", "3fff:fff:ffff::"),
        ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("::ffff:10.0.0.1", "::ffff:127.0.0.1"),
        ("64:ff9b::10.0.0.1", "64:ff9b::192.168.0.1"),
        ("64:ff9b:1::8.8.8.8", "fe80::1"),
        ("fc00::", "fdff::"),
        ("::1", "fec0::1"),
    ] {
        for address in [first, last] {
            assert!(!may_connect(address.parse().unwrap(), &AllowedHosts::new([""; 0]).unwrap()), "{address}");
        }
    }
    for address in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::",
        "2001:4860:4860::8888",
        "2003::",
        "2606:4700::1111",
        "2a00::",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ] {
        assert!(may_connect(address.parse().unwrap(), &AllowedHosts::new([""; 0]).unwrap()), "{address}");
    }
}

#[test]
fn max_age_counts_where_it_is_plain() {
    for (values, age, expected) in [
        (vec!["max-age=60"], None, Some(60)),
        (vec!["public, MAX-AGE=60 , must-revalidate"], None, Some(60)),
        (vec!["public", "max-age=0"], None, Some(0)),
        (vec!["max-age=60"], Some("50"), Some(10)),
        (vec!["max-age=60"], Some("70"), Some(0)),
        (vec!["max-age=60"], Some("-1"), Some(60)),
        (vec!["max-age=99999999999999999999"], None, Some(u64::MAX)),
        (vec!["s-maxage=60"], None, None),
        (vec![], None, None),
        (vec!["no-store, max-age=60"], None, None),
        (vec!["max-age=60", "No-Cache"], None, None),
        (vec!["max-age=\"60\""], None, None),
        (vec!["private=\"a, max-age=60\""], None, None),
        (vec!["max-age=60, max-age=70"], None, None),
        (vec!["max-age"], None, None),
        (vec!["max-age="], None, None),
        (vec!["max-age=+60"], None, None),
        (vec!["max-age=6.5"], None, None),
        (vec!["max-age= 60"], None, None),
        (vec!["max-age=-1"], None, None),
    ] {
        let mut headers = HeaderMap::new();
        for value in &values {
            headers.append(CACHE_CONTROL, value.parse().unwrap());
        }
        if let Some(age) = age {
            headers.insert(AGE, age.parse().unwrap());
        }
        assert_eq!(max_age(&headers), expected.map(Duration::from_secs), "{values:?}");
    }
}
