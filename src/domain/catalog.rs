//! What can be booked: treatments and protocols, in versions that are never edited.

use chrono::TimeDelta;

use super::assessment::Assessment;
use super::clearance::ClearanceRules;
use super::ids::{ProtocolId, TreatmentId};
use super::interval::{Instant, Interval};
use super::named_enum;
use super::reaction::ReactionRule;
use super::refusal::{Rule, Violation};
use super::screening::ScreeningRule;
use super::text::{Code, Label, Prose};
use super::zone::Zone;

/// Every visit, phase and start lies on a grid of this many minutes.
pub const GRID_MINUTES: i32 = 5;
/// Most phases of a treatment.
pub const MAX_PHASES: usize = 12;
/// Most needs of one phase, and most different needs of a treatment.
pub const MAX_NEEDS: usize = 8;
/// Longest phase, in minutes.
pub const MAX_PHASE_MINUTES: i32 = 480;
/// Longest visit with turnover, in minutes.
pub const MAX_VISIT_MINUTES: i32 = 720;
/// Longest restriction on one side of a treatment, in hours or days.
pub const MAX_SPAN: i32 = 1000;
/// Longest gap that a treatment outside a series may ask for, in days.
pub const MAX_SPACING_DAYS: i32 = 365;
/// Most treatments that may be added to one.
pub const MAX_COMBINATIONS: usize = 20;
/// Most sessions of a series.
pub const MAX_SESSIONS: i32 = 12;
/// Longest gap between two sessions, in days.
pub const MAX_GAP_DAYS: i32 = 730;

named_enum! {
    /// What a phase may need.
    pub enum ResourceKind {
        /// Treats patients.
        Practitioner = "practitioner",
        /// Numbs, prepares, talks the patient through aftercare.
        Assistant = "assistant",
        /// A room of one clinic.
        Room = "room",
        /// A device of one clinic.
        Device = "device",
    }
}

impl ResourceKind {
    /// Whether it stands in one clinic and follows its opening hours, instead of working hours of its own.
    pub const fn stands_in_a_clinic(self) -> bool {
        match self {
            Self::Room | Self::Device => true,
            Self::Practitioner | Self::Assistant => false,
        }
    }
}

named_enum! {
    /// What aftercare forbids.
    pub enum Activity {
        /// Sunbathing, sunbed, tanning.
        SunExposure = "sun_exposure",
        /// Sauna, hot tub, steam.
        Heat = "heat",
        /// Pool, lake, sea.
        Swimming = "swimming",
        /// Strenuous exercise.
        Exercise = "exercise",
        /// Make-up on the treated area.
        MakeUp = "make_up",
        /// Retinoids and acids on the skin.
        RetinoidsAndAcids = "retinoids_and_acids",
        /// Alcohol.
        Alcohol = "alcohol",
        /// Waxing and other depilation.
        Depilation = "depilation",
        /// Chemical peels.
        ChemicalPeel = "chemical_peel",
        /// Laser and intense light.
        LaserAndLight = "laser_and_light",
        /// Botulinum toxin.
        BotulinumToxin = "botulinum_toxin",
        /// Filler.
        Filler = "filler",
        /// Vaccination.
        Vaccination = "vaccination",
    }
}

named_enum! {
    /// A part of the body that is treated as one.
    pub enum BodyArea {
        /// Face.
        Face = "face",
        /// Neck.
        Neck = "neck",
        /// Décolleté.
        Decollete = "decollete",
        /// Scalp.
        Scalp = "scalp",
        /// Upper arms.
        UpperArms = "upper_arms",
        /// Hands.
        Hands = "hands",
        /// Breasts.
        Breasts = "breasts",
        /// Abdomen.
        Abdomen = "abdomen",
        /// Flanks.
        Flanks = "flanks",
        /// Back.
        Back = "back",
        /// Hips.
        Hips = "hips",
        /// Buttocks.
        Buttocks = "buttocks",
        /// Thighs.
        Thighs = "thighs",
        /// Calves.
        Calves = "calves",
    }
}

/// Where a gap between needlings holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpacingScope {
    /// On one area.
    Area(BodyArea),
    /// On all areas together.
    AnyArea,
}

impl SpacingScope {
    /// The name of all areas together.
    const ANY_AREA: &str = "any_area";

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Area(area) => area.as_str(),
            Self::AnyArea => Self::ANY_AREA,
        }
    }

    /// The scope of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == Self::ANY_AREA { Some(Self::AnyArea) } else { BodyArea::from_name(name).map(Self::Area) }
    }
}

