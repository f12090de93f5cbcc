//! What each constraint of the schema means to a caller. A test holds this table against the database's own catalogue.

use crate::domain::refusal::Rule;

/// What it means that a constraint is violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The request breaks a rule; the server should have refused it before.
    Refusal(Rule),
    /// The request names, in this field, something that the practice does not have.
    Missing(&'static str),
    /// Somebody else did the same at the same time; the same again finds what they did.
    Contention,
    /// The server tried to store what it should never have made.
    Fault,
}

/// Every constraint by name.
pub const CONSTRAINTS: &[(&str, Meaning)] = &[
    ("practice_is_identified", Meaning::Fault),
    ("practice_name_is_short_text", Meaning::Fault),
    ("booking_horizon_is_bounded", Meaning::Fault),
    ("practice_revision_counts_up", Meaning::Fault),
    ("change_has_its_own_revision", Meaning::Contention),
    ("request_is_recorded_once", Meaning::Contention),
    ("change_belongs_to_practice", Meaning::Fault),
    ("change_is_numbered_from_one", Meaning::Fault),
    ("change_kind_is_noun_and_verb", Meaning::Fault),
    ("change_actor_role_is_known", Meaning::Fault),
    ("request_digest_is_sha256", Meaning::Fault),
    ("access_token_is_identified", Meaning::Fault),
    ("access_token_belongs_to_practice", Meaning::Missing("practice_id")),
    ("access_token_label_is_short_text", Meaning::Fault),
    ("access_token_role_fits_practice", Meaning::Fault),
    ("practitioner_token_names_its_practitioner", Meaning::Fault),
    ("access_token_secret_is_sha256", Meaning::Fault),
    ("access_token_is_revoked_after_creation", Meaning::Fault),
    ("clinic_is_identified", Meaning::Fault),
    ("clinic_belongs_to_practice", Meaning::Fault),
    ("clinic_name_is_short_text", Meaning::Fault),
    ("clinic_time_zone_is_named", Meaning::Fault),
    ("opening_hours_are_identified", Meaning::Fault),
    ("opening_hours_belong_to_clinic", Meaning::Fault),
    ("opening_hours_name_a_weekday", Meaning::Fault),
    ("opening_hours_lie_in_one_day", Meaning::Fault),
    ("opening_hours_do_not_overlap", Meaning::Fault),
    ("closure_is_identified", Meaning::Fault),
    ("closure_belongs_to_clinic", Meaning::Missing("clinic_id")),
    ("closure_has_start_and_end", Meaning::Fault),
    ("closure_reason_is_short_text", Meaning::Fault),
    ("resource_is_identified", Meaning::Fault),
    ("resource_belongs_to_practice", Meaning::Fault),
    ("resource_stands_in_clinic", Meaning::Missing("clinic_id")),
    ("resource_kind_is_known", Meaning::Fault),
    ("resource_name_is_short_text", Meaning::Fault),
    ("only_rooms_and_devices_stand_in_a_clinic", Meaning::Fault),
    ("resource_qualifications_are_few", Meaning::Fault),
    ("access_token_names_a_resource", Meaning::Missing("practitioner_id")),
    ("working_hours_are_identified", Meaning::Fault),
    ("working_hours_belong_to_resource", Meaning::Fault),
    ("working_hours_are_at_a_clinic", Meaning::Missing("working_hours.clinic_id")),
    ("working_hours_name_a_weekday", Meaning::Fault),
    ("working_hours_lie_in_one_day", Meaning::Fault),
    ("working_hours_do_not_overlap", Meaning::Fault),
    ("time_off_is_identified", Meaning::Fault),
    ("time_off_belongs_to_resource", Meaning::Missing("resource_id")),
    ("time_off_has_start_and_end", Meaning::Fault),
    ("time_off_reason_is_short_text", Meaning::Fault),
    ("treatment_version_is_identified", Meaning::Fault),
    ("treatment_belongs_to_practice", Meaning::Fault),
    ("treatment_versions_count_up", Meaning::Fault),
    ("treatment_name_is_short_text", Meaning::Fault),
    ("treatment_spacing_is_bounded", Meaning::Fault),
    ("treatment_phase_is_identified", Meaning::Fault),
    ("treatment_phase_belongs_to_treatment", Meaning::Fault),
    ("treatment_phase_position_is_bounded", Meaning::Fault),
    ("treatment_phase_name_is_short_text", Meaning::Fault),
    ("treatment_phase_fills_the_grid", Meaning::Fault),
    ("patient_is_present_while_treated", Meaning::Fault),
    ("treatment_need_is_identified", Meaning::Fault),
    ("treatment_need_belongs_to_phase", Meaning::Fault),
    ("treatment_need_kind_is_known", Meaning::Fault),
    ("treatment_need_qualification_is_a_code", Meaning::Fault),
    ("treatment_exposure_is_identified", Meaning::Fault),
    ("treatment_exposure_belongs_to_treatment", Meaning::Fault),
    ("treatment_exposure_activity_is_known", Meaning::Fault),
    ("treatment_restriction_is_identified", Meaning::Fault),
    ("treatment_restriction_belongs_to_treatment", Meaning::Fault),
    ("treatment_restriction_activity_is_known", Meaning::Fault),
    ("treatment_restriction_units_are_known", Meaning::Fault),
    ("treatment_restriction_is_bounded", Meaning::Fault),
    ("treatment_restriction_grade_is_known", Meaning::Fault),
    ("treatment_restriction_texts_are_bounded", Meaning::Fault),
    ("protocol_version_is_identified", Meaning::Fault),
    ("protocol_uses_a_treatment", Meaning::Fault),
    ("protocol_versions_count_up", Meaning::Fault),
    ("protocol_name_is_short_text", Meaning::Fault),
    ("protocol_session_counts_are_ordered", Meaning::Fault),
    ("protocol_gaps_are_ordered", Meaning::Fault),
    ("protocol_grade_is_known", Meaning::Fault),
    ("protocol_texts_are_bounded", Meaning::Fault),
    ("protocol_assessment_is_identified", Meaning::Fault),
    ("protocol_assessment_belongs_to_protocol", Meaning::Fault),
    ("protocol_assessment_position_is_bounded", Meaning::Fault),
    ("protocol_assessment_name_is_short_text", Meaning::Fault),
    ("protocol_assessment_due_kind_is_known", Meaning::Fault),
    ("protocol_assessment_is_due_in_one_way", Meaning::Fault),
    ("protocol_assessment_session_is_bounded", Meaning::Fault),
    ("protocol_assessment_days_are_ordered", Meaning::Fault),
    ("protocol_assessment_grade_is_known", Meaning::Fault),
    ("protocol_assessment_texts_are_bounded", Meaning::Fault),
    ("patient_is_identified", Meaning::Fault),
    ("patient_belongs_to_practice", Meaning::Fault),
    ("patient_names_are_short_text", Meaning::Fault),
    ("patient_folded_names_are_bounded", Meaning::Fault),
    ("patient_contact_is_bounded", Meaning::Fault),
    ("series_is_identified", Meaning::Fault),
    ("series_is_known_to_its_sessions", Meaning::Fault),
    ("series_is_of_a_patient", Meaning::Fault),
    ("series_follows_a_protocol", Meaning::Fault),
    ("series_was_booked_by_a_change", Meaning::Fault),
    ("series_body_area_is_known", Meaning::Fault),
    ("series_session_count_is_bounded", Meaning::Fault),
    ("series_state_is_known", Meaning::Fault),
    ("cancelled_series_says_when", Meaning::Fault),
    ("series_cancel_reason_is_bounded", Meaning::Fault),
    ("appointment_is_identified", Meaning::Fault),
    ("appointment_life_is_known_to_its_occupancies", Meaning::Fault),
    ("appointment_life_is_known_to_its_windows", Meaning::Fault),
    ("appointment_is_at_a_clinic", Meaning::Fault),
    ("appointment_is_of_a_patient", Meaning::Fault),
    ("appointment_is_for_a_treatment", Meaning::Fault),
    ("session_belongs_to_series", Meaning::Fault),
    ("appointment_was_booked_by_a_change", Meaning::Fault),
    ("appointment_state_is_known", Meaning::Fault),
    ("appointment_body_area_is_known", Meaning::Fault),
    ("session_has_number_and_area", Meaning::Fault),
    ("session_number_is_bounded", Meaning::Fault),
    ("visit_has_start_and_end", Meaning::Fault),
    ("cancelled_appointment_says_when", Meaning::Fault),
    ("appointment_cancel_reason_is_bounded", Meaning::Fault),
    ("patient_is_in_one_place_at_a_time", Meaning::Refusal(Rule::PatientBusy)),
    ("session_is_booked_once", Meaning::Refusal(Rule::SessionAlreadyBooked)),
    ("occupancy_is_identified", Meaning::Fault),
    ("occupancy_lives_with_its_appointment", Meaning::Fault),
    ("occupancy_is_of_a_resource", Meaning::Fault),
    ("occupancy_has_start_and_end", Meaning::Fault),
    ("occupancy_need_is_bounded", Meaning::Fault),
    ("resource_is_in_one_place_at_a_time", Meaning::Refusal(Rule::ResourceBusy)),
    ("spacing_window_is_identified", Meaning::Fault),
    ("spacing_window_lives_with_its_appointment", Meaning::Fault),
    ("spacing_window_has_start_and_end", Meaning::Fault),
    ("spacing_window_scope_is_known", Meaning::Fault),
    ("sessions_keep_their_gap", Meaning::Refusal(Rule::SessionTooSoon)),
    ("activity_window_is_identified", Meaning::Fault),
    ("activity_window_lives_with_its_appointment", Meaning::Fault),
    ("activity_window_activity_is_known", Meaning::Fault),
    ("activity_window_restricts_or_exposes", Meaning::Fault),
    ("activity_window_has_start_and_end", Meaning::Fault),
    ("aftercare_windows_are_kept", Meaning::Refusal(Rule::ActivityForbidden)),
];

/// The meaning of a constraint, by the name that the database reports. A distributed database appends a shard number.
pub fn meaning(name: &str) -> Option<Meaning> {
    let logical = match name.rsplit_once('_') {
        Some((logical, shard)) if !shard.is_empty() && shard.bytes().all(|b| b.is_ascii_digit()) => logical,
        Some(_) | None => name,
    };
    CONSTRAINTS.iter().find(|(known, _)| *known == logical).map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constraint_is_known_with_and_without_a_shard_number() {
        let busy = Some(Meaning::Refusal(Rule::PatientBusy));
        assert_eq!(meaning("patient_is_in_one_place_at_a_time"), busy);
        assert_eq!(meaning("patient_is_in_one_place_at_a_time_102144"), busy);
        assert_eq!(meaning("somebody_elses"), None);
    }
}
