//! Verifiers from a file of another server: how clients with their secrets move here.

use crate::client::{ClientId, Fault, SecretVerifier};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Octets of a line, at most: a `client_id`, a verifier, and room.
const MAX_LINE: usize = 1024;

/// Reads one client a line, its `client_id` and the verifier of its secret; all of them, or what is wrong with which line.
///
/// ```text
/// # an empty line, and one that begins with #, say nothing
/// reports<TAB>$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0$…
/// billing:sha256:LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ
/// <TAB>#1<TAB>sha256:…
/// ```
///
/// * Between the two stands a tab, or a colon. A verifier has the text form of [`SecretVerifier`], so the colon is found from the end,
///   and a `client_id` may have colons.
/// * Nothing is trimmed: a space is a part of the `client_id`, or wrong. With a tab before it, a `client_id` may begin with
///   anything, `#` as well, so that every one can be written.
/// * A line ends with a line feed, or a carriage return and one. A byte order mark at the start is skipped. Lines have 1024
///   octets at most.
///
/// The rest is [`ClientRegistry::add`](super::ClientRegistry::add), one atomic step for all of them. Where some have a slow hash, the
/// server needs [`unknown_client_work`](crate::Config::unknown_client_work), as [`Client::validate`](crate::Client::validate) says.
///
/// ```
/// use client_credentials::store::{Added, ClientRegistry, MemoryClientStore, read_verifiers};
/// use client_credentials::{Client, RegisteredSecret};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let text = "# moved in 2026\nreports\tsha256:LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ\n";
/// let client = |(client_id, verifier)| {
///     let mut client = Client::new(client_id);
///     client.client_secrets.push(RegisteredSecret::new("1", verifier));
///     client
/// };
/// let clients: Vec<Client> = read_verifiers(text)?.into_iter().map(client).collect();
/// assert_eq!(MemoryClientStore::default().add(&clients).await?, Added::All);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`InvalidVerifiers`] with every line that is wrong.
pub fn read_verifiers(text: &str) -> Result<Vec<(ClientId, SecretVerifier)>, InvalidVerifiers> {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    let mut lines = HashMap::new();
    for (line, number) in text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').zip(1_usize..) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.starts_with('#') || line.bytes().all(|octet| matches!(octet, b' ' | b'\t')) {
            continue;
        }
        let mut fault = |problem: String| faults.push(Fault::new(format!("line {number}"), problem));
        match read(line) {
            Err(problem) => fault(problem),
            Ok((client_id, verifier)) => match lines.entry(client_id.clone()) {
                Entry::Occupied(earlier) => fault(format!("has the client_id of line {}", earlier.get())),
                Entry::Vacant(place) => {
                    place.insert(number);
                    found.push((client_id, verifier));
                }
            },
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(InvalidVerifiers { faults }) }
}

fn read(line: &str) -> Result<(ClientId, SecretVerifier), String> {
    if line.len() > MAX_LINE {
        return Err(format!("has more than {MAX_LINE} octets"));
    }
    let (client_id, verifier) = divide(line).ok_or("needs a client_id, a tab or a colon, and a verifier")?;
    let client_id = ClientId::new(client_id).map_err(|error| error.to_string())?;
    Ok((client_id, verifier.parse().map_err(|error: crate::InvalidVerifier| error.to_string())?))
}

/// At the first tab, or the last colon that is not that of `sha256:`.
fn divide(line: &str) -> Option<(&str, &str)> {
    if let Some(divided) = line.strip_prefix('\t').unwrap_or(line).split_once('\t') {
        return Some(divided);
    }
    let (before, last) = line.rsplit_once(':')?;
    if last.starts_with('$') {
        return Some((before, last));
    }
    let client_id = before.strip_suffix(":sha256")?;
    Some((client_id, line.get(client_id.len() + 1..)?))
}

/// Lines of a file are wrong; none of it was taken.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", Fault::list(.faults))]
#[non_exhaustive]
pub struct InvalidVerifiers {
    /// Every line that is wrong, by its number, and what is wrong with it; nothing of what stands there.
    pub faults: Vec<Fault>,
}
