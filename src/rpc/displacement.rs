//! Visits that lose their place: what is to become of them, and what became of them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{Datelike as _, TimeDelta};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::parse::Fields;
use super::status::rendered_violation;
use super::{appointment, pb, render};
use crate::app::commands::{ChosenMove, Rebooking};
use crate::app::{DisplacedVisit, DisplacedVisits};
use crate::domain::appointment::Appointment;
use crate::domain::catalog::MAX_NEEDS;
use crate::domain::displacement::{MAX_CLOSING_DAYS, MAX_DISPLACED};
use crate::domain::ids::{AppointmentId, ResourceId};
use crate::domain::interval::Interval;
use crate::domain::planning::Destined;

/// A stretch of time that is taken away.
pub fn parse_closing(
    fields: &mut Fields,
    start: Option<prost_types::Timestamp>,
    end: Option<prost_types::Timestamp>,
) -> Option<Interval> {
    let during = fields.interval(start, end)?;
    let is_short = during.length() <= TimeDelta::days(MAX_CLOSING_DAYS);
    let remedy = format!("must be at most {MAX_CLOSING_DAYS} days after start_time; make several of a longer stretch");
    fields.some("end_time", is_short.then_some(during), &remedy)
}

/// What is to become of the visits that are displaced.
pub fn parse_rebooking(fields: &mut Fields, rebooking: Option<pb::Rebooking>) -> Option<Rebooking> {
    let Some(pb::Rebooking { all, moves }) = rebooking else { return Some(Rebooking::Later) };
    if all {
        fields.must_be_absent("together with rebooking.all", &[("rebooking.moves", !moves.is_empty())]);
        return Some(Rebooking::All);
    }
    fields.at_most("rebooking.moves", moves.len(), MAX_DISPLACED)?;
    let chosen: Vec<Option<ChosenMove>> =
        moves.iter().enumerate().map(|(place, chosen)| parse_move(fields, place, chosen)).collect();
    let chosen: Vec<ChosenMove> = chosen.into_iter().collect::<Option<_>>()?;
    let mut ids: Vec<AppointmentId> = chosen.iter().map(|chosen| chosen.id).collect();
    ids.sort_unstable();
    ids.dedup();
    let once = ids.len() == chosen.len();
    fields.some("rebooking.moves", once.then_some(chosen), "must name each visit at most once").map(Rebooking::Chosen)
}

fn parse_move(fields: &mut Fields, place: usize, chosen: &pb::DisplacedMove) -> Option<ChosenMove> {
    let path = |field: &str| format!("rebooking.moves[{place}].{field}");
    if chosen.digest != digest(chosen) {
        let remedy = "does not fit: the move was changed. Send it as it was shown, or move the visit by itself";
        fields.note(path("digest"), remedy);
        return None;
    }
    let pb::DisplacedMove {
        appointment_id,
        start_time,
        practitioner_id,
        resource_ids,
        end_time: _,
        local_start: _,
        local_end: _,
        weekday: _,
        days: _,
        digest: _,
    } = chosen;
    let id = fields.id(&path("appointment_id"), appointment_id);
    let start = fields.start(&path("start_time"), *start_time);
    let practitioner = fields.optional_id(&path("practitioner_id"), practitioner_id);
    let resources = fields.distinct_ids(&path("resource_ids"), resource_ids, MAX_NEEDS);
    let to = Destined { start: start?, practitioner: practitioner?, resources: resources? };
    Some(ChosenMove { id: id?, to })
}

/// What tells a move that was changed from one that was not. It guards against slips, not against forgery: what moves
/// is held to every rule in any case.
fn digest(shown: &pb::DisplacedMove) -> String {
    let bare = pb::DisplacedMove { digest: String::new(), ..shown.clone() };
    URL_SAFE_NO_PAD.encode(&Sha256::digest(bare.encode_to_vec())[..18])
}

/// What a change did to visits.
pub fn rendered(displaced: &DisplacedVisits) -> pb::Displacement {
    let DisplacedVisits { visits, released } = displaced;
    pb::Displacement {
        visits: visits.iter().map(rendered_visit).collect(),
        released_appointment_ids: released.iter().map(ToString::to_string).collect(),
    }
}

/// A displaced visit.
pub fn rendered_visit(visit: &DisplacedVisit) -> pb::DisplacedVisit {
    let DisplacedVisit { appointment, losses, moved_to } = visit;
    pb::DisplacedVisit {
        appointment: Some(appointment::rendered(appointment)),
        losses: losses.iter().map(rendered_violation).collect(),
        r#move: moved_to.as_ref().map(|new| rendered_move(appointment, new)),
        moved_to: moved_to.as_ref().map(appointment::rendered),
    }
}

fn rendered_move(old: &Appointment, new: &Appointment) -> pb::DisplacedMove {
    let (start, end) = (new.visit.start(), new.visit.end());
    let days = (new.zone.day(start) - old.zone.day(old.visit.start())).num_days();
    let mut resources: Vec<ResourceId> = new.occupied().map(|(resource, _)| resource).collect();
    resources.sort_unstable();
    resources.dedup();
    let mut shown = pb::DisplacedMove {
        appointment_id: old.id.to_string(),
        start_time: Some(render::timestamp(start)),
        end_time: Some(render::timestamp(end)),
        local_start: new.zone.written(start),
        local_end: new.zone.written(end),
        weekday: render::weekday(new.zone.day(start).weekday()).into(),
        practitioner_id: new.practitioner().map(|id| id.to_string()).unwrap_or_default(),
        resource_ids: resources.iter().map(ToString::to_string).collect(),
        // At most as many as a visit is moved by.
        days: i32::try_from(days).unwrap_or_default(),
        digest: String::new(),
    };
    shown.digest = digest(&shown);
    shown
}
