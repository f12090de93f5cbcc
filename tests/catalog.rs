//! Treatments and protocols: published in versions, never edited, and never contradicting themselves.

use stipple::rpc::pb;
use stipple::rpc::pb::assessment::Due;
use tonic::{Code, Status};

use crate::harness::World;
use crate::harness::wire::{fields, reason};
use crate::harness::world::{evidence, needling, request_id, sauna};

fn publish(treatment: &str, etag: &str, content: pb::TreatmentContent) -> pb::PublishTreatmentRequest {
    pb::PublishTreatmentRequest {
        request_id: request_id(),
        treatment_id: treatment.into(),
        etag: etag.into(),
        content: Some(content),
        ..Default::default()
    }
}

async fn treatment(world: &World, id: &str, version: i32) -> Result<pb::Treatment, Status> {
    let request = pb::GetTreatmentRequest { treatment_id: id.into(), version, ..Default::default() };
    Ok(world.manager.catalog().get_treatment(request).await?.into_inner().treatment.unwrap())
}

async fn protocol(world: &World, id: &str, version: i32) -> Result<pb::Protocol, Status> {
    let request = pb::GetProtocolRequest { protocol_id: id.into(), version, ..Default::default() };
    Ok(world.manager.catalog().get_protocol(request).await?.into_inner().protocol.unwrap())
}

/// The same, in the order in which a treatment is kept: that of needs, exposures and restrictions means nothing.
fn kept(mut content: pb::TreatmentContent) -> pb::TreatmentContent {
    for phase in &mut content.phases {
        phase.needs.sort_by(|a, b| a.qualification.cmp(&b.qualification));
    }
    content.exposures.sort_unstable();
    content.restrictions.sort_by_key(|restriction| restriction.activity);
    content.duties.sort_by_key(|duty| duty.activity);
    content.combinations.sort_by(|a, b| a.add_on_treatment_id.cmp(&b.add_on_treatment_id));
    content
}

fn protocol_content(treatment: &str) -> pb::ProtocolContent {
    pb::ProtocolContent {
        name: "A series".into(),
        treatment_id: treatment.into(),
        sessions_minimum: 3,
        sessions_default: 4,
        sessions_maximum: 6,
        gap_floor_days: 14,
        gap_minimum_days: 28,
        gap_target_days: 35,
        gap_maximum_days: 56,
        evidence: evidence(),
        assessments: vec![],
        ..Default::default()
    }
}

/// A duty from so many hours until so many.
fn duty(activity: i32, from: Option<i32>, until: i32) -> pb::Duty {
    let hours = |hours| pb::Span { amount: Some(pb::span::Amount::Hours(hours)) };
    pb::Duty {
        activity,
        from: from.map(hours),
        until: Some(hours(until)),
        instruction: "Take care.".into(),
        evidence: evidence(),
    }
}

fn days(days: i32) -> Option<pb::Span> {
    Some(pb::Span { amount: Some(pb::span::Amount::Days(days)) })
}

