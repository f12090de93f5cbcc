//! The exact optimum of a chain of sessions, by dynamic programming: one candidate for each session, such that what all
//! of them and all gaps between them cost together is least.
//!
//! What a session costs depends on itself and on the one before it only. So for each candidate the cheapest chain that
//! ends in it is known as soon as those of the stage before are. Gaps are in days, and most candidates of a day are told
//! apart by their practitioner alone; so the work grows with days, practitioners and gaps, not with pairs of starts.

use std::ops::Range;

/// A place where a session could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its calendar day, as a number.
    pub day: i64,
    /// The number of the tick at which it begins, the same count for all stages.
    pub start: i64,
    /// Who treats, by number.
    pub who: usize,
    /// What it costs by itself.
    pub cost: u64,
    /// The first tick at which the session after it may begin, whatever the gap in days.
    pub free_from: i64,
    /// The last tick at which the session before it may begin, whatever the gap in days.
    pub after: i64,
}

/// The gaps that are allowed between a session and the one before it, and what they cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The shortest gap, in days.
    pub shortest: i64,
    /// What each gap costs, from the shortest on; longer ones are not allowed.
    pub prices: Vec<u64>,
}

/// One session: where it could be, and how far from the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The candidates, by day.
    pub candidates: Vec<Candidate>,
    /// To the stage before; that of the first stage is not looked at.
    pub link: Link,
}

/// The cheapest chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// What it costs in all.
    pub cost: u64,
    /// The candidate of each stage.
    pub picks: Vec<Candidate>,
}

/// How far a chain gets: all the way, or not further than so many stages.
pub type Outcome = Result<Chain, usize>;

/// A chain that ends in a candidate: what it costs, and the candidate before.
#[derive(Debug, Clone, Copy)]
struct End {
    cost: u64,
    before: usize,
}

const NOWHERE: End = End { cost: u64::MAX, before: usize::MAX };

impl End {
    /// The cheaper of the two; this one if they cost the same.
    fn or(&mut self, other: Self) {
        if other.cost < self.cost {
            *self = other;
        }
    }

    fn plus(self, price: u64) -> Self {
        Self { cost: self.cost.saturating_add(price), ..self }
    }
}

/// The candidates of one stage and day that a chain can reach.
struct Reached {
    day: i64,
    /// The cheapest of all; `before` is the candidate itself.
    best: End,
    /// The cheapest with each practitioner.
    best_with: Vec<End>,
    /// All, cheapest first.
    in_order: Vec<End>,
    free_from: i64,
    last_start: i64,
}

/// Finds the cheapest chain through all stages. `change` is what it costs that one session is with another practitioner
/// than the one before it; none if that is not allowed.
pub fn cheapest(stages: &[Stage], change: Option<u64>, practitioners: usize) -> Outcome {
    let mut ends: Vec<Vec<End>> = Vec::with_capacity(stages.len());
    for (place, stage) in stages.iter().enumerate() {
        let reached = match (place.checked_sub(1).and_then(|before| stages.get(before)), ends.last()) {
            (Some(before), Some(ends)) => {
                let days = reached_days(before, ends, practitioners);
                follow(stage, before, &days, change, practitioners)
            }
            (None, _) | (_, None) => {
                stage.candidates.iter().map(|candidate| End { cost: candidate.cost, before: usize::MAX }).collect()
            }
        };
        if reached.iter().all(|end| end.cost == u64::MAX) {
            return Err(place);
        }
        ends.push(reached);
    }
    let last = ends.last().into_iter().flatten().enumerate().min_by_key(|(_, end)| end.cost);
    let Some((mut at, End { cost, .. })) = last.map(|(at, end)| (at, *end)) else {
        return Ok(Chain { cost: 0, picks: Vec::new() });
    };
    let mut picks = Vec::with_capacity(stages.len());
    for (stage, ends) in stages.iter().zip(&ends).rev() {
        picks.push(stage.candidates[at]);
        at = ends[at].before;
    }
    picks.reverse();
    Ok(Chain { cost, picks })
}

/// The runs of candidates that share a day.
fn days(candidates: &[Candidate]) -> impl Iterator<Item = (i64, Range<usize>)> {
    let mut from = 0;
    candidates.chunk_by(|a, b| a.day == b.day).map(move |run| {
        let range = from..from + run.len();
        from = range.end;
        (run[0].day, range)
    })
}

fn reached_days(stage: &Stage, ends: &[End], practitioners: usize) -> Vec<Reached> {
    let days = days(&stage.candidates).filter_map(|(day, run)| {
        let mut reached = Reached {
            day,
            best: NOWHERE,
            best_with: vec![NOWHERE; practitioners],
            in_order: Vec::with_capacity(run.len()),
            free_from: i64::MIN,
            last_start: i64::MIN,
        };
        for place in run {
            let (candidate, cost) = (&stage.candidates[place], ends[place].cost);
            if cost < u64::MAX {
                let end = End { cost, before: place };
                reached.best.or(end);
                reached.best_with[candidate.who].or(end);
                reached.in_order.push(end);
                reached.free_from = reached.free_from.max(candidate.free_from);
                reached.last_start = reached.last_start.max(candidate.start);
            }
        }
        reached.in_order.sort_by_key(|end| end.cost);
        (!reached.in_order.is_empty()).then_some(reached)
    });
    days.collect()
}

