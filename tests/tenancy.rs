//! Practices on one server know nothing of each other.

use std::collections::BTreeSet;

use prost_reflect::{DynamicMessage, Value};
use stipple::app::access::may_call;
use stipple::domain::access::Role;
use stipple::rpc::pb;
use tonic::Code;

use crate::harness::kill::Killed;
use crate::harness::wire::{fields, reason};
use crate::harness::world::request_id;
use crate::harness::{TestServer, World};
use crate::wire::{Ids, Rpc, bearer, call, filled, id_leaves, rpc, rpcs, told, with};

async fn two() -> (World, Ids, World, Ids) {
    let server = TestServer::start().await;
    let a = World::on(server.clone(), "Europe/Berlin").await;
    let b = World::on(server, "Europe/Berlin").await;
    let (ids_a, ids_b) = (Ids::of(&a).await, Ids::of(&b).await);
    (a, ids_a, b, ids_b)
}

async fn revision(world: &World) -> i64 {
    let answer = world.manager.practices().get_practice(pb::GetPracticeRequest::default()).await.unwrap();
    answer.into_inner().practice.unwrap().revision
}

/// A token of each role of a practice, and of an operator, who has to name it.
async fn roles(world: &World) -> Vec<(Role, String)> {
    let of = async |role, practitioner: &str| bearer(&world.server, &world.practice, role, practitioner).await.1;
    vec![
        (Role::Operator, bearer(&world.server, "", pb::Role::Operator, "").await.1),
        (Role::Manager, of(pb::Role::Manager, "").await),
        (Role::Practitioner, of(pb::Role::Practitioner, &world.practitioners[0]).await),
        (Role::FrontDesk, of(pb::Role::FrontDesk, "").await),
        (Role::ReadOnly, of(pb::Role::ReadOnly, "").await),
    ]
}

/// The kind of thing that a field names: what may stand in one field of a kind may stand in another.
fn kind(field: &str) -> &str {
    let kinds = ["treatment", "protocol", "appointment", "clinic", "series"];
    match field.trim_end_matches("_ids").trim_end_matches("_id") {
        "practitioner" | "device" | "resource" => "resource",
        name => kinds.into_iter().find(|kind| name.ends_with(kind)).unwrap_or(name),
    }
}

/// An id that a field should not take.
struct Strange<'a> {
    id: &'a str,
    what: String,
    /// Whether it would be right if it were the own practice's.
    is_of_kind: bool,
}

/// The ids of everything in another practice, and of everything of another kind in the own one.
fn strange<'a>(wanted: &str, others: &'a Ids, own: &'a Ids) -> Vec<Strange<'a>> {
    let of = |ids: &'a Ids, whose: &'static str| {
        ids.by_field
            .iter()
            .map(move |(field, id)| (kind(field), Strange { id, what: format!("{whose} {field}"), is_of_kind: false }))
    };
    let foreign = of(others, "another practice's");
    let foreign = foreign.map(|(kind, strange)| Strange { is_of_kind: kind == wanted, ..strange });
    let own = of(own, "the own practice's").filter(|(kind, _)| *kind != wanted).map(|(_, strange)| strange);
    let mut all: Vec<_> = foreign.chain(own).collect();
    all.sort_by(|a, b| a.what.cmp(&b.what));
    all
}

