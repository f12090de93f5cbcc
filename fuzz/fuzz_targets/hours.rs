//! Weekly hours: any text is a time of day or none, and of any week the hours over any days in any zone are in order,
//! apart from each other, and those of the wall clock.

#![no_main]

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use stipple::domain::hours::{Stretch, Week};
use stipple::domain::interval::{Instant, Interval};
use stipple::domain::zone::{Zone, in_supported_years};
use stipple::rpc::parse::Fields;
use stipple::rpc::{pb, render};

/// Zones with what zones can have: clock changes by half an hour, at midnight, a day left out, offsets of minutes.
const ZONES: [&str; 8] = [
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "America/St_Johns",
    "Antarctica/Troll",
];
/// Longest span that is looked at, in minutes: hours are asked for a few months at most.
const LONGEST: u32 = 100 * 24 * 60;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    text: &'a str,
    stretches: Vec<(u8, u16, u16)>,
    zone: u8,
    start: i64,
    minutes: u32,
    looks: [u32; 4],
}

fuzz_target!(|input: Input| {
    let hours = |weekday: i32, opens: &str, closes: &str| {
        let hours = pb::WeeklyHours { weekday, opens: opens.into(), closes: closes.into() };
        Fields::default().stretch("hours", &hours).map(|stretch| (hours, stretch))
    };
    let (opens, closes) = input.text.split_once(' ').unwrap_or((input.text, "24:00"));
    // A text that is taken is said again as it was.
    if let Some((hours, stretch)) = hours(1, opens, closes) {
        assert_eq!(render::weekly_hours(stretch), hours);
    }
    let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    let stretches = input.stretches.iter().take(50).filter_map(|(weekday, from, to)| {
        Some(hours(i32::from(weekday % 8), &clock(from % 1500), &clock(to % 1500))?.1)
    });
    let Some(week) = Week::new(stretches.collect()) else { return };
    let zone = Zone::from_name(ZONES[usize::from(input.zone) % ZONES.len()]).expect("a zone");
    // Within the supported years, and a little beyond.
    let start = 946_684_800 - 86_400 + input.start.rem_euclid(3_187_296_000 + 2 * 86_400);
    let minutes = i64::from(input.minutes % LONGEST);
    let Some(start) = DateTime::from_timestamp(start, 0) else { return };
    let Some(span) = Interval::new(start, start + TimeDelta::minutes(minutes)) else { return };
    let calendar = week.calendar(zone, &[span]);
    for pair in calendar.intervals().windows(2) {
        assert!(pair[0].end() < pair[1].start(), "{pair:?}");
    }
    for look in input.looks {
        let at = start + TimeDelta::minutes(i64::from(look).rem_euclid(minutes.max(1)));
        if in_supported_years(at) && steady(zone, at) {
            let found = calendar.intervals().iter().any(|open| open.start() <= at && at < open.end());
            assert_eq!(found, open(&week, zone, at), "{at} {week:?}");
        }
    }
});

/// Whether the wall clock shows what is in the hours.
fn open(week: &Week, zone: Zone, at: Instant) -> bool {
    let local = zone.local(at);
    let seconds = i64::from(local.num_seconds_from_midnight());
    let within = |stretch: &Stretch| {
        stretch.weekday() == local.weekday()
            && (i64::from(stretch.from()) * 60..i64::from(stretch.to()) * 60).contains(&seconds)
    };
    week.stretches().iter().any(within)
}

/// Whether the clock is not changed within a day.
fn steady(zone: Zone, at: Instant) -> bool {
    let offset = |at: Instant| zone.local(at) - at.naive_utc();
    (-24..=24).all(|hours| offset(at + TimeDelta::hours(hours)) == offset(at))
}
