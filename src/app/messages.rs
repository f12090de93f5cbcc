//! Messages to patients: taking those that are due, each once.

use super::appointment::found;
use super::commands::{ListMessages, MessagesOf, TakeMessages};
use super::page::{Page, fetch};
use super::write::Begun;
use super::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, MessageId, PracticeId};
use crate::domain::interval::Instant;
use crate::domain::message::{Due, MAX_TAKEN, Message, MessageKind, that_fit};
use crate::store::message::{self, Which};
use crate::store::{PgConnection, aftercare, patient};

/// Most visits, and most assessments, that are looked at for one answer; the nearest come first, and the next answer has
/// the others.
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
        let due = due(write.db(), practice, now, kinds).await?;
        let limit = usize::try_from(*limit).unwrap_or_default();
        let visits: Vec<AppointmentId> = due.iter().take(limit).map(|due| due.appointment).collect();
        let instructions = aftercare::of_appointments(write.db(), practice, &visits).await?;
        let fitting = that_fit(&due, &instructions, limit);
        let more = due.len() > fitting;
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

/// The messages that are due and of one of these kinds, the longest due first.
async fn due(
    db: &mut PgConnection,
    practice: PracticeId,
    now: Instant,
    kinds: &[MessageKind],
) -> Result<Vec<Due>, Error> {
    let topics = message::topics(db, practice, now, MAX_TOPICS).await?;
    let assessments = message::open_assessments(db, practice, now, MAX_TOPICS).await?;
    let visits = topics.iter().flat_map(|topic| topic.due(now));
    let mut due: Vec<Due> = visits.chain(assessments.iter().filter_map(|open| open.due(now))).collect();
    due.retain(|due| kinds.is_empty() || kinds.contains(&due.kind));
    due.sort_unstable();
    Ok(due)
}

/// The messages that a change took, the longest due first.
async fn taken_by(db: &mut PgConnection, practice: PracticeId, revision: i64) -> Result<Vec<Message>, Error> {
    let mut messages = message::list(db, practice, Which::TakenBy(revision), None, i64::from(MAX_TAKEN)).await?;
    messages.sort_by_key(|message| (message.due_at, message.appointment, message.kind, message.assessment));
    Ok(messages)
}
