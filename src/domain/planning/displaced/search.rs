//! Which visit moves where: placed one after the other in many orders, of which the best is kept, and bettered by
//! giving up one place for another. How much is tried is bounded, and nothing is left to chance.

use super::Destined;
use super::state::{Cost, Spot, State};
use crate::domain::booking::PlannedVisit;
use crate::domain::catalog::ResourceKind;
use crate::domain::ids::ResourceId;

/// Orders that are tried: all of them where there are at most four visits.
const MAX_ORDERS: usize = 24;
/// Places that are looked for at most. Beyond that, what was found so far has to do.
const MAX_SEARCHES: usize = 6_000;

/// How good a plan is: visits without a place, days, ticks of the day, visits with other practitioners. The less, the
/// better.
type Score = (usize, u64, u64, usize);

/// A visit that has a place.
#[derive(Clone)]
struct Placed {
    cost: Cost,
    plan: PlannedVisit,
}

struct Search {
    state: State,
    as_booked: Vec<Spot>,
    placed: Vec<Option<Placed>>,
    searches: usize,
}

/// Where the visits go; nothing for those that stay.
pub(super) fn plan(mut state: State) -> Vec<Option<Destined>> {
    let count = state.len();
    let as_booked: Vec<Spot> = (0..count).map(|visit| state.take(visit)).collect();
    let mut search = Search { state, as_booked, placed: vec![None; count], searches: 0 };
    // What each could have by itself, if all the others were gone: no plan is better. Without its sessions, an
    // assessment has no place that says anything.
    let alone: Vec<Option<Cost>> = (0..count)
        .map(|visit| {
            let counts = (0..count).any(|other| search.state.counts_from(visit, other));
            if counts { Some(Cost::default()) } else { Some(search.best(visit)?.cost) }
        })
        .collect();
    let ideal = score(alone.iter().copied());
    search.as_booked.clone().into_iter().enumerate().for_each(|(visit, spot)| search.state.put(visit, spot));

    let mut best = search.placed.clone();
    for mut order in orders(count) {
        // What follows a series comes after its sessions, as in the decision.
        order.sort_by_key(|visit| search.state.turn(*visit).0);
        search.begin(&vec![None; count]);
        search.one_by_one(&order);
        if search.score() < score_of(&best) {
            best.clone_from(&search.placed);
        }
        if search.is_over() || score_of(&best) == ideal {
            break;
        }
    }
    search.begin(&best);
    while !search.is_over() && search.score() > ideal && search.better() {}
    search.placed.into_iter().map(|placed| Some(destined(&placed?.plan))).collect()
}

pub(super) fn destined(plan: &PlannedVisit) -> Destined {
    let mut resources = plan.phases.iter().flat_map(|phase| &phase.resources);
    let practitioner = resources.find(|(_, kind)| *kind == ResourceKind::Practitioner).map(|(id, _)| *id);
    let mut occupied: Vec<ResourceId> = plan.occupied.iter().map(|occupied| occupied.resource).collect();
    occupied.sort_unstable();
    occupied.dedup();
    Destined { start: plan.visit.start(), practitioner, resources: occupied }
}

fn score(costs: impl Iterator<Item = Option<Cost>>) -> Score {
    costs.fold((0, 0, 0, 0), |(unplaced, days, ticks, others), cost| match cost {
        None => (unplaced + 1, days, ticks, others),
        Some((more_days, more_ticks, is_other)) => {
            (unplaced, days + more_days, ticks + more_ticks, others + usize::from(is_other))
        }
    })
}

fn score_of(placed: &[Option<Placed>]) -> Score {
    score(placed.iter().map(|placed| placed.as_ref().map(|placed| placed.cost)))
}

/// The orders in which visits are placed: all of them if they are few, else as they come, the other way round, and
/// others that are far from both.
pub(super) fn orders(count: usize) -> Vec<Vec<usize>> {
    let as_they_come: Vec<usize> = (0..count).collect();
    let all: usize = (1..=count).try_fold(1, usize::checked_mul).unwrap_or(usize::MAX);
    if all <= MAX_ORDERS {
        // The order of a number, digit by digit in the system of factorials.
        let order = |mut number: usize| {
            let mut left = as_they_come.clone();
            let digits = (1..=count).rev().map(|choices| {
                let digit = number % choices;
                number /= choices;
                left.remove(digit)
            });
            digits.collect()
        };
        return (0..all).map(order).collect();
    }
    let mut orders = vec![as_they_come.clone(), as_they_come.iter().rev().copied().collect()];
    while orders.len() < MAX_ORDERS {
        let seed = u64::try_from(orders.len()).unwrap_or_default();
        let mut order = as_they_come.clone();
        order.sort_by_cached_key(|visit| scattered(seed << 32 | u64::try_from(*visit).unwrap_or_default()));
        orders.push(order);
    }
    orders
}

