//! A small practice to try things on: one clinic, open every day, with two of everything that a session needs.

use chrono::{DateTime, NaiveDateTime, TimeZone as _, Utc};
use prost_types::Timestamp;
use stipple::rpc::pb;
use tonic::Status;
use uuid::Uuid;

use super::server::TestServer;
use super::wire::Clients;

/// A practice on a server of its own.
#[derive(Clone)]
pub struct World {
    /// The server.
    pub server: TestServer,
    /// Clients with a manager's token.
    pub manager: Clients,
    /// The practice.
    pub practice: String,
    /// The clinic.
    pub clinic: String,
    /// The clinic's zone.
    pub zone: chrono_tz::Tz,
    /// Two practitioners, qualified for everything.
    pub practitioners: Vec<String>,
    /// Two assistants.
    pub assistants: Vec<String>,
    /// Two rooms.
    pub rooms: Vec<String>,
    /// Two needling pens.
    pub pens: Vec<String>,
    /// Microneedling: numbing 30 (room, assistant), needling 30 (room, practitioner, pen), talk 5 (room, assistant),
    /// turnover 15 (room, pen). Forbids heat for 5 days and a chemical peel for 14 days before and after.
    pub needling: String,
    /// A sauna of 30 minutes in a room: exposes to heat.
    pub sauna: String,
    /// 3 to 6 sessions, default 4; gaps 14 / 28 / 35 / 56 days.
    pub protocol: String,
    /// Two patients.
    pub patients: Vec<String>,
}

/// A new request id.
#[expect(clippy::disallowed_methods, reason = "tests need ids that differ, not ids that repeat")]
pub fn request_id() -> String {
    Uuid::now_v7().to_string()
}

/// An instant as messages have it.
pub fn timestamp(at: DateTime<Utc>) -> Option<Timestamp> {
    Some(Timestamp { seconds: at.timestamp(), nanos: 0 })
}

/// An instant from text, as messages have it.
pub fn at(text: &str) -> Option<Timestamp> {
    timestamp(text.parse().unwrap())
}

impl World {
    /// A practice in Berlin.
    pub async fn new() -> Self {
        Self::in_zone("Europe/Berlin").await
    }

    /// A practice in a zone.
    pub async fn in_zone(zone: &str) -> Self {
        let server = TestServer::start().await;
        Self::on(server, zone).await
    }

    /// A practice on a server that may have others.
    pub async fn on(server: TestServer, zone: &str) -> Self {
        let operator = server.operator();
        let request =
            pb::CreatePracticeRequest { request_id: request_id(), name: "A practice".into(), ..Default::default() };
        let practice = operator.practices().create_practice(request).await.unwrap().into_inner().practice.unwrap();
        let practice = practice.practice_id;
        let manager = token(&server, &practice, pb::Role::Manager, "").await;

        let opening_hours = every_day("00:00", "24:00");
        let request = pb::CreateClinicRequest {
            request_id: request_id(),
            name: "The clinic".into(),
            time_zone: zone.into(),
            opening_hours,
            ..Default::default()
        };
        let clinic = manager.practices().create_clinic(request).await.unwrap().into_inner().clinic.unwrap().clinic_id;

        let mut world = Self {
            server,
            manager,
            practice,
            clinic,
            zone: zone.parse().unwrap(),
            practitioners: Vec::new(),
            assistants: Vec::new(),
            rooms: Vec::new(),
            pens: Vec::new(),
            needling: String::new(),
            sauna: String::new(),
            protocol: String::new(),
            patients: Vec::new(),
        };
        for _ in 0..2 {
            let practitioner = world.resource(pb::ResourceKind::Practitioner, "microneedling").await;
            world.practitioners.push(practitioner);
            let assistant = world.resource(pb::ResourceKind::Assistant, "assistance").await;
            world.assistants.push(assistant);
            let room = world.resource(pb::ResourceKind::Room, "treatment_room").await;
            world.rooms.push(room);
            let pen = world.resource(pb::ResourceKind::Device, "needling_pen").await;
            world.pens.push(pen);
            let patient = world.patient().await;
            world.patients.push(patient);
        }
        world.needling = world.publish_treatment(needling()).await;
        world.sauna = world.publish_treatment(sauna()).await;
        world.protocol = world.publish_protocol(&world.needling).await;
        world
    }

