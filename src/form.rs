//! Strict `application/x-www-form-urlencoded` (RFC 6749 Appendix B): what cannot be decoded is refused, never guessed.

use crate::error::{FormError, Reason};
use std::borrow::Cow;
use std::ops::Range;

/// Octets of a body, at most.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// Pairs in one form, at most; empty and unknown ones count.
const MAX_PAIRS: usize = 256;
/// Octets of a decoded name, at most.
const MAX_NAME: usize = 128;

/// Decodes one name or value: `+` is a space, `%` needs two hexadecimal digits, the result is UTF-8.
pub(crate) fn decode(octets: &[u8]) -> Result<Cow<'_, str>, FormError> {
    let Some(first) = octets.iter().position(|octet| matches!(octet, b'%' | b'+')) else {
        return std::str::from_utf8(octets).map(Cow::Borrowed).map_err(|_| FormError::Utf8);
    };
    let (plain, escaped) = octets.split_at(first);
    let mut decoded = Vec::with_capacity(octets.len());
    decoded.extend_from_slice(plain);
    let mut rest = escaped.iter();
    while let Some(octet) = rest.next() {
        decoded.push(match octet {
            b'+' => b' ',
            b'%' => match (rest.next().and_then(hex), rest.next().and_then(hex)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(FormError::Percent),
            },
            other => *other,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| FormError::Utf8)
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The pairs of a form in order. Only `&` parts them; nothing between two `&` is no pair; only the first `=` divides.
pub(crate) fn pairs(form: &[u8]) -> Pairs<'_> {
    Pairs { form, text: std::str::from_utf8(form).ok(), at: 0, count: 0 }
}

/// See [`pairs`].
pub(crate) struct Pairs<'a> {
    form: &'a [u8],
    /// The same as text, where it is UTF-8 as it stands: then what has no escape is cut out of it and not looked at again.
    text: Option<&'a str>,
    at: usize,
    count: usize,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(Cow<'a, str>, Cow<'a, str>), FormError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.at;
            let rest = self.form.get(start..).filter(|rest| !rest.is_empty())?;
            let (mut equals, mut length, mut escaped) = (None, rest.len(), false);
            for (at, octet) in rest.iter().enumerate() {
                match octet {
                    b'>'.. => {} // letters, most of all: one comparison for each
                    b'&' => {
                        length = at;
                        break;
                    }
                    b'=' if equals.is_none() => equals = Some(at),
                    b'%' | b'+' => escaped = true,
                    _ => {}
                }
            }
            let end = start + length;
            self.at = end + 1;
            if length > 0 {
                self.count += 1;
                let (name_end, value_start) = equals.map_or((end, end), |at| (start + at, start + at + 1));
                return Some(self.pair(start..name_end, value_start..end, escaped));
            }
        }
    }
}

impl<'a> Pairs<'a> {
    fn pair(
        &self,
        name: Range<usize>,
        value: Range<usize>,
        escaped: bool,
    ) -> Result<(Cow<'a, str>, Cow<'a, str>), FormError> {
        if self.count > MAX_PAIRS {
            return Err(FormError::Limit);
        }
        let half = |range: Range<usize>| match self.text.filter(|_| !escaped).and_then(|text| text.get(range.clone())) {
            Some(plain) => Ok(Cow::Borrowed(plain)),
            None => decode(self.form.get(range).unwrap_or_default()),
        };
        let (name, value) = (half(name)?, half(value)?);
        if name.len() > MAX_NAME { Err(FormError::Limit) } else { Ok((name, value)) }
    }
}

