//! What a crowd that wants the same time has in common: those who are refused it are told when else by the same hours
//! and the same bookings. They are read once, and kept by the revision at which the practice was then; a transaction
//! that sees the practice at that revision would read the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::booking::{ClinicFacts, ResourceFacts};
use crate::domain::catalog::{Need, Treatment};
use crate::domain::ids::{ClinicId, PracticeId, ResourceId, TreatmentId};
use crate::domain::interval::Interval;

/// Answers of each kind that are kept, of all practices together: a crowd asks for one.
const KEPT_ANSWERS: usize = 8;

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

/// A practice at one of its revisions.
pub(super) type At = (PracticeId, i64);

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
        last.iter().find(|(then, asked, _)| *then == at && asked == question).map(|(_, _, answer)| Arc::clone(answer))
    }

    /// Keeps an answer, instead of the one that is kept for longest.
    fn keep(&self, at: At, question: Q, answer: Arc<A>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
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
    use super::*;

    #[test]
    fn an_answer_is_kept_for_its_question_and_revision_until_others_came_after_it() {
        let practice = |number| PracticeId(uuid::Uuid::from_u128(number));
        let kept = Kept::default();
        kept.keep((practice(1), 1), "when", Arc::new(1));
        assert_eq!(kept.get((practice(1), 1), &"when").as_deref(), Some(&1));
        for (practice, revision, question) in
            [(practice(2), 1, "when"), (practice(1), 2, "when"), (practice(1), 1, "where")]
        {
            assert_eq!(kept.get((practice, revision), &question), None);
        }
        (2..=KEPT_ANSWERS).for_each(|other| kept.keep((practice(2), 1), "where", Arc::new(other)));
        assert_eq!(kept.get((practice(1), 1), &"when").as_deref(), Some(&1));
        kept.keep((practice(2), 1), "where", Arc::new(0));
        assert_eq!(kept.get((practice(1), 1), &"when"), None);
        assert_eq!(kept.last.lock().unwrap().len(), KEPT_ANSWERS);
    }
}
