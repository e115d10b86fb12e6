//! AEAD with a key of this server's: what is kept in a database, and must not be read there (RFC 8452).

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A key that seals and opens.
pub(crate) struct SealKey {
    id: String,
    octets: Zeroizing<[u8; 32]>,
}

impl SealKey {
    /// `None` where there are not 32 octets.
    pub(crate) fn new(octets: &[u8]) -> Option<Self> {
        let octets = Zeroizing::new(<[u8; 32]>::try_from(octets).ok()?);
        let digest = Sha256::new().chain_update("client-credentials sealing key\0").chain_update(*octets).finalize();
        let id = URL_SAFE_NO_PAD.encode(digest.first_chunk::<6>()?);
        Some(Self { id, octets })
    }

    /// What a sealed text calls it: eight characters, made from the key by a hash.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// A random nonce, the ciphertext, and the tag, which stands for `bound` as well; `None` when there are no random octets.
    pub(crate) fn seal(&self, bound: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let mut octets = Zeroizing::new(Vec::with_capacity(plain.len() + AES_256_GCM_SIV.tag_len())); // never moved
        octets.extend_from_slice(plain);
        let nonce = self.key()?.seal_in_place_append_tag(Aad::from(bound), &mut *octets).ok()?;
        Some([nonce.as_ref().as_slice(), &octets].concat())
    }

    /// What was sealed by this key for `bound`; `None` for everything else.
    pub(crate) fn open(&self, bound: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut octets = Zeroizing::new(ciphertext.to_vec());
        let nonce = Nonce::from(nonce);
        let plain = self.key()?.open_in_place(nonce, Aad::from(bound), &mut octets).ok()?.len();
        octets.truncate(plain);
        Some(octets)
    }

    fn key(&self) -> Option<RandomizedNonceKey> {
        RandomizedNonceKey::new(&AES_256_GCM_SIV, &*self.octets).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::ZeroizeOnDrop;

    #[test]
    // req: SE-009
    fn a_key_is_wiped() {
        fn wiped(_: &impl ZeroizeOnDrop) {}
        wiped(&SealKey::new(&[1; 32]).unwrap().octets);
    }

    #[test]
    fn what_is_sealed_opens() {
        let key = SealKey::new(&[1; 32]).unwrap();
        for plain in [&[][..], &[0], &[7; 5000]] {
            assert_eq!(**key.open(b"place", &key.seal(b"place", plain).unwrap()).unwrap(), *plain);
        }
        assert!(key.open(b"place", b"").is_none() && key.open(b"place", &[0; 27]).is_none());
        assert!(key.open(b"other", &key.seal(b"place", b"").unwrap()).is_none());
    }
}
