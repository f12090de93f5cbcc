//! Watches that are held open while there is load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stipple::rpc::pb;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;

use crate::common::{connect, with};
use crate::practice::Practice;

/// How often a watch is begun anew before it is given up.
const MAX_BEGINS: u32 = 100;
/// How long before it is begun anew.
const PAUSE: Duration = Duration::from_secs(1);

/// Watches that are under way, and how many messages they have seen.
pub struct Watchers {
    seen: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watchers {
    /// Begins so many, of days and of histories in turn, over the practices.
    pub async fn begin(number: usize, address: &str, practices: &[Arc<Practice>]) -> Self {
        let seen = Arc::<AtomicU64>::default();
        let mut tasks = Vec::new();
        for number in 0..number {
            let (seen, channel) = (Arc::clone(&seen), connect(address).await);
            let practice = Arc::clone(&practices[number / 2 % practices.len()]);
            tasks.push(tokio::spawn(async move {
                for _ in 0..MAX_BEGINS {
                    // However it ended, a client would begin another.
                    let _ = if number % 2 == 0 {
                        watch_day(&channel, &practice, &seen).await
                    } else {
                        watch_changes(&channel, &practice, &seen).await
                    };
                    tokio::time::sleep(PAUSE).await;
                }
            }));
        }
        Self { seen, tasks }
    }

    /// How many messages have come so far.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Ends them.
    pub fn end(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn watch_day(channel: &Channel, practice: &Practice, seen: &AtomicU64) -> Result<(), Status> {
    let request = pb::WatchDayRequest {
        clinic_id: practice.clinic.clone(),
        date: practice.today.to_string(),
        ..Default::default()
    };
    let path = "/stipple.v1.AppointmentService/WatchDay";
    watch::<_, pb::WatchDayResponse>(channel, practice, path, request, seen).await
}

async fn watch_changes(channel: &Channel, practice: &Practice, seen: &AtomicU64) -> Result<(), Status> {
    let path = "/stipple.v1.HistoryService/WatchChanges";
    let request = pb::WatchChangesRequest::default();
    watch::<_, pb::WatchChangesResponse>(channel, practice, path, request, seen).await
}

/// Counts what comes until it ends.
async fn watch<Q, A>(
    channel: &Channel,
    practice: &Practice,
    path: &'static str,
    request: Q,
    seen: &AtomicU64,
) -> Result<(), Status>
where
    Q: prost::Message + 'static,
    A: prost::Message + Default + 'static,
{
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = tonic_prost::ProstCodec::<Q, A>::default();
    let request = with(&practice.desk.token, request);
    let mut news = client.server_streaming(request, PathAndQuery::from_static(path), codec).await?.into_inner();
    while news.message().await?.is_some() {
        seen.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
