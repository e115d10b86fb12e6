//! Opaque tokens: random text whose meaning is in the store.

use super::AccessToken;
use crate::random::{RandomError, RandomSource};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// Makes a token: `prefix`, then 32 random octets as 43 characters of base64url.
///
/// 256 bits, twice what RFC 6749 §10.10 asks for; the length is no option, so nobody can lower it.
pub(crate) fn mint(random: &dyn RandomSource, prefix: &str) -> Result<AccessToken, RandomError> {
    let mut octets = Zeroizing::new([0_u8; 32]);
    random.fill(&mut *octets)?;
    let mut text = Zeroizing::new(String::with_capacity(prefix.len() + 43));
    text.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(octets.as_slice(), &mut text);
    Ok(AccessToken(text))
}
