//! `Authorization: Basic` as OAuth uses it (RFC 6749 §2.3.1, RFC 7617): id and secret, each form-encoded, in base64.

use crate::error::Reason;
use crate::form;
use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// What an `Authorization` field holds.
#[derive(Debug)]
pub(crate) enum Authorization {
    Basic(Basic),
    /// A well-formed field of a scheme that authenticates no client here.
    UnsupportedScheme,
}

/// The credentials of a Basic header, in both readings: form-encoded as the RFC demands, and raw as some clients send.
pub(crate) struct Basic {
    text: Zeroizing<String>,
    colon: usize,
    decoded: Decoded,
}

enum Decoded {
    /// There is nothing to decode: both readings agree.
    Same,
    Other {
        client_id: Zeroizing<String>,
        client_secret: Zeroizing<String>,
    },
    /// A bad escape, or a control character behind one.
    Malformed,
}

/// An id and a secret.
pub(crate) type Pair<'a> = (&'a str, &'a str);

impl Basic {
    /// The pair as it stands in the header.
    pub(crate) fn raw(&self) -> Pair<'_> {
        let (client_id, rest) = self.text.split_at_checked(self.colon).unwrap_or_default();
        (client_id, rest.strip_prefix(':').unwrap_or_default())
    }

    /// The form-decoded pair; `None` where it cannot be decoded.
    pub(crate) fn decoded(&self) -> Option<Pair<'_>> {
        match &self.decoded {
            Decoded::Same => Some(self.raw()),
            Decoded::Other { client_id, client_secret } => Some((client_id, client_secret)),
            Decoded::Malformed => None,
        }
    }
}

impl std::fmt::Debug for Basic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Basic(..)")
    }
}

/// Reads the field: `credentials = auth-scheme 1*SP token68` (RFC 9110 §11.4), base64 with padding and without slack bits,
/// UTF-8 without control characters, divided at the first colon (RFC 7617 §2), then each half form-decoded.
pub(crate) fn parse(field: &[u8]) -> Result<Authorization, Reason> {
    let malformed = Reason::MalformedAuthorization;
    let scheme_end = field.iter().position(|octet| *octet == b' ').unwrap_or(field.len());
    let (scheme, rest) = field.split_at(scheme_end);
    let is_token = |octet: &u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(octet);
    if scheme.is_empty() || !scheme.iter().all(is_token) {
        return Err(malformed("no scheme"));
    }
    if !scheme.eq_ignore_ascii_case(b"Basic") {
        return Ok(Authorization::UnsupportedScheme);
    }
    let start = rest.iter().position(|octet| *octet != b' ').unwrap_or(rest.len());
    let (_, token68) = rest.split_at(start);
    let octets = Zeroizing::new(STANDARD.decode(token68).map_err(|_| malformed("not base64"))?);
    let text = std::str::from_utf8(&octets).map_err(|_| malformed("not UTF-8"))?;
    if has_control(text) {
        return Err(malformed("a control character"));
    }
    let colon = text.find(':').ok_or_else(|| malformed("no colon"))?;
    let decoded = decode(text, colon);
    // The text was checked in place, so that the one buffer is moved and never copied.
    let text = Zeroizing::new(String::from_utf8(take(octets)).map_err(|_| malformed("not UTF-8"))?);
    Ok(Authorization::Basic(Basic { text, colon, decoded }))
}

/// Whether a control character is in it (RFC 7617 §2); most text is of ASCII, and read octet by octet.
fn has_control(text: &str) -> bool {
    if text.is_ascii() {
        text.bytes().any(|octet| octet.is_ascii_control())
    } else {
        text.chars().any(char::is_control)
    }
}

fn take(mut octets: Zeroizing<Vec<u8>>) -> Vec<u8> {
    std::mem::take(&mut *octets)
}

fn decode(text: &str, colon: usize) -> Decoded {
    if !text.bytes().any(|octet| matches!(octet, b'%' | b'+')) {
        return Decoded::Same;
    }
    let (client_id, rest) = text.split_at_checked(colon).unwrap_or_default();
    let half = |half: &str| {
        let decoded = form::decode(half.as_bytes()).ok()?;
        let decoded = Zeroizing::new(decoded.into_owned());
        (!has_control(&decoded)).then_some(decoded)
    };
    match (half(client_id), half(rest.strip_prefix(':').unwrap_or_default())) {
        (Some(client_id), Some(client_secret)) => Decoded::Other { client_id, client_secret },
        _ => Decoded::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn field(value: &Value) -> Vec<u8> {
        match value["text"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => STANDARD.decode(value["base64"].as_str().unwrap()).unwrap(),
        }
    }

    /// Every case of `basic_auth.json`, in both readings.
    #[test]
    // req: CA-003, CA-004, CA-007, CA-008, CA-009, CA-010, CA-038
    fn vectors() {
        let file: Value = serde_json::from_str(include_str!("../../tests/vectors/basic_auth.json")).unwrap();
        let cases = file["cases"].as_array().unwrap();
        assert_eq!(cases.len() as u64, file["count"].as_u64().unwrap());
        for case in cases {
            let (name, expect) = (&case["name"], &case["expect"]);
            let pair = |value: &Value| {
                Some((value["client_id"].as_str()?.to_owned(), value["client_secret"].as_str()?.to_owned()))
            };
            let own = |(id, secret): Pair<'_>| (id.to_owned(), secret.to_owned());
            match (parse(&field(&case["header"])), expect["error"].as_str()) {
                (Err(Reason::MalformedAuthorization(_)), Some("malformed")) => {
                    assert!(expect["raw"].is_null(), "{name}: the raw reading was lost");
                }
                (Ok(Authorization::UnsupportedScheme), Some("unsupported_scheme")) => {}
                (Ok(Authorization::Basic(basic)), Some("malformed")) => {
                    assert!(basic.decoded().is_none(), "{name}");
                    assert_eq!(Some(own(basic.raw())), pair(&expect["raw"]), "{name}");
                }
                (Ok(Authorization::Basic(basic)), None) => {
                    assert_eq!(basic.decoded().map(own), pair(expect), "{name}");
                    let raw = if expect["raw"].is_null() { pair(expect) } else { pair(&expect["raw"]) };
                    assert_eq!(Some(own(basic.raw())), raw, "{name}");
                }
                (found, expected) => panic!("{name}: {found:?} where {expected:?} was expected"),
            }
        }
    }

    proptest! {
        #[test]
        fn what_a_careful_client_sends_is_read(id in "[^\\p{Cc}]{1,40}", secret in "[^\\p{Cc}]{0,80}") {
            let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let field = format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(&id), encode(&secret))));
            let Ok(Authorization::Basic(basic)) = parse(field.as_bytes()) else { panic!("refused") };
            prop_assert_eq!(basic.decoded(), Some((&*id, &*secret)));
        }

        #[test]
        fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..100), basic in any::<bool>()) {
            let field = if basic { [b"Basic ", STANDARD.encode(&octets).as_bytes()].concat() } else { octets };
            if let Ok(Authorization::Basic(basic)) = parse(&field) {
                let (id, secret) = basic.raw();
                prop_assert!(!id.contains(':') && !secret.chars().any(char::is_control));
            }
        }
    }
}
