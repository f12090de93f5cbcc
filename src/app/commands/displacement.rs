//! Changes that may take the place of visits.

use super::PageOf;
use crate::domain::displacement::Whose;
use crate::domain::ids::AppointmentId;
use crate::domain::interval::Instant;
use crate::domain::planning::Destined;

/// A change that may displace visits.
#[derive(Debug, Clone)]
pub struct Narrows<T> {
    /// The change.
    pub to: T,
    /// What becomes of the visits that it displaces.
    pub rebooking: Rebooking,
}

/// What becomes of displaced visits.
#[derive(Debug, Clone)]
pub enum Rebooking {
    /// They stay booked where they are, until somebody settles them.
    Later,
    /// All that have a place elsewhere move there, as it is planned now.
    All,
    /// These move as it was planned before; the others stay.
    Chosen(Vec<ChosenMove>),
}

/// Where a displaced visit is to go.
#[derive(Debug, Clone)]
pub struct ChosenMove {
    /// The visit.
    pub id: AppointmentId,
    /// Where it goes.
    pub to: Destined,
}

/// Displaced visits.
#[derive(Debug, Clone)]
pub struct ListDisplaced {
    /// Only those of a clinic or resource.
    pub whose: Option<Whose>,
    /// Which page: after this start and id.
    pub page: PageOf<(Instant, AppointmentId)>,
}
