//! What was done at a visit, from messages and to messages.

use super::parse::{Fields, scoped};
use super::{pb, render};
use crate::app::commands::NewVisitRecord;
use crate::app::{Error, Scoped};
use crate::domain::ids::AppointmentId;
use crate::domain::text::Personal;
use crate::domain::visit_record::{
    MAX_NEEDLE_DEPTH, MAX_NUMBING_MINUTES, MIN_NEEDLE_DEPTH, Numbing, Treated, VisitRecord,
};

pub(super) fn parse_get(message: pb::GetVisitRecordRequest) -> Result<Scoped<AppointmentId>, Error> {
    let pb::GetVisitRecordRequest { practice_id, appointment_id } = message;
    let mut fields = Fields::default();
    let id = fields.id("appointment_id", &appointment_id);
    scoped(fields, &practice_id, || id)
}

pub(super) fn parse(fields: &mut Fields, content: pb::VisitRecordContent) -> Option<NewVisitRecord> {
    let pb::VisitRecordContent {
        practitioner_id,
        device_id,
        cartridge_lot,
        needle_depth_micrometres,
        numbing,
        treatment_notes,
    } = content;
    let practitioner = fields.optional_id("record.practitioner_id", &practitioner_id);
    let device = fields.optional_id("record.device_id", &device_id);
    let lot = fields.prose("record.cartridge_lot", &cartridge_lot);
    let (field, depth) = ("record.needle_depth_micrometres", needle_depth_micrometres);
    let needle_depth =
        if depth == 0 { Some(None) } else { fields.within(field, depth, MIN_NEEDLE_DEPTH, MAX_NEEDLE_DEPTH).map(Some) };
    let numbing = match numbing {
        Some(numbing) => parse_numbing(fields, &numbing).map(Some),
        None => Some(None),
    };
    let notes = fields.prose("record.treatment_notes", &treatment_notes);
    let treated = Treated { lot: lot?, needle_depth: needle_depth?, numbing: numbing?, notes: notes? };
    Some(NewVisitRecord { practitioner: practitioner?, device: device?, treated: Personal::new(treated) })
}

fn parse_numbing(fields: &mut Fields, numbing: &pb::NumbingRecord) -> Option<Numbing> {
    let pb::NumbingRecord { product, left_on_minutes } = numbing;
    let product = fields.label("record.numbing.product", product);
    let minutes = fields.within("record.numbing.left_on_minutes", *left_on_minutes, 0, MAX_NUMBING_MINUTES);
    Some(Numbing { product: product?, minutes: minutes? })
}

pub(super) fn rendered(record: &VisitRecord) -> pb::VisitRecord {
    let VisitRecord { appointment, practitioner, device, treated, recorded_at } = record;
    let Treated { lot, needle_depth, numbing, notes } = treated.expose();
    let numbing = numbing.as_ref().map(|Numbing { product, minutes }| pb::NumbingRecord {
        product: product.as_str().to_owned(),
        left_on_minutes: *minutes,
    });
    let content = pb::VisitRecordContent {
        practitioner_id: practitioner.map(|id| id.to_string()).unwrap_or_default(),
        device_id: device.map(|id| id.to_string()).unwrap_or_default(),
        cartridge_lot: lot.as_str().to_owned(),
        needle_depth_micrometres: needle_depth.unwrap_or_default(),
        numbing,
        treatment_notes: notes.as_str().to_owned(),
    };
    pb::VisitRecord {
        appointment_id: appointment.to_string(),
        content: Some(content),
        recorded_at: Some(render::timestamp(*recorded_at)),
    }
}
