//! A JSON object as borrowed parts of the event's bytes.
//!
//! Events are read leniently: a member of an unexpected type counts as absent, duplicate members are no error, and strings
//! are bytes, since JavaScript writes lone surrogates that no Rust `str` can hold.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Bytes of a JSON string with its escapes resolved, borrowed where it has none.
pub type Text<'a> = Cow<'a, [u8]>;

/// The members of a JSON object in their order.
#[derive(Default)]
pub struct Object<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// `None` when `json` is no object.
    pub fn parse(json: &'a str) -> Option<Object<'a>> {
        serde_json::from_str(json).ok()
    }

    /// Whether there is such a member, be it null.
    pub fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// The JSON text of a member; the last one of a repeated name, as in JavaScript.
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .rev()
            .find(|(key, _)| &**key == name.as_bytes())
            .map(|(_, value)| value.get())
    }

    /// A member that is a string.
    pub fn text(&self, name: &str) -> Option<Text<'a>> {
        text(self.raw(name)?)
    }

    /// A member that is an object; an empty one where it is anything else.
    pub fn object(&self, name: &str) -> Object<'a> {
        self.raw(name).and_then(Object::parse).unwrap_or_default()
    }

    /// A member that is true, or the string `"true"`.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.raw(name), Some("true" | "\"true\""))
    }

    /// A member that is a list of strings.
    pub fn texts(&self, name: &str) -> Vec<Text<'a>> {
        self.raw(name).map(values).unwrap_or_default()
    }

    /// A member that maps names to a value or to a list of values: headers, query parameters. Names without a value are left out.
    pub fn map(&self, name: &str) -> Vec<(Text<'a>, Vec<Text<'a>>)> {
        let entries = self.object(name).0;
        let with_values = entries
            .into_iter()
            .map(|(name, json)| (name, values(json.get())));
        with_values
            .filter(|(_, values)| !values.is_empty())
            .collect()
    }

    /// The names of the members, in their order.
    pub fn names(&self) -> impl Iterator<Item = &Text<'a>> {
        self.0.iter().map(|(name, _)| name)
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A string's bytes; `None` for any other type.
pub fn text(json: &str) -> Option<Text<'_>> {
    serde_json::from_str::<Bytes<'_>>(json)
        .ok()
        .map(|bytes| bytes.0)
}

/// The JSON texts of a list's items; `None` for any other type.
pub fn items(json: &str) -> Option<Vec<&str>> {
    let items = serde_json::from_str::<Vec<&RawValue>>(json).ok()?;
    Some(items.into_iter().map(RawValue::get).collect())
}

/// The values of a header or parameter: a string, a number, a truth value (as JSON writes it), or a list of these.
fn values(json: &str) -> Vec<Text<'_>> {
    match json.as_bytes().first() {
        Some(b'[') => {
            let items = items(json).unwrap_or_default();
            items.into_iter().filter_map(scalar).collect()
        }
        _ => scalar(json).into_iter().collect(),
    }
}

fn scalar(json: &str) -> Option<Text<'_>> {
    match json.as_bytes().first()? {
        b'"' => text(json),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json.as_bytes())),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some((name, value)) = map.next_entry::<Bytes<'de>, &'de RawValue>()? {
                    members.push((name.0, value));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A JSON string as bytes: serde's own `Cow` always copies.
struct Bytes<'a>(Cow<'a, [u8]>);

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct String;
        impl<'de> Visitor<'de> for String {
            type Value = Bytes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Bytes<'de>, E> {
                Ok(Bytes(Cow::Borrowed(bytes)))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes<'de>, E> {
                Ok(Bytes(Cow::Owned(bytes.to_vec())))
            }

            // serde_json reads a list as bytes too; no member is written like that
            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Bytes<'de>, A::Error> {
                Err(serde::de::Error::custom("a list is no string"))
            }
        }
        deserializer.deserialize_bytes(String)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_every_type() {
        let object = Object::parse(
            r#"{"s":"a\n\u00e9","n":-1.50e3,"t":true,"T":"true","null":null,"l":["x",1,null,[2],{}],"o":{"k":"v"},"s2":"plain"}"#,
        )
        .unwrap();
        assert_eq!(object.text("s").as_deref(), Some("a\né".as_bytes()));
        assert!(matches!(object.text("s2"), Some(Cow::Borrowed(b"plain"))));
        assert_eq!(object.text("n"), None);
        assert_eq!(object.text("l"), None);
        assert_eq!(object.text("absent"), None);
        assert!(
            object.flag("t") && object.flag("T") && !object.flag("n") && !object.flag("absent")
        );
        assert!(object.has("null") && !object.has("absent"));
        assert_eq!(object.raw("n"), Some("-1.50e3"));
        assert_eq!(
            object.texts("l"),
            [b"x".as_slice(), b"1"].map(Cow::Borrowed)
        );
        assert!(object.object("null").is_empty());
        assert_eq!(
            object.object("o").text("k").as_deref(),
            Some(b"v".as_slice())
        );
    }

    #[test]
    fn maps_keep_order_numbers_and_empty_values() {
        let object =
            Object::parse(r#"{"m":{"b":["1","2"],"a":7,"n":null,"e":"","z":[]}}"#).unwrap();
        let map: Vec<(String, Vec<String>)> = object
            .map("m")
            .into_iter()
            .map(|(name, values)| {
                (
                    lossy(&name),
                    values.iter().map(|value| lossy(value)).collect(),
                )
            })
            .collect();
        let expected = [("b", vec!["1", "2"]), ("a", vec!["7"]), ("e", vec![""])];
        let expected: Vec<(String, Vec<String>)> = expected
            .map(|(k, v)| (k.to_owned(), v.into_iter().map(str::to_owned).collect()))
            .into();
        assert_eq!(map, expected);
    }

    fn lossy(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn duplicates_surrogates_and_deep_nesting_are_no_errors() {
        let deep = format!(
            r#"{{"a":"first","a":"last","s":"\ud800","deep":{}{}}}"#,
            "[".repeat(5000),
            "]".repeat(5000)
        );
        let object = Object::parse(&deep).unwrap();
        assert_eq!(object.text("a").as_deref(), Some(b"last".as_slice()));
        assert_eq!(
            object.text("s").as_deref(),
            Some(b"\xed\xa0\x80".as_slice())
        );
    }

    #[test]
    fn anything_else_is_no_object() {
        for json in ["[]", "1", "\"x\"", "null", "", "{", "{} x", "{\"a\":}"] {
            assert!(Object::parse(json).is_none(), "{json}");
        }
    }
}
