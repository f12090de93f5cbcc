//! The rules about resources: whether every need can be served, and if not, what is in the way.

use std::collections::BTreeSet;

use super::assign::assign;
use super::facts::ResourceFacts;
use super::rules::{Check, Desk, Obstacle, RulesOut};
use crate::domain::ids::ResourceId;
use crate::domain::interval::{Instant, Interval};
use crate::domain::refusal::Rule;

impl<'a> Desk<'a> {
    /// A resource for each need, if there is a choice that uses every named one.
    pub(super) fn serving(&self, start: Instant) -> Option<Vec<ResourceId>> {
        self.serving_with(&self.request.named, start)
    }

    /// A resource for each need, if there is a choice that uses all of these.
    fn serving_with(&self, must_use: &[ResourceId], start: Instant) -> Option<Vec<ResourceId>> {
        let resources = &self.facts.resources;
        let must_use: Vec<usize> =
            must_use.iter().filter_map(|id| resources.iter().position(|resource| resource.id == *id)).collect();
        let able =
            |need| self.ranking.iter().copied().filter(|resource| self.is_able(*resource, need, start)).collect();
        let options: Vec<Vec<usize>> = (0..self.timing.needs.len()).map(able).collect();
        let serving = assign(&options, &must_use)?;
        Some(serving.into_iter().map(|resource| resources[resource].id).collect())
    }

    fn is_able(&self, resource: usize, need: usize, start: Instant) -> bool {
        let (Some(facts), Some(available), Some(wanted)) =
            (self.facts.resources.get(resource), self.available.get(resource), self.timing.needs.get(need))
        else {
            return false;
        };
        facts.is_qualified(wanted) && self.timing.needed(need, start).all(|during| available.covers(during))
    }

