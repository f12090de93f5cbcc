//! Whether a patient is fit for a session: clearance, screening, holds (promise P5).
//!
//! What is known is turned into concerns, each of which stands in the way of some starts. Booking and searching look at
//! the same concerns, so that no search offers what a booking refuses.

use chrono::{Months, NaiveDate, TimeDelta};

use super::catalog::ProtocolContent;
use super::clearance::{Clearance, Decision, MAX_CLEARANCE_DAYS};
use super::ids::{ClearanceId, OverrideId};
use super::interval::Instant;
use super::refusal::{Rule, Violation};
use super::screening::{Asks, ConditionClass, Screening, ScreeningRule};
use super::text::{Code, Personal};
use super::zone::Zone;

/// What is known of a patient, a protocol and an area.
#[derive(Debug, Clone)]
pub struct FitnessFacts {
    /// Day of birth.
    pub birth_date: Personal<NaiveDate>,
    /// The latest screening for the protocol.
    pub screening: Option<Screening>,
    /// The latest decision for the protocol and area, in force or not.
    pub clearance: Option<Clearance>,
    /// The revision of that decision; 0 if there is none.
    pub decided_revision: i64,
    /// Conditions that overrides in force lift, granted after every reaction that brought them.
    pub lifted: Personal<Vec<LiftedBy>>,
    /// Conditions that reactions brought.
    pub acquired: Personal<Vec<Acquired>>,
    /// Whether a reaction that nobody has cleared holds the patient's series.
    pub on_hold: bool,
    /// The first day of treatment that was set when a reaction was cleared.
    pub earliest: Option<NaiveDate>,
    /// How many sessions an assessment extended the series to since that decision.
    pub extended_to: Option<i32>,
}

/// An override in force of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiftedBy {
    /// The condition.
    pub condition: Code,
    /// The override.
    pub id: OverrideId,
    /// The revision that granted it.
    pub granted_revision: i64,
}

/// A condition that a reaction brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acquired {
    /// The condition.
    pub condition: Code,
    /// The day on which the reaction began.
    pub since: NaiveDate,
    /// Whether it was reported after the latest decision, which therefore does not lift it.
    pub is_unanswered: bool,
}

/// A rule of the screening that fires.
#[derive(Debug, Clone)]
pub struct Finding<'a> {
    /// The rule.
    pub rule: &'a ScreeningRule,
    /// When it stands in the way of sessions, unless it is lifted.
    pub when: When,
    /// What has lifted it.
    pub lifted: Option<Lift>,
}

/// What has lifted a rule of the screening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lift {
    /// A clearance in force.
    Clearance(ClearanceId),
    /// An override in force.
    Override(OverrideId),
}

/// When something stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// At any time.
    Always,
    /// Before an instant.
    Before(Instant),
    /// On the clinic's calendar days from the first until the second, exclusive.
    Days(NaiveDate, NaiveDate),
}

/// Something that stands in the way of sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern {
    /// The rule that a session would break.
    pub rule: Rule,
    /// When.
    pub when: When,
    /// The same in a sentence.
    pub text: String,
}

/// How fit a patient is for the sessions of a protocol on an area.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fitness {
    /// The clearance in force.
    pub clearance: Option<ClearanceId>,
    /// How many sessions it covers.
    pub sessions: Option<i32>,
    /// What stands in the way of any session.
    pub concerns: Vec<Concern>,
    /// The same by other protocols, where it is enough to be fit by one of them: outside any series.
    pub others: Vec<Self>,
}

impl Concern {
    /// Whether it stands in the way of a start on a day. A hold lets a visit be put off from where it was.
    pub fn stands(&self, start: Instant, day: NaiveDate, moved_from: Option<Instant>) -> bool {
        let put_off = self.rule == Rule::SeriesOnHold && moved_from.is_some_and(|old| old <= start);
        self.when.covers(start, day) && !put_off
    }
}

impl When {
    const fn from(day: NaiveDate) -> Self {
        Self::Days(day, NaiveDate::MAX)
    }

    const fn until(day: NaiveDate) -> Self {
        Self::Days(NaiveDate::MIN, day)
    }

