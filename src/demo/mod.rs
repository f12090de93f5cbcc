//! The demonstration practice: two clinics with people, rooms, devices, patients and weeks of bookings, all made
//! through the same use cases that callers have, so that nothing in it could not have been made over the wire.
//!
//! - `catalog`: the default catalogue, every number of it with its source
//! - `practice`: clinics, resources, closure and time off
//! - `patients`: invented people
//! - `clearances`: consultations, and what they ended in
//! - `bookings`: series and single visits
//! - `examples`: commands to try on it

pub mod catalog;

mod bookings;
mod clearances;
mod examples;
mod known;
mod patients;
mod practice;
mod step;

use std::sync::Arc;

use chrono::TimeDelta;

use crate::app::clock::SystemClock;
use crate::app::commands::{NewToken, PracticeSettings};
use crate::app::{App, Error};
use crate::domain::access::{Caller, Role};
use crate::domain::clinic::DEFAULT_HORIZON_DAYS;
use crate::domain::ids::{ClinicId, PatientId, PracticeId, ProtocolId};
use crate::domain::interval::Instant;
use crate::domain::text::Personal;

use catalog::Course;
pub use examples::{Examples, examples};
use practice::Site;
use step::{Seeder, broken, label};

/// How many tokens one call of [`seed`] asks for. A repeated request for a token answers without its secret, so the
/// next one is asked for.
const MAX_TOKENS: usize = 8;

/// How long before the demonstration the practice opened: consultations took place in between.
const OPEN_FOR: TimeDelta = TimeDelta::days(14);

/// The demonstration practice, as far as the examples need it.
#[derive(Debug, Clone)]
pub struct Demo {
    /// The practice.
    pub practice: PracticeId,
    /// The text of a manager's bearer token, made by this call of [`seed`].
    pub token: Personal<String>,
    /// The clinic of the examples.
    pub clinic: ClinicId,
    /// A patient who is cleared, and for whom nothing is ahead at first.
    pub patient: PatientId,
    /// The protocol of the examples: stretch marks.
    pub protocol: ProtocolId,
}

/// Makes the demonstration practice, or completes it if an earlier call did not come to its end. Only the token is new
/// each time, because the secret of an earlier one is kept nowhere.
///
/// # Errors
///
/// Whatever a use case answers, refused bookings aside.
pub async fn seed(app: &App, now: Instant) -> Result<Demo, Error> {
    let settings = PracticeSettings {
        name: label("Linden and Harbour Skin Clinics (demonstration)")?,
        booking_horizon_days: DEFAULT_HORIZON_DAYS,
    };
    let back_then = app.by_clock(Arc::new(SystemClock::starting_at(now - OPEN_FOR)));
    let practice = step::command(None, "practice", settings);
    let practice = back_then.create_practice(&Caller::COMMAND_LINE, &practice).await?.id;
    let opening = Seeder { app: &back_then, practice };
    let catalogue = catalog::publish(&opening).await?;
    let clinics = practice::create(&opening, now).await?;
    let patients = patients::create(&opening).await?;
    let consultations = clearances::consult(&opening, &catalogue, &clinics, &patients, now).await?;
    let seeder = Seeder { app, practice };
    clearances::clear(&seeder, &catalogue, &consultations).await?;
    let booked = bookings::book(&seeder, &catalogue, &clinics, &patients, now).await?;
    tracing::info!(series = booked.series, visits = booked.visits, "the demonstration practice is there");
    Ok(Demo {
        practice,
        token: token(&seeder, now).await?,
        clinic: clinics.id(Site::Berlin),
        patient: *patients.first().ok_or_else(|| broken("there is no patient"))?,
        protocol: catalogue.protocol(Course::StretchMarks)?,
    })
}

async fn token(seeder: &Seeder<'_>, now: Instant) -> Result<Personal<String>, Error> {
    for attempt in 0..MAX_TOKENS {
        let body = NewToken { label: label("demonstration")?, role: Role::Manager, practitioner: None };
        let command = seeder.command(&format!("token {} {attempt}", now.timestamp_micros()), body);
        if let (_, Some(text)) = seeder.app.create_token(&Caller::COMMAND_LINE, &command).await? {
            return Ok(Personal::new(text));
        }
    }
    Err(broken("no new token could be made at this moment"))
}
