//! The decision against a slow and obvious model, on small random instances.

pub(in crate::domain) mod slow;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use uuid::Uuid;

use super::small::{HERE, appointment, at, between, everywhere, facts, need, qualification, question, treatment, zone};
use super::*;
use crate::domain::catalog::{GapDays, Need, Phase, ResourceKind, SpacingScope, TreatmentContent};
use crate::domain::hours::{Stretch, Week, weekday_from_iso};
use crate::domain::ids::TreatmentId;
use crate::domain::interval::Interval;
use crate::domain::refusal::Earliest;
use crate::domain::refusal::Rule;
use crate::domain::text::Label;
use slow::{lies_in, phases, slow_rules, slow_served, ticks, windows_of};

/// Rules that are about which resource serves which need.
const RESOURCE_RULES: [Rule; 7] = [
    Rule::NoQualifiedResource,
    Rule::NoResourceFree,
    Rule::ResourceBusy,
    Rule::OutsideWorkingHours,
    Rule::ResourceAway,
    Rule::ResourceNotQualified,
    Rule::ResourceInactive,
];

fn rules_of(refusal: &Refusal) -> BTreeSet<Rule> {
    refusal.iter().map(|violation| violation.rule).collect()
}

/// Each need has one resource of its own, which is taken in exactly the phases that name the need.
fn check_plan(treatment: &Treatment, start: Instant, plan: &PlannedVisit) {
    let mut serving: Vec<(Need, ResourceId)> = Vec::new();
    let timeline = phases(treatment, start);
    assert_eq!(plan.phases.len(), timeline.len());
    for ((phase, during), booked) in timeline.iter().zip(&plan.phases) {
        assert_eq!((booked.during, booked.patient_present), (*during, phase.patient_present));
        assert_eq!(booked.resources.len(), phase.needs.len());
        for need in &phase.needs {
            let place = treatment.content.needs().iter().position(|other| *other == need).unwrap();
            let occupied = |tick| plan.occupied.iter().find(|o| o.need == place && lies_in(tick, o.during));
            for tick in ticks(*during) {
                let resource = occupied(tick).expect("a needed resource is taken").resource;
                assert!(booked.resources.contains(&(resource, need.kind)));
                serving.push((need.clone(), resource));
            }
        }
    }
    let taken: usize = plan.occupied.iter().map(|occupied| ticks(occupied.during).count()).sum();
    assert_eq!(taken, serving.len(), "nothing is taken that is not needed");
    for (need, resource) in &serving {
        assert!(serving.iter().all(|(other, by)| (other == need) == (by == resource)));
    }
    let mut present = timeline.iter().filter(|(phase, _)| phase.patient_present).map(|(_, during)| *during);
    assert_eq!(plan.visit.start(), start);
    assert_eq!(plan.visit.end(), present.next_back().unwrap().end());
}

