//! Answers that are written while the work goes on: pieces come through a channel, the work's result comes last.

use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::Pin;

use bytes::{Buf as _, Bytes};
use futures::Stream;
use futures::stream::unfold;
use tokio::sync::mpsc;

struct Driven<T> {
    pieces: mpsc::Receiver<T>,
    work: Option<Pin<Box<dyn Future<Output = Option<T>> + Send>>>,
    last: Option<T>,
}

/// Runs `work` as the stream is read: first every piece that it sends, then its own last one. Dropping the
/// stream drops the work.
pub(crate) fn driven<T: Send + 'static>(
    pieces: mpsc::Receiver<T>,
    work: impl Future<Output = Option<T>> + Send + 'static,
) -> impl Stream<Item = T> + Send {
    let state = Driven { pieces, work: Some(Box::pin(work)), last: None };
    unfold(state, |mut state| async move {
        let piece = state.next().await?;
        Some((piece, state))
    })
}

impl<T> Driven<T> {
    async fn next(&mut self) -> Option<T> {
        while let Some(work) = &mut self.work {
            tokio::select! {
                biased;
                Some(piece) = self.pieces.recv() => return Some(piece),
                last = work => {
                    self.last = last;
                    self.work = None;
                }
            }
        }
        // The work has ended and dropped its sender: what it sent before comes first.
        match self.pieces.recv().await {
            Some(piece) => Some(piece),
            None => self.last.take(),
        }
    }
}

/// A blocking writer whose bytes come out of a channel.
pub(crate) struct ChannelWriter(pub(crate) mpsc::Sender<io::Result<Bytes>>);

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A blocking reader whose bytes come from a channel.
pub(crate) struct ChannelReader {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl ChannelReader {
    pub(crate) fn new(pieces: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self { pieces, rest: Bytes::new() }
    }
}

impl Read for ChannelReader {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.rest = piece?,
                None => return Ok(0),
            }
        }
        let count = self.rest.len().min(target.len());
        if let Some(part) = target.get_mut(..count) {
            self.rest.copy_to_slice(part);
        }
        Ok(count)
    }
}
