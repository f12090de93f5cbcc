//! The calendar days of a window at a clinic, and what a wall clock says about its ticks.

use std::ops::Range;

use chrono::{Datelike, Days as DayCount, NaiveDate, NaiveTime, TimeDelta, Timelike, Weekday};

use super::ticks::{Ticks, Window, count, ticks_of};
use crate::domain::catalog::GRID_MINUTES;
use crate::domain::hours::{DAY_MINUTES, Week};
use crate::domain::interval::Interval;
use crate::domain::zone::Zone;

/// One calendar day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// Which.
    pub date: NaiveDate,
    /// Its ticks, as far as they are in the window.
    pub ticks: Range<usize>,
    /// The tick at which it begins, also outside of the window; none on a day whose clock does not run through from
    /// 0:00 to 24:00.
    even: Option<i64>,
}

/// The days that a window touches, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Days {
    zone: Zone,
    window: Window,
    in_order: Vec<Day>,
}

impl Days {
    /// The days of a window.
    pub fn new(zone: Zone, window: Window) -> Self {
        let mut in_order = Vec::new();
        let Some(span) = window.span() else { return Self { zone, window, in_order } };
        let mut date = zone.day(span.start());
        let mut start = zone.midnight(date);
        while start < span.end() {
            let Some(next) = date.checked_add_days(DayCount::new(1)) else { break };
            let end = zone.midnight(next);
            let (first, last) = (window.tick_from(start), window.tick_from(end));
            let even = end - start == TimeDelta::days(1) && zone.local(start).time() == NaiveTime::MIN;
            in_order.push(Day { date, ticks: window.clip(first, last), even: even.then_some(first) });
            (date, start) = (next, end);
        }
        Self { zone, window, in_order }
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.in_order.len() * size_of::<Day>()
    }

    /// All of them.
    pub fn all(&self) -> &[Day] {
        &self.in_order
    }

    /// Those from one date to another, both inclusive.
    pub fn between(&self, first: NaiveDate, last: NaiveDate) -> &[Day] {
        let from = self.in_order.partition_point(|day| day.date < first);
        let to = self.in_order.partition_point(|day| day.date <= last);
        self.in_order.get(from..to).unwrap_or_default()
    }

    /// The ticks from one date to another, both inclusive.
    pub fn ticks_between(&self, first: NaiveDate, last: NaiveDate) -> Range<usize> {
        match self.between(first, last) {
            [] => 0..0,
            [only] => only.ticks.clone(),
            [first, .., last] => first.ticks.start..last.ticks.end,
        }
    }

    /// The same days over a part of the window.
    #[must_use]
    pub fn cut(&self, window: Window) -> Self {
        let Some(span) = window.span() else { return Self { zone: self.zone, window, in_order: Vec::new() } };
        let shift = self.window.tick_at(span.start());
        let place = |tick: usize| i64::try_from(tick).unwrap_or(i64::MAX) - shift;
        let days = self.in_order.iter().filter_map(|day| {
            let ticks = window.clip(place(day.ticks.start), place(day.ticks.end));
            let even = day.even.map(|first| first - shift);
            (!ticks.is_empty()).then_some(Day { date: day.date, ticks, even })
        });
        Self { zone: self.zone, window, in_order: days.collect() }
    }

    /// The ticks that lie wholly in recurring hours; stretches that touch are one.
    pub fn within(&self, week: &Week) -> Ticks {
        let mut ticks = Ticks::none(self.window);
        let joined = joined(week);
        for day in &self.in_order {
            for (_, from, to) in joined.iter().filter(|(weekday, ..)| *weekday == day.date.weekday()) {
                let run = match day.even {
                    Some(first) => {
                        let up = ticks_of(i64::from(from + GRID_MINUTES - 1));
                        self.window.clip(first + up, first + ticks_of(i64::from(*to)))
                    }
                    None => self.uneven(day.date, *from, *to),
                };
                ticks.add(run);
            }
        }
        ticks
    }

    /// The starts of visits, so many minutes long, that lie wholly in recurring hours.
    pub fn visits_within(&self, week: &Week, minutes: i64) -> Ticks {
        self.within(week).eroded(0, count(minutes))
    }

    fn uneven(&self, date: NaiveDate, from: i32, to: i32) -> Range<usize> {
        let at =
            |minutes: i32| self.zone.instant(date.and_time(NaiveTime::MIN) + TimeDelta::minutes(i64::from(minutes)));
        Interval::new(at(from), at(to)).map_or(0..0, |interval| self.window.inside(interval))
    }

    /// The ticks that begin at a multiple of so many minutes of the wall clock.
    pub fn on_grid(&self, minutes: i32) -> Ticks {
        if minutes <= GRID_MINUTES {
            return Ticks::all(self.window);
        }
        let mut ticks = Ticks::none(self.window);
        let step = count(i64::from(minutes)).max(1);
        for day in &self.in_order {
            match day.even.and_then(|first| usize::try_from(first).ok()) {
                Some(first) => (first..day.ticks.end).step_by(step).for_each(|tick| ticks.add(tick..tick + 1)),
                None => {
                    for tick in day.ticks.clone() {
                        let time = self.zone.local(self.window.instant(tick)).time();
                        if time.num_seconds_from_midnight().is_multiple_of(minutes.unsigned_abs() * 60) {
                            ticks.add(tick..tick + 1);
                        }
                    }
                }
            }
        }
        ticks
    }
}

