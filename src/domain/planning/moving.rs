//! What becomes of the later sessions of a series when one is moved: they stay where they are if they may; else as few
//! as possible move, and those as little as possible.

use super::optimum::{Candidate, Link, Stage, cheapest};
use super::reach::{Reach, stride};
use super::search::number;
use crate::domain::booking::Timing;
use crate::domain::catalog::GapDays;
use crate::domain::clinic::MAX_HORIZON_DAYS;
use crate::domain::finding::{Board, Starts, instant_of};
use crate::domain::ids::ResourceId;
use crate::domain::interval::Instant;
use crate::domain::series::BookedSession;

/// What one session costs that moves: more than any distance that all of them could move.
const MOVE: u64 = 1_000_000_000;
/// What a day costs that a session moves: more than all other times of the day and practitioners.
const DAY: u64 = 10_000;
/// What it costs that a session that moves is with another practitioner: as much as four hours of the day, in ticks.
const PRACTITIONER: u64 = 48;

/// A session that moves because another did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Following {
    /// The session as it was booked.
    pub session: BookedSession,
    /// When it begins now.
    pub start: Instant,
    /// Who treats; none where the treatment needs no practitioner.
    pub practitioner: Option<ResourceId>,
}

/// A session in question. What it means in time differs where something is added to it.
#[derive(Debug, Clone, Copy)]
pub struct Moving<'a> {
    /// The session.
    pub session: BookedSession,
    /// What it means in time.
    pub timing: &'a Timing<'a>,
    /// Calendar days after it in which the area may not be needled again: at least the shortest gap of the protocol.
    pub spacing_days: i64,
}

/// A later session that is booked, and where it could be instead.
#[derive(Debug, Clone, Copy)]
pub struct Later<'a> {
    /// The session.
    pub moving: Moving<'a>,
    /// The board of its clinic.
    pub board: &'a Board,
    /// The starts at which a session may be there, as if the moved session and all later ones were gone, gaps aside.
    pub starts: &'a Starts,
}

/// A session that is moved.
#[derive(Debug, Clone)]
pub struct MoveQuestion<'a> {
    /// The gaps of the protocol.
    pub gap: GapDays,
    /// The session, where it is moved to.
    pub moved: Moving<'a>,
    /// The later sessions that are booked, in order.
    pub later: Vec<Later<'a>>,
}

impl MoveQuestion<'_> {
    /// The later sessions that move, in order; nothing if they cannot all be placed.
    ///
    /// What a session forbids is looked at between neighbours. Where sessions differ by what is added to them, one that
    /// is further away could forbid more; whoever books decides about all of them again.
    pub fn following(&self) -> Option<Vec<Following>> {
        let mut practitioners: Vec<Option<ResourceId>> = vec![self.moved.session.practitioner];
        for Later { moving, starts, .. } in &self.later {
            practitioners.push(moving.session.practitioner);
            practitioners.extend(starts.by_whom().map(|(id, _)| id));
        }
        let who = |practitioner| practitioners.iter().position(|known| *known == practitioner).unwrap_or_default();
        let sessions: Vec<&Moving<'_>> =
            std::iter::once(&self.moved).chain(self.later.iter().map(|later| &later.moving)).collect();
        let reach = |place: usize, zone| {
            let timing = |place: usize| sessions.get(place).map(|session| session.timing);
            let own = timing(place).unwrap_or(self.moved.timing);
            let before = place.checked_sub(1).and_then(timing);
            Reach::between(own, before, timing(place + 1), zone)
        };
        let one_is_enough = sessions
            .iter()
            .enumerate()
            .all(|(place, Moving { session, .. })| reach(place, session.zone).one_is_enough(self.gap.minimum));
        let stay = |place, session: &BookedSession| {
            reach(place, session.zone).candidate(number(session.day), session.start, who(session.practitioner), 0)
        };
        let first = Link { shortest: 0, prices: Vec::new() };
        let mut stages = vec![Stage { candidates: vec![stay(0, &self.moved.session)], link: first }];
        let mut before = &self.moved;
        for (place, later) in (1..).zip(&self.later) {
            let session = &later.moving.session;
            let mut candidates = places(later, &reach(place, later.board.zone), one_is_enough, who);
            candidates.push(stay(place, session));
            candidates.sort_by_key(|candidate| candidate.day);
            stages.push(Stage { candidates, link: self.link(before, session.number) });
            before = &later.moving;
        }
        // Each session weighs its own practitioner; that neighbours differ is as it was.
        let chain = cheapest(&stages, Some(0), practitioners.len()).ok()?;
        let moved = chain.picks.iter().skip(1).zip(&self.later).filter(|(pick, _)| pick.cost > 0);
        let following = moved.map(|(pick, later)| Following {
            session: later.moving.session,
            start: instant_of(pick.start),
            practitioner: practitioners.get(pick.who).copied().flatten(),
        });
        Some(following.collect())
    }

    /// From a session to the next one that is booked. Only neighbours have a longest gap; all sessions that may move lie
    /// within the horizon.
    fn link(&self, before: &Moving<'_>, next: i32) -> Link {
        let distance = next - before.session.number;
        let shortest = before.spacing_days;
        let longest = i64::from(if distance == 1 { self.gap.maximum } else { MAX_HORIZON_DAYS + 1 });
        let gaps = usize::try_from(longest - shortest + 1).unwrap_or_default();
        Link { shortest, prices: vec![0; gaps] }
    }
}

/// The places to which a session could move: of each day and practitioner the one nearest to its time of the day, or
/// all of them where it depends on the time of day who may follow whom.
fn places(
    later: &Later<'_>,
    reach: &Reach<'_>,
    one_is_enough: bool,
    who: impl Fn(Option<ResourceId>) -> usize,
) -> Vec<Candidate> {
    let Later { moving: Moving { session, .. }, board, starts } = later;
    let window = board.window;
    let own_time = window.tick_at(session.start) - window.tick_at(board.zone.midnight(session.day));
    let stride = (!one_is_enough).then(|| stride(starts));
    let mut places = Vec::new();
    for day in board.days.all() {
        let midnight = window.tick_at(board.zone.midnight(day.date));
        let days = number(day.date).abs_diff(number(session.day));
        for (practitioner, starts) in starts.by_whom() {
            let other = if practitioner == session.practitioner { 0 } else { PRACTITIONER };
            let place = |tick: usize| {
                let time = i64::try_from(tick).unwrap_or(i64::MAX) - midnight;
                let cost = MOVE + days * DAY + time.abs_diff(own_time) + other;
                reach.candidate(number(day.date), window.instant(tick), who(practitioner), cost)
            };
            let ticks = starts.within(day.ticks.clone()).map(place);
            match stride {
                Some(stride) => places.extend(ticks.step_by(stride)),
                None => places.extend(ticks.min_by_key(|place| place.cost)),
            }
        }
    }
    places
}
