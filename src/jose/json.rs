//! JSON as JWTs may have it: one object, every member once, not deep (RFC 7515 §4, RFC 7519 §4).

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Levels of objects and arrays, at most; the object itself is the first.
const MAX_DEPTH: u8 = 8;

/// One JSON object in UTF-8, in which no object has a member twice; `None` for everything else.
///
/// A parser that kept the last of two members would read another document than one that keeps the first.
pub(crate) fn object(text: &[u8]) -> Option<Map<String, Value>> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict { depth: MAX_DEPTH }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

#[derive(Clone, Copy)]
struct Strict {
    depth: u8,
}

impl Strict {
    fn below<E: Error>(self) -> Result<Self, E> {
        self.depth.checked_sub(1).map(|depth| Self { depth }).ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("no finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(below)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(below)?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::object;

    #[test]
    // req: AS-042, SE-012
    fn one_object_with_every_member_once_and_not_deep() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        for good in ["{}", " {\"a\":1 , \"b\":{\"a\":[1.5e3,null,true,-1,\"\\u00e9\"]}} ", &nested(8)] {
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
        ] {
            assert!(object(bad.as_bytes()).is_none(), "{}", bad.get(..40).unwrap_or(bad));
        }
        assert!(object(b"{\"a\":\"\xe4\"}").is_none());
    }
}
