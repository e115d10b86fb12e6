//! Key sets by https, from hosts that a stranger named: what is asked, of whom, and how much of the answer is read.

use super::hosts::{AllowedHosts, Host, Target, network};
use super::jwk::MAX_SET;
use super::remote::{FetchedJwks, JwksCache};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use reqwest::{Certificate, Client, StatusCode, Url};
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const CONNECT_TIME: Duration = Duration::from_secs(2);
/// From the name's resolution to the last octet.
const WHOLE_TIME: Duration = Duration::from_secs(5);

/// Why no fetcher could be made.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidJwksPolicy {
    /// An allowed host is none.
    #[error("{0:?} is no host name, IP address or network such as 10.0.0.0/8")]
    Host(String),
    /// The root certificates are none.
    #[error("the root certificates are no PEM certificates")]
    RootCertificates,
    /// TLS refused a root certificate, or there is none, neither the system's nor a given one.
    #[error("no TLS client could be made")]
    Tls(#[source] Arc<dyn Error + Send + Sync>),
}

impl JwksCache {
    /// A cache that fetches by https, from public addresses alone, save for the allowed hosts.
    ///
    /// A client chooses its `jwks_uri`, and could have the server call whom only the server can reach. So a URI is `https`,
    /// port 443, without user and fragment, and its host has globally reachable addresses only: one other address, and
    /// nothing is connected. The addresses that were checked are the ones that are connected. No redirect is followed, no proxy
    /// used, no cookie kept. An answer counts with status 200, `application/json` or `application/jwk-set+json`, no content
    /// encoding, at most 64 KiB, within 5 seconds, of which 2 for the connection. Certificates are checked as the platform
    /// does; on Linux `SSL_CERT_FILE` and `SSL_CERT_DIR` name other roots. It needs a tokio runtime when it fetches.
    ///
    /// `allowed_hosts` are host names (`keys.internal`), addresses (`10.1.2.3`) and networks (`10.0.0.0/8`, `fd00::/8`). A
    /// host that is named may have any address and any port; so may an address of a network that is. A host that is not named,
    /// but whose addresses lie in such a network, is asked on port 443. Loopback hosts that are named may be asked by `http`,
    /// for tests.
    ///
    /// ```no_run
    /// use client_credentials::JwksCache;
    ///
    /// let cache = JwksCache::https(["keys.internal", "10.0.0.0/8"])?;
    /// # Ok::<(), client_credentials::InvalidJwksPolicy>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidJwksPolicy`] names an allowed host that is none, or says why there is no TLS client.
    ///
    /// RFC 7591 §5, RFC 6749 §10.14.
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwks-uri")))]
    pub fn https(allowed_hosts: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, InvalidJwksPolicy> {
        Ok(Self::https_by(Fetcher::new(allowed_hosts, Vec::new())?))
    }

    /// As [`https`](Self::https), and believes these root certificates beside the platform's: PEM, one or several.
    ///
    /// # Errors
    /// [`InvalidJwksPolicy`] as there, and for a text without PEM certificates.
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwks-uri")))]
    pub fn https_with_roots(
        allowed_hosts: impl IntoIterator<Item = impl AsRef<str>>,
        root_certificates: &str,
    ) -> Result<Self, InvalidJwksPolicy> {
        Ok(Self::https_by(Fetcher::new(allowed_hosts, roots(root_certificates)?)?))
    }

    fn https_by(fetcher: Fetcher) -> Self {
        Self::new(move |uri| {
            let (fetcher, uri) = (fetcher.clone(), uri.to_owned());
            async move { fetcher.fetch(&uri).await }
        })
    }
}

fn roots(pem: &str) -> Result<Vec<Certificate>, InvalidJwksPolicy> {
    let read = Certificate::from_pem_bundle(pem.as_bytes()).ok();
    read.filter(|roots| !roots.is_empty()).ok_or(InvalidJwksPolicy::RootCertificates)
}

/// Why nothing came that could be a key set.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Refused(&'static str),
    #[error("an address of the host is not globally reachable, and neither it nor the host is allowed")]
    Address,
    #[error("the exchange failed")]
    Exchange(#[source] reqwest::Error),
    #[error("the answer has status {0}, not 200")]
    Status(StatusCode),
    #[error("the answer {0}")]
    Answer(&'static str),
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        Self::Exchange(error.without_url())
    }
}

#[derive(Clone)]
struct Fetcher {
    client: Client,
    allowed: Arc<AllowedHosts>,
    /// The one port of hosts that are not allowed: 443, save in tests.
    port: u16,
}

impl Fetcher {
    fn new(
        allowed_hosts: impl IntoIterator<Item = impl AsRef<str>>,
        roots: Vec<Certificate>,
    ) -> Result<Self, InvalidJwksPolicy> {
        let allowed = Arc::new(AllowedHosts::new(allowed_hosts).map_err(InvalidJwksPolicy::Host)?);
        // What is off by default is said again where a feature of reqwest, which any crate may turn on, would turn it on.
        let builder = Client::builder()
            .dns_resolver(Resolver(Arc::clone(&allowed)))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .referer(false)
            .http1_only()
            .tls_backend_rustls()
            .user_agent(env!("CARGO_PKG_NAME"))
            .connect_timeout(CONNECT_TIME)
            .timeout(WHOLE_TIME)
            // A connection that is kept would outlive what its address was checked by.
            .pool_max_idle_per_host(0);
        let builder = if roots.is_empty() { builder } else { builder.tls_certs_merge(roots) };
        let client = builder.build().map_err(|error| InvalidJwksPolicy::Tls(Arc::new(error)))?;
        Ok(Self { client, allowed, port: 443 })
    }

