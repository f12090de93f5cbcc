//! The strict codec: any bytes are refused, or are the message that another decoder reads in them, with nothing left
//! out; and what is encoded again means the same.

#![no_main]

use std::fmt::Debug;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use prost::{Message, Name};
use prost_reflect::DynamicMessage;
use stipple::rpc::codec::{DESCRIPTORS, decoded};
use stipple::rpc::pb;

macro_rules! requests {
    ($($name:ident),+ $(,)?) => {
        /// What every method takes.
        const REQUESTS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), decode::<pb::$name>)),+];
    };
}

requests! {
    AddEntryRequest, BookAppointmentRequest, BookSeriesRequest, CancelAppointmentRequest, CancelSeriesRequest,
    CheckActivityRequest, CheckInRequest, ClearReactionRequest, CompleteAppointmentRequest,
    ConfirmAppointmentRequest, ConvertHoldRequest, ConvertSeriesHoldRequest, CreateClinicRequest,
    CreateClosureRequest, CreatePatientRequest, CreatePracticeRequest, CreateResourceRequest, CreateTimeOffRequest,
    CreateTokenRequest, DeleteClosureRequest, DeleteTimeOffRequest, ExtendSeriesRequest, FindMatchesRequest,
    FindSlotsRequest, GetAftercareRequest, GetAppointmentRequest, GetClinicRequest, GetPatientCalendarRequest,
    GetPatientRequest, GetPracticeRequest, GetPractitionerCalendarRequest, GetProtocolRequest, GetResourceRequest,
    GetSeriesRequest, GetTreatmentRequest, GetVisitRecordRequest, GrantOverrideRequest, HoldAppointmentRequest,
    HoldSeriesRequest, ListAppointmentsRequest, ListChangesRequest, ListClearancesRequest, ListClinicsRequest,
    ListClosuresRequest, ListDisplacedRequest, ListEntriesRequest, ListMessagesRequest, ListOverridesRequest,
    ListPatientsRequest, ListPracticesRequest, ListProtocolsRequest, ListReactionsRequest, ListResourcesRequest,
    ListScreeningsRequest, ListSeriesRequest, ListTimeOffRequest, ListTokensRequest, ListTreatmentsRequest,
    MarkNoShowRequest, OfferTimeRequest, ProposeSeriesRequest, PublishProtocolRequest, PublishTreatmentRequest,
    RecordAssessmentRequest, RecordClearanceRequest, RecordScreeningRequest, RenewHoldRequest,
    RenewSeriesHoldRequest, ReportReactionRequest, RescheduleAppointmentRequest, RescheduleSessionRequest,
    RevokeClearanceRequest, RevokeOverrideRequest, RevokeTokenRequest, ShortenSeriesRequest, StartVisitRequest,
    TakeMessagesRequest, UndoVisitRequest, UpdateBookingRulesRequest, UpdateClinicRequest, UpdatePatientRequest,
    UpdatePracticeRequest, UpdateResourceRequest, WatchChangesRequest, WatchDayRequest, WithdrawEntryRequest,
}

/// Fails unless no method is left out.
static COMPLETE: LazyLock<()> = LazyLock::new(|| {
    let services = DESCRIPTORS.services().filter(|service| service.full_name().starts_with("stipple.v1."));
    for method in services.flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let input = method.input();
        assert!(REQUESTS.iter().any(|(name, _)| *name == input.name()), "{} is not decoded here", input.name());
    }
});

fuzz_target!(|input: &[u8]| {
    LazyLock::force(&COMPLETE);
    let Some((which, bytes)) = input.split_first() else { return };
    let (_, decode) = REQUESTS[usize::from(*which) % REQUESTS.len()];
    decode(bytes);
});

fn decode<M: Message + Name + Default + Debug + PartialEq>(bytes: &[u8]) {
    let descriptor = DESCRIPTORS.get_message_by_name(&M::full_name()).expect("a message of the service");
    let read = |bytes: &[u8]| DynamicMessage::decode(descriptor.clone(), bytes);
    match (decoded::<M>(bytes), read(bytes)) {
        (Ok(message), Ok(known)) => {
            assert!(!has_unknown(&known), "{known:?}");
            // As bytes: the other decoder keeps in mind that a default was sent, and NaN is no equal of NaN.
            let once_more = |bytes: &[u8]| decoded::<M>(bytes).expect("what was encoded").encode_to_vec();
            let again = message.encode_to_vec();
            assert_eq!(once_more(&known.encode_to_vec()), again, "{message:?} {known:?}");
            assert_eq!(once_more(&again), again, "{message:?}");
        }
        (Ok(message), Err(error)) => panic!("{message:?}: {error}"),
        (Err(status), Ok(known)) => assert!(has_unknown(&known), "{status:?} {known:?}"),
        (Err(_), Err(_)) => {}
    }
}

/// Whether there is a field anywhere in a message that its type does not have.
fn has_unknown(message: &DynamicMessage) -> bool {
    let inner = |value: &prost_reflect::Value| match value {
        prost_reflect::Value::Message(inner) => has_unknown(inner),
        prost_reflect::Value::List(list) => list.iter().filter_map(|entry| entry.as_message()).any(has_unknown),
        _ => false,
    };
    message.unknown_fields().next().is_some() || message.fields().any(|(_, value)| inner(value))
}
