//! What becomes of the later sessions of a series when one is moved, or when they may not begin before some day: they
//! stay where they are if they may; else as few as possible move, and those as little as possible.

use chrono::NaiveDate;

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

/// A later session that is booked, and where it could be instead.
#[derive(Debug, Clone, Copy)]
pub struct Later<'a> {
    /// The session.
    pub session: BookedSession,
    /// The board of its clinic.
    pub board: &'a Board,
    /// The starts at which a session may be there, as if the moved session and all later ones were gone, gaps aside.
    pub starts: &'a Starts,
}

/// A session from which on sessions may have to move.
#[derive(Debug, Clone)]
pub struct MoveQuestion<'a> {
    /// What a session means in time.
    pub timing: &'a Timing<'a>,
    /// The gaps of the series.
    pub gap: GapDays,
    /// The session before the later ones, where it is or is moved to; none if they are the first.
    pub before: Option<BookedSession>,
    /// The first day on which a later session may be; none if any day will do.
    pub from: Option<NaiveDate>,
    /// The later sessions that are booked, in order.
    pub later: Vec<Later<'a>>,
}

impl MoveQuestion<'_> {
    /// The later sessions that move, in order; nothing if they cannot all be placed.
    pub fn following(&self) -> Option<Vec<Following>> {
        let mut practitioners: Vec<Option<ResourceId>> =
            self.before.iter().map(|session| session.practitioner).collect();
        for Later { session, starts, .. } in &self.later {
            practitioners.push(session.practitioner);
            practitioners.extend(starts.by_whom().map(|(id, _)| id));
        }
        let who = |practitioner| practitioners.iter().position(|known| *known == practitioner).unwrap_or_default();
        let stay = |session: &BookedSession| {
            let reach = Reach::new(self.timing, session.zone);
            reach.candidate(number(session.day), session.start, who(session.practitioner), 0)
        };
        let before = self.before.iter();
        let mut stages: Vec<Stage> =
            before.map(|session| Stage { candidates: vec![stay(session)], link: self.link(1) }).collect();
        let mut before = self.before.map(|session| session.number);
        for later in &self.later {
            let mut candidates = self.places(later, who);
            if self.from.is_none_or(|from| from <= later.session.day) {
                candidates.push(stay(&later.session));
            }
            candidates.sort_by_key(|candidate| candidate.day);
            // The first stage has nothing before it.
            let distance = before.map_or(1, |before| later.session.number - before);
            stages.push(Stage { candidates, link: self.link(distance) });
            before = Some(later.session.number);
        }
        // Each session weighs its own practitioner; that neighbours differ is as it was.
        let chain = cheapest(&stages, Some(0), practitioners.len()).ok()?;
        let picks = chain.picks.iter().skip(usize::from(self.before.is_some()));
        let moved = picks.zip(&self.later).filter(|(pick, _)| pick.cost > 0);
        let following = moved.map(|(pick, later)| Following {
            session: later.session,
            start: instant_of(pick.start),
            practitioner: practitioners.get(pick.who).copied().flatten(),
        });
        Some(following.collect())
    }

    /// From a session to the next one that is booked, so many numbers later. Only neighbours have a longest gap; all
    /// sessions that may move lie within the horizon.
    fn link(&self, distance: i32) -> Link {
        let GapDays { minimum, maximum, .. } = self.gap;
        let longest = i64::from(if distance == 1 { maximum } else { MAX_HORIZON_DAYS + 1 });
        let gaps = usize::try_from(longest - i64::from(minimum) + 1).unwrap_or_default();
        Link { shortest: i64::from(minimum), prices: vec![0; gaps] }
    }

    /// The places to which a session could move: of each day and practitioner the one nearest to its time of the day, or
    /// all of them where it depends on the time of day who may follow whom.
    fn places(&self, later: &Later<'_>, who: impl Fn(Option<ResourceId>) -> usize) -> Vec<Candidate> {
        let Later { session, board, starts } = later;
        let reach = Reach::new(self.timing, board.zone);
        let window = board.window;
        let own_time = window.tick_at(session.start) - window.tick_at(board.zone.midnight(session.day));
        let stride = (!reach.one_is_enough(self.gap.minimum)).then(|| stride(starts));
        let mut places = Vec::new();
        for day in board.days.all().iter().filter(|day| self.from.is_none_or(|from| from <= day.date)) {
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
}
