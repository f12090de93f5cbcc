//! The default catalogue is compared with what the clinical sources say, kept as data: each row of the sources is in the
//! catalogue as it stands there, and the catalogue says nothing clinical that is not among the rows.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::domain::assessment::AssessmentDue;
use crate::domain::screening::{Asks, Deferral};
use crate::domain::text::Code;

const TABLE: &str = include_str!("clinical.tsv");

/// Section and row, then numbers, class and grade.
type Lines = BTreeMap<(String, String), [String; 3]>;

/// The table, and by section and row what the source must name.
fn table() -> (Lines, BTreeMap<(String, String), Vec<String>>) {
    let (mut lines, mut named) = (Lines::new(), BTreeMap::new());
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [section, row, numbers, class, grade, words] = columns[..] else { panic!("six columns: {line}") };
        let key = (section.to_owned(), row.to_owned());
        let words = words.split("; ").filter(|word| *word != "-").map(ToOwned::to_owned).collect();
        assert!(lines.insert(key.clone(), [numbers, class, grade].map(ToOwned::to_owned)).is_none(), "twice: {line}");
        named.insert(key, words);
    }
    (lines, named)
}

/// What the catalogue says, in the words of the table; everything that it says more than once it must say the same way.
#[derive(Default)]
struct Said {
    lines: Lines,
    sources: BTreeMap<(String, String), String>,
}

impl Said {
    fn say(&mut self, section: u8, row: &str, numbers: &str, class: &str, grade: &str, source: &str) {
        let key = (section.to_string(), row.to_owned());
        let line = [numbers, class, grade].map(ToOwned::to_owned);
        let before = self.lines.insert(key.clone(), line.clone());
        assert!(before.is_none_or(|before| before == line), "{key:?} is said in different ways");
        let before = self.sources.insert(key, source.to_owned());
        assert!(before.is_none_or(|before| before == source), "{row} is said to come from different sources");
    }

    fn cite(&mut self, section: u8, row: &str, numbers: &str, class: &str, evidence: &Evidence) {
        assert!(!evidence.rationale.as_str().is_empty(), "{row} says why");
        self.say(section, row, numbers, class, evidence.grade.as_str(), evidence.source.as_str());
    }
}

fn all() -> (BTreeMap<Service, TreatmentContent>, Vec<(Course, ProtocolContent)>) {
    (treatments().unwrap().into_iter().collect(), protocols(&stand_ins()).unwrap())
}

fn joined<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn protocols_said(said: &mut Said, courses: &[(Course, ProtocolContent)]) {
    for (course, content) in courses {
        let (s, g) = (content.sessions, content.gap);
        let gaps = joined(&[g.floor, g.minimum, g.target, g.maximum]);
        let numbers = format!("{} | {gaps}", joined(&[s.minimum, s.default, s.maximum]));
        said.cite(1, &format!("{course:?}"), &numbers, "-", &content.evidence);
        let maintenance = content.maintenance.as_ref().unwrap();
        let days = joined(&[maintenance.days.minimum, maintenance.days.target]);
        said.cite(1, "maintenance", &days, "-", &maintenance.evidence);
        for assessment in &content.assessments {
            let (row, numbers) = match assessment.due {
                AssessmentDue::BeforeFirst => ("assessment before the first session", "-".to_owned()),
                AssessmentDue::AtSession(number) => ("assessment at session", number.to_string()),
                AssessmentDue::AfterLast { minimum, target, maximum } => {
                    ("assessment after the last session", joined(&[minimum, target, maximum]))
                }
            };
            said.cite(1, row, &numbers, "-", &assessment.evidence);
        }
    }
}

/// The phases of what needles and of the consultation, and no others.
fn visits_said(said: &mut Said, services: &BTreeMap<Service, TreatmentContent>) {
    for (service, content) in services {
        let clinical = content.spacing_days.is_some() || *service == Service::Consultation;
        for phase in &content.phases {
            assert_eq!(phase.evidence.is_some(), clinical, "{service:?}: {}", phase.name.as_str());
            let Some(evidence) = &phase.evidence else { continue };
            let there = match (phase.patient_present, phase.exposing) {
                (true, true) => "present, proper",
                (true, false) => "present",
                (false, _) => "gone",
            };
            let needs: Vec<&str> = phase.needs.iter().map(|need| need.kind.as_str()).collect();
            let class = format!("{there}; {}", needs.join(", "));
            // Where it is done without a device.
            let own = *service == Service::AquaGold && (phase.exposing || !phase.patient_present);
            let row = format!("{}{}", if own { "AquaGold: " } else { "" }, phase.name.as_str());
            said.cite(2, &row, &phase.minutes.to_string(), &class, evidence);
        }
    }
}

