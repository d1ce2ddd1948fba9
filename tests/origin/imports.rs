//! The origin's folders import one way. This reads every `use` and `crate::` path and holds it against the order.

use std::fs;
use std::path::{Path, PathBuf};

/// Lower layers first; a folder may name folders of lower layers, its own, and the leaves.
const LAYERS: &[&[&str]] = &[
    &["db"],
    &["web"],
    &["audit"],
    &["vault"],
    &["acquirers", "outbox"],
    &["identity"],
    &["cards"],
    &["payments"],
    &["pages", "ceremonies", "ops"],
    &["app"],
    &["cli"],
];
const LEAVES: &[&str] = &["batch", "calendar", "clock", "entropy", "fault", "hex", "money"];

#[test]
fn folders_import_downwards_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../origin/src");
    let mut seen = 0;
    for (file, text) in sources(&root) {
        let relative = file.strip_prefix(&root).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let folder = first.trim_end_matches(".rs");
        if matches!(folder, "lib" | "main") {
            continue;
        }
        for named in named_folders(&text) {
            seen += 1;
            assert!(may(folder, &named), "{}: {folder} must not import {named}", relative.display());
        }
    }
    assert!(seen > 100, "only {seen} imports were found: the reader is broken");
}

#[test]
fn the_reader_sees_what_it_should() {
    let text = "use crate::vault::{Pan, Csc};\nlet x = crate::db::Db::open();\n// crate::app in a comment\n#[cfg(test)]\nmod tests { use crate::cli; }";
    assert_eq!(named_folders(text), ["vault", "db"]);
    assert!(may("payments", "vault") && may("payments", "money") && may("payments", "payments"));
    assert!(!may("vault", "payments") && !may("acquirers", "outbox") && !may("money", "db"));
}

fn may(folder: &str, named: &str) -> bool {
    let layer = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    if folder == named || LEAVES.contains(&named) {
        return true;
    }
    match (layer(folder), layer(named)) {
        (Some(own), Some(other)) => other < own,
        _ => false,
    }
}

/// The folders that a source names by `crate::`, its tests and comments aside.
fn named_folders(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
        .filter(|name: &String| name.chars().next().is_some_and(|c| c.is_ascii_lowercase()))
        .collect()
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}
