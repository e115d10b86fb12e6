//! What only the source itself can show.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

use std::fs;
use std::path::Path;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
// req: SE-008
fn unsafe_code_is_forbidden() {
    assert!(read("src/lib.rs").lines().any(|line| line == "#![forbid(unsafe_code)]"));
    assert!(read("Cargo.toml").lines().any(|line| line == "unsafe_code = \"forbid\""));
}

/// What an operator has to be told stands where they look for it.
#[test]
// req: CA-046, SC-021, TO-017, JW-034, JW-038, HT-019, MT-025, SE-014
fn the_guide_says_what_an_operator_has_to_know() {
    let guide = read("docs/operations.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "Prefer asymmetric client authentication over shared secrets",
        "A request without `scope` gets, in this order",
        "43 characters",
        "about 550 characters",
        "choose client ids that cannot be mistaken for a person's identifier",
        "are gone when it stops",
        "every request must travel over TLS",
        "## Rotating a secret without a gap",
        "To rotate a client's key",
        "To rotate a signing key",
        "| the chain to a trusted root, dates, key usage, revocation lists | the TLS layer; **the library checks none of it** |",
        "**How the certificate reaches the library.**",
    ] {
        assert!(guide.contains(said), "{said}");
    }
}

/// The registrations that the guide shows are without fault, once what it leaves out is filled in.
#[test]
#[cfg(feature = "jwt")]
fn the_registrations_of_the_guide_work() {
    let guide = read("docs/operations.md");
    let blocks = guide.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut seen = 0;
    let is_built = |block: &&str| cfg!(feature = "mtls") || !block.contains("tls_client_");
    for block in blocks.filter(|block| block.starts_with("[[clients]]")).filter(is_built) {
        let coordinates = [
            ("x = \"…\"", "x = \"JbGGsQNZ0P3O4Va-VcMyxqY6Fq2_Qcqpj3L7UWPFjnQ\""),
            ("y = \"…\"", "y = \"X8EGic3yNdxOUWDDgtTOtGV2ZHuF4CfcfbFF2qnMsow\""),
        ];
        let text = coordinates.iter().fold(block.to_owned(), |text, (left_out, filled)| text.replace(left_out, filled));
        let table: toml::Table = text.parse().unwrap();
        for registration in table["clients"].as_array().unwrap() {
            let client: client_credentials::Client = registration.clone().try_into().unwrap();
            assert_eq!(client.validate(&client_credentials::Config::new("https://as.example.com")), [], "{block}");
            assert!(client.warnings().is_empty(), "{block}");
            seen += 1;
        }
    }
    assert_eq!(seen, if cfg!(feature = "mtls") { 3 } else { 2 });
}

/// Nobody should meet a feature, an example or a document that the README does not lead to, or the other way round.
#[test]
fn the_readme_names_what_there_is() {
    let readme = read("README.md");
    for named in [
        "docs/architecture.md",
        "docs/operations.md",
        "examples/custom_store.rs",
        "examples/staged.rs",
        "examples/workload_identity.rs",
        "examples/resource_server.rs",
        "LICENSE-MIT",
    ] {
        assert!(readme.contains(named), "{named}");
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(named).exists(), "{named}");
    }
    assert!(readme.lines().any(|line| line.starts_with("cargo run --release --all-features --example token_server")));
    assert!(readme.lines().any(|line| line == "tests/run"));
}
