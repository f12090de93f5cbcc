//! What is found is exactly what may be booked.

use proptest::prelude::*;

use super::*;
use crate::domain::booking::small::{HERE, appointment, at, between, everywhere, facts, question};
use crate::domain::booking::{Busy, Facts, Timing, VisitRequest, plan_visit};
use crate::domain::catalog::{Need, ResourceKind, Treatment};
use crate::domain::ids::ResourceId;

/// The board of the small instances.
fn board(facts: &Facts) -> Board {
    Board::new(HERE, &facts.clinics[&HERE], &facts.resources, facts.spans[0])
}

fn wanted<'a>(facts: &'a Facts, timing: &'a Timing<'a>, request: &'a VisitRequest) -> Wanted<'a> {
    Wanted {
        timing,
        patient: Some(&facts.patient),
        area: request.area,
        spacing_days: request.spacing_days,
        neighbours: request.neighbours,
        follow_up: request.follow_up.as_ref(),
        earliest: facts.now,
        latest: facts.horizon_end,
        grid_minutes: 5,
        moved_from: request.moved_from,
    }
}

/// Whether a start may be booked with these resources named.
fn may(facts: &Facts, treatment: &Treatment, request: &VisitRequest, tick: i64, named: Vec<ResourceId>) -> bool {
    plan_visit(facts, treatment, &VisitRequest { start: at(tick), named, ..request.clone() }).is_ok()
}

/// The ticks, counted as the small instances count them, at which everything that a visit could look at is known.
const ASKED: std::ops::Range<i64> = -250..1_000;

#[test]
fn a_start_is_found_exactly_when_it_may_be_booked() {
    let extra = || prop::collection::vec((0..6_usize, 0..900_i64, 1..60_i64), 0..12);
    everywhere(
        100,
        || (question(), extra()),
        |((facts, treatment, request), extra)| {
            let mut facts = facts;
            facts.look_for_earliest = false;
            for (place, from, length) in extra {
                if let Some(resource) = facts.resources.get_mut(place) {
                    resource.busy.push(Busy { during: between(from, length), other: appointment(3) });
                }
            }
            // Naming the wrong area is refused before anything is looked for.
            prop_assume!(treatment.content.spacing_days.is_some() == request.area.is_some());
            let timing = Timing::new(&treatment);
            let board = board(&facts);
            let found = find(&board, &wanted(&facts, &timing, &request));
            for tick in ASKED {
                let here = usize::try_from(board.window.tick_at(at(tick))).unwrap();
                let booked = may(&facts, &treatment, &request, tick, Vec::new());
                prop_assert_eq!(found.all.has(here), booked, "tick {}", tick);
                for (id, starts) in found.by.iter().filter(|_| booked) {
                    let booked = may(&facts, &treatment, &request, tick, vec![*id]);
                    prop_assert_eq!(starts.has(here), booked, "tick {} with {:?}", tick, id);
                }
                prop_assert!(booked || found.by.iter().all(|(_, starts)| !starts.has(here)));
            }
            let known: Vec<ResourceId> = found.by.iter().map(|(id, _)| *id).collect();
            let could = |id: ResourceId| ASKED.step_by(7).any(|tick| may(&facts, &treatment, &request, tick, vec![id]));
            for resource in facts.resources.iter().filter(|r| r.kind == ResourceKind::Practitioner) {
                prop_assert!(known.contains(&resource.id) || !could(resource.id), "{:?} is left out", resource.id);
            }
            Ok(())
        },
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_part_of_a_board_finds_what_the_whole_finds(
        (facts, treatment, request) in question(), from in 0..1_000_usize, length in 1..600_usize,
    ) {
        let timing = Timing::new(&treatment);
        let board = board(&facts);
        let wanted = wanted(&facts, &timing, &request);
        let run = from..(from + length).min(board.window.ticks());
        let needs: Vec<&Need> = timing.needs.clone();
        let part = board.cut(&run, &needs);
        let (whole, found) = (find(&board, &wanted), find(&part, &wanted));
        // A visit that begins near the end of the part would leave it.
        let length = usize::try_from(timing.minutes() / 5).unwrap();
        for tick in run.start..run.end.saturating_sub(length) {
            let here = usize::try_from(part.window.tick_at(board.window.instant(tick))).unwrap();
            prop_assert_eq!(found.all.has(here), whole.all.has(tick));
        }
    }

    #[test]
    fn a_board_that_is_kept_up_to_date_is_the_board_made_anew(
        facts in facts(), changes in prop::collection::vec((0..6_usize, 0..520_i64, 1..40_i64), 0..10),
    ) {
        let mut facts = facts;
        facts.resources.iter_mut().for_each(|resource| resource.busy.clear());
        let mut kept = board(&facts);
        let mut booked: Vec<(usize, i64, i64)> = Vec::new();
        for (place, from, length) in changes {
            let Some(id) = facts.resources.get(place).map(|resource| resource.id) else { continue };
            let meets = |(other, start, long): &(usize, i64, i64)| *other == place && from < start + long && *start < from + length;
            if let Some(taken) = booked.iter().position(meets) {
                // What was in the way is cancelled.
                let (_, from, length) = booked.swap_remove(taken);
                kept.mark(id, between(from, length), false);
            } else {
                booked.push((place, from, length));
                kept.mark(id, between(from, length), true);
            }
        }
        for (place, from, length) in booked {
            facts.resources[place].busy.push(Busy { during: between(from, length), other: appointment(3) });
        }
        prop_assert_eq!(kept, board(&facts));
    }
}
