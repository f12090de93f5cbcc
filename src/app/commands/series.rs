//! What callers ask for about series and moves.

use chrono::NaiveDate;

use super::{PageOf, StartRules};
use crate::domain::assessment::Outcome;
use crate::domain::booking::AskedSession;
pub use crate::domain::booking::SessionRequest;
use crate::domain::booking_rules::EndReason;
use crate::domain::catalog::BodyArea;
use crate::domain::ids::{AppointmentId, ClinicId, PatientId, ProtocolId, ResourceId, SeriesId};
use crate::domain::interval::Instant;
use crate::domain::planning::Wishes;
use crate::domain::text::{Personal, Prose};
pub use crate::store::series::Needing;

/// A series: one that is new, or one whose sessions are to go on.
#[derive(Debug, Clone, Copy)]
pub enum SeriesOf {
    /// A new one.
    New {
        /// The patient.
        patient: PatientId,
        /// The protocol.
        protocol: ProtocolId,
        /// The area.
        area: BodyArea,
    },
    /// One that is booked in part.
    Continued(SeriesId),
}

/// What a patient would like, and when sessions may begin.
#[derive(Debug, Clone)]
pub struct SeriesWishes {
    /// How many sessions in all; none for the protocol's default, or as many as the series has.
    pub session_count: Option<i32>,
    /// The first day on which the first session may be; none for today.
    pub first_from: Option<NaiveDate>,
    /// The last day on which it may be.
    pub first_until: Option<NaiveDate>,
    /// Weekdays, hours, practitioner and the rest.
    pub wishes: Wishes,
    /// When sessions may begin.
    pub starts: StartRules,
}

impl SeriesWishes {
    /// Whether the first session may be before a day, and on that day, too.
    pub fn would_begin_before(&self, day: NaiveDate) -> bool {
        self.first_from.is_none_or(|from| from < day) && self.first_until.is_none_or(|until| day <= until)
    }
}

/// Days after the first possible one on which the first session of a new series may be, unless the caller says
/// otherwise.
pub const DEFAULT_FIRST_DAYS: i64 = 60;
/// Plans of an answer, unless the caller says otherwise.
pub const DEFAULT_PLANS: i32 = 3;

/// A question for plans.
#[derive(Debug, Clone)]
pub struct ProposeSeries {
    /// For which series.
    pub of: SeriesOf,
    /// Where.
    pub clinic: ClinicId,
    /// What the patient would like.
    pub wishes: SeriesWishes,
    /// Most plans.
    pub plans: usize,
}

/// Which sessions to book.
#[derive(Debug, Clone)]
pub enum WhichSessions {
    /// These, in order.
    Given(Vec<SessionRequest>),
    /// Those of a plan.
    Planned(PlanGiven),
    /// Those of the best plan there is.
    Best {
        /// Where.
        clinic: ClinicId,
        /// What the patient would like.
        wishes: SeriesWishes,
    },
}

/// A plan that was proposed.
#[derive(Debug, Clone)]
pub struct PlanGiven {
    /// The version of the protocol that it keeps to.
    pub protocol_version: i32,
    /// All its sessions in order by number, each with its appointment if it is booked.
    pub booked: Vec<(i32, Option<AppointmentId>)>,
    /// The sessions that are to be booked.
    pub sessions: Vec<AskedSession>,
}

/// A series to book, or to continue.
#[derive(Debug, Clone)]
pub struct BookSeries {
    /// Which.
    pub of: SeriesOf,
    /// Which sessions.
    pub sessions: WhichSessions,
    /// For how many minutes it is only held; none to book it.
    pub hold_minutes: Option<i32>,
}

/// A series to extend.
#[derive(Debug, Clone)]
pub struct ExtendSeries {
    /// Which.
    pub id: SeriesId,
    /// The revision that last changed it, as the caller knows it.
    pub etag: i64,
    /// How many sessions in all.
    pub session_count: i32,
    /// Which sessions to book.
    pub sessions: WhichSessions,
}

/// A series to shorten.
#[derive(Debug, Clone)]
pub struct ShortenSeries {
    /// Which.
    pub id: SeriesId,
    /// The revision that last changed it, as the caller knows it.
    pub etag: i64,
    /// How many sessions in all.
    pub session_count: i32,
    /// Why.
    pub reason: Personal<Prose<2000>>,
}

/// Where something is moved to.
#[derive(Debug, Clone)]
pub struct Destination {
    /// When it is to begin.
    pub start: Instant,
    /// Where; none for where it is.
    pub clinic: Option<ClinicId>,
    /// The practitioner who must treat.
    pub practitioner: Option<ResourceId>,
    /// Resources that must be used, the practitioner among them.
    pub named: Vec<ResourceId>,
}

/// A session to move.
#[derive(Debug, Clone)]
pub struct RescheduleSession {
    /// The series.
    pub series: SeriesId,
    /// The revision that last changed it, as the caller knows it.
    pub etag: i64,
    /// Which session, from 1.
    pub number: i32,
    /// Where to.
    pub to: Destination,
    /// Why.
    pub because: EndReason,
}

/// An appointment to move.
#[derive(Debug, Clone)]
pub struct RescheduleAppointment {
    /// Which.
    pub id: AppointmentId,
    /// The revision that last changed it, as the caller knows it.
    pub etag: i64,
    /// Where to.
    pub to: Destination,
    /// Why.
    pub because: EndReason,
}

/// The result of an assessment.
#[derive(Debug, Clone)]
pub struct RecordAssessment {
    /// The series.
    pub series: SeriesId,
    /// The revision that last changed it, as the caller knows it.
    pub etag: i64,
    /// Which assessment of the protocol, from 1.
    pub number: i32,
    /// The visit in which it took place.
    pub appointment: AppointmentId,
    /// What was decided.
    pub outcome: Outcome,
    /// What was seen.
    pub notes: Personal<Prose<2000>>,
}

/// The series of a practice.
#[derive(Debug, Clone)]
pub struct ListSeries {
    /// Only of this patient.
    pub patient: Option<PatientId>,
    /// Only those that need all of this.
    pub needing: Needing,
    /// Which page.
    pub page: PageOf<SeriesId>,
}
