//! `lorekeep doctor`: checks everything a user needs and says what to do about what is wrong.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use lorekeep_control::diagnostics::{self, Finding, Severity};
use lorekeep_models::gateway::settings::ProviderSettings;
use lorekeep_types::{ErrorCode, IntegrityReport};
use serde_json::{Value, json};

use crate::app::App;
use crate::output::{self, Exit, Style, counted, styled};
use crate::wire;

/// Arguments of `doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// Only ask the running server whether it is ready (for container health checks)
    #[arg(long)]
    pub quick: bool,
}

/// Runs the command.
pub async fn run(app: &App, args: &Doctor) -> Result<Exit> {
    let findings = if args.quick { vec![ready(app).await] } else { everything(app).await };
    let worst = diagnostics::worst(&findings);
    if app.global.json {
        output::json(&json!({ "verdict": worst, "findings": findings }))?;
    } else {
        findings.iter().for_each(show);
        output::line(&verdict(&findings));
    }
    Ok(if worst == Severity::Failure { Exit::Failed } else { Exit::Ok })
}

async fn everything(app: &App) -> Vec<Finding> {
    let mut findings = vec![folder(app), index(app).await];
    findings.push(port(app));
    findings.extend(models(app).await);
    findings
}

fn folder(app: &App) -> Finding {
    let path = &app.config.data_dir;
    let shown = path.display().to_string();
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
    if let Err(error) = tempfile::tempfile_in(existing) {
        return Finding::failure(
            "data folder",
            format!("{shown}: {error}"),
            format!("make it writable for this user: chown -R \"$(id -u):$(id -g)\" {shown}"),
        );
    }
    match wire::free_space(existing) {
        Some(free) => diagnostics::space(&shown, free),
        None => Finding::ok("data folder", format!("{shown}  writable")),
    }
}

async fn index(app: &App) -> Finding {
    if app.global.server.is_none() && !app.config.data_dir.exists() {
        return Finding::ok("index", "nothing indexed yet");
    }
    let client = match app.client().await {
        Ok(client) => client,
        Err(error) => return Finding::failure("index", format!("{error:#}"), remedy(&error)),
    };
    let report: Result<Value> = client.get("/v1/check").await;
    client.close().await;
    match report {
        Ok(report) => diagnostics::integrity(&integrity(&report)),
        Err(error) => Finding::failure("index", format!("{error:#}"), remedy(&error)),
    }
}

fn integrity(report: &Value) -> IntegrityReport {
    let number = |name: &str| report[name].as_u64().unwrap_or_default();
    let problems = report["problems"].as_array().into_iter().flatten();
    IntegrityReport {
        truth_seq: number("truth_seq"),
        view_seq: number("view_seq"),
        chunks: number("chunks"),
        problems: problems.filter_map(|problem| problem.as_str().map(str::to_owned)).collect(),
    }
}

fn remedy(error: &anyhow::Error) -> String {
    let typed = error.downcast_ref::<lorekeep_types::Error>();
    match typed {
        Some(error) if error.code() == ErrorCode::NotFound => "create it: lorekeep workspace create NAME".to_owned(),
        Some(error) => error.remedy().unwrap_or("lorekeep reindex").to_owned(),
        None => "start the server: lorekeep serve".to_owned(),
    }
}

/// Whether the providers of the configured models can be reached. Only a connection is made: no request, no tokens.
async fn models(app: &App) -> Vec<Finding> {
    let settings = &app.config.models;
    if settings.roles.is_empty() {
        return vec![
            Finding::ok("model", "none: answers quote your documents word for word"),
            Finding::ok("offline", "no outbound connection is configured"),
        ];
    }
    let used = |name: &str| settings.roles.values().flatten().any(|model| model.provider == name);
    let mut findings = Vec::new();
    for provider in settings.providers.iter().filter(|provider| used(&provider.name)) {
        findings.push(reachable(provider).await);
    }
    findings
}

async fn reachable(provider: &ProviderSettings) -> Finding {
    let name = format!("{} ({})", provider.name, provider.kind.name());
    let address = match provider.address() {
        Ok(address) => address,
        Err(error) => {
            return Finding::failure("model", error.message(), error.remedy().unwrap_or("lorekeep model set"));
        }
    };
    let url = reqwest::Url::parse(&address).ok();
    let place = url.as_ref().and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?)));
    let Some((host, port)) = place else {
        return Finding::failure(
            "model",
            format!("{name}: `{address}` is no address"),
            "lorekeep model set ADDRESS --model NAME",
        );
    };
    if provider.kind.is_hosted() && provider.base_url.is_none() && provider.api_key.is_none() {
        let remedy = format!("set `providers.{}.api_key`, or the vendor's own variable", provider.name);
        return Finding::failure("model", format!("{name}: no API key"), remedy);
    }
    let connected = tokio::time::timeout(Duration::from_secs(5), tokio::net::TcpStream::connect((host.as_str(), port)));
    let reason = match connected.await {
        Ok(Ok(_)) => return Finding::ok("model", format!("{name} at {address} can be reached")),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no connection within 5 s".to_owned(),
    };
    let local = matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
    let remedy = if local {
        "start it; inside a container use http://host.docker.internal"
    } else {
        "check address, proxy and firewall"
    };
    Finding::warning("model", format!("{name} at {address}: {reason}"), remedy)
}

fn port(app: &App) -> Finding {
    let bind = &app.config.bind;
    match TcpListener::bind(bind) {
        Ok(_) => Finding::ok("address", format!("{bind} is free")),
        Err(_) if wire::holder(&app.config.data_dir).is_some_and(|holder| holder.url.is_some()) => {
            Finding::ok("address", format!("{bind} is used by the server of this data folder"))
        }
        Err(error) => {
            Finding::warning("address", format!("{bind}: {error}"), "choose another: lorekeep serve --port PORT")
        }
    }
}

async fn ready(app: &App) -> Finding {
    let url = app.global.server.clone().unwrap_or_else(|| format!("http://{}", app.config.bind));
    let asked = async {
        let client = crate::client::Client::remote(&url, app.workspace.clone())?;
        client.get::<Value>("/readyz").await
    };
    match asked.await {
        Ok(_) => Finding::ok("server", format!("{url} is ready")),
        Err(error) => Finding::failure("server", format!("{error:#}"), "start it: lorekeep serve"),
    }
}

fn show(finding: &Finding) {
    let sign = match finding.severity {
        Severity::Ok => styled(Style::Good, "✓"),
        Severity::Warning => styled(Style::Warn, "!"),
        Severity::Failure => styled(Style::Bad, "✗"),
    };
    output::line(&format!("{sign} {:<13} {}", finding.name, finding.detail));
    if let Some(remedy) = &finding.remedy {
        output::line(&format!("  {:<13} {remedy}", ""));
    }
}

fn verdict(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    match (count(Severity::Failure), count(Severity::Warning)) {
        (0, 0) => "All is well.".to_owned(),
        (0, warnings) => format!("{}. Everything needed for quoted answers works.", counted(warnings, "warning")),
        (failures, _) => format!("{}.", counted(failures, "failure")),
    }
}
