//! What is left of a practice when everything is over, against what its desks and its watcher were told.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use stipple::rpc::pb;

use super::desks::{Ask, End, Sent};
use crate::changes::all_changes;
use crate::desk::{instant, revision};
use crate::harness::World;
use crate::model::desk::{Desk, Time, all_visits};

/// Most findings of one kind that are told.
const MAX_FINDINGS: usize = 5;
/// How often everything is looked at until it stands still.
const MAX_LOOKS: usize = 100;

/// All that is to be seen of a practice over the wire, and what was recorded meanwhile.
#[derive(Clone)]
pub struct Evidence {
    /// How long the history was when the desks opened.
    pub before: usize,
    /// What the desks asked.
    pub record: Vec<Sent>,
    /// The history.
    pub history: Vec<pb::Change>,
    /// What the watcher saw of it.
    pub watched: Vec<pb::Change>,
    /// Every visit, by id.
    pub visits: BTreeMap<String, pb::Appointment>,
    /// Every series, by id.
    pub series: BTreeMap<String, pb::Series>,
    /// The ids of all patients.
    pub patients: BTreeSet<String>,
}

/// A session of a series, by the history.
struct Session {
    start: Time,
    cancelled: bool,
    revision: i64,
}

impl Evidence {
    /// Looks at everything that there is, once nobody asks for anything any more.
    pub async fn gather(world: &World, before: usize, record: Vec<Sent>) -> Self {
        for _ in 0..MAX_LOOKS {
            let history = all_changes(world, 500).await;
            let opened = at(&history[before]);
            let visits = all_visits(world, opened - TimeDelta::days(1), opened + TimeDelta::days(390)).await;
            let (patients, series) = (patients(world).await, series(world).await);
            // Holds still expire; what was read is of one state only if none did meanwhile.
            if revision(world).await == history.last().unwrap().revision {
                let visits = visits.into_iter().map(|visit| (visit.appointment_id.clone(), visit)).collect();
                return Self { before, record, history, watched: Vec::new(), visits, series, patients };
            }
        }
        panic!("a practice without desks does not come to rest");
    }

