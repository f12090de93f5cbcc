//! Two treatments in one visit.

use super::catalog::{AcrossAreas, Duty, GapDays, Phase, Restriction, Span, Treatment, TreatmentContent};
use super::ids::{OverrideId, TreatmentId};
use super::refusal::{Refusal, Rule, Violation};

/// What is added to a booked visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddOn {
    /// The treatment that is added.
    pub treatment: TreatmentId,
    /// Its version.
    pub version: i32,
    /// The override that allows it.
    pub approval: OverrideId,
}

impl AddOn {
    /// The treatment that is added, in its version.
    pub const fn added(self) -> (TreatmentId, i32) {
        (self.treatment, self.version)
    }
}

/// A visit to which something is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combined {
    /// What the visit is.
    pub treatment: Treatment,
    /// Days before the area may be needled again, as far as what is added asks for them.
    added_spacing_days: Option<i32>,
}

impl Combined {
    /// A visit for one treatment, to which another is added.
    pub fn new(base: &Treatment, add_on: &Treatment) -> Self {
        Self { treatment: combined(base, add_on), added_spacing_days: add_on.content.spacing_days }
    }

    /// Calendar days after it, as a session of a series, in which the area may not be needled again: the protocol's, or
    /// those of what is added if they are more.
    pub fn session_spacing(&self, gap: GapDays) -> i64 {
        i64::from(self.added_spacing_days.map_or(gap.minimum, |days| days.max(gap.minimum)))
    }
}

/// What the catalogue has against adding a treatment to another, and against the visit that they would make.
pub fn combination_misfit(base: &Treatment, add_on: &Treatment) -> Refusal {
    let refuse = |text: String| Violation { is_lasting: true, ..Violation::new(Rule::CombinationNotAllowed, text) };
    if !base.content.combinations.iter().any(|combination| combination.add_on == add_on.id) {
        return vec![refuse("the catalogue does not allow the added treatment in the same visit".to_owned())];
    }
    let limits = combined(base, add_on).content.check().err().unwrap_or_default();
    limits.into_iter().map(|(field, remedy)| refuse(format!("of both treatments together, {field} {remedy}"))).collect()
}

/// The treatment that a visit is to which another is added. It goes by the id and version of the one that it is added to.
pub fn combined(base: &Treatment, add_on: &Treatment) -> Treatment {
    let (mine, added) = (&base.content, &add_on.content);
    let mut exposures = mine.exposures.clone();
    exposures.extend(added.exposures.iter().filter(|activity| !mine.exposures.contains(activity)));
    let spacing_evidence =
        if added.spacing_days > mine.spacing_days { &added.spacing_evidence } else { &mine.spacing_evidence };
    let days = |across: &Option<AcrossAreas>| across.as_ref().map(|across| across.days);
    let across_areas =
        if days(&added.across_areas) > days(&mine.across_areas) { &added.across_areas } else { &mine.across_areas };
    let content = TreatmentContent {
        name: mine.name.clone(),
        spacing_days: mine.spacing_days.max(added.spacing_days),
        spacing_evidence: spacing_evidence.clone(),
        across_areas: across_areas.clone(),
        phases: joined_phases(&mine.phases, &added.phases),
        exposures,
        restrictions: joined_restrictions(&mine.restrictions, &added.restrictions),
        duties: joined_duties(&mine.duties, &added.duties),
        combinations: mine.combinations.clone(),
    };
    Treatment { content, ..base.clone() }
}

/// Where a phase lies in a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Before,
    Proper,
    After,
    Turnover,
}

/// Phases with their sides, and how many of the same side and name come before each.
fn placed(phases: &[Phase]) -> Vec<(Side, usize, Phase)> {
    let mut placed: Vec<(Side, usize, Phase)> = Vec::with_capacity(phases.len());
    let mut begun = false;
    for phase in phases {
        begun |= phase.exposing;
        let side = match (phase.patient_present, phase.exposing, begun) {
            (false, _, _) => Side::Turnover,
            (true, true, _) => Side::Proper,
            (true, false, true) => Side::After,
            (true, false, false) => Side::Before,
        };
        let alike = placed.iter().filter(|(other, _, before)| *other == side && before.name == phase.name).count();
        placed.push((side, alike, phase.clone()));
    }
    placed
}

