//! Every requirement of what is built is cited by a test, or has a written reason why none can.
//!
//! The catalogue is `tests/spec/requirements.json`; the reasons are in `tests/spec/uncited.md`, one line each.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The features of the catalogue that are in the crate.
const BUILT: [&str; 14] = [
    "core",
    "dpop",
    "fapi2",
    "http",
    "jwt",
    "assertion",
    "mtls",
    "introspection",
    "revocation",
    "metadata",
    "resource",
    "realms",
    "docs",
    "rar",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file below `folder` that may hold a citation.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            if !path.join("requirements.json").exists() {
                sources(&path, found);
            }
        } else if path.extension().is_none_or(|end| ["rs", "py", "mjs", "sh"].iter().any(|known| *known == end)) {
            found.push(path);
        }
    }
}

/// The ids after `req:` in comments.
fn citations() -> BTreeMap<String, PathBuf> {
    let mut files = Vec::new();
    for folder in ["src", "tests", "examples"] {
        sources(&root().join(folder), &mut files);
    }
    let mut cited = BTreeMap::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for line in text.lines().filter_map(|line| line.split_once("req: ")).map(|(_, ids)| ids) {
            for id in line.split(", ") {
                let id = id.trim();
                let is_id = id.split_once('-').is_some_and(|(area, number)| {
                    area.len() == 2 && area.bytes().all(|c| c.is_ascii_uppercase()) && number.parse::<u32>().is_ok()
                });
                if is_id {
                    cited.insert(id.to_owned(), file.clone());
                }
            }
        }
    }
    cited
}

#[test]
fn every_requirement_of_what_is_built_is_cited_or_excused() {
    let catalogue = fs::read_to_string(root().join("tests/spec/requirements.json")).unwrap();
    let catalogue: Vec<serde_json::Value> = serde_json::from_str(&catalogue).unwrap();
    let known: BTreeSet<&str> = catalogue.iter().map(|row| row["id"].as_str().unwrap()).collect();
    let is_built = |row: &&serde_json::Value| BUILT.contains(&row["feature"].as_str().unwrap());
    let built: BTreeSet<&str> = catalogue.iter().filter(is_built).map(|row| row["id"].as_str().unwrap()).collect();
    assert!(built.len() > 350, "the catalogue is not what it was");

    let cited = citations();
    let unknown: Vec<_> = cited.iter().filter(|(id, _)| !known.contains(id.as_str())).collect();
    assert!(unknown.is_empty(), "cited, but in no catalogue: {unknown:?}");

    let excuses = fs::read_to_string(root().join("tests/spec/uncited.md")).unwrap();
    let excused: BTreeSet<&str> =
        excuses.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(": ")).map(|(id, _)| id).collect();
    let silent: Vec<_> = built.iter().filter(|id| !cited.contains_key(**id) && !excused.contains(**id)).collect();
    assert!(silent.is_empty(), "neither cited by a test nor excused in tests/spec/uncited.md: {silent:?}");
    let needless: Vec<_> = excused.iter().filter(|id| cited.contains_key(**id) || !built.contains(**id)).collect();
    assert!(needless.is_empty(), "excused for nothing in tests/spec/uncited.md: {needless:?}");
}
