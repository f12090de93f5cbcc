//! Watches: every change that concerns a day, exactly once and in order, whatever happens to the connection.

mod many;

use std::collections::BTreeMap;
use std::time::Duration;

use stipple::app::Pace;
use stipple::rpc::pb;
use stipple::rpc::pb::watch_day_response::News;
use tonic::{Code, Status, Streaming};

use crate::desk::{FOUR, revision, simple, treatment_request};
use crate::harness::kill::Killed;
use crate::harness::wire::{Clients, reason};
use crate::harness::world::{request_id, timestamp};
use crate::harness::{TestServer, World};
use crate::wire::bearer;

const DAY: &str = "2026-01-26";

/// Times of watches that tests need not wait for. A heartbeat comes after what there is to tell.
const QUICK: Pace = Pace {
    poll: Duration::from_millis(50),
    gather: Duration::from_millis(1),
    heartbeat: Duration::from_millis(300),
    token_check: Duration::from_millis(100),
    longest: Duration::from_mins(10),
    of_server: 40,
    of_practice: 30,
    far_behind: 1_000,
};

/// A practice on a server with quick watches; nothing if servers are killed, which ends every watch.
async fn quick(pace: Pace) -> Option<World> {
    if Killed::wanted().is_some() {
        return None;
    }
    Some(World::on(TestServer::start_paced(pace).await, "Europe/Berlin").await)
}

/// A watcher of a day, as a client keeps it.
struct Watcher {
    clients: Clients,
    request: pb::WatchDayRequest,
    line: Option<Streaming<pb::WatchDayResponse>>,
    /// The visits that it knows.
    sheet: BTreeMap<String, pb::Appointment>,
    /// The revisions that it was told, and what each was.
    told: Vec<(i64, String)>,
    /// Up to which revision it knows the sheet.
    seen: i64,
    /// How many whole sheets it was given.
    sheets: usize,
    /// Whether the next message goes on with the last one.
    goes_on: bool,
}

impl Watcher {
    fn new(clients: &Clients, world: &World) -> Self {
        let request = pb::WatchDayRequest { clinic_id: world.clinic.clone(), date: DAY.into(), ..Default::default() };
        let (sheet, told) = (BTreeMap::new(), Vec::new());
        Self { clients: clients.clone(), request, line: None, sheet, told, seen: 0, sheets: 0, goes_on: false }
    }

    /// Watches on from where it is.
    async fn connect(&mut self) -> Result<(), Status> {
        let request = pb::WatchDayRequest { from_revision: self.seen, ..self.request.clone() };
        self.line = Some(self.clients.appointments().watch_day(request).await?.into_inner());
        self.goes_on = false;
        Ok(())
    }

    /// Takes the next message; nothing at the end of the watch.
    async fn hear(&mut self) -> Result<Option<pb::WatchDayResponse>, Status> {
        let next = self.line.as_mut().expect("a line").message();
        let next = tokio::time::timeout(Duration::from_mins(1), next).await.expect("the line is alive");
        let Some(message) = next? else { return Ok(None) };
        match message.news.clone().expect("news") {
            News::Sheet(part) => {
                if !self.goes_on {
                    self.sheets += 1;
                    self.sheet.clear();
                }
                self.take(part.appointments);
            }
            News::Change(change) => {
                assert!(message.revision > self.seen, "{} comes after {}", message.revision, self.seen);
                if !message.more {
                    self.told.push((message.revision, change.kind));
                }
                for id in change.left_appointment_ids {
                    self.sheet.remove(&id);
                }
                self.take(change.appointments);
            }
            News::Heartbeat(_) => assert!(message.revision >= self.seen),
        }
        self.goes_on = message.more;
        if !message.more {
            self.seen = message.revision;
        }
        Ok(Some(message))
    }

    fn take(&mut self, visits: Vec<pb::Appointment>) {
        self.sheet.extend(visits.into_iter().map(|visit| (visit.appointment_id.clone(), visit)));
    }

