//! When a visit may be booked.

use std::sync::Arc;

use chrono::{Days, TimeDelta};

use super::appointment::the_session_is_open;
use super::boards::{CourseId, Look, Sought};
use super::commands::{FindSlots, SlotsOf};
use super::follow_up::{Following, following, series_field};
use super::page::Page;
use super::{App, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::appointment::{Appointment, SessionOf};
use crate::domain::booking::{FollowUp, Neighbours, PatientFacts, Timing, body_area_misfit};
use crate::domain::catalog::{BodyArea, GRID_MINUTES, MAX_VISIT_MINUTES, ResourceKind};
use crate::domain::finding::{Board, Slot, SlotDay, SlotPlace, Starts, Wanted, find, slot_days, slots};
use crate::domain::ids::{AppointmentId, ClinicId, PatientId, PracticeId, ResourceId, TreatmentId};
use crate::domain::series::Series;
use crate::store::{PgConnection, appointment, resource, series};

/// Size of a search that is done where the request is served: passing it on would take as long.
const SMALL_SEARCH: usize = 1_000_000;

/// One page of an answer.
#[derive(Debug, Clone)]
pub enum FoundSlots {
    /// Slot by slot.
    Slots(Page<Slot, SlotPlace>),
    /// Day by day.
    Days(Page<SlotDay, SlotPlace>),
}

/// The visit that is looked for, as far as the request only refers to it.
struct Target {
    course: CourseId,
    course_field: &'static str,
    patient: Option<(PatientId, &'static str)>,
    area: Option<BodyArea>,
    session: Option<(Series, i32)>,
    follow_up: Option<FollowUp>,
}

/// A search, the same on every board.
struct Search<'a> {
    look: &'a Look,
    ask: &'a FindSlots,
    timing: Timing<'a>,
    patient: Option<PatientFacts>,
    area: Option<BodyArea>,
    spacing_days: Option<i64>,
    neighbours: Option<Neighbours>,
    follow_up: Option<&'a FollowUp>,
    moving: Option<&'a Appointment>,
}

impl App {
    /// The starts at which a visit may be booked.
    pub async fn find_slots(&self, caller: &Caller, scoped: Scoped<FindSlots>) -> Result<FoundSlots, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ask = scoped.query;
        let (target, moving) = self.target(practice, &ask).await?;
        let clinics: Vec<(ClinicId, String)> =
            ask.clinics.iter().enumerate().map(|(place, id)| (*id, format!("clinic_ids[{place}]"))).collect();
        let sought = Sought {
            clinics: &clinics,
            course: target.course,
            course_field: target.course_field,
            patient: target.patient,
            area: target.area,
        };
        let look = self.look(practice, &sought).await?;
        for (place, id) in ask.practitioners.iter().enumerate() {
            self.is_practitioner(practice, &look, *id, &format!("practitioner_ids[{place}]")).await?;
        }
        if let Some(violation) = body_area_misfit(&look.course.treatment, target.area) {
            return Err(Error::Refused(vec![violation]));
        }
        let is_small = size(&look, &ask) <= SMALL_SEARCH;
        let search = move || Search::new(&look, &ask, &target, moving.as_ref()).page();
        if is_small { Ok(search()) } else { self.searches.think(practice, search).await }
    }

    async fn target(&self, practice: PracticeId, ask: &FindSlots) -> Result<(Target, Option<Appointment>), Error> {
        if let (SlotsOf::Treatment { patient, treatment, area }, None) = (ask.of, ask.moving) {
            return Ok((alone(patient, treatment, area), None));
        }
        let mut db = self.read().await?;
        let moving = match ask.moving {
            Some(id) => Some(moving(&mut db, practice, id).await?),
            None => None,
        };
        let is_it = match (&moving, ask.of) {
            (None, _) => true,
            (Some(moving), SlotsOf::Treatment { patient, treatment, area }) => {
                (Some(moving.patient), moving.treatment, moving.area, moving.series())
                    == (patient, treatment, area, None)
            }
            (Some(moving), SlotsOf::Session { series, number }) => moving.session == Some(SessionOf { series, number }),
            (Some(moving), SlotsOf::FollowUp(follows)) => moving.follows == Some(follows),
        };
        if !is_it {
            let remedy = "must be the visit that is named: the same patient, treatment and area, the same session or the same assessment";
            return Err(Error::field("moving_appointment_id", remedy));
        }
        let target = match ask.of {
            SlotsOf::Treatment { patient, treatment, area } => {
                // A visit is moved in the version that it was booked in.
                let version = moving.as_ref().map(|moving| moving.treatment_version);
                Target { course: CourseId::Treatment(treatment, version), ..alone(patient, treatment, area) }
            }
            SlotsOf::Session { series: id, number } => {
                let series =
                    series::get(&mut db, practice, id).await?.ok_or_else(|| Error::not_found("session.series_id"))?;
                the_session_is_open(&series, number, ask.moving)?;
                Target {
                    course: CourseId::Protocol(series.protocol, Some(series.protocol_version)),
                    course_field: "session.series_id",
                    patient: Some((series.patient, "session.series_id")),
                    area: Some(series.area),
                    session: Some((series, number)),
                    follow_up: None,
                }
            }
            SlotsOf::FollowUp(follows) => {
                let Following { patient, treatment: (id, version), area, follow_up } =
                    following(&mut db, practice, follows, ask.moving).await?;
                let field = series_field(follows);
                Target {
                    course: CourseId::Treatment(id, Some(version)),
                    course_field: field,
                    patient: Some((patient, field)),
                    area,
                    session: None,
                    follow_up: Some(follow_up),
                }
            }
        };
        Ok((target, moving))
    }

    /// Whether the practice has that practitioner. Those on a board are known; others may be out of use, or work
    /// elsewhere, and then nothing is found.
    pub(super) async fn is_practitioner(
        &self,
        practice: PracticeId,
        look: &Look,
        id: ResourceId,
        field: &str,
    ) -> Result<(), Error> {
        if look.boards.iter().any(|board| board.has_practitioner(id)) {
            return Ok(());
        }
        let found = resource::get(&mut *self.read().await?, practice, id).await?;
        let is_one = found.is_some_and(|resource| resource.kind == ResourceKind::Practitioner);
        if is_one { Ok(()) } else { Err(Error::not_found(field)) }
    }
}