fn windows_said(said: &mut Said, services: &BTreeMap<Service, TreatmentContent>) {
    let sold: BTreeSet<Activity> = services.values().flat_map(|content| content.exposures.clone()).collect();
    let days = |span| match span {
        None => 0,
        Some(Span::Days(days)) => days,
        Some(Span::Hours(hours)) => panic!("{hours} hours"),
    };
    for (service, content) in services.iter().filter(|(_, content)| content.spacing_days.is_some()) {
        let spacing = content.spacing_days.unwrap().to_string();
        said.say(3, "needling", &spacing, "bookable", "-", "");
        let evidence = content.spacing_evidence.as_ref().unwrap();
        said.cite(3, &format!("needling: {service:?}"), &spacing, "bookable", evidence);
        if let Some(across) = &content.across_areas {
            said.cite(3, "needling of another area", &across.days.to_string(), "bookable", &across.evidence);
        }
        for combination in &content.combinations {
            assert_eq!(combination.add_on, stand_ins()[&Service::AquaGold]);
            said.cite(3, "in the same visit: AquaGold", "-", "approved", &combination.evidence);
        }
        assert_eq!(content.across_areas.is_some(), *service != Service::AquaGold);
        assert_eq!(content.combinations.is_empty(), *service == Service::AquaGold);
        let [sunscreen] = content.duties.as_slice() else { panic!("{service:?} has one duty") };
        assert_eq!(sunscreen.activity, Activity::SunExposure);
        let numbers = joined(&[days(sunscreen.from), days(Some(sunscreen.until))]);
        match service {
            Service::AquaGold => assert_eq!((numbers.as_str(), sunscreen.evidence.grade), ("1 28", Grade::Own)),
            _ => said.cite(3, "sunscreen", &numbers, "duty", &sunscreen.evidence),
        }
        for restriction in &content.restrictions {
            let numbers = joined(&[days(restriction.after), days(restriction.before)]);
            let class = if restriction.advice_only { "advice" } else { "bookable" };
            assert_eq!(restriction.advice_only, !sold.contains(&restriction.activity));
            let row = restriction.activity.as_str();
            let own = restriction.evidence.source.as_str().contains("stretch marks");
            assert!(!own || *service == Service::StretchMarks);
            match service {
                // Nothing is published: the same days, under a grade of their own.
                Service::AquaGold => {
                    assert_eq!(restriction.evidence.grade, Grade::Own);
                    let usual = &services[&Service::Rejuvenation].restrictions;
                    assert!(usual.iter().any(|other| other.activity == restriction.activity
                        && (other.after, other.before) == (restriction.after, restriction.before)));
                }
                _ if own => said.cite(3, &format!("{row}, stretch marks"), &numbers, class, &restriction.evidence),
                _ => said.cite(3, row, &numbers, class, &restriction.evidence),
            }
        }
    }
}

fn screening_said(said: &mut Said, courses: &[(Course, ProtocolContent)]) {
    let mut asked_for: BTreeMap<&str, Vec<Course>> = BTreeMap::new();
    for (course, content) in courses {
        for rule in &content.screening {
            asked_for.entry(rule.condition.as_str()).or_default().push(*course);
        }
    }
    for (_, content) in courses {
        let clearance = content.clearance.as_ref().unwrap();
        let ids = stand_ins();
        let (consultation, _) = ids.iter().find(|(_, id)| **id == clearance.consultation).unwrap();
        let class = format!("{consultation:?}; {}", clearance.qualification.as_str());
        let (valid, screening) = (clearance.valid_days, clearance.screening_days);
        let (cooling_off, patch_test) = (clearance.cooling_off_hours, clearance.patch_test_hours);
        let numbers = format!("{valid} days; {cooling_off} h; {patch_test} h; {screening} days");
        said.cite(4, "clearance", &numbers, &class, &clearance.evidence);
        for rule in &content.screening {
            let how = match (rule.asks, rule.deferral) {
                (Asks::Presence, None) => "presence".to_owned(),
                (Asks::PresenceAndDate, Some(Deferral::Days(days))) => format!("date, {days} days"),
                (Asks::PresenceAndDate, Some(Deferral::Months(months))) => format!("date, {months} months"),
                (Asks::SkinType(range), None) => format!("skin type {}-{}", range.least, range.most),
                (Asks::Age(range), None) => format!("age {}-{}", range.least, range.most),
                other => panic!("{other:?}"),
            };
            let is_asked = matches!(rule.asks, Asks::Presence | Asks::PresenceAndDate);
            assert_eq!(is_asked, rule.question.as_str().ends_with(['?', '.']), "{:?}", rule.condition);
            assert!(!rule.meaning.as_str().is_empty());
            let lifted_by_its_class = matches!(rule.class.as_str(), "clear" | "premed");
            assert!(rule.may_be_cleared || !lifted_by_its_class);
            let cleared = if rule.may_be_cleared && !lifted_by_its_class { ", may be cleared" } else { "" };
            let of = match asked_for[rule.condition.as_str()].as_slice() {
                [one] => format!("{one:?}"),
                several => {
                    assert_eq!(several.len(), courses.len(), "{:?}", rule.condition);
                    "every course".to_owned()
                }
            };
            let class = format!("{}{cleared}; {of}", rule.class.as_str());
            said.cite(4, rule.condition.as_str(), &how, &class, &rule.evidence);
        }
    }
}

