//! What an absolute URI is (RFC 3986 §4.3), as far as issuers, resources and endpoints must be one.

use std::net::Ipv6Addr;

/// Octets of a URI, at most.
pub(crate) const MAX_OCTETS: usize = 2048;

/// Whether `value` is an absolute URI without a fragment (RFC 3986 §4.3), of characters that a URI may have, at most 2048 octets.
pub(crate) fn is_absolute(value: &str) -> bool {
    let Some((scheme, rest)) = value.split_once(':') else { return false };
    let mut letters = scheme.bytes();
    let scheme = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || b"+-.".contains(&letter));
    let path = match rest.strip_prefix("//") {
        None => Some(rest),
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
            split_authority(host).filter(|_| has_only_uri_characters(user)).map(|_| path)
        }
    };
    scheme && !rest.is_empty() && value.len() <= MAX_OCTETS && path.is_some_and(has_only_uri_characters)
}

/// Host and port of an authority without user (RFC 3986 §3.2); `None` where it is none.
pub(crate) fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(literal) => {
            let (address, rest) = literal.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, if rest.is_empty() { rest } else { rest.strip_prefix(':')? })
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let port = match port {
        "" => None,
        digits if digits.bytes().all(|digit| digit.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    let is_host = !host.is_empty() && has_only_uri_characters(host) && !host.contains(['/', '?', '@']);
    is_host.then_some((host, port))
}

/// `pchar`, `/` and `?`, with every escape complete (RFC 3986 §3.3, §3.4).
fn has_only_uri_characters(text: &str) -> bool {
    let octets = text.as_bytes();
    octets.iter().enumerate().all(|(at, octet)| match octet {
        b'%' => octets.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
        octet => octet.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=".contains(octet),
    })
}

/// An `http` or `https` URL without query and fragment, after syntax- and scheme-based normalisation (RFC 3986 §6.2.2, §6.2.3);
/// `None` for anything else, and for one with a user.
#[cfg(feature = "dpop")]
pub(crate) fn normalized(url: &str) -> Option<String> {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    if !is_absolute(url) {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
        "https" => ("https", 443),
        "http" => ("http", 80),
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return None;
    }
    let (host, port) = split_authority(authority)?;
    let mut normalized = format!("{scheme}://");
    match host.contains(':') {
        true => normalized.push_str(&format!("[{}]", host.parse::<Ipv6Addr>().ok()?)),
        false => normalized.push_str(&unescaped(host)?.to_ascii_lowercase()),
    }
    if let Some(port) = port.filter(|port| *port != default_port) {
        normalized.push_str(&format!(":{port}"));
    }
    let mut segments: Vec<&str> = Vec::new();
    let path = unescaped(path)?;
    let mut rest = path.split('/').skip(1).peekable();
    while let Some(segment) = rest.next() {
        match segment {
            // A dot segment at the end leaves its slash (RFC 3986 §5.2.4).
            "." | ".." => {
                if segment == ".." {
                    segments.pop();
                }
                if rest.peek().is_none() {
                    segments.push("");
                }
            }
            segment => segments.push(segment),
        }
    }
    if segments.is_empty() {
        normalized.push('/');
    }
    for segment in segments {
        normalized.push('/');
        normalized.push_str(segment);
    }
    Some(normalized)
}

/// Escapes of unreserved characters undone, the others in capitals (RFC 3986 §6.2.2.1, §6.2.2.2).
#[cfg(feature = "dpop")]
fn unescaped(text: &str) -> Option<String> {
    let mut unescaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('%') {
        unescaped.push_str(plain);
        let (digits, after) = escape.split_at_checked(2)?;
        let octet = u8::from_str_radix(digits, 16).ok()?;
        match char::from(octet) {
            letter if letter.is_ascii_alphanumeric() || "-._~".contains(letter) => unescaped.push(letter),
            _ => unescaped.push_str(&format!("%{octet:02X}")),
        }
        rest = after;
    }
    unescaped.push_str(rest);
    Some(unescaped)
}

#[cfg(test)]
mod tests {
    use super::is_absolute;

    #[test]
    // req: RS-002, RS-003, RS-013
    fn only_absolute_uris_without_fragment() {
        for good in [
            "https://api.example.com",
            "urn:example:ledger",
            "https://a/q?x=1",
            "https://[::1]:8443/%41",
            "https://a:/",
            "https://u@h/",
        ] {
            assert!(is_absolute(good), "{good}");
        }
        for bad in [
            "",
            "api",
            "/x",
            "//host",
            "https:",
            "https://",
            "https://a#x",
            "https://a#",
            "https://a b",
            "https://a/%z",
            "1a:b",
            ":a",
            "https://ä",
        ] {
            assert!(!is_absolute(bad), "{bad}");
        }
    }
}
