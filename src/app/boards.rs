//! The boards of clinics, kept in memory by the revision of their practice, so that a question costs one statement
//! while nothing has changed, and little more after a booking.
//!
//! What is kept only ever answers questions. A booking is decided on facts that are read under the practice's lock, so
//! that a board that is out of date could make a question come out wrong, never a booking.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;

use super::facts::patient_question;
use super::fitness::{FitFor, fitness};
use super::lanes::{Lanes, MAX_WAITING};
use super::{App, Error};
use crate::domain::booking::PatientFacts;
use crate::domain::catalog::{BodyArea, MAX_VISIT_MINUTES, Protocol, Treatment};
use crate::domain::combination::Combined;
use crate::domain::finding::Board;
use crate::domain::ids::{ClinicId, PatientId, PracticeId, ProtocolId, SeriesId, TreatmentId};
use crate::domain::interval::{Instant, Interval};
use crate::store::{PgConnection, booking, catalog, history, practice};

/// Bytes of boards, treatments and protocols that are kept, of all practices together.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// What a treatment or a protocol that is kept counts as: most of them are smaller, and none is larger than the message
/// that it came in.
const COURSE_BYTES: usize = 16 * 1024;
/// Treatments and protocols that are kept of a practice; beyond that all are read again.
const MAX_COURSES: usize = 64;
/// Most changes that a board is led through; after more, it is made anew.
const MAX_CHANGES: i64 = 1_000;
/// How much longer than the booking horizon a board reaches when it is made, so that it lasts some days.
const SPARE_DAYS: i64 = 7;
/// Questions of one practice that bring its boards up to date at once; the others wait and find them done.
const MAKERS: usize = 1;

/// A treatment, by itself or as the sessions of a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum CourseId {
    /// A treatment in a version; none for the highest.
    Treatment(TreatmentId, Option<i32>),
    /// A protocol in a version; none for the highest.
    Protocol(ProtocolId, Option<i32>),
}

/// What is to be booked: a treatment, by itself or as the sessions of a protocol.
#[derive(Debug)]
pub struct Course {
    /// The protocol, if it is one.
    pub protocol: Option<Protocol>,
    /// The treatment of each visit.
    pub treatment: Treatment,
}

/// What is known of a practice at one of its revisions.
#[derive(Debug, Clone, Default)]
struct Known {
    revision: i64,
    boards: BTreeMap<ClinicId, Arc<Board>>,
    courses: HashMap<CourseId, Arc<Course>>,
}

/// What is kept.
#[derive(Debug)]
pub(super) struct Boards {
    kept: Mutex<Kept>,
    makers: Lanes,
}

#[derive(Debug, Default)]
struct Kept {
    practices: HashMap<PracticeId, (u64, Arc<Known>)>,
    used: u64,
}

/// A question that boards answer.
#[derive(Debug, Clone)]
pub(super) struct Sought<'a> {
    /// The clinics, by the field that names each.
    pub clinics: &'a [(ClinicId, String)],
    /// What is to be booked.
    pub course: CourseId,
    /// The field that names it.
    pub course_field: &'static str,
    /// What is added to visits: treatments in versions, none for the highest.
    pub add_ons: &'a [(TreatmentId, Option<i32>)],
    /// For whom, and the field that names them.
    pub patient: Option<(PatientId, &'static str)>,
    /// The area to treat.
    pub area: Option<BodyArea>,
    /// The series, if there is one already.
    pub series: Option<SeriesId>,
}

/// All that an answer rests on, as of one revision.
#[derive(Debug)]
pub(super) struct Look {
    /// The current time.
    pub now: Instant,
    /// The last moment at which a visit may begin.
    pub horizon_end: Instant,
    /// The boards of the clinics, in the order asked for.
    pub boards: Vec<Arc<Board>>,
    /// What is to be booked.
    pub course: Arc<Course>,
    /// What is added to visits, in the order asked for.
    pub add_ons: Vec<Arc<Course>>,
    /// The patient.
    pub patient: Option<PatientFacts>,
}

