//! The numbered history of a practice.

use super::access::Role;
use super::ids::{AppointmentId, PatientId, RequestId, TokenId, WaitingId};
use super::interval::Instant;
use super::named_enum;
use uuid::Uuid;

named_enum! {
    /// What happened, as noun.verb.
    pub enum ChangeKind {
        /// A practice was created.
        PracticeCreated = "practice.created",
        /// Its settings were replaced.
        PracticeUpdated = "practice.updated",
        /// Its booking rules were replaced.
        BookingRulesUpdated = "practice.booking_rules_updated",
        /// A clinic was created.
        ClinicCreated = "clinic.created",
        /// Its name and hours were replaced.
        ClinicUpdated = "clinic.updated",
        /// A clinic was closed for a while.
        ClosureCreated = "closure.created",
        /// A closure was taken back.
        ClosureDeleted = "closure.deleted",
        /// A resource was created.
        ResourceCreated = "resource.created",
        /// What may change of it was replaced.
        ResourceUpdated = "resource.updated",
        /// A resource was taken away for a while.
        TimeOffCreated = "time_off.created",
        /// Time off was taken back.
        TimeOffDeleted = "time_off.deleted",
        /// A version of a treatment was published.
        TreatmentPublished = "treatment.published",
        /// A version of a protocol was published.
        ProtocolPublished = "protocol.published",
        /// A patient was registered.
        PatientCreated = "patient.created",
        /// A patient's record was replaced.
        PatientUpdated = "patient.updated",
        /// A series was booked.
        SeriesBooked = "series.booked",
        /// Time was kept for a whole series, for a while.
        SeriesHeld = "series.held",
        /// The hold of a series was prolonged.
        SeriesHoldRenewed = "series.hold_renewed",
        /// A series was cancelled.
        SeriesCancelled = "series.cancelled",
        /// Sessions of a series that were not booked were booked, and some may have been added to it.
        SeriesContinued = "series.continued",
        /// A series was shortened, and its last sessions cancelled.
        SeriesShortened = "series.shortened",
        /// A session was moved, and later ones with it where they had to.
        SeriesRescheduled = "series.rescheduled",
        /// An appointment was booked.
        AppointmentBooked = "appointment.booked",
        /// An appointment was moved.
        AppointmentRescheduled = "appointment.rescheduled",
        /// An appointment was cancelled.
        AppointmentCancelled = "appointment.cancelled",
        /// An entry was added to the waiting list.
        WaitingAdded = "waiting.added",
        /// It was withdrawn.
        WaitingWithdrawn = "waiting.withdrawn",
        /// A screening was recorded.
        ScreeningRecorded = "screening.recorded",
        /// A consultation ended in a clearance or a decline.
        ClearanceRecorded = "clearance.recorded",
        /// A clearance was revoked.
        ClearanceRevoked = "clearance.revoked",
        /// A practitioner decided otherwise than the rules.
        OverrideGranted = "override.granted",
        /// An override was revoked.
        OverrideRevoked = "override.revoked",
        /// A reaction was reported.
        ReactionReported = "reaction.reported",
        /// A reaction was cleared, and sessions may have moved.
        ReactionCleared = "reaction.cleared",
        /// A patient said that they will come.
        AppointmentConfirmed = "appointment.confirmed",
        /// A patient was checked in.
        AppointmentArrived = "appointment.arrived",
        /// The treatment of a visit began.
        AppointmentStarted = "appointment.started",
        /// A visit took place, and later sessions may have moved.
        AppointmentFulfilled = "appointment.fulfilled",
        /// Time was kept for a visit, for a while.
        AppointmentHeld = "appointment.held",
        /// A hold was prolonged.
        HoldRenewed = "appointment.hold_renewed",
        /// Holds expired, of appointments and of whole series.
        HoldsExpired = "appointment.hold_expired",
        /// Nobody came to a visit.
        AppointmentMissed = "appointment.no_show",
        /// The latest step of a visit was a mistake: a confirmation, a check-in, a start or a no-show.
        AppointmentUndone = "appointment.undone",
        /// An assessment of a series had its result.
        AssessmentRecorded = "assessment.recorded",
        /// Messages to patients were taken.
        MessagesTaken = "message.taken",
        /// A token was made.
        TokenCreated = "token.created",
        /// A token was revoked.
        TokenRevoked = "token.revoked",
    }
}