/// Side by side, on each the phases of the one and then those that only the other has. Phases of the same name on the
/// same side are one; where a treatment has several of a name, the first goes with the first.
fn joined_phases(base: &[Phase], add_on: &[Phase]) -> Vec<Phase> {
    let mut joined = placed(base);
    for (side, alike, phase) in placed(add_on) {
        let same =
            joined.iter_mut().find(|(other, place, known)| (*other, *place, &known.name) == (side, alike, &phase.name));
        match same {
            Some((_, _, known)) => {
                if phase.minutes > known.minutes {
                    (known.minutes, known.evidence) = (phase.minutes, phase.evidence);
                }
                known.needs.extend(phase.needs);
                // As the needs of one phase are kept, so that a need has the same number wherever it is counted.
                known.needs.sort_by(|a, b| {
                    (a.kind.as_str(), a.qualification.as_str()).cmp(&(b.kind.as_str(), b.qualification.as_str()))
                });
                known.needs.dedup();
            }
            None => joined.push((side, alike, phase)),
        }
    }
    joined.sort_by_key(|(side, _, _)| *side);
    joined.into_iter().map(|(_, _, phase)| phase).collect()
}

/// All that either forbids: of the same activity for the longer of the two, on each side, in the words of the longer.
/// It is only advice if it is in both.
fn joined_restrictions(base: &[Restriction], add_on: &[Restriction]) -> Vec<Restriction> {
    let mut joined = base.to_vec();
    for added in add_on {
        match joined.iter_mut().find(|known| known.activity == added.activity) {
            Some(known) => *known = longer(known, added),
            None => joined.push(added.clone()),
        }
    }
    joined
}

fn longer(base: &Restriction, add_on: &Restriction) -> Restriction {
    let before = if hours(add_on.before) > hours(base.before) { add_on.before } else { base.before };
    let after = if hours(add_on.after) > hours(base.after) { add_on.after } else { base.after };
    let reach = |restriction: &Restriction| (hours(restriction.after), hours(restriction.before));
    let words = if reach(add_on) > reach(base) { add_on } else { base };
    let advice_only = base.advice_only && add_on.advice_only;
    Restriction { before, after, advice_only, ..words.clone() }
}

/// All that either asks for: to protect against the same activity from the earlier of the two until the later, in the
/// words of the one that lasts longer.
fn joined_duties(base: &[Duty], add_on: &[Duty]) -> Vec<Duty> {
    let mut joined = base.to_vec();
    for added in add_on {
        match joined.iter_mut().find(|known| known.activity == added.activity) {
            Some(known) => {
                let from = if hours(added.from) < hours(known.from) { added.from } else { known.from };
                let longer = if added.until.hours() > known.until.hours() { added } else { &*known };
                *known = Duty { from, ..longer.clone() };
            }
            None => joined.push(added.clone()),
        }
    }
    joined
}

