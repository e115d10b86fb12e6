//! What a `jwks_uri` may be, and the hosts that an operator opens for key sets.

use crate::uri;
use std::net::IpAddr;

/// What a `jwks_uri` names, as far as it decides whether it may be fetched.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) is_https: bool,
    pub(super) host: Host<'a>,
    pub(super) port: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Host<'a> {
    Name(&'a str),
    Address(IpAddr),
}

/// Whether a client may be registered with this `jwks_uri`: `https`, absolute, without user and fragment; `http` only to a
/// loopback host that is allowed by name or address. Nothing is resolved or fetched.
///
/// RFC 7591 §2, §5.
pub(crate) fn check_uri(uri: &str, allowed_hosts: &[String]) -> Result<(), &'static str> {
    // An entry that is no host opens nothing; whoever makes the fetcher is told of it.
    Target::read(uri, &AllowedHosts(allowed_hosts.iter().filter_map(|entry| Allowed::read(entry)).collect())).map(drop)
}

/// Whether each entry is a host name, an address or a CIDR; the first that is none is the error.
pub(crate) fn check_allowed_hosts(entries: &[String]) -> Result<(), &str> {
    entries.iter().find(|entry| Allowed::read(entry).is_none()).map_or(Ok(()), |entry| Err(entry))
}

impl<'a> Target<'a> {
    /// See [`check_uri`].
    pub(super) fn read(uri: &'a str, allowed: &AllowedHosts) -> Result<Self, &'static str> {
        if !uri::is_absolute(uri) {
            return Err("the jwks_uri is no absolute URI without fragment, of 2048 octets at most");
        }
        let (scheme, rest) = uri.split_once("://").ok_or("the jwks_uri has no host")?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("the jwks_uri has a user");
        }
        let (host, port) = uri::split_authority(authority).ok_or("the jwks_uri has no host")?;
        // Some readers of URLs take `127.1`, `0x7f000001` and `%31` for addresses. Only one way to write one is let through.
        let host = match host.parse() {
            Ok(address) => Host::Address(address),
            Err(_) if is_name(host) => Host::Name(host),
            Err(_) => return Err("the host of the jwks_uri is neither a name nor an address"),
        };
        let is_https = scheme.eq_ignore_ascii_case("https");
        let is_test = scheme.eq_ignore_ascii_case("http") && host.is_loopback() && allowed.names(&host);
        if !is_https && !is_test {
            return Err("the jwks_uri is not https");
        }
        Ok(Self { is_https, host, port })
    }
}

impl Host<'_> {
    fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name.eq_ignore_ascii_case("localhost"),
            Self::Address(address) => address.is_loopback(),
        }
    }
}

/// Hosts that may have private addresses and any port.
#[derive(Debug)]
pub(super) struct AllowedHosts(Vec<Allowed>);

#[derive(Debug)]
enum Allowed {
    Name(String),
    Network { first: IpAddr, bits: u8 },
}

impl AllowedHosts {
    /// Host names, addresses and CIDRs; the first entry that is none of them is the error.
    #[cfg(feature = "jwks-uri")]
    pub(super) fn new(entries: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, String> {
        let read = |entry: &str| Allowed::read(entry).ok_or_else(|| entry.to_owned());
        entries.into_iter().map(|entry| read(entry.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn names(&self, host: &Host<'_>) -> bool {
        self.0.iter().any(|entry| match (entry, host) {
            (Allowed::Name(own), Host::Name(name)) => own.eq_ignore_ascii_case(name),
            (Allowed::Network { first, bits }, Host::Address(address)) => network(*address, *bits) == Some(*first),
            _ => false,
        })
    }
}

impl Allowed {
    fn read(entry: &str) -> Option<Self> {
        let (first, bits) = match entry.split_once('/') {
            Some((first, bits)) if bits.bytes().all(|digit| digit.is_ascii_digit()) => {
                (first.parse().ok()?, bits.parse().ok()?)
            }
            Some(_) => return None,
            None => match entry.parse() {
                Ok(address @ IpAddr::V4(_)) => (address, 32),
                Ok(address @ IpAddr::V6(_)) => (address, 128),
                Err(_) => return is_name(entry).then(|| Self::Name(entry.to_owned())),
            },
        };
        // `10.0.0.1/8` is not what anybody meant.
        (network(first, bits) == Some(first)).then_some(Self::Network { first, bits })
    }
}

/// The first address of the network that `address` lies in; `None` where addresses have not so many bits.
pub(super) fn network(address: IpAddr, bits: u8) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(v4) => {
            let host_bits = 32_u32.checked_sub(bits.into())?;
            IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(host_bits).unwrap_or(0)).into())
        }
        IpAddr::V6(v6) => {
            let host_bits = 128_u32.checked_sub(bits.into())?;
            IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0)).into())
        }
    })
}

