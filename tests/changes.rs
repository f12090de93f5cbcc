//! The history of a practice: every acknowledged change once, in order, and nothing else.

use std::collections::BTreeMap;

use stipple::rpc::pb;

use crate::harness::World;
use crate::harness::wire::reason;
use crate::harness::world::request_id;
use crate::wire::bearer;

pub async fn all_changes(world: &World, page_size: i32) -> Vec<pb::Change> {
    let (mut changes, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListChangesRequest { page_size, page_token, ..Default::default() };
        let answer = world.manager.history().list_changes(request).await.unwrap().into_inner();
        changes.extend(answer.changes);
        if answer.next_page_token.is_empty() {
            return changes;
        }
        page_token = answer.next_page_token;
    }
}

fn patient(family_name: &str, request_id: String) -> pb::CreatePatientRequest {
    pb::CreatePatientRequest {
        request_id,
        given_name: "Given".into(),
        family_name: family_name.into(),
        birth_date: "1990-04-01".into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_clients_that_write_and_are_refused_leave_a_history_without_gap() {
    let world = World::new().await;
    let before = all_changes(&world, 500).await.len();
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    let mut running = Vec::new();
    for client in 0..8 {
        let (token_id, text) = bearer(&world.server, &world.practice, pb::Role::FrontDesk, "").await;
        let clients = world.server.clients(&text);
        running.push(tokio::spawn(async move {
            let mut accepted = Vec::new();
            for round in 0..6 {
                let request = patient(&format!("F{client}{round}"), request_id());
                clients.patients().create_patient(request.clone()).await.unwrap();
                // The same again is no second change.
                clients.patients().create_patient(request.clone()).await.unwrap();
                accepted.push((request.request_id.clone(), token_id.clone()));
                // The same id for something else, a bad message, a stale etag, and a mere try: no change.
                let reused = clients.patients().create_patient(patient("other", request.request_id)).await.unwrap_err();
                assert_eq!(reason(&reused), "REQUEST_ID_REUSED");
                clients.patients().create_patient(patient("", request_id())).await.unwrap_err();
                let cancel = pb::CancelSeriesRequest {
                    request_id: request_id(),
                    etag: "1".into(),
                    series_id: request_id(),
                    ..Default::default()
                };
                clients.series().cancel_series(cancel).await.unwrap_err();
                let tried = pb::CreatePatientRequest { validate_only: true, ..patient("tried", request_id()) };
                clients.patients().create_patient(tried).await.unwrap();
            }
            accepted
        }));
    }
    for task in running {
        expected.extend(task.await.unwrap());
    }
    let changes = all_changes(&world, 7).await;
    assert_eq!(changes.len(), before + 8 + 48, "eight tokens and 48 patients");
    for (place, change) in changes.iter().enumerate() {
        assert_eq!(change.revision, i64::try_from(place).unwrap() + 1);
    }
    let written: Vec<&pb::Change> = changes.iter().filter(|c| expected.contains_key(&c.request_id)).collect();
    assert_eq!(written.len(), 48);
    for change in written {
        assert_eq!(change.token_id, expected[&change.request_id]);
        assert_eq!((change.role(), change.kind.as_str()), (pb::Role::FrontDesk, "patient.created"));
        assert_eq!(change.subject_id, change.patient_id);
    }
    let practice = world.manager.practices().get_practice(pb::GetPracticeRequest::default()).await.unwrap();
    assert_eq!(practice.into_inner().practice.unwrap().revision, changes.last().unwrap().revision);
    let everybody = pb::ListPatientsRequest { page_size: 500, ..Default::default() };
    let listed = world.manager.patients().list_patients(everybody).await.unwrap().into_inner();
    assert_eq!(listed.patients.len(), 2 + 48);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_is_read_on_from_any_revision() {
    let world = World::new().await;
    let all = all_changes(&world, 500).await;
    assert_eq!((all[0].kind.as_str(), all[0].role()), ("practice.created", pb::Role::Operator));
    for after in [0, 1, 5, i64::try_from(all.len()).unwrap(), i64::MAX] {
        let request = pb::ListChangesRequest { after_revision: after, page_size: 500, ..Default::default() };
        let answer = world.manager.history().list_changes(request).await.unwrap().into_inner();
        let rest: Vec<pb::Change> = all.iter().filter(|change| change.revision > after).cloned().collect();
        assert_eq!(answer.changes, rest);
    }
    // A booked series names its appointments.
    let days = ["2026-02-02T10:00:00", "2026-03-02T10:00:00", "2026-03-30T10:00:00"];
    let series = world.book_series(&days).await.unwrap();
    let change = all_changes(&world, 500).await.pop().unwrap();
    let booked: Vec<String> =
        series.sessions.iter().map(|s| s.appointment.as_ref().unwrap().appointment_id.clone()).collect();
    assert_eq!((change.subject_id, change.patient_id), (series.series_id, series.patient_id));
    assert_eq!((change.kind.as_str(), change.appointment_ids), ("series.booked", booked));
}
