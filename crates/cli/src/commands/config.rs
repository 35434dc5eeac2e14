//! `lorekeep config`: show where every value comes from, check, change.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;
use lorekeep_types::{Error, Secret};
use serde_json::json;
use toml_edit::DocumentMut;

use crate::app::{App, sources};
use crate::args::Global;
use crate::config::aliases::{ALIASES, VENDORS};
use crate::config::keys::{self, KEYS, Key, Kind};
use crate::config::{Layers, user_config_path};
use crate::output::{self, Exit};

/// Subcommands of `config`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Show every value
    Show {
        /// And where it comes from
        #[arg(long)]
        origin: bool,
    },
    /// Print one value
    Get {
        /// Its key, such as server.bind
        key: String,
    },
    /// Set a value in your own configuration file
    Set {
        /// Its key
        key: String,
        /// The value
        value: String,
    },
    /// Print the path of your own configuration file
    Path,
    /// Write a configuration file that names every key
    Init,
    /// Check the configuration without starting anything
    Check,
    /// Write the built-in prompts into a folder, to change them and name the folder as prompts.dir
    Prompts {
        /// The folder; files that are there already are left alone
        folder: PathBuf,
    },
    /// Print the reference of every key as Markdown
    Reference,
}

/// Runs the command.
pub fn run(global: &Global, args: &Config) -> Result<Exit> {
    match args {
        Config::Show { origin } => show(global, *origin),
        Config::Get { key } => get(global, key),
        Config::Set { key, value } => set(global, key, value),
        Config::Path => {
            output::line(&user_file()?.display().to_string());
            Ok(Exit::Ok)
        }
        Config::Init => init(),
        Config::Prompts { folder } => {
            let written = crate::prompts::write(folder)?;
            output::line(&format!("Wrote {written} prompts to {}.", folder.display()));
            Ok(Exit::Ok)
        }
        Config::Check => {
            let app = App::new(global.clone(), vec![])?;
            app.config.prompts_dir.as_deref().map(crate::prompts::read).transpose()?;
            output::line("The configuration is valid.");
            Ok(Exit::Ok)
        }
        Config::Reference => {
            output::write_out(reference().as_bytes());
            Ok(Exit::Ok)
        }
    }
}

fn show(global: &Global, origin: bool) -> Result<Exit> {
    let layers = Layers::read(&sources(global, vec![]))?;
    // In the order of the table; what the user named stands where its pattern does.
    let mut entries: Vec<_> =
        layers.all().map(|(path, key, value, from)| (key, path, shown(key, value), from)).collect();
    entries.sort_by_key(|(key, path, ..)| (KEYS.iter().position(|known| known.path == key.path), *path));
    if global.json {
        let object: serde_json::Map<_, _> = entries
            .into_iter()
            .map(|(_, path, value, from)| (path.to_owned(), json!({ "value": value, "origin": from.to_string() })))
            .collect();
        output::json(&object)?;
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> =
        std::iter::once(vec!["KEY".into(), "VALUE".into(), if origin { "ORIGIN".into() } else { String::new() }])
            .chain(entries.into_iter().map(|(_, path, value, from)| {
                let from = if origin { from.to_string() } else { String::new() };
                vec![path.to_owned(), value, from]
            }))
            .collect();
    output::table(&rows);
    Ok(Exit::Ok)
}

/// A value as it may be shown: a credential's end only.
fn shown(key: &Key, value: &str) -> String {
    if key.kind == Kind::Secret && !value.is_empty() { Secret::new(value).masked() } else { value.to_owned() }
}

fn known(key: &str) -> Result<&'static Key> {
    keys::find(key).ok_or_else(|| {
        let error = Error::not_found("configuration key", key);
        match keys::nearest(key) {
            Some(near) => error.hint(format!("did you mean `{near}`?")).into(),
            None => error.hint("lorekeep config show lists them").into(),
        }
    })
}

fn get(global: &Global, key: &str) -> Result<Exit> {
    let known = known(key)?;
    let layers = Layers::read(&sources(global, vec![]))?;
    output::line(&layers.get(key).map_or_else(String::new, |(value, _)| shown(known, value)));
    Ok(Exit::Ok)
}

fn user_file() -> Result<PathBuf> {
    user_config_path().context("there is no home folder to keep a configuration in")
}

fn set(global: &Global, key: &str, value: &str) -> Result<Exit> {
    let path = write(global, key, value)?;
    output::line(&format!("{key} = {}   ({})", shown(known(key)?, value), path.display()));
    Ok(Exit::Ok)
}