impl ChangeKind {
    /// Whether it changes what a clinic has to offer in another way than by the appointments that it names: hours,
    /// resources, catalogue, settings.
    pub const fn changes_the_offer(self) -> bool {
        match self {
            Self::PracticeCreated
            | Self::PracticeUpdated
            | Self::ClinicCreated
            | Self::ClinicUpdated
            | Self::ClosureCreated
            | Self::ClosureDeleted
            | Self::ResourceCreated
            | Self::ResourceUpdated
            | Self::TimeOffCreated
            | Self::TimeOffDeleted
            | Self::TreatmentPublished
            | Self::ProtocolPublished => true,
            Self::BookingRulesUpdated
            | Self::PatientCreated
            | Self::PatientUpdated
            | Self::SeriesBooked
            | Self::SeriesHeld
            | Self::SeriesHoldRenewed
            | Self::SeriesContinued
            | Self::SeriesShortened
            | Self::SeriesRescheduled
            | Self::SeriesCancelled
            | Self::AppointmentBooked
            | Self::AppointmentRescheduled
            | Self::AppointmentCancelled
            | Self::WaitingAdded
            | Self::WaitingWithdrawn
            | Self::ScreeningRecorded
            | Self::ClearanceRecorded
            | Self::ClearanceRevoked
            | Self::OverrideGranted
            | Self::OverrideRevoked
            | Self::ReactionReported
            | Self::ReactionCleared
            | Self::AppointmentConfirmed
            | Self::AppointmentArrived
            | Self::AppointmentStarted
            | Self::AppointmentFulfilled
            | Self::AppointmentHeld
            | Self::HoldRenewed
            | Self::HoldsExpired
            | Self::AppointmentMissed
            | Self::AppointmentUndone
            | Self::AssessmentRecorded
            | Self::MessagesTaken
            | Self::TokenCreated
            | Self::TokenRevoked => false,
        }
    }

    /// Whether the live visits that it names, of those that there were before, give up their time for others to take. What
    /// also names visits that stay does not.
    pub const fn frees_time(self) -> bool {
        match self {
            Self::SeriesRescheduled
            | Self::SeriesShortened
            | Self::SeriesCancelled
            | Self::AppointmentRescheduled
            | Self::AppointmentCancelled
            | Self::HoldsExpired
            | Self::ClinicUpdated
            | Self::ClosureCreated
            | Self::ResourceUpdated
            | Self::TimeOffCreated
            | Self::AssessmentRecorded => true,
            Self::PracticeCreated
            | Self::PracticeUpdated
            | Self::BookingRulesUpdated
            | Self::ClinicCreated
            | Self::ClosureDeleted
            | Self::ResourceCreated
            | Self::TimeOffDeleted
            | Self::TreatmentPublished
            | Self::ProtocolPublished
            | Self::PatientCreated
            | Self::PatientUpdated
            | Self::SeriesBooked
            | Self::SeriesHeld
            | Self::SeriesHoldRenewed
            | Self::SeriesContinued
            | Self::AppointmentBooked
            | Self::WaitingAdded
            | Self::WaitingWithdrawn
            | Self::ScreeningRecorded
            | Self::ClearanceRecorded
            | Self::ClearanceRevoked
            | Self::OverrideGranted
            | Self::OverrideRevoked
            | Self::ReactionReported
            | Self::ReactionCleared
            | Self::AppointmentConfirmed
            | Self::AppointmentArrived
            | Self::AppointmentStarted
            | Self::AppointmentFulfilled
            | Self::AppointmentHeld
            | Self::HoldRenewed
            | Self::AppointmentMissed
            | Self::AppointmentUndone
            | Self::MessagesTaken
            | Self::TokenCreated
            | Self::TokenRevoked => false,
        }
    }
}

/// One entry of a practice's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place: 1, 2, 3, ...
    pub revision: i64,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// What happened.
    pub kind: ChangeKind,
    /// Id of what changed.
    pub subject: Uuid,
    /// The patient concerned.
    pub patient: Option<PatientId>,
    /// The appointments that it wrote, or about which it took messages.
    pub appointments: Vec<AppointmentId>,
    /// The entries of the waiting list that want time that it freed, in order.
    pub waiting: Vec<WaitingId>,
    /// The token that asked.
    pub token: Option<TokenId>,
    /// The role in which it was asked.
    pub role: Role,
    /// The caller's id for the request.
    pub request: RequestId,
}
