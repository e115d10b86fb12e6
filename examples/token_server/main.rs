//! An authorization server for the client credentials grant, configured by one TOML file.
//!
//! ```text
//! cargo run --release --all-features --example token_server -- [--config FILE.toml] [--check]
//! ```
//!
//! Without a file it serves the client of PingAM's page on 127.0.0.1:8080. stdout carries one line, when it is ready;
//! stderr carries one line a request. Exit codes: 0 after SIGTERM or SIGINT, 1 when it cannot listen, 2 for a broken
//! configuration.

mod http1;
mod limiter;
mod settings;
#[cfg(feature = "mtls")]
mod tls;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use clap::Parser;
use client_credentials::store::AnyTokenStore;
use client_credentials::{
    Claimed, Clock, Credentials, Event, IntrospectionRequest, MAX_BODY, SystemClock, TokenRequest, http::respond,
};
use http_body_util::BodyExt;
use http1::{MAX_HEADERS, MAX_TARGET, SLOW};
use limiter::Limiter;
use settings::{Built, Servers, Settings};
use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

/// An authorization server for the OAuth 2.0 client credentials grant.
#[derive(Parser)]
#[command(name = "token_server")]
struct Arguments {
    /// The configuration; without it, a demo with one client on 127.0.0.1:8080.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Validate the configuration and exit.
    #[arg(long)]
    check: bool,
}

/// Octets of a body that are read and thrown away before a client hears that it was too large.
const MAX_DRAINED: usize = 16 * 1024 * 1024;

struct App {
    servers: Servers,
    limiter: Arc<Limiter>,
    /// The path of the issuer: the endpoints are served below it, and without it as well.
    mount: String,
    /// Whose word on a client's certificate is taken (RFC 9440).
    #[cfg(feature = "mtls")]
    proxies: Vec<std::net::IpAddr>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let text = match &arguments.config {
        None => include_str!("demo.toml").to_owned(),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                log(format_args!("error: --config: {error}"));
                return ExitCode::from(2);
            }
        },
    };
    let folder = arguments.config.as_deref().and_then(Path::parent).unwrap_or_else(|| Path::new("")).to_owned();
    let settings = Settings::read(&text, folder);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            log(format_args!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = run(&runtime, &settings, &arguments);
    // Not dropped: that would wait for look-ups of names, which nobody waits for any more.
    runtime.shutdown_background();
    code
}

fn run(runtime: &tokio::runtime::Runtime, settings: &Settings, arguments: &Arguments) -> ExitCode {
    let tokens = runtime.block_on(settings.tokens());
    // Judged before anything is bound: port 0 stands for a port that is not known yet.
    match settings.build(&format!("{}://{}", settings.scheme(), settings.listen()), &tokens, |_| ()) {
        Err(faults) => {
            for fault in faults {
                log(format_args!("error: {fault}"));
            }
            return ExitCode::from(2);
        }
        Ok(Built { warnings, .. }) => {
            for warning in warnings {
                log(format_args!("warning: {warning}"));
            }
        }
    }
    if arguments.check {
        log("the configuration is valid");
        return ExitCode::SUCCESS;
    }
    match runtime.block_on(serve(settings, &tokens, arguments.config.is_none())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(
    settings: &Settings,
    tokens: &Result<AnyTokenStore, String>,
    demo: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let listener = std::net::TcpListener::bind(settings.listen())?;
    let address = listener.local_addr()?;
    let origin = format!("{}://{address}", settings.scheme());

    let limiter: Arc<OnceLock<Arc<Limiter>>> = Arc::default();
    let counting = Arc::clone(&limiter);
    let observer = move |event: &Event<'_>| {
        if let Some(limiter) = counting.get() {
            limiter.count(event);
        }
        log(event);
    };
    let built = settings.build(&origin, tokens, observer).map_err(|faults| faults.join("; "))?;
    let Built { servers, limits, .. } = built;
    let limiter = Arc::clone(limiter.get_or_init(|| Arc::new(Limiter::new(limits))));
    let mount = servers.iter().find(|(path, _)| *path == "/").map(|(_, server)| mount_of(&server.config().issuer));
    let app = Arc::new(App {
        servers,
        limiter,
        mount: mount.unwrap_or_default(),
        #[cfg(feature = "mtls")]
        proxies: built.proxies,
    });

    let handle = axum_server::Handle::new();
    let server = http1::server(listener, handle.clone())?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
        log("stopping");
        handle.graceful_shutdown(Some(SLOW));
    });

    let mut stdout = io::stdout();
    writeln!(stdout, "listening on {origin}")?;
    stdout.flush()?;
    if demo {
        log(format_args!(
            "try: curl -s {origin}/oauth2/access_token -d grant_type=client_credentials -d client_id=myClient -d client_secret=mySecret -d scope=write"
        ));
    }
    let router = Router::new().fallback(handle_request).with_state(app);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    #[cfg(feature = "mtls")]
    if let Some(tls) = built.tls {
        let server = server.accept_error_handler(|peer: Option<&SocketAddr>, error| {
            let peer = peer.map_or_else(String::new, |peer| format!("peer={} ", peer.ip()));
            log(format_args!("{peer}outcome=refused reason=\"no connection: {error}\""));
        });
        server.acceptor(tls).serve(service).await?;
        return Ok(());
    }
    server.serve(service).await?;
    Ok(())
}

