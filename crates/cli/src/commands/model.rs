//! `lorekeep model`: which models there are, whether they answer, and which does what.

use anyhow::Result;
use axum::http::Method;
use clap::{Args, Subcommand};
use lorekeep_models::gateway::settings::ProviderKind;
use lorekeep_types::{Error, ModelId, Role};
use serde_json::{Value, json};

use crate::app::App;
use crate::client::Client;
use crate::commands::{config, model_serve};
use crate::output::{self, Exit, Style, styled};

/// Subcommands of `model`.
#[derive(Debug, Subcommand)]
pub enum Model {
    /// List providers, roles and the state of models
    List,
    /// Try a model: first token, streaming and tokens of an answer, length of a vector, order of two texts; models listed
    Test(Test),
    /// Choose the model that writes, or the model of one role
    Set(Set),
    /// Show and set prices
    Price(Price),
    /// Serve a model of a folder to other programs (in builds with `local-models`)
    Serve(model_serve::ModelServe),
}

/// Arguments of `model test`.
#[derive(Args, Debug)]
pub struct Test {
    /// PROVIDER/MODEL; without it, the model of the role, or the one that writes answers
    pub model: Option<String>,
    /// What to try it for: answer, embed, rerank …; without it, a role that it fills
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Every model that fills a role, each once for what it is there for
    #[arg(long, conflicts_with_all = ["model", "role"])]
    pub all: bool,
}

/// Arguments of `model set`.
#[derive(Args, Debug)]
pub struct Set {
    /// A provider's address or kind (openai, ollama, http://gpu1:8000/v1), or PROVIDER/MODEL with --role; `none` goes
    /// back to quoted answers
    pub provider: String,
    /// The model's name at the provider
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Only for this role: extract, keywords, summarize, answer, judge, translate, embed, rerank, vision, transcribe
    /// or speak
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// With `local`: the model's folder, or its .gguf file
    #[arg(long, value_name = "PATH", conflicts_with = "role")]
    pub path: Option<String>,
    /// In the data folder, over the configuration, instead of in your configuration file; `none` takes it back
    #[arg(long, requires = "role")]
    pub now: bool,
}

/// Arguments of `model price`.
#[derive(Args, Debug)]
pub struct Price {
    /// The model, as PROVIDER/MODEL or by its name alone
    pub model: String,
    /// USD per million tokens read
    #[arg(long, value_name = "USD")]
    pub input: f64,
    /// USD per million tokens written
    #[arg(long, value_name = "USD")]
    pub output: f64,
}

/// Runs the command.
pub async fn run(app: &App, args: &Model) -> Result<Exit> {
    match args {
        Model::List => list(app).await,
        Model::Test(args) => test(app, args).await,
        Model::Set(args) => set(app, args).await,
        Model::Price(args) => price(app, args),
        Model::Serve(args) => model_serve::run(app, args).await,
    }
}

async fn list(app: &App) -> Result<Exit> {
    let client = app.client().await?;
    let answer: Result<Value> = client.get("/v1/gateway").await;
    client.close().await;
    let answer = answer?;
    if app.global.json {
        output::json(&answer)?;
        return Ok(Exit::Ok);
    }
    show(&answer);
    Ok(Exit::Ok)
}

fn show(answer: &Value) {
    let rows = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let words = |value: &Value| {
        let words: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        words.join(", ")
    };
    let providers = rows("providers");
    if providers.is_empty() {
        output::line("No model is configured: answers quote your documents, word for word.");
        output::note(
            "Choose one with: lorekeep model set openai --model NAME   or   lorekeep model set http://127.0.0.1:11434 --model NAME",
        );
        return;
    }
    let mut table = vec![["PROVIDER", "KIND", "ADDRESS", "KEY", "CAN"].map(str::to_owned).to_vec()];
    for one in &providers {
        let can =
            if one["fault"].is_string() { format!("! {}", text(&one["fault"])) } else { words(&one["capabilities"]) };
        table.push(vec![text(&one["name"]), text(&one["kind"]), text(&one["base_url"]), text(&one["key"]), can]);
    }
    output::table(&table);
    let mut table = vec![["ROLE", "MODELS"].map(str::to_owned).to_vec()];
    for (role, models) in answer["roles"].as_object().into_iter().flatten() {
        let set = rows("set").iter().any(|one| one == role);
        table.push(vec![
            role.clone(),
            format!("{}{}", words(models), if set { "   (set here, over the configuration)" } else { "" }),
        ]);
    }
    output::line("");
    output::table(&table);
    for one in rows("models") {
        let warn = |what: &str| output::note(&styled(Style::Warn, &format!("! {}: {what}", text(&one["model"]))));
        if one["circuit"] != "closed" {
            warn(&format!("circuit {}", text(&one["circuit"])));
        }
        if let Some(reason) = one["refused"].as_str() {
            warn(&format!(
                "API key refused ({reason}): not called for now; correct the key, or try it: lorekeep model test"
            ));
        }
    }
}

