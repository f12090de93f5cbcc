//! Calendar files: what a clinic is called, whatever it is called, is read back by another parser as it was written.

#![no_main]

use calcard::icalendar::{ICalendar, ICalendarComponentType, ICalendarProperty};
use chrono::{DateTime, TimeDelta};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use stipple::domain::agenda::{Agenda, Entry};
use stipple::domain::ids::AppointmentId;
use stipple::domain::interval::Interval;
use stipple::domain::text::Label;
use stipple::domain::zone::Zone;
use stipple::rpc::agenda::rendered;
use uuid::Uuid;

#[derive(Debug, Arbitrary)]
struct Visit<'a> {
    clinic: &'a str,
    id: u128,
    start: u32,
    minutes: u16,
    takes_place: bool,
    revision: u32,
}

fuzz_target!(|visits: Vec<Visit>| {
    let entries: Vec<Entry> = visits.iter().filter_map(entry).collect();
    let file = rendered(&Agenda { revision: 1, entries: Some(entries.clone()) });
    assert!(file.split("\r\n").all(|line| line.len() <= 75 && !line.contains(['\r', '\n'])), "{file:?}");
    let calendar = ICalendar::parse(&file).expect("a calendar");
    let events: Vec<_> = calendar
        .components
        .iter()
        .filter(|component| component.component_type == ICalendarComponentType::VEvent)
        .collect();
    assert_eq!(events.len(), entries.len(), "{file:?}");
    for (event, entry) in events.iter().zip(&entries) {
        let text = |property| event.property(&property).and_then(|found| found.values[0].as_text());
        assert_eq!(event.uid(), Some(entry.first.to_string().as_str()));
        assert_eq!(text(ICalendarProperty::Location), Some(entry.clinic.as_str()), "{file:?}");
        assert_eq!(text(ICalendarProperty::Summary), Some("Appointment"));
    }
});

fn entry(visit: &Visit) -> Option<Entry> {
    let start = DateTime::from_timestamp(i64::from(visit.start), 0)?;
    Some(Entry {
        first: AppointmentId(Uuid::from_u128(visit.id)),
        clinic: Label::new(visit.clinic).ok()?,
        zone: Zone::from_name("Europe/Berlin")?,
        during: Interval::new(start, start + TimeDelta::minutes(i64::from(visit.minutes)))?,
        takes_place: visit.takes_place,
        revision: i64::from(visit.revision),
        changed_at: start,
    })
}
