//! What a server remembers of a practice never shows in an answer: after every write it says what a server without a
//! memory says, whoever made the write.

use stipple::rpc::pb;

use super::{days, search, second_clinic, session_of, slots, treatment};
use crate::desk::{FOUR, cancel_series, needling_request, session, session_request};
use crate::harness::World;
use crate::harness::wire::Clients;
use crate::harness::world::{every_day, needling, request_id, timestamp};
use crate::who_and_where::{time_off, update, working};
use crate::wire::bearer;

type Answers = Vec<(Vec<pb::Slot>, Vec<pb::SlotDay>)>;

/// Two servers that run all the time, and searches that every kind of write should show in.
struct Servers {
    worlds: [World; 2],
    token: String,
    searches: Vec<pb::FindSlotsRequest>,
    last: Answers,
    turn: usize,
}

async fn answers(clients: &Clients, searches: &[pb::FindSlotsRequest]) -> Answers {
    let mut answers = Vec::new();
    for request in searches {
        answers.push((slots(clients, request).await.unwrap(), days(clients, request).await.unwrap()));
    }
    answers
}

impl Servers {
    async fn of(world: World, searches: Vec<pb::FindSlotsRequest>) -> Self {
        let (_, token) = bearer(&world.server, &world.practice, pb::Role::Manager, "").await;
        let beside = world.server.beside().await;
        let other = World { manager: beside.clients(&token), server: beside, ..world.clone() };
        let last = answers(&world.manager, &searches).await;
        assert_eq!(answers(&other.manager, &searches).await, last);
        assert!(last.iter().all(|(slots, days)| !slots.is_empty() && !days.is_empty()));
        Self { worlds: [world, other], token, searches, last, turn: 0 }
    }

    /// The world, through one server after the other.
    fn through(&mut self) -> World {
        self.turn += 1;
        self.worlds[self.turn % 2].clone()
    }

    /// Asks the one that did not write, the one that did, and one that has just started.
    async fn agree(&mut self, after: &str, changes: bool) {
        let without_memory = self.worlds[0].server.beside().await.clients(&self.token);
        let fresh = answers(&without_memory, &self.searches).await;
        for place in [self.turn + 1, self.turn] {
            let kept = answers(&self.worlds[place % 2].manager, &self.searches).await;
            let wrong = kept.iter().zip(&fresh).position(|(kept, fresh)| kept != fresh);
            assert!(wrong.is_none(), "{after}: search {wrong:?} of server {place} is out of date");
        }
        assert_eq!(fresh != self.last, changes, "{after} shows in an answer");
        self.last = fresh;
    }
}

async fn clinic_hours(world: &World, opens: &str, closes: &str) {
    let mut practices = world.manager.practices();
    let request = pb::GetClinicRequest { clinic_id: world.clinic.clone(), ..Default::default() };
    let clinic = practices.get_clinic(request).await.unwrap().into_inner().clinic.unwrap();
    let request = pb::UpdateClinicRequest {
        request_id: request_id(),
        etag: clinic.etag,
        clinic_id: clinic.clinic_id,
        name: clinic.name,
        opening_hours: every_day(opens, closes),
        ..Default::default()
    };
    practices.update_clinic(request).await.unwrap();
}

async fn close(world: &World, from: &str, until: &str) -> pb::Closure {
    let request = pb::CreateClosureRequest {
        request_id: request_id(),
        clinic_id: world.clinic.clone(),
        start_time: timestamp(world.local(from)),
        end_time: timestamp(world.local(until)),
        ..Default::default()
    };
    world.manager.practices().create_closure(request).await.unwrap().into_inner().closure.unwrap()
}

async fn horizon(world: &World, days: i32) {
    let mut practices = world.manager.practices();
    let practice = practices.get_practice(pb::GetPracticeRequest::default()).await.unwrap().into_inner();
    let practice = practice.practice.unwrap();
    let request = pb::UpdatePracticeRequest {
        request_id: request_id(),
        etag: practice.etag,
        name: practice.name,
        booking_horizon_days: days,
        ..Default::default()
    };
    practices.update_practice(request).await.unwrap();
}

