//! What appointments occupy.

use super::catalog::{Qualification, ResourceKind};
use super::hours::Stretch;
use super::ids::{ClinicId, ResourceId, TimeOffId};
use super::interval::Interval;
use super::text::{Label, Personal, Prose};

/// Most qualifications of a resource.
pub const MAX_QUALIFICATIONS: usize = 50;
/// Most stretches of a resource's working hours.
pub const MAX_WORKING_STRETCHES: usize = 100;

/// A practitioner, assistant, room or device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its id.
    pub id: ResourceId,
    /// What it is.
    pub kind: ResourceKind,
    /// What the staff call it; may be a person's name.
    pub name: Personal<Label>,
    /// Where it stands; for rooms and devices only.
    pub clinic: Option<ClinicId>,
    /// Whether new visits may use it.
    pub active: bool,
    /// What it may be used for.
    pub qualifications: Vec<Qualification>,
    /// When it works, and where; for practitioners and assistants only.
    pub working_hours: Vec<(ClinicId, Stretch)>,
    /// Revision that last changed it.
    pub changed_revision: i64,
}

/// A stretch in which a resource is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeOff {
    /// Its id.
    pub id: TimeOffId,
    /// The resource.
    pub resource: ResourceId,
    /// When.
    pub during: Interval,
    /// Why.
    pub reason: Personal<Prose<200>>,
}
