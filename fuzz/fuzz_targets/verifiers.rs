//! A file of verifiers: no panic; what is read comes back from the form that can say everything, and a fault repeats nothing odd.
#![no_main]

use client_credentials::store::read_verifiers;
use client_credentials::{ClientId, SecretVerifier};
use libfuzzer_sys::fuzz_target;

fn written(clients: &[(ClientId, SecretVerifier)]) -> String {
    clients.iter().map(|(client_id, verifier)| format!("\t{client_id}\t{}\r\n", verifier.to_text())).collect()
}

fuzz_target!(|text: &str| {
    match read_verifiers(text) {
        Ok(clients) => {
            let again = read_verifiers(&written(&clients)).expect("what was read");
            assert_eq!(written(&again), written(&clients));
        }
        Err(error) => {
            assert!((1..=text.split('\n').count()).contains(&error.faults.len()));
            assert!(!error.to_string().contains(char::is_control));
        }
    }
});
