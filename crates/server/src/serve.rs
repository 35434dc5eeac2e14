//! The router on a socket, and its orderly end.

use std::future::Future;
use std::io;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use crate::settings::ServerSettings;
use crate::state::Readiness;

/// Serves until `shutdown` resolves; then accepts no more connections, `/readyz` says `stopping`, open event
/// streams end, and running requests may finish within `settings.grace`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    readiness: Readiness,
    settings: &ServerSettings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let grace = settings.grace;
    readiness.ready();
    let told = readiness.clone();
    let stop = async move {
        shutdown.await;
        told.stopping();
    };
    // Pieces of a streamed answer go out as they come, not together with the next ones (Nagle's algorithm).
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection sends its pieces late");
        }
    });
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop);
    let late = async {
        readiness.stopped().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        ended = serving => ended,
        () = late => {
            tracing::warn!(grace_s = grace.as_secs(), "requests that did not end in time were broken off");
            Ok(())
        }
    }
}
