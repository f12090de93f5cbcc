//! What a patient is told of their visits, and when. Nothing is planned ahead: what is due follows from the visits as they
//! are, so that nothing has to be cancelled or moved with them.

use chrono::TimeDelta;

use super::aftercare::AftercareWindow;
use super::assessment::AssessmentDue;
use super::ids::{AppointmentId, ClinicId, MessageId, PatientId, SeriesId};
use super::interval::{Instant, Interval};
use super::named_enum;
use super::zone::Zone;

named_enum! {
    /// What a message tells.
    pub enum MessageKind {
        /// A visit was booked.
        Booked = "booked",
        /// A visit of which the patient was told has another time or place.
        Moved = "moved",
        /// A visit of which the patient was told does not take place.
        Cancelled = "cancelled",
        /// A visit is seven days ahead.
        SevenDays = "reminder_7_days",
        /// A visit is 48 hours ahead.
        TwoDays = "reminder_48_hours",
        /// A visit is 24 hours ahead.
        OneDay = "reminder_24_hours",
        /// What to leave alone before a visit.
        PreCare = "pre_care",
        /// What to leave alone and to do after a visit.
        Aftercare = "aftercare",
        /// How the skin is two days after a needling.
        Check = "check_2_days",
        /// An assessment after the last session is due and not booked.
        AssessmentDue = "assessment_due",
    }
}

/// Most messages that are taken at once.
pub const MAX_TAKEN: i32 = 500;
/// Unless the caller says otherwise.
pub const DEFAULT_TAKEN: i32 = 100;
/// Most bytes of instructions that are taken at once; callers take messages of 4 MiB unless told otherwise.
const MAX_INSTRUCTION_BYTES: usize = 2 * 1024 * 1024;
/// How long a booking is news, in days; later its reminders tell of it.
const NEWS_DAYS: i64 = 7;
/// How long a cancellation is still told, in days.
const CANCELLED_DAYS: i64 = 31;
/// How far ahead the first reminder is, in calendar days.
const FIRST_REMINDER_DAYS: i64 = 7;
/// How far ahead the others are, in hours.
const SECOND_REMINDER_HOURS: i64 = 48;
const LAST_REMINDER_HOURS: i64 = 24;
/// How long before the first thing that must be left alone the patient is told of it, in calendar days.
const PRE_CARE_DAYS: i64 = 1;
/// How long after the completion of a visit its aftercare is still told, in days.
const AFTERCARE_DAYS: i64 = 7;
/// How long after a needling its patient is asked, in calendar days; and until when, if nobody has.
const CHECK_DAYS: i64 = 2;
const LAST_CHECK_DAYS: i64 = 7;

/// Where a visit stands, as far as messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is booked, and its patient has not come yet.
    Ahead,
    /// It was cancelled, and not for another time.
    Cancelled {
        /// When.
        at: Instant,
    },
    /// It took place.
    Performed {
        /// When it really began.
        start: Instant,
        /// When it was completed.
        completed_at: Instant,
    },
}

/// A visit as its patient was told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The appointment.
    pub appointment: AppointmentId,
    /// Where.
    pub clinic: ClinicId,
    /// When.
    pub start: Instant,
}

/// A visit with all that decides what is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The appointment.
    pub appointment: AppointmentId,
    /// Where.
    pub clinic: ClinicId,
    /// The clinic's zone.
    pub zone: Zone,
    /// When.
    pub visit: Interval,
    /// When it was booked, or moved here.
    pub booked_at: Instant,
    /// Where it stands.
    pub stands: Standing,
    /// Whether it needles.
    pub needles: bool,
    /// From when on something must be left alone before it; none if nothing has to.
    pub pre_care_from: Option<Instant>,
    /// Until when something must be left alone or done after it; none if nothing has to.
    pub aftercare_until: Option<Instant>,
    /// Of the appointments that it was moved from the one of which the patient was told last.
    pub told_before: Option<Told>,
    /// Whether what to leave alone before a visit then and there was told of any of them.
    pub prepared: bool,
    /// What was taken about it.
    pub taken: Vec<MessageKind>,
}

/// A message that is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// Since when.
    pub at: Instant,
    /// The visit that it is about.
    pub appointment: AppointmentId,
    /// What it tells.
    pub kind: MessageKind,
    /// Which assessment is due; none for any other kind.
    pub assessment: Option<i32>,
    /// The appointment of which the patient was told last, where that is not so any more.
    pub told: Option<AppointmentId>,
}

