//! Visits that have lost their place: what they occupy is away, or their clinic is not open, at the time for which they
//! are booked.
//!
//! Nothing says of a visit that it is displaced but the hours, closures and time off themselves. So it is displaced
//! from the moment that one of them takes its place, and no more from the moment that it is moved or cancelled, or that
//! its place is given back.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::appointment::Appointment;
use super::booking::{ClinicFacts, ResourceFacts};
use super::catalog::Qualification;
use super::hours::{Stretch, Week};
use super::ids::{AppointmentId, ClinicId, ResourceId};
use super::interval::{Instant, Interval};
use super::refusal::{Rule, Violation};

/// Most booked visits that one change of hours, closure or time off may displace.
pub const MAX_DISPLACED: usize = 500;
/// Longest closure or time off, in days.
pub const MAX_CLOSING_DAYS: i64 = 1_100;
/// Most days by which a displaced visit is moved, to either side.
pub const MAX_MOVE_DAYS: i64 = 92;
/// Fewest hours from now to which a displaced visit is brought forward: its patient has to hear of it.
pub const FORWARD_NOTICE_HOURS: i64 = 24;

/// The first moment to which a plan moves a visit that begins at `start`: however soon that is, it may keep its time or
/// be put off.
pub fn earliest_move(start: Instant, now: Instant) -> Instant {
    start.min(now + TimeDelta::hours(FORWARD_NOTICE_HOURS))
}

/// What takes time away from visits.
#[derive(Debug, Clone)]
pub enum Narrowing {
    /// A clinic is closed for a while.
    Closure(ClinicId, Interval),
    /// A clinic opens at other hours.
    OpeningHours(ClinicId, Week),
    /// A resource is away for a while.
    TimeOff(ResourceId, Interval),
    /// A resource works at other hours, or is fit for other things.
    Resource {
        /// Which.
        id: ResourceId,
        /// Whether new visits may use it.
        active: bool,
        /// What it may be used for.
        qualifications: Vec<Qualification>,
        /// When it works, and where.
        working_hours: Vec<(ClinicId, Stretch)>,
    },
}

/// Whose visits lose their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Those at a clinic.
    Clinic(ClinicId),
    /// Those that occupy a resource.
    Resource(ResourceId),
}

impl Narrowing {
    /// Whose visits lose their place.
    pub const fn whose(&self) -> Whose {
        match self {
            Self::Closure(clinic, _) | Self::OpeningHours(clinic, _) => Whose::Clinic(*clinic),
            Self::TimeOff(resource, _) | Self::Resource { id: resource, .. } => Whose::Resource(*resource),
        }
    }

    /// The time that is taken away; none for hours, which may take any.
    pub const fn during(&self) -> Option<Interval> {
        match self {
            Self::Closure(_, during) | Self::TimeOff(_, during) => Some(*during),
            Self::OpeningHours(..) | Self::Resource { .. } => None,
        }
    }

    /// Whether a loss is what this takes away.
    pub fn is_behind(&self, loss: &Violation) -> bool {
        match self {
            Self::Closure(..) => loss.rule == Rule::ClinicClosed,
            Self::OpeningHours(..) => loss.rule == Rule::OutsideOpeningHours,
            Self::TimeOff(resource, _) => loss.rule == Rule::ResourceAway && loss.resource == Some(*resource),
            Self::Resource { id, .. } => loss.rule == Rule::OutsideWorkingHours && loss.resource == Some(*id),
        }
    }

    /// Whether it takes away any of the time for which a visit is booked.
    pub fn meets(&self, visit: &PlacedVisit) -> bool {
        match self {
            Self::Closure(clinic, during) => visit.clinic == *clinic && during.overlaps(visit.whole()),
            Self::TimeOff(resource, during) => {
                visit.occupied.iter().any(|(id, needed)| id == resource && during.overlaps(*needed))
            }
            Self::OpeningHours(..) | Self::Resource { .. } => true,
        }
    }

