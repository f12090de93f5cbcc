//! Bytes that are no message, messages that are too large or from the future, page tokens and request ids that were
//! made for something else.

use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, Value};
use stipple::rpc::pb;
use tonic::{Code, Status};

use crate::harness::wire::{fields, reason};
use crate::harness::world::{evidence, request_id};
use crate::harness::{World, refusal};
use crate::wire::{Ids, bearer, call, filled, frame, rpcs, send, send_with};

const MALFORMED: (Code, &str) = (Code::InvalidArgument, "MESSAGE_MALFORMED");

fn both(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

async fn revision(world: &World) -> i64 {
    let answer = world.manager.practices().get_practice(pb::GetPracticeRequest::default()).await.unwrap();
    answer.into_inner().practice.unwrap().revision
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_message_are_the_callers_error() {
    let world = World::new().await;
    let ids = Ids::of(&world).await;
    let mut compressed = frame(&[]).to_vec();
    compressed[0] = 1;
    let mut strange = frame(&[]).to_vec();
    strange[0] = 7;
    let mut cut = frame(&[0; 100]).to_vec();
    cut.truncate(50);
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("no frame", vec![]),
        ("half a head", vec![0, 0, 0]),
        ("a message cut off", cut),
        ("a compressed message without an encoding", compressed),
        ("an unknown flag", strange),
        ("a key that does not end", frame(&[0xff; 11]).to_vec()),
        ("a text longer than the message", frame(&[0x0a, 0x7f, b'a']).to_vec()),
        ("a length beyond all bounds", frame(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).to_vec()),
        ("field number zero", frame(&[0x02, 0x00]).to_vec()),
        ("a wire type that there is not", frame(&[0x0f]).to_vec()),
        ("a group that does not end", frame(&[0x0b]).to_vec()),
        ("a fixed number as the first field", frame(&[0x09, 1, 2, 3, 4, 5, 6, 7, 8]).to_vec()),
        ("nothing but noise", frame(&[0x5a, 0x03, 0x99, 0x12, 0x45, 0xfe, 0x00, 0x17]).to_vec()),
    ];
    for rpc in rpcs() {
        for (what, body) in &bodies {
            let status =
                send(&world.server, Some(ids.token(&rpc)), &rpc.name, body.clone().into()).await.expect_err(what);
            let (code, reason) = both(&status);
            let unknown = *what == "nothing but noise" && reason == "FIELD_UNKNOWN";
            assert!(unknown || (code, reason.as_str()) == MALFORMED, "{} with {what}: {status:?}", rpc.name);
        }
        // The first field of a message that is a text, but not of characters.
        if rpc.input.get_field(1).is_some_and(|field| field.kind() == Kind::String) {
            let body = frame(&[0x0a, 0x02, 0xc3, 0x28]);
            let status = send(&world.server, Some(ids.token(&rpc)), &rpc.name, body).await.unwrap_err();
            assert_eq!(both(&status), (MALFORMED.0, MALFORMED.1.to_owned()), "{}", rpc.name);
        }
    }
    revision(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_large_is_said_to_be_so() {
    let world = World::new().await;
    let (_, token) = bearer(&world.server, &world.practice, pb::Role::Manager, "").await;
    let before = revision(&world).await;
    let patient = |notes: usize| pb::CreatePatientRequest {
        request_id: request_id(),
        given_name: "Given".into(),
        family_name: "Family".into(),
        birth_date: "1990-04-01".into(),
        notes: "n".repeat(notes),
        ..Default::default()
    };
    let method = "stipple.v1.PatientService/CreatePatient";
    for notes in [256 * 1024, 1 << 20, 10 << 20, 40 << 20] {
        let status =
            send(&world.server, Some(&token), method, frame(&patient(notes).encode_to_vec())).await.unwrap_err();
        assert_eq!(both(&status), (Code::InvalidArgument, "MESSAGE_TOO_LARGE".into()), "{notes} bytes");
        let status = world.manager.patients().create_patient(patient(notes)).await.unwrap_err();
        assert_eq!(both(&status), (Code::InvalidArgument, "MESSAGE_TOO_LARGE".into()), "{notes} bytes");
    }
    // A little less is looked at.
    let status = world.manager.patients().create_patient(patient(255 * 1024)).await.unwrap_err();
    assert_eq!(fields(&status), ["notes"]);
    assert_eq!(revision(&world).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_of_the_future_is_refused_and_named_wherever_it_is() {
    let world = World::new().await;
    let ids = Ids::of(&world).await;
    let before = revision(&world).await;
    let unknown = [0xb8, 0x3e, 0x01]; // Field 999 as a number, value 1.
    for rpc in
        rpcs().into_iter().filter(|rpc| !["CreatePractice", "ListPractices"].iter().any(|n| rpc.name.ends_with(n)))
    {
        let message = filled(&rpc.input, &ids).encode_to_vec();
        let mut places = vec![([message.as_slice(), &unknown].concat(), rpc.input.full_name().to_owned())];
        for field in rpc.input.fields() {
            if let Kind::Message(inner) = field.kind() {
                let within = filled(&inner, &ids).encode_to_vec();
                let mut bytes = message.clone();
                prost::encoding::encode_key(field.number(), prost::encoding::WireType::LengthDelimited, &mut bytes);
                prost::encoding::encode_varint(u64::try_from(within.len() + 3).unwrap(), &mut bytes);
                bytes.extend(within);
                bytes.extend(unknown);
                places.push((bytes, inner.full_name().to_owned()));
            }
        }
        for (bytes, place) in places {
            let status =
                send(&world.server, Some(ids.token(&rpc)), &rpc.name, frame(&bytes)).await.expect_err(&rpc.name);
            assert_eq!(both(&status), (Code::InvalidArgument, "FIELD_UNKNOWN".into()), "{} {place}", rpc.name);
            assert_eq!(fields(&status), [format!("field number 999 of {place}")], "{}", rpc.name);
        }
    }
    assert_eq!(revision(&world).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_method_is_said_to_be_none() {
    let world = World::new().await;
    let (_, token) = bearer(&world.server, &world.practice, pb::Role::Manager, "").await;
    for method in ["stipple.v1.PracticeService/Nothing", "stipple.v1.Nothing/GetPractice", "nothing", "", "a/b/c"] {
        for token in [None, Some(token.as_str())] {
            let status = send(&world.server, token, method, frame(&[])).await.expect_err(method);
            assert_eq!(both(&status), (Code::Unimplemented, "METHOD_UNKNOWN".into()), "{method}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encoding_that_the_server_does_not_take_is_not_called_an_unknown_method() {
    let world = World::new().await;
    let (_, token) = bearer(&world.server, &world.practice, pb::Role::Manager, "").await;
    let method = "stipple.v1.PracticeService/GetPractice";
    let answer = send_with(&world.server, Some(&token), method, frame(&[]), &[("grpc-encoding", "gzip")]).await;
    let status = answer.unwrap_err();
    assert_ne!(reason(&status), "METHOD_UNKNOWN", "the method is known, the encoding is not: {status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_token_is_good_for_its_own_query_only() {
    let world = World::new().await;
    let ids = Ids::of(&world).await;
    for name in ["Aa", "Ab", "B"] {
        let request = pb::CreatePatientRequest {
            request_id: request_id(),
            given_name: "Given".into(),
            family_name: name.into(),
            birth_date: "1990-04-01".into(),
            ..Default::default()
        };
        world.manager.patients().create_patient(request).await.unwrap();
    }
    let ask = |page_token: &str, prefix: &str, page_size| pb::ListPatientsRequest {
        family_name_prefix: prefix.into(),
        page_size,
        page_token: page_token.into(),
        ..Default::default()
    };
    let mut patients = world.manager.patients();
    let token = patients.list_patients(ask("", "", 1)).await.unwrap().into_inner().next_page_token;
    let second = patients.list_patients(ask(&token, "", 500)).await.expect("another size is the same query");
    assert_eq!(second.into_inner().patients.len(), 4);
    let half = &token[..token.len() / 2];
    let last = if token.ends_with('A') { "B" } else { "A" };
    let altered = format!("{}{last}", &token[..token.len() - 1]);
    for (page_token, prefix) in
        [(token.as_str(), "A"), (half, ""), (&altered[..4], ""), ("garbage", ""), ("ä", ""), (" ", ""), ("\0", "")]
    {
        let status = patients.list_patients(ask(page_token, prefix, 1)).await.unwrap_err();
        assert_eq!(both(&status), (Code::InvalidArgument, "PAGE_TOKEN_INVALID".into()), "{page_token}");
        assert_eq!(fields(&status), ["page_token"]);
    }
    // To every method that lists: the token of another method, garbage, and half a megabyte less a little.
    let long = "A".repeat(200_000);
    for rpc in rpcs().into_iter().filter(|rpc| rpc.input.get_field_by_name("page_token").is_some()) {
        if rpc.name.ends_with("/ListPatients") || rpc.name.ends_with("/ListPractices") {
            continue;
        }
        for bad in [token.as_str(), "garbage", "====", &long] {
            let mut message: DynamicMessage = filled(&rpc.input, &ids);
            message.set_field_by_name("page_token", Value::String(bad.to_owned()));
            let status = call(&world.server, Some(ids.token(&rpc)), &rpc, &message).await.expect_err(&rpc.name);
            assert_eq!(both(&status), (Code::InvalidArgument, "PAGE_TOKEN_INVALID".into()), "{}", rpc.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_id_stands_for_one_request() {
    let world = World::new().await;
    let id = request_id();
    let patient = |name: &str, validate_only| pb::CreatePatientRequest {
        request_id: id.clone(),
        validate_only,
        given_name: name.into(),
        family_name: "Family".into(),
        birth_date: "1990-04-01".into(),
        ..Default::default()
    };
    let mut patients = world.manager.patients();
    patients.create_patient(patient("Given", true)).await.unwrap();
    // What was only tried took no id.
    let made = patients.create_patient(patient("Given", false)).await.unwrap().into_inner();
    let before = revision(&world).await;
    assert_eq!(patients.create_patient(patient("Given", false)).await.unwrap().into_inner(), made);
    let other_payload = patients.create_patient(patient("Other", false)).await.unwrap_err();
    let other_try = patients.create_patient(patient("Given", true)).await.unwrap_err();
    let update = pb::UpdatePracticeRequest {
        request_id: id.clone(),
        etag: "1".into(),
        name: "A practice".into(),
        ..Default::default()
    };
    let other_method = world.manager.practices().update_practice(update).await.unwrap_err();
    let content = pb::ProtocolContent {
        name: "A series".into(),
        treatment_id: world.needling.clone(),
        sessions_minimum: 1,
        sessions_default: 1,
        sessions_maximum: 1,
        gap_floor_days: 1,
        gap_minimum_days: 1,
        gap_target_days: 1,
        gap_maximum_days: 1,
        evidence: evidence(),
        assessments: vec![],
        ..Default::default()
    };
    let publish = pb::PublishProtocolRequest { request_id: id, content: Some(content), ..Default::default() };
    let another = world.manager.catalog().publish_protocol(publish).await.unwrap_err();
    for status in [other_payload, other_try, other_method, another] {
        assert_eq!(both(&status), (Code::InvalidArgument, "REQUEST_ID_REUSED".into()));
        assert_eq!(fields(&status), ["request_id"]);
    }
    assert_eq!(revision(&world).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_names_many_fields_arrives() {
    let world = World::new().await;
    let hours = pb::WorkingHours {
        clinic_id: "no id".into(),
        hours: Some(pb::WeeklyHours { weekday: 8, opens: "25:00".into(), closes: "26:00".into() }),
    };
    let request = pb::CreateResourceRequest {
        request_id: request_id(),
        kind: pb::ResourceKind::Assistant.into(),
        name: "Somebody".into(),
        qualifications: vec!["Not a code".into(); 50],
        working_hours: vec![hours; 100],
        ..Default::default()
    };
    let status = world.manager.resources().create_resource(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(fields(&status).contains(&"qualifications[0]".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_names_many_broken_rules_arrives() {
    let world = World::new().await;
    // Sessions in the past, each with eight resources that are not qualified.
    let days: Vec<String> = (1..=12).map(|day| format!("2025-06-{day:02}T10:00:00")).collect();
    let days: Vec<&str> = days.iter().map(String::as_str).collect();
    let mut others = Vec::new();
    for _ in 0..8 {
        others.push(world.resource(pb::ResourceKind::Assistant, "something_else").await);
    }
    let mut lost = Vec::new();
    for (sessions, named) in [(3, 0), (6, 0), (12, 0), (3, 2), (6, 2), (3, 8), (4, 8), (6, 8), (12, 8)] {
        let mut request = world.series_request(&days[..sessions]);
        request.sessions.iter_mut().for_each(|session| session.resource_ids = others[..named].to_vec());
        let status = world.manager.series().book_series(request).await.unwrap_err();
        if status.code() == Code::FailedPrecondition {
            assert!(refusal(&status).len() >= sessions, "{status:?}");
            println!(
                "{sessions} sessions that name {named}: {} rules, {} bytes",
                refusal(&status).len(),
                status.details().len()
            );
        } else {
            lost.push(format!("{sessions} sessions that name {named}: {:?} {}", status.code(), status.message()));
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}
