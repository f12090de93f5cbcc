//! When a visit may be booked.

use std::sync::Arc;

use chrono::{Days, TimeDelta};

use super::boards::{CourseId, Look, Sought};
use super::combination::misfit;
use super::commands::{FindSlots, SlotsOf};
use super::follow_up::{Following, following, series_field};
use super::page::Page;
use super::single_visit::the_session_is_open;
use super::{App, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::appointment::{Appointment, SessionOf};
use crate::domain::booking::{FollowUp, Neighbours, PatientFacts, Timing, body_area_misfit};
use crate::domain::catalog::{BodyArea, GRID_MINUTES, MAX_VISIT_MINUTES, ResourceKind, Treatment};
use crate::domain::combination::{Combined, combination_misfit};
use crate::domain::finding::{Board, Slot, SlotDay, SlotPlace, Starts, Wanted, find, slot_days, slots};
use crate::domain::ids::{AppointmentId, ClinicId, PatientId, PracticeId, ResourceId, SeriesId, TreatmentId};
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::series::Series;
use crate::store::{PgConnection, appointment, overrides, resource, series};

/// Size of a search that is done where the request is served: passing it on would take as long.
const SMALL_SEARCH: usize = 1_000_000;

/// What was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// One page of slots or days.
    pub page: FoundSlots,
    /// What stands in the way of the visit at any time.
    pub missing: Vec<Violation>,
    /// What stands in its way at some times to come.
    pub limits: Vec<Violation>,
}

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
    /// The series that it is a session of, or keeps the result of.
    series: Option<SeriesId>,
    follow_up: Option<FollowUp>,
    /// What is added: a treatment in a version, none for the highest.
    add_on: Option<(TreatmentId, Option<i32>)>,
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
    pub async fn find_slots(&self, caller: &Caller, scoped: Scoped<FindSlots>) -> Result<Found, Error> {
        self.slots(Self::tenant(caller, scoped.practice)?, scoped.query).await
    }

    pub(super) async fn slots(&self, practice: PracticeId, ask: FindSlots) -> Result<Found, Error> {
        let (target, moving) = self.target(practice, &ask).await?;
        let clinics: Vec<(ClinicId, String)> =
            ask.clinics.iter().enumerate().map(|(place, id)| (*id, format!("clinic_ids[{place}]"))).collect();
        let sought = Sought {
            clinics: &clinics,
            course: target.course,
            course_field: target.course_field,
            add_ons: target.add_on.as_slice(),
            patient: target.patient,
            area: target.area,
            series: target.series,
        };
        let look = self.look(practice, &sought).await?;
        for (place, id) in ask.practitioners.iter().enumerate() {
            self.is_practitioner(practice, &look, *id, &format!("practitioner_ids[{place}]")).await?;
        }
        let base = &look.course.treatment;
        let add_on = look.add_ons.first().map(|course| &course.treatment);
        let combined = add_on.map(|add_on| Combined::new(base, add_on));
        let treatment = combined.as_ref().map_or(base, |combined| &combined.treatment);
        let mut refusal: Refusal = body_area_misfit(treatment, target.area).into_iter().collect();
        // What is moved keeps what was added to it.
        if let (Some(add_on), None) = (add_on, &moving) {
            refusal.extend(match target.patient {
                Some((patient, _)) => {
                    let mut db = self.read().await?;
                    let approval = overrides::combination(&mut db, practice, patient, base.id, add_on.id).await?;
                    misfit(base, add_on, approval)
                }
                None => combination_misfit(base, add_on),
            });
        }
        if !refusal.is_empty() {
            return Err(Error::Refused(refusal));
        }
        let number = target.session.as_ref().map(|(_, number)| *number);
        let missing =
            look.patient.as_ref().map(|patient| patient.fitness.missing(number, look.now)).unwrap_or_default();
        let limits = look.patient.as_ref().map(|patient| patient.fitness.limits(look.now)).unwrap_or_default();
        let is_small = size(&look, treatment, &ask) <= SMALL_SEARCH;
        let search = move || Search::new(&look, &ask, &target, combined.as_ref(), moving.as_ref()).page();
        let page = if is_small { search() } else { self.searches.think(practice, search).await? };
        Ok(Found { page, missing, limits })
    }

    async fn target(&self, practice: PracticeId, ask: &FindSlots) -> Result<(Target, Option<Appointment>), Error> {
        if let (SlotsOf::Treatment { patient, treatment, area }, None) = (ask.of, ask.moving) {
            let add_on = ask.add_on.map(|id| (id, None));
            return Ok((Target { add_on, ..alone(patient, treatment, area) }, None));
        }
        let mut db = self.read_current(practice).await?;
        let moving = match ask.moving {
            Some(id) => Some(moving(&mut db, practice, id).await?),
            None => None,
        };
        // A visit is moved in the versions that it was booked in.
        let add_on = moving.as_ref().and_then(|moving| moving.add_on);
        let same_add_on = moving.is_none() || add_on.map(|add_on| add_on.treatment) == ask.add_on;
        let add_on = ask.add_on.map(|id| (id, add_on.map(|add_on| add_on.version)));
        let is_it = same_add_on
            && match (&moving, ask.of) {
                (None, _) => true,
                (Some(moving), SlotsOf::Treatment { patient, treatment, area }) => {
                    (Some(moving.patient), moving.treatment, moving.area, moving.series())
                        == (patient, treatment, area, None)
                }
                (Some(moving), SlotsOf::Session { series, number }) => {
                    moving.session == Some(SessionOf { series, number })
                }
                (Some(moving), SlotsOf::FollowUp(follows)) => moving.follows == Some(follows),
            };
        if !is_it {
            let remedy = "must be the visit that is named: the same patient, treatment and area, the same session or the \
                          same assessment, and the same added treatment";
            return Err(Error::field("moving_appointment_id", remedy));
        }
        let target = match ask.of {
            SlotsOf::Treatment { patient, treatment, area } => {
                let version = moving.as_ref().map(|moving| moving.treatment_version);
                Target { course: CourseId::Treatment(treatment, version), add_on, ..alone(patient, treatment, area) }
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
                    series: Some(id),
                    follow_up: None,
                    add_on,
                }
            }
            SlotsOf::FollowUp(follows) => {
                let Following { patient, treatment: (id, version), area, protocol, follow_up } =
                    following(&mut db, practice, follows, ask.moving).await?;
                let field = series_field(follows);
                Target {
                    course: match protocol {
                        Some(protocol) => CourseId::Protocol(protocol.id, Some(protocol.version)),
                        None => CourseId::Treatment(id, Some(version)),
                    },
                    course_field: field,
                    patient: Some((patient, field)),
                    area,
                    session: None,
                    series: Some(follows.series),
                    follow_up: Some(follow_up),
                    add_on,
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
fn size(look: &Look, treatment: &Treatment, ask: &FindSlots) -> usize {
    let days = usize::try_from((ask.last - ask.first).num_days()).unwrap_or_default() + 1;
    let resources: usize = look.boards.iter().map(|board| board.resources.len()).sum();
    let needs = treatment.content.needs().len();
    (days * 5 * resources) << needs
}

fn alone(patient: Option<PatientId>, treatment: TreatmentId, area: Option<BodyArea>) -> Target {
    Target {
        course: CourseId::Treatment(treatment, None),
        course_field: "treatment.treatment_id",
        patient: patient.map(|patient| (patient, "treatment.patient_id")),
        area,
        session: None,
        series: None,
        follow_up: None,
        add_on: None,
    }
}

/// An appointment that is to be moved.
async fn moving(db: &mut PgConnection, practice: PracticeId, id: AppointmentId) -> Result<Appointment, Error> {
    let found = appointment::get(db, practice, id).await?.filter(Appointment::is_live);
    found.ok_or_else(|| Error::not_found("moving_appointment_id"))
}

impl<'a> Search<'a> {
    fn new(
        look: &'a Look,
        ask: &'a FindSlots,
        target: &'a Target,
        combined: Option<&'a Combined>,
        moving: Option<&'a Appointment>,
    ) -> Self {
        let gone: Vec<AppointmentId> = moving.iter().map(|appointment| appointment.id).collect();
        let patient = look.patient.clone().map(|mut patient| {
            patient.forget(&gone);
            patient
        });
        let gap = target.session.as_ref().map(|(series, _)| series.gap.days());
        let treatment = combined.map_or(&look.course.treatment, |combined| &combined.treatment);
        let spacing_days = match (gap, combined) {
            (Some(gap), Some(combined)) => Some(combined.session_spacing(gap)),
            (Some(gap), None) => Some(i64::from(gap.minimum)),
            (None, _) => treatment.content.spacing_days.map(i64::from),
        };
        Self {
            look,
            ask,
            timing: Timing::new(treatment),
            patient,
            area: target.area,
            spacing_days,
            neighbours: target.session.as_ref().map(|(series, number)| series.neighbours(*number, look.now)),
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
            moved_from: self.moving.map(|moving| moving.visit.start()),
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