/// Reads a whole form: the values of `once` in their order, each of which may stand once; all other pairs go to `other`.
///
/// A name that stands twice is refused even when a copy is empty (RFC 6749 §3.2); after that, empty means omitted.
pub(crate) fn read<'a, const N: usize>(
    form: &'a [u8],
    once: &[&'static str; N],
    mut other: impl FnMut(&str, Cow<'a, str>),
) -> Result<[Option<Cow<'a, str>>; N], Reason> {
    let mut values: [Option<Cow<'a, str>>; N] = [const { None }; N];
    for pair in pairs(form) {
        let (name, value) = pair?;
        match once.iter().zip(&mut values).find(|(known, _)| **known == name) {
            Some((known, Some(_))) => return Err(Reason::RepeatedParameter(known)),
            Some((_, place)) => *place = Some(value),
            None => other(&name, value),
        }
    }
    Ok(values.map(|value| value.filter(|value| !value.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn octets(value: &Value) -> Vec<u8> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        if let Some(text) = value["text"].as_str() {
            text.as_bytes().to_vec()
        } else if let Some(text) = value["base64"].as_str() {
            STANDARD.decode(text).unwrap()
        } else {
            let part = |name: &str| value["repeat"][name].as_str().unwrap().to_owned();
            let count = value["repeat"]["count"].as_u64().unwrap() as usize;
            (part("prefix") + &part("unit").repeat(count) + &part("suffix")).into_bytes()
        }
    }

    fn expected(value: &Value) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        if let Some(pairs) = value["pairs"].as_array() {
            return pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
        }
        let repeat = &value["pairs_repeat"];
        match repeat["pair"].as_array() {
            Some(pair) => vec![(text(&pair[0]), text(&pair[1])); repeat["count"].as_u64().unwrap() as usize],
            None => {
                let count = repeat["value_count"].as_u64().unwrap() as usize;
                vec![(text(&repeat["name"]), text(&repeat["value_unit"]).repeat(count))]
            }
        }
    }

    /// Every case of `form.json`: the pairs, the first repeated name, or the error.
    #[test]
    // req: TR-010, TR-011, TR-013, TR-016, TR-017, TR-018, TR-019, TR-020, TR-021, TR-022, TR-033
    fn vectors() {
        let file: Value = serde_json::from_str(include_str!("../tests/vectors/form.json")).unwrap();
        let cases = file["cases"].as_array().unwrap();
        assert_eq!(cases.len() as u64, file["count"].as_u64().unwrap());
        let once = [
            "grant_type",
            "scope",
            "client_id",
            "client_secret",
            "client_assertion",
            "client_assertion_type",
            "authorization_details",
        ];
        for case in cases {
            let (name, body, expect) = (&case["name"], octets(&case["body"]), &case["expect"]);
            let pairs: Result<Vec<_>, _> = pairs(&body).collect();
            let found = if body.len() > MAX_BODY { Err(FormError::Limit) } else { pairs };
            let error = match expect["error"].as_str() {
                Some("percent") => Some(FormError::Percent),
                Some("utf8") => Some(FormError::Utf8),
                Some("limit") => Some(FormError::Limit),
                _ => None,
            };
            if let Some(error) = error {
                assert_eq!(found.unwrap_err(), error, "{name}");
                continue;
            }
            let found: Vec<_> = found.unwrap().into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            assert_eq!(found, expected(expect), "{name}");
            let repeated = match read(&body, &once, |_, _| ()) {
                Err(Reason::RepeatedParameter(name)) => Some(name),
                Err(reason) => panic!("{name}: {reason}"),
                Ok(_) => None,
            };
            assert_eq!(repeated, expect["duplicate"].as_str(), "{name}");
        }
    }

    proptest! {
        /// What another implementation writes, this one reads back.
        #[test]
        fn reads_what_form_urlencoded_writes(pairs in prop::collection::vec((".{1,20}", ".{0,40}"), 0..20)) {
            let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let read: Vec<(String, String)> =
                super::pairs(text.as_bytes()).map(|pair| pair.map(|(n, v)| (n.into(), v.into())).unwrap()).collect();
            prop_assert_eq!(read, pairs);
        }

        /// Where this one accepts, a lenient one agrees; and no octets make it panic.
        #[test]
        fn agrees_with_form_urlencoded(octets in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"%+&=;aF0"[..])], 0..200)) {
            if let Ok(read) = pairs(&octets).collect::<Result<Vec<_>, _>>() {
                let lenient: Vec<_> = form_urlencoded::parse(&octets).collect();
                prop_assert_eq!(read, lenient);
            }
        }
    }
}