named_enum! {
    /// How good a source is.
    pub enum Grade {
        /// A trial, review, regulator or device maker.
        A = "a",
        /// A clinic's or vendor's own page.
        B = "b",
        /// A content site.
        C = "c",
        /// A judgement without a published source.
        Own = "own",
    }
}

/// A code for what a resource may be used for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Qualification(Code);

impl Qualification {
    /// The qualification, if the text is a code.
    pub fn new(text: &str) -> Option<Self> {
        Code::new(text).map(Self)
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// A resource that a phase occupies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Its kind.
    pub kind: ResourceKind,
    /// The qualification that it must hold.
    pub qualification: Qualification,
}

/// A stretch of a visit with its own needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// For example numbing.
    pub name: Label,
    /// Length, a multiple of [`GRID_MINUTES`].
    pub minutes: i32,
    /// Whether the patient is there.
    pub patient_present: bool,
    /// Whether it is the treatment proper.
    pub exposing: bool,
    /// What it occupies.
    pub needs: Vec<Need>,
    /// Where its length and its needs come from.
    pub evidence: Option<Evidence>,
}

/// A length of time as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Elapsed time.
    Hours(i32),
    /// Calendar days at the clinic, to the same time of day.
    Days(i32),
}

impl Span {
    /// The instant that far after `at`.
    pub fn after(self, zone: Zone, at: Instant) -> Instant {
        match self {
            Self::Hours(hours) => at + TimeDelta::hours(i64::from(hours)),
            Self::Days(days) => zone.plus_days(at, i64::from(days)),
        }
    }

    /// Its hours, days as 24 of them: to compare, not to count with.
    pub const fn hours(self) -> i32 {
        match self {
            Self::Hours(hours) => hours,
            Self::Days(days) => 24 * days,
        }
    }

    /// The instant that far before `at`.
    pub fn before(self, zone: Zone, at: Instant) -> Instant {
        match self {
            Self::Hours(hours) => at - TimeDelta::hours(i64::from(hours)),
            Self::Days(days) => zone.plus_days(at, -i64::from(days)),
        }
    }
}

/// Where a number comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Citation.
    pub source: Prose<2000>,
    /// How good it is.
    pub grade: Grade,
    /// Why the number is what it is.
    pub rationale: Prose<2000>,
}

/// What a treatment forbids around itself, or advises against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    /// What is forbidden, or advised against.
    pub activity: Activity,
    /// How long before the treatment proper begins.
    pub before: Option<Span>,
    /// How long after the treatment proper ends.
    pub after: Option<Span>,
    /// Whether the patient is only told, and bookings are not kept from it.
    pub advice_only: bool,
    /// What to tell the patient.
    pub instruction: Prose<2000>,
    /// Where the numbers come from.
    pub evidence: Evidence,
}

/// What a patient has to do after a treatment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duty {
    /// What it protects against.
    pub activity: Activity,
    /// How long after the treatment proper ends it begins; none for at once.
    pub from: Option<Span>,
    /// How long after the treatment proper ends it ends.
    pub until: Span,
    /// What to tell the patient.
    pub instruction: Prose<2000>,
    /// Where the numbers come from.
    pub evidence: Evidence,
}

/// How long after a needling no other area may be needled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcrossAreas {
    /// Calendar days.
    pub days: i32,
    /// Where the number comes from.
    pub evidence: Evidence,
}

/// A treatment that may be added to the same visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combination {
    /// Which, in its highest version.
    pub add_on: TreatmentId,
    /// Where it comes from that the two may be combined.
    pub evidence: Evidence,
}

/// What a treatment is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreatmentContent {
    /// What the staff call it.
    pub name: Label,
    /// Days before the same area may be needled again outside a series; none for a treatment that does not needle.
    pub spacing_days: Option<i32>,
    /// Where those days come from.
    pub spacing_evidence: Option<Evidence>,
    /// How long no other area may be needled either; none if other areas do not matter.
    pub across_areas: Option<AcrossAreas>,
    /// The stretches of a visit in order; at least one.
    pub phases: Vec<Phase>,
    /// What the treatment is, for the restrictions of others.
    pub exposures: Vec<Activity>,
    /// What it forbids, or advises against.
    pub restrictions: Vec<Restriction>,
    /// What it asks the patient to do afterwards.
    pub duties: Vec<Duty>,
    /// What may be added to it.
    pub combinations: Vec<Combination>,
}

