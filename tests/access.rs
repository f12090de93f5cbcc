//! Who may do what, and what becomes of those who may not.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost_reflect::DynamicMessage;
use sqlx::AssertSqlSafe;
use stipple::app::access::MAY_CALL;
use stipple::domain::access::Role;
use stipple::rpc::pb;
use tonic::Code;

use crate::harness::wire::{fields, reason};
use crate::harness::world::request_id;
use crate::harness::{TestServer, World};
use crate::wire::{bearer, call, frame, rpc, rpcs, send, send_with};

#[test]
fn every_method_has_exactly_one_row_in_the_authorization_table() {
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for (method, roles) in MAY_CALL {
        *rows.entry(method).or_default() += 1;
        assert!(!roles.is_empty(), "nobody may call {method}");
    }
    let methods: BTreeMap<String, usize> = rpcs().into_iter().map(|rpc| (rpc.name, 1)).collect();
    let rows: BTreeMap<String, usize> = rows.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
    assert_eq!(rows, methods);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_may_call_what_its_row_says_and_nothing_else() {
    let world = World::new().await;
    let (server, practice) = (&world.server, world.practice.as_str());
    let of = async |role, practitioner: &str| bearer(server, practice, role, practitioner).await.1;
    let tokens = [
        (Role::Operator, bearer(server, "", pb::Role::Operator, "").await.1),
        (Role::Manager, of(pb::Role::Manager, "").await),
        (Role::Practitioner, of(pb::Role::Practitioner, &world.practitioners[0]).await),
        (Role::FrontDesk, of(pb::Role::FrontDesk, "").await),
        (Role::ReadOnly, of(pb::Role::ReadOnly, "").await),
    ];
    for rpc in rpcs() {
        let (_, roles) = MAY_CALL.iter().find(|(method, _)| *method == rpc.name).unwrap();
        for (role, token) in &tokens {
            let answer = call(server, Some(token), &rpc, &DynamicMessage::new(rpc.input.clone())).await;
            let denied = answer
                .as_ref()
                .is_err_and(|status| status.code() == Code::PermissionDenied && reason(status) == "ROLE_NOT_ALLOWED");
            assert_eq!(denied, !roles.contains(role), "{role:?} calls {}: {answer:?}", rpc.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_that_opens_something_no_method_answers() {
    let world = World::new().await;
    let server = &world.server;
    let (revoked_id, revoked) = bearer(server, &world.practice, pb::Role::Manager, "").await;
    let request = pb::RevokeTokenRequest { request_id: request_id(), token_id: revoked_id, ..Default::default() };
    world.manager.access().revoke_token(request).await.unwrap();
    let (_, good) = bearer(server, &world.practice, pb::Role::Manager, "").await;
    let altered = |byte: usize| {
        let mut bytes = URL_SAFE_NO_PAD.decode(good.strip_prefix("stipple_").unwrap()).unwrap();
        bytes[byte] ^= 1;
        format!("stipple_{}", URL_SAFE_NO_PAD.encode(bytes))
    };
    // Practice, token id, first and last byte of the secret.
    let bad = [altered(0), altered(20), altered(32), altered(63), revoked, String::new(), "garbage".into()];
    let bad = bad.into_iter().map(Some).chain([None, Some(good.replace("stipple_", "")), Some(format!("{good}A"))]);
    let bad: Vec<Option<String>> = bad.collect();
    for rpc in rpcs() {
        for token in &bad {
            let answer = call(server, token.as_deref(), &rpc, &DynamicMessage::new(rpc.input.clone())).await;
            let status = answer.expect_err(&rpc.name);
            assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_INVALID"));
        }
    }
    let rpc = rpc("GetPractice");
    call(server, Some(&good), &rpc, &DynamicMessage::new(rpc.input.clone())).await.expect("the token itself opens");
    // Another scheme is no bearer.
    let answer = send_with(server, None, &rpc.name, frame(&[]), &[("authorization", "Basic c3RpcHBsZQ==")]).await;
    assert_eq!(reason(&answer.unwrap_err()), "TOKEN_INVALID");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_reflection_answer_without_a_token() {
    let server = TestServer::start().await;
    for service in ["", "stipple.v1.SeriesService", "stipple.v1.AccessService"] {
        let mut message = vec![0x0a, u8::try_from(service.len()).unwrap()];
        message.extend(service.bytes());
        let answer = send(&server, None, "grpc.health.v1.Health/Check", frame(&message)).await.unwrap();
        assert_eq!(&answer[..], [0x08, 0x01], "serving");
    }
    for version in ["v1", "v1alpha"] {
        // list_services = 7.
        let method = format!("grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let answer = send(&server, None, &method, frame(&[0x3a, 0x01, b'*'])).await.unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        for rpc in rpcs() {
            assert!(text.contains(rpc.name.split('/').next().unwrap()), "{version} lists {}", rpc.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_told_once_and_kept_as_a_hash() {
    let world = World::new().await;
    let request = pb::CreateTokenRequest {
        request_id: request_id(),
        label: "front desk".into(),
        role: pb::Role::FrontDesk.into(),
        ..Default::default()
    };
    let first = world.manager.access().create_token(request.clone()).await.unwrap().into_inner();
    let again = world.manager.access().create_token(request.clone()).await.unwrap().into_inner();
    let token = first.token.clone().unwrap();
    assert!(!first.bearer_token.is_empty());
    assert_eq!((again.token.as_ref(), again.bearer_token.as_str()), (Some(&token), ""));
    let tried = pb::CreateTokenRequest { request_id: request_id(), validate_only: true, ..request };
    assert_eq!(world.manager.access().create_token(tried).await.unwrap().into_inner().bearer_token, "");

    let secret = URL_SAFE_NO_PAD.decode(first.bearer_token.strip_prefix("stipple_").unwrap()).unwrap()[32..].to_vec();
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    for table in ["access_tokens", "changes"] {
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("SELECT t::text FROM {table} t")))
            .fetch_all(world.server.pool())
            .await
            .unwrap();
        assert!(!rows.is_empty());
        for row in rows {
            assert!(!row.contains(&hex) && !row.contains(&first.bearer_token), "the secret is in {table}");
            assert!(!row.contains(&URL_SAFE_NO_PAD.encode(&secret)));
        }
    }
    let listed = world.manager.access().list_tokens(pb::ListTokensRequest::default()).await.unwrap().into_inner();
    assert!(listed.tokens.contains(&token));
    assert!(!format!("{listed:?}").contains(&first.bearer_token[60..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_opens_nothing_from_then_on() {
    let world = World::new().await;
    let (id, text) = bearer(&world.server, &world.practice, pb::Role::ReadOnly, "").await;
    let bearer = world.server.clients(&text);
    bearer.practices().get_practice(pb::GetPracticeRequest::default()).await.unwrap();
    let revoke = |validate_only| pb::RevokeTokenRequest {
        request_id: request_id(),
        token_id: id.clone(),
        validate_only,
        ..Default::default()
    };
    world.manager.access().revoke_token(revoke(true)).await.unwrap();
    bearer.practices().get_practice(pb::GetPracticeRequest::default()).await.expect("only tried");
    let revoked = world.manager.access().revoke_token(revoke(false)).await.unwrap().into_inner().token.unwrap();
    assert!(revoked.revoked_at.is_some());
    let status = bearer.practices().get_practice(pb::GetPracticeRequest::default()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_INVALID"));
    // Again changes nothing, the history included.
    let before = revision(&world).await;
    let again = world.manager.access().revoke_token(revoke(false)).await.unwrap().into_inner().token.unwrap();
    assert_eq!((again, revision(&world).await), (revoked, before));
}

async fn revision(world: &World) -> i64 {
    let answer = world.manager.practices().get_practice(pb::GetPracticeRequest::default()).await.unwrap();
    answer.into_inner().practice.unwrap().revision
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_makes_tokens_of_the_own_practice_only() {
    let world = World::new().await;
    let other = World::on(world.server.clone(), "Asia/Tokyo").await;
    let ask = |role: pb::Role, practice: &str, practitioner: &str| pb::CreateTokenRequest {
        practice_id: practice.into(),
        request_id: request_id(),
        label: "a token".into(),
        role: role.into(),
        practitioner_id: practitioner.into(),
        ..Default::default()
    };
    let mut access = world.manager.access();
    let before = revision(&world).await;
    let status = access.create_token(ask(pb::Role::Operator, "", "")).await.unwrap_err();
    assert_eq!((reason(&status).as_str(), fields(&status)), ("FIELD_INVALID", vec!["role".to_owned()]));
    let status = access.create_token(ask(pb::Role::Manager, &other.practice, "")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "PRACTICE_NOT_ALLOWED"));
    for practitioner in [&world.assistants[0], &world.rooms[0], &other.practitioners[0], &request_id()] {
        let status = access.create_token(ask(pb::Role::Practitioner, "", practitioner)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "NOT_FOUND"));
    }
    for (role, practitioner) in [(pb::Role::Practitioner, ""), (pb::Role::Manager, &world.practitioners[0])] {
        let status = access.create_token(ask(role, "", practitioner)).await.unwrap_err();
        assert_eq!(fields(&status), ["practitioner_id"]);
    }
    assert_eq!(revision(&world).await, before);
    let made = access.create_token(ask(pb::Role::Practitioner, "", &world.practitioners[1])).await.unwrap();
    assert_eq!(made.into_inner().token.unwrap().practitioner_id, world.practitioners[1]);
    // An operator's token is made where no practice is named, and only there.
    let mut operator = world.server.operator().access();
    for (role, practice) in [(pb::Role::Operator, world.practice.as_str()), (pb::Role::Manager, "")] {
        let status = operator.create_token(ask(role, practice, "")).await.unwrap_err();
        assert_eq!(fields(&status), ["role"]);
    }
}