impl Topic {
    /// What is due about it.
    pub fn due(&self, now: Instant) -> Vec<Due> {
        match self.stands {
            Standing::Ahead => self.ahead(now),
            Standing::Cancelled { at } => self.called_off(at, now).into_iter().collect(),
            Standing::Performed { start, completed_at } => self.behind(start, completed_at, now),
        }
    }

    fn has(&self, kind: MessageKind) -> bool {
        self.taken.contains(&kind)
    }

    /// The message, if it is due from `at` on and nobody took it.
    fn message(&self, kind: MessageKind, at: Instant, now: Instant) -> Option<Due> {
        let due = Due { at, appointment: self.appointment, kind, assessment: None, told: None };
        (at <= now && !self.has(kind)).then_some(due)
    }

    fn ahead(&self, now: Instant) -> Vec<Due> {
        let start = self.visit.start();
        if start <= now {
            return Vec::new();
        }
        let knows = self.prepared && self.told_before.is_some_and(|told| self.is_where(told));
        let pre_care = self.pre_care_from.filter(|_| !knows).and_then(|from| {
            let at = self.zone.plus_days(from, -PRE_CARE_DAYS).max(self.booked_at);
            self.message(MessageKind::PreCare, at, now)
        });
        self.news(now).into_iter().chain(self.reminder(now)).chain(pre_care).collect()
    }

    /// Whether the patient was told of the same place and time.
    fn is_where(&self, told: Told) -> bool {
        (told.clinic, told.start) == (self.clinic, self.visit.start())
    }

    /// That it was booked; or moved, if the patient was told of another time or place.
    fn news(&self, now: Instant) -> Option<Due> {
        if self.has(MessageKind::Booked) || self.has(MessageKind::Moved) {
            return None;
        }
        match self.told_before {
            None => {
                let fresh = now < self.booked_at + TimeDelta::days(NEWS_DAYS);
                self.message(MessageKind::Booked, self.booked_at, now).filter(|_| fresh)
            }
            Some(told) if self.is_where(told) => None,
            Some(told) => {
                let moved = self.message(MessageKind::Moved, self.booked_at, now)?;
                Some(Due { told: Some(told.appointment), ..moved })
            }
        }
    }

    /// The reminder whose time it is: each gives way to the next, and none looks back to before the booking.
    fn reminder(&self, now: Instant) -> Option<Due> {
        let start = self.visit.start();
        let first = self.zone.plus_days(start, -FIRST_REMINDER_DAYS);
        let second = start - TimeDelta::hours(SECOND_REMINDER_HOURS);
        let last = start - TimeDelta::hours(LAST_REMINDER_HOURS);
        let (kind, at) = if now >= last {
            (MessageKind::OneDay, last)
        } else if now >= second {
            (MessageKind::TwoDays, second)
        } else {
            (MessageKind::SevenDays, first)
        };
        self.message(kind, at, now).filter(|_| self.booked_at < at)
    }

    /// That it does not take place, if the patient was told that it does and would still come.
    fn called_off(&self, at: Instant, now: Instant) -> Option<Due> {
        let this = Told { appointment: self.appointment, clinic: self.clinic, start: self.visit.start() };
        let told = if self.taken.is_empty() { self.told_before? } else { this };
        let cancelled = self.message(MessageKind::Cancelled, at, now)?;
        let would_come = now < told.start.min(at + TimeDelta::days(CANCELLED_DAYS));
        would_come.then_some(Due { told: Some(told.appointment), ..cancelled })
    }

    fn behind(&self, start: Instant, completed_at: Instant, now: Instant) -> Vec<Due> {
        let told_until = completed_at + TimeDelta::days(AFTERCARE_DAYS);
        let counts = self.aftercare_until.is_some_and(|until| now < until.min(told_until));
        let aftercare = self.message(MessageKind::Aftercare, completed_at, now).filter(|_| counts);
        let check_at = self.zone.plus_days(start, CHECK_DAYS).max(completed_at);
        let check_until = self.zone.plus_days(start, LAST_CHECK_DAYS);
        let check = self.message(MessageKind::Check, check_at, now).filter(|_| self.needles && now < check_until);
        aftercare.into_iter().chain(check).collect()
    }
}

/// An assessment that follows the last session of a series, which took place, and has neither its result nor a visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAssessment {
    /// Which assessment of the protocol, from 1.
    pub number: i32,
    /// When it is due.
    pub due: AssessmentDue,
    /// The last session.
    pub session: AppointmentId,
    /// The zone of its clinic.
    pub zone: Zone,
    /// When it really began.
    pub start: Instant,
    /// When it was completed.
    pub completed_at: Instant,
}

