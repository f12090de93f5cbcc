//! Patients: their records, and how they are found by name.

use stipple::rpc::pb;
use tonic::Code;

use crate::harness::World;
use crate::harness::wire::reason;
use crate::harness::world::request_id;

async fn register(world: &World, given: &str, family: &str) -> pb::Patient {
    let request = pb::CreatePatientRequest {
        request_id: request_id(),
        given_name: given.into(),
        family_name: family.into(),
        birth_date: "1990-04-01".into(),
        ..Default::default()
    };
    world.manager.patients().create_patient(request).await.unwrap().into_inner().patient.unwrap()
}

/// Family names that begin with a prefix, read page by page.
async fn found(world: &World, prefix: &str, page_size: i32) -> Vec<String> {
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request =
            pb::ListPatientsRequest { family_name_prefix: prefix.into(), page_size, page_token, ..Default::default() };
        let page = world.manager.patients().list_patients(request).await.unwrap().into_inner();
        assert!(page.patients.len() <= usize::try_from(page_size).unwrap());
        seen.extend(page.patients.into_iter().map(|patient| patient.family_name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return seen;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_is_registered_read_and_changed() {
    let world = World::new().await;
    let mut patients = world.manager.patients();
    let request = pb::CreatePatientRequest {
        request_id: request_id(),
        given_name: " Ada ".into(),
        family_name: "Lovelace".into(),
        birth_date: "1915-12-10".into(),
        phone: "+44 20 7946 0000".into(),
        email: "ada@example.org".into(),
        notes: "Prefers mornings.\nAsk for Dr. B.".into(),
        ..Default::default()
    };
    let made = patients.create_patient(request.clone()).await.unwrap().into_inner().patient.unwrap();
    let expected = pb::Patient {
        patient_id: made.patient_id.clone(),
        given_name: "Ada".into(),
        family_name: request.family_name.clone(),
        birth_date: request.birth_date.clone(),
        phone: request.phone.clone(),
        email: request.email.clone(),
        notes: request.notes.clone(),
        etag: made.etag.clone(),
    };
    assert_eq!(made, expected);
    let update = |etag: &str, notes: &str| pb::UpdatePatientRequest {
        request_id: request_id(),
        etag: etag.into(),
        patient_id: made.patient_id.clone(),
        given_name: "Ada".into(),
        family_name: "King".into(),
        birth_date: "1915-12-10".into(),
        notes: notes.into(),
        ..Default::default()
    };
    let first = update(&made.etag, "");
    let changed = patients.update_patient(first.clone()).await.unwrap().into_inner().patient.unwrap();
    assert_eq!((changed.family_name.as_str(), changed.phone.as_str(), changed.notes.as_str()), ("King", "", ""));
    let stale = patients.update_patient(update(&made.etag, "stale")).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    // A repeated request is not carried out again, and tells what it made as it is now.
    let later = patients.update_patient(update(&changed.etag, "later")).await.unwrap().into_inner().patient.unwrap();
    assert_eq!(patients.create_patient(request).await.unwrap().into_inner().patient.unwrap(), later);
    assert_eq!(patients.update_patient(first).await.unwrap().into_inner().patient.unwrap(), later);
    let get = pb::GetPatientRequest { patient_id: made.patient_id.clone(), ..Default::default() };
    assert_eq!(patients.get_patient(get).await.unwrap().into_inner().patient.unwrap(), later);
    let unknown = pb::GetPatientRequest { patient_id: request_id(), ..Default::default() };
    assert_eq!(patients.get_patient(unknown).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patients_are_listed_by_name_each_once_whatever_the_page() {
    let world = World::new().await;
    for (given, family) in
        [("b", "Meyer"), ("A", "meyer"), ("C", "MEYER"), ("A", "Meyer-Bohm"), ("Z", "Abel"), ("A", "zorn")]
    {
        register(&world, given, family).await;
    }
    let expected = ["Abel", "Family", "Family", "meyer", "Meyer", "MEYER", "Meyer-Bohm", "zorn"];
    for page_size in [1, 2, 3, 7, 8, 500] {
        assert_eq!(found(&world, "", page_size).await, expected, "pages of {page_size}");
    }
    assert_eq!(found(&world, "mEy", 2).await, ["meyer", "Meyer", "MEYER", "Meyer-Bohm"]);
    assert_eq!(found(&world, "Meyer-", 2).await, ["Meyer-Bohm"]);
    assert_eq!(found(&world, "x", 2).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn characters_with_a_meaning_in_patterns_have_none_in_a_prefix() {
    let world = World::new().await;
    for family in ["100% Name", "100x", "a_b", "axb", "c\\d", "c\\\\d", "cd", "[a]", "O'Hara", "O\"Hara"] {
        register(&world, "A", family).await;
    }
    for (prefix, expected) in [
        ("%", vec![]),
        ("100%", vec!["100% Name"]),
        ("_", vec![]),
        ("a_", vec!["a_b"]),
        ("\\", vec![]),
        ("c\\", vec!["c\\\\d", "c\\d"]),
        ("c\\\\", vec!["c\\\\d"]),
        ("[", vec!["[a]"]),
        ("o'", vec!["O'Hara"]),
        ("o\"", vec!["O\"Hara"]),
        ("%%", vec![]),
    ] {
        assert_eq!(found(&world, prefix, 3).await, expected, "{prefix}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letter_case_does_not_matter_in_any_alphabet() {
    let world = World::new().await;
    for family in ["Ägir", "ägren", "ÖZTÜRK", "Østergård", "Иванова", "ΟΔΥΣΣΕΥΣ", "Łukasz", "Çelik"]
    {
        register(&world, "A", family).await;
    }
    let mut missed = Vec::new();
    for (prefix, expected) in [
        ("Äg", 2),
        ("äg", 2),
        ("özt", 1),
        ("ÖZT", 1),
        ("ØSTERGÅ", 1),
        ("ива", 1),
        ("ИВА", 1),
        ("οδυσ", 1),
        ("ΟΔΥΣ", 1),
        ("ΟΔΥΣΣΕΥΣ", 1),
        ("łu", 1),
        ("ÇE", 1),
    ] {
        let names = found(&world, prefix, 500).await;
        if names.len() != expected {
            missed.push((prefix, names));
        }
    }
    assert!(missed.is_empty(), "found otherwise than expected: {missed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_who_is_renamed_between_two_pages_neither_hides_nor_doubles_others() {
    let world = World::new().await;
    let mut registered = Vec::new();
    for family in ["B", "D", "F", "H"] {
        registered.push(register(&world, "A", family).await);
    }
    let ask = |page_token: &str| pb::ListPatientsRequest {
        page_size: 2,
        page_token: page_token.into(),
        ..Default::default()
    };
    let first = world.manager.patients().list_patients(ask("")).await.unwrap().into_inner();
    assert_eq!(first.patients[1].family_name, "D");
    // The last of the page marries.
    let last = registered[1].clone();
    let rename = pb::UpdatePatientRequest {
        request_id: request_id(),
        etag: last.etag,
        patient_id: last.patient_id,
        given_name: last.given_name,
        family_name: "Z".into(),
        birth_date: last.birth_date,
        ..Default::default()
    };
    world.manager.patients().update_patient(rename).await.unwrap();
    let (mut rest, mut page_token) = (Vec::new(), first.next_page_token);
    while !page_token.is_empty() {
        let page = world.manager.patients().list_patients(ask(&page_token)).await.unwrap().into_inner();
        rest.extend(page.patients.into_iter().map(|patient| patient.family_name));
        page_token = page.next_page_token;
    }
    for family in ["F", "H", "Family"] {
        assert!(rest.iter().any(|name| name == family), "{family} was passed over: {rest:?}");
    }
}
