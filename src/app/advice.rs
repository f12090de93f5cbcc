//! What a refusal says of when it would do: looked for without holding the practice.

use std::sync::Arc;

use super::crowd::{At, Crowd};
use super::lanes::Lane;
use super::{App, Error};
use crate::domain::booking::EARLIEST_SEARCH_DAYS;
use crate::domain::ids::PracticeId;
use crate::domain::refusal::Refusal;
use crate::store::{Postgres, Transaction};

/// For how many days after a visit is looked at first. Mostly something is free soon, and the facts of a week are read
/// in a fraction of the time of those of all the days.
const SOON_DAYS: i64 = 7;

/// How far a refusal looks for the earliest time that would do.
#[derive(Debug, Clone)]
pub(super) struct LookAhead {
    /// For how many days after each visit.
    pub days: i64,
    /// Which practice, and at which of its revisions it is seen.
    at: At,
    /// What others who searched for the same have read. What reaches far is not kept.
    crowd: Option<Arc<Crowd>>,
}

impl LookAhead {
    /// Where others may have left what they read.
    pub(super) fn shared(&self) -> Option<(At, &Crowd)> {
        self.crowd.as_deref().map(|crowd| (self.at, crowd))
    }
}

impl App {
    /// What is against a request as things are, with the earliest that would do; nothing if nothing is, or if `facts` has
    /// nothing to decide. It reads the facts for so far ahead, and returns the decision that rests on them. Whoever is in
    /// the practice's lane says so, and is told of what is soon: others wait. Holds that have expired are then theirs to
    /// end, with the write that they are about to begin, and nothing is said before that.
    pub(super) async fn advice<D, F>(
        &self,
        practice: PracticeId,
        lane: Option<&Lane>,
        facts: impl Fn(Transaction<'static, Postgres>, LookAhead) -> F,
    ) -> Result<Option<Refusal>, Error>
    where
        D: FnOnce() -> Option<Refusal> + Send + 'static,
        F: Future<Output = Result<Option<D>, Error>>,
    {
        let mut refusal = None;
        for (days, crowd) in [(SOON_DAYS, Some(&self.crowd)), (EARLIEST_SEARCH_DAYS, None)] {
            let seen = match lane {
                // To end them here would be to wait in the lane for oneself.
                Some(_) => self.unless_outlasted(practice, self.read().await?).await?.ok(),
                None => Some(self.current(practice, || self.read()).await?),
            };
            let Some((db, revision)) = seen else { return Ok(None) };
            let ahead = LookAhead { days, at: (practice, revision), crowd: crowd.map(Arc::clone) };
            let Some(decide) = facts(db, ahead).await? else { return Ok(None) };
            refusal = self.advice.think(practice, decide).await?;
            if lane.is_some() || refusal.as_ref().is_none_or(says_when) {
                break;
            }
        }
        Ok(refusal)
    }
}

/// Whether it says of everything that is in the way when it would do.
pub(super) fn says_when(refusal: &Refusal) -> bool {
    refusal.iter().all(|violation| violation.earliest.is_some())
}
