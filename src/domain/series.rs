//! A patient's course of a protocol on one area.

use chrono::NaiveDate;

use super::appointment::{Appointment, AppointmentState};
use super::assessment::AssessmentResult;
use super::booking::{Neighbour, Neighbours};
use super::catalog::{BodyArea, GapDays, ProtocolContent};
use super::ids::{AppointmentId, OverrideId, PatientId, ProtocolId, ReactionId, ResourceId, SeriesId};
use super::interval::Instant;
use super::refusal::{Other, Refusal, Rule, Violation};
use super::text::{Personal, Prose};
use super::zone::Zone;

/// Where a series stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeriesState {
    /// The time of all its sessions is kept until then, while the patient decides.
    Held {
        /// When the hold ends by itself.
        until: Instant,
    },
    /// Its sessions take place.
    Active,
    /// An assessment ended it.
    Completed {
        /// Since when.
        at: Instant,
    },
    /// No further session takes place.
    Cancelled {
        /// Since when.
        at: Instant,
        /// Why.
        reason: Personal<Prose<2000>>,
    },
}

/// A session that is booked already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookedSession {
    /// Which session, from 1.
    pub number: i32,
    /// The appointment.
    pub id: AppointmentId,
    /// When it begins.
    pub start: Instant,
    /// Its day at its clinic.
    pub day: NaiveDate,
    /// The clinic's zone.
    pub zone: Zone,
    /// Who treats.
    pub practitioner: Option<ResourceId>,
}

impl BookedSession {
    /// The session that an appointment is.
    pub fn of(appointment: &Appointment) -> Option<Self> {
        let start = appointment.begins();
        Some(Self {
            number: appointment.session?.number,
            id: appointment.id,
            start,
            day: appointment.zone.day(start),
            zone: appointment.zone,
            practitioner: appointment.practitioner(),
        })
    }

    /// Whether the last day has passed on which the longest gap after it would have been kept.
    pub fn has_lapsed(&self, maximum_gap: i64, now: Instant) -> bool {
        (self.zone.day(now) - self.day).num_days() > maximum_gap
    }

    /// The session as a neighbour of others.
    pub fn neighbour(&self, maximum_gap: i64, now: Instant) -> Neighbour {
        let lapsed = self.has_lapsed(maximum_gap, now);
        Neighbour { day: self.day, distance: 0, lapsed, other: Other::Appointment(self.id) }
    }
}

/// How far apart the sessions of a series are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesGap {
    /// What its protocol says.
    pub protocol: GapDays,
    /// The override in force that says otherwise, and the fewest days under it.
    pub overridden: Option<(OverrideId, i32)>,
}

impl SeriesGap {
    /// The gaps that count for what is booked from now on. Where the fewest days pass the days aimed at or the most
    /// days, those move along.
    pub fn days(&self) -> GapDays {
        let GapDays { floor, minimum, target, maximum } = self.protocol;
        let minimum = self.overridden.map_or(minimum, |(_, days)| days);
        GapDays { floor, minimum, target: target.max(minimum), maximum: maximum.max(minimum) }
    }

    /// The override in force.
    pub fn override_id(&self) -> Option<OverrideId> {
        self.overridden.map(|(id, _)| id)
    }
}

/// What holds a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesHold {
    /// The patient's reactions that no practitioner has cleared, the earliest first; at least one.
    pub reactions: Vec<ReactionId>,
    /// When the first of them was reported.
    pub since: Instant,
}

/// A series with its sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Its id.
    pub id: SeriesId,
    /// The patient.
    pub patient: PatientId,
    /// The protocol.
    pub protocol: ProtocolId,
    /// The version it runs on under.
    pub protocol_version: i32,
    /// The area treated.
    pub area: BodyArea,
    /// How far apart its sessions are.
    pub gap: SeriesGap,
    /// What holds it; none for a series whose sessions take place, or that is not active.
    pub hold: Option<SeriesHold>,
    /// Number of sessions.
    pub session_count: i32,
    /// Where it stands.
    pub state: SeriesState,
    /// The live appointments of its sessions, by start.
    pub sessions: Vec<Appointment>,
    /// The live appointments that follow it: assessments that are visits by themselves, and maintenance; by start.
    pub follow_ups: Vec<Appointment>,
    /// What its assessments came to, in order.
    pub results: Vec<AssessmentResult>,
    /// How many of its sessions were cancelled late or missed, and count as used.
    pub counted_as_used: i32,
    /// Revision that last changed it.
    pub changed_revision: i64,
}

