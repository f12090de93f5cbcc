//! What the benchmarks share: a PostgreSQL of their own, a practice that is made over the wire, and how a server is
//! asked.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stipple::app::App;
use stipple::app::clock::{Clock, SystemClock};
use stipple::app::ids::{IdSource as _, SystemIds};
use stipple::embedded::{Cluster, Durability, Settings};
use stipple::rpc::pb;
use stipple::store::{MIGRATIONS, PgPool, analyze};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status};

/// Connections of the server to the database.
const POOL: u32 = 16;

/// `cargo test --benches` only wants to know that it runs.
pub fn is_quick() -> bool {
    !std::env::args().any(|argument| argument == "--bench")
}

/// A durable PostgreSQL with the schema, and a pool of connections to it.
pub struct Database {
    pub pool: PgPool,
    pub cluster: Cluster,
    folder: Folder,
}

/// A folder that is removed in the end, whatever the end is but death.
pub struct Folder(pub PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // PostgreSQL, told to end by then, may still write.
        for _ in 0..250 {
            match std::fs::remove_dir_all(&self.0) {
                Err(error) if error.kind() != ErrorKind::NotFound => std::thread::sleep(Duration::from_millis(20)),
                Ok(()) | Err(_) => return,
            }
        }
        eprintln!("{} is left", self.0.display());
    }
}

impl Database {
    pub async fn start() -> Self {
        let settings = Settings { durability: Durability::Durable, ..Settings::throwaway() };
        let folder = Folder(settings.data_dir.clone());
        let cluster = Cluster::start(&settings).await.expect("PostgreSQL starts");
        let pool = stipple::store::pool(cluster.connect_options("stipple"), POOL).await.expect("PostgreSQL answers");
        MIGRATIONS.run(&pool).await.expect("migrations run");
        Self { pool, cluster, folder }
    }

    pub fn app(&self, clock: Arc<dyn Clock>) -> App {
        App::new(self.pool.clone(), clock, Arc::new(SystemIds))
    }

    /// Lets PostgreSQL look at how much there is of everything.
    pub async fn analyze(&self) {
        analyze(&mut self.pool.acquire().await.expect("a connection is free")).await.expect("it looks at its tables");
    }

    pub async fn stop(self) {
        self.pool.close().await;
        self.cluster.stop().await.expect("PostgreSQL stops");
        drop(self.folder);
    }
}

/// A manager's desk: a practice, and the token that opens it.
pub struct Desk {
    pub token: MetadataValue<Ascii>,
    channel: Channel,
}

impl Desk {
    /// Founds a practice.
    pub async fn found(channel: &Channel, operator: &str) -> Result<Self, Status> {
        let operator = bearer(operator);
        let mut practices = pb::practice_service_client::PracticeServiceClient::new(channel.clone());
        let request = pb::CreatePracticeRequest { request_id: id(), name: "Bench".into(), ..Default::default() };
        let answer = practices.create_practice(with(&operator, request)).await?.into_inner();
        let request = pb::CreateTokenRequest {
            practice_id: answer.practice.unwrap_or_default().practice_id,
            request_id: id(),
            label: "bench".into(),
            role: pb::Role::Manager.into(),
            ..Default::default()
        };
        let mut access = pb::access_service_client::AccessServiceClient::new(channel.clone());
        let token = bearer(&access.create_token(with(&operator, request)).await?.into_inner().bearer_token);
        Ok(Self { token, channel: channel.clone() })
    }

    /// Opens a clinic that never closes.
    pub async fn clinic(&self) -> Result<String, Status> {
        let request = pb::CreateClinicRequest {
            request_id: id(),
            name: "Bench".into(),
            time_zone: "Europe/Berlin".into(),
            opening_hours: hours(1..=7, &[("00:00", "24:00")]),
            ..Default::default()
        };
        let mut practices = pb::practice_service_client::PracticeServiceClient::new(self.channel.clone());
        let answer = practices.create_clinic(with(&self.token, request)).await?.into_inner();
        Ok(answer.clinic.unwrap_or_default().clinic_id)
    }

    /// Adds a resource of a clinic; people work there in these hours.
    pub async fn resource(
        &self,
        clinic: &str,
        (kind, qualification): (pb::ResourceKind, &str),
        hours: &[pb::WeeklyHours],
    ) -> Result<String, Status> {
        let person = matches!(kind, pb::ResourceKind::Practitioner | pb::ResourceKind::Assistant);
        let work =
            |hours: &pb::WeeklyHours| pb::WorkingHours { clinic_id: clinic.to_owned(), hours: Some(hours.clone()) };
        let request = pb::CreateResourceRequest {
            request_id: id(),
            kind: kind.into(),
            name: "Bench".into(),
            clinic_id: if person { String::new() } else { clinic.to_owned() },
            qualifications: vec![qualification.to_owned()],
            working_hours: if person { hours.iter().map(work).collect() } else { Vec::new() },
            ..Default::default()
        };
        let mut resources = pb::resource_service_client::ResourceServiceClient::new(self.channel.clone());
        let answer = resources.create_resource(with(&self.token, request)).await?.into_inner();
        Ok(answer.resource.unwrap_or_default().resource_id)
    }

    /// Publishes a treatment.
    pub async fn treatment(&self, content: pb::TreatmentContent) -> Result<String, Status> {
        let request = pb::PublishTreatmentRequest { request_id: id(), content: Some(content), ..Default::default() };
        let mut catalog = pb::catalog_service_client::CatalogServiceClient::new(self.channel.clone());
        let answer = catalog.publish_treatment(with(&self.token, request)).await?.into_inner();
        Ok(answer.treatment.unwrap_or_default().treatment_id)
    }