    /// What is not as it has to be.
    pub fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for kind in [self.numbering(), self.answers(), self.order(), self.watching(), self.state()] {
            let more = kind.len().saturating_sub(MAX_FINDINGS);
            findings.extend(kind.into_iter().take(MAX_FINDINGS));
            if more > 0 {
                findings.push(format!("... and {more} more like that"));
            }
        }
        findings
    }

    /// Requests of which nobody knew what had become: those that were carried out, and those that were not.
    pub fn unknown(&self) -> (usize, usize) {
        let done = self.done();
        let unknown = self.record.iter().filter(|sent| matches!(sent.end, End::Unknown));
        let (found, absent): (Vec<_>, Vec<_>) = unknown.partition(|sent| done.contains_key(sent.request_id.as_str()));
        (found.len(), absent.len())
    }

    fn done(&self) -> BTreeMap<&str, &pb::Change> {
        self.history.iter().map(|change| (change.request_id.as_str(), change)).collect()
    }

    /// Revisions have no gap, and no request was carried out twice.
    fn numbering(&self) -> Vec<String> {
        let mut findings = Vec::new();
        let mut requests = BTreeSet::new();
        for (change, expected) in self.history.iter().zip(1..) {
            if change.revision != expected {
                findings.push(format!("revision {} stands in the place of {expected}", change.revision));
            }
            if !requests.insert(&change.request_id) {
                findings.push(format!("revision {} repeats an earlier request", change.revision));
            }
        }
        findings
    }

    /// What was acknowledged is there, what was refused is not, and nothing is there that nobody asked for.
    fn answers(&self) -> Vec<String> {
        let (done, mut findings) = (self.done(), Vec::new());
        for sent in &self.record {
            match (&sent.end, done.get(sent.request_id.as_str())) {
                (End::Acknowledged(answer), Some(change)) if change.revision <= answer.revision() => {}
                (End::Acknowledged(_), found) => findings.push(format!("{sent:?} was acknowledged, and {found:?}")),
                (End::Refused, Some(change)) => findings.push(format!("{sent:?} was refused, and {change:?}")),
                (End::Refused, None) | (End::Unknown, _) => {}
            }
        }
        let asked: BTreeSet<&str> = self.record.iter().map(|sent| sent.request_id.as_str()).collect();
        for change in self.history.iter().skip(self.before) {
            if change.kind != "appointment.hold_expired" && !asked.contains(change.request_id.as_str()) {
                findings.push(format!("nobody asked for {change:?}"));
            }
        }
        findings
    }

    /// What was acknowledged before something else was asked for came before it.
    fn order(&self) -> Vec<String> {
        let done = self.done();
        let carried_out = self.record.iter().filter_map(|sent| Some((sent, done.get(sent.request_id.as_str())?)));
        let mut asked: Vec<(u64, i64)> =
            carried_out.clone().map(|(sent, change)| (sent.asked, change.revision)).collect();
        let acknowledged = carried_out.filter(|(sent, _)| matches!(sent.end, End::Acknowledged(_)));
        let mut ended: Vec<(u64, i64)> = acknowledged.map(|(sent, change)| (sent.ended, change.revision)).collect();
        asked.sort_unstable();
        ended.sort_unstable();
        let (mut findings, mut latest, mut ended) = (Vec::new(), 0, ended.into_iter().peekable());
        for (moment, revision) in asked {
            while let Some((_, earlier)) = ended.next_if(|(end, _)| *end < moment) {
                latest = latest.max(earlier);
            }
            if revision < latest {
                findings.push(format!("revision {revision} was asked for when {latest} was acknowledged"));
            }
        }
        findings
    }

    /// The watcher saw the history from where it began, each change once.
    fn watching(&self) -> Vec<String> {
        let mut findings = Vec::new();
        let expected = &self.history[self.before.min(self.history.len())..];
        if self.watched.len() != expected.len() {
            findings.push(format!("of {} changes the watcher saw {}", expected.len(), self.watched.len()));
        }
        let seen = self.watched.iter().zip(expected).filter(|(seen, change)| seen != change);
        findings.extend(seen.map(|(seen, change)| format!("the watcher saw {seen:?} for {change:?}")));
        findings
    }

    /// Everything stands as the history says, change by change; each series with all its sessions; and there is nothing
    /// else.
    fn state(&self) -> Vec<String> {
        let asked: BTreeMap<&str, &Ask> =
            self.record.iter().map(|sent| (sent.request_id.as_str(), &sent.ask)).collect();
        let (mut desk, mut sessions, mut findings) = (Desk::default(), BTreeMap::new(), Vec::new());
        let mut courses: BTreeMap<&str, (pb::SeriesState, &[String])> = BTreeMap::new();
        for change in self.history.iter().skip(self.before) {
            let (ids, revision) = (&change.appointment_ids, change.revision);
            let replayed = match asked.get(change.request_id.as_str()) {
                None => desk.expire(ids, at(change), revision),
                Some(Ask::Patient) => Ok(()),
                Some(Ask::Visit(request)) => desk.carry_out(request, &change.subject_id, at(change), revision),
                Some(Ask::Series { starts, .. }) => {
                    courses.insert(&change.subject_id, (pb::SeriesState::Active, ids));
                    let booked = ids.iter().zip(starts);
                    sessions
                        .extend(booked.map(|(id, start)| (id, Session { start: *start, cancelled: false, revision })));
                    let whole = ids.len() == starts.len();
                    if whole { Ok(()) } else { Err(format!("{} of {} sessions", ids.len(), starts.len())) }
                }
                Some(Ask::Cancel { series, .. }) => {
                    let known = courses.get_mut(series.as_str());
                    let of_it = known.map_or(&[] as &[String], |(state, ids)| {
                        *state = pb::SeriesState::Cancelled;
                        ids
                    });
                    for id in of_it {
                        let start = sessions[id].start;
                        sessions.insert(id, Session { start, cancelled: true, revision });
                    }
                    Ok(())
                }
            };
            findings.extend(replayed.err());
        }
        let known = desk.visits.keys().chain(sessions.keys().copied());
        findings.extend(differing("visits", known, self.visits.keys()));
        findings.extend(differing("series", courses.keys().copied(), self.series.keys().map(String::as_str)));
        let created = self.history.iter().filter(|change| change.kind == "patient.created");
        findings.extend(differing("patients", created.map(|change| &change.subject_id), self.patients.iter()));
        for (id, shown) in &self.visits {
            let stands = match (desk.visits.get(id), sessions.get(id)) {
                (Some(visit), _) => visit.is_shown_as(shown),
                (None, Some(session)) => session.is_shown_as(shown),
                (None, None) => true,
            };
            if !stands {
                findings.push(format!("{shown:?} does not stand so by the history"));
            }
        }
        for (id, (state, ids)) in courses {
            let Some(shown) = self.series.get(id) else { continue };
            let booked =
                shown.sessions.iter().filter_map(|session| Some(&session.appointment.as_ref()?.appointment_id));
            let expected: &[String] = if state == pb::SeriesState::Active { ids } else { &[] };
            if shown.state() != state || !booked.eq(expected) {
                findings.push(format!("{shown:?} is not {state:?} with the sessions {ids:?}"));
            }
        }
        findings
    }
}

impl Session {
    fn is_shown_as(&self, shown: &pb::Appointment) -> bool {
        let state = if self.cancelled { pb::AppointmentState::Cancelled } else { pb::AppointmentState::Booked };
        shown.state() == state
            && instant(shown.start_time.as_ref()) == self.start
            && shown.etag == self.revision.to_string()
    }
}

fn at(change: &pb::Change) -> Time {
    instant(change.recorded_at.as_ref())
}

/// What is known by the history and not there, and what is there unknown.
fn differing<T: Ord + std::fmt::Debug>(
    what: &str,
    known: impl Iterator<Item = T>,
    there: impl Iterator<Item = T>,
) -> Vec<String> {
    let (known, there): (BTreeSet<T>, BTreeSet<T>) = (known.collect(), there.collect());
    let lost = known.difference(&there).map(|id| format!("{what}: {id:?} is in the history and not there"));
    let strange = there.difference(&known).map(|id| format!("{what}: {id:?} is there and not in the history"));
    lost.chain(strange).collect()
}

async fn patients(world: &World) -> BTreeSet<String> {
    let (mut ids, mut page_token) = (BTreeSet::new(), String::new());
    loop {
        let request = pb::ListPatientsRequest { page_size: 500, page_token, ..Default::default() };
        let page = world.manager.patients().list_patients(request).await.unwrap().into_inner();
        ids.extend(page.patients.into_iter().map(|patient| patient.patient_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return ids;
        }
    }
}

async fn series(world: &World) -> BTreeMap<String, pb::Series> {
    let (mut all, mut page_token) = (BTreeMap::new(), String::new());
    loop {
        let request = pb::ListSeriesRequest { page_size: 100, page_token, ..Default::default() };
        let page = world.manager.series().list_series(request).await.unwrap().into_inner();
        all.extend(page.series.into_iter().map(|series| (series.series_id.clone(), series)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}
