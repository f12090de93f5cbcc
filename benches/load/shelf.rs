//! What is remembered of earlier answers.

use std::sync::Mutex;

use crate::dice::Dice;

/// Most things that a shelf keeps; more take the place of others.
const KEPT: usize = 256;

/// A bounded number of things in no order, for requests that build on earlier answers.
pub struct Shelf<T>(Mutex<Vec<T>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Shelf<T> {
    /// Keeps one.
    pub fn put(&self, dice: &mut Dice, thing: T) {
        let mut kept = self.0.lock().expect("nobody panicked");
        if kept.len() < KEPT {
            kept.push(thing);
        } else {
            kept[dice.below(KEPT as u64) as usize] = thing;
        }
    }

    /// Takes one out, so that nobody else works on it meanwhile.
    pub fn take(&self, dice: &mut Dice) -> Option<T> {
        let mut kept = self.0.lock().expect("nobody panicked");
        let place = (!kept.is_empty()).then(|| dice.below(kept.len() as u64) as usize)?;
        Some(kept.swap_remove(place))
    }

    /// Whether there is nothing on it.
    pub fn is_empty(&self) -> bool {
        self.0.lock().expect("nobody panicked").is_empty()
    }

    /// Looks at one.
    pub fn look(&self, dice: &mut Dice) -> Option<T> {
        let kept = self.0.lock().expect("nobody panicked");
        let place = (!kept.is_empty()).then(|| dice.below(kept.len() as u64) as usize)?;
        Some(kept[place].clone())
    }
}
