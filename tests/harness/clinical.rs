//! A practice whose protocol asks for a clearance and a screening, and a practitioner who clears.

use stipple::rpc::pb;
use stipple::rpc::pb::record_clearance_request::Decision;
use stipple::rpc::pb::record_screening_request::Questionnaire;
use tonic::Status;

use super::World;
use super::wire::Clients;
use super::world::{at, evidence, request_id, token};

/// A practice with clinical rules.
#[derive(Clone)]
pub struct Clinic {
    /// The practice; its `protocol` is the one with the rules.
    pub world: World,
    /// The consultation: 30 minutes, a practitioner qualified for "clearance".
    pub consultation: String,
    /// A practitioner who may clear, by resource id.
    pub clearing: String,
    /// Clients with that practitioner's token.
    pub practitioner: Clients,
}

/// The rules of the protocol: the conditions by name, with their class.
pub fn screening_rules() -> Vec<pb::ScreeningRule> {
    use pb::ConditionClass::{Block, Clear, Defer, Premed};
    use pb::ScreeningQuestion::{Age, Presence, PresenceAndDate, SkinType};
    let rule = |condition: &str, asks: pb::ScreeningQuestion, class: pb::ConditionClass, may_be_cleared| {
        let asked = matches!(asks, Presence | PresenceAndDate);
        pb::ScreeningRule {
            condition: condition.into(),
            asks: asks.into(),
            question: if asked { format!("{condition}?") } else { String::new() },
            condition_class: class.into(),
            may_be_cleared,
            meaning: format!("what {condition} means"),
            evidence: evidence(),
            ..Default::default()
        }
    };
    vec![
        rule("active_acne", Presence, Defer, false),
        rule("rosacea_history", Presence, Clear, true),
        pb::ScreeningRule {
            deferral: Some(pb::screening_rule::Deferral::DeferMonths(6)),
            ..rule("isotretinoin", PresenceAndDate, Defer, true)
        },
        pb::ScreeningRule {
            deferral: Some(pb::screening_rule::Deferral::DeferDays(14)),
            ..rule("sunburn", PresenceAndDate, Defer, false)
        },
        rule("pregnancy", Presence, Block, true),
        rule("metal_implant", Presence, Block, false),
        rule("cold_sore_history", Presence, Premed, true),
        pb::ScreeningRule { least: 5, most: 6, ..rule("dark_skin", SkinType, Clear, true) },
        pb::ScreeningRule { least: 0, most: 17, ..rule("minor", Age, Block, false) },
    ]
}

/// A reaction that holds: pus.
pub fn pus() -> Vec<pb::ReactionRule> {
    vec![pb::ReactionRule {
        kind: "pus".into(),
        name: "Pus".into(),
        reaction_grade: pb::ReactionGrade::Warning.into(),
        evidence: evidence(),
        ..Default::default()
    }]
}

/// What the protocol asks of a clearance.
pub fn clearance_rules(consultation: &str) -> pb::ClearanceRules {
    pb::ClearanceRules {
        consultation_treatment_id: consultation.into(),
        qualification: "clearance".into(),
        valid_days: 365,
        cooling_off_hours: 0,
        patch_test_hours: 0,
        screening_days: 0,
        evidence: evidence(),
    }
}

