//! A server in the benchmark's own process.

use std::net::SocketAddr;
use std::sync::Arc;

use stipple::app::App;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use crate::common;

/// A server that listens on loopback.
pub struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Server {
    pub async fn start(app: App) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(stipple::server::serve(listener, Arc::new(app), async {
            let _ = stopped.await;
        }));
        Self { address, stop, task }
    }

    pub async fn connect(&self) -> Channel {
        common::connect(&self.address.to_string()).await
    }

    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.expect("the server ends").expect("it ends well");
    }
}
