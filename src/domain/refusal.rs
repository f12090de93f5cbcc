//! Refusals: requests that are understood and not allowed.

use chrono::NaiveDate;

use super::ids::{AppointmentId, ResourceId};
use super::interval::Instant;
use super::zone::Zone;

/// A rule that a request can violate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A visit begins in the future.
    StartInPast,
    /// A visit begins within the practice's horizon.
    BeyondHorizon,
    /// A visit lies in the clinic's opening hours.
    OutsideOpeningHours,
    /// A visit lies in no closure of the clinic.
    ClinicClosed,
    /// A patient is in one place at a time.
    PatientBusy,
    /// Something is qualified for each need.
    NoQualifiedResource,
    /// Something qualified is free for each need.
    NoResourceFree,
    /// A named resource is in one place at a time.
    ResourceBusy,
    /// A named resource works, at that clinic, at that time.
    OutsideWorkingHours,
    /// A named resource has no time off.
    ResourceAway,
    /// A named resource is qualified for a need of its own.
    ResourceNotQualified,
    /// A named resource is in use.
    ResourceInactive,
    /// Sessions on one area keep the gap that follows the earlier one.
    SessionTooSoon,
    /// Sessions of a series are at most the maximum gap apart.
    SessionTooLate,
    /// Sessions of a series are in the order of their numbers.
    SessionOutOfOrder,
    /// A series has as many sessions as its protocol allows.
    SessionCountNotAllowed,
    /// A visit lies outside the aftercare windows that forbid it.
    ActivityForbidden,
    /// A visit's aftercare windows cover no booked visit that they forbid.
    ForbidsBookedActivity,
    /// The series is active.
    SeriesNotActive,
    /// The session is not booked yet.
    SessionAlreadyBooked,
    /// The appointment is booked.
    AppointmentNotBooked,
    /// The appointment has not begun.
    AppointmentStarted,
    /// A body area is named if, and only if, the treatment needles.
    BodyAreaMismatch,
    /// There is a plan for all sessions.
    NoPlan,
    /// A plan was made under the version of the protocol that is used now.
    PlanOutdated,
    /// A clearance is in force.
    ClearanceMissing,
    /// A clearance covers the day and the number of a session.
    ClearanceExceeded,
    /// A session begins after cooling-off and patch test.
    CoolingOff,
    /// A screening answers all that is asked, and is recent enough.
    ScreeningMissing,
    /// No condition rules the treatment out.
    ConditionBlocks,
    /// No condition defers the treatment.
    ConditionDefers,
    /// A practitioner cleared each condition that needs it.
    ConditionNeedsClearance,
    /// A practitioner confirmed the prescription that a condition needs.
    ConditionNeedsPremedication,
    /// No reaction holds the series.
    SeriesOnHold,
    /// A session lies on or after the day set when a reaction was cleared.
    TooSoonAfterReaction,
    /// Sessions on different areas keep the gap across areas.
    OtherAreaTooSoon,
    /// The catalogue allows the pair of treatments in one visit.
    CombinationNotAllowed,
    /// A practitioner approved the pair of treatments for the patient.
    CombinationNotApproved,
    /// The protocol leaves it to a practitioner to decide otherwise.
    OverrideNotAllowed,
    /// No visit ahead rests on an override that is revoked.
    OverrideInUse,
    /// A practitioner who decides is qualified to.
    NotQualifiedToClear,
    /// A clearance follows a consultation that took place.
    NotAConsultation,
    /// A reaction that is cleared holds something.
    AlreadyCleared,
    /// A patient is checked in on the day of the visit at the earliest.
    TooEarlyToCheckIn,
    /// Only a visit whose patient has arrived is completed.
    NotCheckedIn,
    /// What follows a series comes after it.
    NotInSeriesYet,
    /// An assessment takes place when it is due.
    AssessmentNotDue,
    /// An assessment has one result.
    AssessmentDone,
    /// A visit is a no-show only once its time has begun.
    TooEarlyForNoShow,
    /// A hold is renewed or converted while it lasts.
    NotHeld,
    /// Time is offered to an entry of the waiting list that waits.
    NotWaiting,
    /// Only the latest step of a visit is taken back, soon, and if nothing rests on it.
    UndoNotAllowed,
    /// A closure displaces no more visits than can be looked after.
    TooManyDisplaced,
}

/// What a request collides with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// An appointment.
    Appointment(AppointmentId),
    /// Another session of the same request, by its place.
    Session(usize),
}

/// A gap that is too short or too long, in calendar days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The days between the two sessions.
    pub days: i64,
    /// The days that the rule asks for: at least, or for [`Rule::SessionTooLate`] at most.
    pub required: i64,
    /// For [`Rule::SessionTooLate`]: the last day that would do.
    pub latest: Option<NaiveDate>,
}

/// When a visit would do, as far as one rule is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earliest {
    /// The first such start, not before the one that was asked for.
    pub start: Instant,
    /// The zone of the clinic.
    pub zone: Zone,
}

impl Earliest {
    /// Its calendar day at the clinic.
    pub fn day(self) -> NaiveDate {
        self.zone.day(self.start)
    }
}

/// One violated rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The session of the request that violates it, by its place; none for the request as a whole.
    pub session: Option<usize>,
    /// What it collides with.
    pub other: Option<Other>,
    /// The resource concerned.
    pub resource: Option<ResourceId>,
    /// The gap concerned.
    pub gap: Option<Gap>,
    /// When it would do.
    pub earliest: Option<Earliest>,
    /// Whether it is known that no start would do, so that there is nothing to look for.
    pub is_lasting: bool,
    /// The same in a sentence, without personal data.
    pub description: String,
}

impl Violation {
    /// A violation of a rule by the request as a whole.
    pub fn new(rule: Rule, description: impl Into<String>) -> Self {
        Self {
            rule,
            session: None,
            other: None,
            resource: None,
            gap: None,
            earliest: None,
            is_lasting: false,
            description: description.into(),
        }
    }
}

/// All the rules that a request violates; at least one.
pub type Refusal = Vec<Violation>;