    async fn fetch(&self, uri: &str) -> Result<FetchedJwks, FetchError> {
        let request = self.client.get(self.url(uri)?);
        let request = request.header(ACCEPT, "application/jwk-set+json, application/json");
        let mut answer = request.header(ACCEPT_ENCODING, "identity").send().await?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        if answer.headers().contains_key(CONTENT_ENCODING) {
            return Err(FetchError::Answer("has a content encoding"));
        }
        if !is_json(answer.headers()) {
            return Err(FetchError::Answer("is neither application/json nor application/jwk-set+json"));
        }
        let too_long = FetchError::Answer("has over 64 KiB");
        if answer.content_length().is_some_and(|length| length > MAX_SET as u64) {
            return Err(too_long);
        }
        let max_age = max_age(answer.headers());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > MAX_SET {
                return Err(too_long);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(FetchedJwks::new(body, max_age))
    }

    /// The URL that is fetched, if it may be.
    fn url(&self, uri: &str) -> Result<Url, FetchError> {
        let target = Target::read(uri, &self.allowed).map_err(FetchError::Refused)?;
        let is_allowed = self.allowed.names(&target.host);
        let usual = if target.is_https { 443 } else { 80 };
        if target.port.unwrap_or(usual) != self.port && !is_allowed {
            return Err(FetchError::Refused("the port of the jwks_uri is not 443, and its host is not allowed"));
        }
        // An address is connected without asking the resolver.
        if let Host::Address(address) = target.host
            && !may_connect(address, &self.allowed)
        {
            return Err(FetchError::Address);
        }
        let url = Url::parse(uri).map_err(|_| FetchError::Refused("the jwks_uri is no URL"))?;
        // What was judged is what is fetched: both readers see the same host and port.
        let host = url.host_str().unwrap_or_default();
        let is_same = match target.host {
            Host::Name(name) => host.eq_ignore_ascii_case(name),
            Host::Address(address) => host.trim_matches(['[', ']']).parse() == Ok(address),
        };
        if !is_same || url.port_or_known_default() != target.port.or(Some(usual)) {
            return Err(FetchError::Refused("the jwks_uri can be read in two ways"));
        }
        Ok(url)
    }
}

/// Resolves names by the system, and gives addresses out only when every one of them may be connected.
struct Resolver(Arc<AllowedHosts>);

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let allowed = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if !may_connect_all(name.as_str(), &found, &allowed) {
                return Err(FetchError::Address.into());
            }
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// Whether a name that has these addresses may be connected.
fn may_connect_all(name: &str, found: &[SocketAddr], allowed: &AllowedHosts) -> bool {
    allowed.names(&Host::Name(name)) || found.iter().all(|socket| may_connect(socket.ip(), allowed))
}

/// Whether an address may be connected: it is public, or allowed.
fn may_connect(address: IpAddr, allowed: &AllowedHosts) -> bool {
    // An IPv4 address in an IPv6 one leads to the same machine.
    let inner = match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => v4_within(v6).map_or(address, IpAddr::V4),
    };
    is_global(inner) || [inner, address].into_iter().any(|address| allowed.names(&Host::Address(address)))
}

/// The IPv4 address in an IPv4-mapped (RFC 4291 §2.5.5.2) or translated one (RFC 6052 §2.1).
fn v4_within(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let translated = match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        _ => None,
    };
    translated.or_else(|| address.to_ipv4_mapped())
}