    /// Whether it stands in the way on that day and on any after it.
    fn lasts_from(self, day: NaiveDate) -> bool {
        match self {
            Self::Always => true,
            Self::Before(_) => false,
            Self::Days(from, until) => from <= day && until == NaiveDate::MAX,
        }
    }

    /// Whether it stands in the way of a start on a day.
    pub fn covers(self, start: Instant, day: NaiveDate) -> bool {
        match self {
            Self::Always => true,
            Self::Before(instant) => start < instant,
            Self::Days(from, until) => from <= day && day < until,
        }
    }
}

/// The rules that fire, lifted or not.
pub fn findings<'a>(rules: &'a [ScreeningRule], facts: &FitnessFacts) -> Vec<Finding<'a>> {
    let fires = |rule: &ScreeningRule| -> Option<When> {
        let answers = facts.screening.as_ref().map(|screening| screening.answers.expose());
        match rule.asks {
            Asks::Age(range) => {
                let years = |years: i32| {
                    let months = Months::new(years.unsigned_abs().saturating_mul(12));
                    facts.birth_date.expose().checked_add_months(months).unwrap_or(NaiveDate::MAX)
                };
                Some(When::Days(years(range.least), years(range.most + 1)))
            }
            Asks::SkinType(range) => range.contains(answers?.skin_type?).then_some(When::Always),
            Asks::Presence | Asks::PresenceAndDate => {
                let answer = answers.and_then(|a| a.given.iter().find(|answer| answer.condition == rule.condition));
                let acquired = facts.acquired.expose().iter().filter(|acquired| acquired.condition == rule.condition);
                let acquired = acquired.map(|acquired| Some(acquired.since)).max();
                let stated = answer.filter(|answer| answer.present).map(|answer| answer.date);
                // Of two days the later one; a condition without a day lasts until it is resolved.
                let day = match (stated, acquired) {
                    (None, None) => return None,
                    (Some(day), None) | (None, Some(day)) => day,
                    (Some(stated), Some(acquired)) => stated.zip(acquired).map(|(a, b)| a.max(b)),
                };
                let deferred = rule.deferral.zip(day).map(|(deferral, day)| When::until(deferral.until(day)));
                Some(deferred.unwrap_or(When::Always))
            }
        }
    };
    let firing = rules.iter().filter_map(|rule| Some((rule, fires(rule)?)));
    firing.map(|(rule, when)| Finding { rule, when, lifted: lifted(rule, facts) }).collect()
}

/// The same, as far as it matters to whoever is told now: not what is over in every clinic, nor what begins only after
/// anything that could be cleared today.
pub fn current_findings<'a>(rules: &'a [ScreeningRule], facts: &FitnessFacts, now: Instant) -> Vec<Finding<'a>> {
    let today = today_at_the_earliest(now);
    // Nowhere is the calendar further ahead.
    let last = (now + TimeDelta::hours(14)).date_naive() + TimeDelta::days(MAX_CLEARANCE_DAYS.into());
    let mut findings = findings(rules, facts);
    findings.retain(|finding| match finding.when {
        When::Always => true,
        When::Before(instant) => now < instant,
        When::Days(from, until) => today < until && from <= last,
    });
    findings
}

/// Today where the calendar is furthest behind: whoever is told is at any clinic.
pub fn today_at_the_earliest(now: Instant) -> NaiveDate {
    (now - TimeDelta::hours(12)).date_naive()
}

fn lifted(rule: &ScreeningRule, facts: &FitnessFacts) -> Option<Lift> {
    if !rule.may_be_cleared {
        return None;
    }
    let stated = facts.screening.iter().flat_map(|screening| &screening.answers.expose().given);
    let news = stated.filter(|answer| answer.present && answer.condition == rule.condition).map(|answer| answer.news);
    let news = news.max().unwrap_or_default();
    let mut overrides = facts.lifted.expose().iter();
    if let Some(by) = overrides.find(|by| by.condition == rule.condition && by.granted_revision > news) {
        return Some(Lift::Override(by.id));
    }
    let mut acquired = facts.acquired.expose().iter();
    if acquired.any(|acquired| acquired.is_unanswered && acquired.condition == rule.condition) {
        return None;
    }
    if facts.decided_revision <= news {
        return None;
    }
    let clearance = facts.clearance.as_ref().filter(|clearance| clearance.revoked.is_none())?;
    match &clearance.decision {
        Decision::Cleared { conditions, .. } => {
            conditions.expose().contains(&rule.condition).then_some(Lift::Clearance(clearance.id))
        }
        Decision::Declined => None,
    }
}

