//! The default catalogue of a practice: treatments and protocols, each number with its source.

mod assessments;
mod rows;
mod texts;

use std::collections::BTreeMap;

use super::step::{Seeder, broken, label, prose};
use crate::app::Error;
use crate::app::commands::Publish;
use crate::domain::access::Caller;
use crate::domain::catalog::{
    Activity, Evidence, GapDays, Grade, Need, Phase, ProtocolContent, Qualification, Restriction, SessionCounts, Span,
    TreatmentContent,
};
use crate::domain::ids::{ProtocolId, TreatmentId};
use assessments::assessments;
use rows::{Forbids, NeedRow, PROTOCOLS, PhaseRow, ProtocolRow, TREATMENTS, TreatmentRow, WINDOWS};

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
    /// A single session after a series.
    Maintenance,
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

/// The treatments, in the order in which to publish them.
///
/// # Errors
///
/// None, unless the tables are broken; a test holds that they are not.
pub fn treatments() -> Result<Vec<(Service, TreatmentContent)>, Error> {
    TREATMENTS.iter().map(|row| Ok((row.service, treatment(row)?))).collect()
}

/// The protocols, in the order in which to publish them, for treatments that were published under these ids.
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
    for (service, content) in treatments()? {
        let command = seeder.command(&format!("treatment {service:?}"), Publish { replaces: None, content });
        let treatment = seeder.app.publish_treatment(&Caller::COMMAND_LINE, &command).await?;
        catalogue.treatments.insert(service, treatment.id);
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

fn treatment(row: &TreatmentRow) -> Result<TreatmentContent, Error> {
    let content = TreatmentContent {
        name: label(row.name)?,
        spacing_days: (row.spacing_days > 0).then_some(row.spacing_days),
        spacing_evidence: None,
        across_areas: None,
        phases: row.phases.iter().map(phase).collect::<Result<_, _>>()?,
        exposures: row.exposures.to_vec(),
        restrictions: restrictions(row.forbids)?,
        combinations: Vec::new(),
    };
    content.check()?;
    Ok(content)
}

fn phase(row: &PhaseRow) -> Result<Phase, Error> {
    let (name, minutes, needs, patient_present, exposing) = match *row {
        PhaseRow::With(name, minutes, needs) => (name, minutes, needs, true, false),
        PhaseRow::Proper(name, minutes, needs) => (name, minutes, needs, true, true),
        PhaseRow::After(name, minutes, needs) => (name, minutes, needs, false, false),
    };
    let needs = needs.iter().map(need).collect::<Result<_, _>>()?;
    Ok(Phase { name: label(name)?, minutes, patient_present, exposing, needs })
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
            let after = if forbids == Forbids::AsNeedlingStretchMarks { stretch_marks } else { usual };
            Ok(Restriction {
                activity,
                before: (before > 0).then_some(Span::Days(before)),
                after: Some(Span::Days(after)),
                instruction: prose(texts::instruction(activity))?,
                evidence: evidence(forbids, activity, after != usual)?,
            })
        })
        .collect()
}

fn evidence(forbids: Forbids, activity: Activity, differs: bool) -> Result<Evidence, Error> {
    let (source, grade, rationale) = match (forbids, differs) {
        (Forbids::AsNeedlingOwn, _) => (texts::AQUAGOLD_SOURCE, Grade::Own, texts::AQUAGOLD_WHY),
        (_, true) => (texts::STRETCH_MARK_PAGE, Grade::B, texts::STRETCH_MARK_WHY),
        (_, false) => (texts::CLINIC_PAGES, Grade::B, texts::rationale(activity)),
    };
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
    Ok(ProtocolContent {
        name: label(row.name)?,
        treatment: *ids.get(&row.service).ok_or_else(|| broken("a protocol's treatment is not published"))?,
        sessions,
        gap,
        evidence: Evidence {
            source: prose(texts::protocol_source(row.course))?,
            grade: row.grade,
            rationale: prose(texts::protocol_rationale(row.course))?,
        },
        assessments: assessments()?,
        clearance: None,
        screening: Vec::new(),
        reactions: Vec::new(),
        maintenance: None,
        overdue_advice: prose("")?,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::assessment::AssessmentDue;

    /// The protocols as the clinical sources give them: sessions, then gaps in days.
    const CLINICAL: [(Course, [i32; 3], [i32; 4]); 5] = [
        (Course::StretchMarks, [3, 4, 6], [14, 28, 35, 56]),
        (Course::AcneScars, [4, 6, 8], [14, 28, 42, 56]),
        (Course::Rejuvenation, [3, 3, 6], [14, 28, 28, 56]),
        (Course::Prp, [3, 4, 6], [28, 28, 28, 56]),
        (Course::RadioFrequency, [3, 3, 4], [28, 28, 42, 84]),
    ];

    fn content(wanted: Service) -> TreatmentContent {
        treatments().unwrap().into_iter().find(|(service, _)| *service == wanted).unwrap().1
    }

    fn courses() -> Vec<(Course, ProtocolContent)> {
        protocols(&TREATMENTS.iter().map(|row| (row.service, TreatmentId(Uuid::nil()))).collect()).unwrap()
    }

    /// Days after needling, and before it.
    fn window(service: Service, activity: Activity) -> (Option<Span>, Option<Span>) {
        let restrictions = content(service).restrictions;
        let found = restrictions.iter().find(|restriction| restriction.activity == activity).unwrap();
        (found.after, found.before)
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
    fn the_protocols_are_those_of_the_clinical_sources() {
        let found: Vec<_> = courses()
            .into_iter()
            .map(|(course, ProtocolContent { sessions: s, gap: g, .. })| {
                (course, [s.minimum, s.default, s.maximum], [g.floor, g.minimum, g.target, g.maximum])
            })
            .collect();
        assert_eq!(found, CLINICAL);
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
    fn every_needling_treatment_forbids_every_activity() {
        for row in TREATMENTS.iter().filter(|row| row.spacing_days > 0) {
            let restrictions = content(row.service).restrictions;
            let activities: Vec<_> = restrictions.iter().map(|restriction| restriction.activity).collect();
            assert_eq!(activities, Activity::ALL, "{}", row.name);
        }
    }

    #[test]
    fn stretch_marks_keep_their_own_windows() {
        let days = |days| Some(Span::Days(days));
        for (activity, usual) in
            [(Activity::SunExposure, 7), (Activity::Heat, 5), (Activity::Swimming, 5), (Activity::Exercise, 3)]
        {
            assert_eq!(window(Service::StretchMarks, activity).0, days(7), "{activity:?}");
            assert_eq!(window(Service::Rejuvenation, activity).0, days(usual), "{activity:?}");
        }
        assert_eq!(window(Service::StretchMarks, Activity::LaserAndLight), (days(28), days(28)));
        assert_eq!(window(Service::StretchMarks, Activity::Heat).1, None);
    }
}
