//! Messages to patients: taking those that are due, each once.

use super::appointment::found;
use super::commands::{ListMessages, MessagesOf, TakeMessages};
use super::page::{Page, fetch};
use super::write::Begun;
use super::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::aftercare::AftercareWindow;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, MessageId, PracticeId};
use crate::domain::interval::Instant;
use crate::domain::message::{Due, MAX_TAKEN, Message, MessageKind, that_fit};
use crate::store::message::{self, Which};
use crate::store::{PgConnection, aftercare, patient};

/// Most visits that are looked at together, and most assessments that are looked at for one answer.
const MAX_TOPICS: i64 = 5_000;

/// Messages that were taken together.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The messages.
    pub messages: Vec<Message>,
    /// Whether more may be due.
    pub more: bool,
}

impl App {
    /// Takes messages that are due and that nobody has taken.
    pub async fn take_messages(&self, caller: &Caller, command: &Command<TakeMessages>) -> Result<Taken, Error> {
        self.retry(|| self.try_take_messages(caller, command)).await
    }

    async fn try_take_messages(&self, caller: &Caller, command: &Command<TakeMessages>) -> Result<Taken, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => {
                let messages = taken_by(&mut *self.read().await?, practice, earlier.revision).await?;
                return Ok(Taken { messages, more: true });
            }
        };
        let (now, revision) = (write.now, write.revision);
        let TakeMessages { limit, kinds } = &command.body;
        let limit = usize::try_from(*limit).unwrap_or_default();
        let Found { due, instructions, more } = find(write.db(), practice, now, kinds, limit).await?;
        let fitting = that_fit(&due, &instructions, limit);
        let more = more || due.len() > fitting;
        let taken: Vec<(MessageId, Due)> =
            due.into_iter().take(fitting).map(|due| (MessageId(self.ids.new_id(now)), due)).collect();
        let Some((first, _)) = taken.first() else {
            // Nothing changes, so nothing is recorded.
            return Ok(Taken { messages: Vec::new(), more });
        };
        let mut visits: Vec<AppointmentId> = taken.iter().map(|(_, due)| due.appointment).collect();
        visits.sort_unstable();
        visits.dedup();
        // About no patient, even if it is about one: what is told of visits changes nothing that is decided about them.
        write.record(ChangeKind::MessagesTaken, *first, None, visits).await?;
        message::insert(write.db(), practice, &taken, now, revision).await?;
        let messages = taken_by(write.db(), practice, revision).await?;
        write.finish().await?;
        Ok(Taken { messages, more })
    }

    /// Messages that were taken, oldest first.
    pub async fn list_messages(
        &self,
        caller: &Caller,
        scoped: Scoped<ListMessages>,
    ) -> Result<Page<Message, MessageId>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ListMessages { of, page } = scoped.query;
        let mut db = self.read().await?;
        let which = match of {
            MessagesOf::Patient(id) if !patient::exists(&mut db, practice, id).await? => {
                return Err(Error::not_found("patient_id"));
            }
            MessagesOf::Patient(id) => Which::To(id),
            MessagesOf::Appointment(id) => Which::About(found(&mut db, practice, id).await?.id),
        };
        let listed = message::list(&mut db, practice, which, page.after, fetch(page.size)).await?;
        Ok(Page::new(listed, page.size, |last| last.id))
    }
}

/// Messages that are due.
#[derive(Default)]
struct Found {
    due: Vec<Due>,
    /// What they have to tell, of those that instruct.
    instructions: Vec<AftercareWindow>,
    /// Whether there may be others.
    more: bool,
}

/// Messages that are due and of one of these kinds: more than the limit, unless there are no more. Visits are looked at
/// by start, so many at a time; of those, the longest due come first.
async fn find(
    db: &mut PgConnection,
    practice: PracticeId,
    now: Instant,
    kinds: &[MessageKind],
    limit: usize,
) -> Result<Found, Error> {
    let assessments = message::open_assessments(db, practice, now, MAX_TOPICS).await?;
    let mut found = Found { more: is_full(assessments.len()), ..Found::default() };
    let mut due: Vec<Due> = assessments.iter().filter_map(|open| open.due(now)).collect();
    let mut after = None;
    loop {
        let topics = message::topics(db, practice, now, after, MAX_TOPICS).await?;
        after = topics.last().map(|last| (last.visit.start(), last.appointment));
        due.extend(topics.iter().flat_map(|topic| topic.due(now)));
        due.retain(|due| kinds.is_empty() || kinds.contains(&due.kind));
        due.sort_unstable();
        for some in due.chunks(limit.max(1)) {
            tell(db, practice, some, &mut found).await?;
            if found.due.len() > limit {
                return Ok(Found { more: true, ..found });
            }
        }
        if !is_full(topics.len()) {
            return Ok(found);
        }
        due.clear();
    }
}

fn is_full(looked_at: usize) -> bool {
    i64::try_from(looked_at).is_ok_and(|looked_at| looked_at >= MAX_TOPICS)
}

/// Adds messages to those that were found, but for those that would instruct and have nothing to tell.
async fn tell(db: &mut PgConnection, practice: PracticeId, due: &[Due], found: &mut Found) -> Result<(), Error> {
    let instructing = due.iter().filter(|due| due.kind.instructs());
    let visits: Vec<AppointmentId> = instructing.map(|due| due.appointment).collect();
    let instructions = aftercare::of_appointments(db, practice, &visits).await?;
    let tells = |due: &Due| {
        let mut own = instructions.iter().filter(|window| window.appointment == due.appointment);
        !due.kind.instructs() || own.any(|window| due.kind.tells(window))
    };
    found.due.extend(due.iter().filter(|due| tells(due)).cloned());
    found.instructions.extend(instructions);
    Ok(())
}

/// The messages that a change took, the longest due first.
async fn taken_by(db: &mut PgConnection, practice: PracticeId, revision: i64) -> Result<Vec<Message>, Error> {
    let mut messages = message::list(db, practice, Which::TakenBy(revision), None, i64::from(MAX_TAKEN)).await?;
    messages.sort_by_key(|message| (message.due_at, message.appointment, message.kind, message.assessment));
    Ok(messages)
}
