//! Calls that no generated client makes: any bytes to any method, and messages built from the descriptors alone, so
//! that a method or a field that is added later is tried without anybody thinking of it.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use sha2::{Digest as _, Sha256};
use stipple::app::access::may_call;
use stipple::domain::access::Role;
use stipple::rpc::codec::DESCRIPTORS;
use stipple::rpc::pb;
use tonic::body::Body;
use tonic::codegen::http::{Request, Version, header};
use tonic::{Code, Status};
use tower::ServiceExt as _;

use crate::harness::kill::Killed;
use crate::harness::wire::streams;
use crate::harness::world::{at, request_id};
use crate::harness::{TestServer, Wire, World};

/// One method of the service.
#[derive(Clone)]
pub struct Rpc {
    /// As in the authorization table: `stipple.v1.PracticeService/GetPractice`.
    pub name: String,
    /// What it takes.
    pub input: MessageDescriptor,
    /// What it answers with.
    pub output: MessageDescriptor,
}

/// All methods of `stipple.v1`.
pub fn rpcs() -> Vec<Rpc> {
    let services = DESCRIPTORS.services().filter(|service| service.full_name().starts_with("stipple.v1."));
    let rpcs: Vec<Rpc> = services
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| Rpc {
            name: format!("{}/{}", method.parent_service().full_name(), method.name()),
            input: method.input(),
            output: method.output(),
        })
        .collect();
    assert!(rpcs.len() >= 40, "the descriptors have the methods");
    rpcs
}

/// The method with that short name.
pub fn rpc(name: &str) -> Rpc {
    rpcs().into_iter().find(|rpc| rpc.name.ends_with(&format!("/{name}"))).expect("a method with that name")
}

/// A message in the frame in which gRPC sends it.
pub fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.put_slice(message);
    framed.freeze()
}

/// Sends a body as it is, and takes the answer's message, or the status. Panics if the connection is lost.
pub async fn send(server: &TestServer, token: Option<&str>, method: &str, body: Bytes) -> Result<Bytes, Status> {
    send_with(server, token, method, body, &[]).await
}

/// The same with further headers.
pub async fn send_with(
    server: &TestServer,
    token: Option<&str>,
    method: &str,
    body: Bytes,
    headers: &[(&'static str, &'static str)],
) -> Result<Bytes, Status> {
    let mut request = Request::post(format!("/{method}"))
        .version(Version::HTTP_2)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::new(Full::new(body))).unwrap();
    let wire = Wire::new(server.clone(), token.map(ToOwned::to_owned));
    let response = wire.oneshot(request).await.unwrap_or_else(|error| panic!("{method}: connection lost: {error:?}"));
    let (head, body) = response.into_parts();
    if let Some(status) = Status::from_header_map(&head.headers) {
        assert_ne!(status.code(), Code::Ok, "{method}: an answer without a message");
        return Err(status);
    }
    if streams(method) {
        return first_of(body).await;
    }
    let body = body.collect().await.unwrap_or_else(|error| panic!("{method}: answer cut off: {error:?}"));
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = Status::from_header_map(&trailers).expect("a status at the end");
    if status.code() != Code::Ok {
        return Err(status);
    }
    let bytes = body.to_bytes();
    assert_eq!(bytes[0], 0, "an answer that is not compressed");
    assert_eq!(usize::try_from(u32::from_be_bytes(bytes[1..5].try_into().unwrap())).unwrap(), bytes.len() - 5);
    Ok(bytes.slice(5..))
}

/// The first message of an answer that may go on for ever, or its status if there is none.
async fn first_of(mut body: Body) -> Result<Bytes, Status> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame.expect("a frame").into_data() {
            Ok(data) => read.put(data),
            Err(trailers) => return Err(Status::from_header_map(trailers.trailers_ref().unwrap()).unwrap()),
        }
        let length = read.get(1..5).map(|length| u32::from_be_bytes(length.try_into().unwrap()) as usize);
        if let Some(length) = length.filter(|length| read.len() >= 5 + length) {
            return Ok(read.freeze().slice(5..5 + length));
        }
    }
    panic!("neither a message nor a status");
}

