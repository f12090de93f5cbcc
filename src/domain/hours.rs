//! Hours that recur every week on a wall clock.

use chrono::{Datelike, Days, NaiveTime, TimeDelta, Weekday};

use super::calendar::Calendar;
use super::interval::{Instant, Interval};
use super::zone::Zone;

/// Minutes of a day.
pub const DAY_MINUTES: i32 = 24 * 60;

/// One stretch of a weekday, in minutes after midnight, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    /// ISO weekday: 1 Monday to 7 Sunday.
    weekday: i16,
    from: i32,
    to: i32,
}

impl Stretch {
    /// The stretch, unless it is empty or leaves its day.
    pub fn new(weekday: Weekday, from: i32, to: i32) -> Option<Self> {
        let weekday = i16::try_from(weekday.number_from_monday()).ok()?;
        (0 <= from && from < to && to <= DAY_MINUTES).then_some(Self { weekday, from, to })
    }

    /// ISO weekday: 1 Monday to 7 Sunday.
    pub const fn iso_weekday(self) -> i16 {
        self.weekday
    }

    /// The weekday.
    pub fn weekday(self) -> Weekday {
        weekday_from_iso(self.weekday).unwrap_or_else(|| unreachable!("a stretch is of a weekday"))
    }

    /// The first minute.
    pub const fn from(self) -> i32 {
        self.from
    }

    /// The first minute after it.
    pub const fn to(self) -> i32 {
        self.to
    }
}

/// The weekday with that ISO number.
pub fn weekday_from_iso(number: i16) -> Option<Weekday> {
    u8::try_from(number).ok().and_then(|n| n.checked_sub(1)).and_then(|n| Weekday::try_from(n).ok())
}

/// A week's hours: stretches that do not overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Week(Vec<Stretch>);

impl Week {
    /// The week, unless two of its stretches overlap.
    pub fn new(mut stretches: Vec<Stretch>) -> Option<Self> {
        stretches.sort_unstable();
        let apart = stretches.windows(2).all(|pair| match pair {
            [a, b] => a.weekday != b.weekday || a.to <= b.from,
            _ => true,
        });
        apart.then_some(Self(stretches))
    }

    /// Its stretches in order.
    pub fn stretches(&self) -> &[Stretch] {
        &self.0
    }

    /// The instants that lie in these hours, on every local day that `span` touches.
    pub fn within(&self, zone: Zone, span: Interval) -> Vec<Interval> {
        let mut open = Vec::new();
        let last = zone.day(span.end());
        let mut day = zone.day(span.start());
        while day <= last {
            let weekday = i16::try_from(day.weekday().number_from_monday()).unwrap_or_default();
            let at = |minutes: i32| -> Instant {
                zone.instant(day.and_time(NaiveTime::MIN) + TimeDelta::minutes(i64::from(minutes)))
            };
            open.extend(
                self.0
                    .iter()
                    .filter(|stretch| stretch.weekday == weekday)
                    .filter_map(|stretch| Interval::new(at(stretch.from), at(stretch.to))),
            );
            let Some(next) = day.checked_add_days(Days::new(1)) else { break };
            day = next;
        }
        open
    }

    /// The same as a calendar over several spans.
    pub fn calendar(&self, zone: Zone, spans: &[Interval]) -> Calendar {
        Calendar::union(spans.iter().flat_map(|span| self.within(zone, *span)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: &str, end: &str) -> Interval {
        Interval::new(start.parse().unwrap(), end.parse().unwrap()).unwrap()
    }

    #[test]
    fn hours_follow_the_wall_clock_across_a_clock_change() {
        let zone = Zone::from_name("Europe/Berlin").unwrap();
        let week = Week::new(vec![Stretch::new(Weekday::Sun, 9 * 60, 17 * 60).unwrap()]).unwrap();
        let open = week.within(zone, span("2026-03-22T00:00:00Z", "2026-03-30T00:00:00Z"));
        assert_eq!(
            open,
            vec![
                span("2026-03-22T08:00:00Z", "2026-03-22T16:00:00Z"),
                span("2026-03-29T07:00:00Z", "2026-03-29T15:00:00Z")
            ]
        );
    }

    #[test]
    fn hours_until_midnight_join_those_from_midnight() {
        let zone = Zone::from_name("Asia/Kathmandu").unwrap();
        let week = Week::new(vec![
            Stretch::new(Weekday::Mon, 20 * 60, DAY_MINUTES).unwrap(),
            Stretch::new(Weekday::Tue, 0, 120).unwrap(),
        ])
        .unwrap();
        let calendar = week.calendar(zone, &[span("2026-01-05T00:00:00Z", "2026-01-07T00:00:00Z")]);
        assert_eq!(calendar.intervals(), &[span("2026-01-05T14:15:00Z", "2026-01-05T20:15:00Z")]);
    }

    #[test]
    fn overlapping_stretches_are_no_week() {
        let stretch = |from, to| Stretch::new(Weekday::Mon, from, to).unwrap();
        assert!(Week::new(vec![stretch(0, 60), stretch(30, 90)]).is_none());
        assert!(Week::new(vec![stretch(0, 60), stretch(60, 90)]).is_some());
        assert_eq!(Stretch::new(Weekday::Mon, 60, 60), None);
        assert_eq!(Stretch::new(Weekday::Mon, 60, DAY_MINUTES + 1), None);
    }
}
