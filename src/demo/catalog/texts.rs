//! The words of the default catalogue: what to tell the patient, where each number comes from, and why it
//! is what it is.

use super::{Cited, Course};
use crate::domain::catalog::{Activity, Grade};

/// Clinics whose aftercare pages the windows were read from.
pub const CLINIC_PAGES: &str = "Clinic pages: timelessbeautydermaspa.com, dermatiquelaserandskin.com, \
    monarchbrowandfacials.com, craftedbalanceclinic.com, skinbyemily.ca, lp.dermetics.ca, aeternaaesthetics.com, \
    bvaesthetics.com, filtered-skin.com, helloprfct.com, theinfusionspa.com, medspadeluxela.com. \
    Device maker: InMode Optimas manual, p. 58.";

/// The page with longer windows for stretch marks.
pub const STRETCH_MARK_PAGE: &str = "Days after: clinic page symmetrybrowstx.com (stretch marks).";

/// Why the windows for stretch marks differ.
pub const STRETCH_MARK_WHY: &str = "The page on stretch marks asks for 7 days after. Elsewhere:";

/// Where the windows of `AquaGold` come from.
pub const AQUAGOLD_SOURCE: &str = "No standard protocol was found (realself.com); a judgement of this project.";

/// Why the windows of `AquaGold` are what they are.
pub const AQUAGOLD_WHY: &str = "AquaGold needles the skin and usually carries botulinum toxin and filler, so the \
    default is that of microneedling of the face, other injectables included.";

/// What to tell the patient.
#[rustfmt::skip]
pub const fn instruction(activity: Activity) -> &'static str {
    match activity {
        Activity::SunExposure =>
            "Keep the treated skin out of the sun and off the sunbed. Come without a tan or sunburn.",
        Activity::Heat =>
            "No sauna, steam room, hot tub or hot bath. A lukewarm shower is fine.",
        Activity::Swimming =>
            "No pool, lake or sea: the fine channels in your skin let germs and chlorine in until they have closed.",
        Activity::Exercise =>
            "Take it easy: nothing that makes you sweat. Sweat and rubbing clothes irritate the treated skin.",
        Activity::MakeUp =>
            "No make-up on the treated skin. After that use clean brushes only.",
        Activity::RetinoidsAndAcids =>
            "Leave out retinol, vitamin A creams and acids such as glycolic or salicylic acid. A plain moisturiser \
             is best.",
        Activity::Alcohol =>
            "No alcohol: it makes bleeding and swelling more likely.",
        Activity::Depilation =>
            "Do not wax, sugar, epilate or shave the treated skin.",
        Activity::ChemicalPeel =>
            "No chemical peel, and no scrub either.",
        Activity::LaserAndLight =>
            "No laser and no intense pulsed light. Ask us first if your laser treatment was or will be a deep one.",
        Activity::BotulinumToxin =>
            "No botulinum toxin injections. Please tell us if you had one elsewhere.",
        Activity::Filler =>
            "No filler injections. Please tell us if you had one elsewhere.",
        Activity::Vaccination =>
            "Plan vaccinations for another time if they can wait. If one cannot, have it and call us to move the \
             session.",
    }
}

/// Why the window is as long as it is.
#[rustfmt::skip]
pub const fn rationale(activity: Activity) -> &'static str {
    match activity {
        Activity::SunExposure =>
            "Pages ask for 12 hours to 14 days after and 24 hours to 4 weeks before; a tan or sunburn is a reason \
             to wait.",
        Activity::Heat => "Pages ask for 24 hours to 6 days; 5 is the cautious common value.",
        Activity::Swimming => "Pages ask for 24 hours to 5 days; the longest is taken.",
        Activity::Exercise => "Pages ask for 24 hours to 6 days; 3 is the common value.",
        Activity::MakeUp => "Pages ask for 12 to 48 hours.",
        Activity::RetinoidsAndAcids => "Pages ask for 5 to 14 days after, and for none to 10 before.",
        Activity::Alcohol => "Pages ask for 24 to 48 hours after, and for 1 to 3 days before.",
        Activity::Depilation => "Pages ask for 5 to 14 days after, and for 5 to 28 before.",
        Activity::ChemicalPeel => "Pages ask for 14 to 90 days on both sides, by the depth of the peel.",
        Activity::LaserAndLight =>
            "Pages ask for 2 to 6 weeks; after ablative laser the device maker asks for 6 to 12: set it longer \
             there.",
        Activity::BotulinumToxin => "Pages ask for anything from 48 hours to 6 months; 14 days is the common value.",
        Activity::Filler => "Pages ask for anything from 1 week to 12 months; 28 days is the common value.",
        Activity::Vaccination => "Pages ask for 14 days on both sides.",
    }
}

/// What to tell the patient about sunscreen.
pub const SUNSCREEN: &str = "From the day after the treatment, wear sunscreen on the treated skin every day for four \
    weeks, also under clouds. Not on the day itself: let the skin close first.";

/// Why sunscreen is worn that long.
pub const SUNSCREEN_WHY: &str = "Pages ask for 2 to 4 weeks; the longest is taken. They conflict on the day of the \
    treatment, so it begins on the day after.";

/// The gap between areas.
pub const ACROSS_AREAS: Cited = (
    "A judgement of this project: no source says how soon another area may follow.",
    Grade::Own,
    "A week lets the skin of one area calm down, and a reaction show, before the next area is needled. It is shorter \
     than any gap on one area.",
);

/// `AquaGold` in the same visit as microneedling.
pub const COMBINATION: Cited = (
    "The commissioning document names it as a combination; no same-day rule was found (realself.com). A judgement of \
     this project.",
    Grade::Own,
    "Both needle, and AquaGold usually carries botulinum toxin and filler: only where a practitioner has approved it \
     for the patient.",
);

