//! Times at which a patient can come, as a person says them: some weekdays, some parts of the day.

use std::fmt;

use chrono::Weekday;

use crate::domain::hours::{DAY_MINUTES, Stretch, Week};

/// Most parts of the day of one wish.
pub const MAX_TIMES: usize = 10;

/// A part of any day, in minutes after midnight of the wall clock, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimesOfDay {
    from: i32,
    until: i32,
}

impl TimesOfDay {
    const WHOLE: Self = Self { from: 0, until: DAY_MINUTES };

    /// The part, unless it is empty or leaves the day.
    pub fn new(from: i32, until: i32) -> Option<Self> {
        (0 <= from && from < until && until <= DAY_MINUTES).then_some(Self { from, until })
    }

    /// Its first minute after midnight.
    pub const fn from(self) -> i32 {
        self.from
    }

    /// The first minute after it.
    pub const fn until(self) -> i32 {
        self.until
    }
}

/// Parts of the day on weekdays. No weekday stands for all of them, no part for the whole day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    weekdays: Vec<Weekday>,
    parts: Vec<TimesOfDay>,
}

const WEEKDAYS: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

impl Times {
    /// These parts of these weekdays, unless two parts overlap.
    pub fn new(weekdays: Vec<Weekday>, parts: Vec<TimesOfDay>) -> Option<Self> {
        let times = Self { weekdays, parts };
        Week::new(times.stretches(&[Weekday::Mon])).map(|_| times)
    }

    /// The weekdays that are named.
    pub fn weekdays(&self) -> &[Weekday] {
        &self.weekdays
    }

    /// The parts of the day that are named.
    pub fn parts(&self) -> &[TimesOfDay] {
        &self.parts
    }

    /// Whether a day of the week will do.
    pub fn has_weekday(&self, weekday: Weekday) -> bool {
        self.weekdays.is_empty() || self.weekdays.contains(&weekday)
    }

    /// Whether some weekdays are named.
    pub fn names_weekdays(&self) -> bool {
        !self.weekdays.is_empty()
    }

    /// Whether some parts of the day are named.
    pub fn names_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The parts of the day, on whatever day.
    #[must_use]
    pub fn any_day(&self) -> Self {
        Self { weekdays: Vec::new(), parts: self.parts.clone() }
    }

    /// The weekdays, at whatever time.
    #[must_use]
    pub fn any_time(&self) -> Self {
        Self { weekdays: self.weekdays.clone(), parts: Vec::new() }
    }

    /// The same as hours that recur.
    pub fn week(&self) -> Week {
        let weekdays: Vec<Weekday> = WEEKDAYS.into_iter().filter(|weekday| self.has_weekday(*weekday)).collect();
        Week::new(self.stretches(&weekdays)).unwrap_or_else(|| unreachable!("parts of the day do not overlap"))
    }

    fn stretches(&self, weekdays: &[Weekday]) -> Vec<Stretch> {
        let parts = if self.parts.is_empty() { std::slice::from_ref(&TimesOfDay::WHOLE) } else { &self.parts };
        let day = |weekday: Weekday| parts.iter().filter_map(move |part| Stretch::new(weekday, part.from, part.until));
        weekdays.iter().flat_map(|weekday| day(*weekday)).collect()
    }
}

impl fmt::Display for Times {
    /// As staff would say it: `on Tuesday, Friday from 16:00 to 20:00`; empty if any time will do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<&str> = self.weekdays.iter().map(|day| name(*day)).collect();
        if !days.is_empty() {
            write!(f, "on {}", days.join(", "))?;
        }
        for (place, TimesOfDay { from, until }) in self.parts.iter().enumerate() {
            let gap = if place > 0 || !days.is_empty() { " " } else { "" };
            let or = if place > 0 { "or " } else { "" };
            write!(f, "{gap}{or}from {:02}:{:02} to {:02}:{:02}", from / 60, from % 60, until / 60, until % 60)?;
        }
        Ok(())
    }
}

const fn name(weekday: Weekday) -> &'static str {
    match weekday {
        Weekday::Mon => "Monday",
        Weekday::Tue => "Tuesday",
        Weekday::Wed => "Wednesday",
        Weekday::Thu => "Thursday",
        Weekday::Fri => "Friday",
        Weekday::Sat => "Saturday",
        Weekday::Sun => "Sunday",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_hours_of_the_days_that_are_named_or_of_all() {
        let evening = TimesOfDay::new(16 * 60, 20 * 60).unwrap();
        let stretches = |times: &Times| -> Vec<(i16, i32, i32)> {
            times.week().stretches().iter().map(|s| (s.iso_weekday(), s.from(), s.to())).collect()
        };
        let tuesdays = Times::new(vec![Weekday::Tue], vec![evening]).unwrap();
        assert_eq!(stretches(&tuesdays), [(2, 960, 1_200)]);
        assert_eq!(stretches(&tuesdays.any_time()), [(2, 0, DAY_MINUTES)]);
        assert_eq!(stretches(&tuesdays.any_day()).len(), 7);
        assert_eq!(stretches(&Times::default()).len(), 7);
        assert_eq!(tuesdays.to_string(), "on Tuesday from 16:00 to 20:00");
        assert_eq!(
            (tuesdays.any_day().to_string(), Times::default().to_string()),
            ("from 16:00 to 20:00".into(), String::new())
        );
    }

    #[test]
    fn parts_of_the_day_that_overlap_are_no_times() {
        let part = |from, until| TimesOfDay::new(from, until).unwrap();
        assert!(Times::new(Vec::new(), vec![part(0, 60), part(30, 90)]).is_none());
        assert!(Times::new(Vec::new(), vec![part(60, 90), part(0, 60)]).is_some());
        assert_eq!((TimesOfDay::new(60, 60), TimesOfDay::new(0, DAY_MINUTES + 1)), (None, None));
    }
}
