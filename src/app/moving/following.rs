//! Where the later sessions of a series can follow to.

use chrono::NaiveDate;

use super::ids;
use crate::app::boards::Look;
use crate::domain::appointment::Appointment;
use crate::domain::booking::{PatientFacts, Timing};
use crate::domain::catalog::{BodyArea, GRID_MINUTES, GapDays};
use crate::domain::combination::AddOn;
use crate::domain::finding::{Board, Starts, Wanted, find};
use crate::domain::ids::{ClinicId, TreatmentId};
use crate::domain::planning::{Following, Later, MoveQuestion, Moving};
use crate::domain::series::BookedSession;

/// The treatments that are added to visits, each once.
pub(super) fn add_ons<'a>(visits: impl Iterator<Item = &'a Appointment>) -> Vec<(TreatmentId, Option<i32>)> {
    let added = visits.filter_map(|visit| visit.add_on).map(|add_on| (add_on.treatment, Some(add_on.version)));
    let mut added: Vec<_> = added.collect();
    added.sort_unstable();
    added.dedup();
    added
}

/// Later sessions that keep their gaps from one before them.
pub(super) struct LaterSessions<'a> {
    pub area: BodyArea,
    pub gap: GapDays,
    /// The session before them, with the treatment that is added to it; none if they are the first.
    pub before: Option<(BookedSession, Option<(TreatmentId, i32)>)>,
    /// An appointment that is taken as gone, besides the sessions themselves.
    pub gone: Option<&'a Appointment>,
    /// The first day on which they may be; none if any will do.
    pub from: Option<NaiveDate>,
    /// The sessions, as they are booked.
    pub later: &'a [Appointment],
}

/// Sessions of one kind: plain, or with the same treatment added.
struct Kind<'a> {
    added: Option<(TreatmentId, i32)>,
    timing: Timing<'a>,
    spacing_days: i64,
}

impl LaterSessions<'_> {
    /// Those that move, and where to; nothing if they cannot all be placed.
    pub(super) fn following(&self, look: &Look, mut patient: PatientFacts) -> Option<Vec<Following>> {
        let Self { area, gap, before, gone, from, later } = self;
        let plain = &look.course.treatment;
        let combined = look.combined();
        let kinds = combined.iter().map(|(added, combined)| Kind {
            added: Some(*added),
            timing: Timing::new(&combined.treatment),
            spacing_days: combined.session_spacing(*gap),
        });
        let plain = Kind { added: None, timing: Timing::new(plain), spacing_days: i64::from(gap.minimum) };
        let kinds: Vec<Kind<'_>> = std::iter::once(plain).chain(kinds).collect();
        let kind_of = |added| kinds.iter().position(|kind| kind.added == added);
        let moving = |session, added| {
            let Kind { timing, spacing_days, .. } = kinds.get(kind_of(added)?)?;
            Some(Moving { session, timing, spacing_days: *spacing_days })
        };
        patient.forget(&ids(later));
        // The starts at each clinic for each kind of session that is booked there.
        let mut searches: Vec<(ClinicId, usize)> = Vec::new();
        for session in *later {
            let search = (session.clinic, kind_of(session.add_on.map(AddOn::added))?);
            if !searches.contains(&search) {
                searches.push(search);
            }
        }
        let found = searches.into_iter().map(|(clinic, kind)| {
            let Kind { timing, spacing_days, .. } = &kinds[kind];
            let board = look.boards.iter().find(|board| board.clinic == clinic)?;
            let mut board = board.cut(&(0..board.window.ticks()), &timing.needs);
            for (resource, during) in gone.iter().copied().chain(*later).flat_map(Appointment::occupied) {
                board.mark(resource, during, false);
            }
            let wanted = Wanted {
                timing,
                patient: Some(&patient),
                area: Some(*area),
                spacing_days: Some(*spacing_days),
                neighbours: None,
                follow_up: None,
                moved_from: None,
                earliest: look.now,
                latest: look.horizon_end,
                grid_minutes: GRID_MINUTES,
            };
            let starts = find(&board, &wanted);
            Some(((clinic, kind), board, starts))
        });
        let found: Vec<((ClinicId, usize), Board, Starts)> = found.collect::<Option<_>>()?;
        let before = match before {
            Some((session, added)) => Some(moving(*session, *added)?),
            None => None,
        };
        let later = later.iter().map(|appointment| {
            let added = appointment.add_on.map(AddOn::added);
            let search = (appointment.clinic, kind_of(added)?);
            let (_, board, starts) = found.iter().find(|(known, ..)| *known == search)?;
            Some(Later { moving: moving(BookedSession::of(appointment)?, added)?, board, starts })
        });
        MoveQuestion { gap: *gap, before, from: *from, later: later.collect::<Option<_>>()? }.following()
    }
}
