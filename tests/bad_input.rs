//! Whatever is sent, the answer says what is wrong with it, and nothing is changed.

use prost_reflect::{DynamicMessage, Kind, Value};
use stipple::app::access::MAY_CALL;
use stipple::domain::access::Role;
use stipple::rpc::pb;
use tonic::{Code, Status};

use crate::harness::World;
use crate::harness::kill::Killed;
use crate::harness::wire::{fields, reason};
use crate::harness::world::{at, every_day, request_id};
use crate::wire::{Ids, Leaf, Rpc, call, filled, instant, is_signed_and_read, leaves, rpcs, with};

async fn site() -> (World, Ids) {
    let world = World::new().await;
    let ids = Ids::of(&world).await;
    (world, ids)
}

async fn revision(world: &World) -> i64 {
    let answer = world.manager.practices().get_practice(pb::GetPracticeRequest::default()).await.unwrap();
    answer.into_inner().practice.unwrap().revision
}

/// The methods that somebody of a practice may call.
fn of_a_practice() -> Vec<Rpc> {
    rpcs().into_iter().filter(|rpc| MAY_CALL.iter().any(|row| row.0 == rpc.name && row.1 != [Role::Operator])).collect()
}

fn malformed(status: &Status) -> Vec<String> {
    assert_eq!((status.code(), reason(status).as_str()), (Code::InvalidArgument, "FIELD_INVALID"), "{status:?}");
    fields(status)
}

