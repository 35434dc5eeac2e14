//! Files made from code and committed: the OpenAPI document and the configuration reference.

use anyhow::{Context, Result, bail};

use crate::run;

/// `(file, arguments of lorekeep that print it)`.
const GENERATED: [(&str, &[&str]); 2] =
    [("docs/reference/openapi.json", &["openapi"]), ("docs/reference/configuration.md", &["config", "reference"])];

/// Writes every generated file, or says which differ.
pub fn run(check: bool) -> Result<()> {
    let root = run::root();
    // With the features that the tests are built with, or most would be built again: of the whole workspace and, as examples
    // bring them in, of what only tests depend on.
    run::run(&root, &run::cargo(), &["build", "--workspace", "--bins", "--examples", "--quiet"])?;
    let binary = run::target().join("debug/lorekeep");
    let mut stale = Vec::new();
    for (file, arguments) in GENERATED {
        let fresh = run::output(&root, &binary.display().to_string(), arguments)?;
        let path = root.join(file);
        if std::fs::read_to_string(&path).is_ok_and(|committed| committed == fresh) {
            continue;
        }
        if check {
            stale.push(file);
        } else {
            std::fs::write(&path, fresh).with_context(|| format!("cannot write {file}"))?;
            println!("wrote {file}");
        }
    }
    if !stale.is_empty() {
        bail!("not what the code generates: {} (run `cargo xtask codegen`)", stale.join(", "));
    }
    Ok(())
}