impl OpenAssessment {
    /// The message that it is due: from its first day to its last.
    pub fn due(&self, now: Instant) -> Option<Due> {
        let (from, _, until) = self.due.days(self.zone.day(self.start));
        let at = self.zone.midnight(from?).max(self.completed_at);
        let is_due = at <= now && self.zone.day(now) <= until;
        is_due.then_some(Due {
            at,
            appointment: self.session,
            kind: MessageKind::AssessmentDue,
            assessment: Some(self.number),
            told: None,
        })
    }
}

/// A message that was taken, as it is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// What it tells.
    pub kind: MessageKind,
    /// Which assessment is due; none for any other kind.
    pub assessment: Option<i32>,
    /// The visit that it is about, or the last session before an assessment.
    pub appointment: AppointmentId,
    /// Whom to tell.
    pub patient: PatientId,
    /// Where the visit is.
    pub clinic: ClinicId,
    /// The clinic's zone.
    pub zone: Zone,
    /// When the visit begins.
    pub start: Instant,
    /// The series that the visit is a session of, or follows.
    pub series: Option<SeriesId>,
    /// Which session it is; none for any other visit.
    pub session: Option<i32>,
    /// Since when it was due.
    pub due_at: Instant,
    /// When it was taken.
    pub taken_at: Instant,
    /// The visit as the patient was told of it last, where that is not so any more.
    pub told: Option<(Told, Zone)>,
    /// What to leave alone or to do, for the kinds that tell it.
    pub instructions: Vec<AftercareWindow>,
}

impl MessageKind {
    /// Whether a message of this kind is nothing but instructions.
    pub const fn instructs(self) -> bool {
        match self {
            Self::PreCare | Self::Aftercare => true,
            Self::Booked
            | Self::Moved
            | Self::Cancelled
            | Self::SevenDays
            | Self::TwoDays
            | Self::OneDay
            | Self::Check
            | Self::AssessmentDue => false,
        }
    }

    /// Whether a message of this kind tells the patient of such a stretch.
    pub fn tells(self, window: &AftercareWindow) -> bool {
        match self {
            Self::PreCare => window.during.start() < window.proper.start(),
            Self::Aftercare => window.during.end() > window.proper.end(),
            Self::Booked
            | Self::Moved
            | Self::Cancelled
            | Self::SevenDays
            | Self::TwoDays
            | Self::OneDay
            | Self::Check
            | Self::AssessmentDue => false,
        }
    }
}