    /// Listens until it knows the sheet up to a revision.
    async fn hear_until(&mut self, revision: i64) {
        while self.seen < revision {
            self.hear().await.unwrap().expect("the watch goes on");
        }
    }

    /// The kinds of what it was told.
    fn kinds(&self) -> Vec<&str> {
        self.told.iter().map(|(_, kind)| kind.as_str()).collect()
    }
}

/// A watcher with the manager's token that is connected.
async fn watcher(world: &World) -> Watcher {
    let mut watcher = Watcher::new(&world.manager, world);
    watcher.connect().await.unwrap();
    watcher
}

/// The sheet as a list has it, by id.
async fn listed(world: &World) -> BTreeMap<String, pb::Appointment> {
    let (mut sheet, mut page_token) = (BTreeMap::new(), String::new());
    loop {
        let request = pb::ListAppointmentsRequest {
            subject: Some(pb::list_appointments_request::Subject::ClinicId(world.clinic.clone())),
            start_time: timestamp(world.local(&format!("{DAY}T00:00:00"))),
            end_time: timestamp(world.local("2026-01-27T00:00:00")),
            page_size: 500,
            page_token,
            ..Default::default()
        };
        let page = world.manager.appointments().list_appointments(request).await.unwrap().into_inner();
        sheet.extend(page.appointments.into_iter().map(|visit| (visit.appointment_id.clone(), visit)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return sheet;
        }
    }
}

fn hold_request(world: &World, patient: &str, start: &str) -> pb::HoldAppointmentRequest {
    pb::HoldAppointmentRequest {
        request_id: request_id(),
        visit: Some(pb::hold_appointment_request::Visit::Treatment(pb::TreatmentVisit {
            patient_id: patient.into(),
            treatment_id: world.sauna.clone(),
            ..Default::default()
        })),
        clinic_id: world.clinic.clone(),
        start_time: timestamp(world.local(start)),
        ..Default::default()
    }
}

async fn hold(world: &World, start: &str) -> pb::Appointment {
    let request = hold_request(world, &world.patients[0], start);
    world.manager.appointments().hold_appointment(request).await.unwrap().into_inner().appointment.unwrap()
}

async fn convert(world: &World, held: &pb::Appointment) -> pb::Appointment {
    let request = pb::ConvertHoldRequest {
        request_id: request_id(),
        etag: held.etag.clone(),
        appointment_id: held.appointment_id.clone(),
        ..Default::default()
    };
    world.manager.appointments().convert_hold(request).await.unwrap().into_inner().appointment.unwrap()
}

async fn rename(clients: &Clients, patient: &str, given_name: &str) {
    let get = pb::GetPatientRequest { patient_id: patient.into(), ..Default::default() };
    let known = clients.patients().get_patient(get).await.unwrap().into_inner().patient.unwrap();
    let request = pb::UpdatePatientRequest {
        request_id: request_id(),
        etag: known.etag,
        patient_id: patient.into(),
        given_name: given_name.into(),
        family_name: known.family_name,
        birth_date: known.birth_date,
        ..Default::default()
    };
    clients.patients().update_patient(request).await.unwrap();
}

async fn reschedule(world: &World, visit: &pb::Appointment, start: &str) -> pb::Appointment {
    let request = pb::RescheduleAppointmentRequest {
        request_id: request_id(),
        etag: visit.etag.clone(),
        appointment_id: visit.appointment_id.clone(),
        start_time: timestamp(world.local(start)),
        ..Default::default()
    };
    world.manager.appointments().reschedule_appointment(request).await.unwrap().into_inner().appointment.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_begins_with_the_sheet_and_tells_each_change_that_concerns_it_once() {
    let Some(world) = quick(QUICK).await else { return };
    world.book_sauna("2026-01-26T08:00:00").await.unwrap();
    // Overnight it belongs to both days; the day before, to none of this one.
    world.book_sauna("2026-01-25T23:45:00").await.unwrap();
    world.book_sauna("2026-01-25T20:00:00").await.unwrap();
    let mut watcher = watcher(&world).await;
    let first = watcher.hear().await.unwrap().unwrap();
    assert_eq!((first.revision, first.more, watcher.sheet.len()), (revision(&world).await, false, 2));
    assert_eq!(watcher.sheet, listed(&world).await);

    let held = hold(&world, "2026-01-26T10:00:00").await;
    let booked = convert(&world, &held).await;
    let moved = reschedule(&world, &booked, "2026-01-26T12:00:00").await;
    watcher.hear_until(revision(&world).await).await;
    assert_eq!(watcher.sheet, listed(&world).await);
    assert!(watcher.sheet.contains_key(&moved.appointment_id));
    reschedule(&world, &moved, "2026-01-28T12:00:00").await;
    // About a patient who has a visit on the sheet.
    rename(&world.manager, &world.patients[0], "Ida").await;
    // About none, or one who has not.
    rename(&world.manager, &world.patients[1], "Ole").await;
    let (_, _) = bearer(&world.server, &world.practice, pb::Role::FrontDesk, "").await;
    let held = hold(&world, "2026-01-26T14:00:00").await;
    world.cancel(&held).await.unwrap();
    watcher.hear_until(revision(&world).await).await;
    let kinds = ["held", "booked", "rescheduled", "rescheduled"].map(|verb| format!("appointment.{verb}"));
    let rest = ["patient.updated", "appointment.held", "appointment.cancelled"].map(str::to_owned);
    assert_eq!(watcher.kinds(), kinds.into_iter().chain(rest).collect::<Vec<_>>());
    assert_eq!((watcher.sheet.len(), watcher.sheets), (2, 1));
    assert!(watcher.sheet.values().all(|visit| visit.sheet.as_ref().unwrap().patient_given_name == "Ida"));
    assert_eq!(watcher.sheet, listed(&world).await);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_is_resumed_from_any_revision_without_gap_or_repeat() {
    let Some(world) = quick(QUICK).await else { return };
    let mut whole = watcher(&world).await;
    whole.hear().await.unwrap();
    let begin = whole.seen;
    for round in 0..4 {
        let held = hold(&world, "2026-01-26T10:00:00").await;
        rename(&world.manager, &world.patients[1], &format!("Ole {round}")).await;
        world.cancel(&held).await.unwrap();
    }
    let now = revision(&world).await;
    whole.hear_until(now).await;
    assert_eq!(whole.told.len(), 8);
    for from in begin..=now {
        let mut resumed = Watcher { seen: from, ..Watcher::new(&world.manager, &world) };
        resumed.connect().await.unwrap();
        resumed.hear_until(now).await;
        // The heartbeat says that nothing else comes.
        while resumed.hear().await.unwrap().unwrap().news != Some(News::Heartbeat(pb::WatchHeartbeat {})) {}
        let rest: Vec<_> = whole.told.iter().filter(|(told, _)| *told > from).cloned().collect();
        assert_eq!((resumed.told, resumed.sheets), (rest, 0), "from {from}");
    }
    // From a revision that the practice does not have, or has long passed: the whole sheet.
    let far = Pace { far_behind: 3, ..QUICK };
    for (pace, from, sheets) in [(QUICK, now + 1, 1), (far, now - 4, 1), (far, now - 3, 0)] {
        let server = TestServer::beside_paced(&world.server, pace).await;
        let world = World { manager: world.manager.over(&server), server, ..world.clone() };
        let mut resumed = Watcher { seen: from, ..Watcher::new(&world.manager, &world) };
        resumed.connect().await.unwrap();
        resumed.seen = 0;
        resumed.hear_until(now).await;
        assert_eq!(resumed.sheets, sheets, "from {from}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_server_does_is_told_too() {
    let Some(world) = quick(QUICK).await else { return };
    let server = world.server.beside().await;
    let other = World { manager: world.manager.over(&server), server, ..world.clone() };
    let (mut here, mut there) = (watcher(&world).await, watcher(&other).await);
    for (place, by) in [&world, &other, &world, &other].into_iter().enumerate() {
        hold(by, &format!("2026-01-26T1{place}:00:00")).await;
    }
    let now = revision(&world).await;
    here.hear_until(now).await;
    there.hear_until(now).await;
    assert_eq!(here.sheet, listed(&world).await);
    assert_eq!(there.sheet, here.sheet);
    assert_eq!(here.sheet.len(), 4);
    // And resumed on the other one, it goes on where it was.
    let mut moved = Watcher { clients: other.manager.clone(), line: None, ..here };
    moved.connect().await.unwrap();
    hold(&world, "2026-01-26T15:00:00").await;
    let before = moved.told.len();
    moved.hear_until(revision(&world).await).await;
    assert_eq!((moved.told.len() - before, moved.sheets), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_ends_for_its_watchers_though_nobody_does_anything() {
    let Some(world) = quick(QUICK).await else { return };
    let held = hold(&world, "2026-01-26T10:00:00").await;
    let mut watcher = watcher(&world).await;
    watcher.hear().await.unwrap();
    assert!(watcher.sheet.contains_key(&held.appointment_id));
    let Some(()) = world.server.set_clock("2026-01-05T08:10:00Z") else { return };
    while !watcher.sheet.is_empty() {
        watcher.hear().await.unwrap();
    }
    assert_eq!(watcher.kinds(), ["appointment.hold_expired"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_ends_its_watches_and_no_others() {
    let Some(world) = quick(QUICK).await else { return };
    let mut other = watcher(&world).await;
    let of_practice = bearer(&world.server, &world.practice, pb::Role::ReadOnly, "").await;
    let operators = bearer(&world.server, "", pb::Role::Operator, "").await;
    for (id, text) in [of_practice, operators] {
        let mut watcher = Watcher::new(&world.server.clients(&text), &world);
        watcher.request.practice_id = world.practice.clone();
        watcher.connect().await.unwrap();
        watcher.hear().await.unwrap();
        let revoke = pb::RevokeTokenRequest { request_id: request_id(), token_id: id, ..Default::default() };
        let revoked = match world.manager.access().revoke_token(revoke.clone()).await {
            Err(status) if status.code() == Code::NotFound => {
                world.server.operator().access().revoke_token(revoke).await
            }
            done => done,
        };
        revoked.unwrap();
        let status = loop {
            match watcher.hear().await {
                Ok(message) => assert!(message.is_some(), "a revoked token is an error"),
                Err(status) => break status,
            }
        };
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_INVALID"));
    }
    let held = hold(&world, "2026-01-26T10:00:00").await;
    other.hear_until(revision(&world).await).await;
    assert!(other.sheet.contains_key(&held.appointment_id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_ends_cleanly_when_its_time_is_up_and_when_its_server_stops() {
    let Some(world) = quick(Pace { longest: Duration::from_millis(200), ..QUICK }).await else { return };
    let mut short = watcher(&world).await;
    while short.hear().await.unwrap().is_some() {}
    let server = TestServer::beside_paced(&world.server, QUICK).await;
    let other = World { manager: world.manager.over(&server), server, ..world.clone() };
    let mut long = watcher(&other).await;
    long.hear().await.unwrap();
    other.server.stop();
    while long.hear().await.unwrap().is_some() {}
    // Where it was, it goes on elsewhere.
    let mut resumed = Watcher { clients: world.manager.clone(), ..long };
    hold(&world, "2026-01-26T10:00:00").await;
    resumed.connect().await.unwrap();
    resumed.hear_until(revision(&world).await).await;
    assert_eq!((resumed.told.len(), resumed.sheets), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_whose_database_does_not_answer_ends_and_says_so() {
    let Some(world) = quick(QUICK).await else { return };
    let mut watcher = watcher(&world).await;
    watcher.hear().await.unwrap();
    world.server.pool().close().await;
    let status = loop {
        match watcher.hear().await {
            Ok(message) => assert!(message.is_some(), "that is an error"),
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "UNAVAILABLE"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_takes_so_many_watches_and_no_more() {
    let Some(world) = quick(Pace { of_server: 3, of_practice: 2, ..QUICK }).await else { return };
    let other = World::on(world.server.clone(), "Asia/Tokyo").await;
    let refused = |status: Status| (status.code(), reason(&status));
    let overloaded = (Code::ResourceExhausted, "OVERLOADED".to_owned());
    let (first, _second) = (watcher(&world).await, watcher(&world).await);
    let mut third = Watcher::new(&world.manager, &world);
    assert_eq!(refused(third.connect().await.unwrap_err()), overloaded, "two of a practice");
    let _third = watcher(&other).await;
    assert_eq!(refused(Watcher::new(&other.manager, &other).connect().await.unwrap_err()), overloaded, "three in all");
    // One that goes leaves its place to another, as soon as the server notices.
    drop(first);
    while third.connect().await.is_err() {
        tokio::task::yield_now().await;
    }
    third.hear().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_watch_than_requests_may_be_under_way_and_requests_are_answered() {
    const WATCHERS: usize = stipple::rpc::guard::MAX_REQUESTS + 8;
    let Some(world) = quick(Pace { of_server: WATCHERS, of_practice: WATCHERS, ..QUICK }).await else { return };
    let request = pb::WatchChangesRequest { after_revision: revision(&world).await, ..Default::default() };
    let mut lines = Vec::new();
    for place in 0..WATCHERS {
        // One connection takes 256 of them.
        if place % 200 == 0 {
            let Some(server) = world.server.connect(65_535).await else { return };
            lines.push((world.manager.over(&server), Vec::new()));
        }
        let (clients, watches) = lines.last_mut().unwrap();
        watches.push(clients.history().watch_changes(request.clone()).await.unwrap().into_inner());
    }
    hold(&world, "2026-01-26T10:00:00").await;
    for watch in lines.iter_mut().flat_map(|(_, watches)| watches) {
        loop {
            let message = watch.message().await.unwrap().unwrap();
            if let Some(pb::watch_changes_response::News::Change(change)) = message.news {
                assert_eq!(change.kind, "appointment.held");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_tell_how_far_a_watch_has_come_though_nothing_concerns_it() {
    let Some(world) = quick(QUICK).await else { return };
    world.book_sauna("2026-01-26T08:00:00").await.unwrap();
    let mut watcher = watcher(&world).await;
    watcher.hear().await.unwrap();
    for name in ["Ole", "Ove"] {
        rename(&world.manager, &world.patients[1], name).await;
        let now = revision(&world).await;
        watcher.hear_until(now).await;
        assert_eq!((watcher.seen, watcher.told.len()), (now, 0));
    }
    // Nor does it change a visit that its patient is told of it.
    let request = pb::TakeMessagesRequest { request_id: request_id(), ..Default::default() };
    let taken = world.manager.messages().take_messages(request).await.unwrap().into_inner().messages;
    let now = revision(&world).await;
    watcher.hear_until(now).await;
    assert_eq!((taken.len(), watcher.seen, watcher.told.len()), (1, now, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_does_not_listen_misses_nothing_and_holds_nobody_up() {
    let Some(world) = quick(QUICK).await else { return };
    // Of what is told, one message and no more fits into the connection before it is read.
    let Some(server) = world.server.connect(512).await else { return };
    let mut slow = Watcher::new(&world.manager.over(&server), &world);
    slow.connect().await.unwrap();
    let mut quick = watcher(&world).await;
    quick.hear().await.unwrap();
    let visit = world.book_sauna("2026-01-26T08:00:00").await.unwrap();
    let mut expected = vec!["appointment.booked".to_owned()];
    for round in 0..120 {
        rename(&world.manager, &visit.patient_id, &format!("Ida {round}")).await;
        expected.push("patient.updated".into());
        // Each is told by itself, so that the slow one falls behind by more than the hub keeps for it.
        quick.hear_until(revision(&world).await).await;
    }
    let sheet = slow.hear().await.unwrap().unwrap();
    assert!(matches!((sheet.news, sheet.more), (Some(News::Sheet(_)), false)));
    slow.hear_until(revision(&world).await).await;
    assert_eq!(quick.kinds(), expected);
    // Its sheet may have been made after some of them.
    let later: Vec<_> = quick.told.into_iter().filter(|(told, _)| *told > sheet.revision).collect();
    assert_eq!(slow.told, later);
    assert_eq!((slow.sheet, slow.sheets), (listed(&world).await, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_that_never_listen_keep_nothing_from_others() {
    let Some(world) = quick(QUICK).await else { return };
    // More than one batch, and more than the connection takes.
    for round in 0..250 {
        rename(&world.manager, &world.patients[0], &format!("Ida {round}")).await;
    }
    let mut deaf = Vec::new();
    for _ in 0..3 {
        let Some(server) = world.server.connect(512).await else { return };
        let clients = world.manager.over(&server);
        let watch = clients.history().watch_changes(pb::WatchChangesRequest::default()).await.unwrap();
        deaf.push((clients, watch.into_inner()));
    }
    let mut other = watcher(&world).await;
    other.hear().await.unwrap();
    assert_eq!((other.seen, other.sheets), (revision(&world).await, 1));
    let pool = world.server.pool();
    let idle = async {
        while u32::try_from(pool.num_idle()).unwrap() < pool.size() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), idle).await.expect("nobody keeps a connection");
    // And whoever listens after all is told everything.
    let (_, watch) = &mut deaf[0];
    for expected in 1..=other.seen {
        assert_eq!(watch.message().await.unwrap().unwrap().revision, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_sheet_comes_in_parts_as_at_one_revision() {
    let Some(world) = quick(QUICK).await else { return };
    let check = world.publish_treatment(simple("Check", 10, vec![])).await;
    for number in 0..120 {
        let start = format!("{DAY}T{:02}:{:02}:00", number / 12, number % 12 / 2 * 10);
        let request = treatment_request(&world, &world.patients[number % 2], &check, pb::BodyArea::Unspecified, &start);
        world.book(request).await.unwrap();
    }
    let visits = listed(&world).await;
    assert_eq!(visits.len(), 120);
    let mut watcher = watcher(&world).await;
    watcher.hear_until(revision(&world).await).await;
    assert_eq!((watcher.sheet, watcher.sheets), (visits, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_is_watched_from_any_revision() {
    let Some(world) = quick(QUICK).await else { return };
    let series = world.book_series(&FOUR[..3]).await.unwrap();
    let now = revision(&world).await;
    let all = pb::ListChangesRequest { page_size: 500, ..Default::default() };
    let all = world.manager.history().list_changes(all).await.unwrap().into_inner().changes;
    for after in [0, 1, now - 1, now] {
        let request = pb::WatchChangesRequest { after_revision: after, ..Default::default() };
        let mut line = world.manager.history().watch_changes(request).await.unwrap().into_inner();
        let mut told = Vec::new();
        loop {
            let message = line.message().await.unwrap().unwrap();
            match message.news.unwrap() {
                pb::watch_changes_response::News::Change(change) => {
                    assert_eq!(change.revision, message.revision);
                    told.push(change);
                }
                pb::watch_changes_response::News::Heartbeat(_) => {
                    assert_eq!(message.revision, now);
                    break;
                }
            }
        }
        assert_eq!(told, all[usize::try_from(after).unwrap()..]);
    }
    assert_eq!(all.last().unwrap().subject_id, series.series_id);
    let request = pb::WatchChangesRequest { after_revision: now + 1, ..Default::default() };
    let status = world.manager.history().watch_changes(request).await.unwrap_err();
    assert_eq!(crate::harness::wire::fields(&status), ["after_revision"]);
}