/// Calls a method with a message.
pub async fn call(
    server: &TestServer,
    token: Option<&str>,
    rpc: &Rpc,
    message: &DynamicMessage,
) -> Result<Bytes, Status> {
    send(server, token, &rpc.name, frame(&message.encode_to_vec())).await
}

/// An answer as comparable text: code, message and details, or the message's bytes.
pub fn told(answer: &Result<Bytes, Status>) -> String {
    match answer {
        Ok(bytes) => format!("ok {bytes:?}"),
        Err(status) => format!("{:?} {:?} {:?}", status.code(), status.message(), status.details()),
    }
}

/// A new token: its id and its text.
pub async fn bearer(server: &TestServer, practice: &str, role: pb::Role, practitioner: &str) -> (String, String) {
    let request = pb::CreateTokenRequest {
        practice_id: practice.into(),
        request_id: request_id(),
        label: format!("a {}", role.as_str_name()),
        role: role.into(),
        practitioner_id: practitioner.into(),
        ..Default::default()
    };
    let answer = server.operator().access().create_token(request).await.unwrap().into_inner();
    (answer.token.unwrap().token_id, answer.bearer_token)
}

/// One real thing of every kind in a practice, by the name of the field that it would stand in; and who may call.
pub struct Ids {
    /// For example `patient_id`.
    pub by_field: HashMap<&'static str, String>,
    /// Current etags by the message that wants them.
    pub etags: HashMap<&'static str, String>,
    /// A token of each of these roles, in the order in which to prefer them.
    tokens: [(Role, String); 3],
}

