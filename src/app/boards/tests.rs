use uuid::Uuid;

use super::*;
use crate::domain::booking::ClinicFacts;
use crate::domain::catalog::TreatmentContent;
use crate::domain::hours::Week;
use crate::domain::text::Label;
use crate::domain::zone::Zone;

fn practice(number: usize) -> PracticeId {
    PracticeId(Uuid::from_u128(number as u128))
}

/// A practice with that many clinics that are always closed, and treatments.
fn known(clinics: u128, treatments: u128) -> Arc<Known> {
    let now = Instant::from_timestamp_micros(0).unwrap();
    let facts = ClinicFacts {
        zone: Zone::from_name("Europe/Berlin").unwrap(),
        opening_hours: Week::new(Vec::new()).unwrap(),
        closures: Vec::new(),
    };
    let span = Interval::new(now, now + TimeDelta::days(800)).unwrap();
    let board = |number| {
        let id = ClinicId(Uuid::from_u128(number));
        (id, Arc::new(Board::new(id, &facts, &[], span)))
    };
    let course = |number| {
        let id = TreatmentId(Uuid::from_u128(number));
        let content = TreatmentContent {
            name: Label::new("A treatment").unwrap(),
            spacing_days: None,
            spacing_evidence: None,
            across_areas: None,
            phases: Vec::new(),
            exposures: Vec::new(),
            restrictions: Vec::new(),
            duties: Vec::new(),
            combinations: Vec::new(),
        };
        let treatment = Treatment { id, version: 1, published_at: now, published_revision: 1, content };
        (CourseId::Treatment(id, None), Arc::new(Course { protocol: None, treatment }))
    };
    let (boards, courses) = ((0..clinics).map(board).collect(), (0..treatments).map(course).collect());
    Arc::new(Known { revision: 1, boards, courses })
}

#[test]
fn what_is_kept_of_all_practices_has_a_limit_and_what_was_used_longest_ago_goes_first() {
    for (clinics, treatments) in [(20, 0), (0, 64), (10, 10)] {
        let one = known(clinics, treatments);
        let room = MAX_BYTES / one.bytes();
        let boards = Boards::default();
        for number in 0..room {
            boards.keep(practice(number), Arc::clone(&one));
        }
        assert!((0..room).all(|number| boards.get(practice(number)).is_some()), "all fit");
        // The first has just been used again, so that the second is the one to go.
        boards.get(practice(0));
        boards.keep(practice(room), one);
        let left: Vec<usize> = (0..=room).filter(|number| boards.get(practice(*number)).is_none()).collect();
        assert_eq!(left, [1], "{clinics} clinics, {treatments} treatments");
    }
}

#[test]
fn a_practice_that_leaves_no_room_for_any_other_is_not_kept() {
    let boards = Boards::default();
    boards.keep(practice(0), known(0, 1));
    boards.keep(practice(1), known(0, (MAX_BYTES / COURSE_BYTES + 1) as u128));
    assert!(boards.get(practice(0)).is_some() && boards.get(practice(1)).is_none());
}