impl Fitness {
    /// How fit a patient is, by the rules of a protocol. Where no protocol asks for a clearance, only reactions matter.
    pub fn judge(rules: Option<&ProtocolContent>, facts: &FitnessFacts) -> Self {
        let mut fitness = Self::default();
        if facts.on_hold {
            let text = "a reaction of the patient has not been cleared, so that the series is on hold";
            fitness.note(Rule::SeriesOnHold, When::Always, text);
        }
        if let Some(earliest) = facts.earliest {
            let text = format!("after a reaction, the patient may be treated from {earliest} on");
            fitness.note(Rule::TooSoonAfterReaction, When::until(earliest), text);
        }
        if let Some(rules) = rules.filter(|rules| rules.clearance.is_some()) {
            fitness.judge_clearance(facts);
            fitness.judge_screening(rules, facts);
        }
        fitness
    }

    /// How fit somebody is of whom it is enough to be fit by one of several protocols. Of the first that asks for nothing to
    /// be settled, or of the first, is told what is in the way.
    pub fn by_one_of(mut ways: Vec<Self>) -> Self {
        ways.sort_by_key(|way| !way.lasting(None, NaiveDate::MIN).is_empty());
        let mut ways = ways.into_iter();
        let first = ways.next().unwrap_or_default();
        Self { others: ways.collect(), ..first }
    }