/// Hours of a span, to compare.
fn hours(span: Option<Span>) -> i32 {
    span.map_or(0, Span::hours)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::booking::small::{at, evidence, need, treatment};
    use crate::domain::catalog::{Activity, Combination};
    use crate::domain::text::{Label, Prose};

    fn label(text: &str) -> Label {
        Label::new(text).unwrap()
    }

    fn phase(name: &str, minutes: i32, (patient_present, exposing): (bool, bool), needs: &[usize]) -> Phase {
        let needs = needs.iter().copied().map(need).collect();
        Phase { name: label(name), minutes, patient_present, exposing, needs, evidence: None }
    }

    fn of(number: u128, phases: Vec<Phase>) -> Treatment {
        let content = TreatmentContent {
            name: label("A treatment"),
            spacing_days: None,
            spacing_evidence: None,
            across_areas: None,
            phases,
            exposures: Vec::new(),
            restrictions: Vec::new(),
            duties: Vec::new(),
            combinations: Vec::new(),
        };
        let id = TreatmentId(Uuid::from_u128(number));
        Treatment { id, version: 1, published_at: at(0), published_revision: 1, content }
    }

    const THERE: (bool, bool) = (true, false);
    const PROPER: (bool, bool) = (true, true);
    const GONE: (bool, bool) = (false, false);

    fn restriction(activity: Activity, before: Option<Span>, after: Option<Span>, words: &str) -> Restriction {
        let instruction = Prose::new(words).unwrap();
        Restriction { activity, before, after, advice_only: false, instruction, evidence: evidence() }
    }

    fn duty(activity: Activity, from: Option<Span>, until: Span, words: &str) -> Duty {
        Duty { activity, from, until, instruction: Prose::new(words).unwrap(), evidence: evidence() }
    }

    fn allowing(mut base: Treatment, add_on: &Treatment) -> Treatment {
        base.content.combinations = vec![Combination { add_on: add_on.id, evidence: evidence() }];
        base
    }

    fn shown(treatment: &Treatment) -> Vec<(&str, i32, usize)> {
        treatment.content.phases.iter().map(|p| (p.name.as_str(), p.minutes, p.needs.len())).collect()
    }

    #[test]
    fn phases_of_the_same_name_and_side_are_one_and_the_others_follow_each_other() {
        let base = of(
            1,
            vec![
                phase("numbing", 30, THERE, &[0]),
                phase("needling", 40, PROPER, &[0, 2]),
                phase("talk", 5, THERE, &[0]),
                phase("turnover", 15, GONE, &[0]),
            ],
        );
        let add_on = of(
            2,
            vec![
                phase("questions", 10, THERE, &[1]),
                phase("numbing", 20, THERE, &[0, 1]),
                phase("injection", 20, PROPER, &[3]),
                phase("talk", 10, THERE, &[0]),
                phase("numbing", 5, THERE, &[0]),
                phase("cleaning", 10, GONE, &[0]),
            ],
        );
        let both = combined(&base, &add_on);
        let expected = [
            ("numbing", 30, 2),
            ("questions", 10, 1),
            ("needling", 40, 2),
            ("injection", 20, 1),
            ("talk", 10, 1),
            ("numbing", 5, 1),
            ("turnover", 15, 1),
            ("cleaning", 10, 1),
        ];
        assert_eq!(shown(&both), expected);
        assert_eq!((both.id, both.version), (base.id, base.version));
        both.content.check().unwrap();
    }

    #[test]
    fn several_phases_of_a_name_go_with_those_of_the_other_in_order() {
        let twice = |first, second| {
            let phases = vec![phase("wash", first, THERE, &[]), phase("wash", second, THERE, &[])];
            of(1, phases.into_iter().chain([phase("treat", 5, PROPER, &[])]).collect())
        };
        let both = combined(&twice(5, 20), &twice(10, 15));
        assert_eq!(shown(&both), [("wash", 10, 0), ("wash", 20, 0), ("treat", 5, 0)]);
    }

    #[test]
    fn of_two_restrictions_on_the_same_activity_the_longer_counts_on_each_side() {
        let proper = || vec![phase("treat", 5, PROPER, &[])];
        let (mut base, mut add_on) = (of(1, proper()), of(2, proper()));
        let (days, hours) = (|days| Some(Span::Days(days)), |hours| Some(Span::Hours(hours)));
        base.content.restrictions = vec![
            restriction(Activity::Heat, days(3), days(2), "base"),
            restriction(Activity::Filler, None, days(1), "base"),
            restriction(Activity::Alcohol, None, hours(12), "base"),
        ];
        add_on.content.restrictions = vec![
            restriction(Activity::Heat, days(1), hours(49), "added"),
            restriction(Activity::Filler, None, hours(24), "added"),
            restriction(Activity::MakeUp, days(1), None, "added"),
        ];
        let both = combined(&base, &add_on);
        let expected = [
            restriction(Activity::Heat, days(3), hours(49), "added"),
            restriction(Activity::Filler, None, days(1), "base"),
            restriction(Activity::Alcohol, None, hours(12), "base"),
            restriction(Activity::MakeUp, days(1), None, "added"),
        ];
        assert_eq!(both.content.restrictions, expected);
    }

    #[test]
    fn a_restriction_of_both_is_advice_only_where_it_is_in_both() {
        let advice = |advice_only, after, words| Restriction {
            advice_only,
            ..restriction(Activity::Alcohol, None, Some(Span::Days(after)), words)
        };
        for (mine, added) in [(false, false), (false, true), (true, false), (true, true)] {
            let both = joined_restrictions(&[advice(mine, 1, "base")], &[advice(added, 2, "added")]);
            assert_eq!(both, [advice(mine && added, 2, "added")]);
        }
    }

    #[test]
    fn of_two_duties_against_the_same_activity_all_the_time_counts_in_the_words_of_the_one_that_lasts_longer() {
        let (days, hours) = (Span::Days, Span::Hours);
        let base = [
            duty(Activity::SunExposure, Some(days(1)), days(28), "base"),
            duty(Activity::Heat, None, days(2), "base"),
            duty(Activity::Exercise, Some(hours(4)), days(1), "base"),
        ];
        let add_on = [
            duty(Activity::SunExposure, Some(hours(12)), days(14), "added"),
            duty(Activity::Heat, Some(days(1)), hours(49), "added"),
            duty(Activity::MakeUp, None, days(1), "added"),
            duty(Activity::Exercise, Some(hours(4)), hours(24), "added"),
        ];
        let expected = [
            duty(Activity::SunExposure, Some(hours(12)), days(28), "base"),
            duty(Activity::Heat, None, hours(49), "added"),
            duty(Activity::Exercise, Some(hours(4)), days(1), "base"),
            duty(Activity::MakeUp, None, days(1), "added"),
        ];
        assert_eq!(joined_duties(&base, &add_on), expected);
    }

    #[test]
    fn gaps_are_the_longer_of_both() {
        let proper = || vec![phase("treat", 5, PROPER, &[])];
        let (mut base, mut add_on) = (of(1, proper()), of(2, proper()));
        base.content.spacing_days = Some(20);
        base.content.across_areas = Some(AcrossAreas { days: 10, evidence: evidence() });
        let gap = GapDays::new(10, 15, 20, 30).unwrap();
        assert_eq!(Combined::new(&base, &add_on).session_spacing(gap), 15);
        add_on.content.spacing_days = Some(28);
        add_on.content.across_areas = Some(AcrossAreas { days: 7, evidence: evidence() });
        let both = Combined::new(&base, &add_on);
        assert_eq!(both.treatment.content.spacing_days, Some(28));
        assert_eq!(both.treatment.content.across_areas.as_ref().map(|across| across.days), Some(10));
        assert_eq!(both.session_spacing(gap), 28);
    }

    #[test]
    fn a_combination_is_one_of_the_catalogue_and_within_the_limits_of_a_treatment() {
        let base = of(1, vec![phase("treat", 400, PROPER, &[])]);
        let add_on = |minutes| of(2, vec![phase("treat too", minutes, PROPER, &[])]);
        let told = |refusal: Refusal| {
            assert!(refusal.iter().all(|violation| violation.rule == Rule::CombinationNotAllowed));
            refusal.into_iter().map(|violation| violation.description).collect::<Vec<_>>().join("; ")
        };
        assert!(told(combination_misfit(&base, &add_on(320))).contains("catalogue"));
        let base = allowing(base, &add_on(320));
        assert_eq!(combination_misfit(&base, &add_on(320)), []);
        assert!(told(combination_misfit(&base, &add_on(325))).contains("720 minutes"));
    }

    proptest! {
        #[test]
        fn a_treatment_combined_with_itself_is_itself(mut treatment in treatment()) {
            for phase in &mut treatment.content.phases {
                phase.needs.sort_by_key(|need| (need.kind.as_str(), need.qualification.as_str().to_owned()));
            }
            prop_assert_eq!(combined(&treatment, &treatment), treatment);
        }

        #[test]
        fn a_combination_contradicts_itself_only_where_it_is_too_large(base in treatment(), add_on in treatment()) {
            let both = combined(&base, &add_on).content;
            for (field, remedy) in both.check().err().unwrap_or_default() {
                prop_assert!(field == "phases" && remedy.contains("at most"), "{field} {remedy}");
            }
            let needed = |content: &TreatmentContent| content.needs().into_iter().cloned().collect::<Vec<_>>();
            for need in needed(&base.content).iter().chain(&needed(&add_on.content)) {
                prop_assert!(needed(&both).contains(need));
            }
            let proper = |content: &TreatmentContent| {
                content.phases.iter().filter(|phase| phase.exposing).map(|phase| phase.minutes).sum::<i32>()
            };
            prop_assert!(proper(&both) >= proper(&base.content).max(proper(&add_on.content)));
            prop_assert!(proper(&both) <= proper(&base.content) + proper(&add_on.content));
        }
    }
}