async fn publish_again(world: &World, id: &str, content: pb::TreatmentContent) {
    let mut catalog = world.manager.catalog();
    let request = pb::GetTreatmentRequest { treatment_id: id.into(), ..Default::default() };
    let before = catalog.get_treatment(request).await.unwrap().into_inner().treatment.unwrap();
    let request = pb::PublishTreatmentRequest {
        request_id: request_id(),
        treatment_id: before.treatment_id,
        etag: before.etag,
        content: Some(content),
        ..Default::default()
    };
    catalog.publish_treatment(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_through_whichever_server_leaves_an_answer_out_of_date() {
    let world = World::new().await;
    let elsewhere = second_clinic(&world, "Asia/Kathmandu").await;
    clinic_hours(&world, "08:00", "20:00").await;
    let starts = ["2026-02-02T10:00:00", "2026-03-14T10:00:00", "2026-04-23T10:00:00"];
    let kept = world.book_series(&starts).await.unwrap();
    world.cancel(session(&kept, 2)).await.unwrap();
    let face = pb::BodyArea::Face;
    let patient = world.patients[0].clone();
    let wide = |request: pb::FindSlotsRequest| pb::FindSlotsRequest { start_grid_minutes: 15, ..request };
    let both = |request: pb::FindSlotsRequest| pb::FindSlotsRequest {
        clinic_ids: vec![elsewhere.clone(), world.clinic.clone()],
        ..request
    };
    let sauna = |patient: &str| treatment(patient, &world.sauna, pb::BodyArea::Unspecified);
    let searches = vec![
        both(wide(search(&world, treatment("", &world.needling, face), "2026-03-10", "2026-03-12"))),
        both(wide(search(&world, sauna(&patient), "2026-03-11", "2026-03-12"))),
        search(&world, session_of(&kept, 2), "2026-03-11", "2026-03-12"),
        wide(search(&world, sauna(""), "2026-07-23", "2026-07-25")),
    ];
    let mut servers = Servers::of(world, searches).await;

    for round in 0..2 {
        // What one server wrote in the first round the other writes in the second.
        servers.turn = round;
        let world = servers.through();
        let visit =
            world.book(needling_request(&world, &world.patients[1], face, "2026-03-11T10:00:00")).await.unwrap();
        servers.agree("a booking", true).await;
        let world = servers.through();
        // The same resources at the same time, freed and taken between two questions.
        world.cancel(&visit).await.unwrap();
        let mut request = needling_request(&world, &world.patients[1], face, "2026-03-11T10:00:00");
        let served = visit.phases.iter().flat_map(|phase| &phase.resources);
        request.resource_ids = served.map(|resource| resource.resource_id.clone()).collect();
        request.resource_ids.sort_unstable();
        request.resource_ids.dedup();
        let visit = world.book(request).await.unwrap();
        servers.agree("a booking in the place of one that was cancelled", false).await;
        let world = servers.through();
        let again = world.book(session_request(&world, &kept, 2, "2026-03-12T15:00:00")).await.unwrap();
        world.cancel(&again).await.unwrap();
        servers.agree("a booking that was cancelled at once", false).await;
        let world = servers.through();
        world.cancel(&visit).await.unwrap();
        servers.agree("a cancellation", true).await;
        let world = servers.through();
        let retaken = world.book_sauna("2026-03-11T10:15:00").await.unwrap();
        servers.agree("a booking of what was freed", true).await;
        let world = servers.through();
        world.cancel(&retaken).await.unwrap();
        servers.agree("another cancellation", true).await;

        let world = servers.through();
        let mut request = world.series_request(&["2026-02-12T10:00:00", "2026-03-12T10:00:00", "2026-04-09T10:00:00"]);
        request.patient_id = world.patients[1].clone();
        let series = world.manager.series().book_series(request).await.unwrap().into_inner().series.unwrap();
        servers.agree("a series", true).await;
        let world = servers.through();
        cancel_series(&world, &series).await.unwrap();
        servers.agree("a cancelled series", true).await;

        let world = servers.through();
        let closure = close(&world, "2026-03-12T09:00:00", "2026-03-12T11:00:00").await;
        servers.agree("a closure", true).await;
        let world = servers.through();
        let request =
            pb::DeleteClosureRequest { request_id: request_id(), closure_id: closure.closure_id, ..Default::default() };
        world.manager.practices().delete_closure(request).await.unwrap();
        servers.agree("a closure taken back", true).await;

        let world = servers.through();
        let away = time_off(&world, &world.practitioners[0], "2026-03-10T00:00:00", "2026-03-11T15:30:00").await;
        servers.agree("time off", true).await;
        let world = servers.through();
        let request =
            pb::DeleteTimeOffRequest { request_id: request_id(), time_off_id: away.time_off_id, ..Default::default() };
        world.manager.resources().delete_time_off(request).await.unwrap();
        servers.agree("time off taken back", true).await;

        let world = servers.through();
        clinic_hours(&world, "09:00", ["19:00", "18:00"][round]).await;
        servers.agree("other opening hours", true).await;
        let world = servers.through();
        let hours = working(&world, ["10:00", "11:00"][round], "17:00");
        update(&world, &world.practitioners[0], |resource| resource.working_hours = hours).await;
        servers.agree("other working hours", true).await;
        let world = servers.through();
        update(&world, &world.practitioners[0], |resource| resource.active = false).await;
        servers.agree("a resource put out of use", true).await;
        let world = servers.through();
        update(&world, &world.practitioners[0], |resource| resource.active = true).await;
        servers.agree("a resource put into use", true).await;
        let world = servers.through();
        world.resource(pb::ResourceKind::Practitioner, "microneedling").await;
        servers.agree("a new resource", true).await;

        let world = servers.through();
        let mut content = needling();
        content.phases[1].minutes = [45, 20][round];
        publish_again(&world, &world.needling, content).await;
        servers.agree("a treatment with other phases", true).await;
        let world = servers.through();
        world.publish_protocol(&world.needling).await;
        servers.agree("another protocol", false).await;
        let world = servers.through();
        world.patient().await;
        servers.agree("a new patient", false).await;

        let world = servers.through();
        // Until 24 July, in the midst of the days of the last search.
        horizon(&world, 200).await;
        servers.agree("a nearer horizon", true).await;
        let world = servers.through();
        horizon(&world, 800).await;
        servers.agree("a farther horizon", true).await;
        let world = servers.through();
        world.resource(pb::ResourceKind::Room, "treatment_room").await;
        world.book(needling_request(&world, &world.patient().await, face, "2026-03-11T13:00:00")).await.unwrap();
        servers.agree("several writes at once", true).await;
    }
    servers.worlds[0].server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_keeps_the_version_that_its_series_was_booked_under() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    world.cancel(session(&series, 4)).await.unwrap();
    let alone = treatment(&world.patients[1], &world.needling, pb::BodyArea::Abdomen);
    let searches = vec![
        search(&world, session_of(&series, 4), "2026-04-27", "2026-04-27"),
        search(&world, alone, "2026-04-27", "2026-04-27"),
    ];
    let mut servers = Servers::of(world, searches).await;
    let minutes = |answers: &Answers, place: usize| {
        let slot = &answers[place].0[0];
        slot.end_time.as_ref().unwrap().seconds / 60 - slot.start_time.as_ref().unwrap().seconds / 60
    };
    assert_eq!((minutes(&servers.last, 0), minutes(&servers.last, 1)), (65, 65));
    let world = servers.through();
    let mut content = needling();
    content.phases[1].minutes = 60;
    publish_again(&world, &world.needling, content).await;
    servers.agree("a treatment with a longer phase", true).await;
    assert_eq!((minutes(&servers.last, 0), minutes(&servers.last, 1)), (65, 95));
    let booked = world.book(session_request(&world, &series, 4, "2026-04-27T10:00:00")).await.unwrap();
    assert_eq!(booked.local_end, "2026-04-27T11:05:00+02:00");
    world.server.assert_clean().await;
}
