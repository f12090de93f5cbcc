//! `kill -9`, of the server and of its PostgreSQL.

use chrono::{TimeDelta, Timelike as _, Utc};
use rustix::process::{Pid, Signal, kill_process};
use stipple::rpc::pb;
use stipple::rpc::pb::appointment_service_client::AppointmentServiceClient;
use stipple::rpc::pb::catalog_service_client::CatalogServiceClient;
use tonic::{Code, Status};

use super::program::{Folder, LIMIT, Program, Ready, until};
use super::{book_series, counts, demo_env, history, printed_booking, series};
use crate::harness::world::{request_id, timestamp};

async fn verify(folder: &Folder) {
    let (well, output, errors) = Program::run(&["verify", "--data-dir", folder.data().to_str().unwrap()]).await;
    assert!(well, "{output:?} {errors:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_the_server_was_killed() {
    let folder = Folder::seeded().await;
    let mut program = Program::serve(&folder);
    let ready = program.ready().await;
    let booked = book_series(&ready, printed_booking(&ready)).await.unwrap();
    let changes = history(&ready).await;
    program.signal(Signal::KILL);
    // At once, while the PostgreSQL of the killed server still ends.
    let mut next = Program::serve(&folder);
    program.ended().await;
    let ready = next.ready().await;
    assert_eq!(series(&ready, &booked.series_id).await.unwrap(), booked);
    assert_eq!(history(&ready).await, changes);
    verify(&folder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_was_killed_is_completed_by_the_next() {
    let folder = Folder::new();
    let mut program = Program::serve(&folder);
    // Once it has a part of the bookings, and on the way there.
    for part in ["SELECT count(*) > 0 FROM treatments", "SELECT count(*) > 5 FROM series"] {
        until("a part of the practice is there", || async {
            let mut db = folder.database().await?;
            let there: bool = sqlx::query_scalar(part).fetch_one(&mut db).await.ok()?;
            there.then_some(())
        })
        .await;
        assert!(!folder.data().join("demo.env").exists());
        program.signal(Signal::KILL);
        program.ended().await;
        program = Program::serve(&folder);
    }
    let ready = program.ready().await;
    assert_eq!(demo_env(&folder)["STIPPLE_TOKEN"], ready.token);
    let completed = counts(&mut folder.database().await.unwrap()).await;
    book_series(&ready, printed_booking(&ready)).await.unwrap();
    verify(&folder).await;

    let whole = Folder::seeded().await;
    let mut program = Program::serve(&whole);
    program.ready().await;
    assert_eq!(completed, counts(&mut whole.database().await.unwrap()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_was_killed_while_postgresql_was_made_is_begun_anew() {
    let folder = Folder::new();
    let mut program = Program::serve(&folder);
    until("PostgreSQL is being made", || async { folder.makes_postgresql().then_some(()) }).await;
    program.signal(Signal::KILL);
    let mut next = Program::serve(&folder);
    program.ended().await;
    until("the schema is there", || async {
        let mut db = folder.database().await?;
        sqlx::query("SELECT FROM practices").fetch_optional(&mut db).await.ok()
    })
    .await;
    next.signal(Signal::TERM);
    assert_eq!(next.ended().await.code(), Some(0), "{:?}", next.errors());
    let names = std::fs::read_dir(folder.data()).unwrap().map(|entry| entry.unwrap().file_name());
    let unfinished: Vec<_> = names.filter(|name| name.to_string_lossy().contains(".new")).collect();
    assert!(unfinished.is_empty(), "{unfinished:?}");
}

/// Books consultations, one after the other, and repeats each until it is answered.
struct Front {
    ready: Ready,
    patient: String,
    clinic: String,
    treatment: String,
    next: chrono::DateTime<Utc>,
}

impl Front {
    async fn new(folder: &Folder, ready: Ready, now: chrono::DateTime<Utc>) -> Self {
        let request = ready.request(pb::ListTreatmentsRequest::default());
        let treatments = CatalogServiceClient::new(ready.channel()).list_treatments(request).await.unwrap();
        let plain = |treatment: &pb::Treatment| {
            let content = treatment.content.as_ref().unwrap();
            content.spacing_days == 0 && content.exposures.is_empty() && content.restrictions.is_empty()
        };
        let treatment = treatments.into_inner().treatments.into_iter().find(plain).unwrap().treatment_id;
        let env = demo_env(folder);
        let [patient, clinic] = ["PATIENT", "CLINIC"].map(|name| env[&format!("STIPPLE_{name}_ID")].clone());
        let next =
            (now + TimeDelta::days(2)).with_minute(0).unwrap().with_second(0).unwrap().with_nanosecond(0).unwrap();
        Self { ready, patient, clinic, treatment, next }
    }

    /// The next consultation that is not refused.
    async fn book(&mut self) -> pb::Appointment {
        let mut client = AppointmentServiceClient::new(self.ready.channel());
        loop {
            let request = pb::BookAppointmentRequest {
                request_id: request_id(),
                visit: Some(pb::book_appointment_request::Visit::Treatment(pb::TreatmentVisit {
                    patient_id: self.patient.clone(),
                    treatment_id: self.treatment.clone(),
                    body_area: pb::BodyArea::Unspecified.into(),
                })),
                clinic_id: self.clinic.clone(),
                start_time: timestamp(self.next),
                ..Default::default()
            };
            self.next += TimeDelta::minutes(30);
            let answer: Result<_, Status> = loop {
                match client.book_appointment(self.ready.request(request.clone())).await {
                    // Whoever is told this is told to repeat the request.
                    Err(status) if matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) => {
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    }
                    answer => break answer,
                }
            };
            match answer {
                Ok(answer) => return answer.into_inner().appointment.unwrap(),
                Err(status) => assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}"),
            }
        }
    }

    async fn find(&self, appointment_id: &str) -> pb::Appointment {
        let request = pb::GetAppointmentRequest { appointment_id: appointment_id.to_owned(), ..Default::default() };
        let found =
            AppointmentServiceClient::new(self.ready.channel()).get_appointment(self.ready.request(request)).await;
        found.unwrap().into_inner().appointment.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_gets_over_the_death_of_its_postgresql() {
    let folder = Folder::seeded().await;
    let mut program = Program::serve(&folder);
    let ready = program.ready().await;
    let before = history(&ready).await;
    let now = std::fs::metadata(folder.data().join("demo.env")).unwrap().modified().unwrap();
    let mut front = Front::new(&folder, ready.clone(), now.into()).await;
    let mut booked = Vec::new();
    let risen = |program: &Program| program.errors().iter().filter(|line| line.contains("runs again")).count();
    for round in 0..2 {
        for _ in 0..5 {
            booked.push(front.book().await);
        }
        let postmaster = std::fs::read_to_string(folder.data().join("postgres/postmaster.pid")).unwrap();
        let postmaster = Pid::from_raw(postmaster.lines().next().unwrap().parse().unwrap()).unwrap();
        kill_process(postmaster, Signal::KILL).unwrap();
        let until_risen = async {
            while risen(&program) == round {
                booked.push(front.book().await);
            }
        };
        tokio::time::timeout(LIMIT, until_risen).await.expect("PostgreSQL is started again");
    }
    booked.push(front.book().await);
    for appointment in &booked {
        assert_eq!(front.find(&appointment.appointment_id).await, *appointment);
    }
    assert_eq!(history(&ready).await, before + booked.len(), "each once");
    verify(&folder).await;
    let logged = program.errors();
    assert_eq!(logged.iter().filter(|line| line.contains("PostgreSQL ended by itself")).count(), 2, "{logged:?}");
    assert!(!logged.iter().any(|line| line.contains("own fault")), "{logged:?}");
    program.signal(Signal::TERM);
    assert_eq!(program.ended().await.code(), Some(0), "{:?}", program.errors());
}
