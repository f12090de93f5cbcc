//! Booking rules, from messages and to messages.

use super::parse::{Fields, Head};
use super::pb;
use crate::app::commands::Update;
use crate::app::{Command, Error};
use crate::domain::appointment::MAX_HOLD_MINUTES;
use crate::domain::booking_rules::{BookingRules, MAX_HOLD_TOTAL_MINUTES, MAX_NOTICE_HOURS};

pub(super) fn parse_update(message: pb::UpdateBookingRulesRequest) -> Result<Command<Update<(), BookingRules>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::UpdateBookingRulesRequest { practice_id: _, request_id: _, validate_only: _, etag, booking_rules } =
        message;
    let mut fields = Fields::default();
    let etag = fields.etag(&etag);
    let rules = fields.some("booking_rules", booking_rules, "is required").and_then(|rules| parse(&mut fields, rules));
    head.command(fields, || Some(Update { id: (), etag: etag?, to: rules? }))
}

fn parse(fields: &mut Fields, rules: pb::BookingRules) -> Option<BookingRules> {
    let pb::BookingRules {
        cancel_notice_hours,
        move_notice_hours,
        late_cancellation_counts,
        no_show_counts,
        max_hold_minutes,
        max_hold_total_minutes,
    } = rules;
    let path = |field: &str| format!("booking_rules.{field}");
    let cancel = fields.within(&path("cancel_notice_hours"), cancel_notice_hours, 0, MAX_NOTICE_HOURS);
    let moving = fields.within(&path("move_notice_hours"), move_notice_hours, 0, MAX_NOTICE_HOURS);
    let hold = fields.within(&path("max_hold_minutes"), max_hold_minutes, 1, MAX_HOLD_MINUTES)?;
    let total = fields.within(&path("max_hold_total_minutes"), max_hold_total_minutes, hold, MAX_HOLD_TOTAL_MINUTES);
    Some(BookingRules {
        cancel_notice_hours: cancel?,
        move_notice_hours: moving?,
        late_cancellation_counts,
        no_show_counts,
        max_hold_minutes: hold,
        max_hold_total_minutes: total?,
    })
}

pub(super) const fn rendered(rules: BookingRules) -> pb::BookingRules {
    let BookingRules {
        cancel_notice_hours,
        move_notice_hours,
        late_cancellation_counts,
        no_show_counts,
        max_hold_minutes,
        max_hold_total_minutes,
    } = rules;
    pb::BookingRules {
        cancel_notice_hours,
        move_notice_hours,
        late_cancellation_counts,
        no_show_counts,
        max_hold_minutes,
        max_hold_total_minutes,
    }
}