    /// Creates a resource that works, or stands, at the clinic all day every day.
    pub async fn resource(&self, kind: pb::ResourceKind, qualification: &str) -> String {
        let person = matches!(kind, pb::ResourceKind::Practitioner | pb::ResourceKind::Assistant);
        let hours = every_day("00:00", "24:00").into_iter();
        let hours = hours.map(|hours| pb::WorkingHours { clinic_id: self.clinic.clone(), hours: Some(hours) });
        let request = pb::CreateResourceRequest {
            request_id: request_id(),
            kind: kind.into(),
            name: format!("A {}", kind.as_str_name()),
            clinic_id: if person { String::new() } else { self.clinic.clone() },
            qualifications: vec![qualification.into()],
            working_hours: if person { hours.collect() } else { Vec::new() },
            ..Default::default()
        };
        self.manager.resources().create_resource(request).await.unwrap().into_inner().resource.unwrap().resource_id
    }

    /// Registers a patient.
    pub async fn patient(&self) -> String {
        let request = pb::CreatePatientRequest {
            request_id: request_id(),
            given_name: "Given".into(),
            family_name: "Family".into(),
            birth_date: "1990-04-01".into(),
            ..Default::default()
        };
        self.manager.patients().create_patient(request).await.unwrap().into_inner().patient.unwrap().patient_id
    }

    /// Publishes a new treatment.
    pub async fn publish_treatment(&self, content: pb::TreatmentContent) -> String {
        let request =
            pb::PublishTreatmentRequest { request_id: request_id(), content: Some(content), ..Default::default() };
        let answer = self.manager.catalog().publish_treatment(request).await.unwrap().into_inner();
        answer.treatment.unwrap().treatment_id
    }

    /// Publishes a new protocol of a treatment: 3 to 6 sessions, default 4; gaps 14 / 28 / 35 / 56 days; no
    /// assessments.
    pub async fn publish_protocol(&self, treatment: &str) -> String {
        let content = pb::ProtocolContent {
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
        };
        let request =
            pb::PublishProtocolRequest { request_id: request_id(), content: Some(content), ..Default::default() };
        let answer = self.manager.catalog().publish_protocol(request).await.unwrap().into_inner();
        answer.protocol.unwrap().protocol_id
    }