/// A number that has nothing to do with another, and is always the same: the mixing of splitmix64.
pub(super) const fn scattered(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

impl Search {
    fn is_over(&self) -> bool {
        self.searches >= MAX_SEARCHES
    }

    fn score(&self) -> Score {
        score_of(&self.placed)
    }

    /// The best place for a visit that is nowhere, if the assessments that have moved already stay in time with it.
    fn best(&mut self, visit: usize) -> Option<Placed> {
        self.searches += 1;
        let (cost, plan) = self.state.best(visit)?;
        self.keeps_assessments(visit, &plan).then_some(Placed { cost, plan })
    }

    /// Whether the assessments that have moved stay in time if a visit, which is nowhere, goes there.
    fn keeps_assessments(&mut self, visit: usize, plan: &PlannedVisit) -> bool {
        let counts = |other: &usize| self.placed[*other].is_some() && self.state.counts_from(*other, visit);
        let counting: Vec<usize> = (0..self.placed.len()).filter(counts).collect();
        if counting.is_empty() {
            return true;
        }
        self.state.put_planned(visit, plan);
        let keeps = counting.iter().all(|other| self.state.is_in_time(*other));
        self.state.take(visit);
        keeps
    }

    /// Puts a visit, which is nowhere, to where it has a place, or else to where it is booked.
    fn settle(&mut self, visit: usize, placed: Option<Placed>) {
        match &placed {
            Some(placed) => self.state.put_planned(visit, &placed.plan),
            None => self.state.put(visit, self.as_booked[visit].clone()),
        }
        self.placed[visit] = placed;
    }

    /// Begins anew from a plan.
    fn begin(&mut self, from: &[Option<Placed>]) {
        (0..from.len()).for_each(|visit| drop(self.state.take(visit)));
        from.iter().cloned().enumerate().for_each(|(visit, placed)| self.settle(visit, placed));
    }

    /// Places those that have none one after the other; again, as long as one that moves makes room for another.
    fn one_by_one(&mut self, order: &[usize]) {
        loop {
            let mut has_moved = false;
            for visit in order.iter().copied() {
                if self.placed[visit].is_none() && !self.is_over() {
                    has_moved |= self.reconsider(visit);
                }
            }
            if !has_moved {
                return;
            }
        }
    }

    /// Looks whether a visit has a better place by now, and whether it has moved there.
    fn reconsider(&mut self, visit: usize) -> bool {
        self.state.take(visit);
        let known = self.placed[visit].take();
        let found = self.best(visit);
        let is_better = match (&found, &known) {
            (Some(found), Some(known)) => found.cost < known.cost,
            (Some(_), None) => true,
            (None, _) => false,
        };
        self.settle(visit, if is_better { found } else { known });
        is_better
    }

    /// One round of betterment: whether anything got better.
    fn better(&mut self) -> bool {
        let mut has_improved = false;
        let mut visits: Vec<usize> = (0..self.placed.len()).collect();
        // Those without a place first, then those that move furthest.
        visits.sort_by_key(|visit| {
            std::cmp::Reverse(
                self.placed[*visit].as_ref().map_or((u64::MAX, 0), |placed| (placed.cost.0, placed.cost.1)),
            )
        });
        for visit in visits {
            if self.placed[visit].as_ref().is_some_and(|placed| placed.cost.0 == 0) {
                continue;
            }
            has_improved |= self.reconsider(visit);
            for other in 0..self.placed.len() {
                if self.is_over() {
                    return has_improved;
                }
                has_improved |= other != visit && self.give_up(visit, other);
            }
        }
        has_improved
    }

    /// Lets a visit choose before another that has been placed before it; whether that is better for all. An assessment
    /// cannot choose before a session from which it counts.
    fn give_up(&mut self, visit: usize, other: usize) -> bool {
        if self.state.counts_from(visit, other) {
            return false;
        }
        let before = self.score();
        self.state.take(visit);
        self.state.take(other);
        let known = (self.placed[visit].take(), self.placed[other].take());
        let found = self.best(visit);
        if let Some(found) = &found {
            self.state.put_planned(visit, &found.plan);
            let others = self.best(other);
            let is_worse = |others: &Placed| {
                let placed = self.placed.iter().map(|placed| placed.as_ref().map(|placed| placed.cost));
                let costs = placed.enumerate().map(|(place, cost)| match place {
                    place if place == visit => Some(found.cost),
                    place if place == other => Some(others.cost),
                    _ => cost,
                });
                score(costs) >= before
            };
            if let Some(others) = others.filter(|others| !is_worse(others)) {
                self.placed[visit] = Some(found.clone());
                self.settle(other, Some(others));
                return true;
            }
            self.state.take(visit);
        }
        self.settle(visit, known.0);
        self.settle(other, known.1);
        false
    }
}
