//! The waiting list: visits that patients would take if time came free.

use chrono::NaiveDate;

use super::appointment::Appointment;
use super::catalog::BodyArea;
use super::finding::Times;
use super::ids::{AppointmentId, ClinicId, PatientId, ResourceId, SeriesId, TreatmentId, WaitingId};
use super::interval::{Instant, Interval};
use super::refusal::{Other, Refusal, Rule, Violation};
use super::zone::Zone;

/// Longest window of days of an entry.
pub const MAX_WINDOW_DAYS: i64 = 400;

/// What is wished for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryFor {
    /// A treatment by itself.
    Treatment {
        /// The treatment.
        treatment: TreatmentId,
        /// The area.
        area: Option<BodyArea>,
    },
    /// A session of a series that is not booked.
    Session {
        /// The series.
        series: SeriesId,
        /// Which session, from 1.
        number: i32,
    },
}

/// When it would do, and with whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Where.
    pub clinic: ClinicId,
    /// Who has to treat; none for anybody.
    pub practitioner: Option<ResourceId>,
    /// The clinic's zone.
    pub zone: Zone,
    /// The first calendar day at the clinic that will do.
    pub first: NaiveDate,
    /// The last one.
    pub last: NaiveDate,
    /// Weekdays and hours.
    pub times: Times,
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryState {
    /// Nothing has come free for it yet; or what was held for it was released, or has ended.
    Waiting,
    /// Time is held for it.
    Offered(AppointmentId),
    /// What was held for it was booked.
    Booked(AppointmentId),
    /// Its session cannot be booked any more, or is booked otherwise.
    Moot,
    /// It is wished no more.
    Withdrawn {
        /// Since when.
        at: Instant,
    },
}

/// An entry of the waiting list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: WaitingId,
    /// Who waits.
    pub patient: PatientId,
    /// For what.
    pub what: EntryFor,
    /// When it would do.
    pub window: Window,
    /// Whether it comes before those that are not.
    pub is_urgent: bool,
    /// Since when.
    pub since: Instant,
    /// The revision that added it: who came first has the lower one.
    pub added_revision: i64,
    /// Where it stands.
    pub state: EntryState,
    /// Revision that last changed it.
    pub changed_revision: i64,
}

/// Time that comes free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freed {
    /// The visit that gives it up.
    pub appointment: AppointmentId,
    /// Whose it was.
    pub patient: PatientId,
    /// Where.
    pub clinic: ClinicId,
    /// The clinic's zone.
    pub zone: Zone,
    /// When.
    pub visit: Interval,
    /// What it occupied.
    pub resources: Vec<ResourceId>,
}

impl Freed {
    /// The time that a visit gives up; nothing if it has begun.
    pub fn of(visit: &Appointment, now: Instant) -> Option<Self> {
        (visit.visit.start() > now).then(|| Self {
            appointment: visit.id,
            patient: visit.patient,
            clinic: visit.clinic,
            zone: visit.zone,
            visit: visit.visit,
            resources: visit.occupied().map(|(resource, _)| resource).collect(),
        })
    }
}

/// Added to the rank of entries that are not urgent: more than there are revisions.
const NOT_URGENT: i64 = 1 << 62;

impl Entry {
    /// Its place among those who wait: the lower is offered time first.
    pub const fn rank(&self) -> i64 {
        if self.is_urgent { self.added_revision } else { NOT_URGENT + self.added_revision }
    }

    /// Whether it may go where time has come free, as far as the wish itself says: at that clinic, in its window of days, at
    /// hours and with the practitioner that it names. Whether the visit fits there is decided by booking it.
    pub fn wants(&self, freed: &Freed) -> bool {
        let Window { clinic, practitioner, zone: _, first, last, times } = &self.window;
        let days = freed.zone.day(freed.visit.start())..=freed.zone.day(freed.visit.end());
        self.state == EntryState::Waiting
            && *clinic == freed.clinic
            && days.start() <= last
            && first <= days.end()
            && practitioner.is_none_or(|practitioner| freed.resources.contains(&practitioner))
            && (!(times.names_weekdays() || times.names_parts())
                || times.week().within(freed.zone, freed.visit).iter().any(|hours| hours.overlaps(freed.visit)))
    }

    /// Whether its last day has passed while it waited.
    pub fn has_lapsed(&self, now: Instant) -> bool {
        self.state == EntryState::Waiting && self.window.last < self.window.zone.day(now)
    }

    /// A refusal unless time may be held for it.
    pub fn must_wait(&self) -> Result<(), Refusal> {
        let refuse = |text: &str, other: Option<AppointmentId>| {
            let other = other.map(Other::Appointment);
            Err(vec![Violation { other, ..Violation::new(Rule::NotWaiting, text) }])
        };
        match self.state {
            EntryState::Waiting => Ok(()),
            EntryState::Offered(held) => {
                refuse("time is held for it already; release that first, or book it with ConvertHold", Some(held))
            }
            EntryState::Booked(booked) => refuse("what was held for it was booked", Some(booked)),
            EntryState::Moot => {
                refuse("its session is booked otherwise, or the series has ended or become shorter", None)
            }
            EntryState::Withdrawn { .. } => refuse("it was withdrawn", None),
        }
    }
}

