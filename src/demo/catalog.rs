//! The default catalogue of a practice: treatments and protocols, each number with its source.

mod assessments;
#[cfg(test)]
mod clinical;
mod reactions;
mod rows;
mod screening;
mod texts;

use std::collections::BTreeMap;

use super::step::{Seeder, broken, label, prose};
use crate::app::Error;
use crate::app::commands::Publish;
use crate::domain::access::Caller;
use crate::domain::catalog::{
    AcrossAreas, Activity, Combination, Duty, Evidence, GapDays, Grade, Maintenance, MaintenanceDays, Need, Phase,
    ProtocolContent, Qualification, Restriction, SessionCounts, Span, TreatmentContent,
};
use crate::domain::clearance::ClearanceRules;
use crate::domain::ids::{ProtocolId, TreatmentId};
use assessments::assessments;
use reactions::reactions;
use rows::{
    ACROSS_AREAS_DAYS, ADVICE, Forbids, NeedRow, PROTOCOLS, Patient, PhaseRow, ProtocolRow, SUNSCREEN_DAYS, TREATMENTS,
    TreatmentRow, WINDOWS,
};
pub(super) use screening::screening;

/// The treatments of the default catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Microneedling of stretch marks.
    StretchMarks,
    /// Microneedling of acne scars.
    AcneScars,
    /// Microneedling against signs of age.
    Rejuvenation,
    /// Microneedling with the patient's own plasma.
    Prp,
    /// Microneedling with radio frequency.
    RadioFrequency,
    /// Micro-injection of customised serums.
    AquaGold,
    /// A talk with a practitioner who may clear.
    Consultation,
    /// Laser and intense light.
    Laser,
    /// A chemical peel.
    Peel,
    /// Botulinum toxin.
    Botulinum,
    /// Filler.
    Filler,
    /// Waxing.
    Waxing,
    /// Make-up.
    MakeUp,
    /// Sauna.
    Sauna,
    /// Treatment in warm water.
    Hydrotherapy,
    /// Sunbed.
    Sunbed,
    /// A class that makes one sweat.
    Exercise,
}

/// The protocols of the default catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Course {
    /// Stretch marks, microneedling.
    StretchMarks,
    /// Acne scars, microneedling.
    AcneScars,
    /// Rejuvenation, face.
    Rejuvenation,
    /// Microneedling with the patient's own plasma.
    Prp,
    /// Microneedling with radio frequency.
    RadioFrequency,
}

/// A source, how good it is, and why what rests on it is as it is.
type Cited = (&'static str, Grade, &'static str);

/// The treatments, in the order in which they are published, under ids that tell them apart.
#[cfg(test)]
pub fn treatments() -> Result<Vec<(Service, TreatmentContent)>, Error> {
    TREATMENTS.iter().map(|row| Ok((row.service, treatment(row, &stand_ins())?))).collect()
}

/// Ids that tell the services apart.
#[cfg(test)]
fn stand_ins() -> BTreeMap<Service, TreatmentId> {
    let ids = TREATMENTS.iter().zip(1..);
    ids.map(|(row, id)| (row.service, TreatmentId(uuid::Uuid::from_u128(id)))).collect()
}

/// The protocols, in the order in which to publish them, for treatments that were published under these ids, the
/// consultation among them.
///
/// # Errors
///
/// A service of a protocol has no id.
pub fn protocols(ids: &BTreeMap<Service, TreatmentId>) -> Result<Vec<(Course, ProtocolContent)>, Error> {
    PROTOCOLS.iter().map(|row| Ok((row.course, protocol(row, ids)?))).collect()
}

/// A published catalogue.
pub(super) struct Catalogue {
    treatments: BTreeMap<Service, TreatmentId>,
    protocols: BTreeMap<Course, ProtocolId>,
}

impl Catalogue {
    /// The treatment of a service.
    pub fn treatment(&self, service: Service) -> Result<TreatmentId, Error> {
        self.treatments.get(&service).copied().ok_or_else(|| broken("a treatment is missing from the catalogue"))
    }

