//! Messages to patients: due as the visits are, taken once, and never before their time.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Executor as _};
use stipple::domain::ids::PracticeId;
use stipple::domain::message::Topic;
use stipple::rpc::pb;
use stipple::rpc::pb::MessageKind::{
    self, Aftercare, AssessmentDue, Booked, Cancelled, Check2Days, Moved, PreCare, Reminder7Days, Reminder24Hours,
    Reminder48Hours,
};
use tokio::task::JoinSet;
use tonic::Status;

use crate::assessments::Course;
use crate::desk::{FOUR, get_series, needling_request, revision, session, treatment_request};
use crate::harness::World;
use crate::harness::server::NOW;
use crate::harness::wire::{Clients, fields, missing, reason};
use crate::harness::world::{at, needling, request_id};
use crate::visits::complete;

/// A practice; none where the server is killed: its clock then goes back each time, and with it what is due.
async fn world() -> Option<World> {
    let world = World::new().await;
    world.server.set_clock(NOW)?;
    Some(world)
}

fn take_request() -> pb::TakeMessagesRequest {
    pb::TakeMessagesRequest { request_id: request_id(), ..Default::default() }
}

async fn ask(clients: &Clients, request: pb::TakeMessagesRequest) -> Result<pb::TakeMessagesResponse, Status> {
    Ok(clients.messages().take_messages(request).await?.into_inner())
}

async fn take(world: &World) -> Vec<pb::Message> {
    let answer = ask(&world.manager, take_request()).await.unwrap();
    assert!(!answer.more);
    answer.messages
}

/// What is taken now, as kinds with the local start of their visits, by start.
async fn told(world: &World) -> Vec<(MessageKind, String)> {
    let mut taken = take(world).await;
    taken.sort_by_key(|message| (message.start_time.unwrap().seconds, message.kind()));
    taken.iter().map(|message| (message.kind(), message.local_start[..16].to_owned())).collect()
}

async fn nothing_is_told(world: &World) {
    let told = told(world).await;
    assert!(told.is_empty(), "{told:?}");
}

fn of(kind: MessageKind, start: &str) -> (MessageKind, String) {
    (kind, start.to_owned())
}

