//! The default catalogue as tables. None of it is medical advice: every number is a setting of the practice. The tables
//! hold the numbers, [`super::texts`] the words.

use super::{Cited, Course, Service, texts};
use crate::domain::catalog::Activity::{
    self, Alcohol, BotulinumToxin, ChemicalPeel, Depilation, Exercise, Filler, Heat, LaserAndLight, MakeUp,
    RetinoidsAndAcids, SunExposure, Swimming, Vaccination,
};
use crate::domain::catalog::Grade;
use crate::domain::catalog::ResourceKind::{self, Assistant, Device, Practitioner, Room};

/// What a phase needs: a kind of resource, and the qualification it must hold.
pub type NeedRow = (ResourceKind, &'static str);

const TREATMENT_ROOM: NeedRow = (Room, "treatment_room");
const CONSULTING_ROOM: NeedRow = (Room, "consulting_room");
const SAUNA: NeedRow = (Room, "sauna");
const POOL: NeedRow = (Room, "pool");
const STUDIO: NeedRow = (Room, "studio");
const PREPARES: NeedRow = (Assistant, "preparation");
const DRAWS_BLOOD: NeedRow = (Assistant, "venepuncture");
const WAXES: NeedRow = (Assistant, "waxing");
const MAKES_UP: NeedRow = (Assistant, "make_up");
const TRAINS: NeedRow = (Assistant, "fitness");
const NEEDLES: NeedRow = (Practitioner, "microneedling");
const NEEDLES_RF: NeedRow = (Practitioner, "rf_microneedling");
const CLEARS: NeedRow = (Practitioner, "clearance");
const LASERS: NeedRow = (Practitioner, "laser_and_light");
const PEELS: NeedRow = (Practitioner, "chemical_peel");
const INJECTS: NeedRow = (Practitioner, "injectables");
const PEN: NeedRow = (Device, "needling_pen");
const RF_DEVICE: NeedRow = (Device, "rf_needling_device");
const CENTRIFUGE: NeedRow = (Device, "centrifuge");
const LASER: NeedRow = (Device, "laser");
const SUNBED: NeedRow = (Device, "sunbed");

/// A phase.
#[derive(Debug, Clone, Copy)]
pub struct PhaseRow {
    /// What the staff call it.
    pub name: &'static str,
    /// Its length.
    pub minutes: i32,
    /// What it is to the patient.
    pub patient: Patient,
    /// What it occupies.
    pub needs: &'static [NeedRow],
    /// Where that comes from, for what is clinical.
    pub cited: Option<Cited>,
}

/// What a phase is to the patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patient {
    /// The patient is there.
    There,
    /// The patient is there, and this is the treatment proper.
    Treated,
    /// The patient is gone.
    Gone,
}

impl PhaseRow {
    const fn new(name: &'static str, minutes: i32, patient: Patient, needs: &'static [NeedRow]) -> Self {
        Self { name, minutes, patient, needs, cited: None }
    }

    const fn cited(self, cited: Cited) -> Self {
        Self { cited: Some(cited), ..self }
    }
}

const fn with(name: &'static str, minutes: i32, needs: &'static [NeedRow]) -> PhaseRow {
    PhaseRow::new(name, minutes, Patient::There, needs)
}

const fn proper(name: &'static str, minutes: i32, needs: &'static [NeedRow]) -> PhaseRow {
    PhaseRow::new(name, minutes, Patient::Treated, needs)
}

const fn after(name: &'static str, minutes: i32, needs: &'static [NeedRow]) -> PhaseRow {
    PhaseRow::new(name, minutes, Patient::Gone, needs)
}

/// What a treatment forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbids {
    /// Nothing.
    Nothing,
    /// [`WINDOWS`].
    AsNeedling,
    /// [`WINDOWS`], with the values for stretch marks.
    AsNeedlingStretchMarks,
    /// [`WINDOWS`], for want of anything published.
    AsNeedlingOwn,
}

impl Forbids {
    /// Whether it is that of microneedling, for which more than windows is known.
    pub const fn is_microneedling(self) -> bool {
        match self {
            Self::AsNeedling | Self::AsNeedlingStretchMarks => true,
            Self::Nothing | Self::AsNeedlingOwn => false,
        }
    }
}
use Forbids::{AsNeedling, AsNeedlingOwn, AsNeedlingStretchMarks, Nothing};

/// A treatment.
#[derive(Debug, Clone, Copy)]
pub struct TreatmentRow {
    /// Which.
    pub service: Service,
    /// What the staff call it.
    pub name: &'static str,
    /// Days until the same area may be needled again outside a series; 0 if it does not needle.
    pub spacing_days: i32,
    /// What it is, for the restrictions of others.
    pub exposures: &'static [Activity],
    /// What it forbids.
    pub forbids: Forbids,
    /// Its phases.
    pub phases: &'static [PhaseRow],
}