    /// The protocol of a course.
    pub fn protocol(&self, course: Course) -> Result<ProtocolId, Error> {
        self.protocols.get(&course).copied().ok_or_else(|| broken("a protocol is missing from the catalogue"))
    }
}

/// Publishes the default catalogue.
pub(super) async fn publish(seeder: &Seeder<'_>) -> Result<Catalogue, Error> {
    let mut catalogue = Catalogue { treatments: BTreeMap::new(), protocols: BTreeMap::new() };
    for row in TREATMENTS {
        let content = treatment(row, &catalogue.treatments)?;
        let command = seeder.command(&format!("treatment {:?}", row.service), Publish { replaces: None, content });
        let treatment = seeder.app.publish_treatment(&Caller::COMMAND_LINE, &command).await?;
        catalogue.treatments.insert(row.service, treatment.id);
    }
    for (course, content) in protocols(&catalogue.treatments)? {
        let command = seeder.command(&format!("protocol {course:?}"), Publish { replaces: None, content });
        let protocol = seeder.app.publish_protocol(&Caller::COMMAND_LINE, &command).await?;
        catalogue.protocols.insert(course, protocol.id);
    }
    Ok(catalogue)
}

/// Session counts of a course when the caller names none, and the gap aimed at, in days.
pub(super) fn usual(course: Course) -> Result<(i32, i32), Error> {
    let row = PROTOCOLS.iter().find(|row| row.course == course);
    let (SessionCounts { default, .. }, GapDays { target, .. }) =
        numbers(row.ok_or_else(|| broken("no such course"))?)?;
    Ok((default, target))
}

/// A treatment; what may be added to it is published already, under one of these ids.
fn treatment(row: &TreatmentRow, ids: &BTreeMap<Service, TreatmentId>) -> Result<TreatmentContent, Error> {
    let content = TreatmentContent {
        name: label(row.name)?,
        spacing_days: (row.spacing_days > 0).then_some(row.spacing_days),
        spacing_evidence: spacing_evidence(row)?,
        across_areas: across_areas(row.forbids)?,
        phases: row.phases.iter().map(phase).collect::<Result<_, _>>()?,
        exposures: row.exposures.to_vec(),
        restrictions: restrictions(row.forbids)?,
        duties: duties(row.forbids)?,
        combinations: combinations(row.forbids, ids)?,
    };
    content.check()?;
    Ok(content)
}

/// Where the gap of a treatment that needles comes from: outside a series it is the minimum gap of one.
fn spacing(service: Service) -> Cited {
    match PROTOCOLS.iter().find(|row| row.service == service) {
        Some(row) => (texts::protocol_source(row.course), row.grade, texts::protocol_rationale(row.course)),
        None => (texts::AQUAGOLD_SOURCE, Grade::Own, texts::AQUAGOLD_WHY),
    }
}

fn phase(row: &PhaseRow) -> Result<Phase, Error> {
    let (patient_present, exposing) = match row.patient {
        Patient::There => (true, false),
        Patient::Treated => (true, true),
        Patient::Gone => (false, false),
    };
    Ok(Phase {
        name: label(row.name)?,
        minutes: row.minutes,
        patient_present,
        exposing,
        needs: row.needs.iter().map(need).collect::<Result<_, _>>()?,
        evidence: row.cited.map(cited).transpose()?,
    })
}

fn need(&(kind, code): &NeedRow) -> Result<Need, Error> {
    Ok(Need { kind, qualification: qualification(code)? })
}

/// A qualification of the demonstration.
pub(super) fn qualification(code: &str) -> Result<Qualification, Error> {
    Qualification::new(code).ok_or_else(|| Error::field(format!("demonstration: {code}"), "must be a code"))
}