/// Numbing.
pub const NUMBING: Cited = (
    "Nine clinic pages; not part of the appointment at one of them (helloprfct.com). Numbness lasts 20 to 30 minutes \
     after the cream is taken off (xthetics.ca).",
    Grade::B,
    "Pages ask for 15 to 60 minutes, in which the practitioner is free. Needling follows at once, because numbness \
     fades.",
);

/// Needling.
pub const NEEDLING: Cited = (
    "Content site medicinecontact.com, the only table found.",
    Grade::C,
    "By area: face 10 to 60 minutes, abdomen 20 to 30, each thigh 25 to 35, buttocks 20 to 30, upper arm 15 to 20. Set \
     it by what the practice treats.",
);

/// Talking the patient through the aftercare.
pub const TALK: Cited = (
    "Content site necolebitchie.com.",
    Grade::C,
    "5 to 10 minutes, in which the practitioner is free: an assistant gives the talk.",
);

/// Cleaning up after microneedling.
pub const TURNOVER: Cited = (
    "Ohio rule 4713-15-03; a vendor's example has 15 minutes before and after.",
    Grade::A,
    "10 to 15 minutes to clean and to disinfect: bleach has to stay wet for 10 or more.",
);

/// The consultation.
pub const CONSULTATION: Cited = (
    "Content sites.",
    Grade::C,
    "15 to 30 minutes with a practitioner who may clear; it takes no numbing and no device.",
);

/// Drawing and spinning blood.
pub const DRAW_AND_SPIN: Cited = (
    "Clinic page myeliteskin.com.",
    Grade::B,
    "Before the numbing, because numbness fades within half an hour: needling must follow at once.",
);

/// The micro-injection of `AquaGold`.
pub const MICRO_INJECTION: Cited = (
    AQUAGOLD_SOURCE,
    Grade::Own,
    "It needles the skin, so it takes as long as microneedling of the face. It is stamped by hand, without a device that \
     several patients share.",
);

/// Cleaning up after `AquaGold`.
pub const TURNOVER_AQUAGOLD: Cited =
    (AQUAGOLD_SOURCE, Grade::Own, "The room is cleaned as after microneedling; no device is.");

/// The rules of clearance.
pub const CLEARANCE: Cited = (
    "Consultation first: the commissioning document (crucial). 365 days: US good-faith exams, redone about yearly. \
     Asked again at every visit: clinic page heatheradams.co.uk. Cooling-off: UK members of parliament recommended 48 \
     hours. Patch test: 48 hours where one is used.",
    Grade::B,
    "A practitioner sees the patient before the first session, and again when a year has passed. Answers change, so \
     they are asked for on the day. Cooling-off and patch test are left to the practice.",
);

/// Sessions after a series.
pub const MAINTENANCE: Cited = (
    "A judgement of this project: sources run from monthly to 18 months.",
    Grade::Own,
    "Never sooner than a session of a series would follow. Half a year lies in the middle of what is practised, and \
     depends on how long the result lasts.",
);

/// Where that comes from.
pub const OVERDUE_WHY: Cited = (
    "A judgement of this project: no source says what to do when a gap has grown too long.",
    Grade::Own,
    "A longest gap that refused the next session would only keep the patient from being treated at all.",
);

/// What to do about a series whose gap has grown past the maximum.
pub const OVERDUE: &str = "Offer the next free time. The sessions after it keep their usual gaps: nothing is gained by \
    making up for lost time. Ask the screening questions again, and check that the clearance will still be valid. If \
    months have passed, let a practitioner look at the result before the next session.";

/// Where a protocol's numbers come from.
#[rustfmt::skip]
pub const fn protocol_source(course: Course) -> &'static str {
    match course {
        Course::StretchMarks =>
            "Count: the commissioning document (three to six, spaced several weeks apart). Gap: trials, Alster & Li \
             2020 (n=25), Springer s40257-018-0415-0 (n=20), jcasonline 6440 (n=30); floor: JEWDS 2017; target: \
             nsdermatology.com.au.",
        Course::AcneScars =>
            "dermacosm.com (4-6 sessions, 4-8 weeks), nsdermatology.com.au (6 sessions, 6 weeks); review PMC7764156 \
             (58 studies, every 1-8 weeks).",
        Course::Rejuvenation => "nsdermatology.com.au; realself.com (3-6 weeks).",
        Course::Prp => "myeliteskin.com (4-6 sessions, 4 weeks).",
        Course::RadioFrequency =>
            "Trials at 4 weeks: scitcentral 1190, thailis 435413. lovmedspa.com (3 sessions, 4-6 weeks), \
             onyxintegrative.com (3-4 sessions, 4-8 weeks); review PMC7764156 (every 4-12 weeks).",
    }
}

/// Why a protocol's numbers are what they are.
#[rustfmt::skip]
pub const fn protocol_rationale(course: Course) -> &'static str {
    match course {
        Course::StretchMarks =>
            "28 days are what the trials kept; one trial went down to 14. The target lies in a clinic's 4 to 6 \
             weeks; the maximum is a judgement of this project.",
        Course::AcneScars =>
            "Clinics treat every 4 to 8 weeks and aim at 6; the review's shorter gaps are left to the floor.",
        Course::Rejuvenation => "Monthly is within the 3 to 6 weeks of the sources; the maximum is a judgement of this \
        project.",
        Course::Prp => "The source knows no gap other than 4 weeks, so floor, minimum and target are the same.",
        Course::RadioFrequency =>
            "No source goes below 4 weeks, and the review's range reaches to 12.",
    }
}