    /// Clinics and resources as they will be.
    pub fn narrow(&self, clinics: &mut BTreeMap<ClinicId, ClinicFacts>, resources: &mut [ResourceFacts]) {
        match self {
            Self::Closure(closed, during) => {
                if let Some(clinic) = clinics.get_mut(closed) {
                    clinic.closures.push(*during);
                }
            }
            Self::OpeningHours(clinic, hours) => {
                if let Some(clinic) = clinics.get_mut(clinic) {
                    clinic.opening_hours.clone_from(hours);
                }
            }
            Self::TimeOff(away, during) => {
                for resource in resources.iter_mut().filter(|resource| resource.id == *away) {
                    resource.time_off.push(*during);
                }
            }
            Self::Resource { id, active, qualifications, working_hours } => {
                for resource in resources.iter_mut().filter(|resource| resource.id == *id) {
                    resource.active = *active;
                    resource.qualifications.clone_from(qualifications);
                    resource.working_hours.clone_from(working_hours);
                }
            }
        }
    }
}

/// A booked or held visit, as far as it can lose its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedVisit {
    /// Its id.
    pub id: AppointmentId,
    /// Where.
    pub clinic: ClinicId,
    /// When the patient is there.
    pub visit: Interval,
    /// What it occupies.
    pub occupied: Vec<(ResourceId, Interval)>,
    /// Whether it is only held.
    pub is_held: bool,
}

impl PlacedVisit {
    /// The place of an appointment.
    pub fn of(appointment: &Appointment) -> Self {
        Self {
            id: appointment.id,
            clinic: appointment.clinic,
            visit: appointment.visit,
            occupied: appointment.occupied().collect(),
            is_held: appointment.held_until().is_some(),
        }
    }

    /// Its place in lists: by start, then by id.
    pub const fn place(&self) -> (Instant, AppointmentId) {
        (self.visit.start(), self.id)
    }

    /// From when until when somebody or something is there for it.
    pub fn whole(&self) -> Interval {
        let parts = self.occupied.iter().map(|(_, during)| *during);
        parts.fold(self.visit, |whole, part| {
            let (start, end) = (whole.start().min(part.start()), whole.end().max(part.end()));
            Interval::new(start, end).unwrap_or(whole)
        })
    }

    /// Why it cannot take place where it is booked; empty if it can. Whether a resource may be used for new visits does
    /// not matter to one that is booked.
    pub fn losses(&self, clinic: &ClinicFacts, resources: &[ResourceFacts]) -> Vec<Violation> {
        let whole = self.whole();
        let mut losses = Vec::new();
        if !clinic.opening_hours.calendar(clinic.zone, &[whole]).covers(whole) {
            let text = "the visit, turnover included, does not lie within the clinic's opening hours";
            losses.push(Violation::new(Rule::OutsideOpeningHours, text));
        }
        if clinic.closures.iter().any(|closure| closure.overlaps(whole)) {
            losses.push(Violation::new(Rule::ClinicClosed, "the clinic is closed for part of the visit"));
        }
        for facts in resources.iter().filter(|facts| self.occupied.iter().any(|(id, _)| *id == facts.id)) {
            let needed = || self.occupied.iter().filter(|(id, _)| *id == facts.id).map(|(_, during)| *during);
            let loss = |rule, text: &str| Violation { resource: Some(facts.id), ..Violation::new(rule, text) };
            // What stands in a clinic follows its opening hours, which are told of already.
            if let Some(hours) = facts.hours_at(self.clinic)
                && needed().any(|during| !hours.calendar(clinic.zone, &[during]).covers(during))
            {
                let text = "the resource does not work at that clinic at that time";
                losses.push(loss(Rule::OutsideWorkingHours, text));
            }
            if needed().any(|during| facts.time_off.iter().any(|off| off.overlaps(during))) {
                losses.push(loss(Rule::ResourceAway, "the resource has time off then"));
            }
        }
        losses
    }
}
