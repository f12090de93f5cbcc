//! What callers ask for, parsed.

mod agenda;
mod clinical;
mod displacement;
mod messages;
mod overrides;
mod series;
mod waiting;

use chrono::NaiveDate;

use super::Error;
use crate::domain::access::Role;
use crate::domain::aftercare::AftercareKind;
use crate::domain::appointment::Follows;
use crate::domain::booking_rules::EndReason;
use crate::domain::catalog::{Activity, BodyArea, ProtocolContent, Qualification, ResourceKind, TreatmentContent};
use crate::domain::finding::{SlotPlace, Times};
use crate::domain::hours::{Stretch, Week};
use crate::domain::ids::{
    AppointmentId, ClinicId, ClosureId, PatientId, ProtocolId, ResourceId, SeriesId, TimeOffId, TokenId, TreatmentId,
    WaitingId,
};
use crate::domain::interval::{Instant, Interval};
use crate::domain::patient::{PatientPlace, PatientRecord};
use crate::domain::text::{Label, Personal, Prose};
use crate::domain::visit_record::Treated;
use crate::domain::zone::Zone;

pub use agenda::*;
pub use clinical::*;
pub use displacement::*;
pub use messages::*;
pub use overrides::*;
pub use series::*;
pub use waiting::*;

/// How many entries, and after which.
#[derive(Debug, Clone)]
pub struct PageOf<After> {
    /// Most entries.
    pub size: i32,
    /// Where to begin; none for the first page.
    pub after: Option<After>,
}

/// Settings of a practice.
#[derive(Debug, Clone)]
pub struct PracticeSettings {
    /// Its name.
    pub name: Label,
    /// How many days ahead of now a visit may begin.
    pub booking_horizon_days: i32,
}

/// A replacement of something that was read before.
#[derive(Debug, Clone)]
pub struct Update<Id, T> {
    /// What to replace.
    pub id: Id,
    /// The revision that last changed it, as the caller knows it.
    pub etag: i64,
    /// What to replace it with.
    pub to: T,
}

/// A day at a clinic that is to be watched.
#[derive(Debug, Clone, Copy)]
pub struct WatchDay {
    /// The clinic.
    pub clinic: ClinicId,
    /// The day on its calendar.
    pub date: NaiveDate,
    /// The revision up to which the watcher knows the sheet; none for not at all.
    pub from: Option<i64>,
}

/// A new clinic.
#[derive(Debug, Clone)]
pub struct NewClinic {
    /// Its name.
    pub name: Label,
    /// Its zone.
    pub zone: Zone,
    /// When it is open.
    pub opening_hours: Week,
}

/// What may change of a clinic.
#[derive(Debug, Clone)]
pub struct ClinicSettings {
    /// Its name.
    pub name: Label,
    /// When it is open.
    pub opening_hours: Week,
}

/// A new closure.
#[derive(Debug, Clone)]
pub struct NewClosure {
    /// The clinic.
    pub clinic: ClinicId,
    /// When.
    pub during: Interval,
    /// Why.
    pub reason: Prose<200>,
}

/// The closures of a clinic.
#[derive(Debug, Clone)]
pub struct ListClosures {
    /// The clinic.
    pub clinic: ClinicId,
    /// Which page.
    pub page: PageOf<ClosureId>,
}

/// What may change of a resource.
#[derive(Debug, Clone)]
pub struct ResourceSettings {
    /// What the staff call it.
    pub name: Personal<Label>,
    /// Whether new visits may use it.
    pub active: bool,
    /// What it may be used for.
    pub qualifications: Vec<Qualification>,
    /// When it works, and where.
    pub working_hours: Vec<(ClinicId, Stretch)>,
}

/// A new resource.
#[derive(Debug, Clone)]
pub struct NewResource {
    /// What it is.
    pub kind: ResourceKind,
    /// Where it stands; for rooms and devices only.
    pub clinic: Option<ClinicId>,
    /// The rest.
    pub settings: ResourceSettings,
}

/// The resources of a practice.
#[derive(Debug, Clone)]
pub struct ListResources {
    /// Only of this kind.
    pub kind: Option<ResourceKind>,
    /// Which page.
    pub page: PageOf<ResourceId>,
}

/// New time off.
#[derive(Debug, Clone)]
pub struct NewTimeOff {
    /// The resource.
    pub resource: ResourceId,
    /// When.
    pub during: Interval,
    /// Why.
    pub reason: Personal<Prose<200>>,
}

