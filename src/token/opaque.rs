//! Opaque tokens: random text whose meaning is in the store.

use super::AccessToken;
use crate::random::{RandomError, RandomSource};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// Characters that 32 octets make in base64url.
const LENGTH: usize = 43;

/// Makes a token: `prefix`, then 32 random octets as 43 characters of base64url.
///
/// 256 bits, twice what RFC 6749 §10.10 asks for; the length is no option, so nobody can lower it.
pub(crate) fn mint(random: &dyn RandomSource, prefix: &str) -> Result<AccessToken, RandomError> {
    let mut octets = Zeroizing::new([0_u8; 32]);
    random.fill(&mut *octets)?;
    let mut text = Zeroizing::new([0_u8; LENGTH]);
    let length = URL_SAFE_NO_PAD.encode_slice(octets.as_slice(), text.as_mut_slice()).unwrap_or_default();
    let text = text.get(..length).and_then(|text| std::str::from_utf8(text).ok()).ok_or_else(RandomError::default)?;
    let mut token = Zeroizing::new(String::with_capacity(prefix.len() + LENGTH));
    token.push_str(prefix);
    token.push_str(text);
    Ok(AccessToken(token))
}
