//! What a treatment means in time: when the patient is there, what is occupied, which windows it opens.

use chrono::{Days, NaiveDate, TimeDelta};

use super::VisitRequest;
use crate::domain::appointment::BookedPhase;
use crate::domain::catalog::{Activity, BodyArea, Duty, Need, Restriction, SpacingScope, Treatment};
use crate::domain::ids::{ClearanceId, ClinicId, OverrideId, ResourceId, TreatmentId};
use crate::domain::interval::{Instant, Interval};
use crate::domain::named_enum;
use crate::domain::zone::Zone;

named_enum! {
    /// What an activity window is to its activity.
    pub enum WindowRole {
        /// It forbids the activity.
        Restricts = "restricts",
        /// It is the activity.
        Exposes = "exposes",
        /// It advises against the activity.
        Advises = "advises",
        /// It asks for protection against the activity.
        Asks = "asks",
    }
}

impl WindowRole {
    /// Whether windows of these roles may not overlap. What a patient is only told is in nobody's way.
    pub const fn collides(self, other: Self) -> bool {
        match (self, other) {
            (Self::Restricts, Self::Exposes) | (Self::Exposes, Self::Restricts) => true,
            (Self::Restricts | Self::Exposes | Self::Advises | Self::Asks, _) => false,
        }
    }
}

/// A stretch in which a visit has to do with an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityWindow {
    /// The activity.
    pub activity: Activity,
    /// What it is to it.
    pub role: WindowRole,
    /// When.
    pub during: Interval,
}

impl ActivityWindow {
    /// Whether one is the activity while the other forbids it.
    pub fn collides(&self, other: &Self) -> bool {
        self.activity == other.activity && self.role.collides(other.role) && self.during.overlaps(other.during)
    }
}

/// Days in which a visit keeps other needlings away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spaced {
    /// On which area, or on all of them.
    pub scope: SpacingScope,
    /// The visit's day.
    pub day: NaiveDate,
    /// The first day on which it may be needled again.
    pub until: NaiveDate,
}

/// A resource taken for an unbroken stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupied {
    /// The resource.
    pub resource: ResourceId,
    /// The need that it serves: its place in the treatment's list of needs.
    pub need: usize,
    /// When.
    pub during: Interval,
}

/// A visit that may be booked, with all that it takes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedVisit {
    /// Where.
    pub clinic: ClinicId,
    /// The clinic's zone.
    pub zone: Zone,
    /// The treatment.
    pub treatment: TreatmentId,
    /// Its version.
    pub treatment_version: i32,
    /// The area treated.
    pub area: Option<BodyArea>,
    /// When the patient is there.
    pub visit: Interval,
    /// What happens.
    pub phases: Vec<BookedPhase>,
    /// What is taken.
    pub occupied: Vec<Occupied>,
    /// The days in which it keeps other needlings away.
    pub spacing: Vec<Spaced>,
    /// The override that says how long on its area; none where the protocol or treatment does.
    pub spacing_override: Option<OverrideId>,
    /// What it forbids, advises against and asks for, and what it is.
    pub windows: Vec<ActivityWindow>,
    /// The clearance under which it takes place.
    pub clearance: Option<ClearanceId>,
}

/// A treatment laid out from minute 0.
#[derive(Debug)]
pub struct Timing<'a> {
    treatment: &'a Treatment,
    /// The distinct needs of the treatment.
    pub needs: Vec<&'a Need>,
    /// For each need, the unbroken stretches in which it is needed.
    stretches: Vec<Vec<Offsets>>,
    present: Offsets,
    whole: Offsets,
    exposing: Option<Offsets>,
}

/// A stretch in minutes from the start of the visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offsets {
    from: i64,
    to: i64,
}

impl Offsets {
    fn at(self, start: Instant) -> Interval {
        let (from, to) = (start + TimeDelta::minutes(self.from), start + TimeDelta::minutes(self.to));
        // Phases are at least five minutes long, so the stretch is never empty.
        Interval::new(from, to).unwrap_or_else(|| unreachable!("a stretch of a visit is not empty"))
    }

    /// Adds a stretch to a list, joined to the last one if they touch.
    fn join(list: &mut Vec<Self>, next: Self) {
        match list.last_mut() {
            Some(before) if before.to == next.from => before.to = next.to,
            Some(_) | None => list.push(next),
        }
    }
}

impl<'a> Timing<'a> {
    /// The layout of a treatment.
    pub fn new(treatment: &'a Treatment) -> Self {
        let needs = treatment.content.needs();
        let mut stretches = vec![Vec::new(); needs.len()];
        let (mut present, mut exposing) = (Vec::new(), Vec::new());
        let mut at = 0;
        for phase in &treatment.content.phases {
            let during = Offsets { from: at, to: at + i64::from(phase.minutes) };
            at = during.to;
            if phase.patient_present {
                Offsets::join(&mut present, during);
            }
            if phase.exposing {
                Offsets::join(&mut exposing, during);
            }
            for (need, list) in needs.iter().zip(&mut stretches) {
                if phase.needs.contains(need) {
                    Offsets::join(list, during);
                }
            }
        }
        let whole = Offsets { from: 0, to: at };
        Self {
            treatment,
            needs,
            stretches,
            present: present.first().copied().unwrap_or(whole),
            whole,
            exposing: exposing.first().copied(),
        }
    }

    /// When the patient is there.
    pub fn visit(&self, start: Instant) -> Interval {
        self.present.at(start)
    }

    /// The visit with turnover.
    pub fn whole(&self, start: Instant) -> Interval {
        self.whole.at(start)
    }

    /// Minutes of the visit with turnover.
    pub const fn minutes(&self) -> i64 {
        self.whole.to
    }