async fn move_to(world: &World, visit: &pb::Appointment, start: &str) -> pb::Appointment {
    let request = pb::RescheduleAppointmentRequest {
        request_id: request_id(),
        etag: visit.etag.clone(),
        appointment_id: visit.appointment_id.clone(),
        start_time: world.visit_request(&world.sauna, start).start_time,
        ..Default::default()
    };
    world.manager.appointments().reschedule_appointment(request).await.unwrap().into_inner().appointment.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_is_told_when_it_is_booked_and_three_times_before_it_each_once() {
    let Some(world) = world().await else { return };
    // Between the first reminder and the others the clocks are put forward.
    let start = "2026-03-30T10:00";
    let visit = world.book_sauna("2026-03-30T10:00:00").await.unwrap();
    let first = take(&world).await;
    assert_eq!((first.len(), first[0].kind(), &first[0].appointment_id), (1, Booked, &visit.appointment_id));
    assert_eq!((&first[0].patient_id, &first[0].clinic_id), (&world.patients[0], &world.clinic));
    assert_eq!(first[0].local_start_words, "Monday 30 March 2026, 10:00");
    assert_eq!((first[0].told_start_time, first[0].told_appointment_id.as_str()), (None, ""));
    for (early, due, kind) in [
        ("2026-03-23T08:59:59Z", "2026-03-23T09:00:00Z", Reminder7Days),
        ("2026-03-28T07:59:59Z", "2026-03-28T08:00:00Z", Reminder48Hours),
        ("2026-03-29T07:59:59Z", "2026-03-29T08:00:00Z", Reminder24Hours),
    ] {
        let Some(()) = world.server.set_clock(early) else { return };
        nothing_is_told(&world).await;
        let Some(()) = world.server.set_clock(due) else { return };
        let taken = take(&world).await;
        let said: Vec<_> = taken.iter().map(|message| (message.kind(), message.due_at)).collect();
        assert_eq!(said, [(kind, at(due))]);
        nothing_is_told(&world).await;
    }
    let Some(()) = world.server.set_clock("2026-03-30T08:00:00Z") else { return };
    nothing_is_told(&world).await;
    // The front desk sees what was told, oldest first.
    let request = pb::ListMessagesRequest {
        subject: Some(pb::list_messages_request::Subject::PatientId(world.patients[0].clone())),
        page_size: 3,
        ..Default::default()
    };
    let page = world.manager.messages().list_messages(request.clone()).await.unwrap().into_inner();
    let kinds: Vec<_> = page.messages.iter().map(|message| message.kind()).collect();
    assert_eq!((kinds, &page.messages[0]), (vec![Booked, Reminder7Days, Reminder48Hours], &first[0]));
    let rest = pb::ListMessagesRequest { page_token: page.next_page_token, ..request };
    let rest = world.manager.messages().list_messages(rest).await.unwrap().into_inner();
    assert_eq!((rest.messages.len(), rest.messages[0].local_start[..16].to_owned()), (1, start.to_owned()));
    let other = pb::ListMessagesRequest {
        subject: Some(pb::list_messages_request::Subject::PatientId(world.patients[1].clone())),
        ..Default::default()
    };
    assert!(world.manager.messages().list_messages(other).await.unwrap().into_inner().messages.is_empty());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_took_in_its_time_gives_way_to_what_is_due_now() {
    let Some(world) = world().await else { return };
    world.book_sauna("2026-01-20T10:00:00").await.unwrap();
    // A reminder that would have been due before the booking is none.
    world.book_sauna("2026-01-06T08:30:00").await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-05T15:00:00Z") else { return };
    assert_eq!(told(&world).await, [of(Booked, "2026-01-06T08:30"), of(Booked, "2026-01-20T10:00")]);
    // The messaging system stood still for two weeks.
    let Some(()) = world.server.set_clock("2026-01-18T12:00:00Z") else { return };
    assert_eq!(told(&world).await, [of(Reminder48Hours, "2026-01-20T10:00")]);
    let Some(()) = world.server.set_clock("2026-01-20T08:59:59Z") else { return };
    assert_eq!(told(&world).await, [of(Reminder24Hours, "2026-01-20T10:00")]);
    // A booking is news for seven days.
    world.book_sauna("2026-02-20T10:00:00").await.unwrap();
    world.book_sauna("2026-02-21T10:00:00").await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-27T08:59:58Z") else { return };
    world.book_sauna("2026-02-22T10:00:00").await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-27T08:59:59Z") else { return };
    assert_eq!(told(&world).await, [of(Booked, "2026-02-22T10:00")]);
    // Whoever is checked in needs no reminder.
    let visit = world.book_sauna("2026-01-28T20:00:00").await.unwrap();
    assert_eq!(told(&world).await, [of(Booked, "2026-01-28T20:00")]);
    let Some(()) = world.server.set_clock("2026-01-28T00:00:00Z") else { return };
    world.check_in(&visit.appointment_id).await.unwrap();
    nothing_is_told(&world).await;
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_was_not_taken_follows_its_visit_and_one_that_was_is_corrected() {
    let Some(world) = world().await else { return };
    let first = world.book_sauna("2026-02-02T10:00:00").await.unwrap();
    // Nobody was told: the new time is the news.
    let second = move_to(&world, &first, "2026-02-03T10:00:00").await;
    assert_eq!(told(&world).await, [of(Booked, "2026-02-03T10:00")]);
    let third = move_to(&world, &second, "2026-02-04T10:00:00").await;
    let fourth = move_to(&world, &third, "2026-02-05T10:00:00").await;
    let moved = take(&world).await;
    assert_eq!((moved.len(), moved[0].kind(), moved[0].local_start_words.as_str()), {
        (1, Moved, "Thursday 5 February 2026, 10:00")
    });
    assert_eq!((&moved[0].told_appointment_id, &moved[0].told_clinic_id), (&second.appointment_id, &world.clinic));
    assert_eq!(moved[0].told_local_start, "2026-02-03T10:00:00+01:00");
    assert_eq!(moved[0].told_local_start_words, "Tuesday 3 February 2026, 10:00");
    // Back to what was told, there is nothing to tell.
    let fifth = move_to(&world, &fourth, "2026-02-06T10:00:00").await;
    let sixth = move_to(&world, &fifth, "2026-02-05T10:00:00").await;
    nothing_is_told(&world).await;
    // Reminded of, and moved: reminded of the new time again.
    let Some(()) = world.server.set_clock("2026-01-29T09:00:00Z") else { return };
    assert_eq!(told(&world).await, [of(Reminder7Days, "2026-02-05T10:00")]);
    let seventh = move_to(&world, &sixth, "2026-02-12T10:00:00").await;
    assert_eq!(told(&world).await, [of(Moved, "2026-02-12T10:00")]);
    let Some(()) = world.server.set_clock("2026-02-05T09:00:00Z") else { return };
    assert_eq!(told(&world).await, [of(Reminder7Days, "2026-02-12T10:00")]);
    // Moved once more and cancelled before that was told: the patient would come on the 12th.
    let eighth = move_to(&world, &seventh, "2026-02-19T10:00:00").await;
    world.cancel(&eighth).await.unwrap();
    let cancelled = take(&world).await;
    assert_eq!((cancelled.len(), cancelled[0].kind()), (1, Cancelled));
    assert_eq!(cancelled[0].appointment_id, eighth.appointment_id);
    assert_eq!(cancelled[0].told_local_start, "2026-02-12T10:00:00+01:00");
    nothing_is_told(&world).await;
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_is_told_once_and_only_to_who_would_come() {
    let Some(world) = world().await else { return };
    let untold = world.book_sauna("2026-02-02T10:00:00").await.unwrap();
    world.cancel(&untold).await.unwrap();
    nothing_is_told(&world).await;
    let visit = world.book_sauna("2026-02-02T10:00:00").await.unwrap();
    let late = world.book_sauna("2026-02-03T10:00:00").await.unwrap();
    assert_eq!(told(&world).await.len(), 2);
    world.cancel(&visit).await.unwrap();
    let cancelled = take(&world).await;
    assert_eq!((cancelled.len(), cancelled[0].kind()), (1, Cancelled));
    let told_of = (&cancelled[0].appointment_id, &cancelled[0].told_appointment_id);
    assert_eq!(told_of, (&visit.appointment_id, &visit.appointment_id));
    nothing_is_told(&world).await;
    // Every session of a series that is cancelled.
    let series = world.book_series(&["2026-03-02T10:00:00", "2026-03-30T10:00:00", "2026-04-27T10:00:00"]).await;
    let series = series.unwrap();
    assert_eq!(told(&world).await.iter().filter(|(kind, _)| *kind == Booked).count(), 3);
    let cancel = pb::CancelSeriesRequest {
        request_id: request_id(),
        etag: series.etag,
        series_id: series.series_id,
        ..Default::default()
    };
    world.manager.series().cancel_series(cancel).await.unwrap();
    let kinds: Vec<_> = told(&world).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [Cancelled, Cancelled, Cancelled]);
    // When the time has passed for which the patient would have come, it is too late.
    let Some(()) = world.server.set_clock("2026-02-03T08:00:00Z") else { return };
    world.cancel(&late).await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-03T09:00:00Z") else { return };
    nothing_is_told(&world).await;
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_is_told_only_once_it_is_booked_and_nobody_is_told_that_they_did_not_come() {
    let Some(world) = world().await else { return };
    let hold = pb::HoldAppointmentRequest {
        request_id: request_id(),
        visit: Some(pb::hold_appointment_request::Visit::Treatment(pb::TreatmentVisit {
            patient_id: world.patients[0].clone(),
            treatment_id: world.sauna.clone(),
            ..Default::default()
        })),
        clinic_id: world.clinic.clone(),
        start_time: world.visit_request(&world.sauna, "2026-01-06T10:00:00").start_time,
        ..Default::default()
    };
    let held = world.manager.appointments().hold_appointment(hold).await.unwrap().into_inner().appointment.unwrap();
    nothing_is_told(&world).await;
    let convert = pb::ConvertHoldRequest {
        request_id: request_id(),
        etag: held.etag,
        appointment_id: held.appointment_id.clone(),
        ..Default::default()
    };
    let booked = world.manager.appointments().convert_hold(convert).await.unwrap().into_inner().appointment.unwrap();
    assert_eq!(told(&world).await, [of(Booked, "2026-01-06T10:00")]);
    let Some(()) = world.server.set_clock("2026-01-06T09:30:00Z") else { return };
    let missed = pb::MarkNoShowRequest {
        request_id: request_id(),
        etag: booked.etag,
        appointment_id: held.appointment_id,
        ..Default::default()
    };
    world.manager.appointments().mark_no_show(missed).await.unwrap();
    nothing_is_told(&world).await;
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_treatments_instructions_are_told_before_and_after_and_the_skin_is_asked_after() {
    let Some(world) = world().await else { return };
    let request = needling_request(&world, &world.patients[0], pb::BodyArea::Hands, "2026-02-02T10:00:00");
    let visit = world.book(request).await.unwrap();
    assert_eq!(told(&world).await, [of(Booked, "2026-02-02T10:00")]);
    // No peel for 14 days before 10:30, and a day to get ready for it.
    let Some(()) = world.server.set_clock("2026-01-18T09:29:59Z") else { return };
    nothing_is_told(&world).await;
    let Some(()) = world.server.set_clock("2026-01-18T09:30:00Z") else { return };
    let pre_care = take(&world).await;
    assert_eq!((pre_care.len(), pre_care[0].kind(), pre_care[0].instructions.len()), (1, PreCare, 1));
    let peel = &pre_care[0].instructions[0];
    assert_eq!((peel.instruction.as_str(), peel.activity()), ("No peel.", pb::Activity::ChemicalPeel));
    let words = "From Monday 19 January 2026, 10:30, until the treatment on Monday 2 February 2026, 10:30";
    assert_eq!(peel.pre_care_words, words);
    let Some(()) = world.server.set_clock("2026-02-02T08:59:59Z") else { return };
    assert_eq!(told(&world).await, [of(Reminder24Hours, "2026-02-02T10:00")]);
    world.check_in(&visit.appointment_id).await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-02T10:30:00Z") else { return };
    nothing_is_told(&world).await;
    complete(&world, &visit.appointment_id, Some("2026-02-02T10:20:00")).await.unwrap();
    let aftercare = take(&world).await;
    assert_eq!((aftercare.len(), aftercare[0].kind(), aftercare[0].due_at), (1, Aftercare, at("2026-02-02T10:30:00Z")));
    let mut instructions: Vec<_> = aftercare[0]
        .instructions
        .iter()
        .map(|told| (told.instruction.as_str(), told.aftercare_words.as_str()))
        .collect();
    instructions.sort_unstable();
    // From when it really began.
    let (peel, sauna) = ("Until Monday 16 February 2026, 11:20", "Until Saturday 7 February 2026, 11:20");
    assert_eq!(instructions, [("No peel.", peel), ("No sauna.", sauna)]);
    let Some(()) = world.server.set_clock("2026-02-04T09:19:59Z") else { return };
    nothing_is_told(&world).await;
    let Some(()) = world.server.set_clock("2026-02-04T09:20:00Z") else { return };
    assert_eq!(told(&world).await, [of(Check2Days, "2026-02-02T10:00")]);

    // Neither before nor after a visit that asks for nothing, and not for long after one that nobody completed.
    let sauna = world.book_sauna("2026-02-10T10:00:00").await.unwrap();
    let request = needling_request(&world, &world.patients[1], pb::BodyArea::Hands, "2026-02-10T12:00:00");
    let other = world.book(request).await.unwrap();
    let kinds: Vec<_> = told(&world).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([Booked, PreCare]));
    let Some(()) = world.server.set_clock("2026-02-10T11:00:00Z") else { return };
    for visit in [&sauna, &other] {
        world.check_in(&visit.appointment_id).await.unwrap();
    }
    complete(&world, &sauna.appointment_id, None).await.unwrap();
    nothing_is_told(&world).await;
    let Some(()) = world.server.set_clock("2026-02-17T11:00:00Z") else { return };
    complete(&world, &other.appointment_id, None).await.unwrap();
    assert_eq!(told(&world).await, [of(Aftercare, "2026-02-10T12:00")]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_to_leave_alone_is_not_told_again_when_a_visit_goes_to_somebody_else() {
    let Some(world) = world().await else { return };
    let mut request = needling_request(&world, &world.patients[0], pb::BodyArea::Hands, "2026-02-02T10:00:00");
    request.resource_ids = vec![world.practitioners[0].clone()];
    let visit = world.book(request).await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-18T09:30:00Z") else { return };
    assert_eq!(told(&world).await, [of(PreCare, "2026-02-02T10:00")]);
    let away = pb::CreateTimeOffRequest {
        request_id: request_id(),
        resource_id: world.practitioners[0].clone(),
        start_time: at("2026-02-02T00:00:00Z"),
        end_time: at("2026-02-03T00:00:00Z"),
        rebooking: Some(pb::Rebooking { all: true, moves: Vec::new() }),
        ..Default::default()
    };
    let done = world.manager.resources().create_time_off(away).await.unwrap().into_inner().displacement.unwrap();
    let new = done.visits[0].moved_to.clone().unwrap();
    assert_ne!(new.appointment_id, visit.appointment_id);
    assert_eq!(new.start_time, visit.start_time);
    nothing_is_told(&world).await;
    // Another time is news, and so is from when on.
    move_to(&world, &new, "2026-02-02T08:00:00").await;
    assert_eq!(told(&world).await, [of(Moved, "2026-02-02T08:00"), of(PreCare, "2026-02-02T08:00")]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_treatment_that_asks_for_nothing_afterwards_has_no_aftercare_to_tell() {
    let Some(world) = world().await else { return };
    let mut content = needling();
    content.name = "Quick needling".into();
    content.restrictions.retain(|restriction| restriction.before.is_some());
    content.restrictions.iter_mut().for_each(|restriction| restriction.after = None);
    assert!(!content.restrictions.is_empty() && content.duties.is_empty());
    let treatment = world.publish_treatment(content).await;
    let start = "2026-01-05T10:00:00";
    let hands = pb::BodyArea::Hands;
    let visit = world.book(treatment_request(&world, &world.patients[0], &treatment, hands, start)).await.unwrap();
    assert_eq!(told(&world).await, [of(Booked, "2026-01-05T10:00"), of(PreCare, "2026-01-05T10:00")]);
    let Some(()) = world.server.set_clock("2026-01-05T09:40:00Z") else { return };
    world.check_in(&visit.appointment_id).await.unwrap();
    // Before the treatment would have been over by plan, and with it what it forbids.
    complete(&world, &visit.appointment_id, Some("2026-01-05T10:00:00")).await.unwrap();
    nothing_is_told(&world).await;
    world.server.assert_clean().await;
}

/// The visits that may have something due, read so many at a time.
async fn topics(world: &World, now: &str, at_once: i64) -> Vec<Topic> {
    let (mut db, now) = (world.server.pool().acquire().await.unwrap(), now.parse().unwrap());
    let practice = PracticeId(world.practice.parse().unwrap());
    let mut all: Vec<Topic> = Vec::new();
    loop {
        let after = all.last().map(|last| (last.visit.start(), last.appointment));
        let some = stipple::store::message::topics(&mut db, practice, now, after, at_once).await.unwrap();
        if some.is_empty() {
            return all;
        }
        assert!(i64::try_from(some.len()).unwrap() <= at_once);
        all.extend(some);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_takes_stands_in_the_way_of_nothing() {
    let Some(world) = world().await else { return };
    let first = world.book_sauna("2026-01-05T10:00:00").await.unwrap();
    // Two at the same time, one later.
    world.book_sauna("2026-02-02T10:00:00").await.unwrap();
    let mut other = world.visit_request(&world.sauna, "2026-02-02T10:00:00");
    if let Some(pb::book_appointment_request::Visit::Treatment(visit)) = &mut other.visit {
        visit.patient_id = world.patients[1].clone();
    }
    world.book(other).await.unwrap();
    world.book_sauna("2026-02-03T10:00:00").await.unwrap();
    let whole = topics(&world, NOW, 100).await;
    assert_eq!(whole.len(), 4);
    for at_once in 1..=4 {
        assert_eq!(topics(&world, NOW, at_once).await, whole);
    }
    // What has nothing to tell, now or later, is not looked at: of a kind that nobody wants there may be any number.
    let (now, later) = ("2026-01-05T10:00:00Z", "2026-01-29T10:00:00Z");
    let Some(()) = world.server.set_clock(now) else { return };
    world.check_in(&first.appointment_id).await.unwrap();
    complete(&world, &first.appointment_id, None).await.unwrap();
    assert_eq!(topics(&world, now, 100).await, whole[1..]);
    take(&world).await;
    assert!(topics(&world, now, 100).await.is_empty());
    assert_eq!(topics(&world, later, 100).await.len(), 3);
    let Some(()) = world.server.set_clock(later) else { return };
    assert_eq!(take(&world).await.len(), 3);
    assert!(topics(&world, later, 100).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assessment_is_told_when_it_is_due_and_not_if_it_is_booked() {
    let course = Course::new().await;
    let world = &course.world;
    let Some(()) = world.server.set_clock(NOW) else { return };
    let days = ["2026-02-02T10:00:00", "2026-03-02T10:00:00", "2026-03-30T10:00:00"];
    let series = course.book_series(&days).await;
    for (number, day) in (1..).zip(["2026-02-02", "2026-03-02", "2026-03-30"]) {
        let Some(()) = world.server.set_clock(&format!("{day}T12:00:00Z")) else { return };
        let id = session(&get_series(world, &series.series_id).await, number).appointment_id.clone();
        world.check_in(&id).await.unwrap();
        complete(world, &id, None).await.unwrap();
    }
    // Its first day begins at midnight, 28 days after the last session.
    let Some(()) = world.server.set_clock("2026-04-26T21:59:59Z") else { return };
    assert!(!told(world).await.iter().any(|(kind, _)| *kind == AssessmentDue));
    let Some(()) = world.server.set_clock("2026-04-26T22:00:00Z") else { return };
    let shown = ask(&world.manager, pb::TakeMessagesRequest { validate_only: true, ..take_request() }).await.unwrap();
    assert_eq!((shown.messages.len(), shown.messages[0].kind()), (1, AssessmentDue));
    // One that is booked is reminded of like any visit.
    let visit = course.book(&series, 4, "2026-05-11T10:00:00").await.unwrap();
    assert_eq!(told(world).await, [of(Booked, "2026-05-11T10:00")]);
    world.cancel(&visit).await.unwrap();
    let taken = take(world).await;
    let kinds: Vec<_> = taken.iter().map(|message| (message.kind(), message.assessment_number)).collect();
    assert_eq!(kinds, [(AssessmentDue, 4), (Cancelled, 0)]);
    let last = session(&get_series(world, &series.series_id).await, 3).appointment_id.clone();
    assert_eq!((&taken[0].appointment_id, &taken[0].series_id), (&last, &series.series_id));
    let Some(()) = world.server.set_clock("2026-06-01T10:00:00Z") else { return };
    nothing_is_told(world).await;
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_takes_what_it_asks_for_and_its_repeat_has_the_same_messages() {
    let Some(world) = world().await else { return };
    for day in 20..25 {
        world.book_sauna(&format!("2026-02-{day}T10:00:00")).await.unwrap();
    }
    let before = revision(&world).await;
    let none = pb::TakeMessagesRequest { kinds: vec![Reminder7Days.into(), Check2Days.into()], ..take_request() };
    assert_eq!(ask(&world.manager, none.clone()).await.unwrap(), pb::TakeMessagesResponse::default());
    let shown = pb::TakeMessagesRequest { validate_only: true, ..take_request() };
    assert_eq!(ask(&world.manager, shown).await.unwrap().messages.len(), 5);
    assert_eq!(revision(&world).await, before, "nothing was taken");
    let request = pb::TakeMessagesRequest { message_limit: 2, kinds: vec![Booked.into()], ..take_request() };
    let first = ask(&world.manager, request.clone()).await.unwrap();
    assert_eq!((first.messages.len(), first.more, revision(&world).await), (2, true, before + 1));
    assert_eq!(ask(&world.manager, request.clone()).await.unwrap(), first);
    let other = pb::TakeMessagesRequest { message_limit: 3, ..request };
    assert_eq!(reason(&ask(&world.manager, other).await.unwrap_err()), "REQUEST_ID_REUSED");
    // One entry of the history, which names the visits and nobody.
    let changes = pb::ListChangesRequest { after_revision: before, ..Default::default() };
    let changes = world.manager.history().list_changes(changes).await.unwrap().into_inner().changes;
    assert_eq!((changes.len(), changes[0].kind.as_str(), changes[0].patient_id.as_str()), (1, "message.taken", ""));
    let named: BTreeSet<_> = changes[0].appointment_ids.iter().collect();
    assert_eq!(named, first.messages.iter().map(|message| &message.appointment_id).collect());
    assert_eq!(take(&world).await.len(), 3);
    let twice = pb::TakeMessagesRequest { kinds: vec![Booked.into(), Booked.into()], ..take_request() };
    assert_eq!(fields(&ask(&world.manager, twice).await.unwrap_err()), ["kinds"]);
    for subject in [
        pb::list_messages_request::Subject::PatientId(request_id()),
        pb::list_messages_request::Subject::AppointmentId(request_id()),
    ] {
        let field = if matches!(subject, pb::list_messages_request::Subject::PatientId(_)) {
            "patient_id"
        } else {
            "appointment_id"
        };
        let request = pb::ListMessagesRequest { subject: Some(subject), ..Default::default() };
        assert_eq!(missing(&world.manager.messages().list_messages(request).await.unwrap_err()), field);
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_eight_who_take_at_once_over_two_servers_each_message_goes_to_one() {
    let Some(world) = world().await else { return };
    let series = world.book_series(&FOUR).await.unwrap();
    let mut visits = Vec::new();
    for day in 1..=24 {
        let mut request = world.visit_request(&world.sauna, &format!("2026-06-{day:02}T10:00:00"));
        if let Some(pb::book_appointment_request::Visit::Treatment(visit)) = &mut request.visit {
            visit.patient_id = world.patients[1].clone();
        }
        visits.push(world.book(request).await.unwrap());
    }
    let beside = world.server.beside().await;
    let (_, bearer) = crate::wire::bearer(&world.server, &world.practice, pb::Role::FrontDesk, "").await;
    let mut takers = JoinSet::new();
    for taker in 0..8 {
        let server = if taker % 2 == 0 { &world.server } else { &beside };
        let clients = server.clients(&bearer);
        takers.spawn(async move {
            let mut taken = Vec::new();
            for _ in 0..12 {
                let request = pb::TakeMessagesRequest { message_limit: 3, ..take_request() };
                let first = ask(&clients, request.clone()).await.unwrap();
                // The answer may have been lost.
                let again = ask(&clients, request).await.unwrap();
                if first.messages.is_empty() {
                    // Then nothing is remembered, and the repeat may find what came up since.
                    taken.extend(again.messages);
                } else {
                    assert_eq!(first.messages, again.messages);
                    taken.extend(first.messages);
                }
            }
            taken
        });
    }
    let mut now: Vec<pb::Appointment> = Vec::new();
    for (number, visit) in visits.iter().enumerate() {
        match number % 3 {
            0 => now.push(world.cancel(visit).await.unwrap()),
            1 => {
                let start = format!("2026-07-{:02}T10:00:00", number + 1);
                now.push(move_to(&world, visit, &start).await);
            }
            _ => now.push(visit.clone()),
        }
    }
    let mut all: Vec<pb::Message> = takers.join_all().await.into_iter().flatten().collect();
    while let Some(rest) =
        Some(ask(&world.manager, take_request()).await.unwrap()).filter(|rest| !rest.messages.is_empty())
    {
        all.extend(rest.messages);
    }
    let told: BTreeSet<_> =
        all.iter().map(|message| (&message.appointment_id, message.kind(), message.assessment_number)).collect();
    assert_eq!(told.len(), all.len(), "no message went to two");
    let about = |id: &str| {
        let mut kinds: Vec<_> =
            all.iter().filter(|message| message.appointment_id == id).map(|message| message.kind()).collect();
        kinds.sort_unstable();
        kinds
    };
    for (visit, now) in visits.iter().zip(&now) {
        let (before, after) = (about(&visit.appointment_id), about(&now.appointment_id));
        match (now.state(), now.appointment_id == visit.appointment_id) {
            (pb::AppointmentState::Cancelled, _) => assert!(before.is_empty() || before == [Booked, Cancelled]),
            // Told of the first time and of the move, or of the new time only.
            (_, false) => assert!((before.is_empty() && after == [Booked]) || (before == [Booked] && after == [Moved])),
            (_, true) => assert_eq!(before, [Booked]),
        }
    }
    for number in 1..=4 {
        assert_eq!(about(&session(&series, number).appointment_id), [Booked]);
    }
    world.server.assert_clean().await;
}

/// Breaks the tables around the server, and what verify then says.
async fn finds(world: &World, damage: &str, what: &str) {
    world.server.assert_clean().await;
    let mut db = world.server.pool().begin().await.unwrap();
    db.execute(AssertSqlSafe(damage.to_owned())).await.unwrap();
    let report = stipple::store::verify::verify(&mut db).await.unwrap();
    let broken: Vec<_> = report.checks.iter().filter(|check| check.violations > 0).map(|check| &check.what).collect();
    assert_eq!(broken, [what], "{damage}");
    db.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_messages_that_were_taken_twice_or_before_their_time_or_by_nobody() {
    let Some(world) = world().await else { return };
    let visit = world.book_sauna("2026-01-20T10:00:00").await.unwrap();
    take(&world).await;
    let moved = move_to(&world, &visit, "2026-02-20T10:00:00").await;
    take(&world).await;
    let Some(()) = world.server.set_clock("2026-02-13T09:00:00Z") else { return };
    take(&world).await;
    world.cancel(&moved).await.unwrap();
    take(&world).await;
    let by_change = "messages are taken by the changes that name their visits";
    finds(&world, "UPDATE messages SET taken_revision = taken_revision - 1 WHERE kind = 'reminder_7_days'", by_change)
        .await;
    finds(&world, "DELETE FROM messages WHERE kind = 'cancelled'", by_change).await;
    let twice = "ALTER TABLE messages DROP CONSTRAINT message_is_taken_once;
        INSERT INTO messages SELECT practice_id, gen_random_uuid(), appointment_id, kind, assessment_number,
            told_appointment_id, due_at, taken_at, taken_revision FROM messages WHERE kind = 'reminder_7_days'";
    finds(&world, twice, "no message is taken twice").await;
    let timely = "messages are taken in their time";
    finds(&world, "UPDATE messages SET due_at = due_at - interval '2 hours' WHERE kind = 'reminder_7_days'", timely)
        .await;
    finds(&world, "UPDATE messages SET kind = 'reminder_24_hours' WHERE kind = 'reminder_7_days'", timely).await;
    finds(&world, "UPDATE messages SET kind = 'aftercare' WHERE kind = 'reminder_7_days'", timely).await;
    let corrects = "moves and cancellations correct what was told last";
    let other = "UPDATE messages m SET told_appointment_id = a.replaces FROM appointments a
        WHERE a.appointment_id = m.appointment_id AND m.kind = 'cancelled'";
    finds(&world, other, corrects).await;
}