/// The entries that want something of what has come free, in the order in which they are offered it: those that are urgent
/// first, and among equals who has waited longest. Nobody is told of time that they have just given up.
pub fn ranked(mut entries: Vec<Entry>, freed: &[Freed]) -> Vec<(Entry, Vec<Freed>)> {
    entries.sort_by_key(Entry::rank);
    let wanting = entries.into_iter().map(|entry| {
        let wanted: Vec<Freed> =
            freed.iter().filter(|freed| freed.patient != entry.patient && entry.wants(freed)).cloned().collect();
        (entry, wanted)
    });
    wanting.filter(|(_, wanted)| !wanted.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use chrono::Weekday;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::finding::TimesOfDay;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn entry(id: u128) -> Entry {
        Entry {
            id: WaitingId(Uuid::from_u128(id)),
            patient: PatientId(Uuid::from_u128(id)),
            what: EntryFor::Treatment { treatment: TreatmentId(Uuid::nil()), area: None },
            window: Window {
                clinic: ClinicId(Uuid::nil()),
                practitioner: None,
                zone: Zone::from_name("Europe/Berlin").unwrap(),
                first: "2026-03-02".parse().unwrap(),
                last: "2026-03-04".parse().unwrap(),
                times: Times::default(),
            },
            is_urgent: false,
            since: at("2026-01-01T00:00:00Z"),
            added_revision: i64::try_from(id).unwrap(),
            state: EntryState::Waiting,
            changed_revision: 1,
        }
    }

    fn freed(start: &str, end: &str) -> Freed {
        Freed {
            appointment: AppointmentId(Uuid::nil()),
            patient: PatientId(Uuid::nil()),
            clinic: ClinicId(Uuid::nil()),
            zone: Zone::from_name("Europe/Berlin").unwrap(),
            visit: Interval::new(at(start), at(end)).unwrap(),
            resources: vec![ResourceId(Uuid::from_u128(7))],
        }
    }

    #[test]
    fn days_and_hours_are_those_of_the_clinic() {
        let entry = entry(1);
        // In Berlin it is the 2nd from 23:00 UTC on the day before on.
        assert!(entry.wants(&freed("2026-03-01T23:00:00Z", "2026-03-01T23:30:00Z")));
        assert!(!entry.wants(&freed("2026-03-01T22:00:00Z", "2026-03-01T22:30:00Z")));
        assert!(!entry.wants(&freed("2026-03-04T23:30:00Z", "2026-03-05T00:00:00Z")));
        let after_four = TimesOfDay::new(16 * 60, 24 * 60).unwrap();
        let times = Times::new(vec![Weekday::Tue], vec![after_four]).unwrap();
        let picky = Entry { window: Window { times, ..entry.window.clone() }, ..entry };
        assert!(picky.wants(&freed("2026-03-03T14:30:00Z", "2026-03-03T15:30:00Z")));
        assert!(!picky.wants(&freed("2026-03-03T14:00:00Z", "2026-03-03T15:00:00Z")));
        assert!(!picky.wants(&freed("2026-03-04T15:30:00Z", "2026-03-04T16:30:00Z")));
    }

    #[test]
    fn a_practitioner_who_is_named_has_to_be_the_one_who_is_free() {
        let with = |id: u128| {
            let entry = entry(1);
            Entry {
                window: Window { practitioner: Some(ResourceId(Uuid::from_u128(id))), ..entry.window.clone() },
                ..entry
            }
        };
        let morning = freed("2026-03-03T09:00:00Z", "2026-03-03T10:00:00Z");
        assert!(with(7).wants(&morning) && !with(8).wants(&morning));
        let elsewhere = Freed { clinic: ClinicId(Uuid::from_u128(9)), ..morning };
        assert!(!entry(1).wants(&elsewhere));
    }

    #[test]
    fn only_who_waits_is_offered_anything() {
        let id = AppointmentId(Uuid::nil());
        let morning = freed("2026-03-03T09:00:00Z", "2026-03-03T10:00:00Z");
        let ended = EntryState::Withdrawn { at: at("2026-01-01T00:00:00Z") };
        for state in [EntryState::Offered(id), EntryState::Booked(id), ended] {
            let entry = Entry { state, ..entry(1) };
            assert!(!entry.wants(&morning));
            assert_eq!(entry.must_wait().unwrap_err()[0].rule, Rule::NotWaiting);
        }
        assert!(ranked(vec![entry(0)], &[morning]).is_empty(), "it was theirs");
    }

    proptest! {
        #[test]
        fn among_equals_who_came_first_is_first(order in Just((1..20u128).collect::<Vec<_>>()).prop_shuffle(),
                                                urgent in proptest::collection::btree_set(1..20u128, 0..5)) {
            let entries = order.iter().map(|id| Entry { is_urgent: urgent.contains(id), ..entry(*id) }).collect();
            let morning = freed("2026-03-03T09:00:00Z", "2026-03-03T10:00:00Z");
            let ids: Vec<u128> = ranked(entries, &[morning]).iter().map(|(entry, _)| entry.id.0.as_u128()).collect();
            let expected: Vec<u128> =
                urgent.iter().copied().chain((1..20).filter(|id| !urgent.contains(id))).collect();
            prop_assert_eq!(ids, expected);
        }
    }
}
