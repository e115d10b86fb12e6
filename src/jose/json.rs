//! JSON as JWTs may have it: one object, every member once, not deep (RFC 7515 §4, RFC 7519 §4).

use crate::json::Strict;
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
    let members = members(text)?.into_iter();
    Some(members.map(|(name, value)| (name.into_owned(), value.into())).collect())
}

/// The members of one JSON object, by the rules of [`object`]; what has no escapes is borrowed from the text.
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, Member<'a>)>);

impl<'a> Members<'a> {
    /// Takes one member out. They are few, so that looking at each is faster than any index.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Member<'a>> {
        let at = self.0.iter().position(|(own, _)| own == name)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }

    pub(crate) fn into_iter(self) -> impl Iterator<Item = (Cow<'a, str>, Member<'a>)> {
        self.0.into_iter()
    }

    fn has_one_twice(&self) -> bool {
        let mut rest = self.0.as_slice();
        if rest.len() > 32 {
            let distinct: BTreeSet<&str> = rest.iter().map(|(name, _)| &**name).collect();
            return distinct.len() < rest.len();
        }
        while let Some(((name, _), after)) = rest.split_first() {
            if after.iter().any(|(other, _)| other == name) {
                return true;
            }
            rest = after;
        }
        false
    }
}

/// What stands in a member. A text is never an [`Other`](Self::Other).
pub(crate) enum Member<'a> {
    Text(Cow<'a, str>),
    Other(Value),
}

impl From<Member<'_>> for Value {
    fn from(member: Member<'_>) -> Self {
        match member {
            Member::Text(text) => Self::String(text.into_owned()),
            Member::Other(value) => value,
        }
    }
}

/// [`object`] for one who reads the members and has no use for a copy of each.
pub(crate) fn members(text: &[u8]) -> Option<Members<'_>> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let members = reader.deserialize_map(OfMembers(Strict::new(MAX_DEPTH))).ok()?;
    reader.end().ok()?;
    Some(members)
}

struct OfMembers(Strict);

impl<'de> Visitor<'de> for OfMembers {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let below = self.0.below()?;
        let mut members = Members(Vec::with_capacity(12)); // what an access token has
        while let Some(name) = map.next_key_seed(OfMember(below))? {
            let Member::Text(name) = name else { return Err(A::Error::custom("a name that is no text")) };
            members.0.push((name, map.next_value_seed(OfMember(below))?));
        }
        if members.has_one_twice() { Err(A::Error::custom("a member stands twice")) } else { Ok(members) }
    }
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