impl Clinic {
    /// A practice in Berlin.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A practice in Berlin whose protocol is changed like that before it is published.
    pub async fn with(change: impl FnOnce(&mut pb::ProtocolContent)) -> Self {
        let mut world = World::new().await;
        let clearing = world.resource(pb::ResourceKind::Practitioner, "clearance").await;
        let practitioner = token(&world.server, &world.practice, pb::Role::Practitioner, &clearing).await;
        let consultation = pb::TreatmentContent {
            name: "Consultation".into(),
            phases: vec![pb::Phase {
                name: "consultation".into(),
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
        let consultation = world.publish_treatment(consultation).await;
        let mut content = pb::ProtocolContent {
            name: "A series with rules".into(),
            treatment_id: world.needling.clone(),
            sessions_minimum: 3,
            sessions_default: 4,
            sessions_maximum: 6,
            gap_floor_days: 14,
            gap_minimum_days: 28,
            gap_target_days: 35,
            gap_maximum_days: 56,
            evidence: evidence(),
            clearance: Some(clearance_rules(&consultation)),
            screening_rules: screening_rules(),
            ..Default::default()
        };
        change(&mut content);
        let request =
            pb::PublishProtocolRequest { request_id: request_id(), content: Some(content), ..Default::default() };
        let answer = world.manager.catalog().publish_protocol(request).await.unwrap().into_inner();
        world.protocol = answer.protocol.unwrap().protocol_id;
        Self { world, consultation, clearing, practitioner }
    }

    /// The same practice, with another practitioner who may clear.
    pub async fn with_another_practitioner(&self) -> Self {
        let clearing = self.world.resource(pb::ResourceKind::Practitioner, "clearance").await;
        let practitioner = token(&self.world.server, &self.world.practice, pb::Role::Practitioner, &clearing).await;
        Self { clearing, practitioner, ..self.clone() }
    }

    /// Records a screening of a patient in which these conditions are present, each with its date if it has one.
    pub async fn screen(&self, patient: &str, present: &[(&str, &str)]) -> pb::Screening {
        self.screening(patient, present, 2).await.unwrap()
    }

    /// The same with a skin type.
    pub async fn screening(
        &self,
        patient: &str,
        present: &[(&str, &str)],
        skin_type: i32,
    ) -> Result<pb::Screening, Status> {
        let request = pb::RecordScreeningRequest { skin_type, ..self.screening_request(patient, present) };
        Ok(self.world.manager.patients().record_screening(request).await?.into_inner().screening.unwrap())
    }

    /// A request that records it.
    pub fn screening_request(&self, patient: &str, present: &[(&str, &str)]) -> pb::RecordScreeningRequest {
        let asked = screening_rules().into_iter().filter(|rule| !rule.question.is_empty());
        let answers = asked.map(|rule| {
            let there = present.iter().find(|(condition, _)| *condition == rule.condition);
            let date = there.map(|(_, date)| (*date).to_owned()).unwrap_or_default();
            pb::ScreeningAnswer { condition: rule.condition, present: there.is_some(), date }
        });
        pb::RecordScreeningRequest {
            request_id: request_id(),
            patient_id: patient.into(),
            questionnaire: Some(Questionnaire::ProtocolId(self.world.protocol.clone())),
            answers: answers.collect(),
            skin_type: 2,
            ..Default::default()
        }
    }

    /// A consultation of a patient with the practitioner who clears; the patient is there.
    pub async fn consult(&self, patient: &str) -> pb::Appointment {
        let mut request = self.world.visit_request(&self.consultation, "2026-01-05T09:00:00");
        if let Some(pb::book_appointment_request::Visit::Treatment(visit)) = &mut request.visit {
            visit.patient_id = patient.into();
        }
        request.start_time = at("2026-01-05T20:00:00Z");
        request.resource_ids = vec![self.clearing.clone()];
        let booked = self.world.book(request).await.unwrap();
        self.world.check_in(&booked.appointment_id).await.unwrap()
    }

    /// A request that signs what a consultation ended in, for the abdomen.
    pub fn clearance_request(&self, consultation: &pb::Appointment) -> pb::RecordClearanceRequest {
        pb::RecordClearanceRequest {
            request_id: request_id(),
            consultation_appointment_id: consultation.appointment_id.clone(),
            protocol_id: self.world.protocol.clone(),
            body_area: pb::BodyArea::Abdomen.into(),
            decision: Some(Decision::Cleared(pb::ClearedPatient::default())),
            ..Default::default()
        }
    }

    /// Signs it.
    pub async fn sign(&self, request: pb::RecordClearanceRequest) -> Result<pb::Clearance, Status> {
        Ok(self.practitioner.patients().record_clearance(request).await?.into_inner().clearance.unwrap())
    }

    /// Consults and clears a patient, with these conditions.
    pub async fn clear(&self, patient: &str, conditions: &[&str]) -> pb::Clearance {
        let consultation = self.consult(patient).await;
        let cleared = pb::ClearedPatient {
            cleared_conditions: conditions.iter().map(|condition| (*condition).to_owned()).collect(),
            ..Default::default()
        };
        let decision = Some(Decision::Cleared(cleared));
        let request = pb::RecordClearanceRequest { decision, ..self.clearance_request(&consultation) };
        self.sign(request).await.unwrap()
    }

    /// Screens the first patient, with nothing to report, and clears them.
    pub async fn fit(&self) -> pb::Clearance {
        let patient = &self.world.patients[0];
        self.screen(patient, &[]).await;
        self.clear(patient, &[]).await
    }

    /// Revokes a clearance.
    pub async fn revoke(&self, clearance: &pb::Clearance) -> Result<pb::RevokeClearanceResponse, Status> {
        let request = pb::RevokeClearanceRequest {
            request_id: request_id(),
            clearance_id: clearance.clearance_id.clone(),
            revoke_reason: "reconsidered".into(),
            ..Default::default()
        };
        Ok(self.practitioner.patients().revoke_clearance(request).await?.into_inner())
    }

    /// What ProposeSeries says to the first patient.
    pub async fn propose(&self) -> pb::ProposeSeriesResponse {
        let request = pb::ProposeSeriesRequest {
            patient_id: self.world.patients[0].clone(),
            protocol_id: self.world.protocol.clone(),
            body_area: pb::BodyArea::Abdomen.into(),
            clinic_id: self.world.clinic.clone(),
            ..Default::default()
        };
        self.world.manager.series().propose_series(request).await.unwrap().into_inner()
    }
}