fn publish_protocol(id: &str, etag: &str, content: pb::ProtocolContent) -> pb::PublishProtocolRequest {
    pb::PublishProtocolRequest {
        request_id: request_id(),
        protocol_id: id.into(),
        etag: etag.into(),
        content: Some(content),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_treatment_is_published_in_versions_that_stay_as_they_are() {
    let world = World::new().await;
    let mut catalog = world.manager.catalog();
    let first = treatment(&world, &world.needling, 0).await.unwrap();
    assert_eq!((first.version, first.content.clone().map(kept)), (1, Some(kept(needling()))));
    let longer = pb::TreatmentContent { name: "Microneedling, longer".into(), ..needling() };
    let request = publish(&world.needling, &first.etag, longer.clone());
    let second = catalog.publish_treatment(request.clone()).await.unwrap().into_inner().treatment.unwrap();
    assert_eq!((second.version, second.content.clone().map(kept)), (2, Some(kept(longer.clone()))));
    assert_ne!(second.etag, first.etag);
    // The same request again answers the same; the same etag again does not do.
    let again = catalog.publish_treatment(request).await.unwrap().into_inner().treatment.unwrap();
    assert_eq!(again, second);
    let stale = catalog.publish_treatment(publish(&world.needling, &first.etag, longer)).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(treatment(&world, &world.needling, 1).await.unwrap(), first);
    assert_eq!(treatment(&world, &world.needling, 2).await.unwrap(), second);
    assert_eq!(treatment(&world, &world.needling, 0).await.unwrap(), second);
    let missing = treatment(&world, &world.needling, 3).await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing).as_str()), (Code::NotFound, "NOT_FOUND"));
    let listed = catalog.list_treatments(pb::ListTreatmentsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.treatments.len(), 2);
    assert!(listed.treatments.contains(&second), "the highest version");
    // A series is booked under the versions of its protocol; a repeat of an older publication tells the treatment as
    // it is now.
    assert_eq!(protocol(&world, &world.protocol, 0).await.unwrap().treatment_version, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etag_goes_with_an_id_and_with_nothing_else() {
    let world = World::new().await;
    let mut catalog = world.manager.catalog();
    let status = catalog.publish_treatment(publish("", "1", sauna())).await.unwrap_err();
    assert_eq!(fields(&status), ["etag"]);
    let status = catalog.publish_treatment(publish(&world.sauna, "", sauna())).await.unwrap_err();
    assert_eq!(fields(&status), ["etag"]);
    let status = catalog.publish_treatment(publish(&world.protocol, "1", sauna())).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "NOT_FOUND"));
    let tried = pb::PublishTreatmentRequest { validate_only: true, ..publish("", "", sauna()) };
    let tried = catalog.publish_treatment(tried).await.unwrap().into_inner().treatment.unwrap();
    assert_eq!((tried.version, tried.content), (1, Some(sauna())));
    assert_eq!(treatment(&world, &tried.treatment_id, 0).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protocol_is_published_in_versions_and_takes_the_treatment_as_it_then_is() {
    let world = World::new().await;
    let mut catalog = world.manager.catalog();
    let first = protocol(&world, &world.protocol, 0).await.unwrap();
    let etag = treatment(&world, &world.needling, 0).await.unwrap().etag;
    catalog.publish_treatment(publish(&world.needling, &etag, needling())).await.unwrap();
    let next = |etag: &str, content| publish_protocol(&world.protocol, etag, content);
    let request = next(&first.etag, protocol_content(&world.needling));
    let second = catalog.publish_protocol(request.clone()).await.unwrap().into_inner().protocol.unwrap();
    assert_eq!((second.version, second.treatment_version), (2, 2));
    assert_eq!(catalog.publish_protocol(request).await.unwrap().into_inner().protocol.unwrap(), second);
    let stale = catalog.publish_protocol(next(&first.etag, protocol_content(&world.needling))).await.unwrap_err();
    assert_eq!(reason(&stale), "ETAG_MISMATCH");
    assert_eq!(protocol(&world, &world.protocol, 1).await.unwrap(), first);
    assert_eq!(protocol(&world, &world.protocol, 0).await.unwrap(), second);
    assert_eq!(protocol(&world, &world.protocol, 9).await.unwrap_err().code(), Code::NotFound);
    let sauna = catalog.publish_protocol(next(&second.etag, protocol_content(&world.sauna))).await.unwrap_err();
    assert_eq!((reason(&sauna).as_str(), fields(&sauna)), ("FIELD_INVALID", vec!["content.treatment_id".to_owned()]));
    let listed = catalog.list_protocols(pb::ListProtocolsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.protocols, [second]);
}

type Change = fn(&mut pb::ProtocolContent);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_numbers_of_a_protocol_are_in_order() {
    let world = World::new().await;
    let changes: [(Change, Option<&str>); 9] = [
        (|c| c.sessions_minimum = 5, Some("content.sessions_minimum")),
        (|c| c.sessions_default = 7, Some("content.sessions_minimum")),
        (|c| c.sessions_maximum = 12, None),
        (|c| (c.sessions_minimum, c.sessions_default, c.sessions_maximum) = (1, 1, 1), None),
        (|c| c.gap_floor_days = 29, Some("content.gap_minimum_days")),
        (|c| c.gap_minimum_days = 36, Some("content.gap_minimum_days")),
        (|c| c.gap_target_days = 57, Some("content.gap_minimum_days")),
        (|c| c.gap_maximum_days = 730, None),
        (|c| c.evidence = None, Some("content.evidence")),
    ];
    for (change, refused) in changes {
        let mut content = protocol_content(&world.needling);
        change(&mut content);
        let request = publish_protocol("", "", content.clone());
        match (world.manager.catalog().publish_protocol(request).await, refused) {
            (Ok(answer), None) => {
                let made = answer.into_inner().protocol.unwrap();
                assert_eq!((made.version, made.content.as_ref()), (1, Some(&content)));
                assert_eq!(protocol(&world, &made.protocol_id, 0).await.unwrap(), made);
            }
            (Err(status), Some(field)) => assert_eq!(fields(&status), [field]),
            (answer, _) => panic!("{content:?}: {answer:?}"),
        }
    }
}

fn after(minimum_days: i32, target_days: i32, maximum_days: i32) -> Due {
    Due::AfterLastSession(pb::AfterLastSession { minimum_days, target_days, maximum_days })
}

/// One of each kind, neither in the order of their names nor in that of their days, each with an evidence of its own.
fn assessments() -> Vec<pb::Assessment> {
    let grades = [pb::EvidenceGrade::C, pb::EvidenceGrade::A, pb::EvidenceGrade::Own, pb::EvidenceGrade::B];
    let due = [after(28, 56, 90), Due::AtSession(6), Due::BeforeFirstSession(true), after(0, 0, 730)];
    let names = ["result", "at the last", "baseline", "result"];
    let entries = names.into_iter().zip(due).zip(grades).enumerate().map(|(i, ((name, due), grade))| pb::Assessment {
        name: name.into(),
        due: Some(due),
        evidence: Some(pb::Evidence {
            source: format!("source {i}"),
            grade: grade.into(),
            rationale: format!("first\nthen {i}"),
        }),
    });
    entries.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protocol_shows_its_assessments_as_they_were_published_version_by_version() {
    let world = World::new().await;
    let mut catalog = world.manager.catalog();
    let plain = protocol(&world, &world.protocol, 0).await.unwrap();
    let with = |assessments| pb::ProtocolContent { assessments, ..protocol_content(&world.needling) };
    let all = with(assessments());
    let request = publish_protocol(&world.protocol, &plain.etag, all.clone());
    let second = catalog.publish_protocol(request.clone()).await.unwrap().into_inner().protocol.unwrap();
    assert_eq!(second.content.as_ref(), Some(&all));
    assert_eq!(catalog.publish_protocol(request).await.unwrap().into_inner().protocol.unwrap(), second);
    let few = with(assessments().split_off(2));
    let request = publish_protocol(&world.protocol, &second.etag, few.clone());
    let third = catalog.publish_protocol(request).await.unwrap().into_inner().protocol.unwrap();
    assert_eq!(third.content, Some(few));
    let eight = with([assessments(), assessments()].concat());
    let other = catalog.publish_protocol(publish_protocol("", "", eight.clone())).await.unwrap().into_inner();
    let other = other.protocol.unwrap();
    assert_eq!(other.content, Some(eight));

    for (version, published) in [(1, &plain), (2, &second), (3, &third), (0, &third)] {
        assert_eq!(&protocol(&world, &world.protocol, version).await.unwrap(), published, "version {version}");
    }
    let listed = catalog.list_protocols(pb::ListProtocolsRequest::default()).await.unwrap().into_inner();
    // The server's clock stands, so that chance decides whose id comes first.
    let mut published = [third, other];
    published.sort_by(|a, b| a.protocol_id.cmp(&b.protocol_id));
    assert_eq!(listed.protocols, published);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assessment_that_makes_no_sense_is_refused_by_the_name_of_its_field() {
    let world = World::new().await;
    let changes: [(&str, Change, &[&str]); 20] = [
        ("none", |c| c.assessments.clear(), &[]),
        ("nine", |c| c.assessments = vec![assessments().remove(0); 9], &["content.assessments"]),
        ("no time", |c| c.assessments[1].due = None, &["content.assessments[1].due"]),
        (
            "not before the first session",
            |c| c.assessments[2].due = Some(Due::BeforeFirstSession(false)),
            &["content.assessments[2].before_first_session"],
        ),
        ("the first session", |c| c.assessments[1].due = Some(Due::AtSession(1)), &[]),
        ("session 0", |c| c.assessments[1].due = Some(Due::AtSession(0)), &["content.assessments[1].at_session"]),
        (
            "a session beyond the maximum",
            |c| c.assessments[1].due = Some(Due::AtSession(7)),
            &["content.assessments[1].at_session"],
        ),
        (
            "a session beyond a maximum that has become less",
            |c| c.sessions_maximum = 5,
            &["content.assessments[1].at_session"],
        ),
        (
            "a session of a protocol whose counts are out of order",
            |c| c.sessions_default = 7,
            &["content.sessions_minimum"],
        ),
        ("at once", |c| c.assessments[0].due = Some(after(0, 0, 0)), &[]),
        ("as late as can be", |c| c.assessments[0].due = Some(after(730, 730, 730)), &[]),
        (
            "too late",
            |c| c.assessments[0].due = Some(after(28, 56, 731)),
            &["content.assessments[0].after_last_session"],
        ),
        (
            "before the last session",
            |c| c.assessments[0].due = Some(after(-1, 56, 90)),
            &["content.assessments[0].after_last_session"],
        ),
        (
            "a target before the first day",
            |c| c.assessments[0].due = Some(after(57, 56, 90)),
            &["content.assessments[0].after_last_session"],
        ),
        (
            "a target after the last day",
            |c| c.assessments[0].due = Some(after(28, 91, 90)),
            &["content.assessments[0].after_last_session"],
        ),
        ("no name", |c| c.assessments[3].name = " ".into(), &["content.assessments[3].name"]),
        ("the longest name", |c| c.assessments[3].name = "ä".repeat(200), &[]),
        ("a longer name", |c| c.assessments[3].name = "ä".repeat(201), &["content.assessments[3].name"]),
        ("no evidence", |c| c.assessments[3].evidence = None, &["content.assessments[3].evidence"]),
        (
            "nothing at all, twice",
            |c| c.assessments = vec![pb::Assessment::default(); 2],
            &[
                "content.assessments[0].name",
                "content.assessments[0].due",
                "content.assessments[0].evidence",
                "content.assessments[1].name",
                "content.assessments[1].due",
                "content.assessments[1].evidence",
            ],
        ),
    ];
    for (what, change, refused) in changes {
        let mut content = pb::ProtocolContent { assessments: assessments(), ..protocol_content(&world.needling) };
        change(&mut content);
        match world.manager.catalog().publish_protocol(publish_protocol("", "", content.clone())).await {
            Ok(answer) => {
                assert!(refused.is_empty(), "{what} was taken");
                let made = answer.into_inner().protocol.unwrap();
                assert_eq!(made.content.as_ref(), Some(&content), "{what}");
                assert_eq!(protocol(&world, &made.protocol_id, 0).await.unwrap(), made, "{what}");
            }
            Err(status) => {
                let told = (status.code(), reason(&status));
                assert_eq!(told, (Code::InvalidArgument, "FIELD_INVALID".into()), "{what}: {status:?}");
                assert_eq!(fields(&status), refused, "{what}: {status:?}");
            }
        }
    }
    world.server.assert_clean().await;
}

type Edit = fn(&mut pb::TreatmentContent);

fn phases(content: &mut pb::TreatmentContent, count: usize) {
    content.phases = vec![content.phases[1].clone(); count];
}

/// Eight different needs in all, and one more.
fn needs(content: &mut pb::TreatmentContent, count: usize) {
    let need = |i| pb::Need { kind: 3, qualification: format!("room_{i}") };
    content.phases.truncate(2);
    content.phases[0].needs = (0..5).map(need).collect();
    content.phases[1].needs = (4..count).map(need).collect();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_treatment_does_not_contradict_itself() {
    let world = World::new().await;
    let edits: [(&str, Edit, &[&str]); 36] = [
        ("no phase", |c| c.phases.clear(), &["content.phases"]),
        ("twelve phases", |c| phases(c, 12), &[]),
        ("thirteen phases", |c| phases(c, 13), &["content.phases"]),
        ("turnover first", |c| c.phases.swap(0, 3), &["content.phases"]),
        ("turnover alone", |c| c.phases.drain(0..3).for_each(drop), &["content.phases"]),
        ("turnover in between", |c| c.phases.swap(2, 3), &["content.phases"]),
        ("exposing without the patient", |c| c.phases[3].exposing = true, &["content.phases"]),
        (
            "exposing twice, apart",
            |c| (c.phases[0].exposing, c.phases[2].exposing, c.phases[1].exposing) = (true, true, false),
            &["content.phases"],
        ),
        ("exposing twice, together", |c| c.phases[0].exposing = true, &[]),
        ("needling without exposing", |c| c.phases[1].exposing = false, &["content.phases"]),
        (
            "neither needling nor exposing nor restricting",
            |c| {
                (c.spacing_days, c.phases[1].exposing) = (0, false);
                c.restrictions.clear();
            },
            &[],
        ),
        ("eight needs", |c| needs(c, 8), &[]),
        ("nine needs", |c| needs(c, 9), &["content.phases"]),
        (
            "nine needs in a phase",
            |c| c.phases[0].needs = vec![c.phases[0].needs[0].clone(); 9],
            &["content.phases[0].needs"],
        ),
        (
            "a need twice in a phase",
            |c| c.phases[0].needs[1] = c.phases[0].needs[0].clone(),
            &["content.phases[0].needs"],
        ),
        ("a phase that says nothing of its source", |c| c.phases[0].evidence = None, &[]),
        (
            "a phase with a source without a grade",
            |c| c.phases[1].evidence = Some(pb::Evidence::default()),
            &["content.phases[1].evidence.grade"],
        ),
        ("no need at all", |c| c.phases.iter_mut().for_each(|p| p.needs.clear()), &[]),
        ("longer than a day at work", |c| (c.phases[0].minutes, c.phases[1].minutes) = (480, 240), &["content.phases"]),
        ("an exposure twice", |c| c.exposures = vec![2, 2], &["content.exposures"]),
        ("fourteen exposures", |c| c.exposures = vec![2; 14], &["content.exposures"]),
        ("all exposures", |c| c.exposures = (1..=13).collect(), &[]),
        ("a restriction twice", |c| c.restrictions[1].activity = c.restrictions[0].activity, &["content.restrictions"]),
        ("a restriction for no time", |c| c.restrictions[0].after = None, &["content.restrictions[0].before"]),
        (
            "a span of nothing",
            |c| c.restrictions[0].after = Some(pb::Span { amount: None }),
            &["content.restrictions[0].after"],
        ),
        (
            "the longest spans",
            |c| c.restrictions[0].after = Some(pb::Span { amount: Some(pb::span::Amount::Hours(1000)) }),
            &[],
        ),
        ("advice", |c| c.restrictions[0].advice_only = true, &[]),
        ("duties", |c| c.duties = vec![duty(2, Some(24), 25), duty(1, None, 1), duty(13, Some(1), 1000)], &[]),
        ("a duty twice", |c| c.duties = vec![duty(1, None, 1), duty(1, None, 2)], &["content.duties"]),
        ("fourteen duties", |c| c.duties = vec![duty(1, None, 1); 14], &["content.duties"]),
        ("a duty that ends as it begins", |c| c.duties = vec![duty(1, Some(24), 24)], &["content.duties[0].until"]),
        (
            "a duty from a day until as many hours",
            |c| c.duties = vec![pb::Duty { from: days(1), ..duty(1, None, 24) }],
            &["content.duties[0].until"],
        ),
        (
            "a duty without end, words and source",
            |c| c.duties = vec![pb::Duty { activity: 1, ..Default::default() }],
            &["content.duties[0].until", "content.duties[0].instruction", "content.duties[0].evidence"],
        ),
        (
            "a duty of nothing",
            |c| {
                (c.spacing_days, c.phases[1].exposing) = (0, false);
                c.restrictions.clear();
                c.duties = vec![duty(1, None, 1)];
            },
            &["content.phases"],
        ),
        ("no evidence", |c| c.restrictions[1].evidence = None, &["content.restrictions[1].evidence"]),
        ("the longest spacing", |c| c.spacing_days = 365, &[]),
    ];
    for (what, edit, refused) in edits {
        let mut content = needling();
        edit(&mut content);
        match world.manager.catalog().publish_treatment(publish("", "", content)).await {
            Ok(answer) => {
                assert!(refused.is_empty(), "{what} was taken");
                let made = answer.into_inner().treatment.unwrap();
                assert_eq!(treatment(&world, &made.treatment_id, 0).await.unwrap(), made, "{what}");
            }
            Err(status) => {
                assert_eq!(
                    (status.code(), reason(&status).as_str()),
                    (Code::InvalidArgument, "FIELD_INVALID"),
                    "{what}"
                );
                let mut named: Vec<String> =
                    fields(&status).into_iter().map(|f| f.replace("phases[3].exposing", "phases")).collect();
                named.dedup();
                assert_eq!(named, refused, "{what}: {status:?}");
            }
        }
    }
    // Contradictions of every sort, all at once.
    let mut content = needling();
    content.phases.swap(0, 3);
    content.exposures = vec![2, 2];
    content.restrictions[1].activity = content.restrictions[0].activity;
    let status = world.manager.catalog().publish_treatment(publish("", "", content)).await.unwrap_err();
    assert_eq!(fields(&status), ["content.phases", "content.exposures", "content.restrictions"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_long_treatments_is_not_too_large_for_a_client() {
    let world = World::new().await;
    let long = pb::Evidence { source: "s".repeat(2000), rationale: "r".repeat(2000), ..evidence().unwrap() };
    let restriction = |activity| pb::Restriction {
        activity,
        before: None,
        after: Some(pb::Span { amount: Some(pb::span::Amount::Days(1)) }),
        instruction: "i".repeat(2000),
        evidence: Some(long.clone()),
        ..Default::default()
    };
    let content = pb::TreatmentContent { restrictions: (1..=13).map(restriction).collect(), ..needling() };
    for _ in 0..60 {
        world.publish_treatment(content.clone()).await;
    }
    // A client takes 4 MiB, unless it is told otherwise; the default page is 100 treatments.
    let (mut seen, mut page_token) = (0, String::new());
    loop {
        let request = pb::ListTreatmentsRequest { page_token, ..Default::default() };
        let page = world.manager.catalog().list_treatments(request).await.unwrap().into_inner();
        seen += page.treatments.len();
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, 62);
}
