//! Lanes: how many of one practice may do something at once. All but one of its writers wait for the practice's row;
//! without lanes, the writers of one busy practice would wait on every connection that there is, and all other
//! practices with them. Nor may they take every request that the server has room for: of those who wait there are only
//! so many, and whoever comes then is turned away at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;
use crate::domain::ids::PracticeId;

/// Practices that are kept in mind before those whose lanes are empty are forgotten.
const KEPT: usize = 1_024;
/// Most writers of a practice that wait for their turn; and of those who were refused, for a search for the earliest
/// start, so that of a crowd that wants one slot each is told when else.
pub const MAX_WAITING_WRITERS: usize = 64;
/// Most requests that wait in each of a practice's other lanes. All who wait together are fewer than the requests that
/// the server takes at once.
pub const MAX_WAITING: usize = 16;

/// The lanes of all practices.
#[derive(Debug)]
pub struct Lanes {
    places: usize,
    waiting: usize,
    ways: Mutex<HashMap<PracticeId, Weak<Way>>>,
}

/// A practice's lane.
#[derive(Debug)]
struct Way {
    places: Arc<Semaphore>,
    /// For those who have a place and those who wait for one.
    room: Arc<Semaphore>,
}

/// A place in a practice's lane; free again when it is dropped.
#[derive(Debug)]
pub struct Lane {
    /// Whether others came first.
    pub was_waited_for: bool,
    /// The place, the room of who is in it, and the lane, which is there as long as somebody is.
    _held: (OwnedSemaphorePermit, OwnedSemaphorePermit, Arc<Way>),
}

impl Lanes {
    /// Lanes with so many places for each practice, and so many who may wait for one.
    pub fn new(places: usize, waiting: usize) -> Self {
        Self { places, waiting, ways: Mutex::default() }
    }

    /// Waits for a place in the practice's lane, unless too many wait already.
    pub async fn enter(&self, practice: PracticeId) -> Result<Lane, Error> {
        let way = self.way(practice);
        let room = Arc::clone(&way.room).try_acquire_owned().map_err(|_| Error::Overloaded)?;
        let (place, was_waited_for) = match Arc::clone(&way.places).try_acquire_owned() {
            Ok(place) => (place, false),
            // It is never closed.
            Err(_) => (Arc::clone(&way.places).acquire_owned().await.map_err(|_| Error::Overloaded)?, true),
        };
        Ok(Lane { was_waited_for, _held: (place, room, way) })
    }

    fn way(&self, practice: PracticeId) -> Arc<Way> {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = ways.get(&practice).and_then(Weak::upgrade) {
            return way;
        }
        if ways.len() >= KEPT {
            ways.retain(|_, way| way.strong_count() > 0);
        }
        let way = Arc::new(Way {
            places: Arc::new(Semaphore::new(self.places)),
            room: Arc::new(Semaphore::new(self.places + self.waiting)),
        });
        ways.insert(practice, Arc::downgrade(&way));
        way
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
        let lanes = Lanes::new(PLACES, MAX_WAITING);
        let mut busy = Vec::new();
        for _ in 0..PLACES {
            busy.push(lanes.enter(practice(1)).await.unwrap());
        }
        assert_eq!(lanes.way(practice(1)).places.available_permits(), 0);
        drop(lanes.enter(practice(2)).await.unwrap());
        busy.pop();
        busy.push(lanes.enter(practice(1)).await.unwrap());
    }

    #[tokio::test]
    async fn whoever_comes_to_a_full_lane_is_turned_away_until_somebody_leaves() {
        let lanes = Arc::new(Lanes::new(1, 1));
        let first = lanes.enter(practice(1)).await.unwrap();
        let second = tokio::spawn({
            let lanes = Arc::clone(&lanes);
            async move { lanes.enter(practice(1)).await.map(drop) }
        });
        while lanes.way(practice(1)).room.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(lanes.enter(practice(1)).await, Err(Error::Overloaded)));
        drop(first);
        second.await.unwrap().unwrap();
        lanes.enter(practice(1)).await.unwrap();
    }

    #[tokio::test]
    async fn practices_whose_lanes_are_empty_are_forgotten() {
        let lanes = Lanes::new(PLACES, MAX_WAITING);
        let held = lanes.enter(practice(0)).await.unwrap();
        for number in 1..=2 * KEPT as u128 {
            drop(lanes.enter(practice(number)).await.unwrap());
        }
        assert!(lanes.ways.lock().unwrap().len() <= KEPT);
        assert_eq!(lanes.way(practice(0)).places.available_permits(), PLACES - 1);
        drop(held);
    }
}
