//! The members of an answer that stand before its body: status, headers and cookies as JSON.

use std::collections::HashMap;

use crate::cgi::head::Header;

/// Writes the members of an answer that stand before its body.
pub(super) struct HeadWriter<'d> {
    pub(super) document: &'d mut Vec<u8>,
}

impl HeadWriter<'_> {
    /// `statusCode`; it comes first.
    pub(super) fn status(&mut self, status: u16) {
        self.document
            .extend_from_slice(format!("{{\"statusCode\":{status}").as_bytes());
    }

    /// A member that is a string.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.member(name, &value);
    }

    /// A member that is a list of strings.
    pub(super) fn list<'v>(&mut self, name: &str, values: impl Iterator<Item = &'v str>) {
        self.member(name, &values.collect::<Vec<_>>());
    }

    /// `headers`, the values of a repeated name joined.
    pub(super) fn joined_headers<'h>(&mut self, headers: impl Iterator<Item = &'h Header>) {
        self.member(
            "headers",
            &Map(grouped(headers)
                .map(|(name, values)| (name, values.join(", ")))
                .collect()),
        );
    }

    /// `headers`, the last value of a repeated name.
    pub(super) fn last_headers(&mut self, headers: &[Header]) {
        let last =
            |(name, values): (_, Vec<&str>)| (name, values.last().map(|value| value.to_string()));
        self.member("headers", &Map(grouped(headers.iter()).map(last).collect()));
    }

    /// `multiValueHeaders`.
    pub(super) fn multi_value_headers(&mut self, headers: &[Header]) {
        self.member("multiValueHeaders", &Map(grouped(headers.iter()).collect()));
    }

    fn member(&mut self, name: &str, value: &impl serde::Serialize) {
        self.document
            .extend_from_slice(format!(",\"{name}\":").as_bytes());
        serde_json::to_writer(&mut *self.document, value).expect("strings always have a JSON form");
    }
}

/// Headers by name, in any case of letters; the first spelling and the first place count.
fn grouped<'h>(
    headers: impl Iterator<Item = &'h Header>,
) -> impl Iterator<Item = (&'h str, Vec<&'h str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut places = HashMap::new();
    for header in headers {
        let place = *places
            .entry(header.name.to_ascii_lowercase())
            .or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, values)) => values.push(&header.value),
            None => groups.push((&header.name, vec![&header.value])),
        }
    }
    groups.into_iter()
}

/// A JSON object in the order of its members.
struct Map<'h, V>(Vec<(&'h str, V)>);

impl<V: serde::Serialize> serde::Serialize for Map<'_, V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
