//! Which visits have lost their place.

use chrono::TimeDelta;

use crate::app::Error;
use crate::domain::catalog::MAX_VISIT_MINUTES;
use crate::domain::displacement::{MAX_DISPLACED, Narrowing, PlacedVisit};
use crate::domain::ids::{ClinicId, PracticeId, ResourceId};
use crate::domain::interval::{Instant, Interval};
use crate::domain::refusal::{Rule, Violation};
use crate::store::displacement::{Ahead, ahead};
use crate::store::{PgConnection, booking};

/// Visits that are looked at in one go.
pub(super) const BATCH: usize = 500;

/// A visit, and why it cannot take place where it is booked.
#[derive(Debug)]
pub(super) struct Lost {
    pub visit: PlacedVisit,
    pub losses: Vec<Violation>,
}

/// The visits ahead that a change displaces: those that are booked, and those that are only held. Refused if they are
/// too many.
pub(super) async fn lost(
    db: &mut PgConnection,
    practice: PracticeId,
    narrowing: &Narrowing,
    now: Instant,
) -> Result<(Vec<Lost>, Vec<Lost>), Error> {
    let all = behind(db, practice, narrowing, Some(narrowing), now).await?;
    if all.len() > MAX_DISPLACED {
        let text = format!(
            "it would displace more than {MAX_DISPLACED} visits; take the time away in shorter stretches, or move or \
             cancel visits before"
        );
        return Err(Error::Refused(vec![Violation::new(Rule::TooManyDisplaced, text)]));
    }
    Ok(all.into_iter().partition(|lost| !lost.visit.is_held))
}

/// The booked visits ahead that a change displaced and that have no place as things are now. Others may have been
/// displaced since, for the same reason: of more than one change may displace, the first.
pub(super) async fn left(
    db: &mut PgConnection,
    practice: PracticeId,
    narrowing: &Narrowing,
    now: Instant,
) -> Result<Vec<Lost>, Error> {
    let mut left = behind(db, practice, narrowing, None, now).await?;
    left.retain(|lost| !lost.visit.is_held);
    left.truncate(MAX_DISPLACED);
    Ok(left)
}

/// The visits ahead, held ones too, that lose their place by what a change takes away: as things are, or with `change`.
/// Once they are more than a change may displace, the rest is left out.
async fn behind(
    db: &mut PgConnection,
    practice: PracticeId,
    narrowing: &Narrowing,
    change: Option<&Narrowing>,
    now: Instant,
) -> Result<Vec<Lost>, Error> {
    let during = narrowing.during();
    let longest = TimeDelta::minutes(i64::from(MAX_VISIT_MINUTES));
    let mut which = Ahead {
        whose: Some(narrowing.whose()),
        after: during.map_or(now, |during| now.max(during.start() - longest)),
        before: during.map(Interval::end),
        with_held: true,
        place: None,
    };
    let mut all = Vec::new();
    loop {
        let mut visits = batch(db, practice, &mut which).await?;
        let is_last = visits.len() < BATCH;
        visits.retain(|visit| narrowing.meets(visit));
        let judged = judged(db, practice, visits, change).await?;
        all.extend(judged.into_iter().filter(|lost| lost.losses.iter().any(|loss| narrowing.is_behind(loss))));
        if is_last || all.len() > MAX_DISPLACED {
            return Ok(all);
        }
    }
}

/// The next visits, of which there are more only if they are as many as were asked for.
pub(super) async fn batch(
    db: &mut PgConnection,
    practice: PracticeId,
    which: &mut Ahead,
) -> Result<Vec<PlacedVisit>, Error> {
    let visits = ahead(db, practice, which, i64::try_from(BATCH).unwrap_or(i64::MAX)).await?;
    which.place = visits.last().map(PlacedVisit::place);
    Ok(visits)
}

/// Visits, and why they cannot take place as things are, or would be after a change.
pub(super) async fn judged(
    db: &mut PgConnection,
    practice: PracticeId,
    visits: Vec<PlacedVisit>,
    narrowing: Option<&Narrowing>,
) -> Result<Vec<Lost>, Error> {
    let starts = visits.iter().map(|visit| visit.whole().start()).min();
    let ends = visits.iter().map(|visit| visit.whole().end()).max();
    let span = starts.zip(ends).and_then(|(start, end)| Interval::new(start, end));
    let Some(span) = span else { return Ok(Vec::new()) };
    let mut ids: Vec<ClinicId> = visits.iter().map(|visit| visit.clinic).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut occupied: Vec<ResourceId> = visits.iter().flat_map(|visit| &visit.occupied).map(|(id, _)| *id).collect();
    occupied.sort_unstable();
    occupied.dedup();
    let mut clinics = booking::clinics(db, practice, &ids, &[span]).await?;
    // Only those that are named: no need is to be served.
    let mut resources = booking::resources(db, practice, &ids, Some(&[]), &occupied, &[span]).await?;
    if let Some(narrowing) = narrowing {
        narrowing.narrow(&mut clinics, &mut resources);
    }
    let judged = visits.into_iter().map(|visit| {
        let losses = clinics.get(&visit.clinic).map(|clinic| visit.losses(clinic, &resources)).unwrap_or_default();
        Lost { visit, losses }
    });
    Ok(judged.collect())
}