#[test]
fn the_earliest_start_of_a_refusal_is_the_first_that_its_rule_allows_wherever_the_clocks_change() {
    everywhere(150, question, |(facts, treatment, request)| {
        let Err(refusal) = plan_visit(&facts, &treatment, &request) else { return Ok(()) };
        for violation in refusal.iter().filter(|violation| !RESOURCE_RULES.contains(&violation.rule)) {
            let breaks = |start| {
                let asked = VisitRequest { start, ..request.clone() };
                slow_rules(&facts, &treatment, &asked).contains(&violation.rule)
            };
            let Some(Earliest { start, .. }) = violation.earliest else {
                let (timing, span) = (Timing::new(&treatment), facts.spans[0]);
                let mut later = ticks(Interval::new(request.start, span.end()).unwrap());
                prop_assert!(later.all(|start| !span.contains(timing.whole(start)) || breaks(start)), "{violation:?}");
                continue;
            };
            prop_assert!(start > request.start && !violation.is_lasting);
            prop_assert!(!breaks(start), "{violation:?} is broken again then");
            let earlier = Interval::new(request.start, start).unwrap();
            prop_assert!(ticks(earlier).all(breaks), "{violation:?} would do earlier");
        }
        Ok(())
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_visit_is_planned_exactly_when_the_slow_model_allows_it((facts, treatment, request) in question()) {
        let broken = slow_rules(&facts, &treatment, &request);
        let served = slow_served(&facts, &treatment, &request, &mut Vec::new());
        match plan_visit(&facts, &treatment, &request) {
            Ok(plan) => {
                prop_assert!(served && broken.is_empty(), "planned although {broken:?}, served: {served}");
                check_plan(&treatment, request.start, &plan);
                let used = |id: &ResourceId| plan.occupied.iter().any(|occupied| occupied.resource == *id);
                prop_assert!(request.named.iter().all(used));
            }
            Err(refusal) => {
                let (about_resources, others): (BTreeSet<Rule>, BTreeSet<Rule>) =
                    rules_of(&refusal).into_iter().partition(|rule| RESOURCE_RULES.contains(rule));
                prop_assert_eq!(others, broken);
                prop_assert_eq!(about_resources.is_empty(), served, "{:?}", about_resources);
            }
        }
    }

    #[test]
    fn a_visit_refused_for_one_resource_rule_only_does_not_meet_it_at_the_offered_start(
        (facts, treatment, request) in question()
    ) {
        let Err(refusal) = plan_visit(&facts, &treatment, &request) else { return Ok(()) };
        let [violation] = refusal.as_slice() else { return Ok(()) };
        let Some(Earliest { start, .. }) = violation.earliest else { return Ok(()) };
        if !RESOURCE_RULES.contains(&violation.rule) {
            return Ok(());
        }
        let again = plan_visit(&facts, &treatment, &VisitRequest { start, ..request.clone() });
        let broken = again.err().map(|refusal| rules_of(&refusal)).unwrap_or_default();
        prop_assert!(!broken.contains(&violation.rule), "{violation:?} is broken again then");
        let earlier = Interval::new(request.start, start).unwrap();
        for start in ticks(earlier) {
            let asked = VisitRequest { start, ..request.clone() };
            prop_assert!(!slow_served(&facts, &treatment, &asked, &mut Vec::new()), "{violation:?} would do at {start}");
        }
    }

    #[test]
    fn a_series_is_planned_exactly_when_its_sessions_are_feasible_one_by_one_and_in_pairs(
        (facts, treatment, minimum, maximum, days) in (facts(), treatment(), 1..4_i32, 0..3_i32)
            .prop_flat_map(|(facts, treatment, minimum, more)| {
                let days = prop::collection::vec((0..6_i64, 0..180_i64), 1..4);
                (Just(facts), Just(treatment), Just(minimum), Just(minimum + more), days)
            }),
    ) {
        // A series is of a treatment that needles.
        let mut treatment = treatment;
        treatment.content.spacing_days = Some(5);
        if let Some(across) = &mut treatment.content.across_areas {
            across.days = across.days.min(minimum);
        }
        let mut facts = facts;
        facts.spans = vec![between(-300, 10_000)];
        facts.look_for_earliest = false;
        facts.horizon_end = facts.horizon_end.max(at(1_000));
        let mut morning = at(0);
        let sessions: Vec<SessionRequest> = days
            .into_iter()
            .enumerate()
            .map(|(place, (gap, tick))| {
                morning = zone().plus_days(morning, if place == 0 { gap.min(1) } else { gap.max(1) });
                SessionRequest { clinic: HERE, start: morning + TimeDelta::minutes(5 * tick), named: Vec::new(), practitioner: None, moved_from: None }
            })
            .collect();
        let asked = |session: &SessionRequest| VisitRequest {
            clinic: HERE,
            start: session.start,
            named: Vec::new(),
            area: Some(BodyArea::Face),
            spacing_days: Some(i64::from(minimum)),
            spacing_override: None,
            neighbours: None,
            follow_up: None,
            preferred: Vec::new(),
            moved_from: None,
        };
        let mut feasible = true;
        for (place, session) in sessions.iter().enumerate() {
            let request = asked(session);
            feasible &= slow_rules(&facts, &treatment, &request).is_empty();
            feasible &= slow_served(&facts, &treatment, &request, &mut Vec::new());
            for (earlier, before) in sessions[..place].iter().enumerate() {
                let gap = (zone().day(session.start) - zone().day(before.start)).num_days();
                feasible &= gap >= i64::from(minimum) && (earlier + 1 < place || gap <= i64::from(maximum));
                let mut alone = facts.clone();
                alone.patient = PatientFacts { windows: windows_of(&treatment, before.start), ..Default::default() };
                let broken = slow_rules(&alone, &treatment, &request);
                feasible &= !broken.contains(&Rule::ActivityForbidden);
                feasible &= !broken.contains(&Rule::ForbidsBookedActivity);
            }
        }
        let series = SessionsOf {
            gap: GapDays::new(1, minimum, minimum, maximum).unwrap(),
            gap_override: None,
            treatment: &treatment,
            area: BodyArea::Face,
            booked: Vec::new(),
            known: Vec::new(),
        };
        let asked: Vec<AskedSession> = sessions
            .iter()
            .zip(1..)
            .enumerate()
            .map(|(place, (request, number))| AskedSession { place, number, request: request.clone(), combined: None })
            .collect();
        match plan_sessions(facts, &series, &asked) {
            Ok(plans) => {
                prop_assert!(feasible);
                prop_assert_eq!(plans.len(), sessions.len());
                for (plan, session) in plans.iter().zip(&sessions) {
                    check_plan(&treatment, session.start, plan);
                    let day = zone().day(session.start);
                    let spaced = |scope, days: i32| Spaced { scope, day, until: day + TimeDelta::days(i64::from(days)) };
                    let mut opened = vec![spaced(SpacingScope::Area(BodyArea::Face), minimum)];
                    opened.extend(treatment.content.across_areas.iter().map(|a| spaced(SpacingScope::AnyArea, a.days)));
                    prop_assert_eq!(&plan.spacing, &opened);
                }
            }
            Err(refusal) => prop_assert!(!feasible, "{refusal:?}"),
        }
    }
}

/// Two rooms are needed at once: one that is qualified for both needs, and one for the first only.
#[test]
fn a_named_resource_that_fits_beside_another_is_not_called_unqualified() {
    let always: Vec<Stretch> =
        (1..=7).filter_map(weekday_from_iso).map(|day| Stretch::new(day, 0, 24 * 60).unwrap()).collect();
    let room = |number: u128, qualifications: &[usize]| ResourceFacts {
        id: ResourceId(Uuid::from_u128(number)),
        kind: ResourceKind::Room,
        clinic: Some(HERE),
        active: true,
        qualifications: qualifications.iter().copied().map(qualification).collect(),
        working_hours: Vec::new(),
        time_off: Vec::new(),
        busy: vec![Busy { during: between(0, 12), other: appointment(number) }],
    };
    let facts = Facts {
        now: at(0),
        horizon_end: at(1_000),
        spans: vec![between(-300, 1_400)],
        look_for_earliest: true,
        clinics: BTreeMap::from([(
            HERE,
            ClinicFacts { zone: zone(), opening_hours: Week::new(always).unwrap(), closures: Vec::new() },
        )]),
        resources: vec![room(100, &[0, 1]), room(101, &[0])],
        patient: PatientFacts::default(),
    };
    let phase = Phase {
        name: Label::new("A phase").unwrap(),
        minutes: 30,
        patient_present: true,
        exposing: true,
        needs: vec![need(0), need(1)],
        evidence: None,
    };
    let content = TreatmentContent {
        name: Label::new("A treatment").unwrap(),
        spacing_days: None,
        spacing_evidence: None,
        across_areas: None,
        phases: vec![phase],
        exposures: Vec::new(),
        restrictions: Vec::new(),
        duties: Vec::new(),
        combinations: Vec::new(),
    };
    let id = TreatmentId(Uuid::from_u128(5));
    let treatment = Treatment { id, version: 1, published_at: at(0), published_revision: 1, content };
    let named: Vec<ResourceId> = facts.resources.iter().map(|resource| resource.id).collect();
    let request = |start| VisitRequest {
        clinic: HERE,
        start,
        named: named.clone(),
        area: None,
        spacing_days: None,
        spacing_override: None,
        neighbours: None,
        follow_up: None,
        preferred: Vec::new(),
        moved_from: None,
    };
    assert!(plan_visit(&facts, &treatment, &request(at(12))).is_ok());
    let refusal = plan_visit(&facts, &treatment, &request(at(0))).unwrap_err();
    let told: Vec<_> = refusal.iter().map(|violation| (violation.rule, violation.resource)).collect();
    assert_eq!(told, [(Rule::ResourceBusy, Some(named[0])), (Rule::ResourceBusy, Some(named[1]))]);
}