async fn test(app: &App, args: &Test) -> Result<Exit> {
    let client = app.client().await?;
    let outcome = if args.all {
        trials_of_all(&client).await
    } else {
        let body = json!({ "model": args.model, "role": args.role });
        client.call(Method::POST, "/v1/gateway/test", &body).await.map(|trial| vec![trial])
    };
    client.close().await;
    let trials: Vec<Value> = outcome?;
    let exit = if trials.iter().all(|trial| trial["ok"] == true) { Exit::Ok } else { Exit::Unreachable };
    if app.global.json {
        trials.iter().try_for_each(output::json)?;
    } else if trials.is_empty() {
        output::line("No role has a model: the built-in one makes vectors, and answers quote your documents.");
    } else {
        trials.iter().for_each(show_trial);
    }
    Ok(exit)
}

/// Tries every model that fills a role; those of roles that ask for words are tried once.
async fn trials_of_all(client: &Client) -> Result<Vec<Value>> {
    let overview: Value = client.get("/v1/gateway").await?;
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for (role, models) in overview["roles"].as_object().into_iter().flatten() {
        let role = if Role::parse(role).is_ok_and(|role| Role::CHAT.contains(&role)) { "answer" } else { role };
        for model in models.as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !wanted.contains(&(role, model)) {
                wanted.push((role, model));
            }
        }
    }
    let mut trials = Vec::new();
    for (role, model) in wanted {
        trials.push(client.call(Method::POST, "/v1/gateway/test", &json!({ "model": model, "role": role })).await?);
    }
    Ok(trials)
}