/// The time off of a resource.
#[derive(Debug, Clone)]
pub struct ListTimeOff {
    /// The resource.
    pub resource: ResourceId,
    /// Which page.
    pub page: PageOf<TimeOffId>,
}

/// A new version of something in the catalogue, or something new.
#[derive(Debug, Clone)]
pub struct Publish<Id, T> {
    /// What to publish the next version of, with the revision that published the highest, as the caller knows it;
    /// none for something new.
    pub replaces: Option<(Id, i64)>,
    /// Its content.
    pub content: T,
}

/// A new version of a treatment.
pub type PublishTreatment = Publish<TreatmentId, TreatmentContent>;
/// A new version of a protocol.
pub type PublishProtocol = Publish<ProtocolId, ProtocolContent>;

/// A version of something in the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct VersionOf<Id> {
    /// What.
    pub id: Id,
    /// Which version; none for the highest.
    pub version: Option<i32>,
}

/// A replacement of a patient's record.
pub type UpdatePatient = Update<PatientId, PatientRecord>;

/// The patients of a practice.
#[derive(Debug, Clone)]
pub struct ListPatients {
    /// How the family name begins; empty for all.
    pub family_name_prefix: Personal<String>,
    /// Which page.
    pub page: PageOf<PatientPlace>,
}

/// A cancellation.
#[derive(Debug, Clone)]
pub struct Cancel<Id> {
    /// What to cancel.
    pub id: Id,
    /// The revision that last changed it, as the caller knows it.
    pub etag: i64,
    /// Why.
    pub reason: Personal<Prose<2000>>,
}

/// A visit that does not take place, as somebody says of it.
#[derive(Debug, Clone)]
pub struct EndVisit {
    /// The visit.
    pub visit: Known<AppointmentId>,
    /// Why.
    pub because: EndReason,
    /// Why, in words.
    pub reason: Personal<Prose<2000>>,
}

/// What a single visit is.
#[derive(Debug, Clone, Copy)]
pub enum WhichVisit {
    /// A treatment by itself.
    Treatment {
        /// The patient.
        patient: PatientId,
        /// The treatment.
        treatment: TreatmentId,
        /// The area.
        area: Option<BodyArea>,
    },
    /// A session of a series.
    Session {
        /// The series.
        series: SeriesId,
        /// Which session, from 1.
        number: i32,
    },
    /// A visit that follows a series.
    FollowUp(Follows),
}

/// A new single visit.
#[derive(Debug, Clone)]
pub struct BookAppointment {
    /// What it is.
    pub which: WhichVisit,
    /// What is added to it.
    pub add_on: Option<TreatmentId>,
    /// Where.
    pub clinic: ClinicId,
    /// When it begins.
    pub start: Instant,
    /// Resources that must be used.
    pub named: Vec<ResourceId>,
    /// For how many minutes it is only held; none to book it.
    pub hold_minutes: Option<i32>,
    /// The entry of the waiting list that it is held for.
    pub offered_to: Option<Known<WaitingId>>,
}

/// A hold that is prolonged.
#[derive(Debug, Clone, Copy)]
pub struct RenewHold<Id> {
    /// What is held.
    pub held: Known<Id>,
    /// For how many minutes from now.
    pub minutes: i32,
}

/// Something as the caller last read it.
#[derive(Debug, Clone, Copy)]
pub struct Known<Id> {
    /// What.
    pub id: Id,
    /// The revision that last changed it, as the caller knows it.
    pub etag: i64,
}

impl<Id> Known<Id> {
    /// An error if it has changed since the caller read it.
    pub fn must_be_unchanged(&self, changed_revision: i64) -> Result<(), Error> {
        if self.etag == changed_revision { Ok(()) } else { Err(Error::EtagMismatch) }
    }
}

/// A visit that took place.
#[derive(Debug, Clone)]
pub struct CompleteAppointment {
    /// The visit.
    pub visit: Known<AppointmentId>,
    /// When it really began; none for as it was started, or else as booked.
    pub start: Option<Instant>,
    /// What was done, if that is to be recorded.
    pub record: Option<NewVisitRecord>,
}

/// What was done at a visit.
#[derive(Debug, Clone)]
pub struct NewVisitRecord {
    /// Who treated; none for whoever was booked.
    pub practitioner: Option<ResourceId>,
    /// With which device; none for the one that was booked.
    pub device: Option<ResourceId>,
    /// What was done.
    pub treated: Personal<Treated>,
}

