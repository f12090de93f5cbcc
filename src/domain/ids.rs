//! Ids: UUIDs that cannot be mistaken for each other.

use std::fmt;

use uuid::Uuid;

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )+};
}

ids! {
    /// A practice.
    PracticeId,
    /// A clinic of a practice.
    ClinicId,
    /// A closure of a clinic.
    ClosureId,
    /// A practitioner, assistant, room or device.
    ResourceId,
    /// A stretch of time off of a resource.
    TimeOffId,
    /// A treatment, in all its versions.
    TreatmentId,
    /// A protocol, in all its versions.
    ProtocolId,
    /// A patient.
    PatientId,
    /// An entry of the waiting list.
    WaitingId,
    /// A series.
    SeriesId,
    /// An appointment.
    AppointmentId,
    /// A patient's screening.
    ScreeningId,
    /// A clearance, or a decline.
    ClearanceId,
    /// An override.
    OverrideId,
    /// A reaction.
    ReactionId,
    /// An access token.
    TokenId,
    /// A message to a patient.
    MessageId,
    /// A caller's id for one request.
    RequestId,
}

impl PracticeId {
    /// The deployment itself: what operators do outside any practice is recorded here.
    pub const DEPLOYMENT: Self = Self(Uuid::nil());
}
