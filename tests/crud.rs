//! The lives of practices, clinics, resources, patients, closures and time off.

use stipple::rpc::pb;
use tonic::{Code, Status};

use crate::harness::World;
use crate::harness::wire::reason;
use crate::harness::world::{at, every_day, request_id};

fn is(status: &Status, code: Code, named: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (code, named), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_practice_is_created_read_and_changed() {
    let world = World::new().await;
    let operator = world.server.operator();
    let create = |days, name: &str| pb::CreatePracticeRequest {
        request_id: request_id(),
        name: name.into(),
        booking_horizon_days: days,
        ..Default::default()
    };
    let request = create(0, " Dermatology am Ring ");
    let made = operator.practices().create_practice(request.clone()).await.unwrap().into_inner().practice.unwrap();
    let expected = pb::Practice {
        practice_id: made.practice_id.clone(),
        name: "Dermatology am Ring".into(),
        booking_horizon_days: 400,
        revision: 1,
        etag: made.etag.clone(),
        booking_rules: made.booking_rules,
    };
    assert_eq!(made, expected);
    assert_eq!(operator.practices().create_practice(request).await.unwrap().into_inner().practice.unwrap(), made);
    let tried = pb::CreatePracticeRequest { validate_only: true, ..create(800, "Tried") };
    operator.practices().create_practice(tried).await.unwrap();

    let update = |etag: &str| pb::UpdatePracticeRequest {
        practice_id: made.practice_id.clone(),
        request_id: request_id(),
        etag: etag.into(),
        name: "Another name".into(),
        booking_horizon_days: 800,
        ..Default::default()
    };
    let request = update(&made.etag);
    let changed = operator.practices().update_practice(request.clone()).await.unwrap().into_inner().practice.unwrap();
    assert_eq!((changed.name.as_str(), changed.booking_horizon_days, changed.revision), ("Another name", 800, 2));
    assert_ne!(changed.etag, made.etag);
    assert_eq!(operator.practices().update_practice(request).await.unwrap().into_inner().practice.unwrap(), changed);
    let stale = operator.practices().update_practice(update(&made.etag)).await.unwrap_err();
    is(&stale, Code::Aborted, "ETAG_MISMATCH");
    let get = pb::GetPracticeRequest { practice_id: made.practice_id.clone() };
    assert_eq!(operator.practices().get_practice(get).await.unwrap().into_inner().practice.unwrap(), changed);
    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListPracticesRequest { page_size: 1, page_token };
        let page = operator.practices().list_practices(request).await.unwrap().into_inner();
        assert_eq!(page.practices.len(), 1);
        names.extend(page.practices.into_iter().map(|practice| practice.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    names.sort_unstable();
    assert_eq!(names, ["A practice", "Another name"], "neither the deployment nor what was only tried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinic_is_created_read_changed_and_closed_for_a_while() {
    let world = World::new().await;
    let mut practices = world.manager.practices();
    let request = pb::CreateClinicRequest {
        request_id: request_id(),
        name: "Kathmandu".into(),
        time_zone: "Asia/Kathmandu".into(),
        opening_hours: every_day("09:00", "17:30"),
        ..Default::default()
    };
    let made = practices.create_clinic(request.clone()).await.unwrap().into_inner().clinic.unwrap();
    assert_eq!((made.name.as_str(), made.time_zone.as_str()), ("Kathmandu", "Asia/Kathmandu"));
    assert_eq!(made.opening_hours, every_day("09:00", "17:30"));
    assert_eq!(practices.create_clinic(request).await.unwrap().into_inner().clinic.unwrap(), made);
    let update = |etag: &str, id: &str| pb::UpdateClinicRequest {
        request_id: request_id(),
        etag: etag.into(),
        clinic_id: id.into(),
        name: "Patan".into(),
        opening_hours: vec![pb::WeeklyHours { weekday: 7, opens: "00:00".into(), closes: "24:00".into() }],
        ..Default::default()
    };
    let changed = practices.update_clinic(update(&made.etag, &made.clinic_id)).await.unwrap().into_inner();
    let changed = changed.clinic.unwrap();
    assert_eq!((changed.name.as_str(), changed.opening_hours.len()), ("Patan", 1));
    assert_eq!(changed.time_zone, made.time_zone);
    let stale = practices.update_clinic(update(&made.etag, &made.clinic_id)).await.unwrap_err();
    is(&stale, Code::Aborted, "ETAG_MISMATCH");
    let unknown = practices.update_clinic(update(&made.etag, &request_id())).await.unwrap_err();
    is(&unknown, Code::NotFound, "NOT_FOUND");
    let get = pb::GetClinicRequest { clinic_id: made.clinic_id.clone(), ..Default::default() };
    assert_eq!(practices.get_clinic(get).await.unwrap().into_inner().clinic.unwrap(), changed);
    let listed = practices.list_clinics(pb::ListClinicsRequest::default()).await.unwrap().into_inner().clinics;
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&changed) && listed.iter().any(|clinic| clinic.clinic_id == world.clinic));

    let close = |day: u32| pb::CreateClosureRequest {
        request_id: request_id(),
        clinic_id: made.clinic_id.clone(),
        start_time: at(&format!("2026-06-{day:02}T00:00:00Z")),
        end_time: at(&format!("2026-06-{:02}T12:00:00Z", day + 1)),
        reason: "Works on the house".into(),
        ..Default::default()
    };
    let mut made_closures = Vec::new();
    for day in [20, 10, 11] {
        let request = close(day);
        let closure = practices.create_closure(request.clone()).await.unwrap().into_inner().closure.unwrap();
        assert_eq!((closure.start_time, closure.end_time), (request.start_time, request.end_time));
        assert_eq!(practices.create_closure(request).await.unwrap().into_inner().closure.unwrap(), closure);
        made_closures.push(closure);
    }
    let list = |page_token: &str| pb::ListClosuresRequest {
        clinic_id: made.clinic_id.clone(),
        page_size: 2,
        page_token: page_token.into(),
        ..Default::default()
    };
    let first = practices.list_closures(list("")).await.unwrap().into_inner();
    let second = practices.list_closures(list(&first.next_page_token)).await.unwrap().into_inner();
    // Oldest first, which within a millisecond, and the tests' clock stands, is the order of the ids.
    made_closures.sort_by(|a, b| a.closure_id.cmp(&b.closure_id));
    assert_eq!([first.closures, second.closures].concat(), made_closures);
    assert_eq!(second.next_page_token, "");
    let delete = pb::DeleteClosureRequest {
        request_id: request_id(),
        closure_id: made_closures[1].closure_id.clone(),
        ..Default::default()
    };
    practices.delete_closure(delete.clone()).await.unwrap();
    practices.delete_closure(delete.clone()).await.expect("the same again answers the same");
    let again = pb::DeleteClosureRequest { request_id: request_id(), ..delete };
    is(&practices.delete_closure(again).await.unwrap_err(), Code::NotFound, "NOT_FOUND");
    assert_eq!(practices.list_closures(list("")).await.unwrap().into_inner().closures.len(), 2);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_is_created_read_changed_and_sent_on_leave() {
    let world = World::new().await;
    let mut resources = world.manager.resources();
    let hours = |opens: &str, closes: &str| -> Vec<pb::WorkingHours> {
        let clinic_id = world.clinic.clone();
        every_day(opens, closes)
            .into_iter()
            .map(|hours| pb::WorkingHours { clinic_id: clinic_id.clone(), hours: Some(hours) })
            .collect()
    };
    let request = pb::CreateResourceRequest {
        request_id: request_id(),
        kind: pb::ResourceKind::Practitioner.into(),
        name: "Dr. Somebody".into(),
        qualifications: vec!["needling".into(), "laser".into()],
        working_hours: hours("08:00", "12:00"),
        ..Default::default()
    };
    let made = resources.create_resource(request.clone()).await.unwrap().into_inner().resource.unwrap();
    assert!(made.active && made.clinic_id.is_empty());
    assert_eq!(made.working_hours, hours("08:00", "12:00"));
    assert_eq!(resources.create_resource(request).await.unwrap().into_inner().resource.unwrap(), made);
    let get = pb::GetResourceRequest { resource_id: made.resource_id.clone(), ..Default::default() };
    assert_eq!(resources.get_resource(get.clone()).await.unwrap().into_inner().resource.unwrap(), made);
    let update = |etag: &str| pb::UpdateResourceRequest {
        request_id: request_id(),
        etag: etag.into(),
        resource_id: made.resource_id.clone(),
        name: "Dr. Somebody Else".into(),
        active: false,
        qualifications: vec!["laser".into()],
        working_hours: hours("13:00", "24:00"),
        ..Default::default()
    };
    let request = update(&made.etag);
    let changed = resources.update_resource(request.clone()).await.unwrap().into_inner().resource.unwrap();
    assert_eq!(resources.update_resource(request).await.unwrap().into_inner().resource.unwrap(), changed);
    assert_eq!(resources.get_resource(get).await.unwrap().into_inner().resource.unwrap(), changed);
    assert_eq!((changed.active, changed.qualifications.len()), (false, 1));
    assert_eq!(changed.working_hours, hours("13:00", "24:00"));
    is(&resources.update_resource(update(&made.etag)).await.unwrap_err(), Code::Aborted, "ETAG_MISMATCH");
    for (kind, count) in [(0, 9), (1, 3), (2, 2), (3, 2), (4, 2)] {
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListResourcesRequest { kind, page_size: 2, page_token, ..Default::default() };
            let page = resources.list_resources(request).await.unwrap().into_inner();
            seen.extend(page.resources.into_iter().map(|resource| resource.resource_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(seen.len(), count);
        assert!(seen.is_sorted_by(|a, b| a < b), "oldest first, each once");
    }

    let leave = |resource_id: &str| pb::CreateTimeOffRequest {
        request_id: request_id(),
        resource_id: resource_id.into(),
        start_time: at("2026-06-01T00:00:00Z"),
        end_time: at("2026-06-15T00:00:00Z"),
        reason: "Leave".into(),
        ..Default::default()
    };
    is(&resources.create_time_off(leave(&world.clinic)).await.unwrap_err(), Code::NotFound, "NOT_FOUND");
    let request = leave(&made.resource_id);
    let away = resources.create_time_off(request.clone()).await.unwrap().into_inner().time_off.unwrap();
    assert_eq!(resources.create_time_off(request).await.unwrap().into_inner().time_off.unwrap(), away);
    let list = pb::ListTimeOffRequest { resource_id: made.resource_id.clone(), ..Default::default() };
    assert_eq!(resources.list_time_off(list.clone()).await.unwrap().into_inner().time_off, std::slice::from_ref(&away));
    let delete =
        pb::DeleteTimeOffRequest { request_id: request_id(), time_off_id: away.time_off_id, ..Default::default() };
    resources.delete_time_off(pb::DeleteTimeOffRequest { validate_only: true, ..delete.clone() }).await.unwrap();
    resources.delete_time_off(delete.clone()).await.unwrap();
    resources.delete_time_off(delete.clone()).await.expect("the same again answers the same");
    assert_eq!(resources.list_time_off(list).await.unwrap().into_inner().time_off, []);
    let again = pb::DeleteTimeOffRequest { request_id: request_id(), ..delete };
    is(&resources.delete_time_off(again).await.unwrap_err(), Code::NotFound, "NOT_FOUND");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_listed_by_page_each_once_oldest_first() {
    let world = World::new().await;
    for _ in 0..4 {
        crate::wire::bearer(&world.server, &world.practice, pb::Role::ReadOnly, "").await;
    }
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListTokensRequest { page_size: 2, page_token, ..Default::default() };
        let page = world.manager.access().list_tokens(request).await.unwrap().into_inner();
        seen.extend(page.tokens.into_iter().map(|token| token.token_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|a, b| a < b));
}