const NUMBING: PhaseRow = with("numbing", 30, &[TREATMENT_ROOM, PREPARES]).cited(texts::NUMBING);
const TALK: PhaseRow = with("aftercare talk", 5, &[TREATMENT_ROOM, PREPARES]).cited(texts::TALK);
const NEEDLING: PhaseRow = proper("needling", 30, &[TREATMENT_ROOM, NEEDLES, PEN]).cited(texts::NEEDLING);
const NEEDLING_RF: PhaseRow = proper("needling", 30, &[TREATMENT_ROOM, NEEDLES_RF, RF_DEVICE]).cited(texts::NEEDLING);
const MICRO_INJECTION: PhaseRow =
    proper("micro-injection", 30, &[TREATMENT_ROOM, INJECTS]).cited(texts::MICRO_INJECTION);
const DRAW_AND_SPIN: PhaseRow =
    with("draw and spin", 15, &[TREATMENT_ROOM, DRAWS_BLOOD, CENTRIFUGE]).cited(texts::DRAW_AND_SPIN);
const CONSULTATION: PhaseRow = with("consultation", 30, &[CONSULTING_ROOM, CLEARS]).cited(texts::CONSULTATION);
const TURNOVER: PhaseRow = after("turnover", 15, &[TREATMENT_ROOM, PEN]).cited(texts::TURNOVER);
const TURNOVER_RF: PhaseRow = after("turnover", 15, &[TREATMENT_ROOM, RF_DEVICE]).cited(texts::TURNOVER);
const TURNOVER_AQUAGOLD: PhaseRow = after("turnover", 15, &[TREATMENT_ROOM]).cited(texts::TURNOVER_AQUAGOLD);
const CLEANING: PhaseRow = after("turnover", 10, &[TREATMENT_ROOM]);

/// A needling visit with the pen.
const PEN_VISIT: &[PhaseRow] = &[NUMBING, NEEDLING, TALK, TURNOVER];
/// The blood is drawn before the numbing, because numbness fades within half an hour: needling must follow at once.
const PRP_VISIT: &[PhaseRow] = &[DRAW_AND_SPIN, NUMBING, NEEDLING, TALK, TURNOVER];
const RF_VISIT: &[PhaseRow] = &[NUMBING, NEEDLING_RF, TALK, TURNOVER_RF];
const AQUAGOLD_VISIT: &[PhaseRow] = &[NUMBING, MICRO_INJECTION, TALK, TURNOVER_AQUAGOLD];
const CONSULTATION_VISIT: &[PhaseRow] = &[CONSULTATION];
const LASER_VISIT: &[PhaseRow] = &[proper("laser", 30, &[TREATMENT_ROOM, LASERS, LASER]), CLEANING];
const PEEL_VISIT: &[PhaseRow] = &[proper("peel", 40, &[TREATMENT_ROOM, PEELS]), CLEANING];
const INJECTION_VISIT: &[PhaseRow] = &[proper("injection", 20, &[TREATMENT_ROOM, INJECTS]), CLEANING];
const WAXING_VISIT: &[PhaseRow] = &[proper("waxing", 40, &[TREATMENT_ROOM, WAXES]), CLEANING];
const MAKE_UP_VISIT: &[PhaseRow] = &[proper("make-up", 45, &[CONSULTING_ROOM, MAKES_UP])];
const SAUNA_VISIT: &[PhaseRow] = &[proper("sauna", 60, &[SAUNA]), after("turnover", 15, &[SAUNA])];
const POOL_VISIT: &[PhaseRow] = &[proper("hydrotherapy", 45, &[POOL]), after("turnover", 15, &[POOL])];
const SUNBED_VISIT: &[PhaseRow] = &[proper("sunbed", 15, &[SUNBED]), after("turnover", 10, &[SUNBED])];
const CLASS_VISIT: &[PhaseRow] = &[proper("training", 45, &[STUDIO, TRAINS])];

const fn row(
    service: Service,
    name: &'static str,
    spacing_days: i32,
    exposures: &'static [Activity],
    forbids: Forbids,
    phases: &'static [PhaseRow],
) -> TreatmentRow {
    TreatmentRow { service, name, spacing_days, exposures, forbids, phases }
}