/// Why a treatment's content contradicts itself: the field, and what would do.
pub type ContentError = (String, &'static str);

impl TreatmentContent {
    /// Checks what no single field can say.
    pub fn check(&self) -> Result<(), Vec<ContentError>> {
        let mut errors: Vec<ContentError> = Vec::new();
        if self.phases.windows(2).any(|pair| matches!(pair, [a, b] if !a.patient_present && b.patient_present))
            || self.phases.first().is_some_and(|phase| !phase.patient_present)
        {
            errors.push(("phases".into(), "phases without the patient must come last, and not alone"));
        }
        for (i, phase) in self.phases.iter().enumerate() {
            if phase.exposing && !phase.patient_present {
                errors.push((format!("phases[{i}].exposing"), "must be false where the patient is not present"));
            }
        }
        let runs =
            self.phases.chunk_by(|a, b| a.exposing == b.exposing).filter(|run| run.iter().any(|p| p.exposing)).count();
        if runs > 1 {
            errors.push(("phases".into(), "exposing phases must follow each other"));
        }
        let acts = self.spacing_days.is_some() || !self.exposures.is_empty();
        let tells = !self.restrictions.is_empty() || !self.duties.is_empty();
        if (acts || tells) && runs == 0 {
            let remedy = "one must be exposing, because the treatment needles, exposes, restricts or has duties";
            errors.push(("phases".into(), remedy));
        }
        if self.phases.len() > MAX_PHASES {
            errors.push(("phases".into(), "must be at most 12"));
        }
        if self.phases.iter().map(|phase| phase.minutes).sum::<i32>() > MAX_VISIT_MINUTES {
            errors.push(("phases".into(), "must take at most 720 minutes in all"));
        }
        if self.needs().len() > MAX_NEEDS {
            errors.push(("phases".into(), "must name at most 8 different needs in all"));
        }
        if repeats(&self.exposures) {
            errors.push(("exposures".into(), "must name each activity at most once"));
        }
        if repeats(&self.restrictions.iter().map(|r| r.activity).collect::<Vec<_>>()) {
            errors.push(("restrictions".into(), "must name each activity at most once"));
        }
        if repeats(&self.duties.iter().map(|duty| duty.activity).collect::<Vec<_>>()) {
            errors.push(("duties".into(), "must name each activity at most once"));
        }
        for (i, duty) in self.duties.iter().enumerate() {
            if duty.from.is_some_and(|from| duty.until.hours() <= from.hours()) {
                errors.push((format!("duties[{i}].until"), "must be longer than from, a day taken as 24 hours"));
            }
        }
        if self.spacing_evidence.is_some() && self.spacing_days.is_none() {
            errors.push(("spacing_evidence".into(), "must be absent, because the treatment does not needle"));
        }
        if let Some(AcrossAreas { days, .. }) = self.across_areas {
            match self.spacing_days {
                None => errors.push(("across_areas".into(), "must be absent, because the treatment does not needle")),
                Some(most) if days > most => errors.push(("across_areas.days".into(), "must be 1 to spacing_days")),
                Some(_) => {}
            }
        }
        if repeats(&self.combinations.iter().map(|combination| combination.add_on).collect::<Vec<_>>()) {
            errors.push(("combinations".into(), "must name each treatment at most once"));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// The distinct needs in order of first appearance. A need's place in this list is its number.
    pub fn needs(&self) -> Vec<&Need> {
        let mut needs: Vec<&Need> = Vec::new();
        for need in self.phases.iter().flat_map(|phase| &phase.needs) {
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
        needs
    }

    /// The phases of a visit that begins at `start`, with their times.
    pub fn timeline(&self, start: Instant) -> Vec<(&Phase, Interval)> {
        let mut at = start;
        self.phases
            .iter()
            .filter_map(|phase| {
                let during = Interval::new(at, at + TimeDelta::minutes(i64::from(phase.minutes)))?;
                at = during.end();
                Some((phase, during))
            })
            .collect()
    }
}

fn repeats<T: Ord + Clone>(values: &[T]) -> bool {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
}

/// A treatment in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Treatment {
    /// Its id, the same for all versions.
    pub id: TreatmentId,
    /// Its version.
    pub version: i32,
    /// When this version was published.
    pub published_at: Instant,
    /// The revision that published it.
    pub published_revision: i64,
    /// Its content.
    pub content: TreatmentContent,
}

/// What a protocol says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolContent {
    /// What the staff call it.
    pub name: Label,
    /// The treatment of each session.
    pub treatment: TreatmentId,
    /// How many sessions.
    pub sessions: SessionCounts,
    /// How far apart.
    pub gap: GapDays,
    /// Where the numbers come from.
    pub evidence: Evidence,
    /// When to look at the result; none at a session beyond the maximum.
    pub assessments: Vec<Assessment>,
    /// What a patient needs before a session; none if sessions need neither clearance nor screening.
    pub clearance: Option<ClearanceRules>,
    /// What a patient is asked; nothing where no clearance is needed.
    pub screening: Vec<ScreeningRule>,
    /// The reactions that can be reported.
    pub reactions: Vec<ReactionRule>,
    /// Sessions after the series.
    pub maintenance: Option<Maintenance>,
    /// What to do about a series whose gap has grown past the maximum.
    pub overdue_advice: Prose<2000>,
    /// Where that comes from.
    pub overdue_evidence: Option<Evidence>,
}

impl ProtocolContent {
    /// Its assessment of a number, from 1.
    pub fn assessment(&self, number: i32) -> Option<&Assessment> {
        self.assessments.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }
}

/// Longest time until a maintenance session, in days.
pub const MAX_MAINTENANCE_DAYS: i32 = 730;

/// Sessions after a series, in calendar days after the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// Fewest and aimed at, in ascending order.
    pub days: MaintenanceDays,
    /// Where the numbers come from.
    pub evidence: Evidence,
}

/// Calendar days after the last session: fewest and aimed at, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaintenanceDays {
    /// Fewest.
    pub minimum: i32,
    /// Aimed at.
    pub target: i32,
}

