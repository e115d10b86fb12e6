//! JSON as JWTs may have it: one object, every member once, not deep (RFC 7515 §4, RFC 7519 §4).

use crate::clock::Timestamp;
use crate::json::{self, Strict};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// Levels of objects and arrays, at most; the object itself is the first.
const MAX_DEPTH: u8 = 8;

/// One JSON object in UTF-8, in which no object has a member twice; `None` for everything else.
///
/// A parser that kept the last of two members would read another document than one that keeps the first.
pub(crate) fn object(text: &[u8]) -> Option<Map<String, Value>> {
    match json::value(str::from_utf8(text).ok()?, MAX_DEPTH) {
        Some(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// The members of one JSON object: those that were asked for, each in its place, and the others in their order.
pub(crate) struct Members<'a, const N: usize> {
    pub(crate) asked: [Option<Member<'a>>; N],
    pub(crate) others: Vec<(Cow<'a, str>, Member<'a>)>,
}

/// [`object`] for one who knows the names of what matters: no map is built, and what has no escapes is borrowed from the text.
pub(crate) fn members<'a, const N: usize>(text: &'a [u8], names: &[&str; N]) -> Option<Members<'a, N>> {
    // The whole text at once, so that nobody has to look at each piece of it again.
    let mut reader = serde_json::Deserializer::from_str(str::from_utf8(text).ok()?);
    let members = reader.deserialize_map(OfMembers { names, levels: Strict::new(MAX_DEPTH) }).ok()?;
    reader.end().ok()?;
    Some(members)
}

/// What stands in a member. A text is never an [`Other`](Self::Other).
pub(crate) enum Member<'a> {
    Text(Cow<'a, str>),
    Other(Value),
}

impl Member<'_> {
    /// The moment that it is as a NumericDate (RFC 7519 §2).
    pub(crate) fn moment(&self) -> Option<Timestamp> {
        match self {
            Self::Text(_) => None,
            Self::Other(value) => Timestamp::of_numeric_date(value),
        }
    }
}

impl From<Member<'_>> for Value {
    fn from(member: Member<'_>) -> Self {
        match member {
            Member::Text(text) => Self::String(text.into_owned()),
            Member::Other(value) => value,
        }
    }
}

struct OfMembers<'n, const N: usize> {
    names: &'n [&'n str; N],
    levels: Strict,
}

impl<'de, const N: usize> Visitor<'de> for OfMembers<'_, N> {
    type Value = Members<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let twice = || A::Error::custom("a member stands twice");
        let below = self.levels.below()?;
        let mut members = Members { asked: [const { None }; N], others: Vec::new() };
        while let Some(name) = map.next_key_seed(OfMember(below))? {
            let Member::Text(name) = name else { return Err(A::Error::custom("a name that is no text")) };
            let value = map.next_value_seed(OfMember(below))?;
            match self.names.iter().zip(&mut members.asked).find(|(asked, _)| **asked == name) {
                Some((_, Some(_))) => return Err(twice()),
                Some((_, place)) => *place = Some(value),
                None => members.others.push((name, value)),
            }
        }
        if has_one_twice(&members.others) { Err(twice()) } else { Ok(members) }
    }
}

fn has_one_twice(mut members: &[(Cow<'_, str>, Member<'_>)]) -> bool {
    if members.len() > 32 {
        let distinct: BTreeSet<&str> = members.iter().map(|(name, _)| &**name).collect();
        return distinct.len() < members.len();
    }
    while let Some(((name, _), after)) = members.split_first() {
        if after.iter().any(|(other, _)| other == name) {
            return true;
        }
        members = after;
    }
    false
}

struct OfMember(Strict);

impl<'de> DeserializeSeed<'de> for OfMember {
    type Value = Member<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OfMember {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Member<'de>, E> {
        self.0.visit_unit().map(Member::Other)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Member<'de>, E> {
        self.0.visit_bool(value).map(Member::Other)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Member<'de>, E> {
        self.0.visit_u64(value).map(Member::Other)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Member<'de>, E> {
        self.0.visit_i64(value).map(Member::Other)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Member<'de>, E> {
        self.0.visit_f64(value).map(Member::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<Member<'de>, A::Error> {
        self.0.visit_seq(sequence).map(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Member<'de>, A::Error> {
        self.0.visit_map(map).map(Member::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::object;

    #[test]
    // req: AS-042, SE-012
    fn one_object_with_every_member_once_and_not_deep() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        let many = |count: usize, last: &str| {
            let members: String = (0..count).map(|n| format!("\"m{n}\":{n},")).collect();
            format!("{{{members}\"{last}\":0}}")
        };
        for good in
            ["{}", " {\"a\":1 , \"b\":{\"a\":[1.5e3,null,true,-1,\"\\u00e9\"]}} ", &nested(8), &many(100, "more")]
        {
            assert!(object(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "",
            "1",
            "[]",
            "null",
            "\"a\"",
            "{} {}",
            "{\"a\":1,}",
            "{\"a\":1,\"a\":1}",
            "{\"a\":1,\"\\u0061\":2}",
            "{\"b\":{\"a\":1,\"a\":1}}",
            "{\"b\":[{\"a\":1,\"a\":1}]}",
            "{\"a\":1e400}",
            "{\"a\":NaN}",
            "\u{feff}{}",
            &nested(9),
            &nested(100_000),
            &many(100, "m99"),
            &many(32, "m0"),
        ] {
            assert!(object(bad.as_bytes()).is_none(), "{}", bad.get(..40).unwrap_or(bad));
        }
        assert!(object(b"{\"a\":\"\xe4\"}").is_none());
    }
}
