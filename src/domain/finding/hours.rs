//! Times that a patient can come, as a person says them: some weekdays, some parts of the day.

use chrono::Weekday;

use crate::domain::hours::{DAY_MINUTES, Stretch, Week};

/// Most parts of the day of one wish.
pub const MAX_TIMES: usize = 10;

/// A part of any day, in minutes after midnight of the wall clock, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimesOfDay {
    /// The first minute.
    pub from: i32,
    /// The first minute after it.
    pub until: i32,
}

impl TimesOfDay {
    /// The part, unless it is empty or leaves the day.
    pub fn new(from: i32, until: i32) -> Option<Self> {
        (0 <= from && from < until && until <= DAY_MINUTES).then_some(Self { from, until })
    }
}

const WEEKDAYS: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

/// These parts of these weekdays; an empty list stands for all of them. Nothing if two parts overlap.
pub fn week_of(weekdays: &[Weekday], times: &[TimesOfDay]) -> Option<Week> {
    let weekdays = if weekdays.is_empty() { &WEEKDAYS } else { weekdays };
    let whole = [TimesOfDay { from: 0, until: DAY_MINUTES }];
    let times = if times.is_empty() { &whole } else { times };
    let mut stretches: Vec<Stretch> = Vec::new();
    for weekday in WEEKDAYS.iter().filter(|weekday| weekdays.contains(weekday)) {
        stretches.extend(times.iter().filter_map(|part| Stretch::new(*weekday, part.from, part.until)));
    }
    Week::new(stretches)
}
