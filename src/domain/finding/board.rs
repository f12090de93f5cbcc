//! The board of a clinic: who and what is free when, as sets of ticks.

use std::ops::Range;

use super::days::Days;
use super::ticks::{Cut, Ticks, Window};
use crate::domain::booking::{ClinicFacts, ResourceFacts};
use crate::domain::calendar::Calendar;
use crate::domain::catalog::{Need, Qualification, ResourceKind};
use crate::domain::ids::{ClinicId, ResourceId};
use crate::domain::interval::{Instant, Interval};
use crate::domain::zone::Zone;

/// Who and what of a clinic is free when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// The clinic.
    pub clinic: ClinicId,
    /// Where its wall clock is.
    pub zone: Zone,
    /// The stretch of time that the board knows.
    pub window: Window,
    /// Its calendar days.
    pub days: Days,
    /// When the clinic is open and not closed.
    pub open: Ticks,
    /// The resources that new visits may use there.
    pub resources: Vec<Row>,
}

/// A resource on a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: ResourceId,
    /// What it is.
    pub kind: ResourceKind,
    /// What it may be used for.
    pub qualifications: Vec<Qualification>,
    /// When it is at the clinic and not away.
    pub on_duty: Ticks,
    /// When it is taken.
    pub busy: Ticks,
}

impl Row {
    /// Whether it may serve a need.
    pub fn is_qualified(&self, need: &Need) -> bool {
        self.kind == need.kind && self.qualifications.contains(&need.qualification)
    }

    /// When it could serve a new visit.
    pub fn free(&self) -> Ticks {
        let mut free = self.on_duty.clone();
        free.minus(&self.busy);
        free
    }
}

impl Board {
    /// The board of a clinic over a stretch of time for which the facts are complete. Resources that new visits may not
    /// use, or that are never there, are left out.
    pub fn new(clinic: ClinicId, facts: &ClinicFacts, resources: &[ResourceFacts], span: Interval) -> Self {
        let window = Window::new(span);
        let days = Days::new(facts.zone, window);
        let opening = days.within(&facts.opening_hours);
        let mut open = opening.clone();
        facts.closures.iter().for_each(|closure| open.remove(window.touched(*closure)));
        let there = resources.iter().filter(|resource| resource.active && resource.serves(clinic));
        let resources = there.map(|resource| {
            let mut on_duty = match resource.hours_at(clinic) {
                Some(hours) => days.within(&hours),
                None => opening.clone(),
            };
            resource.time_off.iter().for_each(|off| on_duty.remove(window.touched(*off)));
            let mut busy = Ticks::none(window);
            for taken in Calendar::union(resource.busy.iter().map(|busy| busy.during).collect()).intervals() {
                busy.add(window.touched(*taken));
            }
            Row { id: resource.id, kind: resource.kind, qualifications: resource.qualifications.clone(), on_duty, busy }
        });
        let resources = resources.collect();
        Self { clinic, zone: facts.zone, window, days, open, resources }
    }

    /// Takes a resource for a while, or frees it again. What is not on the board is passed over.
    pub fn mark(&mut self, resource: ResourceId, during: Interval, taken: bool) {
        let run = self.window.touched(during);
        if let Some(row) = self.resources.iter_mut().find(|row| row.id == resource) {
            if taken { row.busy.add(run) } else { row.busy.remove(run) }
        }
    }

    /// The part of the board around a run of its ticks, with those resources that may serve one of the needs.
    #[must_use]
    pub fn cut(&self, run: &Range<usize>, needs: &[&Need]) -> Self {
        let cut = Cut::new(self.window, run);
        let rows = self.resources.iter().filter(|row| needs.iter().any(|need| row.is_qualified(need)));
        let resources = rows.map(|row| Row {
            id: row.id,
            kind: row.kind,
            qualifications: row.qualifications.clone(),
            on_duty: cut.of(&row.on_duty),
            busy: cut.of(&row.busy),
        });
        Self {
            clinic: self.clinic,
            zone: self.zone,
            window: cut.window,
            days: self.days.cut(cut.window),
            open: cut.of(&self.open),
            resources: resources.collect(),
        }
    }

    /// Whether it knows all from one instant to another.
    pub fn knows(&self, from: Instant, to: Instant) -> bool {
        self.window.span().is_some_and(|span| span.start() <= from && to <= span.end())
    }

    /// Bytes that it takes, as far as they grow with the window and the resources.
    pub fn bytes(&self) -> usize {
        let rows: usize =
            self.resources.iter().map(|row| size_of::<Row>() + row.on_duty.bytes() + row.busy.bytes()).sum();
        rows + self.open.bytes() + self.days.bytes()
    }

    /// Whether a resource is on it.
    pub fn has(&self, id: ResourceId) -> bool {
        self.resources.iter().any(|row| row.id == id)
    }

    /// Whether a practitioner is on it.
    pub fn has_practitioner(&self, id: ResourceId) -> bool {
        self.resources.iter().any(|row| row.id == id && row.kind == ResourceKind::Practitioner)
    }
}