    /// Publishes a protocol of so many sessions, unless somebody asks for more or fewer.
    pub async fn protocol(&self, treatment: &str, sessions: i32) -> Result<String, Status> {
        let content = pb::ProtocolContent {
            name: "Bench".into(),
            treatment_id: treatment.to_owned(),
            sessions_minimum: 3,
            sessions_default: sessions,
            sessions_maximum: 6,
            gap_floor_days: 14,
            gap_minimum_days: 28,
            gap_target_days: 35,
            gap_maximum_days: 56,
            evidence: evidence(),
            assessments: vec![],
            ..Default::default()
        };
        let request = pb::PublishProtocolRequest { request_id: id(), content: Some(content), ..Default::default() };
        let mut catalog = pb::catalog_service_client::CatalogServiceClient::new(self.channel.clone());
        let answer = catalog.publish_protocol(with(&self.token, request)).await?.into_inner();
        Ok(answer.protocol.unwrap_or_default().protocol_id)
    }

    /// Registers a patient.
    pub async fn patient(&self) -> Result<String, Status> {
        let request = pb::CreatePatientRequest {
            request_id: id(),
            given_name: "Bench".into(),
            family_name: "Bench".into(),
            birth_date: "1990-01-01".into(),
            ..Default::default()
        };
        let mut patients = pb::patient_service_client::PatientServiceClient::new(self.channel.clone());
        let answer = patients.create_patient(with(&self.token, request)).await?.into_inner();
        Ok(answer.patient.unwrap_or_default().patient_id)
    }
}

/// The same hours on several weekdays.
pub fn hours(weekdays: impl IntoIterator<Item = i32>, stretches: &[(&str, &str)]) -> Vec<pb::WeeklyHours> {
    let day = |weekday| {
        stretches.iter().map(move |(opens, closes)| pb::WeeklyHours {
            weekday,
            opens: (*opens).to_owned(),
            closes: (*closes).to_owned(),
        })
    };
    weekdays.into_iter().flat_map(day).collect()
}

/// What the microneedling of [`needling`] needs.
pub const NEEDS: [(pb::ResourceKind, &str); 4] = [
    (pb::ResourceKind::Room, "room"),
    (pb::ResourceKind::Assistant, "assistance"),
    (pb::ResourceKind::Practitioner, "needling"),
    (pb::ResourceKind::Device, "pen"),
];

/// A session of microneedling: 80 minutes with turnover, and a week of aftercare.
pub fn needling() -> pb::TreatmentContent {
    pb::TreatmentContent {
        name: "Bench".into(),
        spacing_days: 28,
        phases: vec![
            phase("numbing", 30, (true, false), &[NEEDS[0], NEEDS[1]]),
            phase("needling", 30, (true, true), &[NEEDS[0], NEEDS[2], NEEDS[3]]),
            phase("talk", 5, (true, false), &[NEEDS[0], NEEDS[1]]),
            phase("turnover", 15, (false, false), &[NEEDS[0], NEEDS[3]]),
        ],
        restrictions: restrictions(),
        ..Default::default()
    }
}

/// A phase in which the patient is there or not, and is treated or not.
pub fn phase(
    name: &str,
    minutes: i32,
    (patient_present, exposing): (bool, bool),
    needs: &[(pb::ResourceKind, &str)],
) -> pb::Phase {
    let need =
        |(kind, code): &(pb::ResourceKind, &str)| pb::Need { kind: (*kind).into(), qualification: (*code).into() };
    let needs = needs.iter().map(need).collect();
    pb::Phase { name: name.into(), minutes, patient_present, exposing, needs, evidence: None }
}

/// A week of aftercare.
pub fn restrictions() -> Vec<pb::Restriction> {
    let restriction = |activity: pb::Activity| pb::Restriction {
        activity: activity.into(),
        before: None,
        after: Some(pb::Span { amount: Some(pb::span::Amount::Days(7)) }),
        instruction: "Wait.".into(),
        evidence: evidence(),
        ..Default::default()
    };
    [
        pb::Activity::SunExposure,
        pb::Activity::Heat,
        pb::Activity::Swimming,
        pb::Activity::Exercise,
        pb::Activity::ChemicalPeel,
    ]
    .map(restriction)
    .to_vec()
}

fn evidence() -> Option<pb::Evidence> {
    Some(pb::Evidence { source: String::new(), grade: pb::EvidenceGrade::Own.into(), rationale: String::new() })
}

/// A new id.
pub fn id() -> String {
    SystemIds.new_id(SystemClock::default().now()).to_string()
}

fn bearer(token: &str) -> MetadataValue<Ascii> {
    format!("Bearer {token}").parse().expect("a token is plain text")
}

/// A request with its token.
pub fn with<T>(token: &MetadataValue<Ascii>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", token.clone());
    request
}

/// A connection of its own to a server.
pub async fn connect(address: &str) -> Channel {
    let address = Channel::from_shared(format!("http://{address}")).expect("an address");
    address.connect().await.expect("the server listens")
}

/// Asks a server as any client does. The generated clients of this crate also look through each answer for fields that
/// they do not know, which takes longer than most answers do.
pub async fn call<Q, A>(channel: &Channel, path: &'static str, request: Request<Q>) -> Result<A, Status>
where
    Q: prost::Message + 'static,
    A: prost::Message + Default + 'static,
{
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = tonic_prost::ProstCodec::<Q, A>::default();
    Ok(client.unary(request, PathAndQuery::from_static(path), codec).await?.into_inner())
}