/// A host name in ASCII, whose last label begins with a letter, so that nobody reads an address in it (RFC 1123 §2.1).
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let known = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
        (1..=63).contains(&label.len()) && label.bytes().all(known)
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253 && host.split('.').all(is_label) && last.starts_with(|first: char| first.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, allowed: &[&str]) -> Result<(), &'static str> {
        check_uri(uri, &allowed.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    // req: AS-051
    fn https_or_an_allowed_loopback() {
        for good in [
            "https://a",
            "HTTPS://keys.example.com:8443/jwks?x=@1",
            "https://10.0.0.1/",
            "https://[2001:db8::1]:443/",
            "https://a.xn--p1ai/",
        ] {
            assert_eq!(check(good, &[]), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a",
            "https:a",
            "https://",
            "https:///jwks",
            "http://a/",
            "http://127.0.0.1/",
            "http://localhost/",
            "file:///etc/passwd",
            "ftp://a/",
            "urn:a:b",
            "https://u@a/",
            "https://u:p@a/",
            "https://@a/",
            "https://a/#f",
            "https://a\\@b/",
            "https://a/\n",
            " https://a/",
            // Addresses in disguise.
            "https://127.1/",
            "https://0177.0.0.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://127.0.0.1./",
            "https://127.0.0.%31/",
            "https://a.0x7f/",
            "https://[::1%25lo]/",
            "https://[127.0.0.1]/",
            "https://%6c/",
            "https://a..b/",
        ] {
            assert!(check(bad, &["a"]).is_err(), "{bad}");
        }
    }

    #[test]
    // req: AS-051
    fn http_needs_a_loopback_host_that_is_named() {
        for (uri, entry) in [
            ("http://localhost:8080/", "localhost"),
            ("HTTP://LOCALHOST/", "localhost"),
            ("http://127.0.0.1:1/", "127.0.0.1"),
            ("http://127.9.9.9/", "127.0.0.0/8"),
            ("http://[::1]:1/", "::1"),
        ] {
            assert_eq!(check(uri, &[entry]), Ok(()), "{uri}");
            assert!(check(uri, &[]).is_err(), "{uri}");
        }
        for (uri, entry) in [
            ("http://10.0.0.1/", "10.0.0.1"),
            ("http://a/", "a"),
            ("http://localhost.a/", "localhost.a"),
            ("http://localhost/", "127.0.0.1"),
            ("http://127.0.0.1/", "localhost"),
            ("http://127.0.0.1/", "127.0.0.1/99"),
        ] {
            assert!(check(uri, &[entry]).is_err(), "{uri}");
        }
    }

    #[test]
    fn entries_are_names_addresses_and_networks() {
        for good in ["a", "A.example", "10.0.0.0/8", "10.1.2.3", "10.1.2.3/32", "::1", "fd00::/8", "0.0.0.0/0", "::/0"]
        {
            assert!(Allowed::read(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "*.a",
            "a:8443",
            "a/8",
            "https://a",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0",
            "fd00::/129",
            "fd00::1/8",
            "[::1]",
            " a",
            "ä",
        ] {
            assert!(Allowed::read(bad).is_none(), "{bad}");
        }
    }
}
