//! The decision which of the requested details a client gets: all of them, or no token (RFC 9396 §5, §6).

use super::{AuthorizationDetail, AuthorizationDetails};
use crate::client::Client;
use crate::error::Reason;
use crate::json;
use crate::server::Config;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Octets of `authorization_details`, at most: as they are sent, and as they are written again.
const MAX_OCTETS: usize = 16 * 1024;
/// Objects in one request, at most.
const MAX_OBJECTS: usize = 16;
/// Levels of objects and arrays, at most; the array itself is the first. A JWT may have eight, of which a signed introspection
/// answer (RFC 9701) has two around the array.
const MAX_DEPTH: u8 = 6;
/// Octets of the name of a type, at most.
const MAX_TYPE: usize = 255;

/// Says what is wrong with an object of one type, to the operator.
type Schema = dyn Fn(&AuthorizationDetail) -> Result<(), Cow<'static, str>> + Send + Sync;

/// The server's side of the decision.
pub(crate) struct Rules {
    /// The types that the server knows; without a schema an object may have any members.
    types: BTreeMap<String, Option<Box<Schema>>>,
}

/// What is wrong with the configured types.
pub(crate) fn problem_of_types(types: &[String]) -> Option<&'static str> {
    let is_name = |name: &String| (1..=MAX_TYPE).contains(&name.len()) && !name.chars().any(char::is_control);
    if !types.iter().all(is_name) {
        Some("each must be 1 to 255 octets of UTF-8 without control characters")
    } else if types.iter().collect::<BTreeSet<_>>().len() < types.len() {
        Some("each stands once")
    } else {
        None
    }
}

impl Rules {
    pub(crate) fn of(config: &Config) -> Self {
        Self { types: config.authorization_details_types.iter().map(|name| (name.clone(), None)).collect() }
    }

    /// Sets the rules of a type, and says whether there is such a type.
    pub(crate) fn set_schema(&mut self, type_name: &str, schema: Box<Schema>) -> bool {
        self.types.get_mut(type_name).map(|known| *known = Some(schema)).is_some()
    }

    /// Decides the details of a token. One object that is refused refuses them all, and `resource` plays no part in it (RFC 9396
    /// §3.2, §5).
    ///
    /// * A client without registered `authorization_details_types` may use none.
    /// * A server that knows no type has not switched the parameter on, and does not look at it.
    pub(crate) fn select(
        &self,
        client: &Client,
        requested: Option<&str>,
    ) -> Result<Option<AuthorizationDetails>, Reason> {
        let Some(requested) = requested else { return Ok(None) };
        if self.types.is_empty() {
            return Err(Reason::AuthorizationDetailsNotSupported);
        }
        let details = parse(requested)?;
        let registered = client.authorization_details_types.as_deref().unwrap_or_default();
        details.iter().try_for_each(|object| self.permit(registered, object))?;
        Ok(Some(details))
    }

    fn permit(&self, registered: &[String], object: &AuthorizationDetail) -> Result<(), Reason> {
        let schema = self.types.get(object.type_name()).ok_or(Reason::UnknownAuthorizationDetailsType)?;
        if !registered.iter().any(|own| own == object.type_name()) {
            return Err(Reason::AuthorizationDetailsTypeNotRegistered);
        }
        if !has_common_members_of_the_right_type(&object.0) {
            return Err(Reason::MalformedAuthorizationDetails(
                "a member of RFC 9396 is neither text nor a list of texts",
            ));
        }
        let judged = schema.as_ref().map_or(Ok(()), |schema| schema(object));
        judged.map_err(|cause| Reason::AuthorizationDetailRefused { cause })
    }
}

/// RFC 9396 §2.
fn parse(text: &str) -> Result<AuthorizationDetails, Reason> {
    if text.len() > MAX_OCTETS {
        return Err(Reason::AuthorizationDetailsTooLong);
    }
    let list = match json::value(text, MAX_DEPTH) {
        Some(Value::Array(list)) if list.len() > MAX_OBJECTS => return Err(Reason::AuthorizationDetailsTooLong),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(Reason::MalformedAuthorizationDetails("no array")),
        None => return Err(Reason::MalformedAuthorizationDetails("no JSON, a member that stands twice, or too deep")),
    };
    let object = |value| if let Value::Object(object) = value { Some(object) } else { None };
    let objects: Option<Vec<_>> = list.into_iter().map(object).collect();
    let details = objects.and_then(|objects| AuthorizationDetails::try_from(objects).ok());
    let details = details.ok_or(Reason::MalformedAuthorizationDetails("empty, or not objects with a text `type`"))?;
    // `1e15` is written with eighteen characters.
    let written = serde_json::to_vec(&details).is_ok_and(|written| written.len() <= MAX_OCTETS);
    if written { Ok(details) } else { Err(Reason::AuthorizationDetailsTooLong) }
}

/// The members that RFC 9396 §2.2 defines for every type that uses them.
fn has_common_members_of_the_right_type(object: &Map<String, Value>) -> bool {
    let is_list = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    let lists = ["locations", "actions", "datatypes", "privileges"];
    lists.into_iter().all(|name| object.get(name).is_none_or(is_list))
        && object.get("identifier").is_none_or(Value::is_string)
}