/// The stretches of a week, those of a day that touch as one.
fn joined(week: &Week) -> Vec<(Weekday, i32, i32)> {
    let mut joined: Vec<(Weekday, i32, i32)> = Vec::new();
    for stretch in week.stretches() {
        let weekday = stretch.weekday();
        match joined.last_mut() {
            Some((before, _, to)) if *before == weekday && *to == stretch.from() => *to = stretch.to(),
            Some(_) | None => joined.push((weekday, stretch.from(), stretch.to())),
        }
    }
    debug_assert!(joined.iter().all(|(_, from, to)| from < to && *to <= DAY_MINUTES));
    joined
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::hours::Stretch;
    use crate::domain::interval::Instant;

    /// Zones whose offsets are no whole hours, or whose clocks change by half an hour, at midnight or not at all.
    const ZONES: [&str; 6] = [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Asia/Beirut",
        "Pacific/Chatham",
    ];

    fn instant(minutes: i64) -> Instant {
        "2026-01-01T00:00:00Z".parse::<Instant>().unwrap() + TimeDelta::minutes(minutes)
    }

    fn cases() -> impl Strategy<Value = (Days, Window)> {
        // A year and a half from the beginning of 2026: clocks change in both directions.
        (0..ZONES.len(), 0..790_000_i64, 1..12_i64).prop_map(|(zone, from, days)| {
            let window = Window::new(Interval::new(instant(from), instant(from + days * 1_440)).unwrap());
            (Days::new(Zone::from_name(ZONES[zone]).unwrap(), window), window)
        })
    }

    /// Around the nights in which clocks change.
    fn nights() -> impl Strategy<Value = (Days, Window)> {
        let nights = prop_oneof![
            Just("2026-03-08T07:00:00Z"),
            Just("2026-03-28T22:00:00Z"),
            Just("2026-03-29T01:00:00Z"),
            Just("2026-04-04T15:00:00Z"),
            Just("2026-09-26T14:00:00Z"),
            Just("2026-10-03T15:30:00Z"),
            Just("2026-10-24T21:00:00Z"),
            Just("2026-10-25T01:00:00Z"),
            Just("2026-11-01T06:00:00Z"),
        ];
        (0..ZONES.len(), nights, 0..3_000_i64, 60..3_000_i64).prop_map(|(zone, night, before, after)| {
            let night: Instant = night.parse().unwrap();
            let span = Interval::new(night - TimeDelta::minutes(before), night + TimeDelta::minutes(after)).unwrap();
            let window = Window::new(span);
            (Days::new(Zone::from_name(ZONES[zone]).unwrap(), window), window)
        })
    }

    fn weeks() -> impl Strategy<Value = Week> {
        prop::collection::vec((0..7_u8, prop::collection::btree_set(0..=DAY_MINUTES, 0..6)), 0..7).prop_map(|days| {
            let mut stretches = Vec::new();
            let mut seen = std::collections::BTreeSet::new();
            for (weekday, bounds) in days {
                if seen.insert(weekday) {
                    let bounds: Vec<i32> = bounds.into_iter().collect();
                    let day = Weekday::try_from(weekday).unwrap();
                    stretches
                        .extend(bounds.windows(2).step_by(1).filter_map(|pair| Stretch::new(day, pair[0], pair[1])));
                }
            }
            Week::new(stretches).unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn hours_of_the_week_are_the_same_as_instants_and_as_ticks(
            (days, window) in prop_oneof![cases(), nights()], week in weeks(),
        ) {
            let around = Interval::new(window.instant(0) - TimeDelta::days(2), window.instant(window.ticks()) + TimeDelta::days(2));
            let calendar = week.calendar(days.zone, &[around.unwrap()]);
            let ticks = days.within(&week);
            for tick in 0..window.ticks() {
                let during = Interval::new(window.instant(tick), window.instant(tick + 1)).unwrap();
                prop_assert_eq!(ticks.has(tick), calendar.covers(during), "{:?}", during);
            }
        }

        #[test]
        fn every_tick_is_on_the_day_and_the_grid_that_the_wall_clock_shows(
            (days, window) in prop_oneof![cases(), nights()], grid in (1..13_i32).prop_map(|ticks| ticks * 5),
        ) {
            let on_grid = days.on_grid(grid);
            let mut counted = 0;
            for day in days.all() {
                for tick in day.ticks.clone() {
                    let local = days.zone.local(window.instant(tick));
                    prop_assert_eq!(local.date(), day.date);
                    let minutes = local.time().num_seconds_from_midnight() / 60;
                    prop_assert_eq!(on_grid.has(tick), minutes % grid.unsigned_abs() == 0);
                    counted += 1;
                }
            }
            prop_assert_eq!(counted, window.ticks());
        }

        #[test]
        fn days_that_are_cut_are_those_of_the_smaller_window(
            (days, window) in prop_oneof![cases(), nights()], from in 0..2_000_usize, length in 1..900_usize, week in weeks(),
        ) {
            let from = from % window.ticks();
            let to = (from + length).min(window.ticks());
            let smaller = Window::new(Interval::new(window.instant(from), window.instant(to)).unwrap());
            let cut = days.cut(smaller);
            prop_assert_eq!(cut.within(&week), Days::new(days.zone, smaller).within(&week));
            prop_assert_eq!(cut.on_grid(30), Days::new(days.zone, smaller).on_grid(30));
        }
    }
}
