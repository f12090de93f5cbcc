//! A line between two programs, which can be cut.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Connections that wait to be taken.
const BACKLOG: u32 = 128;
/// Bytes that are carried at once.
const PIECE: usize = 16 * 1024;

/// The far end of a line.
#[derive(Clone)]
pub enum Far {
    /// A Unix socket.
    Socket(PathBuf),
    /// A port.
    Port(SocketAddr),
}

/// A line from a port of its own, which stays the same, to a far end, which may be another one at each start.
pub struct Line {
    /// Bound and never listening: it keeps the port while nobody listens there.
    place: TcpSocket,
    far: Arc<Mutex<Far>>,
    cut: watch::Sender<()>,
    hushed: watch::Sender<bool>,
    listening: Option<JoinHandle<()>>,
}

impl Line {
    /// A line that takes connections.
    pub fn to(far: Far) -> Self {
        let place = socket(SocketAddr::from(([127, 0, 0, 1], 0)));
        let (far, cut, hushed) = (Arc::new(Mutex::new(far)), watch::Sender::new(()), watch::Sender::new(false));
        let mut line = Self { place, far, cut, hushed, listening: None };
        line.open();
        line
    }

    /// Where its near end is.
    pub fn address(&self) -> SocketAddr {
        self.place.local_addr().unwrap()
    }

    /// Leads new connections somewhere else.
    pub fn lead_to(&self, far: Far) {
        *self.far.lock().unwrap() = far;
    }

    /// Cuts every connection, with whatever is on its way.
    pub fn cut(&self) {
        self.cut.send_replace(());
    }

    /// Keeps back what the far end says, or no longer: what is asked is done, and nobody is told.
    pub fn hush(&self, hushed: bool) {
        self.hushed.send_replace(hushed);
    }

    /// Loses what was kept back, with its connections, and keeps back no more.
    pub fn lose(&self) {
        if *self.hushed.borrow() {
            self.cut();
            self.hush(false);
        }
    }

    /// Takes no new connections, as if nobody listened.
    pub fn refuse(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
        }
    }

    /// Takes new connections.
    pub fn open(&mut self) {
        let listener = socket(self.address()).listen(BACKLOG).unwrap();
        let (far, cut, hushed) = (Arc::clone(&self.far), self.cut.clone(), self.hushed.clone());
        self.listening = Some(tokio::spawn(async move {
            // Whoever connects and is gone again is no matter.
            loop {
                if let Ok((near, _)) = listener.accept().await {
                    let far = far.lock().unwrap().clone();
                    tokio::spawn(carry(near, far, cut.subscribe(), hushed.subscribe()));
                }
            }
        }));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.refuse();
        self.cut();
    }
}

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

/// Carries a connection until one of its ends closes it, or it is cut.
async fn carry(near: TcpStream, far: Far, mut cut: watch::Receiver<()>, hushed: watch::Receiver<bool>) {
    let carried = async {
        near.set_nodelay(true)?;
        match far {
            Far::Socket(path) => exchange(near, UnixStream::connect(path).await?, hushed).await,
            Far::Port(address) => {
                let far = TcpStream::connect(address).await?;
                far.set_nodelay(true)?;
                exchange(near, far, hushed).await
            }
        }
    };
    tokio::select! {
        // First, so that nothing that was kept back slips through.
        biased;
        _ = cut.changed() => {}
        _ = carried => {}
    }
}

async fn exchange(
    near: TcpStream,
    far: impl AsyncRead + AsyncWrite,
    mut hushed: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let (mut from_near, mut to_near) = near.into_split();
    let (mut from_far, mut to_far) = tokio::io::split(far);
    let there = async { copy(&mut from_near, &mut to_far).await.map(drop) };
    let back = async {
        let mut piece = [0; PIECE];
        loop {
            let read = from_far.read(&mut piece).await?;
            // An error means that the line is gone, and its connections with it.
            let _ = hushed.wait_for(|hushed| !hushed).await;
            if read == 0 {
                return Ok(());
            }
            to_near.write_all(&piece[..read]).await?;
        }
    };
    tokio::select! {
        ended = there => ended,
        ended = back => ended,
    }
}
