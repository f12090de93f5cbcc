//! Watches of the day sheet and of the history.

use std::collections::VecDeque;
use std::sync::Arc;

use tonic::Status;
use tonic::codegen::BoxStream;

use super::parse::{Fields, scoped};
use super::pb::{watch_changes_response as of_history, watch_day_response as of_day};
use super::{history, pb, render, sheet, stream};
use crate::app::commands::WatchDay;
use crate::app::{DayChange, DayNews, DayWatch, Error, HistoryNews, HistoryWatch, Scoped, SheetEntry};

/// Most visits of one message.
const MAX_VISITS: usize = 100;

pub fn parse_day(message: pb::WatchDayRequest) -> Result<Scoped<WatchDay>, Error> {
    let pb::WatchDayRequest { practice_id, clinic_id, date, from_revision } = message;
    let mut fields = Fields::default();
    let clinic = fields.id("clinic_id", &clinic_id);
    let date = fields.supported_day("date", &date);
    let from = revision(&mut fields, "from_revision", from_revision);
    scoped(fields, &practice_id, || {
        let from = from?;
        Some(WatchDay { clinic: clinic?, date: date?, from: (from > 0).then_some(from) })
    })
}

pub fn parse_changes(message: pb::WatchChangesRequest) -> Result<Scoped<i64>, Error> {
    let pb::WatchChangesRequest { practice_id, after_revision } = message;
    let mut fields = Fields::default();
    let after = revision(&mut fields, "after_revision", after_revision);
    scoped(fields, &practice_id, || after)
}

fn revision(fields: &mut Fields, field: &str, revision: i64) -> Option<i64> {
    fields.some(field, (revision >= 0).then_some(revision), "must not be negative")
}

/// The messages of a watch of the history.
pub fn changes(watch: HistoryWatch) -> BoxStream<pb::WatchChangesResponse> {
    stream::unfold(watch, |mut watch| async move {
        let message = watch.next().await?.map(|news| match news {
            HistoryNews::Changed(change) => pb::WatchChangesResponse {
                revision: change.revision,
                news: Some(of_history::News::Change(history::rendered(&change))),
            },
            HistoryNews::Quiet(revision) => {
                pb::WatchChangesResponse { revision, news: Some(of_history::News::Heartbeat(pb::WatchHeartbeat {})) }
            }
        });
        Ok::<_, Status>(message.map(|message| (message, watch)))
    })
}

/// The messages of a watch of a day.
pub fn day(watch: DayWatch) -> BoxStream<pb::WatchDayResponse> {
    stream::unfold((watch, VecDeque::new()), |(mut watch, mut parts)| async move {
        if parts.is_empty() {
            match watch.next().await? {
                Some(news) => parts = split(news),
                None => return Ok::<_, Status>(None),
            }
        }
        let Some(part) = parts.pop_front() else { unreachable!("whatever there is to tell has a part") };
        let message = rendered(&part, !parts.is_empty());
        Ok(Some((message, (watch, parts))))
    })
}

/// What one message tells.
enum Part {
    Sheet(i64, Vec<SheetEntry>),
    /// Some of the visits that a change concerns; those that left come with the first.
    Change {
        change: Arc<DayChange>,
        from: usize,
    },
    Quiet(i64),
}

/// News in parts that are small enough for a message; at least one.
fn split(news: DayNews) -> VecDeque<Part> {
    match news {
        DayNews::Sheet(revision, mut entries) => {
            let mut parts = VecDeque::new();
            while entries.len() > MAX_VISITS {
                let rest = entries.split_off(MAX_VISITS);
                parts.push_back(Part::Sheet(revision, std::mem::replace(&mut entries, rest)));
            }
            parts.push_back(Part::Sheet(revision, entries));
            parts
        }
        DayNews::Changed(change) => {
            let parts = (0..change.entries.len().max(1)).step_by(MAX_VISITS);
            parts.map(|from| Part::Change { change: Arc::clone(&change), from }).collect()
        }
        DayNews::Quiet(revision) => VecDeque::from([Part::Quiet(revision)]),
    }
}

fn rendered(part: &Part, more: bool) -> pb::WatchDayResponse {
    let (revision, news) = match part {
        Part::Sheet(revision, entries) => {
            let appointments = entries.iter().map(sheet::rendered_entry).collect();
            (*revision, of_day::News::Sheet(pb::DaySheet { appointments }))
        }
        Part::Change { change, from } => {
            let DayChange { revision, kind, recorded_at, entries, left } = &**change;
            let left = if *from == 0 { left.as_slice() } else { &[] };
            let told = pb::DayChange {
                kind: kind.as_str().to_owned(),
                recorded_at: Some(render::timestamp(*recorded_at)),
                appointments: entries
                    .iter()
                    .skip(*from)
                    .take(MAX_VISITS)
                    .map(|entry| sheet::rendered_entry(entry))
                    .collect(),
                left_appointment_ids: left.iter().map(ToString::to_string).collect(),
            };
            (*revision, of_day::News::Change(told))
        }
        Part::Quiet(revision) => (*revision, of_day::News::Heartbeat(pb::WatchHeartbeat {})),
    };
    pb::WatchDayResponse { revision, more, news: Some(news) }
}