async fn handle_request(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response<Body> {
    let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = match read(&app, request, peer).await {
        Ok(request) => answer(&app, request, peer).await,
        Err((status, description)) => {
            log(format_args!("peer={} outcome=refused status={} reason=\"{description}\"", peer.ip(), status.as_u16()));
            error(status, description)
        }
    };
    if chunked || response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        // RFC 9112 §6.1: what follows a message whose framing could be argued about is not read as another one.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What is wrong with the head of a request, by the limits of the example and RFC 9112 §3.2, §6.1.
fn fault_of_head(head: &Parts) -> Option<(StatusCode, &'static str)> {
    let headers = &head.headers;
    if head.uri.path_and_query().map_or(0, |target| target.as_str().len()) > MAX_TARGET {
        return Some((StatusCode::URI_TOO_LONG, "The request target is too long."));
    }
    if headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>() > MAX_HEADERS {
        return Some((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The header fields are too large."));
    }
    if head.version == Version::HTTP_11 && headers.get_all(header::HOST).iter().count() != 1 {
        return Some((StatusCode::BAD_REQUEST, "The request must have one Host header."));
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => None,
        _ => Some((StatusCode::BAD_REQUEST, "The only Transfer-Encoding here is chunked.")),
    }
}

/// Reads a whole request within the limits of the example: head, framing, then at most [`MAX_BODY`] + 1 octets of body.
#[cfg_attr(not(feature = "mtls"), expect(unused_variables, reason = "certificates alone need it"))]
async fn read(
    app: &App,
    request: Request<Body>,
    peer: SocketAddr,
) -> Result<Request<Vec<u8>>, (StatusCode, &'static str)> {
    let (mut head, mut body) = request.into_parts();
    if let Some(fault) = fault_of_head(&head) {
        return Err(fault);
    }
    #[cfg(feature = "mtls")]
    certify(&mut head, app.proxies.contains(&peer.ip().to_canonical()))?;
    let mut octets = Vec::new();
    let mut drained = 0_usize;
    if head.headers.contains_key(header::EXPECT) && body.size_hint().lower() > MAX_BODY as u64 {
        // The client asks before it sends: it need not send what would be refused.
        octets.resize(MAX_BODY + 1, 0);
        body = Body::empty();
    }
    let all = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| (StatusCode::BAD_REQUEST, "The request body is incomplete."))?;
            let Some(data) = frame.data_ref() else { continue };
            drained += data.len();
            let room = (MAX_BODY + 1).saturating_sub(octets.len()).min(data.len());
            octets.extend_from_slice(data.get(..room).unwrap_or_default());
            if drained > MAX_DRAINED {
                break;
            }
        }
        Ok(())
    };
    tokio::time::timeout(SLOW, all)
        .await
        .map_err(|_| (StatusCode::REQUEST_TIMEOUT, "The request body came too slowly."))??;
    head.extensions.insert(peer);
    Ok(Request::from_parts(head, octets))
}

/// Settles which client certificate the request has: that of the connection, or for a trusted proxy the one that it hands on
/// and no other (RFC 9440 §2). Nobody else's word on it counts.
#[cfg(feature = "mtls")]
fn certify(head: &mut Parts, is_proxy: bool) -> Result<(), (StatusCode, &'static str)> {
    use client_credentials::{CertificateChain, http::TlsClientCertificate};
    let of_connection = head.extensions.remove::<tls::OfConnection>().flatten();
    let certificate = match is_proxy {
        false => of_connection,
        true => TlsClientCertificate::forwarded(&head.headers, CertificateChain::Verified)
            .map_err(|_| (StatusCode::BAD_REQUEST, "The proxy's Client-Cert header is malformed."))?,
    };
    if let Some(certificate) = certificate {
        head.extensions.insert(certificate);
    }
    Ok(())
}

async fn answer(app: &App, mut request: Request<Vec<u8>>, peer: SocketAddr) -> Response<Body> {
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    if request.uri().path() == "/healthz" && is_read {
        return json(StatusCode::OK, br#"{"status":"ok"}"#.to_vec());
    }
    // The endpoints are served with the issuer's path before them, as the metadata says, and without it.
    if app.servers.route(request.uri().path()).is_none()
        && let Some(uri) = below_mount(request.uri(), &app.mount)
    {
        *request.uri_mut() = uri;
    }
    if let Some((who, seconds)) = wait(app, &request, peer).filter(|_| !is_read) {
        log(format_args!("{who} peer={} outcome=refused status=429 reason=\"too many failures\"", peer.ip()));
        let description = "There were too many failed authentications; try again later.";
        let mut response = error(StatusCode::TOO_MANY_REQUESTS, description);
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        return response;
    }
    let response = respond(&app.servers, &request).await;
    // The servers tell of their decisions by events; what is no decision of theirs is logged here.
    match app.servers.route(request.uri().path()) {
        None => log(format_args!("peer={} outcome=refused status=404", peer.ip())),
        Some(route) if is_read && response.status().is_success() => {
            let (endpoint, issuer) = (route.endpoint.as_str(), &route.server.config().issuer);
            log(format_args!("endpoint={endpoint} issuer={issuer} peer={} outcome=read", peer.ip()));
        }
        Some(_) => {}
    }
    response.map(Body::from)
}

/// Who has to wait, and for how many seconds, because the client or the source has failed too often.
fn wait(app: &App, request: &Request<Vec<u8>>, peer: SocketAddr) -> Option<(String, u64)> {
    if app.limiter.is_off() {
        return None;
    }
    let issuer = &app.servers.route(request.uri().path())?.server.config().issuer;
    let parts = client_credentials::Parts::of(request);
    // A limit on guesses holds up nobody who need not guess.
    let claimed = |credentials: &Credentials<'_>| {
        let client_id = credentials.claimed_client_id().map(str::to_owned);
        (!credentials.cannot_be_guessed()).then_some(client_id)
    };
    let client_id = TokenRequest::parse(parts)
        .map(|request| claimed(request.credentials()))
        .or_else(|_| IntrospectionRequest::parse(parts).map(|request| claimed(request.credentials())))
        .unwrap_or(Some(None))?;
    let seconds = app.limiter.wait(issuer, client_id.as_deref(), peer.ip())?;
    let client_id = client_id.unwrap_or_default();
    Some((format!("issuer={issuer} client_id=\"{}\"", Claimed::new(&client_id)), seconds))
}

/// The request's target without the path of the issuer, for those who call the endpoints by the metadata.
fn below_mount(uri: &Uri, mount: &str) -> Option<Uri> {
    let target =
        uri.path_and_query()?.as_str().strip_prefix(mount).filter(|rest| !mount.is_empty() && rest.starts_with('/'))?;
    target.parse().ok()
}

fn mount_of(issuer: &str) -> String {
    let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or_default().trim_end_matches('/').to_owned()
}

fn error(status: StatusCode, description: &str) -> Response<Body> {
    let code = match status {
        StatusCode::TOO_MANY_REQUESTS => "temporarily_unavailable",
        _ => "invalid_request",
    };
    json(status, serde_json::json!({ "error": code, "error_description": description }).to_string().into_bytes())
}

fn json(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// One line to stderr, whatever is in it; a closed stderr ends nothing.
fn log(what: impl Display) {
    let mut line = String::with_capacity(256);
    let _ = write!(line, "{} {what}", SystemClock.now());
    // Nearly every line is of printable ASCII, which is seen octet by octet.
    if !line.bytes().all(|octet| matches!(octet, b' '..=b'~')) && line.contains(char::is_control) {
        line = line.escape_debug().to_string();
    }
    line.push('\n');
    // In one piece: stderr has no buffer, so each piece would be a call of the system.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}
