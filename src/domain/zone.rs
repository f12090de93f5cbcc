//! Wall clocks: where local time becomes an instant, and the other way round.

use std::fmt;

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, TimeZone, Utc};

use super::interval::Instant;

/// An IANA time zone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Zone(chrono_tz::Tz);

impl Zone {
    /// The zone of that name, for example `Europe/Berlin`.
    pub fn from_name(name: &str) -> Option<Self> {
        name.parse().ok().map(Self)
    }

    /// Its IANA name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The instant at which the wall clock shows `local`. A time that the clock skips is read as the moment of the
    /// skip; of a time that it shows twice, the earlier is taken.
    pub fn instant(self, local: NaiveDateTime) -> Instant {
        match self.0.from_local_datetime(&local) {
            LocalResult::Single(at) => at.with_timezone(&Utc),
            LocalResult::Ambiguous(earlier, _later) => earlier.with_timezone(&Utc),
            LocalResult::None => self.end_of_skip(local),
        }
    }

    /// The first instant after a skip of the wall clock that contains `local`.
    fn end_of_skip(self, local: NaiveDateTime) -> Instant {
        // Within a day around the skip, local time of an instant only steps over `local` once: halve until found.
        let (mut before, mut after) = (
            Utc.from_utc_datetime(&(local - TimeDelta::hours(36))),
            Utc.from_utc_datetime(&(local + TimeDelta::hours(36))),
        );
        while after - before > TimeDelta::seconds(1) {
            let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
            if self.local(middle) < local {
                before = middle;
            } else {
                after = middle;
            }
        }
        after
    }

    /// What the wall clock shows at an instant.
    pub fn local(self, at: Instant) -> NaiveDateTime {
        at.with_timezone(&self.0).naive_local()
    }

    /// The calendar day at an instant.
    pub fn day(self, at: Instant) -> NaiveDate {
        self.local(at).date()
    }

    /// The instant at which a calendar day begins.
    pub fn midnight(self, day: NaiveDate) -> Instant {
        self.instant(day.and_time(NaiveTime::MIN))
    }

    /// The same time of day, `days` calendar days later (earlier, if negative).
    pub fn plus_days(self, at: Instant, days: i64) -> Instant {
        self.instant(self.local(at) + TimeDelta::days(days))
    }

    /// An instant as people at the clinic write it, with the offset: `2026-03-29T10:00:00+02:00`.
    pub fn written(self, at: Instant) -> String {
        at.with_timezone(&self.0).to_rfc3339_opts(SecondsFormat::Secs, false)
    }

    /// An instant as people at the clinic say it: `Sunday 29 March 2026, 10:00`. In the hour that the clock shows twice,
    /// it is said twice.
    pub fn in_words(self, at: Instant) -> String {
        self.local(at).format("%A %-d %B %Y, %H:%M").to_string()
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The first year that requests may name.
pub const FIRST_YEAR: i32 = 2000;
/// The last year that requests may name.
pub const LAST_YEAR: i32 = 2100;

/// Whether an instant lies in the years that requests may name.
pub fn in_supported_years(at: DateTime<Utc>) -> bool {
    use chrono::Datelike;
    (FIRST_YEAR..=LAST_YEAR).contains(&at.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        Zone::from_name(name).unwrap()
    }

    fn local(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_that_the_clock_skips_is_the_moment_of_the_skip() {
        let berlin = zone("Europe/Berlin");
        assert_eq!(berlin.instant(local("2026-03-29T02:30:00")), local("2026-03-29T01:00:00").and_utc());
        // Lord Howe Island moves its clock by half an hour.
        let lord_howe = zone("Australia/Lord_Howe");
        let skip = lord_howe.instant(local("2026-10-04T02:15:00"));
        assert_eq!(lord_howe.local(skip), local("2026-10-04T02:30:00"));
    }

    #[test]
    fn a_time_that_the_clock_shows_twice_is_the_earlier() {
        assert_eq!(zone("Europe/Berlin").instant(local("2026-10-25T02:30:00")), local("2026-10-25T00:30:00").and_utc());
    }

    #[test]
    fn a_day_without_a_midnight_begins_when_the_clock_jumps() {
        let beirut = zone("Asia/Beirut");
        let day: NaiveDate = "2026-03-29".parse().unwrap();
        assert_eq!(beirut.local(beirut.midnight(day)), local("2026-03-29T01:00:00"));
    }

    #[test]
    fn days_keep_the_time_of_day_across_a_clock_change() {
        let berlin = zone("Europe/Berlin");
        let start = berlin.instant(local("2026-03-01T10:00:00"));
        let end = berlin.plus_days(start, 28);
        assert_eq!(berlin.local(end), local("2026-03-29T10:00:00"));
        assert_eq!(end - start, TimeDelta::hours(28 * 24 - 1));
    }

    #[test]
    fn instants_are_written_with_their_offset() {
        assert_eq!(zone("Asia/Kathmandu").written(local("2026-01-01T00:00:00").and_utc()), "2026-01-01T05:45:00+05:45");
    }

    #[test]
    fn instants_are_said_as_the_wall_clock_shows_them() {
        let said = |name: &str, at: &str| zone(name).in_words(local(at).and_utc());
        assert_eq!(said("Europe/Berlin", "2026-03-29T00:59:00"), "Sunday 29 March 2026, 01:59");
        assert_eq!(said("Europe/Berlin", "2026-03-29T01:00:00"), "Sunday 29 March 2026, 03:00");
        for twice in ["2026-10-25T00:30:00", "2026-10-25T01:30:00"] {
            assert_eq!(said("Europe/Berlin", twice), "Sunday 25 October 2026, 02:30");
        }
        assert_eq!(said("Pacific/Auckland", "2026-08-31T12:00:00"), "Tuesday 1 September 2026, 00:00");
        let names = |at: &dyn Fn(i64) -> String, count: i64| (0..count).map(at).collect::<Vec<_>>().join(" ");
        let start = local("2026-01-05T00:00:00").and_utc();
        let word = |days: i64, place: usize| {
            let said = zone("UTC").in_words(start + TimeDelta::days(days));
            said.split(' ').nth(place).unwrap().to_owned()
        };
        let days = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday";
        assert_eq!(names(&|day| word(day, 0), 7), days);
        let months = "January February March April May June July August September October November December";
        assert_eq!(names(&|month| word(31 * month, 2), 12), months);
    }
}