fn restrictions(forbids: Forbids) -> Result<Vec<Restriction>, Error> {
    let rows = if forbids == Forbids::Nothing { &[] } else { WINDOWS };
    rows.iter()
        .map(|&(activity, before, usual, stretch_marks)| {
            let own = stretch_marks.filter(|_| forbids == Forbids::AsNeedlingStretchMarks);
            Ok(Restriction {
                activity,
                before: (before > 0).then_some(Span::Days(before)),
                after: Some(Span::Days(own.unwrap_or(usual))),
                advice_only: ADVICE.contains(&activity),
                instruction: prose(texts::instruction(activity))?,
                evidence: evidence(forbids, activity, own.is_some())?,
            })
        })
        .collect()
}

fn evidence(forbids: Forbids, activity: Activity, of_stretch_marks: bool) -> Result<Evidence, Error> {
    let rationale = texts::rationale(activity);
    if of_stretch_marks {
        let source = format!("{} {}", texts::STRETCH_MARK_PAGE, texts::CLINIC_PAGES);
        let rationale = format!("{} {rationale}", texts::STRETCH_MARK_WHY);
        return Ok(Evidence { source: prose(&source)?, grade: Grade::B, rationale: prose(&rationale)? });
    }
    cited(match (forbids, activity) {
        (Forbids::AsNeedlingOwn, _) => (texts::AQUAGOLD_SOURCE, Grade::Own, texts::AQUAGOLD_WHY),
        (_, Activity::LaserAndLight) => (texts::CLINIC_PAGES, Grade::A, rationale),
        (_, _) => (texts::CLINIC_PAGES, Grade::B, rationale),
    })
}

/// Outside a series a treatment keeps the gap of its protocol.
fn spacing_evidence(row: &TreatmentRow) -> Result<Option<Evidence>, Error> {
    if row.spacing_days == 0 { Ok(None) } else { cited(spacing(row.service)).map(Some) }
}

fn across_areas(forbids: Forbids) -> Result<Option<AcrossAreas>, Error> {
    if !forbids.is_microneedling() {
        return Ok(None);
    }
    Ok(Some(AcrossAreas { days: ACROSS_AREAS_DAYS, evidence: cited(texts::ACROSS_AREAS)? }))
}

fn duties(forbids: Forbids) -> Result<Vec<Duty>, Error> {
    if forbids == Forbids::Nothing {
        return Ok(Vec::new());
    }
    let (from, until) = SUNSCREEN_DAYS;
    let sunscreen = Duty {
        activity: Activity::SunExposure,
        from: Some(Span::Days(from)),
        until: Span::Days(until),
        instruction: prose(texts::SUNSCREEN)?,
        evidence: cited(match forbids {
            Forbids::AsNeedlingOwn => (texts::AQUAGOLD_SOURCE, Grade::Own, texts::AQUAGOLD_WHY),
            Forbids::Nothing | Forbids::AsNeedling | Forbids::AsNeedlingStretchMarks => {
                (texts::CLINIC_PAGES, Grade::B, texts::SUNSCREEN_WHY)
            }
        })?,
    };
    Ok(vec![sunscreen])
}

fn combinations(forbids: Forbids, ids: &BTreeMap<Service, TreatmentId>) -> Result<Vec<Combination>, Error> {
    if !forbids.is_microneedling() {
        return Ok(Vec::new());
    }
    let add_on = ids.get(&Service::AquaGold).copied();
    let add_on = add_on.ok_or_else(|| broken("what may be added to a treatment is not published"))?;
    Ok(vec![Combination { add_on, evidence: cited(texts::COMBINATION)? }])
}

fn cited((source, grade, rationale): Cited) -> Result<Evidence, Error> {
    Ok(Evidence { source: prose(source)?, grade, rationale: prose(rationale)? })
}

fn numbers(row: &ProtocolRow) -> Result<(SessionCounts, GapDays), Error> {
    let ([fewest, default, most], [floor, minimum, target, maximum]) = (row.sessions, row.gap);
    SessionCounts::new(fewest, default, most)
        .zip(GapDays::new(floor, minimum, target, maximum))
        .ok_or_else(|| Error::field(format!("demonstration: {}", row.name), "must be in ascending order"))
}