impl Ids {
    /// Fills a world with what it lacks: a booked series, a closure with a visit in it, time off, a token.
    pub async fn of(world: &World) -> Self {
        let days = ["2026-02-02T10:00:00", "2026-03-02T10:00:00", "2026-03-30T10:00:00"];
        let series = world.book_series(&days).await.unwrap();
        let visit = world.book_sauna("2026-05-05T10:00:00").await.unwrap();
        world.book_sauna("2026-12-24T10:00:00").await.unwrap();
        let closure = pb::CreateClosureRequest {
            request_id: request_id(),
            clinic_id: world.clinic.clone(),
            start_time: at("2026-12-24T00:00:00Z"),
            end_time: at("2026-12-27T00:00:00Z"),
            ..Default::default()
        };
        let closure = world.manager.practices().create_closure(closure).await.unwrap().into_inner().closure.unwrap();
        let away = pb::CreateTimeOffRequest {
            request_id: request_id(),
            resource_id: world.practitioners[0].clone(),
            start_time: at("2026-12-24T00:00:00Z"),
            end_time: at("2026-12-27T00:00:00Z"),
            ..Default::default()
        };
        let away = world.manager.resources().create_time_off(away).await.unwrap().into_inner().time_off.unwrap();
        let waiting = pb::AddEntryRequest {
            request_id: request_id(),
            visit: Some(pb::add_entry_request::Visit::Treatment(pb::TreatmentVisit {
                patient_id: world.patients[0].clone(),
                treatment_id: world.sauna.clone(),
                ..Default::default()
            })),
            clinic_id: world.clinic.clone(),
            first_date: "2026-06-01".into(),
            last_date: "2026-06-30".into(),
            ..Default::default()
        };
        let waiting = world.manager.waiting().add_entry(waiting).await.unwrap().into_inner().entry.unwrap();
        let (token_id, _) = bearer(&world.server, &world.practice, pb::Role::ReadOnly, "").await;
        let protocol = world.clinical_protocol().await;
        let of = async |practice: &str, role, practitioner: &str| {
            bearer(&world.server, practice, role, practitioner).await.1
        };
        let clinician = of(&world.practice, pb::Role::Practitioner, &world.practitioners[0]).await;
        let granted = pb::GrantOverrideRequest {
            request_id: request_id(),
            patient_id: world.patients[0].clone(),
            purpose: Some(pb::grant_override_request::Purpose::Condition(pb::ConditionOverride {
                protocol_id: protocol.clone(),
                condition: "eczema_history".into(),
            })),
            override_reason: "why".into(),
            ..Default::default()
        };
        let granted = world.server.clients(&clinician).patients().grant_override(granted).await.unwrap();
        // Its first session begins as the server's clock stands, or today where it runs on.
        let first = if Killed::wanted().is_some() { "2026-01-05T23:00:00" } else { "2026-01-05T09:00:00" };
        let now = [first, "2026-02-09T10:00:00", "2026-03-16T10:00:00"];
        let begun = world.book_clinical(&protocol, pb::BodyArea::Thighs, &now).await.unwrap();
        let cleared = pb::ListClearancesRequest { patient_id: world.patients[0].clone(), ..Default::default() };
        let cleared = world.manager.patients().list_clearances(cleared).await.unwrap().into_inner();
        let clearance = cleared.clearances[0].clone();
        let reaction = reaction(world, &series).await;
        let take = pb::TakeMessagesRequest { request_id: request_id(), ..Default::default() };
        world.manager.messages().take_messages(take).await.unwrap();
        let tokens = [
            (Role::Manager, of(&world.practice, pb::Role::Manager, "").await),
            (Role::Practitioner, clinician),
            (Role::Operator, of("", pb::Role::Operator, "").await),
        ];
        let by_field = HashMap::from([
            ("clinic_id", world.clinic.clone()),
            ("clinic_ids", world.clinic.clone()),
            ("resource_id", world.practitioners[0].clone()),
            ("practitioner_id", world.practitioners[0].clone()),
            ("practitioner_ids", world.practitioners[0].clone()),
            ("resource_ids", world.rooms[0].clone()),
            ("device_id", world.pens[0].clone()),
            ("treatment_id", world.needling.clone()),
            ("consultation_treatment_id", world.sauna.clone()),
            ("add_on_treatment_id", world.sauna.clone()),
            ("protocol_id", world.protocol.clone()),
            ("clinical_protocol_id", protocol),
            ("consultation_appointment_id", clearance.consultation_appointment_id),
            ("clearance_id", clearance.clearance_id),
            ("begun_appointment_id", begun.sessions[0].appointment.as_ref().unwrap().appointment_id.clone()),
            ("patient_id", world.patients[0].clone()),
            ("series_id", series.series_id.clone()),
            ("moving_appointment_id", visit.appointment_id.clone()),
            ("appointment_id", visit.appointment_id.clone()),
            ("add_on_treatment_id", world.sauna.clone()),
            ("override_id", granted.into_inner().r#override.unwrap().override_id),
            ("reaction_id", reaction),
            ("waiting_id", waiting.waiting_id),
            ("closure_id", closure.closure_id),
            ("time_off_id", away.time_off_id),
            ("token_id", token_id),
        ]);
        let practitioner = pb::GetResourceRequest { resource_id: world.practitioners[0].clone(), ..Default::default() };
        let practitioner = world.manager.resources().get_resource(practitioner).await.unwrap().into_inner();
        let clinic = pb::GetClinicRequest { clinic_id: world.clinic.clone(), ..Default::default() };
        let clinic = world.manager.practices().get_clinic(clinic).await.unwrap().into_inner();
        let etags = HashMap::from([
            ("UpdateClinicRequest", clinic.clinic.unwrap().etag),
            ("UpdateResourceRequest", practitioner.resource.unwrap().etag),
            ("RescheduleSessionRequest", series.etag.clone()),
            ("ExtendSeriesRequest", series.etag.clone()),
            ("RecordAssessmentRequest", series.etag.clone()),
            ("ShortenSeriesRequest", series.etag),
            ("RescheduleAppointmentRequest", visit.etag),
            ("OfferTimeRequest", waiting.etag),
        ]);
        Self { by_field, etags, tokens }
    }

    /// A token of somebody who may call the method: a manager's if one may, else a practitioner's of the practice, else
    /// an operator's.
    pub fn token(&self, rpc: &Rpc) -> &str {
        let (_, token) = self.tokens.iter().find(|(role, _)| may_call(*role, &rpc.name)).expect(&rpc.name);
        token
    }
}

/// The conditions that the clinical protocol asks about.
const CONDITIONS: [&str; 3] = ["eczema_history", "pacemaker", "cold_sore_history"];

/// A reaction that holds nothing, to a session that is yet to come: no method would take it, and clocks cannot be set
/// everywhere.
async fn reaction(world: &World, series: &pb::Series) -> String {
    let session = series.sessions[0].appointment.as_ref().unwrap();
    let uuid = |text: &str| text.parse::<uuid::Uuid>().unwrap();
    let id = request_id();
    sqlx::query(
        "INSERT INTO reactions (practice_id, reaction_id, patient_id, appointment_id, series_id, kind, reaction_grade,
                                onset, description, reported_at, reported_revision)
         VALUES ($1, $2, $3, $4, $5, 'redness', 'normal', now(), '', now(), 1)",
    )
    .bind(uuid(&world.practice))
    .bind(uuid(&id))
    .bind(uuid(&series.patient_id))
    .bind(uuid(&session.appointment_id))
    .bind(uuid(&series.series_id))
    .execute(world.server.pool())
    .await
    .unwrap();
    id
}