    /// Why no choice of resources will do: what is against each named one, and which needs nothing can serve.
    pub(super) fn resource_checks(&'a self) -> Vec<Check<'a>> {
        let named = self.named_needs();
        let mut checks: Vec<Check<'a>> =
            named.iter().flat_map(|(resource, need)| self.named_checks(resource, *need)).collect();
        let start = self.request.start;
        // Where a named resource is itself in the way, the others are judged without it.
        let named_would_do = checks.iter().all(|check| (check.obstacles)(start).is_empty());
        let must_use: &[ResourceId] = if named_would_do { &self.request.named } else { &[] };
        let served: BTreeSet<usize> = named.iter().filter_map(|(_, need)| *need).collect();
        let open = (0..self.timing.needs.len()).filter(|need| !served.contains(need));
        checks.extend(open.map(|need| self.need_check(need, must_use)));
        if checks.iter().all(|check| (check.obstacles)(start).is_empty()) {
            // Each need by itself could be served, but not all of them at once.
            checks.push(Self::check(Rule::NoResourceFree, move |start| match self.serving(start) {
                Some(_) => Vec::new(),
                None => vec![Obstacle::new(None, "too few qualified resources are free to serve every need at once")],
            }));
        }
        checks
    }

    /// The need that each named resource is taken to serve; none for one that is not qualified for any that is left.
    fn named_needs(&self) -> Vec<(&ResourceFacts, Option<usize>)> {
        let named: Vec<&ResourceFacts> =
            self.request.named.iter().filter_map(|id| self.facts.resources.iter().find(|r| r.id == *id)).collect();
        let needs = &self.timing.needs;
        let qualified = |resource: &ResourceFacts| -> Vec<usize> {
            (0..needs.len()).filter(|need| resource.is_qualified(needs[*need])).collect()
        };
        // As many of them as can be placed together, the earlier named first.
        let mut placed: Vec<usize> = Vec::new();
        let mut options: Vec<Vec<usize>> = Vec::new();
        let mut serving: Vec<usize> = Vec::new();
        for (place, resource) in named.iter().enumerate() {
            options.push(qualified(resource));
            match assign(&options, &[]) {
                Some(found) => {
                    placed.push(place);
                    serving = found;
                }
                None => {
                    options.pop();
                }
            }
        }
        let need = |place: usize| {
            placed.iter().position(|other| *other == place).and_then(|index| serving.get(index).copied())
        };
        named.iter().enumerate().map(|(place, resource)| (*resource, need(place))).collect()
    }

    fn named_checks(&'a self, resource: &'a ResourceFacts, need: Option<usize>) -> Vec<Check<'a>> {
        let check = |rule, obstacles: Box<dyn Fn(Instant) -> Vec<Obstacle> + 'a>| Check {
            rule,
            resource: Some(resource.id),
            rules_out: RulesOut::Start,
            obstacles,
        };
        let always = |text: &'static str| Box::new(move |_| vec![Obstacle::new(None, text)]);
        if !resource.active {
            let text = "the resource has been put out of use";
            return vec![Check { rules_out: RulesOut::Ever, ..check(Rule::ResourceInactive, always(text)) }];
        }
        let Some(need) = need else {
            let text =
                "the resource is not qualified for any need of the treatment that another named one does not serve";
            return vec![Check { rules_out: RulesOut::Ever, ..check(Rule::ResourceNotQualified, always(text)) }];
        };
        let on_duty = resource.on_duty(self.request.clinic, self.clinic, self.span);
        let needed = move |start| self.timing.needed(need, start).collect::<Vec<_>>();
        let checks = vec![
            check(
                Rule::OutsideWorkingHours,
                Box::new(move |start| {
                    let there = needed(start).iter().all(|during| on_duty.covers(*during));
                    let text = "the resource does not work at that clinic at that time";
                    if there { Vec::new() } else { vec![Obstacle::new(None, text)] }
                }),
            ),
            check(
                Rule::ResourceAway,
                Box::new(move |start| {
                    let needed = needed(start);
                    let away = resource.time_off.iter().any(|off| needed.iter().any(|during| off.overlaps(*during)));
                    if away { vec![Obstacle::new(None, "the resource has time off then")] } else { Vec::new() }
                }),
            ),
            check(
                Rule::ResourceBusy,
                Box::new(move |start| {
                    let needed = needed(start);
                    let taken =
                        resource.busy.iter().filter(|busy| needed.iter().any(|during| busy.during.overlaps(*during)));
                    taken.map(|busy| Obstacle::new(Some(busy.other), "the resource is taken at that time")).collect()
                }),
            ),
        ];
        if self.timing.needs.iter().filter(|need| resource.is_qualified(need)).count() == 1 {
            return checks;
        }
        // At another start it may do for another of the needs that it is qualified for.
        let requested = self.request.start;
        let unless_served = |Check { rule, resource, rules_out, obstacles }: Check<'a>| Check {
            rule,
            resource,
            rules_out,
            obstacles: Box::new(move |start| {
                let against = obstacles(start);
                let served = !against.is_empty() && start != requested && self.serving(start).is_some();
                if served { Vec::new() } else { against }
            }),
        };
        checks.into_iter().map(unless_served).collect()
    }

    fn need_check(&'a self, need: usize, must_use: &'a [ResourceId]) -> Check<'a> {
        let candidates: Vec<usize> = (0..self.facts.resources.len())
            .filter(|index| {
                let (resource, wanted) = (&self.facts.resources[*index], self.timing.needs[need]);
                resource.active && resource.is_qualified(wanted) && resource.serves(self.request.clinic)
            })
            .collect();
        let (kind, qualification) =
            (self.timing.needs[need].kind.as_str(), self.timing.needs[need].qualification.as_str());
        if candidates.is_empty() {
            let text = format!("no {kind} at the clinic is qualified for {qualification}");
            let check = Self::check(Rule::NoQualifiedResource, move |_| vec![Obstacle::new(None, text.clone())]);
            return Check { rules_out: RulesOut::Ever, ..check };
        }
        let requested = self.request.start;
        Self::check(Rule::NoResourceFree, move |start| {
            if candidates.iter().any(|resource| self.is_able(*resource, need, start)) {
                // A later start is offered only if every other need can be served then too.
                let offered = start == requested || self.serving_with(must_use, start).is_some();
                return if offered { Vec::new() } else { vec![Obstacle::default()] };
            }
            let needed: Vec<Interval> = self.timing.needed(need, start).collect();
            let taken_by = candidates
                .iter()
                .flat_map(|resource| &self.facts.resources[*resource].busy)
                .find(|busy| needed.iter().any(|during| busy.during.overlaps(*during)))
                .map(|busy| busy.other);
            let text = format!("every {kind} qualified for {qualification} is taken, away or off duty at that time");
            vec![Obstacle::new(taken_by, text)]
        })
    }
}