fn show_trial(trial: &Value) {
    let name = trial["model"].as_str().unwrap_or_default();
    if trial["ok"] != true {
        let reason = trial["error"].as_str().unwrap_or_default();
        output::line(&format!("{} {name}   {reason}", styled(Style::Bad, "✗")));
        return;
    }
    let yes = |key: &str| if trial[key] == true { "yes" } else { "no" };
    let ms = |key: &str| trial[key].as_f64().map_or_else(|| "–".to_owned(), |ms| format!("{ms:.0} ms"));
    let showed = match trial["role"].as_str() {
        Some("embed") => format!("vectors of {} dimensions   {}", trial["dimensions"], ms("total_ms")),
        Some("rerank") => {
            format!("orders texts   {}   {}", trial["answer"].as_str().unwrap_or_default(), ms("total_ms"))
        }
        Some("transcribe") => format!("writes down speech   {}", ms("total_ms")),
        Some("speak") => format!("speaks   {}   {}", trial["answer"].as_str().unwrap_or_default(), ms("total_ms")),
        _ => format!(
            "first token {}   whole answer {}   streaming {}{}",
            ms("first_token_ms"),
            ms("total_ms"),
            yes("streams"),
            if trial["tools"].is_null() { String::new() } else { format!("   tools {}", yes("tools")) },
        ),
    };
    output::line(&format!(
        "{} {name}   {showed}   usage reported {}   {} tokens{}",
        styled(Style::Good, "✓"),
        yes("reports_usage"),
        trial["usage"]["total_tokens"],
        super::ask::cost_of(trial["usage"]["cost_nano_usd"].as_u64(), "   "),
    ));
    let listed: Vec<&str> = trial["listed"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !listed.is_empty() {
        let own = ModelId::parse(name).map(|model| model.model).unwrap_or_default();
        let known = if listed.contains(&own.as_str()) { "this one among them" } else { "this one not among them" };
        output::line(&format!("  {} models listed, {known}", listed.len()));
    }
}

async fn set(app: &App, args: &Set) -> Result<Exit> {
    if let Some(role) = &args.role {
        return set_role(app, args, role).await;
    }
    if args.provider == "none" {
        config::write(&app.global, "llm.model", "")?;
        output::line("Answers now quote your documents, word for word.");
        return Ok(Exit::Ok);
    }
    let Some(model) = &args.model else {
        return Err(Error::invalid("the model has no name").hint("add --model NAME").into());
    };
    let is_address = args.provider.contains("://");
    let kind = if is_address { ProviderKind::of_address(&args.provider) } else { ProviderKind::parse(&args.provider)? };
    if !kind.capabilities().chat {
        let writing = ProviderKind::ALL.into_iter().filter(|kind| kind.capabilities().chat).map(ProviderKind::name);
        let message = format!("a provider of the kind `{}` writes no answers", kind.name());
        let writing: Vec<_> = writing.collect();
        return Err(Error::invalid(message).hint(format!("kinds that do are {}", writing.join(", "))).into());
    }
    match &args.path {
        Some(path) => drop(config::write(&app.global, "llm.path", path)?),
        None if kind == ProviderKind::Local && !app.has("llm.path")? => {
            let error = Error::invalid("a model in this process needs its files");
            return Err(error.hint("add --path FOLDER, the model's folder or its .gguf file").into());
        }
        None => {}
    }
    config::write(&app.global, "llm.provider", kind.name())?;
    config::write(&app.global, "llm.base_url", if is_address { &args.provider } else { "" })?;
    config::write(&app.global, "llm.model", model)?;
    output::line(&format!("Answers are now written by `{model}` ({}).", kind.name()));
    if kind.is_hosted() {
        app.say("Questions and the passages found for them are sent there. Its key is read from `llm.api_key` or the vendor's own variable.");
    }
    app.say("A running server takes it over within seconds. Try it: lorekeep model test");
    Ok(Exit::Ok)
}

async fn set_role(app: &App, args: &Set, role: &str) -> Result<Exit> {
    let role = Role::parse(role)?;
    let name = match &args.model {
        Some(model) => format!("{}/{model}", args.provider),
        None => args.provider.clone(),
    };
    let models: Vec<&str> = if name == "none" { Vec::new() } else { name.split(',').map(str::trim).collect() };
    if args.now {
        let client = app.client().await?;
        let path = format!("/v1/gateway/roles/{}", role.name());
        let outcome: Result<Value> = client.call(Method::PUT, &path, &json!({ "models": models })).await;
        client.close().await;
        outcome?;
    } else {
        config::write(&app.global, &format!("roles.{}", role.name()), &models.join(", "))?;
        if is_set(app, role).await? {
            app.say("It was set in the data folder, which still wins: `none --role ROLE --now` takes that back.");
        }
    }
    let done = if models.is_empty() {
        "has no model of its own any more".to_owned()
    } else {
        format!("is now {}", models.join(", then "))
    };
    output::line(&format!("The model for `{}` {done}.", role.name()));
    if role == Role::Embed {
        app.say("A workspace that holds vectors of another model is refused until they are made anew: lorekeep reindex --vectors");
    }
    Ok(Exit::Ok)
}

/// Whether the data folder has a setting of its own for a role.
async fn is_set(app: &App, role: Role) -> Result<bool> {
    let client = app.client().await?;
    let answer: Result<Value> = client.get("/v1/gateway").await;
    client.close().await;
    Ok(answer?["set"].as_array().is_some_and(|set| set.iter().any(|one| one == role.name())))
}

fn price(app: &App, args: &Price) -> Result<Exit> {
    for (key, value) in [("input_per_mtok", args.input), ("output_per_mtok", args.output)] {
        config::write(&app.global, &format!("prices.{}.{key}", args.model), &value.to_string())?;
    }
    output::line(&format!("{}: {} USD in, {} USD out, per million tokens", args.model, args.input, args.output));
    Ok(Exit::Ok)
}
