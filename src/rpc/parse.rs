//! From messages to commands. All malformed fields of a message are found before any is reported.

use chrono::{DateTime, Datelike as _, NaiveDate};
use prost::{Message, Name};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::page::{Place, Query};
use super::pb;
use crate::app::commands::PageOf;
use crate::app::page::{DEFAULT_PAGE, MAX_PAGE};
use crate::app::{Command, Error, FieldViolation, Scoped};
use crate::domain::appointment::{DEFAULT_HOLD_MINUTES, MAX_HOLD_MINUTES};
use crate::domain::catalog::{Activity, BodyArea, GRID_MINUTES, Grade, ResourceKind};
use crate::domain::hours::Stretch;
use crate::domain::ids::{PracticeId, RequestId, ResourceId};
use crate::domain::interval::{Instant, Interval};
use crate::domain::text::{Label, Prose, TextError};
use crate::domain::zone::{FIRST_YEAR, LAST_YEAR, Zone, in_supported_years};

/// Most resources that a visit may name.
pub const MAX_NAMED: usize = 8;
/// Most characters of an id; longer texts are not even looked at.
const MAX_ID: usize = 36;

/// The fields of a message, being parsed. Every method returns the value, or nothing after noting what would do.
#[derive(Debug, Default)]
pub struct Fields(Vec<FieldViolation>);

impl Fields {
    /// Notes a malformed field.
    pub fn note(&mut self, field: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(FieldViolation::new(field, remedy));
    }

    /// The value, or a note.
    pub fn some<T>(&mut self, field: &str, value: Option<T>, remedy: &str) -> Option<T> {
        if value.is_none() {
            self.note(field, remedy);
        }
        value
    }

    /// The command, unless a field is malformed.
    pub fn finish<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, Error> {
        match build() {
            Some(command) if self.0.is_empty() => Ok(command),
            Some(_) | None => Err(Error::Fields(self.0)),
        }
    }

    fn uuid(&mut self, field: &str, text: &str) -> Option<Uuid> {
        let id = (text.len() == MAX_ID).then(|| Uuid::try_parse(text).ok()).flatten().filter(|id| !id.is_nil());
        self.some(field, id, "must be a UUID, as 0198c0de-0000-7000-8000-000000000000")
    }

    /// A required id.
    pub fn id<T: From<Uuid>>(&mut self, field: &str, text: &str) -> Option<T> {
        self.uuid(field, text).map(T::from)
    }

    /// An id that may be left empty.
    pub fn optional_id<T: From<Uuid>>(&mut self, field: &str, text: &str) -> Option<Option<T>> {
        if text.is_empty() { Some(None) } else { self.id(field, text).map(Some) }
    }

    fn text<T>(&mut self, field: &str, parsed: Result<T, TextError>) -> Option<T> {
        parsed.map_err(|error| self.note(field, error.to_string())).ok()
    }

    /// One line of 1 to 200 characters.
    pub fn label(&mut self, field: &str, text: &str) -> Option<Label> {
        self.text(field, Label::new(text))
    }

    /// Text of at most `MAX` characters.
    pub fn prose<const MAX: usize>(&mut self, field: &str, text: &str) -> Option<Prose<MAX>> {
        self.text(field, Prose::new(text))
    }

    /// A whole number within bounds.
    pub fn within(&mut self, field: &str, value: i32, least: i32, most: i32) -> Option<i32> {
        let inside = (least..=most).contains(&value).then_some(value);
        self.some(field, inside, &format!("must be {least} to {most}"))
    }

    /// A number from 1 on; 0 stands for what is usual.
    pub fn or_default(&mut self, field: &str, value: i32, default: i32, most: i32) -> Option<i32> {
        let number = if value == 0 { default } else { value };
        let inside = (1..=most).contains(&number).then_some(number);
        self.some(field, inside, &format!("must be 1 to {most}, or 0 for {default}"))
    }

    /// An etag.
    pub fn etag(&mut self, text: &str) -> Option<i64> {
        let etag = text.parse().ok().filter(|revision: &i64| revision.to_string() == text);
        self.some("etag", etag, "must be the etag that was read")
    }

    /// For how many minutes something is held.
    pub fn hold_minutes(&mut self, minutes: i32) -> Option<i32> {
        self.or_default("hold_minutes", minutes, DEFAULT_HOLD_MINUTES, MAX_HOLD_MINUTES)
    }

