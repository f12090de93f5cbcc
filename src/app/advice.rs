//! What a refusal says of when it would do: looked for without holding the practice.

use std::sync::Arc;

use super::crowd::{At, Crowd};
use super::{App, Error};
use crate::domain::booking::EARLIEST_SEARCH_DAYS;
use crate::domain::ids::PracticeId;
use crate::domain::refusal::Refusal;
use crate::store::{Postgres, Transaction};

/// For how many days after a visit is looked at first. Mostly something is free soon, and the facts of a week are read
/// in a fraction of the time of those of all the days.
pub(super) const SOON_DAYS: i64 = 7;

/// How far a refusal looks for the earliest time that would do.
#[derive(Debug, Clone)]
pub(super) struct LookAhead {
    /// For how many days after each visit.
    pub days: i64,
    /// What others of a crowd have read, and of which practice at which revision this is.
    pub crowd: Option<(At, Arc<Crowd>)>,
}

impl App {
    /// What is against a request, with the earliest that would do, found out without holding the practice. If meanwhile
    /// nothing is in the way any more, or it cannot be found out, the refusal stands as it was. `facts` reads the facts
    /// for so far ahead, and returns the decision that rests on them.
    pub(super) async fn advice<D, F>(
        &self,
        practice: PracticeId,
        refusal: Refusal,
        facts: impl Fn(Transaction<'static, Postgres>, LookAhead) -> F,
    ) -> Refusal
    where
        D: FnOnce() -> Option<Refusal> + Send + 'static,
        F: Future<Output = Result<D, Error>>,
    {
        if says_when(&refusal) {
            return refusal;
        }
        let look = async |days| {
            let db = self.read_current(practice).await?;
            let decide = facts(db, LookAhead { days, crowd: None }).await?;
            self.advice.think(practice, decide).await
        };
        let Ok(Some(soon)) = look(SOON_DAYS).await else { return refusal };
        if says_when(&soon) {
            return soon;
        }
        // What is known by now is better than nothing.
        look(EARLIEST_SEARCH_DAYS).await.ok().flatten().unwrap_or(soon)
    }
}

/// Whether it says of everything that is in the way when it would do, if ever.
fn says_when(refusal: &Refusal) -> bool {
    refusal.iter().all(|violation| violation.is_lasting || violation.earliest.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::interval::Instant;
    use crate::domain::refusal::{Earliest, Rule, Violation};
    use crate::domain::zone::Zone;

    #[test]
    fn a_start_is_looked_for_unless_it_is_known_or_known_not_to_be() {
        let open = Violation::new(Rule::NoResourceFree, "");
        let zone = Zone::from_name("Europe/Berlin").unwrap();
        let known = Violation { earliest: Some(Earliest { start: Instant::UNIX_EPOCH, zone }), ..open.clone() };
        let never = Violation { is_lasting: true, ..Violation::new(Rule::ClearanceMissing, "") };
        assert!(says_when(&vec![known.clone(), never.clone()]));
        assert!(!says_when(&vec![known, never, open]));
    }
}
