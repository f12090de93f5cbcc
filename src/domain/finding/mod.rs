//! Finding time: where a visit may be booked, on calendars that are sets of five-minute ticks.
//!
//! The rules are those of [`super::booking`], which has the last word; here they are laid out so that all starts of a
//! year are judged at once. Property tests hold the two against each other, start by start.

mod board;
mod days;
mod slots;
mod starts;
mod ticks;
mod times;

pub use board::{Board, Row};
pub use days::{Day, Days};
pub use slots::{Slot, SlotDay, SlotPlace, slot_days, slots};
pub use starts::{Starts, Wanted, allowed, find, serving};
pub use ticks::{Ticks, Window, count, instant_of, next_tick_number, tick_number};
pub use times::{MAX_TIMES, Times, TimesOfDay};

#[cfg(test)]
mod tests;