/// A field somewhere in a message that holds no further message but a timestamp.
#[derive(Clone)]
pub struct Leaf {
    path: Vec<FieldDescriptor>,
    /// As errors name it: `sessions[0].resource_ids[0]`.
    pub name: String,
}

impl Leaf {
    /// The field itself.
    pub fn field(&self) -> &FieldDescriptor {
        self.path.last().unwrap()
    }
}

fn is_timestamp(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.protobuf.Timestamp"
}

/// All leaves of a message, each entry of a list as its first.
pub fn leaves(message: &MessageDescriptor) -> Vec<Leaf> {
    message
        .fields()
        .flat_map(|field| {
            let name = if field.is_list() { format!("{}[0]", field.name()) } else { field.name().to_owned() };
            match field.kind() {
                Kind::Message(inner) if !is_timestamp(&inner) => leaves(&inner)
                    .into_iter()
                    .map(|mut leaf| {
                        leaf.path.insert(0, field.clone());
                        Leaf { path: leaf.path, name: format!("{name}.{}", leaf.name) }
                    })
                    .collect(),
                _ => vec![Leaf { path: vec![field.clone()], name }],
            }
        })
        .collect()
}

/// The leaves that hold ids of things in a practice.
pub fn id_leaves(message: &MessageDescriptor) -> Vec<Leaf> {
    let named = |leaf: &Leaf| {
        let name = leaf.field().name();
        (name.ends_with("_id") || name.ends_with("_ids")) && !["practice_id", "request_id"].contains(&name)
    };
    leaves(message).into_iter().filter(named).collect()
}

/// A timestamp, possibly one that is none.
pub fn instant(seconds: i64, nanos: i32) -> Value {
    let mut message = DynamicMessage::new(DESCRIPTORS.get_message_by_name("google.protobuf.Timestamp").unwrap());
    message.set_field_by_name("seconds", Value::I64(seconds));
    message.set_field_by_name("nanos", Value::I32(nanos));
    Value::Message(message)
}