    /// Minutes that the patient is there.
    pub const fn present_minutes(&self) -> i64 {
        self.present.to
    }

    /// From when until when the treatment proper takes, in minutes from the start.
    pub fn exposing_minutes(&self) -> Option<(i64, i64)> {
        self.exposing.map(|stretch| (stretch.from, stretch.to))
    }

    /// From when until when a need is needed, in minutes from the start.
    pub fn needed_minutes(&self, need: usize) -> impl Iterator<Item = (i64, i64)> {
        self.stretches.get(need).into_iter().flatten().map(|stretch| (stretch.from, stretch.to))
    }

    /// When a need is needed.
    pub fn needed(&self, need: usize, start: Instant) -> impl Iterator<Item = Interval> {
        self.stretches.get(need).into_iter().flatten().map(move |stretch| stretch.at(start))
    }

    /// The treatment.
    pub const fn treatment(&self) -> &'a Treatment {
        self.treatment
    }

    /// When the treatment proper takes place in a visit.
    pub fn proper(&self, start: Instant) -> Option<Interval> {
        self.exposing.map(|stretch| stretch.at(start))
    }

    /// When a visit forbids what one of its treatment's restrictions is about.
    pub fn restricts(&self, zone: Zone, start: Instant, restriction: &Restriction) -> Option<Interval> {
        let exposing = self.proper(start)?;
        let from = restriction.before.map_or(exposing.start(), |span| span.before(zone, exposing.start()));
        let to = restriction.after.map_or(exposing.end(), |span| span.after(zone, exposing.end()));
        Interval::new(from, to)
    }

    /// When a visit asks for what one of its treatment's duties is about. Where the clocks are put back, a day may be as
    /// long as some more hours; then there may be no time for it.
    fn asks(&self, zone: Zone, start: Instant, duty: &Duty) -> Option<Interval> {
        let end = self.proper(start)?.end();
        Interval::new(duty.from.map_or(end, |span| span.after(zone, end)), duty.until.after(zone, end))
    }

    /// What a visit exposes to, forbids, advises against and asks for.
    pub fn windows(&self, zone: Zone, start: Instant) -> Vec<ActivityWindow> {
        let Some(exposing) = self.proper(start) else { return Vec::new() };
        let content = &self.treatment.content;
        let exposes = content.exposures.iter().map(|activity| ActivityWindow {
            activity: *activity,
            role: WindowRole::Exposes,
            during: exposing,
        });
        let restricts = content.restrictions.iter().filter_map(|restriction| {
            let during = self.restricts(zone, start, restriction)?;
            let role = if restriction.advice_only { WindowRole::Advises } else { WindowRole::Restricts };
            Some(ActivityWindow { activity: restriction.activity, role, during })
        });
        let asks = content.duties.iter().filter_map(|duty| {
            let during = self.asks(zone, start, duty)?;
            Some(ActivityWindow { activity: duty.activity, role: WindowRole::Asks, during })
        });
        exposes.chain(restricts).chain(asks).collect()
    }

    /// The days in which a visit as asked for, but at this start, keeps other needlings away; none if it does not needle.
    pub fn spacing(&self, zone: Zone, request: &VisitRequest, start: Instant) -> Vec<Spaced> {
        let (Some(area), Some(days)) = (request.area, request.spacing_days) else { return Vec::new() };
        self.needling(zone, area, days, start)
    }

    /// The days in which a needling of an area keeps others away: those given on the same area, and the treatment's own
    /// on any.
    pub fn needling(&self, zone: Zone, area: BodyArea, days: i64, start: Instant) -> Vec<Spaced> {
        let scopes = std::iter::once((SpacingScope::Area(area), days))
            .chain(self.across_areas_days().map(|days| (SpacingScope::AnyArea, days)));
        let day = zone.day(start);
        let spaced = scopes.filter_map(|(scope, days)| {
            let until = day.checked_add_days(Days::new(u64::try_from(days).ok()?))?;
            Some(Spaced { scope, day, until })
        });
        spaced.collect()
    }

    /// Calendar days after a visit in which no other area may be needled.
    pub fn across_areas_days(&self) -> Option<i64> {
        self.treatment.content.across_areas.as_ref().map(|across| i64::from(across.days))
    }

    /// The plan of a visit whose needs are served by these resources, in the order of the needs.
    pub fn plan(
        &self,
        zone: Zone,
        request: &VisitRequest,
        serving: &[ResourceId],
        clearance: Option<ClearanceId>,
    ) -> PlannedVisit {
        let start = request.start;
        let occupied = serving.iter().enumerate().flat_map(|(need, resource)| {
            self.needed(need, start).map(move |during| Occupied { resource: *resource, need, during })
        });
        PlannedVisit {
            clinic: request.clinic,
            zone,
            treatment: self.treatment.id,
            treatment_version: self.treatment.version,
            area: request.area,
            visit: self.visit(start),
            phases: booked_phases(self.treatment, start, serving),
            occupied: occupied.collect(),
            spacing: self.spacing(zone, request, start),
            spacing_override: request.spacing_override,
            windows: self.windows(zone, start),
            clearance,
        }
    }
}

/// The phases of a visit whose needs are served by these resources, in the order of the needs.
pub fn booked_phases(treatment: &Treatment, start: Instant, serving: &[ResourceId]) -> Vec<BookedPhase> {
    let needs = treatment.content.needs();
    let timeline = treatment.content.timeline(start);
    let phases = timeline.into_iter().map(|(phase, during)| BookedPhase {
        name: phase.name.clone(),
        during,
        patient_present: phase.patient_present,
        resources: needs
            .iter()
            .zip(serving)
            .filter(|(need, _)| phase.needs.contains(need))
            .map(|(need, resource)| (*resource, need.kind))
            .collect(),
    });
    phases.collect()
}
