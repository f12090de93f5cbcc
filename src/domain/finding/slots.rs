//! The starts that were found, as callers see them: slot by slot, or day by day.

use chrono::{NaiveDate, NaiveTime};

use super::board::Board;
use super::starts::Starts;
use crate::domain::ids::{ClinicId, ResourceId};
use crate::domain::interval::{Instant, Interval};
use crate::domain::zone::Zone;

/// A start at which a visit may be booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Where.
    pub clinic: ClinicId,
    /// The clinic's zone.
    pub zone: Zone,
    /// When the patient would be there.
    pub visit: Interval,
    /// Who can treat.
    pub practitioners: Vec<ResourceId>,
}

/// A calendar day with slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotDay {
    /// The day at the clinic.
    pub date: NaiveDate,
    /// Where.
    pub clinic: ClinicId,
    /// The clinic's zone.
    pub zone: Zone,
    /// How many slots.
    pub count: usize,
    /// The first start.
    pub first: Instant,
    /// The last start.
    pub last: Instant,
    /// Who can treat at one of the slots or more.
    pub practitioners: Vec<ResourceId>,
}

/// A place in a list of slots: slots come by start, days by date, both then by clinic.
pub type SlotPlace = (Instant, ClinicId);

impl Slot {
    /// Its place.
    pub const fn place(&self) -> SlotPlace {
        (self.visit.start(), self.clinic)
    }
}

impl SlotDay {
    /// Its place: the date at 0:00 UTC, so that the order of dates is the order of places in every zone.
    pub fn place(&self) -> SlotPlace {
        (self.date.and_time(NaiveTime::MIN).and_utc(), self.clinic)
    }
}

/// The first slots of a board after a place, at most so many, of visits that take the patient so many minutes.
pub fn slots(board: &Board, starts: &Starts, minutes: i64, after: Option<SlotPlace>, most: usize) -> Vec<Slot> {
    let window = board.window;
    let from = after.map_or(0, |(at, _)| window.tick_from(at));
    let ticks = starts.all.within(window.clip(from, i64::MAX));
    let slots = ticks.filter_map(|tick| {
        let start = window.instant(tick);
        let practitioners = starts.by.iter().filter(|(_, starts)| starts.has(tick)).map(|(id, _)| *id);
        Some(Slot {
            clinic: board.clinic,
            zone: board.zone,
            visit: Interval::new(start, start + chrono::TimeDelta::minutes(minutes))?,
            practitioners: practitioners.collect(),
        })
    });
    slots.filter(|slot| after.is_none_or(|after| slot.place() > after)).take(most).collect()
}

/// The first days of a board after a place, at most so many.
pub fn slot_days(board: &Board, starts: &Starts, after: Option<SlotPlace>, most: usize) -> Vec<SlotDay> {
    let days = board.days.all().iter().filter_map(|day| {
        let first = starts.all.within(day.ticks.clone()).next()?;
        let last = starts.all.last_within(day.ticks.clone())?;
        let there = |(_, starts): &&(ResourceId, super::Ticks)| starts.within(first..last + 1).next().is_some();
        Some(SlotDay {
            date: day.date,
            clinic: board.clinic,
            zone: board.zone,
            count: starts.all.count_within(first..last + 1),
            first: board.window.instant(first),
            last: board.window.instant(last),
            practitioners: starts.by.iter().filter(there).map(|(id, _)| *id).collect(),
        })
    });
    days.filter(|day| after.is_none_or(|after| day.place() > after)).take(most).collect()
}
