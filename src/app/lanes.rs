//! Lanes: how many writers of one practice may hold a connection to the database at once. All but one of them wait for
//! the practice's row; without lanes, the writers of one busy practice would wait on every connection that there is,
//! and all other practices with them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::ids::PracticeId;

/// Writers of one practice that may hold a connection: one that writes, and those that come next without a pause.
const WRITERS: usize = 4;
/// Practices that are kept in mind before those without writers are forgotten.
const KEPT: usize = 1_024;

/// The lanes of all practices.
#[derive(Debug, Default)]
pub struct Lanes(Mutex<HashMap<PracticeId, Weak<Semaphore>>>);

/// A place in a practice's lane; free again when it is dropped.
#[derive(Debug)]
pub struct Lane {
    _place: Option<OwnedSemaphorePermit>,
}

impl Lanes {
    /// Waits for a place in the practice's lane.
    pub async fn enter(&self, practice: PracticeId) -> Lane {
        let lane = self.lane(practice);
        // It is never closed.
        Lane { _place: lane.acquire_owned().await.ok() }
    }

    fn lane(&self, practice: PracticeId) -> Arc<Semaphore> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(&practice).and_then(Weak::upgrade) {
            return lane;
        }
        if lanes.len() >= KEPT {
            lanes.retain(|_, lane| lane.strong_count() > 0);
        }
        let lane = Arc::new(Semaphore::new(WRITERS));
        lanes.insert(practice, Arc::downgrade(&lane));
        lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn practice(number: u128) -> PracticeId {
        PracticeId(uuid::Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn writers_of_one_practice_leave_room_for_those_of_another() {
        let lanes = Lanes::default();
        let mut busy = Vec::new();
        for _ in 0..WRITERS {
            busy.push(lanes.enter(practice(1)).await);
        }
        assert_eq!(lanes.lane(practice(1)).available_permits(), 0);
        drop(lanes.enter(practice(2)).await);
        busy.pop();
        busy.push(lanes.enter(practice(1)).await);
    }

    #[tokio::test]
    async fn practices_without_writers_are_forgotten() {
        let lanes = Lanes::default();
        let held = lanes.enter(practice(0)).await;
        for number in 1..=2 * KEPT as u128 {
            drop(lanes.enter(practice(number)).await);
        }
        assert!(lanes.0.lock().unwrap().len() <= KEPT);
        assert_eq!(lanes.lane(practice(0)).available_permits(), WRITERS - 1);
        drop(held);
    }
}
