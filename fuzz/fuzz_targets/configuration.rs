//! Registrations and configurations as JSON: no panic; what is accepted without a fault survives a round trip.
#![no_main]

use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{AuthorizationServer, Client, Config};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(client) = serde_json::from_str::<Client>(text) {
        if client.validate(&Config::new("https://as.example.com")).is_empty() {
            let written = serde_json::to_string(&client).expect("a sound client serialises");
            let read: Client = serde_json::from_str(&written).expect("what was written is read");
            assert_eq!(serde_json::to_string(&read).expect("again"), written);
        }
    }
    if let Ok(config) = serde_json::from_str::<Config>(text) {
        let faults = config.validate();
        let server = AuthorizationServer::new(config, MemoryClientStore::default(), MemoryTokenStore::default());
        assert_eq!(server.map(drop).err().map(|error| error.faults), (!faults.is_empty()).then_some(faults));
    }
});
