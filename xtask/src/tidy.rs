//! Rules of the tree that no compiler checks: floors, file sizes, module docs, what may lie in the root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::run::root;

/// Which workspace crates each crate may use (folder names); the compiler enforces the rest.
const FLOORS: [(&str, &[&str]); 11] = [
    ("types", &[]),
    ("text", &[]),
    ("store", &["types", "text"]),
    ("models", &["types", "text"]),
    ("parse", &["types", "text"]),
    ("engine", &["types", "text"]),
    ("control", &["types"]),
    ("server", &["engine", "control", "types"]),
    ("testkit", &["types", "text", "store"]),
    ("cli", &["types", "text", "store", "models", "parse", "engine", "control", "server"]),
    ("xtask", &["models"]),
];

/// Outside crates that only some floors may name.
const RESERVED: [(&str, &[&str]); 7] = [
    ("axum", &["server", "cli"]),
    ("reqwest", &["models", "cli"]),
    ("rusqlite", &["store"]),
    ("tantivy", &["store"]),
    ("tokio", &["engine", "models", "server", "cli", "testkit"]),
    ("clap", &["cli"]),
    ("anyhow", &["cli", "xtask"]),
];

/// Crates that must not enter the tree at all.
const BANNED: [&str; 3] = ["openssl-sys", "native-tls", "aws-lc-sys"];

/// The only Markdown files of the root.
const ROOT_PAGES: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/// Most lines of a source file, its tests apart.
const MOST_LINES: usize = 600;

/// Words that mark unfinished work. Split so that this file does not find itself.
const UNFINISHED: [&str; 5] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("todo", "!("), concat!("#[ig", "nore")];

/// Checks everything and reports all faults together.
pub fn run() -> Result<()> {
    let root = root();
    let mut faults = Vec::new();
    floors(&root, &mut faults)?;
    lock(&root, &mut faults)?;
    root_pages(&root, &mut faults)?;
    for file in tracked(&root)? {
        source(&root, &file, &mut faults)?;
    }
    if !faults.is_empty() {
        bail!("the tree is not tidy\n  {}", faults.join("\n  "));
    }
    println!("tidy");
    Ok(())
}

fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let listed = crate::run::output(root, "git", &["ls-files", "--cached", "--others", "--exclude-standard"])?;
    Ok(listed.lines().map(PathBuf::from).filter(|path| root.join(path).is_file()).collect())
}

fn manifest(root: &Path, folder: &str) -> Result<toml::Table> {
    let path = if folder == "xtask" { root.join("xtask") } else { root.join("crates").join(folder) }.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{} is not valid TOML", path.display()))
}

fn floors(root: &Path, faults: &mut Vec<String>) -> Result<()> {
    let allowed: BTreeMap<_, _> = FLOORS.into_iter().collect();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let folder = entry?.file_name().to_string_lossy().into_owned();
        if !allowed.contains_key(folder.as_str()) {
            faults.push(format!("crates/{folder} has no floor"));
        }
    }
    for (folder, may_use) in FLOORS {
        let manifest = manifest(root, folder)?;
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
        for name in dependencies.into_iter().flat_map(toml::Table::keys) {
            let ours = name.strip_prefix("lorekeep-");
            if ours.is_some_and(|crate_name| !may_use.contains(&crate_name)) {
                faults.push(format!("{folder} must not use {name}: it lies on the same floor or above"));
            }
            let reserved = RESERVED.iter().find(|(reserved, _)| reserved == name);
            if reserved.is_some_and(|(_, users)| !users.contains(&folder)) {
                faults.push(format!("{folder} must not use {name}: it belongs to another floor"));
            }
        }
    }
    Ok(())
}

fn lock(root: &Path, faults: &mut Vec<String>) -> Result<()> {
    let text = std::fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    for name in BANNED {
        if text.contains(&format!("name = \"{name}\"")) {
            faults.push(format!("Cargo.lock holds {name}, which deny.toml bans"));
        }
    }
    if text.contains("source = \"git+") {
        faults.push("Cargo.lock holds a git source".to_owned());
    }
    Ok(())
}

fn root_pages(root: &Path, faults: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(root)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") && !ROOT_PAGES.contains(&name.as_str()) {
            faults.push(format!("{name} does not belong into the root: put it into docs/"));
        }
    }
    Ok(())
}

fn source(root: &Path, file: &Path, faults: &mut Vec<String>) -> Result<()> {
    let shown = file.display().to_string();
    let generated = shown.contains("/dist/") || shown.contains("/fixtures/");
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if generated || !matches!(extension, "rs" | "ts" | "tsx" | "css" | "mjs" | "sql") {
        return Ok(());
    }
    let text = std::fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {shown}"))?;
    let is_test = shown.contains("tests/");
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
    if lines > MOST_LINES && !is_test {
        faults.push(format!("{shown} has {lines} lines; {MOST_LINES} is the limit: split it"));
    }
    if extension == "rs" && !text.starts_with("//!") {
        faults.push(format!("{shown} does not open with `//!`: say what it owns"));
    }
    if shown != "xtask/src/tidy.rs" {
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = UNFINISHED.iter().find(|word| line.contains(*word)) {
                faults.push(format!("{shown}:{} holds `{word}`", number + 1));
            }
        }
    }
    Ok(())
}