impl Sought<'_> {
    /// All that has to be known of the catalogue, by the field that names each: the course, then what is added.
    fn courses(&self) -> Vec<(CourseId, &'static str)> {
        let added =
            self.add_ons.iter().map(|(id, version)| (CourseId::Treatment(*id, *version), "add_on_treatment_id"));
        std::iter::once((self.course, self.course_field)).chain(added).collect()
    }
}

impl Look {
    /// The visit with each of what is added, by the treatment that is added and its version.
    pub(super) fn combined(&self) -> Vec<((TreatmentId, i32), Combined)> {
        let added = self.add_ons.iter().map(|course| &course.treatment);
        added.map(|add_on| ((add_on.id, add_on.version), Combined::new(&self.course.treatment, add_on))).collect()
    }
}

impl Default for Boards {
    fn default() -> Self {
        Self { kept: Mutex::default(), makers: Lanes::new(MAKERS, MAX_WAITING) }
    }
}

impl Boards {
    fn get(&self, practice: PracticeId) -> Option<Arc<Known>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.used += 1;
        let now = kept.used;
        let (used, known) = kept.practices.get_mut(&practice)?;
        *used = now;
        Some(Arc::clone(known))
    }

    /// Keeps what is known of a practice; what was used longest ago goes where there is no room for all.
    fn keep(&self, practice: PracticeId, known: Arc<Known>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.used += 1;
        let now = kept.used;
        kept.practices.remove(&practice);
        // One that leaves no room for any other is not kept at all.
        if known.bytes() > MAX_BYTES {
            return;
        }
        kept.practices.insert(practice, (now, known));
        let mut bytes: usize = kept.practices.values().map(|(_, known)| known.bytes()).sum();
        while bytes > MAX_BYTES {
            let oldest = kept.practices.iter().min_by_key(|(_, (used, _))| *used).map(|(practice, _)| *practice);
            let Some((_, gone)) = oldest.and_then(|oldest| kept.practices.remove(&oldest)) else { break };
            bytes -= gone.bytes();
        }
    }
}

impl Known {
    fn bytes(&self) -> usize {
        let boards: usize = self.boards.values().map(|board| board.bytes()).sum();
        boards + self.courses.len() * COURSE_BYTES
    }

    /// The course and what is added to it, if all are known.
    fn courses(&self, sought: &Sought<'_>) -> Option<Vec<Arc<Course>>> {
        sought.courses().iter().map(|(id, _)| self.courses.get(id).map(Arc::clone)).collect()
    }

    /// The boards, if all are known as far as a visit within the horizon could look.
    fn find(&self, sought: &Sought<'_>, now: Instant, horizon_end: Instant) -> Option<Vec<Arc<Board>>> {
        let until = end_of_last_visit(horizon_end);
        let known =
            |(id, _): &(ClinicId, String)| self.boards.get(id).filter(|board| board.knows(now, until)).map(Arc::clone);
        sought.clinics.iter().map(known).collect()
    }
}

