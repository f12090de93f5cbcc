//! What patients are called is told to those who may ask, and printed nowhere.

use std::process::Stdio;

use stipple::domain::patient::PatientRecord;
use stipple::domain::text::{Label, Personal, Prose};
use stipple::rpc::pb;
use stipple::rpc::pb::appointment_service_client::AppointmentServiceClient;
use stipple::rpc::pb::patient_service_client::PatientServiceClient;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;
use tonic::Status;

use crate::harness::server::NOW;
use crate::harness::world::request_id;
use crate::harness::{TestServer, World};
use crate::visit_records;
use crate::wire::bearer;

const GIVEN: &str = "Quirinalda";
const FAMILY: &str = "Zumwinkel";
const SECRETS: [&str; 6] = [GIVEN, FAMILY, "1931-07-13", "0049-555-7431", "zumwinkel@example.org", "has a pacemaker"];

fn named() -> pb::CreatePatientRequest {
    pb::CreatePatientRequest {
        request_id: request_id(),
        given_name: SECRETS[0].into(),
        family_name: SECRETS[1].into(),
        birth_date: SECRETS[2].into(),
        phone: SECRETS[3].into(),
        email: SECRETS[4].into(),
        notes: SECRETS[5].into(),
        ..Default::default()
    }
}

fn tells_nothing(text: &str) {
    for secret in SECRETS {
        assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "{secret} in {text}");
    }
}

#[test]
fn a_patients_record_prints_as_redacted() {
    let record = PatientRecord {
        given_name: Personal::new(Label::new(SECRETS[0]).unwrap()),
        family_name: Personal::new(Label::new(SECRETS[1]).unwrap()),
        birth_date: Personal::new(SECRETS[2].parse().unwrap()),
        phone: Personal::new(Prose::new(SECRETS[3]).unwrap()),
        email: Personal::new(Prose::new(SECRETS[4]).unwrap()),
        notes: Personal::new(Prose::new(SECRETS[5]).unwrap()),
    };
    for printed in [format!("{record:?}"), format!("{record:#?}")] {
        assert_eq!(printed.matches("[redacted]").count(), 6);
        tells_nothing(&printed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_error_repeats_what_was_said_of_a_patient() {
    let world = World::new().await;
    let mut patients = world.manager.patients();
    let told = |status: &Status| format!("{} {}", status.message(), String::from_utf8_lossy(status.details()));
    let bad: [fn(&mut pb::CreatePatientRequest); 7] = [
        |r| r.given_name.push('\u{7}'),
        |r| r.family_name = r.family_name.repeat(100),
        |r| r.birth_date.push('x'),
        |r| r.phone = r.phone.repeat(20),
        |r| r.email = format!("{FAMILY} at example.org"),
        |r| r.notes.push('\0'),
        |r| r.request_id = format!("{GIVEN} {FAMILY}"),
    ];
    for change in bad {
        let mut request = named();
        change(&mut request);
        tells_nothing(&told(&patients.create_patient(request).await.unwrap_err()));
    }
    let request = named();
    let made = patients.create_patient(request.clone()).await.unwrap().into_inner().patient.unwrap();
    let reused = pb::CreatePatientRequest { notes: String::new(), ..request };
    tells_nothing(&told(&patients.create_patient(reused).await.unwrap_err()));
    let update = |etag: &str, patient_id: &str| pb::UpdatePatientRequest {
        request_id: request_id(),
        etag: etag.into(),
        patient_id: patient_id.into(),
        given_name: GIVEN.into(),
        family_name: FAMILY.into(),
        birth_date: SECRETS[2].into(),
        ..Default::default()
    };
    tells_nothing(&told(&patients.update_patient(update("1", &made.patient_id)).await.unwrap_err()));
    tells_nothing(&told(&patients.update_patient(update(&made.etag, &request_id())).await.unwrap_err()));
    tells_nothing(&told(&patients.update_patient(update(FAMILY, GIVEN)).await.unwrap_err()));
    let prefix = pb::ListPatientsRequest { family_name_prefix: format!("{FAMILY}\0"), ..Default::default() };
    tells_nothing(&told(&patients.list_patients(prefix).await.unwrap_err()));
    let token = pb::ListPatientsRequest { page_token: FAMILY.into(), ..Default::default() };
    tells_nothing(&told(&patients.list_patients(token).await.unwrap_err()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_own_log_carries_no_personal_data_and_no_token() {
    let server = TestServer::start().await;
    let world = World::on(server.clone(), "Europe/Berlin").await;
    let visit = world.book_sauna("2026-01-05T09:30:00").await.unwrap();
    let visit = world.check_in(&visit.appointment_id).await.unwrap();
    let (_, token) = bearer(&server, &world.practice, pb::Role::Manager, "").await;
    // A second server on the same database, which logs all that it can.
    let mut child = Command::new(env!("CARGO_BIN_EXE_stipple"))
        .args(["--listen", "127.0.0.1:0", "--clock", NOW, "--database-url", &server.database_url(), "serve"])
        .env("STIPPLE_LOG", "stipple=trace,sqlx=debug,tonic=debug,info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let log = tokio::spawn(async move {
        let mut log = String::new();
        stderr.read_to_string(&mut log).await.unwrap();
        log
    });
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("the server becomes ready");
        if let Some(address) = line.strip_prefix("Stipple is ready on ") {
            break address.trim_end_matches('.').to_owned();
        }
    };
    let channel = tonic::transport::Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let bearer = format!("Bearer {token}");
    let signed = move |mut request: tonic::Request<()>| {
        request.metadata_mut().insert("authorization", bearer.parse().unwrap());
        Ok(request)
    };
    let mut patients = PatientServiceClient::with_interceptor(channel.clone(), signed.clone());
    let made = patients.create_patient(named()).await.unwrap().into_inner().patient.unwrap();
    let mut bad = named();
    bad.notes.push('\0');
    patients.create_patient(bad).await.unwrap_err();
    let get = pb::GetPatientRequest { patient_id: made.patient_id, ..Default::default() };
    assert_eq!(patients.get_patient(get).await.unwrap().into_inner().patient.unwrap().family_name, FAMILY);
    let list = pb::ListPatientsRequest { family_name_prefix: FAMILY.into(), ..Default::default() };
    assert_eq!(patients.list_patients(list).await.unwrap().into_inner().patients.len(), 1);
    let mut appointments = AppointmentServiceClient::with_interceptor(channel, signed);
    let complete = pb::CompleteAppointmentRequest {
        request_id: request_id(),
        etag: visit.etag,
        appointment_id: visit.appointment_id.clone(),
        record: Some(visit_records::content()),
        ..Default::default()
    };
    let mut bad = complete.clone();
    bad.record.as_mut().unwrap().treatment_notes.push('\0');
    appointments.complete_appointment(bad).await.unwrap_err();
    appointments.complete_appointment(complete).await.unwrap();
    let get = pb::GetVisitRecordRequest { appointment_id: visit.appointment_id, ..Default::default() };
    let record = appointments.get_visit_record(get).await.unwrap().into_inner().record.unwrap();
    assert_eq!(record.content, Some(visit_records::content()));
    child.kill().await.unwrap();
    let log = log.await.unwrap();
    assert!(log.contains("PatientService/CreatePatient"), "the log is on: {log}");
    assert!(log.contains("AppointmentService/CompleteAppointment"), "the log is on: {log}");
    tells_nothing(&log);
    assert!(visit_records::SECRETS.iter().all(|secret| !log.contains(secret)), "what was done, in the log: {log}");
    assert!(!log.contains(&token), "a token in the log");
}