    /// Publishes a protocol of [`World::needling`] with the numbers of [`World::protocol`] and clinical rules: a
    /// consultation, those who are qualified for "clearance", a condition that may be cleared (`eczema_history`) and one
    /// that may not (`pacemaker`), and reactions of each grade (`redness`, `redness_beyond_48_hours`, `herpes_flare`,
    /// which counts as `cold_sore_history`). Both practitioners are qualified from then on.
    pub async fn clinical_protocol(&self) -> String {
        for practitioner in &self.practitioners {
            let request = pb::GetResourceRequest { resource_id: practitioner.clone(), ..Default::default() };
            let known = self.manager.resources().get_resource(request).await.unwrap().into_inner().resource.unwrap();
            let request = pb::UpdateResourceRequest {
                request_id: request_id(),
                etag: known.etag,
                resource_id: known.resource_id,
                name: known.name,
                active: true,
                qualifications: vec!["microneedling".into(), "clearance".into()],
                working_hours: known.working_hours,
                ..Default::default()
            };
            self.manager.resources().update_resource(request).await.unwrap();
        }
        let consultation = pb::TreatmentContent {
            name: "Consultation".into(),
            phases: vec![pb::Phase {
                name: "talk".into(),
                minutes: 30,
                patient_present: true,
                exposing: false,
                needs: vec![pb::Need {
                    kind: pb::ResourceKind::Practitioner.into(),
                    qualification: "clearance".into(),
                }],
                evidence: None,
            }],
            ..Default::default()
        };
        let consultation = self.publish_treatment(consultation).await;
        let condition = |condition: &str, class: pb::ConditionClass, may_be_cleared| pb::ScreeningRule {
            condition: condition.into(),
            asks: pb::ScreeningQuestion::Presence.into(),
            question: "Do you have it?".into(),
            condition_class: class.into(),
            may_be_cleared,
            meaning: "Look first.".into(),
            evidence: evidence(),
            ..Default::default()
        };
        let reaction = |kind: &str, grade: pb::ReactionGrade, counts_as: &str| pb::ReactionRule {
            kind: kind.into(),
            name: kind.into(),
            reaction_grade: grade.into(),
            counts_as: counts_as.into(),
            instruction: "Look.".into(),
            evidence: evidence(),
        };
        let content = pb::ProtocolContent {
            name: "A clinical series".into(),
            treatment_id: self.needling.clone(),
            sessions_minimum: 3,
            sessions_default: 4,
            sessions_maximum: 6,
            gap_floor_days: 14,
            gap_minimum_days: 28,
            gap_target_days: 35,
            gap_maximum_days: 56,
            evidence: evidence(),
            clearance: Some(pb::ClearanceRules {
                consultation_treatment_id: consultation,
                qualification: "clearance".into(),
                valid_days: 365,
                evidence: evidence(),
                ..Default::default()
            }),
            screening_rules: vec![
                condition("eczema_history", pb::ConditionClass::Clear, true),
                condition("pacemaker", pb::ConditionClass::Block, false),
                condition("cold_sore_history", pb::ConditionClass::Premed, true),
            ],
            reaction_rules: vec![
                reaction("redness", pb::ReactionGrade::Normal, ""),
                reaction("redness_beyond_48_hours", pb::ReactionGrade::Warning, ""),
                reaction("herpes_flare", pb::ReactionGrade::Serious, "cold_sore_history"),
            ],
            ..Default::default()
        };
        let request =
            pb::PublishProtocolRequest { request_id: request_id(), content: Some(content), ..Default::default() };
        let answer = self.manager.catalog().publish_protocol(request).await.unwrap().into_inner();
        answer.protocol.unwrap().protocol_id
    }

    /// Books a series of the first patient under a protocol with clinical rules.
    pub async fn book_clinical(
        &self,
        protocol: &str,
        area: pb::BodyArea,
        starts: &[&str],
    ) -> Result<pb::Series, Status> {
        self.fit_for(protocol, area).await;
        let request = pb::BookSeriesRequest {
            protocol_id: protocol.into(),
            body_area: area.into(),
            ..self.series_request(starts)
        };
        Ok(self.manager.series().book_series(request).await?.into_inner().series.unwrap())
    }

    /// Checks the patient of a visit in.
    pub async fn check_in(&self, id: &str) -> Result<pb::Appointment, Status> {
        let known = pb::GetAppointmentRequest { appointment_id: id.into(), ..Default::default() };
        let known = self.manager.appointments().get_appointment(known).await?.into_inner().appointment.unwrap();
        let request = pb::CheckInRequest {
            request_id: request_id(),
            etag: known.etag,
            appointment_id: id.into(),
            ..Default::default()
        };
        Ok(self.manager.appointments().check_in(request).await?.into_inner().appointment.unwrap())
    }