impl MaintenanceDays {
    /// The days, if they are in order and in bounds.
    pub fn new(minimum: i32, target: i32) -> Option<Self> {
        (1 <= minimum && minimum <= target && target <= MAX_MAINTENANCE_DAYS).then_some(Self { minimum, target })
    }
}

/// How many sessions a series has: minimum, default and maximum, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCounts {
    /// Fewest.
    pub minimum: i32,
    /// Unless the caller says otherwise.
    pub default: i32,
    /// Most.
    pub maximum: i32,
}

/// Calendar days between a session and the next: floor, minimum, target and maximum, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapDays {
    /// Below it nobody may go.
    pub floor: i32,
    /// Fewest.
    pub minimum: i32,
    /// Aimed at.
    pub target: i32,
    /// Most.
    pub maximum: i32,
}

impl SessionCounts {
    /// The counts, if they are in order and in bounds.
    pub fn new(minimum: i32, default: i32, maximum: i32) -> Option<Self> {
        (1 <= minimum && minimum <= default && default <= maximum && maximum <= MAX_SESSIONS).then_some(Self {
            minimum,
            default,
            maximum,
        })
    }

    /// What is wrong with a number of sessions, if the protocol does not allow it.
    pub fn violation(&self, count: usize) -> Option<Violation> {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        let text = || format!("the protocol asks for {} to {} sessions, not {count}", self.minimum, self.maximum);
        let allowed = (self.minimum..=self.maximum).contains(&count);
        (!allowed).then(|| Violation::new(Rule::SessionCountNotAllowed, text()))
    }
}

impl GapDays {
    /// The gaps, if they are in order and in bounds.
    pub fn new(floor: i32, minimum: i32, target: i32, maximum: i32) -> Option<Self> {
        (1 <= floor && floor <= minimum && minimum <= target && target <= maximum && maximum <= MAX_GAP_DAYS)
            .then_some(Self { floor, minimum, target, maximum })
    }
}

/// A protocol in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// Its id, the same for all versions.
    pub id: ProtocolId,
    /// Its version.
    pub version: i32,
    /// When this version was published.
    pub published_at: Instant,
    /// The revision that published it.
    pub published_revision: i64,
    /// The version of the treatment that it uses.
    pub treatment_version: i32,
    /// The version of the consultation that it uses; none if it asks for no clearance.
    pub consultation_version: Option<i32>,
    /// Its content.
    pub content: ProtocolContent,
}