/// Has every role ask every method for ids that are not theirs, or not of the right kind, and holds each answer to that
/// for an id that nothing has. Returns the fields for which that was `NOT_FOUND`. Not thoroughly, they ask for what is of
/// the right kind, and managers and practitioners for an eighth of the rest.
async fn ask_for_what_is_not_theirs(thoroughly: bool) -> BTreeSet<String> {
    let (a, ids_a, b, ids_b) = two().await;
    let roles = roles(&b).await;
    let before = (revision(&a).await, revision(&b).await);
    let mut sharp = BTreeSet::new();
    for (role, token) in roles {
        for (place, (rpc, leaf)) in rpcs()
            .into_iter()
            .flat_map(|rpc| id_leaves(&rpc.input).into_iter().map(move |leaf| (rpc.clone(), leaf)))
            .enumerate()
        {
            let ask = async |id: &str| {
                let mut message = with(&rpc, &ids_b, &leaf, Value::String(id.to_owned()));
                if role == Role::Operator && rpc.input.get_field_by_name("practice_id").is_some() {
                    message.set_field_by_name("practice_id", Value::String(b.practice.clone()));
                }
                call(&b.server, Some(&token), &rpc, &message).await
            };
            let unknown = ask(&request_id()).await;
            if unknown.as_ref().is_err_and(|status| status.code() == Code::NotFound) {
                sharp.insert(format!("{} {}", rpc.name.split('/').nth(1).unwrap(), leaf.name));
            }
            for (number, strange) in strange(kind(leaf.field().name()), &ids_a, &ids_b).iter().enumerate() {
                // With servers that are killed and started anew all the time, only ids of the right kind.
                let draws = matches!(role, Role::Manager | Role::Practitioner) && Killed::wanted().is_none();
                let drawn = draws && number % 8 == place % 8;
                if thoroughly || drawn || strange.is_of_kind {
                    let (answer, what) = (told(&ask(strange.id).await), &strange.what);
                    assert_eq!(answer, told(&unknown), "{role:?}: {} with {what} in {}", rpc.name, leaf.name);
                }
            }
        }
    }
    assert_eq!((revision(&a).await, revision(&b).await), before, "nothing was done");
    sharp
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_of_another_practice_or_kind_is_told_from_an_unknown_id_by_nothing() {
    let sharp = ask_for_what_is_not_theirs(false).await;
    // The comparison means something only where the id is what the answer is about.
    let blunt: Vec<String> = rpcs()
        .iter()
        .flat_map(|rpc| id_leaves(&rpc.input).into_iter().map(|leaf| (rpc.name.clone(), leaf.name)))
        .map(|(rpc, leaf)| format!("{} {leaf}", rpc.split('/').nth(1).unwrap()))
        .filter(|place| !sharp.contains(place))
        // Of an unknown patient there are no series.
        .filter(|place| place != "ListSeries patient_id")
        // What is held as a whole is no series yet.
        .filter(|place| !place.starts_with("HoldSeries plan.s"))
        // A session of a plan is booked in that appointment, or the plan is out of date.
        .filter(|place| !place.ends_with("Series plan.sessions[0].appointment_id"))
        // A plan that continues a series is not held.
        .filter(|place| place != "HoldSeries plan.series_id")
        .collect();
    assert!(blunt.is_empty(), "an unknown id is not NOT_FOUND: {blunt:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn whoever_asks_an_id_of_another_practice_or_kind_is_told_from_an_unknown_id_by_nothing() {
    assert!(ask_for_what_is_not_theirs(true).await.len() > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_one_practice_does_not_learn_whether_another_exists() {
    let (a, _, b, ids_b) = two().await;
    let before = (revision(&a).await, revision(&b).await);
    for rpc in rpcs() {
        if rpc.input.get_field_by_name("practice_id").is_none() {
            let operators = ["CreatePractice", "ListPractices"];
            assert!(operators.iter().any(|name| rpc.name.ends_with(name)), "{} names no practice", rpc.name);
            continue;
        }
        let ask = async |practice: &str| {
            let mut message = filled(&rpc.input, &ids_b);
            if rpc.name.ends_with("/CreateResource") {
                message.clear_field_by_name("working_hours");
            }
            if rpc.name.contains("/Publish") {
                message.set_field_by_name("etag", Value::String("1".into()));
            }
            message.set_field_by_name("practice_id", Value::String(practice.to_owned()));
            call(&b.server, Some(ids_b.token(&rpc)), &rpc, &message).await
        };
        let (known, unknown) = (ask(&a.practice).await, ask(&request_id()).await);
        let status = known.as_ref().expect_err(&rpc.name);
        assert_eq!(reason(status), "PRACTICE_NOT_ALLOWED", "{}", rpc.name);
        assert_eq!((status.code(), told(&known)), (Code::PermissionDenied, told(&unknown)), "{}", rpc.name);
    }
    assert_eq!((revision(&a).await, revision(&b).await), before, "nothing was done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_hold_nothing_of_another_practice() {
    let (a, ids_a, b, ids_b) = two().await;
    for rpc in rpcs().into_iter().filter(|rpc| rpc.name.contains("/List") || rpc.name.ends_with("/GetAftercare")) {
        if rpc.name.ends_with("/ListPractices") {
            continue;
        }
        let mut message = DynamicMessage::new(rpc.input.clone());
        for (field, id) in &ids_b.by_field {
            let by_subject = rpc.name.ends_with("/ListAppointments") || rpc.name.ends_with("/ListDisplaced");
            let subject = by_subject && *field != "clinic_id";
            if rpc.input.get_field_by_name(field).is_some() && !subject {
                message.set_field_by_name(field, Value::String(id.clone()));
            }
        }
        if rpc.input.get_field_by_name("end_time").is_some() {
            message.set_field_by_name("start_time", crate::wire::instant(1_767_225_600, 0));
            message.set_field_by_name("end_time", crate::wire::instant(1_798_761_600, 0));
        }
        let answer = call(&b.server, Some(ids_b.token(&rpc)), &rpc, &message).await.expect(&rpc.name);
        assert!(!answer.is_empty(), "{} lists something", rpc.name);
        let text = String::from_utf8_lossy(&answer).into_owned();
        for (kind, id) in &ids_a.by_field {
            assert!(!text.contains(id.as_str()), "{} tells a {kind} of another practice", rpc.name);
        }
        assert!(!text.contains(&a.practice), "{}", rpc.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_token_of_another_practice_shows_nothing_of_it() {
    let (a, _, b, _) = two().await;
    let page = |page_token: &str| pb::ListPatientsRequest {
        page_size: 1,
        page_token: page_token.into(),
        ..Default::default()
    };
    let first = a.manager.patients().list_patients(page("")).await.unwrap().into_inner();
    // Either it is no token of that query, or it stands for a place in the own list.
    match b.manager.patients().list_patients(page(&first.next_page_token)).await {
        Ok(answer) => {
            for patient in answer.into_inner().patients {
                assert!(b.patients.contains(&patient.patient_id));
            }
        }
        Err(status) => assert_eq!(reason(&status), "PAGE_TOKEN_INVALID"),
    }
    // With the practice named, the token is bound to it.
    let named = |practice: &World, page_token: &str| pb::ListPatientsRequest {
        practice_id: practice.practice.clone(),
        ..page(page_token)
    };
    let first = a.manager.patients().list_patients(named(&a, "")).await.unwrap().into_inner();
    let operator = a.server.operator();
    let status = operator.patients().list_patients(named(&b, &first.next_page_token)).await.unwrap_err();
    assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
    let second = operator.patients().list_patients(named(&a, &first.next_page_token)).await.unwrap().into_inner();
    assert!(a.patients.contains(&second.patients[0].patient_id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_acts_in_any_practice_that_is_named_and_in_none_otherwise() {
    let (a, ids_a, b, ids_b) = two().await;
    let (_, operator) = bearer(&a.server, "", pb::Role::Operator, "").await;
    for (world, ids) in [(&a, &ids_a), (&b, &ids_b)] {
        let patient =
            pb::GetPatientRequest { practice_id: world.practice.clone(), patient_id: world.patients[0].clone() };
        let answer = a.server.operator().patients().get_patient(patient).await.unwrap().into_inner();
        assert_eq!(answer.patient.unwrap().patient_id, world.patients[0]);
        let closure = pb::DeleteClosureRequest {
            practice_id: world.practice.clone(),
            request_id: request_id(),
            closure_id: ids.by_field["closure_id"].clone(),
            ..Default::default()
        };
        a.server.operator().practices().delete_closure(closure).await.unwrap();
    }
    // What is the deployment's own, an operator sees without naming a practice.
    let own =
        ["CreateToken", "ListTokens", "RevokeToken", "ListChanges", "WatchChanges", "CreatePractice", "ListPractices"];
    let named = |rpc: &Rpc| {
        may_call(Role::Operator, &rpc.name) && !own.iter().any(|name| rpc.name.ends_with(&format!("/{name}")))
    };
    for rpc in rpcs().into_iter().filter(named) {
        let mut message = filled(&rpc.input, &ids_a);
        if rpc.name.ends_with("/CreateResource") {
            message.clear_field_by_name("working_hours");
        }
        let status = call(&a.server, Some(&operator), &rpc, &message).await.expect_err(&rpc.name);
        assert_eq!(
            (reason(&status).as_str(), fields(&status)),
            ("FIELD_INVALID", vec!["practice_id".to_owned()]),
            "{}",
            rpc.name
        );
    }
    let unknown = rpc("GetPractice");
    let mut message = DynamicMessage::new(unknown.input.clone());
    message.set_field_by_name("practice_id", Value::String(request_id()));
    let status = call(&a.server, Some(&operator), &unknown, &message).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "NOT_FOUND"));
    a.server.assert_clean().await;
}