    /// By each protocol of which one is enough.
    pub fn ways(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.others)
    }

    /// The first protocol by which nothing stands in the way of a start.
    pub fn way(
        &self,
        number: Option<i32>,
        start: Instant,
        day: NaiveDate,
        moved_from: Option<Instant>,
    ) -> Option<&Self> {
        self.ways().find(|way| {
            way.uncovered(number).is_none()
                && !way.concerns.iter().any(|concern| concern.stands(start, day, moved_from))
        })
    }

    fn note(&mut self, rule: Rule, when: When, text: impl Into<String>) {
        self.concerns.push(Concern { rule, when, text: text.into() });
    }

    fn judge_clearance(&mut self, facts: &FitnessFacts) {
        let missing = match &facts.clearance {
            None => "no practitioner has cleared the patient for this protocol and area; book a consultation",
            Some(Clearance { revoked: Some(_), .. }) => "the clearance was revoked; book a consultation",
            Some(Clearance { decision: Decision::Declined, .. }) => {
                "the latest consultation ended in a decline; another consultation may decide otherwise"
            }
            Some(Clearance {
                id,
                decision: Decision::Cleared { session_count, valid_from, valid_until, not_before, .. },
                ..
            }) => {
                self.clearance = Some(*id);
                self.sessions = Some(facts.extended_to.map_or(*session_count, |count| count.max(*session_count)));
                let text = format!("the clearance covers the days from {valid_from} to {valid_until}");
                self.note(Rule::ClearanceExceeded, When::until(*valid_from), text.clone());
                if let Some(after) = valid_until.succ_opt() {
                    self.note(Rule::ClearanceExceeded, When::from(after), text);
                }
                let text = "the time after the clearance, or after the patch test, is not over yet";
                self.note(Rule::CoolingOff, When::Before(*not_before), text);
                return;
            }
        };
        self.note(Rule::ClearanceMissing, When::Always, missing);
    }

    fn judge_screening(&mut self, rules: &ProtocolContent, facts: &FitnessFacts) {
        let asked = |rule: &&ScreeningRule| match rule.asks {
            Asks::Presence | Asks::PresenceAndDate | Asks::SkinType(_) => true,
            Asks::Age(_) => false,
        };
        let open: Vec<&str> = match &facts.screening {
            // A protocol that asks nothing needs no answers.
            None => rules.screening.iter().filter(asked).map(|rule| rule.condition.as_str()).collect(),
            Some(screening) => {
                let answers = screening.answers.expose();
                let open = rules.screening.iter().filter(|rule| match rule.asks {
                    Asks::Presence | Asks::PresenceAndDate => {
                        !answers.given.iter().any(|answer| answer.condition == rule.condition)
                    }
                    Asks::SkinType(_) => answers.skin_type.is_none(),
                    Asks::Age(_) => false,
                });
                open.map(|rule| rule.condition.as_str()).collect()
            }
        };
        match (&facts.screening, open.as_slice()) {
            (_, []) => {}
            (None, _) => {
                let text = "the patient has not been screened for this protocol";
                self.note(Rule::ScreeningMissing, When::Always, text);
            }
            (Some(_), open) => {
                let text = format!("the latest screening does not answer all that is asked: {}", open.join(", "));
                self.note(Rule::ScreeningMissing, When::Always, text);
            }
        }
        // Which condition it is, is not said here: refusals carry no personal data. The findings of the screening tell.
        let firing = findings(&rules.screening, facts);
        let open = firing.iter().filter(|finding| finding.lifted.is_none());
        let mut stands: Vec<(ConditionClass, When)> = open.map(|finding| (finding.rule.class, finding.when)).collect();
        stands.sort_unstable();
        stands.dedup();
        for (class, when) in stands {
            self.note(class.rule(), when, sentence(class));
        }
    }

    /// What stands in the way of the session of that number, or of a visit that is no session.
    pub fn concerns(&self, number: Option<i32>) -> Vec<Concern> {
        let uncovered = self.uncovered(number).map(|covered| {
            let text = format!("the clearance covers {covered} sessions");
            Concern { rule: Rule::ClearanceExceeded, when: When::Always, text }
        });
        self.concerns.iter().cloned().chain(uncovered).collect()
    }

    /// How many sessions the clearance covers, if not the one of that number.
    fn uncovered(&self, number: Option<i32>) -> Option<i32> {
        self.sessions.zip(number).filter(|(covered, number)| number > covered).map(|(covered, _)| covered)
    }

    /// The same without what is missing now: for plans that show when, once that is settled.
    #[must_use]
    pub fn once_settled(mut self, now: Instant) -> Self {
        let today = today_at_the_earliest(now);
        self.concerns.retain(|concern| !concern.when.lasts_from(today));
        self
    }

    /// What stands in the way at some times to come, and not at all of them: until a day, or from a day on.
    pub fn limits(&self, now: Instant) -> Vec<Violation> {
        let today = today_at_the_earliest(now);
        let limits = |concern: &&Concern| match concern.when {
            When::Always => false,
            When::Before(instant) => now < instant,
            When::Days(from, until) => today < until && !concern.when.lasts_from(today) && from < until,
        };
        // Where one is enough that stands in the way at no time, nothing does.
        if self.ways().any(|way| way.concerns.iter().find(limits).is_none()) {
            return Vec::new();
        }
        self.concerns.iter().filter(limits).map(|concern| Violation::new(concern.rule, concern.text.clone())).collect()
    }

    /// Takes a hold away: sessions may be put off meanwhile. That none is brought nearer is decided session by session.
    pub fn let_put_off(&mut self) {
        self.concerns.retain(|concern| concern.rule != Rule::SeriesOnHold);
    }

    /// What stands in the way at a time, of a visit that is not booked but takes place.
    pub fn violations(&self, number: Option<i32>, at: Instant, zone: Zone) -> Vec<Violation> {
        let day = zone.day(at);
        let there = self.concerns(number).into_iter().filter(|concern| concern.when.covers(at, day));
        there.map(|concern| Violation::new(concern.rule, concern.text)).collect()
    }

    /// What stands in the way of a patient who is to be checked in: the same, and a screening that is too old.
    pub fn at_check_in(
        rules: Option<&ProtocolContent>,
        facts: &FitnessFacts,
        number: Option<i32>,
        now: Instant,
        zone: Zone,
    ) -> Vec<Violation> {
        let mut violations = Self::judge(rules, facts).violations(number, now, zone);
        if let (Some(rules), Some(screening)) = (rules, &facts.screening)
            && let Some(asks) = &rules.clearance
            && !rules.screening.is_empty()
        {
            let age = (zone.day(now) - zone.day(screening.recorded_at)).num_days();
            if age > i64::from(asks.screening_days) {
                let text = format!("the latest screening was {age} calendar days ago; screen the patient anew");
                violations.push(Violation::new(Rule::ScreeningMissing, text));
            }
        }
        violations
    }

    /// The same where it is enough to be fit by one of several protocols: nothing if one is content; else, as when
    /// booking, what is in the way by the first with nothing to settle, or by the first.
    pub fn at_check_in_by_one_of(
        ways: &[(Option<&ProtocolContent>, &FitnessFacts)],
        number: Option<i32>,
        now: Instant,
        zone: Zone,
    ) -> Vec<Violation> {
        let told = ways.iter().map(|(rules, facts)| Self::at_check_in(*rules, facts, number, now, zone));
        let told: Vec<Vec<Violation>> = told.collect();
        if told.iter().any(Vec::is_empty) {
            return Vec::new();
        }
        let missing = |rules, facts| Self::judge(rules, facts).missing(number, now);
        let first = ways.iter().position(|(rules, facts)| missing(*rules, facts).is_empty()).unwrap_or_default();
        told.into_iter().nth(first).unwrap_or_default()
    }

    /// What stands in the way on any day from now on: what has to be settled before anything can be booked.
    pub fn missing(&self, number: Option<i32>, now: Instant) -> Vec<Violation> {
        self.lasting(number, today_at_the_earliest(now))
    }

    fn lasting(&self, number: Option<i32>, from: NaiveDate) -> Vec<Violation> {
        let lasts = |way: &Self| way.concerns(number).iter().any(|concern| concern.when.lasts_from(from));
        if !self.ways().all(lasts) {
            return Vec::new();
        }
        let lasting = self.concerns(number).into_iter().filter(|concern| concern.when.lasts_from(from));
        lasting.map(|concern| Violation::new(concern.rule, concern.text)).collect()
    }
}