fn protocol(row: &ProtocolRow, ids: &BTreeMap<Service, TreatmentId>) -> Result<ProtocolContent, Error> {
    let (sessions, gap) = numbers(row)?;
    let id = |service| ids.get(&service).copied().ok_or_else(|| broken("a protocol's treatment is not published"));
    Ok(ProtocolContent {
        name: label(row.name)?,
        treatment: id(row.service)?,
        sessions,
        gap,
        evidence: cited(spacing(row.service))?,
        assessments: assessments()?,
        clearance: Some(ClearanceRules {
            consultation: id(Service::Consultation)?,
            qualification: qualification("clearance")?,
            valid_days: 365,
            cooling_off_hours: 0,
            patch_test_hours: 0,
            screening_days: 0,
            evidence: cited(texts::CLEARANCE)?,
        }),
        screening: screening(row.course)?,
        reactions: reactions()?,
        maintenance: Some(Maintenance {
            days: MaintenanceDays::new(28, 182).ok_or_else(|| broken("days until maintenance"))?,
            evidence: cited(texts::MAINTENANCE)?,
        }),
        overdue_advice: prose(texts::OVERDUE)?,
        overdue_evidence: Some(cited(texts::OVERDUE_WHY)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::assessment::AssessmentDue;
    use crate::domain::catalog::Treatment;
    use crate::domain::combination::combination_misfit;

    fn content(wanted: Service) -> TreatmentContent {
        treatments().unwrap().into_iter().find(|(service, _)| *service == wanted).unwrap().1
    }

    fn courses() -> Vec<(Course, ProtocolContent)> {
        protocols(&stand_ins()).unwrap()
    }

    #[test]
    fn every_treatment_is_one_that_can_be_published() {
        let all = treatments().unwrap();
        assert_eq!(all.len(), TREATMENTS.len());
        for (service, content) in all {
            assert_eq!(content.check(), Ok(()), "{service:?}");
        }
    }

    #[test]
    fn every_protocol_asks_for_photographs_before_at_session_3_and_when_the_result_shows() {
        let after = AssessmentDue::AfterLast { minimum: 28, target: 56, maximum: 90 };
        for (course, content) in courses() {
            let due: Vec<_> = content.assessments.iter().map(|assessment| assessment.due).collect();
            assert_eq!(due, [AssessmentDue::BeforeFirst, AssessmentDue::AtSession(3), after], "{course:?}");
            assert!(content.sessions.minimum >= 3, "{course:?} has a session 3, however short its series");
        }
    }

    #[test]
    fn a_treatment_outside_a_series_keeps_the_minimum_gap_of_its_protocol() {
        for row in PROTOCOLS {
            assert_eq!(content(row.service).spacing_days, Some(row.gap[1]), "{}", row.name);
        }
    }

    #[test]
    fn what_may_be_added_to_microneedling_fits_into_the_visit() {
        let all: Vec<Treatment> = TREATMENTS
            .iter()
            .zip(treatments().unwrap())
            .zip(1..)
            .map(|((_, (_, content)), id)| Treatment {
                id: TreatmentId(uuid::Uuid::from_u128(id)),
                version: 1,
                published_at: chrono::DateTime::UNIX_EPOCH,
                published_revision: 1,
                content,
            })
            .collect();
        let mut combined = 0;
        for base in &all {
            for Combination { add_on, .. } in &base.content.combinations {
                let add_on = all.iter().find(|treatment| treatment.id == *add_on).unwrap();
                assert_eq!(add_on.content, content(Service::AquaGold));
                assert_eq!(combination_misfit(base, add_on), [], "{}", base.content.name.as_str());
                combined += 1;
            }
        }
        assert_eq!(combined, 5, "the treatments of the protocols");
    }

    #[test]
    fn every_needling_treatment_forbids_or_advises_against_every_activity() {
        for row in TREATMENTS.iter().filter(|row| row.spacing_days > 0) {
            let restrictions = content(row.service).restrictions;
            let activities: Vec<_> = restrictions.iter().map(|restriction| restriction.activity).collect();
            assert_eq!(activities, Activity::ALL, "{}", row.name);
        }
    }
}
