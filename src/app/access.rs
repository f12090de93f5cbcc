//! Who may call what, and the tokens that prove it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::commands::{ListTokens, NewToken};
use super::page::{Page, fetch};
use super::write::Begun;
use super::{App, Command, Error, Scoped};
use crate::domain::access::Role::{self, FrontDesk, Manager, Operator, Practitioner, ReadOnly};
use crate::domain::access::{Caller, Token};
use crate::domain::catalog::ResourceKind;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{PracticeId, RequestId, TokenId};
use crate::domain::text::Label;
use crate::store::{PgConnection, access, resource};

/// Everybody.
const READERS: &[Role] = &[Operator, Manager, Practitioner, FrontDesk, ReadOnly];
/// Those who deal with patients, and see what is done to them.
const DESK: &[Role] = &[Operator, Manager, Practitioner, FrontDesk];
/// Those who decide about patients, by name: nobody decides for them.
const CLINICIANS: &[Role] = &[Practitioner];
/// Those who run a practice.
const MANAGERS: &[Role] = &[Operator, Manager];
/// Those who run the deployment.
const OPERATORS: &[Role] = &[Operator];

/// The authorization table: who may call each method. A method without a row may be called by nobody.
pub const MAY_CALL: &[(&str, &[Role])] = &[
    ("stipple.v1.PracticeService/CreatePractice", OPERATORS),
    ("stipple.v1.PracticeService/GetPractice", READERS),
    ("stipple.v1.PracticeService/ListPractices", OPERATORS),
    ("stipple.v1.PracticeService/UpdatePractice", MANAGERS),
    ("stipple.v1.PracticeService/UpdateBookingRules", MANAGERS),
    ("stipple.v1.PracticeService/CreateClinic", MANAGERS),
    ("stipple.v1.PracticeService/GetClinic", READERS),
    ("stipple.v1.PracticeService/ListClinics", READERS),
    ("stipple.v1.PracticeService/UpdateClinic", MANAGERS),
    ("stipple.v1.PracticeService/CreateClosure", MANAGERS),
    ("stipple.v1.PracticeService/ListClosures", READERS),
    ("stipple.v1.PracticeService/DeleteClosure", MANAGERS),
    ("stipple.v1.ResourceService/CreateResource", MANAGERS),
    ("stipple.v1.ResourceService/GetResource", READERS),
    ("stipple.v1.ResourceService/ListResources", READERS),
    ("stipple.v1.ResourceService/UpdateResource", MANAGERS),
    ("stipple.v1.ResourceService/CreateTimeOff", MANAGERS),
    ("stipple.v1.ResourceService/ListTimeOff", READERS),
    ("stipple.v1.ResourceService/DeleteTimeOff", MANAGERS),
    ("stipple.v1.CatalogService/PublishTreatment", MANAGERS),
    ("stipple.v1.CatalogService/GetTreatment", READERS),
    ("stipple.v1.CatalogService/ListTreatments", READERS),
    ("stipple.v1.CatalogService/PublishProtocol", MANAGERS),
    ("stipple.v1.CatalogService/GetProtocol", READERS),
    ("stipple.v1.CatalogService/ListProtocols", READERS),
    ("stipple.v1.PatientService/CreatePatient", DESK),
    ("stipple.v1.PatientService/GetPatient", READERS),
    ("stipple.v1.PatientService/ListPatients", READERS),
    ("stipple.v1.PatientService/UpdatePatient", DESK),
    ("stipple.v1.PatientService/RecordScreening", DESK),
    ("stipple.v1.PatientService/ListScreenings", READERS),
    ("stipple.v1.PatientService/RecordClearance", CLINICIANS),
    ("stipple.v1.PatientService/RevokeClearance", CLINICIANS),
    ("stipple.v1.PatientService/ListClearances", READERS),
    ("stipple.v1.PatientService/GrantOverride", CLINICIANS),
    ("stipple.v1.PatientService/RevokeOverride", CLINICIANS),
    ("stipple.v1.PatientService/ListOverrides", READERS),
    ("stipple.v1.PatientService/ReportReaction", DESK),
    ("stipple.v1.PatientService/ClearReaction", CLINICIANS),
    ("stipple.v1.PatientService/ListReactions", READERS),
    ("stipple.v1.SeriesService/ProposeSeries", READERS),
    ("stipple.v1.WaitingListService/AddEntry", DESK),
    ("stipple.v1.WaitingListService/ListEntries", READERS),
    ("stipple.v1.WaitingListService/WithdrawEntry", DESK),
    ("stipple.v1.WaitingListService/FindMatches", READERS),
    ("stipple.v1.WaitingListService/OfferTime", DESK),
    ("stipple.v1.SeriesService/BookSeries", DESK),
    ("stipple.v1.SeriesService/HoldSeries", DESK),
    ("stipple.v1.SeriesService/RenewSeriesHold", DESK),
    ("stipple.v1.SeriesService/ConvertSeriesHold", DESK),
    ("stipple.v1.SeriesService/RescheduleSession", DESK),
    ("stipple.v1.SeriesService/ExtendSeries", DESK),
    ("stipple.v1.SeriesService/ShortenSeries", DESK),
    ("stipple.v1.SeriesService/GetSeries", READERS),
    ("stipple.v1.SeriesService/ListSeries", READERS),
    ("stipple.v1.SeriesService/RecordAssessment", CLINICIANS),
    ("stipple.v1.SeriesService/CancelSeries", DESK),
    ("stipple.v1.AppointmentService/FindSlots", READERS),
    ("stipple.v1.AppointmentService/BookAppointment", DESK),
    ("stipple.v1.AppointmentService/RescheduleAppointment", DESK),
    ("stipple.v1.AppointmentService/GetAppointment", READERS),
    ("stipple.v1.AppointmentService/ListAppointments", READERS),
    ("stipple.v1.AppointmentService/WatchDay", READERS),
    ("stipple.v1.AppointmentService/ListDisplaced", READERS),
    ("stipple.v1.AppointmentService/CancelAppointment", DESK),
    ("stipple.v1.AppointmentService/HoldAppointment", DESK),
    ("stipple.v1.AppointmentService/RenewHold", DESK),
    ("stipple.v1.AppointmentService/ConvertHold", DESK),
    ("stipple.v1.AppointmentService/ConfirmAppointment", DESK),
    ("stipple.v1.AppointmentService/CheckIn", DESK),
    ("stipple.v1.AppointmentService/StartVisit", DESK),
    ("stipple.v1.AppointmentService/CompleteAppointment", DESK),
    ("stipple.v1.AppointmentService/GetVisitRecord", DESK),
    ("stipple.v1.AppointmentService/MarkNoShow", DESK),
    ("stipple.v1.AppointmentService/UndoVisit", DESK),
    ("stipple.v1.AftercareService/GetAftercare", READERS),
    ("stipple.v1.AftercareService/CheckActivity", READERS),
    ("stipple.v1.CalendarService/GetPatientCalendar", READERS),
    ("stipple.v1.CalendarService/GetPractitionerCalendar", READERS),
    ("stipple.v1.MessageService/TakeMessages", DESK),
    ("stipple.v1.MessageService/ListMessages", READERS),
    ("stipple.v1.HistoryService/ListChanges", READERS),
    ("stipple.v1.HistoryService/WatchChanges", READERS),
    ("stipple.v1.AccessService/CreateToken", MANAGERS),
    ("stipple.v1.AccessService/ListTokens", MANAGERS),
    ("stipple.v1.AccessService/RevokeToken", MANAGERS),
];

