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
    let mut token = Zeroizing::new(Vec::with_capacity(prefix.len() + LENGTH));
    token.extend_from_slice(prefix.as_bytes());
    token.resize(prefix.len() + LENGTH, 0);
    let place = token.get_mut(prefix.len()..).unwrap_or_default();
    URL_SAFE_NO_PAD.encode_slice(octets.as_slice(), place).map_err(|_| RandomError::default())?;
    let text = String::from_utf8(std::mem::take(&mut *token)).map_err(|_| RandomError::default())?;
    Ok(AccessToken(Zeroizing::new(text)))
}