/// Sets a key in the user's file, or in the one named by `--config`; returns the file. Nothing changes when the
/// outcome would not be valid.
pub fn write(global: &Global, key: &str, value: &str) -> Result<PathBuf> {
    let known = known(key)?;
    let path = global.config.clone().map_or_else(user_file, Ok)?;
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let mut file: DocumentMut = text.parse().with_context(|| format!("{} is not valid TOML", path.display()))?;
    let entry = match known.kind {
        Kind::Number(..) => value.parse::<i64>().map_or_else(|_| toml_edit::value(value), toml_edit::value),
        Kind::Decimal => value.parse::<f64>().map_or_else(|_| toml_edit::value(value), toml_edit::value),
        _ => toml_edit::value(value),
    };
    let (tables, name) = place(known, key);
    let mut table = file.as_table_mut();
    for part in tables {
        let inner = table.entry(part).or_insert_with(|| {
            let mut fresh = toml_edit::Table::new();
            fresh.set_implicit(true);
            toml_edit::Item::Table(fresh)
        });
        let inner = inner.as_table_mut().with_context(|| format!("`{part}` in {} is not a table", path.display()));
        table = inner?;
    }
    if value.is_empty() && known.is_pattern() {
        table.remove(name);
    } else {
        table.insert(name, entry);
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    // Validated before it replaces what was there: a bad value must not keep the program from starting.
    let candidate = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(&path))?;
    std::fs::write(candidate.path(), file.to_string())?;
    let trial = Global { config: Some(candidate.path().to_owned()), ..global.clone() };
    App::new(trial, vec![])?;
    candidate.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The tables that a key stands in, and its name there. A name of the user's is one part, dots and all.
fn place<'a>(known: &Key, key: &'a str) -> (Vec<&'a str>, &'a str) {
    let (section, rest) = key.split_once('.').unwrap_or(("", key));
    match known.name_in(key).filter(|_| !known.path.ends_with('*')) {
        Some(named) => (vec![section, named], key.rsplit('.').next().unwrap_or(rest)),
        None => (vec![section], rest),
    }
}

fn init() -> Result<Exit> {
    let path = user_file()?;
    if path.exists() {
        return Err(Error::invalid(format!("{} exists", path.display()))
            .hint("change it with lorekeep config set")
            .into());
    }
    let mut text = String::from("# Configuration of Lorekeep; every key is optional and shown with its default.\n");
    let mut table = "";
    for key in KEYS.iter().filter(|key| !key.is_pattern()) {
        let (section, name) = key.path.split_once('.').unwrap_or(("", key.path));
        if section != table {
            table = section;
            text.push_str(&format!("\n[{section}]\n"));
        }
        let value = match key.kind {
            Kind::Number(..) if !key.default.is_empty() => key.default.to_owned(),
            _ => format!("\"{}\"", key.default),
        };
        text.push_str(&format!("# {} ({})\n#{name} = {value}\n", key.help, key.kind.describe()));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    output::line(&path.display().to_string());
    Ok(Exit::Ok)
}

/// The reference page `docs/reference/configuration.md`.
pub fn reference() -> String {
    let mut page = String::from(
        "# Configuration\n\nLater wins: defaults, `/etc/lorekeep/config.toml`, the user's `config.toml` \
         (`lorekeep config path`), `./lorekeep.toml`, `./.env`, environment, flags. Unknown keys are refused.\n\n\
         | key | environment | default | value | what it does |\n|---|---|---|---|---|\n",
    );
    for key in KEYS {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        page.push_str(&format!(
            "| `{}` | `{}` | {default} | {} | {} |\n",
            key.path,
            key.variable(),
            key.kind.describe(),
            key.help
        ));
    }
    page.push_str(
        "\n## Names of other programs\n\nVariables of LightRAG and its relatives are read from the environment too, where nothing \
         above sets the key. Of several for one key the first counts, and a warning says so where they differ; `lorekeep config \
         show --origin` names the one that counts.\n\n| variable | key | counts |\n|---|---|---|\n",
    );
    for alias in ALIASES {
        page.push_str(&format!("| `{}` | `{}` | {} |\n", alias.variable, alias.path, alias.condition()));
    }
    page.push_str(
        "\nVendors' own variables stand for a setting that a provider of the kind lacks, be it `llm` or one of `providers`.\n\n\
         | variable | setting | kind |\n|---|---|---|\n",
    );
    for (kind, setting, variable) in VENDORS {
        page.push_str(&format!("| `{variable}` | `{setting}` | `{}` |\n", kind.name()));
    }
    page
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    #[test]
    fn the_committed_reference_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
        let committed = std::fs::read_to_string(path).unwrap();
        assert_eq!(committed, super::reference(), "run `cargo xtask codegen`");
    }
}
