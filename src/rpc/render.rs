//! From domain types to messages: what several services share.

use crate::domain::catalog::{Activity, BodyArea, Evidence, Grade, ResourceKind, Span};
use crate::domain::finding::TimesOfDay;
use crate::domain::hours::Stretch;
use crate::domain::interval::Instant;

use super::pb;

/// An instant.
pub fn timestamp(at: Instant) -> prost_types::Timestamp {
    // Sub-second nanoseconds are below 2 * 10^9, which an i32 holds.
    prost_types::Timestamp {
        seconds: at.timestamp(),
        nanos: at.timestamp_subsec_nanos().try_into().unwrap_or_default(),
    }
}

/// A stretch of the week.
pub fn weekly_hours(stretch: Stretch) -> pb::WeeklyHours {
    pb::WeeklyHours {
        weekday: weekday(stretch.weekday()).into(),
        opens: time_of_day(stretch.from()),
        closes: time_of_day(stretch.to()),
    }
}

/// A part of any day.
pub fn times_of_day(part: TimesOfDay) -> pb::TimesOfDay {
    pb::TimesOfDay { from: time_of_day(part.from()), until: time_of_day(part.until()) }
}

/// Minutes after midnight, as "16:00".
fn time_of_day(minutes: i32) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// A day of the week.
pub const fn weekday(weekday: chrono::Weekday) -> pb::Weekday {
    match weekday {
        chrono::Weekday::Mon => pb::Weekday::Monday,
        chrono::Weekday::Tue => pb::Weekday::Tuesday,
        chrono::Weekday::Wed => pb::Weekday::Wednesday,
        chrono::Weekday::Thu => pb::Weekday::Thursday,
        chrono::Weekday::Fri => pb::Weekday::Friday,
        chrono::Weekday::Sat => pb::Weekday::Saturday,
        chrono::Weekday::Sun => pb::Weekday::Sunday,
    }
}

/// A kind of resource.
pub const fn resource_kind(kind: ResourceKind) -> pb::ResourceKind {
    match kind {
        ResourceKind::Practitioner => pb::ResourceKind::Practitioner,
        ResourceKind::Assistant => pb::ResourceKind::Assistant,
        ResourceKind::Room => pb::ResourceKind::Room,
        ResourceKind::Device => pb::ResourceKind::Device,
    }
}

/// An activity.
pub const fn activity(activity: Activity) -> pb::Activity {
    match activity {
        Activity::SunExposure => pb::Activity::SunExposure,
        Activity::Heat => pb::Activity::Heat,
        Activity::Swimming => pb::Activity::Swimming,
        Activity::Exercise => pb::Activity::Exercise,
        Activity::MakeUp => pb::Activity::MakeUp,
        Activity::RetinoidsAndAcids => pb::Activity::RetinoidsAndAcids,
        Activity::Alcohol => pb::Activity::Alcohol,
        Activity::Depilation => pb::Activity::Depilation,
        Activity::ChemicalPeel => pb::Activity::ChemicalPeel,
        Activity::LaserAndLight => pb::Activity::LaserAndLight,
        Activity::BotulinumToxin => pb::Activity::BotulinumToxin,
        Activity::Filler => pb::Activity::Filler,
        Activity::Vaccination => pb::Activity::Vaccination,
    }
}

/// A body area, or none.
pub const fn body_area(area: Option<BodyArea>) -> pb::BodyArea {
    match area {
        None => pb::BodyArea::Unspecified,
        Some(BodyArea::Face) => pb::BodyArea::Face,
        Some(BodyArea::Neck) => pb::BodyArea::Neck,
        Some(BodyArea::Decollete) => pb::BodyArea::Decollete,
        Some(BodyArea::Scalp) => pb::BodyArea::Scalp,
        Some(BodyArea::UpperArms) => pb::BodyArea::UpperArms,
        Some(BodyArea::Hands) => pb::BodyArea::Hands,
        Some(BodyArea::Breasts) => pb::BodyArea::Breasts,
        Some(BodyArea::Abdomen) => pb::BodyArea::Abdomen,
        Some(BodyArea::Flanks) => pb::BodyArea::Flanks,
        Some(BodyArea::Back) => pb::BodyArea::Back,
        Some(BodyArea::Hips) => pb::BodyArea::Hips,
        Some(BodyArea::Buttocks) => pb::BodyArea::Buttocks,
        Some(BodyArea::Thighs) => pb::BodyArea::Thighs,
        Some(BodyArea::Calves) => pb::BodyArea::Calves,
    }
}

/// A length of time.
pub const fn span(span: Span) -> pb::Span {
    let amount = match span {
        Span::Hours(hours) => pb::span::Amount::Hours(hours),
        Span::Days(days) => pb::span::Amount::Days(days),
    };
    pb::Span { amount: Some(amount) }
}

/// Where a number comes from.
pub fn evidence(evidence: &Evidence) -> pb::Evidence {
    let grade = match evidence.grade {
        Grade::A => pb::EvidenceGrade::A,
        Grade::B => pb::EvidenceGrade::B,
        Grade::C => pb::EvidenceGrade::C,
        Grade::Own => pb::EvidenceGrade::Own,
    };
    pb::Evidence {
        source: evidence.source.as_str().to_owned(),
        grade: grade.into(),
        rationale: evidence.rationale.as_str().to_owned(),
    }
}

/// The etag of something that was last changed by that revision.
pub fn etag(revision: i64) -> String {
    revision.to_string()
}