const fn sentence(class: ConditionClass) -> &'static str {
    match class {
        ConditionClass::Block => "a condition in the patient's screening rules the treatment out while it lasts",
        ConditionClass::Defer => "a condition in the patient's screening puts the treatment off",
        ConditionClass::Clear => "a condition in the patient's screening needs a practitioner to clear it",
        ConditionClass::Premed => {
            "a condition in the patient's screening needs a prescription, which a practitioner has to confirm"
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};

    use super::*;
    use crate::domain::booking::small::evidence;
    use crate::domain::screening::Range;
    use crate::domain::text::Prose;

    #[test]
    fn a_rule_is_told_as_long_as_it_matters_in_any_time_zone() {
        let age = ScreeningRule {
            condition: Code::new("age").unwrap(),
            asks: Asks::Age(Range { least: 30, most: 30 }),
            question: Prose::default(),
            class: ConditionClass::Block,
            deferral: None,
            may_be_cleared: false,
            meaning: Prose::default(),
            evidence: evidence(),
        };
        let facts = FitnessFacts {
            birth_date: Personal::new(NaiveDate::from_ymd_opt(2000, 4, 1).unwrap()),
            screening: None,
            clearance: None,
            decided_revision: 0,
            lifted: Personal::new(Vec::new()),
            acquired: Personal::new(Vec::new()),
            on_hold: false,
            earliest: None,
            extended_to: None,
        };
        let told = |year, month, day, hour| {
            let now = Utc.with_ymd_and_hms(year, month, day, hour, 0, 0).unwrap();
            !current_findings(std::slice::from_ref(&age), &facts, now).is_empty()
        };
        // From 1 April 2030 until 1 April 2031, which comes last where the clocks are twelve hours behind.
        assert!(told(2031, 4, 1, 11) && !told(2031, 4, 1, 12));
        // 1,095 days before it begins, which is first where they are fourteen ahead.
        assert!(!told(2027, 4, 1, 9) && told(2027, 4, 1, 10));
    }
}
