//! What comes before the demonstration's series: consultations in the days before, and what they ended in. Every patient
//! who is to have a series, the one of the examples included, was seen, answered all questions with no, and was cleared.

use std::collections::BTreeMap;

use super::bookings::{SERIES, STARTS, Search, Wish, starts};
use super::catalog::{Catalogue, Course, Service, screening};
use super::examples;
use super::practice::Clinics;
use super::practice::Site::{self, Berlin};
use super::step::{Seeder, broken, prose};
use crate::app::Error;
use crate::app::commands::{
    BookAppointment, ClearedPatient, Questionnaire, RecordClearance, RecordScreening, WhichVisit,
};
use crate::domain::access::{Caller, Role};
use crate::domain::appointment::Appointment;
use crate::domain::catalog::{BodyArea, ResourceKind};
use crate::domain::ids::{PatientId, ResourceId};
use crate::domain::interval::Instant;
use crate::domain::screening::{Answer, Answers, Asks, Severity};
use crate::domain::text::Personal;

/// Who is cleared for what: number of the patient, clinic, protocol, area.
fn wanted() -> impl Iterator<Item = (usize, Site, Course, BodyArea)> {
    let of_examples = examples::areas().map(|area| (0, Berlin, Course::StretchMarks, area));
    of_examples.chain(SERIES.iter().map(|&(who, site, course, area, ..)| (who, site, course, area)))
}

/// Books the consultations, at a time when they lay ahead, all of them before `now`. One for which there was no time is
/// left out, and with it the series.
pub async fn consult(
    seeder: &Seeder<'_>,
    catalogue: &Catalogue,
    clinics: &Clinics,
    patients: &[PatientId],
    now: Instant,
) -> Result<BTreeMap<usize, Appointment>, Error> {
    let mut held = BTreeMap::new();
    let treatment = catalogue.treatment(Service::Consultation)?;
    for (who, site, ..) in wanted() {
        if held.contains_key(&who) {
            continue;
        }
        let patient = *patients.get(who).ok_or_else(|| broken("no such patient"))?;
        let wish = Wish { day: 1, start: held.len() % STARTS.len() };
        let mut search = Search::default();
        for start in starts(site, site.zone()?, seeder.app.now(), wish)?.into_iter().take_while(|start| *start < now) {
            if !search.may_do(&[start]) {
                continue;
            }
            let which = WhichVisit::Treatment { patient, treatment, area: None };
            let body = BookAppointment {
                which,
                add_on: None,
                clinic: clinics.id(site),
                start,
                named: Vec::new(),
                hold_minutes: None,
                offered_to: None,
            };
            let command = seeder.command(&format!("consultation of {who}"), body);
            let booked = seeder.app.book_appointment(&Caller::COMMAND_LINE, &command).await;
            held.extend(search.learn(booked)?.map(|booked| (who, booked)));
        }
    }
    Ok(held)
}

/// Records what the consultations ended in: nothing stands in the way, says the practitioner who was there.
pub async fn clear(
    seeder: &Seeder<'_>,
    catalogue: &Catalogue,
    held: &BTreeMap<usize, Appointment>,
) -> Result<(), Error> {
    for (who, _, course, area) in wanted() {
        let Some(consultation) = held.get(&who) else { continue };
        let protocol = catalogue.protocol(course)?;
        let screening = RecordScreening {
            patient: consultation.patient,
            questionnaire: Questionnaire::Protocol(protocol),
            answers: Personal::new(nothing_present(who, course)?),
        };
        let command = seeder.command(&format!("screening of {who} for {course:?}"), screening);
        seeder.app.record_screening(&Caller::COMMAND_LINE, &command).await?;
        let cleared = ClearedPatient {
            session_count: None,
            valid_until: None,
            conditions: Personal::new(Vec::new()),
            patch_tested_at: None,
        };
        let clearance = RecordClearance {
            consultation: consultation.id,
            protocol,
            area,
            cleared: Some(cleared),
            notes: Personal::new(prose("Nothing stands in the way.")?),
        };
        let command = seeder.command(&format!("clearance of {who} for {course:?} on {area:?}"), clearance);
        let practitioner = Caller {
            practice: seeder.practice,
            token: None,
            role: Role::Practitioner,
            practitioner: Some(practitioner(consultation)?),
        };
        seeder.app.record_clearance(&practitioner, &command).await?;
    }
    Ok(())
}

fn practitioner(consultation: &Appointment) -> Result<ResourceId, Error> {
    let mut resources = consultation.phases.iter().flat_map(|phase| &phase.resources);
    let found = resources.find(|(_, kind)| *kind == ResourceKind::Practitioner);
    found.map(|(id, _)| *id).ok_or_else(|| broken("a consultation is held by nobody"))
}

fn nothing_present(who: usize, course: Course) -> Result<Answers, Error> {
    let asked = screening(course)?.into_iter().filter(|rule| match rule.asks {
        Asks::Presence | Asks::PresenceAndDate => true,
        Asks::SkinType(_) | Asks::Age(_) => false,
    });
    let types = [2, 3, 4];
    Ok(Answers {
        given: asked.map(|rule| Answer { condition: rule.condition, present: false, date: None, news: 0 }).collect(),
        skin_type: types.get(who % types.len()).copied(),
        stretch_marks: (course == Course::StretchMarks).then_some(Severity::Moderate),
        medication: prose("")?,
        notes: prose("")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_nothing_has_answered_everything() {
        for (who, _, course, _) in wanted() {
            let answers = nothing_present(who, course).unwrap();
            assert_eq!(answers.misfits(&screening(course).unwrap()), [], "{who} for {course:?}");
            assert!(answers.skin_type.is_some_and(|skin| (1..=4).contains(&skin)), "nothing to clear");
        }
    }

    #[test]
    fn nobody_is_cleared_twice_for_the_same() {
        let mut all: Vec<_> = wanted().map(|(who, _, course, area)| (who, course, area)).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