/// How many of these messages, in this order, may be taken at once: at least one, and no more than the limit or than
/// their instructions leave room for.
pub fn that_fit(due: &[Due], instructions: &[AftercareWindow], limit: usize) -> usize {
    let bytes_of = |due: &Due| -> usize {
        let told = instructions.iter().filter(|window| window.appointment == due.appointment && due.kind.tells(window));
        told.map(AftercareWindow::bytes).sum()
    };
    let mut bytes = 0;
    let fitting = due.iter().take(limit).take_while(|due| {
        bytes += bytes_of(due);
        bytes <= MAX_INSTRUCTION_BYTES
    });
    fitting.count().max(1).min(due.len())
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone as _, Utc};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::MessageKind::{Booked, PreCare, SevenDays};
    use super::*;

    fn at(hour: i64) -> Instant {
        // Thirty days of hours around a change of the clocks: 29 March 2026, 1:00.
        Utc.with_ymd_and_hms(2026, 3, 10, 0, 0, 0).unwrap() + TimeDelta::hours(hour)
    }

    fn topic(booked: i64, start: i64) -> Topic {
        Topic {
            appointment: AppointmentId(Uuid::from_u128(1)),
            clinic: ClinicId(Uuid::from_u128(2)),
            zone: Zone::from_name("Europe/Berlin").unwrap(),
            visit: Interval::new(at(start), at(start + 1)).unwrap(),
            booked_at: at(booked),
            stands: Standing::Ahead,
            needles: true,
            pre_care_from: None,
            aftercare_until: None,
            told_before: None,
            prepared: false,
            taken: Vec::new(),
        }
    }

    /// What is taken by who asks at these hours, with the hour.
    fn taken(mut topic: Topic, hours: impl Iterator<Item = i64>) -> Vec<(i64, Due)> {
        let mut all = Vec::new();
        for hour in hours {
            for due in topic.due(at(hour)) {
                topic.taken.push(due.kind);
                all.push((hour, due));
            }
        }
        all
    }

    proptest! {
        #[test]
        fn whoever_asks_gets_each_message_once_and_in_its_time(
            booked in 0_i64..400, ahead in 1_i64..700, pre_care in prop::option::of(1_i64..600),
            mut hours in prop::collection::vec(0_i64..1_100, 0..40),
        ) {
            hours.sort_unstable();
            let start = booked + ahead;
            let topic = Topic { pre_care_from: pre_care.map(|hours| at(start - hours)), ..topic(booked, start) };
            let all = taken(topic.clone(), hours.into_iter());
            let mut kinds: Vec<MessageKind> = all.iter().map(|(_, due)| due.kind).collect();
            kinds.sort_unstable();
            let once = { let mut once = kinds.clone(); once.dedup(); once };
            prop_assert_eq!(kinds, once);
            for (hour, due) in &all {
                prop_assert!(due.at <= at(*hour) && at(*hour) < topic.visit.start() && due.at >= topic.booked_at);
            }
            // Reminders come in their order, however late.
            let reminders: Vec<MessageKind> = all.iter().map(|(_, due)| due.kind)
                .filter(|kind| (MessageKind::SevenDays..=MessageKind::OneDay).contains(kind)).collect();
            prop_assert!(reminders.is_sorted());
        }

        #[test]
        fn whoever_asks_every_hour_misses_nothing(booked in 0_i64..400, ahead in 1_i64..700) {
            let start = booked + ahead;
            let all = taken(topic(booked, start), booked..start + 100);
            let kinds: Vec<MessageKind> = all.iter().map(|(_, due)| due.kind).collect();
            // Berlin's clock was put forward in between: seven of its days are then an hour shorter.
            let local = |hour: i64| topic(0, 1).zone.local(at(hour));
            let expected = [
                (MessageKind::Booked, true),
                (MessageKind::SevenDays, local(start) - TimeDelta::days(7) > local(booked)),
                (MessageKind::TwoDays, ahead > 48),
                (MessageKind::OneDay, ahead > 24),
            ];
            let expected: Vec<MessageKind> =
                expected.into_iter().filter(|(_, is_due)| *is_due).map(|(kind, _)| kind).collect();
            prop_assert_eq!(kinds, expected);
        }
    }

    #[test]
    fn a_cancellation_is_told_until_the_time_that_was_told_last() {
        let told = Told { appointment: AppointmentId(Uuid::from_u128(7)), clinic: topic(0, 9).clinic, start: at(90) };
        let cancelled = Topic { stands: Standing::Cancelled { at: at(5) }, told_before: Some(told), ..topic(1, 50) };
        assert_eq!(cancelled.due(at(4)), []);
        assert_eq!(cancelled.due(at(89))[0].told, Some(told.appointment));
        assert_eq!(cancelled.due(at(90)), []);
        // Of the new time, too.
        let known = Topic { taken: vec![MessageKind::Moved], ..cancelled.clone() };
        assert_eq!(known.due(at(49))[0].told, Some(known.appointment));
        assert_eq!(known.due(at(50)), []);
        let later = Topic { told_before: Some(Told { start: at(5_000), ..told }), ..cancelled.clone() };
        assert_eq!(later.due(at(5 + 24 * 31 - 1)).len(), 1);
        assert_eq!(later.due(at(5 + 24 * 31)), []);
        assert_eq!(Topic { told_before: None, ..cancelled }.due(at(5)), []);
    }

    #[test]
    fn what_to_leave_alone_is_told_once_of_a_place_and_time_whoever_treats() {
        let here = topic(0, 400);
        let told = Told { appointment: AppointmentId(Uuid::from_u128(7)), clinic: here.clinic, start: at(400) };
        let moved = Topic { pre_care_from: Some(at(300)), told_before: Some(told), taken: vec![Booked], ..here };
        let kinds = |topic: &Topic| topic.due(at(299)).into_iter().map(|due| due.kind).collect::<Vec<_>>();
        assert_eq!(kinds(&moved), [SevenDays, PreCare]);
        let prepared = Topic { prepared: true, ..moved };
        assert_eq!(kinds(&prepared), [SevenDays]);
        // Told of another time since, the patient is told again.
        let back = Topic { told_before: Some(Told { start: at(380), ..told }), ..prepared };
        assert_eq!(kinds(&back), [SevenDays, PreCare]);
    }

    #[test]
    fn at_least_one_message_fits_and_no_more_than_asked_for() {
        let due = topic(0, 50).due(at(1));
        let many = vec![due[0].clone(); 4];
        assert_eq!((that_fit(&many, &[], 3), that_fit(&many, &[], 9), that_fit(&[], &[], 9)), (3, 4, 0));
    }
}
