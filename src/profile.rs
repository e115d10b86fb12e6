//! Security profiles: one value that turns on what a profile asks of this grant, and refuses what contradicts it.
//!
//! ```
//! use client_credentials::{Config, Profile};
//!
//! let mut config = Config::new("https://as.example.com");
//! config.profile = Profile::Fapi2;
//! config.token_endpoint_auth_methods = Some(vec!["client_secret_basic".into()]);
//! let faults: Vec<String> = config.validate().into_iter().map(|fault| fault.key).collect();
//! assert_eq!(faults, ["token_endpoint_auth_methods"]);
//! ```

use crate::client::{AssertionAudience, AuthenticationMethod, Client, Fault};
use crate::jose::JwsAlgorithm;
use crate::server::Config;
use serde::{Deserialize, Serialize};

/// The rules that a server keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Profile {
    /// Those of the RFCs, as far as the configuration goes.
    #[default]
    Default,
    /// Those of the FAPI 2.0 Security Profile (§5.3.2.1, §5.4.1), as far as they concern this grant.
    ///
    /// * Clients authenticate by `private_key_jwt` or mutual TLS; their assertions have the issuer as a plain text in `aud`.
    /// * Every token is bound: to the key of a DPoP proof, or to the client's certificate.
    /// * Assertions, proofs and signed tokens are PS256, ES256 or EdDSA.
    /// * A clock may be ten seconds ahead, whatever `clock_skew` says.
    Fapi2,
}

impl Profile {
    pub(crate) fn is_fapi2(self) -> bool {
        self == Self::Fapi2
    }

    /// Whether a client may authenticate so. What the embedder vouches for is the embedder's.
    pub(crate) fn takes_method(self, method: &AuthenticationMethod) -> bool {
        use AuthenticationMethod::{Custom, PrivateKeyJwt, SelfSignedTlsClientAuth, TlsClientAuth};
        !self.is_fapi2() || matches!(method, PrivateKeyJwt | TlsClientAuth | SelfSignedTlsClientAuth | Custom)
    }

    /// Whether something may be signed so.
    pub(crate) fn takes_algorithm(self, algorithm: JwsAlgorithm) -> bool {
        !self.is_fapi2() || matches!(algorithm, JwsAlgorithm::Ps256 | JwsAlgorithm::Es256 | JwsAlgorithm::EdDsa)
    }

    /// Seconds by which a client's clock may be ahead, of those that are configured.
    pub(crate) fn ahead(self, skew: u64) -> u64 {
        if self.is_fapi2() { skew.max(10) } else { skew }
    }

    /// What of a configuration contradicts the profile.
    pub(crate) fn faults_of_server(self, config: &Config, faults: &mut Vec<Fault>) {
        if !self.is_fapi2() {
            return;
        }
        let mut fault = |key: &str, problem: String| faults.push(Fault::new(key, problem));
        if cfg!(not(any(feature = "dpop", feature = "mtls"))) {
            fault(
                "profile",
                "fapi2 needs tokens that are bound, and neither dpop nor mtls is in this build".to_owned(),
            );
        }
        for method in config.token_endpoint_auth_methods.iter().flatten().filter(|method| !self.takes_method(method)) {
            fault("token_endpoint_auth_methods", format!("{method} is not a method of fapi2"));
        }
        for algorithm in &config.signing_algorithms {
            if !self.takes_algorithm(algorithm.jws()) {
                fault("signing_algorithms", format!("{algorithm} is not an algorithm of fapi2"));
            }
        }
        let chosen = config.token_endpoint_auth_signing_algs.iter().flatten();
        for algorithm in chosen.filter(|algorithm| !self.takes_algorithm(**algorithm)) {
            fault("token_endpoint_auth_signing_algs", format!("{algorithm} is not an algorithm of fapi2"));
        }
        #[cfg(feature = "dpop")]
        for algorithm in
            config.dpop_signing_algs.iter().flatten().filter(|algorithm| !self.takes_algorithm(**algorithm))
        {
            fault("dpop_signing_algs", format!("{algorithm} is not an algorithm of fapi2"));
        }
    }

    /// What of a registration contradicts the profile.
    pub(crate) fn faults_of_client(self, client: &Client, issuer: &str, faults: &mut Vec<Fault>) {
        if !self.is_fapi2() {
            return;
        }
        for method in client.token_endpoint_auth_method.iter().filter(|method| !self.takes_method(method)) {
            faults.push(Fault::new("token_endpoint_auth_method", format!("{method} is not a method of fapi2")));
        }
        for (at, federated) in client.federated.iter().enumerate() {
            if federated.audience.as_deref().is_some_and(|audience| audience != issuer) {
                faults.push(Fault::new(
                    format!("federated[{at}].audience"),
                    "another audience than the issuer contradicts fapi2",
                ));
            }
        }
        if client.assertion_audience == AssertionAudience::Legacy {
            faults.push(Fault::new("assertion_audience", "legacy contradicts fapi2"));
        }
        if let Some(algorithm) = client.token_endpoint_auth_signing_alg.filter(|only| !self.takes_algorithm(*only)) {
            let problem = format!("{algorithm} is not an algorithm of fapi2");
            faults.push(Fault::new("token_endpoint_auth_signing_alg", problem));
        }
    }
}