/// Whether a role may call a method, named as in [`MAY_CALL`].
pub fn may_call(role: Role, method: &str) -> bool {
    MAY_CALL.iter().any(|(known, roles)| *known == method && roles.contains(&role))
}

/// What every token begins with, so that one is recognised where it should not be.
const PREFIX: &str = "stipple_";
/// Bytes of a token: practice, token id and secret.
const TOKEN_BYTES: usize = 16 + 16 + 32;

/// A bearer token taken apart.
pub struct Bearer {
    practice: PracticeId,
    token: TokenId,
    secret: [u8; 32],
}

impl Bearer {
    /// Its text.
    pub fn write(&self) -> String {
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.extend(self.practice.0.as_bytes());
        bytes.extend(self.token.0.as_bytes());
        bytes.extend(self.secret);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The token of a text; nothing if it is none.
    pub fn read(text: &str) -> Option<Self> {
        let bytes: [u8; TOKEN_BYTES] = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?.try_into().ok()?;
        let (practice, rest) = bytes.split_first_chunk::<16>()?;
        let (token, secret) = rest.split_first_chunk::<16>()?;
        Some(Self {
            practice: PracticeId(uuid::Uuid::from_bytes(*practice)),
            token: TokenId(uuid::Uuid::from_bytes(*token)),
            secret: secret.try_into().ok()?,
        })
    }

    /// A secret of 256 random bits needs no slow hash: it cannot be guessed.
    fn secret_hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }
}

impl App {
    /// Who bears a token; an error if it opens nothing.
    pub async fn authenticate(&self, bearer: &str) -> Result<Caller, Error> {
        let bearer = Bearer::read(bearer).ok_or(Error::Unauthenticated)?;
        let mut db = self.connections.acquire().await?;
        let known = access::bearer(&mut db, bearer.practice, bearer.token, &bearer.secret_hash()).await?;
        let (role, practitioner) = known.ok_or(Error::Unauthenticated)?;
        Ok(Caller { practice: bearer.practice, token: Some(bearer.token), role, practitioner })
    }