    /// An instant in the supported years.
    pub fn instant(&mut self, field: &str, timestamp: Option<prost_types::Timestamp>) -> Option<Instant> {
        let Some(timestamp) = timestamp else {
            self.note(field, "is required");
            return None;
        };
        // Whole microseconds, as the database keeps them; a leap second, which chrono would take, has no place there.
        let nanos = u32::try_from(timestamp.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
        let at = nanos.and_then(|nanos| DateTime::from_timestamp(timestamp.seconds, nanos / 1000 * 1000));
        let remedy = format!("must be a time in the years {FIRST_YEAR} to {LAST_YEAR}");
        self.some(field, at.filter(|at| in_supported_years(*at)), &remedy)
    }

    /// When a visit begins: on the grid.
    pub fn start(&mut self, field: &str, timestamp: Option<prost_types::Timestamp>) -> Option<Instant> {
        let at = self.instant(field, timestamp)?;
        let grid = i64::from(GRID_MINUTES) * 60;
        let on_grid = at.timestamp() % grid == 0 && at.timestamp_subsec_nanos() == 0;
        self.some(field, on_grid.then_some(at), "must be a multiple of 5 minutes")
    }

    /// A stretch of time that is not empty.
    pub fn interval(
        &mut self,
        start: Option<prost_types::Timestamp>,
        end: Option<prost_types::Timestamp>,
    ) -> Option<Interval> {
        let (start, end) = (self.instant("start_time", start), self.instant("end_time", end));
        let (start, end) = (start?, end?);
        self.some("end_time", Interval::new(start, end), "must be after start_time")
    }

    /// A calendar day.
    pub fn day(&mut self, field: &str, text: &str) -> Option<NaiveDate> {
        let day = (text.len() == 10).then(|| text.parse().ok()).flatten();
        self.some(field, day, "must be a day, as 1990-04-01")
    }

    /// A time zone.
    pub fn zone(&mut self, field: &str, name: &str) -> Option<Zone> {
        self.some(field, Zone::from_name(name), "must be an IANA time zone, as Europe/Berlin")
    }

    /// A calendar day in the years that requests may name.
    pub fn supported_day(&mut self, field: &str, text: &str) -> Option<NaiveDate> {
        let day = self.day(field, text)?;
        let supported = (FIRST_YEAR..=LAST_YEAR).contains(&day.year());
        self.some(field, supported.then_some(day), &format!("must be a day in the years {FIRST_YEAR} to {LAST_YEAR}"))
    }

    /// A calendar day, or none where the text is empty.
    pub fn optional_day(&mut self, field: &str, text: &str) -> Option<Option<NaiveDate>> {
        if text.is_empty() { Some(None) } else { self.supported_day(field, text).map(Some) }
    }

    /// A day of the week.
    pub fn weekday(&mut self, field: &str, weekday: i32) -> Option<chrono::Weekday> {
        let weekday = match pb::Weekday::try_from(weekday) {
            Ok(pb::Weekday::Monday) => Some(chrono::Weekday::Mon),
            Ok(pb::Weekday::Tuesday) => Some(chrono::Weekday::Tue),
            Ok(pb::Weekday::Wednesday) => Some(chrono::Weekday::Wed),
            Ok(pb::Weekday::Thursday) => Some(chrono::Weekday::Thu),
            Ok(pb::Weekday::Friday) => Some(chrono::Weekday::Fri),
            Ok(pb::Weekday::Saturday) => Some(chrono::Weekday::Sat),
            Ok(pb::Weekday::Sunday) => Some(chrono::Weekday::Sun),
            Ok(pb::Weekday::Unspecified) | Err(_) => None,
        };
        self.some(field, weekday, "must be a weekday")
    }

    /// Minutes after midnight.
    pub fn time_of_day(&mut self, field: &str, text: &str) -> Option<i32> {
        self.some(field, minutes(text), "must be a time of day from 00:00 to 24:00, as 09:00")
    }

    /// A stretch of the week.
    pub fn stretch(&mut self, field: &str, hours: &pb::WeeklyHours) -> Option<Stretch> {
        let pb::WeeklyHours { weekday, opens, closes } = hours;
        let weekday = self.weekday(&format!("{field}.weekday"), *weekday);
        let opens = self.time_of_day(&format!("{field}.opens"), opens);
        let closes = self.time_of_day(&format!("{field}.closes"), closes);
        let stretch = Stretch::new(weekday?, opens?, closes?);
        self.some(&format!("{field}.closes"), stretch, "must be after opens")
    }

    /// A kind of resource.
    pub fn resource_kind(&mut self, field: &str, kind: i32) -> Option<ResourceKind> {
        let kind = match pb::ResourceKind::try_from(kind) {
            Ok(pb::ResourceKind::Practitioner) => Some(ResourceKind::Practitioner),
            Ok(pb::ResourceKind::Assistant) => Some(ResourceKind::Assistant),
            Ok(pb::ResourceKind::Room) => Some(ResourceKind::Room),
            Ok(pb::ResourceKind::Device) => Some(ResourceKind::Device),
            Ok(pb::ResourceKind::Unspecified) | Err(_) => None,
        };
        self.some(field, kind, "must be a kind of resource")
    }

    /// An activity.
    pub fn activity(&mut self, field: &str, activity: i32) -> Option<Activity> {
        let activity = match pb::Activity::try_from(activity) {
            Ok(pb::Activity::SunExposure) => Some(Activity::SunExposure),
            Ok(pb::Activity::Heat) => Some(Activity::Heat),
            Ok(pb::Activity::Swimming) => Some(Activity::Swimming),
            Ok(pb::Activity::Exercise) => Some(Activity::Exercise),
            Ok(pb::Activity::MakeUp) => Some(Activity::MakeUp),
            Ok(pb::Activity::RetinoidsAndAcids) => Some(Activity::RetinoidsAndAcids),
            Ok(pb::Activity::Alcohol) => Some(Activity::Alcohol),
            Ok(pb::Activity::Depilation) => Some(Activity::Depilation),
            Ok(pb::Activity::ChemicalPeel) => Some(Activity::ChemicalPeel),
            Ok(pb::Activity::LaserAndLight) => Some(Activity::LaserAndLight),
            Ok(pb::Activity::BotulinumToxin) => Some(Activity::BotulinumToxin),
            Ok(pb::Activity::Filler) => Some(Activity::Filler),
            Ok(pb::Activity::Vaccination) => Some(Activity::Vaccination),
            Ok(pb::Activity::Unspecified) | Err(_) => None,
        };
        self.some(field, activity, "must be an activity")
    }

    /// A body area, or none.
    pub fn optional_body_area(&mut self, field: &str, area: i32) -> Option<Option<BodyArea>> {
        let area = match pb::BodyArea::try_from(area) {
            Ok(pb::BodyArea::Unspecified) => Some(None),
            Ok(pb::BodyArea::Face) => Some(Some(BodyArea::Face)),
            Ok(pb::BodyArea::Neck) => Some(Some(BodyArea::Neck)),
            Ok(pb::BodyArea::Decollete) => Some(Some(BodyArea::Decollete)),
            Ok(pb::BodyArea::Scalp) => Some(Some(BodyArea::Scalp)),
            Ok(pb::BodyArea::UpperArms) => Some(Some(BodyArea::UpperArms)),
            Ok(pb::BodyArea::Hands) => Some(Some(BodyArea::Hands)),
            Ok(pb::BodyArea::Breasts) => Some(Some(BodyArea::Breasts)),
            Ok(pb::BodyArea::Abdomen) => Some(Some(BodyArea::Abdomen)),
            Ok(pb::BodyArea::Flanks) => Some(Some(BodyArea::Flanks)),
            Ok(pb::BodyArea::Back) => Some(Some(BodyArea::Back)),
            Ok(pb::BodyArea::Hips) => Some(Some(BodyArea::Hips)),
            Ok(pb::BodyArea::Buttocks) => Some(Some(BodyArea::Buttocks)),
            Ok(pb::BodyArea::Thighs) => Some(Some(BodyArea::Thighs)),
            Ok(pb::BodyArea::Calves) => Some(Some(BodyArea::Calves)),
            Err(_) => None,
        };
        self.some(field, area, "must be a body area")
    }

    /// A required body area.
    pub fn body_area(&mut self, field: &str, area: i32) -> Option<BodyArea> {
        let area = self.optional_body_area(field, area)?;
        self.some(field, area, "must be a body area")
    }

    /// A grade of evidence.
    pub fn grade(&mut self, field: &str, grade: i32) -> Option<Grade> {
        let grade = match pb::EvidenceGrade::try_from(grade) {
            Ok(pb::EvidenceGrade::A) => Some(Grade::A),
            Ok(pb::EvidenceGrade::B) => Some(Grade::B),
            Ok(pb::EvidenceGrade::C) => Some(Grade::C),
            Ok(pb::EvidenceGrade::Own) => Some(Grade::Own),
            Ok(pb::EvidenceGrade::Unspecified) | Err(_) => None,
        };
        self.some(field, grade, "must be a grade of evidence")
    }

    /// Resources that must be used, each at most once.
    pub fn named_resources(&mut self, field: &str, ids: &[String]) -> Option<Vec<ResourceId>> {
        self.distinct_ids(field, ids, MAX_NAMED)
    }

    /// Ids, each at most once.
    pub fn distinct_ids<T: From<Uuid> + Copy + Ord>(
        &mut self,
        field: &str,
        ids: &[String],
        most: usize,
    ) -> Option<Vec<T>> {
        self.at_most(field, ids.len(), most)?;
        let parsed: Vec<Option<T>> =
            ids.iter().enumerate().map(|(i, id)| self.id(&format!("{field}[{i}]"), id)).collect();
        let parsed: Vec<T> = parsed.into_iter().collect::<Option<_>>()?;
        let mut distinct = parsed.clone();
        distinct.sort_unstable();
        distinct.dedup();
        self.some(field, (distinct.len() == parsed.len()).then_some(parsed), "must name each at most once")
    }

    /// Notes each of these fields that is set, where it must not be.
    pub fn must_be_absent(&mut self, when: &str, set: &[(&str, bool)]) {
        for (field, _) in set.iter().filter(|(_, set)| *set) {
            self.note(*field, format!("must be left out {when}"));
        }
    }

    /// Notes a list that is too long.
    pub fn at_most(&mut self, field: &str, length: usize, most: usize) -> Option<()> {
        self.some(field, (length <= most).then_some(()), &format!("must have at most {most} entries"))
    }

    /// Which page, with the usual sizes.
    pub fn page<P: Place>(&mut self, query: &Query, size: i32, token: &str) -> Result<Option<PageOf<P>>, Error> {
        self.page_sized(query, size, token, DEFAULT_PAGE, MAX_PAGE)
    }

    /// Which page.
    pub fn page_sized<P: Place>(
        &mut self,
        query: &Query,
        size: i32,
        token: &str,
        default: i32,
        most: i32,
    ) -> Result<Option<PageOf<P>>, Error> {
        let size = self.or_default("page_size", size, default, most);
        let after = query.place(token)?;
        Ok(size.map(|size| PageOf { size, after }))
    }
}

/// Minutes after midnight of a time like `09:00`; `24:00` is the end of the day.
fn minutes(text: &str) -> Option<i32> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str| {
        let two_digits = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        two_digits.then(|| digits.parse::<i32>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let whole = hours * 60 + minutes;
    (minutes < 60 && whole <= 24 * 60).then_some(whole)
}

/// A request that reads.
pub fn scoped<T>(mut fields: Fields, practice_id: &str, build: impl FnOnce() -> Option<T>) -> Result<Scoped<T>, Error> {
    let practice = fields.optional_id::<PracticeId>("practice_id", practice_id);
    fields.finish(|| Some(Scoped { practice: practice?, query: build()? }))
}

/// What every request that changes something has.
#[derive(Debug)]
pub struct Head {
    practice_id: String,
    request_id: String,
    validate_only: bool,
    digest: [u8; 32],
}

impl Head {
    /// The head of a message.
    pub fn new<M: Message + Name>(message: &M, practice_id: &str, request_id: &str, validate_only: bool) -> Self {
        let mut hash = Sha256::new();
        hash.update(M::full_name().as_bytes());
        hash.update([0]);
        hash.update(message.encode_to_vec());
        Self {
            practice_id: practice_id.to_owned(),
            request_id: request_id.to_owned(),
            validate_only,
            digest: hash.finalize().into(),
        }
    }

    /// The command with that body.
    pub fn command<T>(self, mut fields: Fields, build: impl FnOnce() -> Option<T>) -> Result<Command<T>, Error> {
        let practice = fields.optional_id::<PracticeId>("practice_id", &self.practice_id);
        let request = fields.id::<RequestId>("request_id", &self.request_id);
        fields.finish(|| {
            Some(Command {
                practice: practice?,
                request: request?,
                digest: self.digest,
                validate_only: self.validate_only,
                body: build()?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_two_digits_each() {
        assert_eq!(minutes("09:05"), Some(545));
        assert_eq!(minutes("24:00"), Some(1440));
        for bad in ["24:01", "9:00", "09:60", "+9:00", "0900", "", "09:00:00"] {
            assert_eq!(minutes(bad), None, "{bad}");
        }
    }
}