    /// Screens the first patient for a clinical protocol, with nothing to report, and clears them for an area.
    pub async fn fit_for(&self, protocol: &str, area: pb::BodyArea) {
        let get = pb::GetProtocolRequest { protocol_id: protocol.into(), ..Default::default() };
        let content = self.manager.catalog().get_protocol(get).await.unwrap().into_inner().protocol.unwrap().content;
        let content = content.unwrap();
        let asked = content.screening_rules.into_iter().filter(|rule| !rule.question.is_empty());
        let screening = pb::RecordScreeningRequest {
            request_id: request_id(),
            patient_id: self.patients[0].clone(),
            questionnaire: Some(pb::record_screening_request::Questionnaire::ProtocolId(protocol.into())),
            answers: asked
                .map(|rule| pb::ScreeningAnswer { condition: rule.condition, ..Default::default() })
                .collect(),
            skin_type: 2,
            ..Default::default()
        };
        self.manager.patients().record_screening(screening).await.unwrap();
        // One consultation will do for all areas.
        let list = pb::ListClearancesRequest { patient_id: self.patients[0].clone(), ..Default::default() };
        let known = self.manager.patients().list_clearances(list).await.unwrap().into_inner().clearances;
        let consultation = match known.into_iter().next() {
            Some(known) => known.consultation_appointment_id,
            None => {
                let treatment = content.clearance.unwrap().consultation_treatment_id;
                let mut request = self.visit_request(&treatment, "2026-01-05T21:00:00");
                request.resource_ids = vec![self.practitioners[0].clone()];
                let booked = self.book(request).await.unwrap();
                self.check_in(&booked.appointment_id).await.unwrap().appointment_id
            }
        };
        let request = pb::RecordClearanceRequest {
            request_id: request_id(),
            consultation_appointment_id: consultation,
            protocol_id: protocol.into(),
            body_area: area.into(),
            decision: Some(pb::record_clearance_request::Decision::Cleared(pb::ClearedPatient::default())),
            ..Default::default()
        };
        self.practitioner(0).await.patients().record_clearance(request).await.unwrap();
    }

    /// Clients with a new token of one of the practitioners.
    pub async fn practitioner(&self, place: usize) -> Clients {
        token(&self.server, &self.practice, pb::Role::Practitioner, &self.practitioners[place]).await
    }

    /// The instant at which the clinic's wall clock shows this, as `2026-03-01T10:00:00`.
    pub fn local(&self, text: &str) -> DateTime<Utc> {
        let local: NaiveDateTime = text.parse().unwrap();
        self.zone.from_local_datetime(&local).earliest().expect("a time that exists").with_timezone(&Utc)
    }

    /// A request for a series of the first patient's abdomen, with sessions at these wall-clock times.
    pub fn series_request(&self, starts: &[&str]) -> pb::BookSeriesRequest {
        let sessions = starts
            .iter()
            .map(|start| pb::SessionRequest { start_time: timestamp(self.local(start)), ..Default::default() });
        pb::BookSeriesRequest {
            request_id: request_id(),
            patient_id: self.patients[0].clone(),
            protocol_id: self.protocol.clone(),
            body_area: pb::BodyArea::Abdomen.into(),
            clinic_id: self.clinic.clone(),
            sessions: sessions.collect(),
            ..Default::default()
        }
    }

    /// Books a series of the first patient's abdomen.
    pub async fn book_series(&self, starts: &[&str]) -> Result<pb::Series, Status> {
        let answer = self.manager.series().book_series(self.series_request(starts)).await?;
        Ok(answer.into_inner().series.unwrap())
    }

    /// A request for a single visit of the first patient that does not needle.
    pub fn visit_request(&self, treatment: &str, start: &str) -> pb::BookAppointmentRequest {
        pb::BookAppointmentRequest {
            request_id: request_id(),
            visit: Some(pb::book_appointment_request::Visit::Treatment(pb::TreatmentVisit {
                patient_id: self.patients[0].clone(),
                treatment_id: treatment.into(),
                body_area: pb::BodyArea::Unspecified.into(),
            })),
            clinic_id: self.clinic.clone(),
            start_time: timestamp(self.local(start)),
            ..Default::default()
        }
    }

    /// Books a sauna for the first patient.
    pub async fn book_sauna(&self, start: &str) -> Result<pb::Appointment, Status> {
        self.book(self.visit_request(&self.sauna, start)).await
    }

