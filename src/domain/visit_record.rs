//! What was done at a visit.

use super::ids::{AppointmentId, ResourceId};
use super::interval::Instant;
use super::text::{Label, Personal, Prose};

/// Shallowest that needles go, in micrometres: below that nothing is pierced.
pub const MIN_NEEDLE_DEPTH: i32 = 100;
/// Deepest that needles go, in micrometres: the longest cartridges.
pub const MAX_NEEDLE_DEPTH: i32 = 3_000;
/// Longest that numbing is left on, in minutes.
pub const MAX_NUMBING_MINUTES: i32 = 180;
/// Most characters of the lot of a cartridge.
pub const MAX_LOT: usize = 64;
/// Most characters of the notes on a treatment.
pub const MAX_NOTES: usize = 4_000;

/// What numbed the skin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbing {
    /// The product.
    pub product: Label,
    /// How long it was left on.
    pub minutes: i32,
}

/// What was done, as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Treated {
    /// The lot of the cartridge; empty if it was not written down.
    pub lot: Prose<MAX_LOT>,
    /// How deep the needles went, in micrometres.
    pub needle_depth: Option<i32>,
    /// What numbed the skin; nothing if nothing did.
    pub numbing: Option<Numbing>,
    /// Notes.
    pub notes: Prose<MAX_NOTES>,
}

/// What was done at a visit, by whom and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitRecord {
    /// The visit.
    pub appointment: AppointmentId,
    /// Who treated.
    pub practitioner: Option<ResourceId>,
    /// With which device.
    pub device: Option<ResourceId>,
    /// What was done.
    pub treated: Personal<Treated>,
    /// When that was said.
    pub recorded_at: Instant,
}