/// What the registries of IANA call not globally reachable, and what carries an IPv4 address within; of IPv6 as far as it lies
/// within 2000::/3 (RFC 6890, RFC 4291 §2.4).
const NOT_GLOBAL: [(IpAddr, u8); 19] = [
    (v4(0, 0, 0), 8),
    (v4(10, 0, 0), 8),
    (v4(100, 64, 0), 10),   // shared by a carrier's customers
    (v4(127, 0, 0), 8),     // loopback
    (v4(169, 254, 0), 16),  // link local; clouds serve credentials there
    (v4(172, 16, 0), 12),   // private
    (v4(192, 0, 0), 24),    // protocol assignments
    (v4(192, 0, 2), 24),    // documentation
    (v4(192, 88, 99), 24),  // 6to4 relays
    (v4(192, 168, 0), 16),  // private
    (v4(198, 18, 0), 15),   // benchmarks
    (v4(198, 51, 100), 24), // documentation
    (v4(203, 0, 113), 24),  // documentation
    (v4(224, 0, 0), 4),     // multicast
    (v4(240, 0, 0), 4),     // reserved, broadcast
    (v6(0x2001, 0), 23),    // protocol assignments: Teredo, benchmarks, ORCHID
    (v6(0x2001, 0xdb8), 32),
    (v6(0x2002, 0), 16), // 6to4: an IPv4 address within
    (v6(0x3fff, 0), 20), // documentation
];

const fn v4(a: u8, b: u8, c: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
}

const fn v6(first: u16, second: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0))
}

/// Whether an address can be reached from everywhere, as far as its number tells.
fn is_global(address: IpAddr) -> bool {
    let lies_in =
        |(first, bits): (IpAddr, u8)| first.is_ipv4() == address.is_ipv4() && network(address, bits) == Some(first);
    let is_unicast = address.is_ipv4() || lies_in((v6(0x2000, 0), 3));
    is_unicast && !NOT_GLOBAL.into_iter().any(lies_in)
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next().and_then(|value| value.to_str().ok()), values.next()) else {
        return false;
    };
    let media_type = value.split(';').next().unwrap_or_default().trim();
    ["application/json", "application/jwk-set+json"].iter().any(|known| media_type.eq_ignore_ascii_case(known))
}

/// What is left of `max-age` (RFC 9111 §4.2); `None` for an answer that is not to be kept, or does not say it plainly.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut found = None;
    for value in headers.get_all(CACHE_CONTROL) {
        let value = value.to_str().ok().filter(|value| !value.contains('"'))?;
        for directive in value.split(',') {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => return None,
                "max-age" if found.is_some() => return None,
                "max-age" => found = Some(seconds(value.trim_end())?),
                _ => {}
            }
        }
    }
    // A cache on the way has kept it for so long already.
    let age = headers.get(AGE).and_then(|age| seconds(age.to_str().ok()?)).unwrap_or_default();
    found.map(|max_age| Duration::from_secs(max_age.saturating_sub(age)))
}

fn seconds(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