impl App {
    /// What an answer rests on: from memory if nothing has changed since, else brought up to date.
    pub(super) async fn look(&self, practice_id: PracticeId, sought: &Sought<'_>) -> Result<Look, Error> {
        let now = self.clock.now();
        if let Some(look) = self.look_back(practice_id, sought, now).await? {
            return Ok(look);
        }
        // Who waited here most often finds that the one before has done the work.
        let _maker = self.boards.makers.enter(practice_id).await?;
        if let Some(look) = self.look_back(practice_id, sought, now).await? {
            return Ok(look);
        }
        let mut db = self.read_current(practice_id).await?;
        let standing = practice::standing(&mut db, practice_id).await?;
        let standing = standing.ok_or_else(|| Error::not_found("practice_id"))?;
        let horizon_end = standing.horizon_end(now);
        let known = self.boards.get(practice_id).map(|known| Known::clone(&known));
        let mut known = up_to_date(&mut db, practice_id, known, standing.revision).await?;
        let wanted = sought.courses();
        if known.courses.len() >= MAX_COURSES && wanted.iter().any(|(id, _)| !known.courses.contains_key(id)) {
            known.courses.clear();
        }
        for (id, field) in wanted {
            if let Entry::Vacant(place) = known.courses.entry(id) {
                place.insert(Arc::new(course(&mut db, practice_id, id, field).await?));
            }
        }
        let until = end_of_last_visit(horizon_end);
        for (id, field) in sought.clinics {
            if !known.boards.get(id).is_some_and(|board| board.knows(now, until)) {
                let span = Interval::new(now - TimeDelta::hours(1), until + TimeDelta::days(SPARE_DAYS));
                let span = span.unwrap_or_else(|| unreachable!("a horizon lies ahead"));
                let board = board(&mut db, practice_id, *id, span).await?.ok_or_else(|| Error::not_found(field))?;
                known.boards.insert(*id, Arc::new(board));
            }
        }
        let known = Arc::new(known);
        let (Some(boards), Some(courses)) = (known.find(sought, now, horizon_end), known.courses(sought)) else {
            unreachable!("what was missing has just been made")
        };
        let patient = match sought.patient {
            Some((id, field)) => {
                let question = ahead(id, &courses, sought.area, now, horizon_end);
                let found = booking::patient(&mut db, practice_id, &question).await?;
                let patient = found.ok_or_else(|| Error::not_found(field))?.1;
                Some(judged(&mut db, practice_id, sought, &courses, (id, patient)).await?)
            }
            None => None,
        };
        self.boards.keep(practice_id, known);
        let Some((course, add_ons)) = split(courses) else { unreachable!("a course was asked for") };
        Ok(Look { now, horizon_end, boards, course, add_ons, patient })
    }

    /// The same from memory, if the practice is still at the revision that is known: one statement.
    async fn look_back(
        &self,
        practice_id: PracticeId,
        sought: &Sought<'_>,
        now: Instant,
    ) -> Result<Option<Look>, Error> {
        let Some(known) = self.boards.get(practice_id) else { return Ok(None) };
        let Some(courses) = known.courses(sought) else { return Ok(None) };
        let mut db = self.connections.acquire().await?;
        let (standing, patient) = match sought.patient {
            Some((id, _)) => {
                // The horizon is not known yet; a practice's longest one is.
                let latest = known.boards.values().filter_map(|board| board.window.span()).map(Interval::end).max();
                let question = ahead(id, &courses, sought.area, now, latest.unwrap_or(now));
                match booking::patient(&mut db, practice_id, &question).await? {
                    Some((standing, patient)) => {
                        (standing, Some(judged(&mut db, practice_id, sought, &courses, (id, patient)).await?))
                    }
                    None => return Ok(None),
                }
            }
            None => match practice::standing(&mut db, practice_id).await? {
                Some(standing) => (standing, None),
                None => return Ok(None),
            },
        };
        let horizon_end = standing.horizon_end(now);
        if standing.revision != known.revision || standing.is_outlasted(now) {
            return Ok(None);
        }
        let found = known.find(sought, now, horizon_end);
        let parts = found.zip(split(courses));
        Ok(parts.map(|(boards, (course, add_ons))| Look { now, horizon_end, boards, course, add_ons, patient }))
    }
}

/// The course, and what is added to it.
fn split(mut courses: Vec<Arc<Course>>) -> Option<(Arc<Course>, Vec<Arc<Course>>)> {
    let add_ons = courses.split_off(courses.len().min(1));
    Some((courses.pop()?, add_ons))
}

/// When a visit ends at the latest that begins by an instant.
fn end_of_last_visit(begins_by: Instant) -> Instant {
    begins_by + TimeDelta::minutes(i64::from(MAX_VISIT_MINUTES))
}