fn in_order<'a>(sessions: impl Iterator<Item = &'a Appointment>) -> Vec<BookedSession> {
    let mut sessions: Vec<BookedSession> = sessions.filter_map(BookedSession::of).collect();
    sessions.sort_by_key(|session| session.number);
    sessions
}

impl Series {
    /// The live appointment of a session.
    pub fn session(&self, number: i32) -> Option<&Appointment> {
        self.sessions.iter().find(|appointment| appointment.session.is_some_and(|session| session.number == number))
    }

    /// The appointments of its sessions.
    pub fn appointment_ids(&self) -> Vec<AppointmentId> {
        self.sessions.iter().map(|session| session.id).collect()
    }

    /// Its booked sessions in order.
    pub fn booked(&self) -> Vec<BookedSession> {
        in_order(self.sessions.iter().filter(|session| session.held_until().is_none()))
    }

    /// Its sessions that have their place in order: booked, or held.
    pub fn placed(&self) -> Vec<BookedSession> {
        in_order(self.sessions.iter())
    }

    /// The numbers of its sessions that are not booked and may still be, if it has so many. One that was left out before
    /// a session that has begun is left out for good: it could only lie in the past.
    pub fn open(&self, count: i32, now: Instant) -> Vec<i32> {
        let begun = self.sessions.iter().filter(|session| session.has_begun(now));
        let begun = begun.filter_map(|session| session.session).map(|session| session.number).max().unwrap_or(0);
        (begun + 1..=count).filter(|number| self.session(*number).is_none()).collect()
    }

    /// Its booked sessions that have not begun, in order of their numbers. What is only held stays where it is.
    pub fn ahead(&self, now: Instant) -> Vec<Appointment> {
        let booked = self.sessions.iter().filter(|session| session.held_until().is_none());
        let mut ahead: Vec<Appointment> = booked.filter(|session| !session.has_begun(now)).cloned().collect();
        ahead.sort_by_key(|session| session.session.map(|session| session.number));
        ahead
    }

    /// The resources of its booked sessions.
    pub fn known(&self) -> Vec<ResourceId> {
        self.sessions.iter().flat_map(Appointment::occupied).map(|(resource, _)| resource).collect()
    }

    /// The nearest sessions on both sides of a session, booked or held.
    pub fn neighbours(&self, number: i32, now: Instant) -> Neighbours {
        let maximum_gap = i64::from(self.gap.days().maximum);
        let booked = self.placed();
        let near = |session: &BookedSession| Neighbour {
            distance: (session.number - number).abs(),
            ..session.neighbour(maximum_gap, now)
        };
        Neighbours {
            number,
            previous: booked.iter().rfind(|session| session.number < number).map(near),
            next: booked.iter().find(|session| session.number > number).map(near),
            maximum_gap,
        }
    }

    /// Whether its sessions take place.
    pub const fn is_active(&self) -> bool {
        match self.state {
            SeriesState::Active => true,
            SeriesState::Held { .. } | SeriesState::Completed { .. } | SeriesState::Cancelled { .. } => false,
        }
    }

    /// A refusal unless its sessions take place.
    pub fn must_be_active(&self) -> Result<(), Refusal> {
        let text = match self.state {
            SeriesState::Active => return Ok(()),
            SeriesState::Held { .. } => {
                "the series is only held, as a whole; book it with ConvertSeriesHold, or release it with CancelSeries"
            }
            SeriesState::Completed { .. } => "the series is completed; what keeps its result is a maintenance session",
            SeriesState::Cancelled { .. } => "the series is cancelled",
        };
        Err(vec![Violation::new(Rule::SeriesNotActive, text)])
    }

    /// When its hold ends; nothing if it is not held.
    pub const fn held_until(&self) -> Option<Instant> {
        match self.state {
            SeriesState::Held { until } => Some(until),
            SeriesState::Active | SeriesState::Completed { .. } | SeriesState::Cancelled { .. } => None,
        }
    }