/// A message in which every field is set so that, as far as one can tell from here, it would be taken.
pub fn filled(message: &MessageDescriptor, ids: &Ids) -> DynamicMessage {
    let mut filled = DynamicMessage::new(message.clone());
    for field in message.fields() {
        if let Some(value) = likely(&field, ids) {
            filled.set_field(&field, if field.is_list() { Value::List(vec![value]) } else { value });
        }
    }
    if let Some(etag) = ids.etags.get(message.name()) {
        filled.set_field_by_name("etag", Value::String(etag.clone()));
    }
    // Of several alternatives one.
    match message.name() {
        "GrantOverrideRequest" => {
            let gap = message.get_field_by_name("gap").unwrap();
            filled.set_field(&gap, likely(&gap, ids).unwrap());
        }
        // Of a new series: each question of a protocol that asks some.
        "RecordScreeningRequest" => {
            ask_clinical(&mut filled, ids);
            let answer = filled.get_field_by_name("answers").unwrap().as_list().unwrap()[0].clone();
            let answers = CONDITIONS.map(|asked| {
                let mut answer = answer.clone();
                let within = answer.as_message_mut().unwrap();
                within.set_field_by_name("condition", Value::String(asked.to_owned()));
                answer
            });
            filled.set_field_by_name("answers", Value::List(answers.into()));
        }
        // No question of that protocol asks when.
        "ScreeningAnswer" => clear(&mut filled, &["date"]),
        "RecordClearanceRequest" => {
            ask_clinical(&mut filled, ids);
            let cleared = message.get_field_by_name("cleared").unwrap();
            filled.set_field(&cleared, likely(&cleared, ids).unwrap());
        }
        // Of a session that has begun, at once.
        "ReportReactionRequest" => {
            filled.set_field_by_name("appointment_id", Value::String(ids.by_field["begun_appointment_id"].clone()));
            filled.set_field_by_name("reaction_kind", Value::String("redness".into()));
            filled.set_field_by_name("onset_time", instant(at("2026-01-05T08:00:00Z").unwrap().seconds, 0));
        }
        // The protocol asks for no patch test.
        "ClearedPatient" => clear(&mut filled, &["patch_tested_at"]),
        "BookSeriesRequest" | "HoldSeriesRequest" => clear(&mut filled, &["plan", "wishes"]),
        "ProposeSeriesRequest" => clear(&mut filled, &["series_id"]),
        // Which says to how many sessions.
        "RecordAssessmentRequest" => {
            filled.set_field_by_name("outcome", Value::EnumNumber(pb::AssessmentOutcome::Extend.into()));
        }
        "ExtendSeriesRequest" => clear(&mut filled, &["wishes"]),
        // What is moved would have to be the very visit that is named.
        "FindSlotsRequest" => clear(&mut filled, &["moving_appointment_id"]),
        // At once.
        "Duty" => clear(&mut filled, &["from"]),
        // A question that is answered yes or no, and does not put off.
        "ScreeningRule" => clear(&mut filled, &["least", "most", "defer_days", "defer_months"]),
        // Fewer than the series has.
        "ShortenSeriesRequest" => filled.set_field_by_name("session_count", Value::I32(2)),
        // With all its moves.
        "Rebooking" => clear(&mut filled, &["moves"]),
        "DisplacedMove" => sign(&mut filled),
        "ListDisplacedRequest" => clear(&mut filled, &["resource_id"]),
        // A plan of a new series, with a session that is to be booked.
        "SeriesPlan" => {
            clear(&mut filled, &["series_id"]);
            let sessions = filled.get_field_by_name_mut("sessions").unwrap().as_list_mut().unwrap();
            clear(sessions[0].as_message_mut().unwrap(), &["appointment_id"]);
            sign(&mut filled);
        }
        _ => {}
    }
    filled
}

/// Names the protocol that has clinical rules.
fn ask_clinical(message: &mut DynamicMessage, ids: &Ids) {
    message.set_field_by_name("protocol_id", Value::String(ids.by_field["clinical_protocol_id"].clone()));
}

fn clear(message: &mut DynamicMessage, fields: &[&str]) {
    fields.iter().for_each(|field| message.clear_field_by_name(field));
}

/// Gives a plan, or a move, the digest that it would have been proposed with.
fn sign(plan: &mut DynamicMessage) {
    clear(plan, &["digest"]);
    let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(plan.encode_to_vec())[..18]);
    plan.set_field_by_name("digest", Value::String(digest));
}

