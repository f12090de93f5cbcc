//! Watches that are held open while there is load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stipple::rpc::pb;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;

use crate::common::{call, connect, with};
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
            let watch = Watch { channel, practice, seen };
            tasks.push(tokio::spawn(async move {
                let mut revision = 0;
                for _ in 0..MAX_BEGINS {
                    // However it ended, a client would begin another, from where it was.
                    let _ = if number % 2 == 0 {
                        watch.day(&mut revision).await
                    } else {
                        watch.changes(&mut revision).await
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

/// One of them.
struct Watch {
    channel: Channel,
    practice: Arc<Practice>,
    seen: Arc<AtomicU64>,
}

impl Watch {
    async fn day(&self, revision: &mut i64) -> Result<(), Status> {
        let request = pb::WatchDayRequest {
            clinic_id: self.practice.clinic.clone(),
            date: self.practice.today.to_string(),
            from_revision: *revision,
            ..Default::default()
        };
        let path = "/stipple.v1.AppointmentService/WatchDay";
        self.count(path, request, |news: pb::WatchDayResponse| {
            // Until the last of several messages has come, nothing is known up to their revision.
            if !news.more {
                *revision = news.revision;
            }
        })
        .await
    }

    async fn changes(&self, revision: &mut i64) -> Result<(), Status> {
        if *revision == 0 {
            let path = "/stipple.v1.PracticeService/GetPractice";
            let request = with(&self.practice.desk.token, pb::GetPracticeRequest::default());
            let answer: pb::GetPracticeResponse = call(&self.channel, path, request).await?;
            *revision = answer.practice.unwrap_or_default().revision;
        }
        let request = pb::WatchChangesRequest { after_revision: *revision, ..Default::default() };
        let path = "/stipple.v1.HistoryService/WatchChanges";
        self.count(path, request, |news: pb::WatchChangesResponse| *revision = news.revision).await
    }

    /// Counts what comes until it ends.
    async fn count<Q, A>(&self, path: &'static str, request: Q, mut keep: impl FnMut(A)) -> Result<(), Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = tonic_prost::ProstCodec::<Q, A>::default();
        let request = with(&self.practice.desk.token, request);
        let mut news = client.server_streaming(request, PathAndQuery::from_static(path), codec).await?.into_inner();
        while let Some(message) = news.message().await? {
            self.seen.fetch_add(1, Ordering::Relaxed);
            keep(message);
        }
        Ok(())
    }
}