/// What matters of a patient for visits from now on.
fn ahead(
    patient: PatientId,
    courses: &[Arc<Course>],
    area: Option<BodyArea>,
    now: Instant,
    until: Instant,
) -> booking::PatientQuestion {
    let span = Interval::new(now, end_of_last_visit(until.max(now)));
    let treatments: Vec<&Treatment> = courses.iter().map(|course| &course.treatment).collect();
    patient_question(patient, &treatments, area, span.into_iter().collect())
}

/// The patient, with how fit they are for what is sought.
async fn judged(
    db: &mut PgConnection,
    practice_id: PracticeId,
    sought: &Sought<'_>,
    courses: &[Arc<Course>],
    (id, mut patient): (PatientId, PatientFacts),
) -> Result<PatientFacts, Error> {
    // What is added to a visit asks for nothing of its own.
    let Some(course) = courses.first() else { return Ok(patient) };
    let fit_for = match &course.protocol {
        Some(protocol) => FitFor::Sessions(protocol, sought.series),
        None => FitFor::Treatment(course.treatment.id),
    };
    patient.fitness = fitness(db, practice_id, id, sought.area, fit_for).await?;
    Ok(patient)
}

/// What was known, led to another revision; nothing if that would be more work than to begin anew.
async fn up_to_date(
    db: &mut PgConnection,
    practice_id: PracticeId,
    known: Option<Known>,
    revision: i64,
) -> Result<Known, Error> {
    let anew = Known { revision, ..Known::default() };
    let Some(mut known) = known else { return Ok(anew) };
    if known.revision == revision {
        return Ok(known);
    }
    // An earlier revision: the database was put back to one.
    if known.revision > revision || revision - known.revision > MAX_CHANGES {
        return Ok(anew);
    }
    let changes = history::list(db, practice_id, known.revision, MAX_CHANGES).await?;
    let complete = changes.last().is_some_and(|last| last.revision == revision);
    if !complete || changes.iter().any(|change| change.kind.changes_the_offer()) {
        return Ok(anew);
    }
    let appointments: Vec<_> = changes.into_iter().flat_map(|change| change.appointments).collect();
    let mut taken = booking::occupied(db, practice_id, &appointments).await?;
    // What was freed comes first: it may have been taken again.
    taken.sort_by_key(|(_, _, live)| *live);
    for board in known.boards.values_mut() {
        if !taken.iter().any(|(resource, ..)| board.has(*resource)) {
            continue;
        }
        let board = Arc::make_mut(board);
        for (resource, during, live) in &taken {
            board.mark(*resource, *during, *live);
        }
    }
    known.revision = revision;
    Ok(known)
}

async fn course(
    db: &mut PgConnection,
    practice_id: PracticeId,
    id: CourseId,
    field: &'static str,
) -> Result<Course, Error> {
    let missing = || Error::not_found(field);
    match id {
        CourseId::Treatment(id, version) => {
            let treatment = catalog::treatment(db, practice_id, id, version).await?.ok_or_else(missing)?;
            Ok(Course { protocol: None, treatment })
        }
        CourseId::Protocol(id, version) => {
            let (protocol, treatment) =
                super::catalog::rules(db, practice_id, id, version).await?.ok_or_else(missing)?;
            Ok(Course { protocol: Some(protocol), treatment })
        }
    }
}

async fn board(
    db: &mut PgConnection,
    practice_id: PracticeId,
    id: ClinicId,
    span: Interval,
) -> Result<Option<Board>, Error> {
    let spans = [span];
    let Some(facts) = booking::clinics(db, practice_id, &[id], &spans).await?.remove(&id) else { return Ok(None) };
    let resources = booking::resources(db, practice_id, &[id], None, &[], &spans).await?;
    Ok(Some(Board::new(id, &facts, &resources, span)))
}

#[cfg(test)]
mod tests;