/// Whether a leaf is one of a plan, or of a move, that a booking goes by; the others only have to be as they were
/// proposed.
pub fn is_signed_and_read(leaf: &Leaf) -> bool {
    let read = ["patient_id", "protocol_id", "body_area", "clinic_id", "series_id"].map(|name| format!("plan.{name}"));
    let of_visit = ["start_time", "practitioner_id", "appointment_id", "resource_ids[0]"];
    let visits = ["plan.sessions[0]", "rebooking.moves[0]"];
    let is_of = |visit: &str| of_visit.iter().any(|name| leaf.name == format!("{visit}.{name}"));
    read.contains(&leaf.name) || visits.into_iter().any(is_of)
}

/// A value that a field would be taken with, as far as one can tell; nothing where it is better left out.
pub fn likely(field: &FieldDescriptor, ids: &Ids) -> Option<Value> {
    let text = |text: &str| Some(Value::String(text.to_owned()));
    match (field.kind(), field.name()) {
        (Kind::Message(inner), name) if is_timestamp(&inner) => {
            let at = if name == "end_time" { at("2026-06-01T11:00:00Z") } else { at("2026-06-01T10:00:00Z") };
            Some(instant(at?.seconds, 0))
        }
        (Kind::Message(inner), _) => Some(Value::Message(filled(&inner, ids))),
        (
            _,
            "practice_id" | "page_token" | "known_etag" | "page_size" | "version" | "after_revision" | "from_revision"
            | "validate_only",
        ) => None,
        (_, "request_id") => text(&request_id()),
        (_, name) if ids.by_field.contains_key(name) => text(&ids.by_field[name]),
        (Kind::Enum(_), name) => Some(Value::EnumNumber(match name {
            "role" | "kind" => 3,
            "body_area" => 8,
            "activity" | "exposures" => 2,
            "grade" => 4,
            _ => 1,
        })),
        (Kind::String, name) => match name {
            "etag" => text("1"),
            "birth_date" => text("1990-04-01"),
            "time_zone" => text("Europe/Berlin"),
            "email" => text("somebody@example.org"),
            "opens" => text("09:00"),
            "closes" => text("17:00"),
            "from" => text("09:00"),
            "until" => text("17:00"),
            "start_date" | "first_date" => text("2026-06-01"),
            "end_date" | "last_date" => text("2026-06-30"),
            "first_session_from" => text("2026-02-02"),
            "first_session_until" => text("2026-07-31"),
            "finish_by" => text("2026-12-31"),
            "qualification" | "qualifications" => text("treatment_room"),
            "condition" | "kind" | "counts_as" | "reaction_kind" => text("a_code"),
            "cleared_conditions" => text(CONDITIONS[0]),
            "date" => text("2025-12-01"),
            "valid_until" => text("2026-12-31"),
            "earliest_date" => text("2026-06-01"),
            "family_name_prefix" => text("F"),
            _ => text("A text"),
        },
        (Kind::Bool, _) => Some(Value::Bool(true)),
        (Kind::Int32, name) => Some(Value::I32(match name {
            "minutes" | "gap_minimum_days" | "start_grid_minutes" => 30,
            "spacing_days" => 28,
            "sessions_maximum" => 6,
            "sessions_default" | "session_count" => 4,
            "sessions_minimum" => 3,
            "gap_floor_days" => 14,
            "gap_target_days" => 35,
            "gap_maximum_days" => 56,
            "at_session" => 3,
            "minimum_days" => 28,
            "target_days" => 56,
            "maximum_days" => 90,
            "booking_horizon_days" => 400,
            "needle_depth_micrometres" => 1500,
            _ => 1,
        })),
        (Kind::Int64, "seconds") => Some(Value::I64(1_780_308_000)),
        (Kind::Int64, "total" | "amount" | "weight" | "points") => Some(Value::I64(1)),
        (kind, name) => panic!("no likely value for {name} of {kind:?}: teach this function the new field"),
    }
}

