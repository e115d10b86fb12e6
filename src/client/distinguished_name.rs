//! Distinguished names as registrations write them (RFC 4514), compared by structure and never as text.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use x509_cert::der::asn1::{Any, ObjectIdentifier};
use x509_cert::der::{Decode, Encode, Tag, Tagged};
use x509_cert::name::Name;

/// Octets of a name, at most.
const MAX_NAME: usize = 2048;

/// The short names that RFC 4514 §3 demands, and those that certificates of organisations have besides (RFC 4519, RFC 2985,
/// ETSI EN 319 412-1).
const ATTRIBUTES: [(&str, &str); 14] = [
    ("CN", "2.5.4.3"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("C", "2.5.4.6"),
    ("STREET", "2.5.4.9"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("serialNumber", "2.5.4.5"),
    ("businessCategory", "2.5.4.15"),
    ("postalCode", "2.5.4.17"),
    ("organizationIdentifier", "2.5.4.97"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
];

/// The text is no distinguished name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a distinguished name is written as in RFC 4514, such as CN=svc,O=Example,C=US, of attributes that are known or OIDs"
)]
#[non_exhaustive]
pub struct InvalidDistinguishedName;

/// The subject of a certificate, as a registration writes it: `CN=svc,O=Example,C=US`, the last part of the certificate's
/// own order first.
///
/// Two names are equal when they have the same structure: the same parts in the same order, each with the same
/// attributes (those of one part in any order) and the same values, octet for octet, whatever string type they have in a certificate.
/// Spaces around `,`, `+` and `=`, the letter case of attribute names, an OID in place of a name, and the form of an escape do not
/// count. Attribute names are those of RFC 4514 §3, and `serialNumber`, `businessCategory`, `postalCode`,
/// `organizationIdentifier`, `emailAddress`; others are written as OIDs.
///
/// ```
/// use client_credentials::DistinguishedName;
///
/// let name: DistinguishedName = "CN=svc,O=Ex\\, Inc".parse()?;
/// assert_eq!(name, "cn=svc, 2.5.4.10=Ex\\2C Inc".parse()?);
/// assert_ne!(name, "O=Ex\\, Inc,CN=svc".parse()?);
/// # Ok::<(), client_credentials::InvalidDistinguishedName>(())
/// ```
///
/// RFC 4514; RFC 8705 §2.1.2.
#[derive(Clone)]
pub struct DistinguishedName {
    text: Arc<str>,
    parts: Arc<[Part]>,
}

/// One RDN: its attributes, sorted.
#[derive(PartialEq, Eq)]
struct Part(Vec<(ObjectIdentifier, AttributeText)>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum AttributeText {
    /// A character string, of whatever type.
    Text(String),
    /// The DER of something else.
    Other(Vec<u8>),
}

impl Part {
    fn new(mut attributes: Vec<(ObjectIdentifier, AttributeText)>) -> Self {
        attributes.sort();
        Self(attributes)
    }
}

impl AttributeText {
    /// A value of a certificate, or of the form `#0c03…`: the string types that hold the same characters are alike.
    fn of(value: &Any) -> Option<Self> {
        let octets = value.value();
        let text = match value.tag() {
            Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString => {
                String::from_utf8(octets.to_vec()).ok()
            }
            // Latin-1 or T.61, depending on who wrote it: certain for ASCII alone.
            Tag::TeletexString if octets.is_ascii() => String::from_utf8(octets.to_vec()).ok(),
            Tag::BmpString => {
                let (units, rest) = octets.as_chunks();
                let units = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect::<Vec<_>>();
                String::from_utf16(&units).ok().filter(|_| rest.is_empty())
            }
            _ => return value.to_der().ok().map(Self::Other),
        };
        text.map(Self::Text)
    }
}

impl DistinguishedName {
    /// The text, as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is the name in a certificate.
    pub(super) fn is(&self, name: &Name) -> bool {
        // A certificate begins with the part that the text ends with (RFC 4514 §2.1).
        let part = |attributes: &x509_cert::name::RelativeDistinguishedName| {
            let attribute = |attribute: &x509_cert::attr::AttributeTypeAndValue| {
                Some((attribute.oid, AttributeText::of(&attribute.value)?))
            };
            attributes.iter().map(attribute).collect::<Option<_>>().map(Part::new)
        };
        let own = self.parts.iter().rev().map(Some);
        own.len() == name.len() && own.zip(name.iter_rdn()).all(|(own, other)| own == part(other).as_ref())
    }
}

impl FromStr for DistinguishedName {
    type Err = InvalidDistinguishedName;

    fn from_str(text: &str) -> Result<Self, InvalidDistinguishedName> {
        let parts = if text.len() > MAX_NAME { None } else { Reader(text).name() };
        let parts = parts.ok_or(InvalidDistinguishedName)?.into();
        Ok(Self { text: text.into(), parts })
    }
}

/// What is left to read of a text.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    /// RFC 4514 §3: `distinguishedName`, which is not empty here.
    fn name(mut self) -> Option<Vec<Part>> {
        let (mut parts, mut attributes) = (Vec::new(), Vec::new());
        loop {
            attributes.push(self.attribute()?);
            match self.next() {
                Some('+') => {}
                Some(',') => parts.push(Part::new(std::mem::take(&mut attributes))),
                None => {
                    parts.push(Part::new(attributes));
                    return Some(parts);
                }
                Some(_) => return None,
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.0.chars().next()?;
        self.0 = self.0.get(next.len_utf8()..).unwrap_or_default();
        Some(next)
    }

    /// Up to the next separator, or the end.
    fn until(&mut self, separators: &[char]) -> &'a str {
        let (found, rest) = self.0.split_at(self.0.find(separators).unwrap_or(self.0.len()));
        self.0 = rest;
        found
    }

    fn attribute(&mut self) -> Option<(ObjectIdentifier, AttributeText)> {
        let name = self.until(&['=', ',', '+']).trim_matches(' ');
        let known = ATTRIBUTES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, oid)| oid);
        let oid = ObjectIdentifier::new(known.unwrap_or(name)).ok()?;
        if self.next() != Some('=') {
            return None;
        }
        self.0 = self.0.trim_start_matches(' ');
        let value = match self.0.strip_prefix('#') {
            Some(rest) => {
                self.0 = rest;
                let octets = from_hex(self.until(&[',', '+']).trim_end_matches(' '))?;
                AttributeText::of(&Any::from_der(&octets).ok()?)?
            }
            None => AttributeText::Text(self.string()?),
        };
        Some((oid, value))
    }

    /// RFC 4514 §3: `string`. Spaces at its end that are not escaped are no part of it.
    fn string(&mut self) -> Option<String> {
        let (mut octets, mut end) = (Vec::new(), 0);
        while let Some(next) = self.0.chars().next().filter(|next| ![',', '+'].contains(next)) {
            self.next();
            match next {
                '\\' => octets.push(self.escaped()?),
                '"' | ';' | '<' | '>' | '\0' => return None,
                plain => octets.extend(plain.encode_utf8(&mut [0; 4]).bytes()),
            }
            if next != ' ' {
                end = octets.len();
            }
        }
        octets.truncate(end);
        String::from_utf8(octets).ok()
    }

    /// RFC 4514 §3: what follows the backslash of a `pair`.
    fn escaped(&mut self) -> Option<u8> {
        let first = self.next().filter(char::is_ascii)?;
        if " \"#+,;<=>\\".contains(first) {
            return u8::try_from(first).ok();
        }
        let pair = [first, self.next()?];
        from_hex(&String::from_iter(pair))?.first().copied()
    }
}

/// RFC 4514 §3: one `hexpair` or several.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks();
    let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let octet = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    pairs.iter().map(octet).collect::<Option<Vec<u8>>>().filter(|octets| rest.is_empty() && !octets.is_empty())
}

impl PartialEq for DistinguishedName {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for DistinguishedName {}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistinguishedName({:?})", &*self.text)
    }
}

impl Serialize for DistinguishedName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for DistinguishedName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