fn follow(stage: &Stage, before: &Stage, reached: &[Reached], change: Option<u64>, practitioners: usize) -> Vec<End> {
    let mut ends = Vec::with_capacity(stage.candidates.len());
    let Link { shortest, prices } = &stage.link;
    for (day, run) in days(&stage.candidates) {
        let candidates = &stage.candidates[run];
        let first_start = candidates.iter().map(|candidate| candidate.start).min().unwrap_or(i64::MAX);
        let after = candidates.iter().map(|candidate| candidate.after).min().unwrap_or(i64::MIN);
        let mut best = NOWHERE;
        let mut best_with = vec![NOWHERE; practitioners];
        // Days on which it depends on the time of day who may follow whom.
        let mut close: Vec<(&Reached, u64)> = Vec::new();
        let longest = shortest + i64::try_from(prices.len()).unwrap_or(i64::MAX - shortest) - 1;
        let from = reached.partition_point(|earlier| earlier.day < day - longest);
        for earlier in reached[from..].iter().take_while(|earlier| earlier.day <= day - shortest) {
            let price = usize::try_from(day - earlier.day - shortest).ok().and_then(|gap| prices.get(gap)).copied();
            let Some(price) = price else { continue };
            if earlier.free_from <= first_start && earlier.last_start <= after {
                best.or(earlier.best.plus(price));
                for (mine, theirs) in best_with.iter_mut().zip(&earlier.best_with) {
                    mine.or(theirs.plus(price));
                }
            } else {
                close.push((earlier, price));
            }
        }
        for candidate in candidates {
            let mut end = best_with[candidate.who];
            if let Some(change) = change {
                end.or(best.plus(change));
            }
            for (earlier, price) in &close {
                for other in earlier.in_order.iter().map(|other| other.plus(*price)) {
                    if other.cost >= end.cost {
                        break;
                    }
                    let previous = &before.candidates[other.before];
                    if previous.free_from <= candidate.start && previous.start <= candidate.after {
                        match (previous.who == candidate.who, change) {
                            (true, _) => end.or(other),
                            (false, Some(change)) => end.or(other.plus(change)),
                            (false, None) => {}
                        }
                    }
                }
            }
            ends.push(if end.cost == u64::MAX { NOWHERE } else { end.plus(candidate.cost) });
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tries every chain.
    fn slow(stages: &[Stage], change: Option<u64>, chain: &mut Vec<Candidate>, cost: u64) -> Option<u64> {
        let Some(stage) = stages.get(chain.len()) else { return Some(cost) };
        let mut best = None;
        for candidate in &stage.candidates {
            let step = match chain.last() {
                None => Some(0),
                Some(before) => {
                    let gap = usize::try_from(candidate.day - before.day - stage.link.shortest).ok();
                    let price = gap.and_then(|gap| stage.link.prices.get(gap)).copied();
                    let switch = if before.who == candidate.who { Some(0) } else { change };
                    let fits = before.free_from <= candidate.start && before.start <= candidate.after;
                    price.zip(switch).filter(|_| fits).map(|(price, switch)| price + switch)
                }
            };
            let Some(step) = step else { continue };
            chain.push(*candidate);
            let total = slow(stages, change, chain, cost + step + candidate.cost);
            chain.pop();
            best = best.into_iter().chain(total).min();
        }
        best
    }

    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let candidate =
            (0..12_i64, 0..10_i64, 0..3_usize, 0..30_u64, 0..25_i64, prop_oneof![Just(1_000_i64), 0..25_i64]);
        prop::collection::vec(candidate, 0..8).prop_map(|list| {
            let mut list: Vec<Candidate> = list
                .into_iter()
                .map(|(day, time, who, cost, busy, before)| {
                    let start = day * 10 + time;
                    Candidate {
                        day,
                        start,
                        who,
                        cost,
                        free_from: start + busy,
                        after: start - before.min(25) + if before == 1_000 { 1_000 } else { 0 },
                    }
                })
                .collect();
            list.sort_by_key(|candidate| candidate.day);
            list
        })
    }

    fn stages() -> impl Strategy<Value = Vec<Stage>> {
        let link = (0..4_i64, prop::collection::vec(0..20_u64, 0..6));
        let stage = (candidates(), link)
            .prop_map(|(candidates, (shortest, prices))| Stage { candidates, link: Link { shortest, prices } });
        prop::collection::vec(stage, 1..5)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn the_cheapest_chain_costs_what_trying_every_chain_finds(
            stages in stages(), change in prop::option::of(0..20_u64),
        ) {
            let slowest = slow(&stages, change, &mut Vec::new(), 0);
            match cheapest(&stages, change, 3) {
                Ok(chain) => {
                    prop_assert_eq!(Some(chain.cost), slowest);
                    // The picks are a chain of that cost.
                    let only: Vec<Stage> = stages
                        .iter()
                        .zip(&chain.picks)
                        .map(|(stage, pick)| Stage { candidates: vec![*pick], link: stage.link.clone() })
                        .collect();
                    prop_assert_eq!(slow(&only, change, &mut Vec::new(), 0), slowest);
                }
                Err(placed) => {
                    prop_assert_eq!(slowest, None);
                    prop_assert!(placed == 0 || slow(&stages[..placed], change, &mut Vec::new(), 0).is_some());
                    prop_assert_eq!(slow(&stages[..=placed], change, &mut Vec::new(), 0), None);
                }
            }
        }
    }
}