    /// Books a single visit.
    pub async fn book(&self, request: pb::BookAppointmentRequest) -> Result<pb::Appointment, Status> {
        Ok(self.manager.appointments().book_appointment(request).await?.into_inner().appointment.unwrap())
    }

    /// Cancels an appointment.
    pub async fn cancel(&self, appointment: &pb::Appointment) -> Result<pb::Appointment, Status> {
        let request = pb::CancelAppointmentRequest {
            request_id: request_id(),
            etag: appointment.etag.clone(),
            appointment_id: appointment.appointment_id.clone(),
            ..Default::default()
        };
        Ok(self.manager.appointments().cancel_appointment(request).await?.into_inner().appointment.unwrap())
    }
}

/// Clients with a new token of a role in a practice.
pub async fn token(server: &TestServer, practice: &str, role: pb::Role, practitioner: &str) -> Clients {
    let request = pb::CreateTokenRequest {
        practice_id: practice.into(),
        request_id: request_id(),
        label: format!("a {}", role.as_str_name()),
        role: role.into(),
        practitioner_id: practitioner.into(),
        ..Default::default()
    };
    let answer = server.operator().access().create_token(request).await.unwrap().into_inner();
    server.clients(&answer.bearer_token)
}

/// The same hours on every day of the week.
pub fn every_day(opens: &str, closes: &str) -> Vec<pb::WeeklyHours> {
    (1..=7).map(|weekday| pb::WeeklyHours { weekday, opens: opens.into(), closes: closes.into() }).collect()
}

/// Some evidence.
pub fn evidence() -> Option<pb::Evidence> {
    Some(pb::Evidence { source: "a source".into(), grade: pb::EvidenceGrade::Own.into(), rationale: "why".into() })
}

/// See [`World::needling`].
pub fn needling() -> pb::TreatmentContent {
    let need = |kind: pb::ResourceKind, qualification: &str| pb::Need {
        kind: kind.into(),
        qualification: qualification.into(),
    };
    let room = || need(pb::ResourceKind::Room, "treatment_room");
    let assistant = || need(pb::ResourceKind::Assistant, "assistance");
    let pen = || need(pb::ResourceKind::Device, "needling_pen");
    let practitioner = || need(pb::ResourceKind::Practitioner, "microneedling");
    let phase = |name: &str, minutes, patient_present, exposing, needs| pb::Phase {
        name: name.into(),
        minutes,
        patient_present,
        exposing,
        needs,
        evidence: evidence(),
    };
    let days = |days| Some(pb::Span { amount: Some(pb::span::Amount::Days(days)) });
    pb::TreatmentContent {
        name: "Microneedling".into(),
        spacing_days: 28,
        phases: vec![
            phase("numbing", 30, true, false, vec![room(), assistant()]),
            phase("needling", 30, true, true, vec![room(), practitioner(), pen()]),
            phase("aftercare talk", 5, true, false, vec![room(), assistant()]),
            phase("turnover", 15, false, false, vec![room(), pen()]),
        ],
        exposures: vec![],
        restrictions: vec![
            pb::Restriction {
                activity: pb::Activity::Heat.into(),
                before: None,
                after: days(5),
                instruction: "No sauna.".into(),
                evidence: evidence(),
                ..Default::default()
            },
            pb::Restriction {
                activity: pb::Activity::ChemicalPeel.into(),
                before: days(14),
                after: days(14),
                instruction: "No peel.".into(),
                evidence: evidence(),
                ..Default::default()
            },
        ],
        ..Default::default()
    }
}

/// See [`World::sauna`].
pub fn sauna() -> pb::TreatmentContent {
    pb::TreatmentContent {
        name: "Sauna".into(),
        spacing_days: 0,
        phases: vec![pb::Phase {
            name: "sauna".into(),
            minutes: 30,
            patient_present: true,
            exposing: true,
            needs: vec![pb::Need { kind: pb::ResourceKind::Room.into(), qualification: "treatment_room".into() }],
            evidence: None,
        }],
        exposures: vec![pb::Activity::Heat.into()],
        ..Default::default()
    }
}
