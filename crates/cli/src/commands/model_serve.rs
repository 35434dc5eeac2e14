//! `lorekeep model serve`: a model of this process as a service of its own. It opens no data folder.

use std::path::PathBuf;

use clap::Args;

#[cfg(feature = "local-models")]
pub use built::run;
#[cfg(not(feature = "local-models"))]
pub use missing::run;

/// Arguments of `model serve`.
#[derive(Args, Clone, Debug)]
pub struct ModelServe {
    /// The model that writes: a folder with safetensors, or a .gguf file
    #[arg(long, value_name = "PATH", required_unless_present = "embedding")]
    pub model: Option<PathBuf>,
    /// The model that embeds: a folder of the BERT family
    #[arg(long, value_name = "DIR")]
    pub embedding: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// Port to listen on
    #[arg(long, value_name = "PORT", default_value_t = 8001)]
    pub port: u16,
    /// Most tokens of a prompt and its answer together
    #[arg(long, value_name = "TOKENS", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub context: u32,
    /// Calls that may wait for a model; one more is answered 429
    #[arg(long, value_name = "CALLS", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub queue: u32,
}

#[cfg(not(feature = "local-models"))]
mod missing {
    use anyhow::Result;

    use super::ModelServe;
    use crate::app::App;
    use crate::output::Exit;

    /// Says how to get a build that can.
    pub async fn run(_app: &App, _args: &ModelServe) -> Result<Exit> {
        Err(lorekeep_models::no_local_models().into())
    }
}

#[cfg(feature = "local-models")]
mod built {
    use std::sync::Arc;
    use std::time::Duration;

    use anyhow::{Context, Result};
    use lorekeep_models::local::{LocalChat, LocalEmbed, LocalSettings, folder, memory};
    use lorekeep_server::{ModelServer, Readiness, ServerSettings, model_router, serve};
    use lorekeep_types::{Error, ErrorCode, ModelId, PromptModel, ResidentEmbedder};
    use tokio::net::TcpListener;

    use super::ModelServe;
    use crate::app::App;
    use crate::output::{Exit, Style, styled};
    use crate::ports::{SystemClock, UuidIds};
    use crate::wire;

    /// No answer takes longer.
    const LONGEST: Duration = Duration::from_secs(3_600);

    /// Runs the command.
    pub async fn run(app: &App, args: &ModelServe) -> Result<Exit> {
        wire::start_logging(&app.config, app.global.verbose)?;
        let chosen = LocalSettings { context: args.context as usize, places: args.queue as usize };
        let id = |path: &std::path::Path| ModelId::new("local", folder::name_of(path));
        let open_chat = |path: &std::path::PathBuf| LocalChat::open(id(path), path, chosen, LONGEST);
        let chat = args.model.as_ref().map(open_chat).transpose().map_err(Error::from)?;
        let open_embedder = |path: &std::path::PathBuf| LocalEmbed::open(id(path), path, chosen);
        let embedder = args.embedding.as_ref().map(open_embedder).transpose().map_err(Error::from)?;
        let bind = format!("{}:{}", args.host, args.port);
        let listener = TcpListener::bind(&bind).await.map_err(|error| {
            Error::new(ErrorCode::Configuration, format!("cannot listen on {bind}: {error}"))
                .hint("another server may run there; choose a port with --port")
        })?;
        let settings = ServerSettings { loopback: wire::is_loopback(&bind), ..ServerSettings::default() };
        if !settings.loopback {
            app.say(&styled(Style::Warn, "Whoever reaches this address may use the model: it asks for no key."));
        }
        let url = wire::url_of(&listener)?;
        let server = ModelServer {
            chat: chat.clone().map(|model| Arc::new(model) as Arc<dyn PromptModel>),
            embedder: embedder.clone().map(|model| Arc::new(model) as Arc<dyn ResidentEmbedder>),
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidIds),
            resident_bytes: memory::resident,
            settings: settings.clone(),
        };
        app.say(&format!("Loading  {url}   (/health tells when it is done)"));
        let serving = serve(listener, model_router(server), Readiness::default(), &settings, wire::stop_signal());
        let loading = async {
            loaded(chat.as_ref(), embedder.as_ref()).await?;
            app.say(&format!("{}  {url}   (Ctrl-C stops)", styled(Style::Good, "Ready")));
            std::future::pending::<Result<()>>().await
        };
        tokio::select! {
            served = serving => served.context("the server stopped")?,
            failed = loading => failed?,
        }
        app.say("Stopped.");
        Ok(Exit::Ok)
    }

    async fn loaded(chat: Option<&LocalChat>, embedder: Option<&LocalEmbed>) -> Result<()> {
        if let Some(model) = embedder {
            model.ready().await.map_err(Error::from)?;
        }
        if let Some(model) = chat {
            model.ready().await.map_err(Error::from)?;
        }
        Ok(())
    }
}
