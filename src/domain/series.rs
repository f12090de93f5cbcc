//! A patient's course of a protocol on one area.

use super::appointment::Appointment;
use super::catalog::BodyArea;
use super::ids::{AppointmentId, PatientId, ProtocolId, SeriesId};
use super::interval::Instant;
use super::refusal::{Refusal, Rule, Violation};
use super::text::{Personal, Prose};

/// Where a series stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeriesState {
    /// Its sessions take place.
    Active,
    /// No further session takes place.
    Cancelled {
        /// Since when.
        at: Instant,
        /// Why.
        reason: Personal<Prose<2000>>,
    },
}

/// A series with its sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Its id.
    pub id: SeriesId,
    /// The patient.
    pub patient: PatientId,
    /// The protocol.
    pub protocol: ProtocolId,
    /// The version it runs on under.
    pub protocol_version: i32,
    /// The area treated.
    pub area: BodyArea,
    /// Number of sessions.
    pub session_count: i32,
    /// Where it stands.
    pub state: SeriesState,
    /// The live appointments of its sessions, by start.
    pub sessions: Vec<Appointment>,
    /// Revision that last changed it.
    pub changed_revision: i64,
}

impl Series {
    /// The live appointment of a session.
    pub fn session(&self, number: i32) -> Option<&Appointment> {
        self.sessions.iter().find(|appointment| appointment.session.is_some_and(|session| session.number == number))
    }

    /// The series, cancelled together with every session that has not begun, and the appointments of those.
    pub fn cancel(
        mut self,
        now: Instant,
        reason: Personal<Prose<2000>>,
        revision: i64,
    ) -> Result<(Self, Vec<AppointmentId>), Refusal> {
        match self.state {
            SeriesState::Cancelled { .. } => {
                return Err(vec![Violation::new(Rule::SeriesNotActive, "the series is cancelled already")]);
            }
            SeriesState::Active => {}
        }
        let (begun, ahead): (Vec<_>, Vec<_>) =
            self.sessions.into_iter().partition(|session| session.visit.start() <= now);
        self.sessions = begun;
        self.state = SeriesState::Cancelled { at: now, reason };
        self.changed_revision = revision;
        Ok((self, ahead.into_iter().map(|session| session.id).collect()))
    }
}