/// A message that would be taken, as far as one can tell, but for one leaf, which holds this.
pub fn with(rpc: &Rpc, ids: &Ids, leaf: &Leaf, value: Value) -> DynamicMessage {
    let mut message = filled(&rpc.input, ids);
    let name = leaf.name.as_str();
    match rpc.input.name() {
        // What stands in a clinic has no hours of its own.
        "CreateResourceRequest" if name.starts_with("working_hours") => {
            message.clear_field_by_name("clinic_id");
            message.set_field_by_name("kind", Value::EnumNumber(1));
        }
        "CreateResourceRequest" => message.clear_field_by_name("working_hours"),
        // Something new is published without an etag.
        "PublishTreatmentRequest" | "PublishProtocolRequest" if name.starts_with("content") => {
            for field in ["treatment_id", "protocol_id", "etag"] {
                if rpc.input.get_field_by_name(field).is_some() {
                    message.clear_field_by_name(field);
                }
            }
        }
        // The first of two alternatives: a session that is booked already would say no more than that.
        "BookAppointmentRequest" | "HoldAppointmentRequest" | "FindSlotsRequest" | "AddEntryRequest"
            if !name.starts_with("session") =>
        {
            let treatment = rpc.input.get_field_by_name("treatment").unwrap();
            message.set_field(&treatment, likely(&treatment, ids).unwrap());
        }
        "BookSeriesRequest" | "HoldSeriesRequest" if name.starts_with("plan.") => {
            clear(&mut message, &["patient_id", "protocol_id", "body_area", "clinic_id", "sessions"]);
            // Only a new series is held.
            if rpc.input.name() == "HoldSeriesRequest" {
                let field = rpc.input.get_field_by_name("plan").unwrap();
                let mut plan = likely(&field, ids).unwrap();
                clear(plan.as_message_mut().unwrap(), &["series_id"]);
                message.set_field(&field, plan);
            }
        }
        "BookSeriesRequest" | "HoldSeriesRequest" | "ExtendSeriesRequest" if name.starts_with("wishes.") => {
            clear(&mut message, &["sessions"]);
            let field = rpc.input.get_field_by_name("wishes").unwrap();
            let mut wishes = likely(&field, ids).unwrap();
            // What is extended says by itself to how many sessions.
            if rpc.input.name() == "ExtendSeriesRequest" {
                clear(wishes.as_message_mut().unwrap(), &["session_count"]);
            }
            message.set_field(&field, wishes);
        }
        _ if name.starts_with("rebooking.moves") => {
            clear(message.get_field_by_name_mut("rebooking").unwrap().as_message_mut().unwrap(), &["all"]);
        }
        "ListDisplacedRequest" if name == "resource_id" => clear(&mut message, &["clinic_id"]),
        "ProposeSeriesRequest" if name == "series_id" => {
            clear(&mut message, &["patient_id", "protocol_id", "body_area"]);
        }
        // The series' clinic counts where a session names none.
        "BookSeriesRequest" | "HoldSeriesRequest" | "ExtendSeriesRequest" if name == "clinic_id" => {
            let sessions = message.get_field_by_name_mut("sessions").unwrap().as_list_mut().unwrap();
            sessions[0].as_message_mut().unwrap().clear_field_by_name("clinic_id");
        }
        _ => {}
    }
    if let Some(rule) = screening_rule(&mut message) {
        let deferral = leaf.field().containing_oneof().is_some_and(|oneof| oneof.name() == "deferral");
        match leaf.field().name() {
            "least" | "most" => {
                rule.set_field_by_name("asks", Value::EnumNumber(pb::ScreeningQuestion::SkinType.into()));
                rule.clear_field_by_name("question");
                rule.set_field_by_name("least", Value::I32(1));
                rule.set_field_by_name("most", Value::I32(6));
            }
            _ if deferral => {
                rule.set_field_by_name("asks", Value::EnumNumber(pb::ScreeningQuestion::PresenceAndDate.into()));
                rule.set_field_by_name("condition_class", Value::EnumNumber(pb::ConditionClass::Defer.into()));
            }
            _ => {}
        }
    }
    put(&mut message, &leaf.path, value, ids);
    if is_signed_and_read(leaf) {
        sign_within(&mut message, leaf);
    }
    message
}