/// What a field refuses, and the field that the error names.
fn refuses(rpc: &Rpc, leaf: &Leaf) -> (Vec<Value>, String) {
    let texts = |texts: &[&str]| texts.iter().map(|text| Value::String((*text).to_owned())).collect::<Vec<_>>();
    let numbers = |numbers: &[i32]| numbers.iter().map(|number| Value::I32(*number)).collect::<Vec<_>>();
    let (method, name) = (rpc.name.split('/').nth(1).unwrap(), leaf.field().name());
    let parent = |sibling: &str| match leaf.name.rsplit_once('.') {
        Some((parent, _)) => format!("{parent}{sibling}"),
        None => sibling.trim_start_matches('.').to_owned(),
    };
    // What is not as it was proposed does not fit the digest of the plan, or of the move.
    let signed = ["plan", "rebooking.moves[0]"].into_iter().find(|signed| leaf.name.starts_with(&format!("{signed}.")));
    if let Some(signed) = signed.filter(|_| !is_signed_and_read(leaf)) {
        let values = match leaf.field().kind() {
            Kind::Message(_) => timestamps(),
            Kind::Enum(_) => [999, -1, 0].map(Value::EnumNumber).to_vec(),
            Kind::Int32 => numbers(&[0, -1, 13, i32::MAX, i32::MIN]),
            Kind::Int64 => [0, -1, i64::MIN].map(Value::I64).to_vec(),
            _ => texts(&["", "x", "A text ", "a\0", &"a".repeat(100_000)]),
        };
        return (values, format!("{signed}.digest"));
    }
    let values = match leaf.field().kind() {
        // Of a protocol that asks for no patch test.
        Kind::Message(_) if name == "patch_tested_at" => [timestamps(), vec![instant(1_767_000_000, 0)]].concat(),
        // A microsecond before the session, and one after now.
        Kind::Message(_) if (method, name) == ("ReportReaction", "onset_time") && Killed::wanted().is_none() => {
            let now = at("2026-01-05T08:00:00Z").unwrap().seconds;
            [timestamps(), vec![instant(now - 1, 999_999_000), instant(now, 1000)]].concat()
        }
        Kind::Message(_) => timestamps(),
        Kind::Enum(_) => {
            let zero = matches!(
                (method, name),
                ("ListResources", "kind")
                    | ("BookAppointment" | "HoldAppointment" | "FindSlots" | "AddEntry", "body_area")
                    | ("FindSlots", "view")
                    | ("ReportReaction", "reaction_grade")
                    | ("RecordScreening", "stretch_marks")
                    | (_, "end_reason")
            );
            let all = [999, -1, i32::MAX, i32::MIN, 0];
            all.iter().filter(|n| !zero || **n != 0).map(|n| Value::EnumNumber(*n)).collect()
        }
        Kind::Bool if name == "before_first_session" => vec![Value::Bool(false)],
        Kind::Bool => Vec::new(),
        Kind::Int64 => vec![Value::I64(-1), Value::I64(i64::MIN)],
        Kind::Int32 => match name {
            "page_size" if matches!(method, "ListSeries" | "ListScreenings" | "ListClearances") => {
                numbers(&[-1, 101, i32::MAX, i32::MIN])
            }
            "page_size" => numbers(&[-1, 501, i32::MAX, i32::MIN]),
            "version" => numbers(&[-1, i32::MIN]),
            "session_number" => numbers(&[0, -1, 13, i32::MAX]),
            "assessment_number" => numbers(&[0, -1, 9, i32::MAX, i32::MIN]),
            "plan_count" => numbers(&[-1, 6, i32::MAX, i32::MIN]),
            "session_count" if leaf.name == name => numbers(&[0, -1, 13, i32::MAX]),
            // What is extended says by itself to how many sessions.
            "session_count" if method == "ExtendSeries" => numbers(&[4, -1, 13, i32::MAX]),
            "session_count" => numbers(&[-1, 13, i32::MAX]),
            "booking_horizon_days" => numbers(&[-1, 801, i32::MAX, i32::MIN]),
            "minutes" => numbers(&[0, -5, 3, 485, i32::MAX, i32::MIN]),
            "start_grid_minutes" => numbers(&[-5, 1, 7, 16, 241, 245, i32::MAX, i32::MIN]),
            "minimum_notice_minutes" => numbers(&[-1, 43_201, i32::MAX, i32::MIN]),
            "spacing_days" => numbers(&[-1, 366, i32::MAX]),
            "sessions_minimum" | "sessions_default" | "sessions_maximum" => {
                return (numbers(&[0, -1, 13, i32::MAX, i32::MIN]), parent(".sessions_minimum"));
            }
            "gap_days" => numbers(&[0, -1, 366, i32::MAX, i32::MIN]),
            "override_gap_days" => numbers(&[-1, 366, i32::MAX, i32::MIN]),
            name if name.starts_with("gap_") => {
                return (numbers(&[0, -1, 731, i32::MAX, i32::MIN]), parent(".gap_minimum_days"));
            }
            "at_session" => numbers(&[0, -1, 7, 13, i32::MAX, i32::MIN]),
            "minimum_days" | "target_days" if leaf.name.starts_with("content.maintenance.") => {
                return (numbers(&[0, -1, 731, i32::MAX, i32::MIN]), parent(".minimum_days"));
            }
            "minimum_days" | "target_days" | "maximum_days" => {
                return (numbers(&[-1, 731, i32::MAX, i32::MIN]), parent(""));
            }
            "days" if leaf.name.ends_with("across_areas.days") => numbers(&[0, -1, 366, i32::MAX, i32::MIN]),
            "valid_days" => numbers(&[0, -1, 1096, i32::MAX, i32::MIN]),
            "cooling_off_hours" | "patch_test_hours" => numbers(&[-1, 1001, i32::MAX, i32::MIN]),
            "screening_days" => numbers(&[-1, 366, i32::MAX, i32::MIN]),
            // 0 if it was not asked.
            "skin_type" => numbers(&[-1, 7, i32::MAX, i32::MIN]),
            "message_limit" => numbers(&[-1, 501, i32::MAX, i32::MIN]),
            "cancel_notice_hours" | "move_notice_hours" => numbers(&[-1, 337, i32::MAX, i32::MIN]),
            "max_hold_minutes" => numbers(&[0, -1, 61, i32::MAX, i32::MIN]),
            "max_hold_total_minutes" => numbers(&[0, -1, 1441, i32::MAX, i32::MIN]),
            // 0 if it was not written down.
            "needle_depth_micrometres" => numbers(&[-1, 99, 3001, i32::MAX, i32::MIN]),
            "left_on_minutes" => numbers(&[-1, 181, i32::MAX, i32::MIN]),
            "hold_minutes" => numbers(&[-1, 61, i32::MAX, i32::MIN]),
            // Of Fitzpatrick types.
            "least" | "most" => return (numbers(&[0, -1, 7, i32::MAX, i32::MIN]), parent(".least")),
            "defer_days" | "defer_months" => numbers(&[0, -1, 1001, i32::MAX, i32::MIN]),
            // Not at all afterwards.
            "hours" if method == "GrantOverride" => return (numbers(&[-1, 1001, i32::MAX, i32::MIN]), parent("")),
            "hours" | "days" => return (numbers(&[0, -1, 1001, i32::MAX, i32::MIN]), parent("")),
            name => panic!("teach this test the limits of {name}"),
        },
        Kind::String if name.ends_with("_id") || name.ends_with("_ids") => {
            let id = request_id();
            let simple = id.replace('-', "");
            let mut bad = texts(&["x", "00000000-0000-0000-0000-000000000000", "0198c0de-0000-7000-8000-00000000000g"]);
            let forms = [format!("{{{id}}}"), format!("urn:uuid:{id}"), format!("{id} "), format!("{id}\0"), simple];
            bad.extend(forms.map(Value::String));
            bad.push(Value::String("ä".repeat(18)));
            bad.push(Value::String("a".repeat(100_000)));
            let optional = matches!(
                leaf.name.as_str(),
                "practice_id"
                    | "sessions[0].clinic_id"
                    | "sessions[0].practitioner_id"
                    | "wishes.practitioner_id"
                    | "record.practitioner_id"
                    | "record.device_id"
                    | "plan.series_id"
                    | "plan.sessions[0].practitioner_id"
                    | "plan.sessions[0].appointment_id"
                    | "rebooking.moves[0].practitioner_id"
            ) || (method == "ProposeSeries" && name == "series_id")
                || (method.starts_with("Reschedule") && matches!(name, "clinic_id" | "practitioner_id"))
                || (method == "FindSlots" && matches!(name, "patient_id" | "moving_appointment_id"))
                || (matches!(method, "FindSlots" | "BookAppointment" | "HoldAppointment")
                    && name == "add_on_treatment_id")
                || matches!(method, "ListSeries" | "ListEntries" | "ListDisplaced")
                || (method == "AddEntry" && name == "practitioner_id")
                || (method.starts_with("Publish") && leaf.name == name);
            if !optional {
                bad.push(Value::String(String::new()));
            }
            bad
        }
        Kind::String => match name {
            "etag" => texts(&["", "x", "1.0", "99999999999999999999", "9999999999999999999", "1 "]),
            "birth_date" => {
                texts(&["", "1990-4-1", "1990-02-30", "1899-12-31", "1990-04-01T", "01.04.1990", "+990-04-01"])
            }
            "time_zone" => texts(&["", "Mars/Olympus", "Europe/Berlin ", "+01:00", "Europe/Berlin\0"]),
            "earliest_date"
            | "start_date"
            | "end_date"
            | "first_date"
            | "last_date"
            | "first_session_from"
            | "first_session_until"
            | "finish_by"
            | "date"
            | "valid_until" => {
                let mut bad = texts(&["2026-6-1", "2026-06-31", "1999-12-31", "2101-01-01", "2026-06-01T", "1 June"]);
                match name {
                    "start_date" | "first_date" | "earliest_date" => bad.extend(texts(&[""])),
                    // The day before the first one.
                    "end_date" | "last_date" => bad.extend(texts(&["", "2026-05-31"])),
                    // The day before the server's, and the 1,096th after it.
                    "valid_until" => bad.extend(texts(&["2026-01-04", "2029-01-05"])),
                    "first_session_until" | "finish_by" => bad.extend(texts(&["2026-02-01"])),
                    _ => {}
                }
                if leaf.name == "end_date" {
                    // The 401st.
                    bad.extend(texts(&["2027-07-06"]));
                }
                bad
            }
            "from" | "opens" => texts(&["", "25:00", "24:01", "9:00", "09:60", "09:00:00", "-1:00", "٠٩:00"]),
            "until" | "closes" => texts(&["", "25:00", "24:01", "9:00", "09:60", "09:00:00", "09:00", "08:59"]),
            "qualification" | "qualifications" | "condition" | "kind" | "counts_as" | "reaction_kind"
            | "cleared_conditions" => {
                let mut bad = texts(&["Room", "1a", "a-b", "a b", "ä", "a\0", &"a".repeat(64)]);
                // That a reaction counts as no condition is usual.
                bad.extend(texts(if name == "counts_as" { &[] } else { &[""] }));
                if name == "cleared_conditions" {
                    // Not one of the protocol's.
                    bad.extend(texts(&["a_code"]));
                }
                bad
            }
            "page_token" => Vec::new(),
            "known_etag" => texts(&["x", "1", "0", &"a".repeat(100_000)]),
            _ => {
                let (least, most) = limits(name);
                let least = if leaf.name == "content.duties[0].instruction" { 1 } else { least };
                let mut bad = texts(&["a\u{7}b", "a\0b", "\u{85}a\u{9f}b@", &"ä".repeat(most + 1), &"a@".repeat(most)]);
                if least > 0 {
                    bad.extend(texts(&["", "  "]));
                }
                if is_one_line(name) {
                    bad.extend(texts(&["a\nb"]));
                }
                bad
            }
        },
        kind => panic!("teach this test {kind:?}"),
    };
    (values, leaf.name.clone())
}

