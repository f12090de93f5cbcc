//! What a messaging system asks for.

use super::PageOf;
use crate::domain::ids::{AppointmentId, MessageId, PatientId};
use crate::domain::message::MessageKind;

/// Messages that are due, to be taken.
#[derive(Debug, Clone)]
pub struct TakeMessages {
    /// Most of them.
    pub limit: i32,
    /// Only of these kinds; all if there are none.
    pub kinds: Vec<MessageKind>,
}

/// Whose messages.
#[derive(Debug, Clone, Copy)]
pub enum MessagesOf {
    /// Those to a patient.
    Patient(PatientId),
    /// Those about an appointment.
    Appointment(AppointmentId),
}

/// Messages that were taken.
#[derive(Debug, Clone)]
pub struct ListMessages {
    /// Whose.
    pub of: MessagesOf,
    /// Which page.
    pub page: PageOf<MessageId>,
}
