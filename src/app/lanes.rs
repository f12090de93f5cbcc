//! Lanes: how many of one practice may do something at once. All but one of its writers wait for the practice's row;
//! without lanes, the writers of one busy practice would wait on every connection that there is, and all other
//! practices with them. Nor may they take every request that the server has room for: of those who wait there are only
//! so many, and whoever comes then is turned away at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;
use crate::domain::ids::{ClinicId, PracticeId};
use crate::domain::interval::Instant;

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
    /// How many of them want the same.
    wanted: Mutex<HashMap<Wanted, usize>>,
}

/// A start at a clinic, which several may want and one gets.
pub type Wanted = (ClinicId, Instant);

/// Somebody in a lane who wants a start.
#[derive(Debug)]
struct Wish {
    way: Arc<Way>,
    wanted: Wanted,
}

/// A place in a practice's lane; free again when it is dropped.
#[derive(Debug)]
pub struct Lane {
    /// Whether others came first, and others still want the same.
    pub in_a_crowd: bool,
    /// The place, the room of who is in it, the lane, which is there as long as somebody is, and what is wanted.
    _held: (OwnedSemaphorePermit, OwnedSemaphorePermit, Arc<Way>, Option<Wish>),
}

impl Lanes {
    /// Lanes with so many places for each practice, and so many who may wait for one.
    pub fn new(places: usize, waiting: usize) -> Self {
        Self { places, waiting, ways: Mutex::default() }
    }

    /// Waits for a place in the practice's lane, unless too many wait already.
    pub async fn enter(&self, practice: PracticeId) -> Result<Lane, Error> {
        self.enter_wanting(practice, None).await
    }

    /// The same for somebody who wants a start that others may want, too.
    pub async fn enter_for(&self, practice: PracticeId, wanted: Wanted) -> Result<Lane, Error> {
        self.enter_wanting(practice, Some(wanted)).await
    }

    async fn enter_wanting(&self, practice: PracticeId, wanted: Option<Wanted>) -> Result<Lane, Error> {
        let way = self.way(practice);
        let room = Arc::clone(&way.room).try_acquire_owned().map_err(|_| Error::Overloaded)?;
        let wish = wanted.map(|wanted| Wish::new(&way, wanted));
        let (place, has_waited) = match Arc::clone(&way.places).try_acquire_owned() {
            Ok(place) => (place, false),
            // It is never closed.
            Err(_) => (Arc::clone(&way.places).acquire_owned().await.map_err(|_| Error::Overloaded)?, true),
        };
        let in_a_crowd = has_waited && wish.as_ref().is_some_and(Wish::is_shared);
        Ok(Lane { in_a_crowd, _held: (place, room, way, wish) })
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
            wanted: Mutex::default(),
        });
        ways.insert(practice, Arc::downgrade(&way));
        way
    }
}

impl Wish {
    fn new(way: &Arc<Way>, wanted: Wanted) -> Self {
        *way.wanted().entry(wanted).or_default() += 1;
        Self { way: Arc::clone(way), wanted }
    }

    fn is_shared(&self) -> bool {
        self.way.wanted().get(&self.wanted).is_some_and(|wishes| *wishes > 1)
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        if let Entry::Occupied(mut wishes) = self.way.wanted().entry(self.wanted) {
            *wishes.get_mut() -= 1;
            if *wishes.get() == 0 {
                wishes.remove();
            }
        }
    }
}

impl Way {
    fn wanted(&self) -> MutexGuard<'_, HashMap<Wanted, usize>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn whoever_waited_is_in_a_crowd_as_long_as_others_want_the_same_start() {
        let lanes = Arc::new(Lanes::new(1, 8));
        let clinic = ClinicId(uuid::Uuid::from_u128(1));
        let at = |hour| (clinic, Instant::UNIX_EPOCH + chrono::TimeDelta::hours(hour));
        let first = lanes.enter_for(practice(1), at(10)).await.unwrap();
        assert!(!first.in_a_crowd, "nobody came before");
        let (way, mut others) = (lanes.way(practice(1)), Vec::new());
        for (came, hour) in [10, 11, 10].into_iter().enumerate() {
            let (own, wanted) = (Arc::clone(&lanes), at(hour));
            others.push(tokio::spawn(async move { own.enter_for(practice(1), wanted).await.unwrap().in_a_crowd }));
            // They come one after the other.
            while way.room.available_permits() > 9 - (came + 2) {
                tokio::task::yield_now().await;
            }
        }
        drop(first);
        let mut said = Vec::new();
        for other in others {
            said.push(other.await.unwrap());
        }
        assert_eq!(said, [true, false, false], "the last one is alone with its wish");
        assert!(way.wanted().is_empty());
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
