//! Connections of clients: so many at once, and none that is opened and then left without a word.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::Status;
use tonic::codegen::BoxStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::rpc::stream;

/// Most connections at once; more wait, unanswered, in the queue of the operating system. There may be as many watches
/// as requests and more, each over a connection of its own.
const MAX_CONNECTIONS: usize = 3_000;
/// Files of the process: one for each connection, and some for all else.
const FILES: u64 = 4_000;
/// How long a connection may take to say that it speaks HTTP/2. From then on the transport asks whether it is alive.
const PREFACE: Duration = Duration::from_secs(10);
/// Bytes in which it says so.
const PREFACE_BYTES: usize = 24;
/// How long nothing is accepted once the operating system has no more to give, which is mostly files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most at once.
    pub connections: usize,
    /// How long one may take to say that it speaks HTTP/2.
    pub preface: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: MAX_CONNECTIONS, preface: PREFACE }
    }
}

/// Has the operating system give as many files as all connections take, as far as the process may have them: what it
/// gives at first is mostly a third of that.
pub fn take_files() {
    let files = getrlimit(Resource::Nofile);
    let wanted = files.maximum.map_or(FILES, |most| most.min(FILES));
    // No number is no limit.
    if files.current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: files.maximum })
    {
        tracing::warn!(%error, "there are fewer files than connections may be taken");
    }
}

/// The connections that a listener takes, within limits.
pub(super) fn connections(listener: TcpListener, limits: Limits) -> BoxStream<Connection> {
    let places = Arc::new(Semaphore::new(limits.connections));
    stream::unfold(listener, move |listener| {
        let places = Arc::clone(&places);
        async move {
            // It is never closed.
            let Ok(place) = places.acquire_owned().await else { return Ok::<_, Status>(None) };
            let stream = accept(&listener).await;
            let preface = Some((PREFACE_BYTES, Box::pin(tokio::time::sleep(limits.preface))));
            Ok(Some((Connection { stream, preface, _place: place }, listener)))
        }
    })
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it small answers are late, and nothing worse.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            // That one is gone, and says nothing of the next.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A client's connection.
pub(super) struct Connection {
    stream: TcpStream,
    /// Bytes that have to come first, and until when.
    preface: Option<(usize, Pin<Box<Sleep>>)>,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some((missing, out_of_time)) = &mut self.preface else { return read };
        if read.is_pending() {
            return out_of_time.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        *missing = missing.saturating_sub(buffer.filled().len() - before);
        if *missing == 0 {
            self.preface = None;
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}