fn reactions_said(said: &mut Said, courses: &[(Course, ProtocolContent)]) {
    for (_, content) in courses {
        for rule in &content.reactions {
            assert!(!rule.instruction.as_str().is_empty());
            let counts_as = rule.counts_as.as_ref().map(Code::as_str);
            assert!(counts_as.is_none_or(|code| content.screening.iter().any(|rule| rule.condition.as_str() == code)));
            let class = [Some(rule.grade.as_str()), counts_as].into_iter().flatten().collect::<Vec<_>>().join("; ");
            said.cite(5, rule.kind.as_str(), "-", &class, &rule.evidence);
        }
    }
}

#[test]
fn the_catalogue_says_what_the_clinical_sources_say_and_nothing_else() {
    let (expected, named) = table();
    let (services, courses) = all();
    let mut said = Said::default();
    protocols_said(&mut said, &courses);
    visits_said(&mut said, &services);
    windows_said(&mut said, &services);
    screening_said(&mut said, &courses);
    reactions_said(&mut said, &courses);
    let count = |section: &str| said.lines.keys().filter(|(of, _)| of == section).count();
    assert_eq!(["1", "2", "3", "4", "5"].map(count), [9, 8, 27, 27, 12]);
    for (key, line) in &expected {
        assert_eq!(said.lines.get(key), Some(line), "{key:?}");
    }
    for key in said.lines.keys() {
        assert!(expected.contains_key(key), "{key:?} is not among the sources");
    }
    let mut compared = 0;
    for (key, words) in &named {
        for word in words {
            assert!(said.sources[key].contains(word), "{key:?} names {word}: {}", said.sources[key]);
            compared += 1;
        }
    }
    assert_eq!(compared, 403, "all that the table names");
}

#[test]
fn every_protocol_carries_all_of_its_rules() {
    let (_, courses) = all();
    assert_eq!(courses.len(), 5);
    for (course, content) in courses {
        let conditions = if course == Course::RadioFrequency { 26 } else { 23 };
        assert_eq!(content.screening.len(), conditions, "{course:?}");
        assert_eq!(content.reactions.len(), 12, "{course:?}");
        assert_eq!(content.assessments.len(), 3, "{course:?}");
        assert!(!content.overdue_advice.as_str().is_empty(), "{course:?}");
        assert_eq!(content.overdue_evidence.unwrap().grade, Grade::Own, "{course:?}");
        // Each condition and each reaction once, as for anybody who publishes.
        let conditions: BTreeSet<&str> = content.screening.iter().map(|rule| rule.condition.as_str()).collect();
        let kinds: BTreeSet<&str> = content.reactions.iter().map(|rule| rule.kind.as_str()).collect();
        assert_eq!((conditions.len(), kinds.len()), (content.screening.len(), content.reactions.len()));
    }
}

#[test]
fn the_gap_outside_a_series_is_the_minimum_gap_of_one_and_comes_from_the_same_source() {
    let (services, courses) = all();
    for (course, content) in courses {
        let row = PROTOCOLS.iter().find(|row| row.course == course).unwrap();
        let treatment = &services[&row.service];
        assert_eq!(treatment.spacing_days, Some(content.gap.minimum), "{course:?}");
        assert_eq!(treatment.spacing_evidence, Some(content.evidence), "{course:?}");
    }
    assert_eq!(services[&Service::AquaGold].spacing_evidence.as_ref().unwrap().grade, Grade::Own);
}

#[test]
fn needling_follows_the_numbing_at_once() {
    let (services, _) = all();
    let needling: Vec<_> = services.values().filter(|content| content.spacing_days.is_some()).collect();
    assert_eq!(needling.len(), 6);
    for content in needling {
        let proper = content.phases.iter().position(|phase| phase.exposing).unwrap();
        assert_eq!(content.phases[proper - 1].name.as_str(), "numbing", "{}", content.name.as_str());
    }
    let names: Vec<_> = services[&Service::Prp].phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(names, ["draw and spin", "numbing", "needling", "aftercare talk", "turnover"]);
}
