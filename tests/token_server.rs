//! The example `token_server` as a process of its own: its life, its configuration, its endpoints, and hostile senders.
//!
//! Each test starts a server with a configuration of its own on a free port, and ends it by SIGTERM. `Server::finish`
//! then looks for every secret, header and token of the test in what the server wrote to stderr.
#![cfg(all(unix, feature = "http"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "where a test cannot go on it has failed"
)]

#[cfg(feature = "jwt")]
#[path = "token_server/assertions.rs"]
mod assertions;
#[path = "token_server/configuration.rs"]
mod configuration;
#[cfg(feature = "rar")]
#[path = "token_server/details.rs"]
mod details;
#[cfg(all(feature = "jwt", feature = "sqlite"))]
#[path = "token_server/durable.rs"]
mod durable;
#[path = "token_server/framing.rs"]
mod framing;
#[path = "token_server/harness.rs"]
mod harness;
#[path = "token_server/hostile.rs"]
mod hostile;
#[path = "token_server/journey.rs"]
mod journey;
#[path = "token_server/life.rs"]
mod life;
#[path = "token_server/rate_limit.rs"]
mod rate_limit;
#[path = "token_server/realms.rs"]
mod realms;
#[path = "token_server/registration.rs"]
mod registration;
#[cfg(feature = "jwt")]
#[path = "token_server/signed.rs"]
mod signed;
#[cfg(all(feature = "dpop", feature = "mtls"))]
#[path = "token_server/stolen.rs"]
mod stolen;
#[cfg(feature = "mtls")]
#[path = "token_server/tls.rs"]
mod tls;