/// Gives the plan, or the move, that a leaf is of the digest that it would have been proposed with.
fn sign_within(message: &mut DynamicMessage, leaf: &Leaf) {
    let outer = if leaf.name.starts_with("plan.") { "plan" } else { "rebooking" };
    let outer = message.get_field_by_name_mut(outer).unwrap().as_message_mut().unwrap();
    match outer.get_field_by_name_mut("moves") {
        Some(moves) => sign(moves.as_list_mut().unwrap()[0].as_message_mut().unwrap()),
        None => sign(outer),
    }
}

/// The lists somewhere in a message: the name of each as errors have it, a leaf that is in it, and how many fields lie
/// around it.
pub fn lists(message: &MessageDescriptor) -> Vec<(String, Leaf, usize)> {
    let mut lists: Vec<(String, Leaf, usize)> = Vec::new();
    for leaf in leaves(message) {
        let names: Vec<&str> = leaf.name.split('.').collect();
        for depth in (0..leaf.path.len()).filter(|depth| leaf.path[*depth].is_list()) {
            let name = names[..=depth].join(".").strip_suffix("[0]").unwrap().to_owned();
            if !lists.iter().any(|(known, ..)| *known == name) {
                lists.push((name, leaf.clone(), depth));
            }
        }
    }
    lists
}

/// A message that would be taken, as far as one can tell, but for one list, which has that many entries.
pub fn crowded(rpc: &Rpc, ids: &Ids, (leaf, depth): (&Leaf, usize), entries: usize) -> DynamicMessage {
    let mut message = with(rpc, ids, leaf, likely(leaf.field(), ids).expect("a value"));
    let mut within = &mut message;
    for field in &leaf.path[..depth] {
        within = match within.get_field_mut(field) {
            Value::Message(inner) => inner,
            Value::List(list) => list[0].as_message_mut().unwrap(),
            other => panic!("{other:?}"),
        };
    }
    let field = &leaf.path[depth];
    let first = within.get_field(field).as_list().unwrap()[0].clone();
    let entry = |place: usize| match &first {
        Value::String(text) if text.parse::<uuid::Uuid>().is_ok() => Value::String(request_id()),
        Value::String(_) => Value::String(format!("a_code_{place}")),
        other => other.clone(),
    };
    within.set_field(field, Value::List((0..entries).map(entry).collect()));
    if leaf.name.starts_with("plan.") || leaf.name.starts_with("rebooking.moves") {
        sign_within(&mut message, leaf);
    }
    message
}

/// The screening rule of a message that publishes a protocol.
fn screening_rule(message: &mut DynamicMessage) -> Option<&mut DynamicMessage> {
    let content = message.get_field_by_name_mut("content")?.as_message_mut()?;
    content.get_field_by_name_mut("screening_rules")?.as_list_mut()?.first_mut()?.as_message_mut()
}

fn put(message: &mut DynamicMessage, path: &[FieldDescriptor], value: Value, ids: &Ids) {
    let (field, rest) = path.split_first().unwrap();
    let value = match field.kind() {
        Kind::Message(inner) if !rest.is_empty() => {
            let before = message.has_field(field).then(|| message.get_field(field).into_owned());
            let mut within = match before {
                Some(Value::Message(within)) => within,
                Some(Value::List(list)) => list[0].as_message().unwrap().clone(),
                _ => filled(&inner, ids),
            };
            put(&mut within, rest, value, ids);
            Value::Message(within)
        }
        _ => value,
    };
    message.set_field(field, if field.is_list() { Value::List(vec![value]) } else { value });
}