/// The treatments, what may be added to others before those.
#[rustfmt::skip]
pub const TREATMENTS: &[TreatmentRow] = &[
    // First, because it may be added to the others.
    row(Service::AquaGold, "AquaGold micro-injection", 28, &[BotulinumToxin, Filler], AsNeedlingOwn, AQUAGOLD_VISIT),
    row(Service::StretchMarks, "Microneedling, stretch marks", 28, &[], AsNeedlingStretchMarks, PEN_VISIT),
    row(Service::AcneScars, "Microneedling, acne scars", 28, &[], AsNeedling, PEN_VISIT),
    row(Service::Rejuvenation, "Microneedling, rejuvenation", 28, &[], AsNeedling, PEN_VISIT),
    row(Service::Prp, "Microneedling with platelet-rich plasma", 28, &[], AsNeedling, PRP_VISIT),
    row(Service::RadioFrequency, "Radio-frequency microneedling", 28, &[], AsNeedling, RF_VISIT),
    row(Service::Consultation, "Consultation", 0, &[], Nothing, CONSULTATION_VISIT),
    row(Service::Laser, "Laser and light", 0, &[LaserAndLight], Nothing, LASER_VISIT),
    row(Service::Peel, "Chemical peel", 0, &[ChemicalPeel], Nothing, PEEL_VISIT),
    row(Service::Botulinum, "Botulinum toxin", 0, &[BotulinumToxin], Nothing, INJECTION_VISIT),
    row(Service::Filler, "Filler", 0, &[Filler], Nothing, INJECTION_VISIT),
    row(Service::Waxing, "Waxing", 0, &[Depilation], Nothing, WAXING_VISIT),
    row(Service::MakeUp, "Make-up", 0, &[MakeUp], Nothing, MAKE_UP_VISIT),
    row(Service::Sauna, "Sauna", 0, &[Heat], Nothing, SAUNA_VISIT),
    row(Service::Hydrotherapy, "Hydrotherapy", 0, &[Swimming, Heat], Nothing, POOL_VISIT),
    row(Service::Sunbed, "Sunbed", 0, &[SunExposure], Nothing, SUNBED_VISIT),
    row(Service::Exercise, "Exercise class", 0, &[Exercise], Nothing, CLASS_VISIT),
];

/// What needling forbids, in calendar days: how long before (0 for not at all), how long after, and how long after
/// needling of stretch marks where a source says so.
#[rustfmt::skip]
pub const WINDOWS: &[(Activity, i32, i32, Option<i32>)] = &[
    // activity        before  after  after, stretch marks
    (SunExposure,          14,     7, Some(7)),
    (Heat,                  0,     5, Some(7)),
    (Swimming,              0,     5, Some(7)),
    (Exercise,              0,     3, Some(7)),
    (MakeUp,                0,     1, None),
    (RetinoidsAndAcids,     5,     7, None),
    (Alcohol,               1,     1, None),
    (Depilation,            7,     7, None),
    (ChemicalPeel,         14,    14, None),
    (LaserAndLight,        28,    28, None),
    (BotulinumToxin,       14,    14, None),
    (Filler,               28,    28, None),
    (Vaccination,          14,    14, None),
];

/// What is no more than advised against, because no clinic sells it.
pub const ADVICE: &[Activity] = &[RetinoidsAndAcids, Alcohol, Vaccination];

/// From how many days after needling until how many sunscreen is worn.
pub const SUNSCREEN_DAYS: (i32, i32) = (1, 28);

/// Days after microneedling before another area may be needled.
pub const ACROSS_AREAS_DAYS: i32 = 7;

/// A protocol.
#[derive(Debug, Clone, Copy)]
pub struct ProtocolRow {
    /// Which.
    pub course: Course,
    /// The treatment of each session.
    pub service: Service,
    /// What the staff call it.
    pub name: &'static str,
    /// Fewest sessions, the default, most sessions.
    pub sessions: [i32; 3],
    /// Days between sessions: floor, minimum, target, maximum.
    pub gap: [i32; 4],
    /// How good the source of the minimum gap is.
    pub grade: Grade,
}

const fn course(
    course: Course,
    service: Service,
    name: &'static str,
    sessions: [i32; 3],
    gap: [i32; 4],
    grade: Grade,
) -> ProtocolRow {
    ProtocolRow { course, service, name, sessions, gap, grade }
}

/// The protocols.
#[rustfmt::skip]
pub const PROTOCOLS: &[ProtocolRow] = &[
    course(Course::StretchMarks, Service::StretchMarks, "Stretch marks", [3, 4, 6], [14, 28, 35, 56], Grade::A),
    course(Course::AcneScars, Service::AcneScars, "Acne scars", [4, 6, 8], [14, 28, 42, 56], Grade::B),
    course(Course::Rejuvenation, Service::Rejuvenation, "Rejuvenation", [3, 3, 6], [14, 28, 28, 56], Grade::B),
    course(Course::Prp, Service::Prp, "Microneedling with PRP", [3, 4, 6], [28, 28, 28, 56], Grade::B),
    course(Course::RadioFrequency, Service::RadioFrequency, "Radio frequency", [3, 3, 4], [28, 28, 42, 84], Grade::A),
];