/// A visit for which slots are looked for.
#[derive(Debug, Clone, Copy)]
pub enum SlotsOf {
    /// A treatment by itself.
    Treatment {
        /// The patient; none to look at the clinic's side only.
        patient: Option<PatientId>,
        /// The treatment.
        treatment: TreatmentId,
        /// The area.
        area: Option<BodyArea>,
    },
    /// A session of a series.
    Session {
        /// The series.
        series: SeriesId,
        /// Which session, from 1.
        number: i32,
    },
    /// A visit that follows a series.
    FollowUp(Follows),
}

/// Starts are a multiple of so many minutes, unless the caller says otherwise.
pub const DEFAULT_GRID_MINUTES: i32 = 15;

/// When visits may begin, whatever the day.
#[derive(Debug, Clone, Copy)]
pub struct StartRules {
    /// Minutes of the clinic's wall clock that starts are a multiple of.
    pub grid_minutes: i32,
    /// Minutes from now at least.
    pub notice_minutes: i32,
}

/// Slots for a visit.
#[derive(Debug, Clone)]
pub struct FindSlots {
    /// What.
    pub of: SlotsOf,
    /// What is to be added to it.
    pub add_on: Option<TreatmentId>,
    /// Where.
    pub clinics: Vec<ClinicId>,
    /// Only with one of these; empty for anybody.
    pub practitioners: Vec<ResourceId>,
    /// The first day at the clinic.
    pub first: NaiveDate,
    /// The last day at the clinic.
    pub last: NaiveDate,
    /// When the patient can come.
    pub times: Times,
    /// When it may begin.
    pub starts: StartRules,
    /// An appointment that is taken as gone.
    pub moving: Option<AppointmentId>,
    /// Whether to answer day by day.
    pub by_day: bool,
    /// Which page.
    pub page: PageOf<SlotPlace>,
}

/// Whose appointments.
#[derive(Debug, Clone, Copy)]
pub enum SheetOf {
    /// Of a clinic.
    Clinic(ClinicId),
    /// Of a resource.
    Resource(ResourceId),
    /// Of a patient.
    Patient(PatientId),
}

/// A day sheet.
#[derive(Debug, Clone)]
pub struct ListAppointments {
    /// Whose.
    pub of: SheetOf,
    /// When.
    pub during: Interval,
    /// Whether with cancelled ones.
    pub include_cancelled: bool,
    /// Which page: after this start and id.
    pub page: PageOf<(Instant, AppointmentId)>,
}

/// The aftercare windows of a patient.
#[derive(Debug, Clone)]
pub struct GetAftercare {
    /// The patient.
    pub patient: PatientId,
    /// From when; none for now.
    pub from: Option<Instant>,
    /// Until when; none for [`DEFAULT_AFTERCARE_DAYS`] after that.
    pub until: Option<Instant>,
    /// Which page: after this many windows of the same stretch of time.
    pub page: PageOf<AfterWindow>,
}

/// Days that [`GetAftercare`] looks ahead unless the caller says otherwise.
pub const DEFAULT_AFTERCARE_DAYS: i64 = 400;
/// Most days that [`GetAftercare`] looks ahead.
pub const MAX_AFTERCARE_DAYS: i64 = 800;

/// Where a page of aftercare windows begins: after this start, appointment, activity and kind, in windows that overlap
/// the stretch of time that the first page was about.
#[derive(Debug, Clone, Copy)]
pub struct AfterWindow {
    /// Start of the last window.
    pub start: Instant,
    /// Its appointment.
    pub appointment: AppointmentId,
    /// Its activity.
    pub activity: Activity,
    /// Its kind.
    pub kind: AftercareKind,
    /// Start of the stretch of time.
    pub from: Instant,
}

/// Whether a patient may do something.
#[derive(Debug, Clone, Copy)]
pub struct CheckActivity {
    /// The patient.
    pub patient: PatientId,
    /// What.
    pub activity: Activity,
    /// When.
    pub during: Interval,
}

/// A new token.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Who or what will use it.
    pub label: Label,
    /// What its bearer may do.
    pub role: Role,
    /// Whose it is; for the role practitioner only.
    pub practitioner: Option<ResourceId>,
}

/// The tokens of a practice.
pub type ListTokens = PageOf<TokenId>;