    /// A refusal unless it is held.
    pub fn must_be_held(&self) -> Result<(), Refusal> {
        let text = match self.state {
            SeriesState::Held { .. } => return Ok(()),
            SeriesState::Active | SeriesState::Completed { .. } => "the series is booked",
            SeriesState::Cancelled { .. } => {
                "the hold has expired or was released, or the series was cancelled; hold the series anew"
            }
        };
        Err(vec![Violation::new(Rule::NotHeld, text)])
    }

    /// The series with its sessions, all held for so many minutes from now, but not beyond the start of the first, nor
    /// `latest`; never shorter than they are held anyway.
    #[must_use]
    pub fn held_for(mut self, minutes: i32, latest: Instant, now: Instant) -> Self {
        let ends = self.sessions.iter().map(|session| session.hold_end(minutes, now));
        let until = ends.min().unwrap_or(now).min(latest).max(self.held_until().unwrap_or(now));
        self.state = SeriesState::Held { until };
        for session in &mut self.sessions {
            session.state = AppointmentState::Held { until };
        }
        self
    }

    /// The series with fewer sessions, and the appointments of those beyond; refused if one of them has begun or the
    /// protocol asks for more.
    pub fn shorten(
        mut self,
        count: i32,
        protocol: &ProtocolContent,
        now: Instant,
        revision: i64,
    ) -> Result<(Self, Vec<AppointmentId>), Refusal> {
        self.must_be_active()?;
        let (beyond, kept): (Vec<_>, Vec<_>) = self
            .sessions
            .into_iter()
            .partition(|appointment| appointment.session.is_some_and(|session| session.number > count));
        let allowed = protocol.sessions.violation(usize::try_from(count).unwrap_or_default());
        let begun = beyond.iter().flat_map(|appointment| {
            let held = appointment.held_until().is_some();
            let refusal = appointment.must_lie_ahead(now).err().filter(|_| !held).into_iter().flatten();
            refusal.map(|violation| Violation { other: Some(Other::Appointment(appointment.id)), ..violation })
        });
        let refusal: Refusal = allowed.into_iter().chain(begun).collect();
        if !refusal.is_empty() {
            return Err(refusal);
        }
        self.sessions = kept;
        self.session_count = count;
        self.changed_revision = revision;
        Ok((self, beyond.into_iter().map(|session| session.id).collect()))
    }

    /// The series, cancelled together with every session and assessment that has not begun, or its hold, released; and the
    /// appointments of those.
    pub fn cancel(
        self,
        now: Instant,
        reason: Personal<Prose<2000>>,
        revision: i64,
    ) -> Result<(Self, Vec<AppointmentId>), Refusal> {
        let already = match self.state {
            SeriesState::Held { .. } | SeriesState::Active => None,
            SeriesState::Completed { .. } => Some("the series is completed; nothing of it is left to cancel"),
            SeriesState::Cancelled { .. } => Some("the series is cancelled already"),
        };
        if let Some(text) = already {
            return Err(vec![Violation::new(Rule::SeriesNotActive, text)]);
        }
        let (mut after, mut ahead) = self.end(SeriesState::Cancelled { at: now, reason }, now, revision);
        let (begun, visits): (Vec<_>, Vec<_>) = after.follow_ups.into_iter().partition(|visit| visit.has_begun(now));
        after.follow_ups = begun;
        ahead.extend(visits.into_iter().map(|visit| visit.id));
        Ok((after, ahead))
    }

    /// The series, completed: every session that has not begun is cancelled. What follows it stays.
    pub(super) fn complete(self, now: Instant, revision: i64) -> (Self, Vec<AppointmentId>) {
        self.end(SeriesState::Completed { at: now }, now, revision)
    }

    /// The series with another state and without the sessions that have not begun, and the appointments of those.
    fn end(mut self, state: SeriesState, now: Instant, revision: i64) -> (Self, Vec<AppointmentId>) {
        let (begun, ahead): (Vec<_>, Vec<_>) = self.sessions.into_iter().partition(|session| session.has_begun(now));
        self.sessions = begun;
        self.hold = None;
        self.state = state;
        self.changed_revision = revision;
        (self, ahead.into_iter().map(|session| session.id).collect())
    }
}