fn timestamps() -> Vec<Value> {
    let seconds = [946_684_799, 4_133_980_800, -1, i64::MAX, i64::MIN, 253_402_300_800, 8_210_266_876_800];
    let nanos = [-1, 1_000_000_000, 1_999_999_999, i32::MAX, i32::MIN];
    let bad_seconds = seconds.iter().map(|seconds| instant(*seconds, 0));
    bad_seconds.chain(nanos.iter().map(|nanos| instant(1_780_308_000, *nanos))).collect()
}

/// Whether a text is a name of something, and not prose.
fn is_one_line(name: &str) -> bool {
    matches!(name, "name" | "label" | "given_name" | "family_name" | "product")
}

/// Fewest and most characters, as the contract's comments say.
fn limits(name: &str) -> (usize, usize) {
    match name {
        "name" | "label" | "given_name" | "family_name" | "product" => (1, 200),
        "cartridge_lot" => (0, 64),
        "treatment_notes" => (0, 4000),
        "phone" => (0, 50),
        "email" => (0, 254),
        "override_reason" => (1, 2000),
        "revoke_reason" | "no_show_reason" | "description" | "clear_notes" => (0, 2000),
        "notes" | "cancel_reason" | "instruction" | "source" | "rationale" | "overdue_advice" | "medication" => {
            (0, 2000)
        }
        // Of a rule that asks.
        "question" | "meaning" => (1, 500),
        "reason" | "family_name_prefix" => (0, 200),
        name => panic!("teach this test the limits of {name}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_every_method_refuses_what_its_comment_rules_out() {
    let (world, ids) = site().await;
    let before = revision(&world).await;
    let (mut tried, mut wrong) = (0, Vec::new());
    for rpc in of_a_practice() {
        for leaf in leaves(&rpc.input) {
            let (values, named) = refuses(&rpc, &leaf);
            for value in values {
                tried += 1;
                // With servers that are killed and started anew all the time, one in eleven will do.
                if Killed::wanted().is_some() && tried % 11 != 0 {
                    continue;
                }
                let message = with(&rpc, &ids, &leaf, value.clone());
                let answer = call(&world.server, Some(ids.token(&rpc)), &rpc, &message).await;
                let right = answer.as_ref().is_err_and(|status| {
                    status.code() == Code::InvalidArgument
                        && reason(status) == "FIELD_INVALID"
                        && fields(status).iter().all(|field| *field == named)
                });
                if !right {
                    let value: String = format!("{value:?}").chars().take(60).collect();
                    wrong.push(format!("{} {} = {value}: {answer:?}", rpc.name, leaf.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 1000, "{tried}");
    assert_eq!(revision(&world).await, before);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_of_exactly_the_longest_length_is_taken() {
    let (world, ids) = site().await;
    let mut tried = 0;
    for rpc in of_a_practice() {
        for leaf in leaves(&rpc.input) {
            let (Kind::String, (values, _)) = (leaf.field().kind(), refuses(&rpc, &leaf)) else { continue };
            // The world's protocol has no assessments to record.
            if !values.contains(&Value::String("a\u{7}b".into())) || rpc.name.ends_with("/RecordAssessment") {
                continue;
            }
            // Where the clock runs on, no session has begun.
            if rpc.name.ends_with("/ReportReaction") && Killed::wanted().is_some() {
                continue;
            }
            let (_, most) = limits(leaf.field().name());
            // Of many bytes each; an address needs its @.
            let text = format!("{}@", "🩹".repeat(most - 1));
            let mut message = with(&rpc, &ids, &leaf, Value::String(text));
            if rpc.input.get_field_by_name("validate_only").is_some() {
                message.set_field_by_name("validate_only", Value::Bool(true));
            }
            let answer = call(&world.server, Some(ids.token(&rpc)), &rpc, &message).await;
            let taken = answer.as_ref().map_or_else(|status| status.code() != Code::InvalidArgument, |_| true);
            assert!(taken, "{} {}: {answer:?}", rpc.name, leaf.name);
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried}");
}

/// What is wrong with such a message is then what the other tests made wrong, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_screening_a_clearance_and_a_reaction_are_taken_but_for_what_is_made_wrong() {
    // Where the clock runs on, no session has begun.
    if Killed::wanted().is_some() {
        return;
    }
    let (world, ids) = site().await;
    for rpc in of_a_practice() {
        let clinical = ["RecordScreening", "RecordClearance", "RevokeClearance", "ReportReaction"];
        if clinical.iter().any(|name| rpc.name.ends_with(&format!("/{name}"))) {
            let message = filled(&rpc.input, &ids);
            call(&world.server, Some(ids.token(&rpc)), &rpc, &message).await.expect(&rpc.name);
        }
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_birth_in_the_future_is_refused() {
    let world = World::new().await;
    // The server's clock shows 5 January 2026.
    for (birth_date, good) in
        [("2026-01-04", true), ("2026-01-07", false), ("2100-01-01", false), ("9999-12-31", false)]
    {
        let request = pb::CreatePatientRequest {
            request_id: request_id(),
            given_name: "Given".into(),
            family_name: "Family".into(),
            birth_date: birth_date.into(),
            ..Default::default()
        };
        match world.manager.patients().create_patient(request).await {
            Ok(_) => assert!(good, "born on {birth_date}"),
            Err(status) => assert_eq!((malformed(&status), good), (vec!["birth_date".to_owned()], false)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_required_is_missed() {
    let (world, ids) = site().await;
    let before = revision(&world).await;
    let optional = [
        "GetAftercare start_time",
        "GetAftercare end_time",
        "CheckActivity end_time",
        "CompleteAppointment start_time",
    ];
    for rpc in of_a_practice() {
        let method = rpc.name.split('/').nth(1).unwrap();
        let required = [
            "start_time",
            "end_time",
            "start_date",
            "end_date",
            "content",
            "booking_rules",
            "request_id",
            "visit",
            "purpose",
            "questionnaire",
            "decision",
            "onset_time",
            "subject",
            "sessions",
            "clinic_ids",
        ];
        for name in required {
            let mut message = filled(&rpc.input, &ids);
            let oneof: Vec<_> =
                rpc.input.oneofs().filter(|o| o.name() == name).flat_map(|o| o.fields().collect::<Vec<_>>()).collect();
            let known = rpc.input.get_field_by_name(name).is_some() || !oneof.is_empty();
            if !known || optional.contains(&format!("{method} {name}").as_str()) {
                continue;
            }
            if rpc.name.ends_with("/CreateResource") {
                message.clear_field_by_name("working_hours");
            }
            message.clear_field_by_name(name);
            oneof.iter().for_each(|field| message.clear_field(field));
            let status = call(&world.server, Some(ids.token(&rpc)), &rpc, &message).await.expect_err(&rpc.name);
            assert_eq!(malformed(&status), [name], "{}", rpc.name);
        }
    }
    assert_eq!(revision(&world).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stretch_of_time_ends_after_it_starts_and_not_too_late() {
    let (world, ids) = site().await;
    let start = at("2026-06-01T10:00:00Z").unwrap().seconds;
    let day = 86_400;
    let mut tried = 0;
    for rpc in of_a_practice() {
        let method = rpc.name.split('/').nth(1).unwrap();
        let longest = match method {
            "ListAppointments" => Some(400 * day),
            "GetAftercare" => Some(800 * day),
            "CheckActivity" => Some(31 * day),
            "GetPractitionerCalendar" => Some(92 * day),
            _ => None,
        };
        let Some(leaf) = leaves(&rpc.input).into_iter().find(|leaf| leaf.name == "end_time") else { continue };
        let too_long = longest.map(|longest| instant(start + longest, 1000));
        for end in [instant(start, 0), instant(start - 1, 999_999_999)].into_iter().chain(too_long) {
            let message = with(&rpc, &ids, &leaf, end);
            let status = call(&world.server, Some(ids.token(&rpc)), &rpc, &message).await.expect_err(method);
            assert_eq!(malformed(&status), ["end_time"], "{method}");
            tried += 1;
        }
        if let Some(longest) = longest {
            let message = with(&rpc, &ids, &leaf, instant(start + longest, 0));
            call(&world.server, Some(ids.token(&rpc)), &rpc, &message).await.expect(method);
        }
    }
    assert_eq!(tried, 6 * 2 + 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visits_start_on_the_grid_and_series_in_order() {
    let world = World::new().await;
    let before = revision(&world).await;
    let days = ["2026-02-02T10:00:00", "2026-03-02T10:00:00", "2026-03-30T10:00:00"];
    let ask = |change: &dyn Fn(&mut pb::BookSeriesRequest)| {
        let mut request = world.series_request(&days);
        change(&mut request);
        request
    };
    let session = |i: usize| format!("sessions[{i}].start_time");
    let shift = |seconds: i64, nanos: i32| {
        ask(&|r| {
            let at = r.sessions[1].start_time.as_mut().unwrap();
            (at.seconds, at.nanos) = (at.seconds + seconds, nanos);
        })
    };
    let many = |n: usize| ask(&|r| r.sessions = vec![r.sessions[0].clone(); n]);
    let name = |ids: Vec<String>| ask(&|r| r.sessions[2].resource_ids = ids.clone());
    let nine = std::iter::repeat_with(request_id).take(9).collect();
    let refused: Vec<(pb::BookSeriesRequest, Vec<String>)> = vec![
        (shift(1, 0), vec![session(1)]),
        (shift(60, 0), vec![session(1)]),
        (shift(0, 1000), vec![session(1)]),
        (ask(&|r| r.sessions.swap(0, 1)), vec![session(1)]),
        (ask(&|r| r.sessions[1] = r.sessions[0].clone()), vec![session(1)]),
        (ask(&|r| r.sessions.reverse()), vec![session(1), session(2)]),
        (many(0), vec!["sessions".into()]),
        (many(13), vec!["sessions".into()]),
        (many(1000), vec!["sessions".into()]),
        (name(nine), vec!["sessions[2].resource_ids".into()]),
        (name(vec![world.rooms[0].clone(); 2]), vec!["sessions[2].resource_ids".into()]),
        (name(vec![world.rooms[0].clone(), world.rooms[0].to_uppercase()]), vec!["sessions[2].resource_ids".into()]),
        (ask(&|r| r.body_area = 0), vec!["body_area".into()]),
    ];
    for (request, named) in refused {
        let status = world.manager.series().book_series(request.clone()).await.unwrap_err();
        assert_eq!(malformed(&status), named, "{request:?}");
    }
    let mut visit = world.visit_request(&world.sauna, days[0]);
    visit.resource_ids = std::iter::repeat_with(request_id).take(9).collect();
    assert_eq!(malformed(&world.book(visit.clone()).await.unwrap_err()), ["resource_ids"]);
    visit.resource_ids = vec![world.rooms[0].clone(); 2];
    assert_eq!(malformed(&world.book(visit.clone()).await.unwrap_err()), ["resource_ids"]);
    visit.start_time.as_mut().unwrap().seconds += 150;
    visit.resource_ids.clear();
    assert_eq!(malformed(&world.book(visit).await.unwrap_err()), ["start_time"]);
    assert_eq!(revision(&world).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hours_may_touch_and_may_not_overlap() {
    let world = World::new().await;
    let clinic = |opening_hours| pb::CreateClinicRequest {
        request_id: request_id(),
        name: "Another".into(),
        time_zone: "Asia/Kathmandu".into(),
        opening_hours,
        ..Default::default()
    };
    let hours = |opens: &str, closes: &str| pb::WeeklyHours { weekday: 1, opens: opens.into(), closes: closes.into() };
    let mut practices = world.manager.practices();
    for good in [vec![], vec![hours("00:00", "24:00")], vec![hours("12:00", "13:00"), hours("09:00", "12:00")]] {
        let made = practices.create_clinic(clinic(good.clone())).await.unwrap().into_inner().clinic.unwrap();
        let mut sorted = good;
        sorted.sort_by(|a, b| a.opens.cmp(&b.opens));
        assert_eq!(made.opening_hours, sorted);
    }
    let before = revision(&world).await;
    let overlap = vec![hours("09:00", "12:00"), hours("11:59", "13:00")];
    let many: Vec<pb::WeeklyHours> = (0..51).map(|i| hours(&format!("{:02}:{:02}", i / 4, i % 4), "24:00")).collect();
    for bad in [overlap.clone(), vec![hours("09:00", "12:00"); 2], many] {
        assert_eq!(malformed(&practices.create_clinic(clinic(bad)).await.unwrap_err()), ["opening_hours"]);
    }
    let one = clinic(vec![hours("09:00", "10:00"), hours("25:00", "12:00"), hours("13:00", "13:00")]);
    let status = practices.create_clinic(one).await.unwrap_err();
    assert_eq!(malformed(&status), ["opening_hours[1].opens", "opening_hours[2].closes"]);

    let person = |hours: Vec<pb::WeeklyHours>, qualifications: Vec<String>| pb::CreateResourceRequest {
        request_id: request_id(),
        kind: pb::ResourceKind::Assistant.into(),
        name: "Somebody".into(),
        qualifications,
        working_hours: hours
            .into_iter()
            .map(|hours| pb::WorkingHours { clinic_id: world.clinic.clone(), hours: Some(hours) })
            .collect(),
        ..Default::default()
    };
    let mut resources = world.manager.resources();
    let codes = |n: usize| (0..n).map(|i| format!("code_{i}")).collect::<Vec<String>>();
    for (bad, named) in [
        (person(overlap, vec![]), "working_hours"),
        (person(vec![hours("09:00", "10:00"); 101], vec![]), "working_hours"),
        (person(vec![], codes(51)), "qualifications"),
        (person(vec![], vec!["a".into(), "a".into()]), "qualifications"),
        (pb::CreateResourceRequest { kind: 3, ..person(vec![], vec![]) }, "clinic_id"),
        (pb::CreateResourceRequest { clinic_id: world.clinic.clone(), ..person(vec![], vec![]) }, "clinic_id"),
    ] {
        assert_eq!(malformed(&resources.create_resource(bad).await.unwrap_err()), [named]);
    }
    let room = person(every_day("09:00", "10:00"), vec![]);
    let room = pb::CreateResourceRequest { kind: 3, clinic_id: world.clinic.clone(), ..room };
    assert_eq!(malformed(&resources.create_resource(room).await.unwrap_err()), ["working_hours"]);
    assert_eq!(revision(&world).await, before);
    resources.create_resource(person(vec![hours("09:00", "10:00")], codes(50))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_malformed_fields_of_a_request_are_named_at_once() {
    let (world, ids) = site().await;
    for rpc in of_a_practice() {
        // Everything that can be malformed by a text alone.
        let texts: Vec<Leaf> = rpc
            .input
            .fields()
            .filter(|field| field.kind() == Kind::String && !field.is_list())
            .filter_map(|field| leaves(&rpc.input).into_iter().find(|leaf| leaf.name == field.name()))
            .filter(|leaf| leaf.field().name() != "page_token" && leaf.field().containing_oneof().is_none())
            .collect();
        let mut message: DynamicMessage = filled(&rpc.input, &ids);
        for leaf in &texts {
            message.set_field(leaf.field(), Value::String("\0".repeat(3000)));
        }
        let answer = call(&world.server, Some(ids.token(&rpc)), &rpc, &message).await;
        let named = malformed(&answer.expect_err(&rpc.name));
        for leaf in &texts {
            assert!(named.contains(&leaf.name), "{} names {} among {named:?}", rpc.name, leaf.name);
        }
    }
}