    /// Makes an operator's token, for the command line of the server's own machine.
    pub async fn create_operator_token(&self, label: &str) -> Result<String, Error> {
        let label = Label::new(label).map_err(|error| Error::field("label", error.to_string()))?;
        let request = RequestId(self.ids.new_id(self.clock.now()));
        // Nobody repeats this request, so that its digest has nothing to tell apart.
        let digest = Sha256::digest(request.0.as_bytes()).into();
        let body = NewToken { label, role: Operator, practitioner: None };
        let command = Command { practice: None, request, digest, validate_only: false, body };
        let (_, bearer) = self.create_token(&Caller::COMMAND_LINE, &command).await?;
        Ok(bearer.unwrap_or_default())
    }

    /// Makes a token. Its text is there for the first answer only.
    pub async fn create_token(
        &self,
        caller: &Caller,
        command: &Command<NewToken>,
    ) -> Result<(Token, Option<String>), Error> {
        self.retry(|| self.try_create_token(caller, command)).await
    }

    async fn try_create_token(
        &self,
        caller: &Caller,
        command: &Command<NewToken>,
    ) -> Result<(Token, Option<String>), Error> {
        let practice = Self::practice(caller, command.practice)?;
        let ask = &command.body;
        let fits = match ask.role {
            Operator => practice == PracticeId::DEPLOYMENT,
            Manager | Practitioner | FrontDesk | ReadOnly => practice != PracticeId::DEPLOYMENT,
        };
        if !fits {
            let remedy =
                "must not be OPERATOR in a practice; only an operator makes a token for operators, naming none";
            return Err(Error::field("role", remedy));
        }
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return Ok((self.token(practice, TokenId(earlier.subject)).await?, None)),
        };
        if let Some(id) = ask.practitioner {
            let resource = resource::get(write.db(), practice, id).await?;
            if resource.is_none_or(|resource| resource.kind != ResourceKind::Practitioner) {
                return Err(Error::not_found("practitioner_id"));
            }
        }
        let id = TokenId(self.ids.new_id(write.now));
        let bearer = Bearer { practice, token: id, secret: self.ids.random() };
        let token = Token {
            id,
            practice,
            label: ask.label.clone(),
            role: ask.role,
            practitioner: ask.practitioner,
            created_at: write.now,
            revoked_at: None,
        };
        write.record(ChangeKind::TokenCreated, id, None, Vec::new()).await?;
        access::insert(write.db(), &token, &bearer.secret_hash()).await?;
        write.finish().await?;
        Ok((token, (!command.validate_only).then(|| bearer.write())))
    }

    /// Revokes a token.
    pub async fn revoke_token(&self, caller: &Caller, command: &Command<TokenId>) -> Result<Token, Error> {
        self.retry(|| self.try_revoke_token(caller, command)).await
    }

    async fn try_revoke_token(&self, caller: &Caller, command: &Command<TokenId>) -> Result<Token, Error> {
        let practice = Self::practice(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.token(practice, TokenId(earlier.subject)).await,
        };
        let now = write.now;
        let token = found(write.db(), practice, command.body).await?;
        if token.revoked_at.is_some() {
            // Nothing changes, so nothing is recorded.
            return Ok(token);
        }
        write.record(ChangeKind::TokenRevoked, token.id, None, Vec::new()).await?;
        access::revoke(write.db(), practice, token.id, now).await?;
        write.finish().await?;
        Ok(Token { revoked_at: Some(now.max(token.created_at)), ..token })
    }

    /// Tokens, oldest first.
    pub async fn list_tokens(
        &self,
        caller: &Caller,
        scoped: Scoped<ListTokens>,
    ) -> Result<Page<Token, TokenId>, Error> {
        let practice = Self::practice(caller, scoped.practice)?;
        let page = scoped.query;
        let mut db = self.read().await?;
        let found = access::list(&mut db, practice, page.after, fetch(page.size)).await?;
        Ok(Page::new(found, page.size, |last| last.id))
    }

    async fn token(&self, practice: PracticeId, id: TokenId) -> Result<Token, Error> {
        found(&mut *self.read().await?, practice, id).await
    }
}

async fn found(db: &mut PgConnection, practice: PracticeId, id: TokenId) -> Result<Token, Error> {
    access::get(db, practice, id).await?.ok_or_else(|| Error::not_found("token_id"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_is_read_as_it_was_written(practice: u128, token: u128, secret: [u8; 32]) {
            let bearer = Bearer {
                practice: PracticeId(uuid::Uuid::from_u128(practice)),
                token: TokenId(uuid::Uuid::from_u128(token)),
                secret,
            };
            let read = Bearer::read(&bearer.write()).unwrap();
            prop_assert_eq!((read.practice, read.token, read.secret), (bearer.practice, bearer.token, secret));
        }

        #[test]
        fn what_is_no_token_is_refused(text in ".{0,120}") {
            prop_assert!(Bearer::read(&text).is_none());
        }
    }
}
