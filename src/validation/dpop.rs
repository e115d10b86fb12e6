//! DPoP at the resource server: the proof that comes with each request (RFC 9449 §7).

use super::{AccessError, AccessReason, AccessTokenValidator, PresentedToken};
use crate::clock::Timestamp;
use crate::jose::JwsAlgorithm;
use crate::request::Field;
use crate::store::{AnyTokenStore, MemoryTokenStore};
use crate::token::dpop::{self, DpopNonces, InvalidDpopProof};
use crate::token::{Inserted, KeySpace, Record, TokenStore, TokenType};
use crate::uri;

/// What a resource server asks of proofs.
pub(super) struct Dpop {
    algorithms: Vec<JwsAlgorithm>,
    pub(super) nonces: Option<DpopNonces>,
    keys: KeySpace,
    /// Where used proofs are remembered.
    used: AnyTokenStore,
}

impl Dpop {
    /// `name` keeps what one resource server has seen apart from what another has, in one store.
    pub(super) fn new(name: &str) -> Self {
        let asymmetric = JwsAlgorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric());
        Self {
            algorithms: asymmetric.collect(),
            nonces: None,
            keys: KeySpace::new(name),
            used: AnyTokenStore::new(MemoryTokenStore::default()),
        }
    }

    /// `algs` of challenges (RFC 9449 §7.1).
    pub(super) fn algs(&self) -> String {
        self.algorithms.iter().map(|algorithm| algorithm.as_str()).collect::<Vec<_>>().join(" ")
    }
}

impl AccessTokenValidator {
    /// The same with fewer algorithms of DPoP proofs. By default it is every asymmetric one.
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "dpop")))]
    #[must_use]
    pub fn with_dpop_algorithms(mut self, algorithms: impl IntoIterator<Item = JwsAlgorithm>) -> Self {
        self.dpop.algorithms = algorithms.into_iter().filter(|algorithm| !algorithm.is_symmetric()).collect();
        self.renew_challenge()
    }

    /// The same, which takes no DPoP proof without one of these nonces, and hands them out with its refusals.
    ///
    /// RFC 9449 §9.
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "dpop")))]
    #[must_use]
    pub fn with_dpop_nonces(mut self, nonces: DpopNonces) -> Self {
        self.dpop.nonces = Some(nonces);
        self
    }

    /// The same with a store for used proofs that several nodes share, so that none of them takes a proof that another has
    /// seen. By default it is one in memory.
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "dpop")))]
    #[must_use]
    pub fn with_dpop_store(mut self, store: impl TokenStore + 'static) -> Self {
        self.dpop.used = AnyTokenStore::new(store);
        self
    }

    /// Checks the `DPoP` field of a request, and notes the key that it proves beside the token; a token that came as `Bearer`
    /// is handed back as it is.
    ///
    /// `url` is the public URL of the resource that is asked for: behind a proxy the one that the client sees, never one made of
    /// the `Host` field. That the token is good and bound to the key, and that the proof is new, is decided by
    /// [`validate`](Self::validate): a proof beside a token that is not good is not remembered, so that nobody fills the store of used
    /// proofs without a token.
    ///
    /// # Errors
    /// `invalid_dpop_proof` or `use_dpop_nonce` (401).
    ///
    /// RFC 9449 §4.3, §7.1.
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "dpop")))]
    pub fn prove<'a>(
        &self,
        presented: PresentedToken<'a>,
        dpop: Field<'_>,
        method: &str,
        url: &str,
    ) -> Result<PresentedToken<'a>, AccessError> {
        if presented.scheme == TokenType::Bearer {
            return Ok(presented);
        }
        self.check_proof(presented, dpop, method, url).map_err(|reason| self.refuse(reason, presented.scheme))
    }

    fn check_proof<'a>(
        &self,
        presented: PresentedToken<'a>,
        field: Field<'_>,
        method: &str,
        url: &str,
    ) -> Result<PresentedToken<'a>, AccessReason> {
        let at = self.clock.now();
        let url = uri::normalized(url).ok_or(InvalidDpopProof::Htu)?;
        let asked = dpop::Request { method, urls: std::slice::from_ref(&url), access_token: Some(presented.token), at };
        let rules = dpop::Rules {
            algorithms: &self.dpop.algorithms,
            skew: self.leeway,
            ahead: self.leeway,
            iat_always_counts: false,
            nonces: self.dpop.nonces.as_ref().map(|nonces| (nonces, &*self.issuer)),
        };
        let proof = dpop::check(field, &asked, &rules)?;
        let once = (self.dpop.keys.proof(&proof.jkt, &proof.jti), proof.until);
        Ok(PresentedToken { proof: Some(proof.jkt), once: Some(once), ..presented })
    }

    /// Takes the proof that came with a token, once.
    pub(super) async fn use_up(&self, presented: &PresentedToken<'_>, at: Timestamp) -> Result<(), AccessReason> {
        let Some((key, until)) = presented.once else { return Ok(()) };
        let once = Record::one_time(key, until);
        match self.dpop.used.insert(&[once], at).await.map_err(AccessReason::ProofStore)? {
            Inserted::All => Ok(()),
            Inserted::Exists(_) => Err(InvalidDpopProof::Replayed.into()),
        }
    }
}
