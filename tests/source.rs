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

/// Nobody should meet a feature, an example or a document that the README does not lead to, or the other way round.
#[test]
fn the_readme_names_what_there_is() {
    let readme = read("README.md");
    for named in
        ["docs/architecture.md", "docs/operating.md", "examples/custom_store.rs", "examples/staged.rs", "LICENSE-MIT"]
    {
        assert!(readme.contains(named), "{named}");
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(named).exists(), "{named}");
    }
    assert!(readme.lines().any(|line| line.starts_with("cargo run --release --all-features --example token_server")));
    assert!(readme.lines().any(|line| line.starts_with("cargo test --all-features")));
}
