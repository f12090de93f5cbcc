//! What a crowd that wants the same time has in common: those who are refused it are told when else by the same hours
//! and the same bookings. They are read once, and kept by the revision at which the practice was then; a transaction
//! that sees the practice at that revision would read the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::booking::{ClinicFacts, ResourceFacts};
use crate::domain::catalog::{Need, Treatment};
use crate::domain::ids::{ClinicId, PracticeId, ResourceId, TreatmentId};
use crate::domain::interval::{Instant, Interval};

/// Answers of each kind that are kept, of all practices together: a crowd asks for one.
const KEPT_ANSWERS: usize = 8;
/// How long one is good for: longer than a crowd lasts.
const KEPT_SECONDS: i64 = 5;

/// What is kept for crowds.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// Treatments, by version; none for the highest.
    pub treatments: Kept<(TreatmentId, Option<i32>), Treatment>,
    /// Clinics and resources.
    pub places: Kept<PlacesOf, Places>,
}

/// Which clinics and resources matter to visits, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlacesOf {
    /// The clinics.
    pub clinics: Vec<ClinicId>,
    /// What one of the resources has to serve.
    pub needs: Vec<Need>,
    /// Resources that matter anyway.
    pub named: Vec<ResourceId>,
    /// When.
    pub spans: Vec<Interval>,
}

/// Clinics, and resources with what takes them.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// The clinics; those that do not exist are missing.
    pub clinics: BTreeMap<ClinicId, ClinicFacts>,
    /// The resources.
    pub resources: Vec<ResourceFacts>,
}

/// A practice at one of its revisions, seen now.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    /// The practice.
    pub practice: PracticeId,
    /// The revision.
    pub revision: i64,
    /// When it was seen.
    pub now: Instant,
}

impl At {
    /// Whether what was seen then is what would be seen now. A database that was put back to an earlier state may come to
    /// the same revision another way, but not at once.
    fn is_as(self, then: Self) -> bool {
        let age = self.now - then.now;
        (self.practice, self.revision) == (then.practice, then.revision)
            && (0..=KEPT_SECONDS).contains(&age.num_seconds())
    }
}

/// The answers that were given last.
#[derive(Debug)]
pub(super) struct Kept<Q, A> {
    last: Mutex<VecDeque<(At, Q, Arc<A>)>>,
}

impl<Q, A> Default for Kept<Q, A> {
    fn default() -> Self {
        Self { last: Mutex::default() }
    }
}

impl<Q: PartialEq, A> Kept<Q, A> {
    /// The answer to a question, if it is kept.
    fn get(&self, at: At, question: &Q) -> Option<Arc<A>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter()
            .find(|(then, asked, _)| at.is_as(*then) && asked == question)
            .map(|(_, _, answer)| Arc::clone(answer))
    }

    /// Keeps an answer, instead of an earlier one to the same question, or the one that is kept for longest.
    fn keep(&self, at: At, question: Q, answer: Arc<A>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|(then, asked, _)| !at.is_as(*then) || *asked != question);
        last.truncate(KEPT_ANSWERS - 1);
        last.push_front((at, question, answer));
    }
}

/// The answer to a question: one that is kept, or else one that is read, and kept.
pub(super) async fn shared<Q: PartialEq, A: Clone, E>(
    kept: Option<(At, &Kept<Q, A>)>,
    question: Q,
    read: impl AsyncFnOnce(&Q) -> Result<A, E>,
) -> Result<A, E> {
    let Some((at, kept)) = kept else { return read(&question).await };
    if let Some(answer) = kept.get(at, &question) {
        return Ok(A::clone(&answer));
    }
    let answer = read(&question).await?;
    kept.keep(at, question, Arc::new(answer.clone()));
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn an_answer_is_kept_for_its_question_and_revision_for_a_while_or_until_others_came_after_it() {
        let at = |practice, revision, second| {
            let practice = PracticeId(uuid::Uuid::from_u128(practice));
            At { practice, revision, now: Instant::UNIX_EPOCH + TimeDelta::seconds(second) }
        };
        let kept = Kept::default();
        kept.keep(at(1, 1, 10), 0, Arc::new("first"));
        kept.keep(at(1, 1, 10), 0, Arc::new("once more"));
        assert_eq!(kept.get(at(1, 1, 15), &0).as_deref(), Some(&"once more"));
        for (at, question) in
            [(at(2, 1, 10), 0), (at(1, 2, 10), 0), (at(1, 1, 10), 1), (at(1, 1, 16), 0), (at(1, 1, 9), 0)]
        {
            assert_eq!(kept.get(at, &question), None);
        }
        (1..KEPT_ANSWERS).for_each(|other| kept.keep(at(2, 1, 10), other, Arc::new("another")));
        assert_eq!(kept.get(at(1, 1, 10), &0).as_deref(), Some(&"once more"));
        kept.keep(at(2, 1, 10), 0, Arc::new("another"));
        assert_eq!(kept.get(at(1, 1, 10), &0), None);
        assert_eq!(kept.last.lock().unwrap().len(), KEPT_ANSWERS);
    }
}
