//! Lanes: how many of one practice may do something at once. All but one of its writers wait for the practice's row;
//! without lanes, the writers of one busy practice would wait on every connection that there is, and all other
//! practices with them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::ids::PracticeId;

/// Practices that are kept in mind before those whose lanes are empty are forgotten.
const KEPT: usize = 1_024;

/// The lanes of all practices.
#[derive(Debug)]
pub struct Lanes {
    places: usize,
    lanes: Mutex<HashMap<PracticeId, Weak<Semaphore>>>,
}

/// A place in a practice's lane; free again when it is dropped.
#[derive(Debug)]
pub struct Lane {
    _place: Option<OwnedSemaphorePermit>,
}

impl Lanes {
    /// Lanes with so many places for each practice.
    pub fn new(places: usize) -> Self {
        Self { places, lanes: Mutex::default() }
    }

    /// Waits for a place in the practice's lane.
    pub async fn enter(&self, practice: PracticeId) -> Lane {
        let lane = self.lane(practice);
        // It is never closed.
        Lane { _place: lane.acquire_owned().await.ok() }
    }

    fn lane(&self, practice: PracticeId) -> Arc<Semaphore> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(&practice).and_then(Weak::upgrade) {
            return lane;
        }
        if lanes.len() >= KEPT {
            lanes.retain(|_, lane| lane.strong_count() > 0);
        }
        let lane = Arc::new(Semaphore::new(self.places));
        lanes.insert(practice, Arc::downgrade(&lane));
        lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: usize = 4;

    fn practice(number: u128) -> PracticeId {
        PracticeId(uuid::Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn those_of_one_practice_leave_room_for_those_of_another() {
        let lanes = Lanes::new(PLACES);
        let mut busy = Vec::new();
        for _ in 0..PLACES {
            busy.push(lanes.enter(practice(1)).await);
        }
        assert_eq!(lanes.lane(practice(1)).available_permits(), 0);
        drop(lanes.enter(practice(2)).await);
        busy.pop();
        busy.push(lanes.enter(practice(1)).await);
    }

    #[tokio::test]
    async fn practices_whose_lanes_are_empty_are_forgotten() {
        let lanes = Lanes::new(PLACES);
        let held = lanes.enter(practice(0)).await;
        for number in 1..=2 * KEPT as u128 {
            drop(lanes.enter(practice(number)).await);
        }
        assert!(lanes.lanes.lock().unwrap().len() <= KEPT);
        assert_eq!(lanes.lane(practice(0)).available_permits(), PLACES - 1);
        drop(held);
    }
}
