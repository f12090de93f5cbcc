//! The hub of a practice: reads what is new once, for all its watchers.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::time::MissedTickBehavior;

use super::Hub;
use super::batch::{Batch, ClinicDay};
use crate::app::{App, Error};
use crate::domain::history::ChangeKind;
use crate::domain::ids::{PracticeId, TokenId};
use crate::domain::interval::Instant;
use crate::store::{StoreError, access, practice};

/// How often in a row the database may fail to answer before the watchers are told.
const MAX_FAILURES: u32 = 3;

type News = broadcast::Sender<Arc<Batch>>;

/// Works until nobody watches any more, or the database does not answer: then `news` ends, and the watchers find out
/// for themselves.
pub(super) async fn run(app: App, practice: PracticeId, hub: Arc<Hub>, news: News) {
    let pace = app.watches.pace;
    let mut checks = tokio::time::interval(pace.token_check);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut failures) = (None, 0);
    while !app.watches.retire(practice, &hub, failures >= MAX_FAILURES) {
        let reading = app.watches.reading().await;
        let looked = app.look_on(practice, &hub, &news, &mut seen).await;
        drop(reading);
        failures = match &looked {
            Ok(_) => 0,
            // The database answers, if only others: watchers wait, as everybody does.
            Err(Error::Overloaded | Error::Store(StoreError::Exhausted)) => failures,
            Err(_) => failures + 1,
        };
        let hold_ends = looked.ok().flatten().map(|end| (end - app.now()).to_std().unwrap_or_default());
        let pause = hold_ends.map_or(pace.poll, |until| until.min(pace.poll));
        tokio::select! {
            () = hub.hint.notified() => tokio::time::sleep(pace.gather).await,
            () = tokio::time::sleep(pause) => {}
            _ = checks.tick() => {
                let _reading = app.watches.reading().await;
                // What cannot be read now is read at the next check, or the hub gives up before.
                let _ = app.check_tokens(practice, &hub).await;
            }
        }
    }
}

impl App {
    /// Tells the watchers what is new; when the first hold ends, if there is one. Holds that have expired end now:
    /// nothing else may come along that would end them.
    async fn look_on(
        &self,
        practice: PracticeId,
        hub: &Hub,
        news: &News,
        seen: &mut Option<i64>,
    ) -> Result<Option<Instant>, Error> {
        let mut standing = self.standing(practice).await?;
        if standing.is_outlasted(self.clock.now()) {
            self.expire_holds(practice).await?;
            standing = self.standing(practice).await?;
        }
        let mut at = *seen.get_or_insert_with(|| {
            // Whoever joined at an earlier revision notices, and catches up.
            let _ = news.send(Arc::new(Batch::nothing(standing.revision)));
            standing.revision
        });
        while at < standing.revision {
            let days = || -> Vec<ClinicDay> { hub.watched().days.keys().copied().collect() };
            let batch = self.batch(practice, at, days).await?;
            if batch.until == at {
                break;
            }
            at = batch.until;
            *seen = Some(at);
            let revoked = batch.changes.iter().any(|change| change.kind == ChangeKind::TokenRevoked);
            // An error means that nobody listens any more.
            let _ = news.send(Arc::new(batch));
            if revoked {
                self.check_tokens(practice, hub).await?;
            }
        }
        Ok(standing.hold_ends)
    }

    async fn standing(&self, practice: PracticeId) -> Result<practice::Standing, Error> {
        let mut db = self.connections.acquire().await?;
        practice::standing(&mut db, practice).await?.ok_or_else(|| Error::not_found("practice_id"))
    }

    /// Finds out which tokens of watchers are revoked. An operator's is not one of the practice that it watches.
    async fn check_tokens(&self, practice: PracticeId, hub: &Hub) -> Result<(), Error> {
        let tokens: Vec<TokenId> = hub.watched().tokens.keys().copied().collect();
        let mut db = self.connections.acquire().await?;
        let revoked = access::revoked(&mut db, [practice, PracticeId::DEPLOYMENT], &tokens).await?;
        hub.revoked.send_replace(revoked.into_iter().collect());
        Ok(())
    }
}
