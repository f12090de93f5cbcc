//! Thinking that takes a core for a while: away from the threads that serve requests, without a connection to the
//! database, and a bounded number at once, of one practice as well as in all.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Error;
use super::lanes::Lanes;
use crate::domain::ids::PracticeId;
use crate::store::StoreError;

/// Places for those who think.
pub(super) struct Thinkers {
    places: Arc<Semaphore>,
    lanes: Lanes,
}

impl Thinkers {
    /// So many places in all, and for one practice, of whose requests so many may wait.
    pub fn new(places: usize, of_one_practice: usize, waiting: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), lanes: Lanes::new(of_one_practice, waiting) }
    }

    /// Thinks for a practice, as soon as there is a place.
    pub async fn think<T: Send + 'static>(
        &self,
        practice: PracticeId,
        think: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let lane = self.lanes.enter(practice).await?;
        // It is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await;
        let thought = tokio::task::spawn_blocking(move || {
            // A caller who goes away stops nothing: the place is free when the thinking ends.
            let _held = (lane, place);
            think()
        });
        thought.await.map_err(|_| StoreError::Corrupt("a thought that came to no end").into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_place_is_held_until_the_thinking_ends_although_nobody_waits_for_it() {
        let thinkers = Arc::new(Thinkers::new(1, 1, 8));
        let (begun, has_begun) = mpsc::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let thinking = tokio::spawn({
            let thinkers = Arc::clone(&thinkers);
            async move {
                let think = move || {
                    begun.send(()).unwrap();
                    may_end.recv().unwrap();
                };
                thinkers.think(PracticeId(uuid::Uuid::from_u128(1)), think).await
            }
        });
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
        thinking.abort();
        assert!(thinking.await.unwrap_err().is_cancelled());
        assert_eq!(thinkers.places.available_permits(), 0);
        end.send(()).unwrap();
        assert_eq!(thinkers.think(PracticeId(uuid::Uuid::from_u128(2)), || 7).await.ok(), Some(7));
        assert_eq!(thinkers.places.available_permits(), 1);
    }
}