/// About how many words of bitsets a search works through: ticks of days and resources, for each set of needs.
fn size(look: &Look, ask: &FindSlots) -> usize {
    let days = usize::try_from((ask.last - ask.first).num_days()).unwrap_or_default() + 1;
    let resources: usize = look.boards.iter().map(|board| board.resources.len()).sum();
    let needs = look.course.treatment.content.needs().len();
    (days * 5 * resources) << needs
}

fn alone(patient: Option<PatientId>, treatment: TreatmentId, area: Option<BodyArea>) -> Target {
    Target {
        course: CourseId::Treatment(treatment, None),
        course_field: "treatment.treatment_id",
        patient: patient.map(|patient| (patient, "treatment.patient_id")),
        area,
        session: None,
        follow_up: None,
    }
}

/// An appointment that is to be moved.
async fn moving(db: &mut PgConnection, practice: PracticeId, id: AppointmentId) -> Result<Appointment, Error> {
    let found = appointment::get(db, practice, id).await?.filter(Appointment::is_live);
    found.ok_or_else(|| Error::not_found("moving_appointment_id"))
}

impl<'a> Search<'a> {
    fn new(look: &'a Look, ask: &'a FindSlots, target: &'a Target, moving: Option<&'a Appointment>) -> Self {
        let gone: Vec<AppointmentId> = moving.iter().map(|appointment| appointment.id).collect();
        let patient = look.patient.clone().map(|mut patient| {
            patient.forget(&gone);
            patient
        });
        let gap = look.course.protocol.as_ref().map(|protocol| protocol.content.gap);
        let treatment = &look.course.treatment;
        Self {
            look,
            ask,
            timing: Timing::new(treatment),
            patient,
            area: target.area,
            spacing_days: gap.map(|gap| gap.minimum).or(treatment.content.spacing_days).map(i64::from),
            neighbours: target
                .session
                .as_ref()
                .zip(gap)
                .map(|((series, number), gap)| series.neighbours(*number, i64::from(gap.maximum), look.now)),
            follow_up: target.follow_up.as_ref(),
            moving,
        }
    }

    fn page(&self) -> FoundSlots {
        let (after, size) = (self.ask.page.after, self.ask.page.size);
        // One more than the page holds tells whether there is a next one.
        let most = usize::try_from(size).unwrap_or_default() + 1;
        let found = self.look.boards.iter().map(|board| self.on(board));
        if self.ask.by_day {
            let mut days: Vec<SlotDay> =
                found.flat_map(|(board, starts)| slot_days(&board, &starts, after, most)).collect();
            days.sort_by_key(SlotDay::place);
            FoundSlots::Days(Page::new(days, size, SlotDay::place))
        } else {
            let minutes = self.timing.present_minutes();
            let mut all: Vec<Slot> =
                found.flat_map(|(board, starts)| slots(&board, &starts, minutes, after, most)).collect();
            all.sort_by_key(Slot::place);
            FoundSlots::Slots(Page::new(all, size, Slot::place))
        }
    }

    /// The starts on one board, with the part of the board that they are ticks of.
    fn on(&self, board: &Arc<Board>) -> (Board, Starts) {
        let Self { look, ask, timing, .. } = self;
        let days = board.days.ticks_between(ask.first, ask.last);
        // A visit may reach into the day after the last one.
        let reach = i64::try_from(days.end).unwrap_or_default() + i64::from(MAX_VISIT_MINUTES / GRID_MINUTES);
        let run = board.window.clip(i64::try_from(days.start).unwrap_or_default(), reach);
        let mut board_part = board.cut(&run, &timing.needs);
        if let Some(moving) = self.moving {
            moving.occupied().for_each(|(resource, during)| board_part.mark(resource, during, false));
        }
        let notice = TimeDelta::minutes(i64::from(ask.starts.notice_minutes));
        let end = ask.last.checked_add_days(Days::new(1)).unwrap_or(ask.last);
        let wanted = Wanted {
            timing,
            patient: self.patient.as_ref(),
            area: self.area,
            spacing_days: self.spacing_days,
            neighbours: self.neighbours,
            follow_up: self.follow_up,
            earliest: (look.now + notice).max(board.zone.midnight(ask.first)),
            latest: look.horizon_end.min(board.zone.midnight(end) - TimeDelta::microseconds(1)),
            grid_minutes: ask.starts.grid_minutes,
        };
        let mut starts = find(&board_part, &wanted).with_one_of(&ask.practitioners, board_part.window);
        if ask.times.names_weekdays() || ask.times.names_parts() {
            starts.keep(&board_part.days.visits_within(&ask.times.week(), timing.present_minutes()));
        }
        (board_part, starts)
    }
}
