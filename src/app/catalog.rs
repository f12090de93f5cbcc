//! The catalogue: treatments and protocols, in versions that are never edited.

use super::commands::{PageOf, PublishProtocol, PublishTreatment, VersionOf};
use super::page::{Page, fetch};
use super::write::Begun;
use super::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::catalog::{AcrossAreas, Combination, Protocol, Treatment};
use crate::domain::history::ChangeKind;
use crate::domain::ids::{PracticeId, ProtocolId, TreatmentId};
use crate::store::history::Earlier;
use crate::store::{PgConnection, catalog};

impl App {
    /// Publishes a new treatment, or the next version of one.
    pub async fn publish_treatment(
        &self,
        caller: &Caller,
        command: &Command<PublishTreatment>,
    ) -> Result<Treatment, Error> {
        command.body.content.check()?;
        self.retry(|| self.try_publish_treatment(caller, command)).await
    }

    async fn try_publish_treatment(
        &self,
        caller: &Caller,
        command: &Command<PublishTreatment>,
    ) -> Result<Treatment, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => {
                let version = self.version_published(practice, earlier).await?;
                return self.treatment(practice, VersionOf { id: TreatmentId(earlier.subject), version }).await;
            }
        };
        let (id, version) = match command.body.replaces {
            None => (TreatmentId(self.ids.new_id(write.now)), 1),
            Some((id, etag)) => {
                let before = found_treatment(write.db(), practice, highest(id)).await?;
                if before.published_revision != etag {
                    return Err(Error::EtagMismatch);
                }
                (id, before.version + 1)
            }
        };
        may_be_combined(write.db(), practice, id, &command.body.content.combinations).await?;
        let published = Treatment {
            id,
            version,
            published_at: write.now,
            published_revision: write.revision,
            content: command.body.content.clone(),
        };
        write.record(ChangeKind::TreatmentPublished, id, None, Vec::new()).await?;
        catalog::insert_treatment(write.db(), practice, &published).await?;
        // Read back, because the needs, exposures and restrictions have an order of their own in the database: the
        // answer is what every later read of this version will be.
        let kept = found_treatment(write.db(), practice, VersionOf { id, version: Some(version) }).await?;
        write.finish().await?;
        Ok(kept)
    }

    /// The version that an earlier request published.
    async fn version_published(&self, practice: PracticeId, earlier: Earlier) -> Result<Option<i32>, Error> {
        let mut db = self.read().await?;
        Ok(catalog::version_published(&mut db, practice, earlier.subject, earlier.revision).await?)
    }

    /// A treatment in one version.
    pub async fn get_treatment(
        &self,
        caller: &Caller,
        scoped: Scoped<VersionOf<TreatmentId>>,
    ) -> Result<Treatment, Error> {
        self.treatment(Self::tenant(caller, scoped.practice)?, scoped.query).await
    }

    /// Treatments in their highest versions, oldest first.
    pub async fn list_treatments(
        &self,
        caller: &Caller,
        scoped: Scoped<PageOf<TreatmentId>>,
    ) -> Result<Page<Treatment, TreatmentId>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let PageOf { size, after } = scoped.query;
        let mut db = self.read().await?;
        let found = catalog::list_treatments(&mut db, practice, after, fetch(size)).await?;
        Ok(Page::new(found, size, |last| last.id))
    }

    /// Publishes a new protocol, or the next version of one.
    pub async fn publish_protocol(
        &self,
        caller: &Caller,
        command: &Command<PublishProtocol>,
    ) -> Result<Protocol, Error> {
        self.retry(|| self.try_publish_protocol(caller, command)).await
    }

    async fn try_publish_protocol(
        &self,
        caller: &Caller,
        command: &Command<PublishProtocol>,
    ) -> Result<Protocol, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => {
                let version = self.version_published(practice, earlier).await?;
                return self.protocol(practice, VersionOf { id: ProtocolId(earlier.subject), version }).await;
            }
        };
        let (id, version) = match command.body.replaces {
            None => (ProtocolId(self.ids.new_id(write.now)), 1),
            Some((id, etag)) => {
                let before = found_protocol(write.db(), practice, highest(id)).await?;
                if before.published_revision != etag {
                    return Err(Error::EtagMismatch);
                }
                (id, before.version + 1)
            }
        };
        let content = command.body.content.clone();
        let Some(treatment) = catalog::treatment(write.db(), practice, content.treatment, None).await? else {
            return Err(Error::not_found("content.treatment_id"));
        };
        if treatment.content.spacing_days.is_none() {
            return Err(Error::field("content.treatment_id", "must be a treatment that needles"));
        }
        // Sessions of one series then never collide by the gap across areas, whoever decides about their gaps.
        if let Some(AcrossAreas { days, .. }) = treatment.content.across_areas
            && days > content.gap.floor
        {
            let remedy = format!("must be at least {days}, the treatment's across_areas.days");
            return Err(Error::field("content.gap_floor_days", remedy));
        }
        let consultation_version = match &content.clearance {
            None => None,
            Some(rules) => {
                let consultation = catalog::treatment(write.db(), practice, rules.consultation, None).await?;
                let missing = || Error::not_found("content.clearance.consultation_treatment_id");
                Some(consultation.ok_or_else(missing)?.version)
            }
        };
        let published = Protocol {
            id,
            version,
            published_at: write.now,
            published_revision: write.revision,
            treatment_version: treatment.version,
            consultation_version,
            content,
        };
        write.record(ChangeKind::ProtocolPublished, id, None, Vec::new()).await?;
        catalog::insert_protocol(write.db(), practice, &published).await?;
        write.finish().await?;
        Ok(published)
    }

    /// A protocol in one version.
    pub async fn get_protocol(
        &self,
        caller: &Caller,
        scoped: Scoped<VersionOf<ProtocolId>>,
    ) -> Result<Protocol, Error> {
        self.protocol(Self::tenant(caller, scoped.practice)?, scoped.query).await
    }

    /// Protocols in their highest versions, oldest first.
    pub async fn list_protocols(
        &self,
        caller: &Caller,
        scoped: Scoped<PageOf<ProtocolId>>,
    ) -> Result<Page<Protocol, ProtocolId>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let PageOf { size, after } = scoped.query;
        let mut db = self.read().await?;
        let found = catalog::list_protocols(&mut db, practice, after, fetch(size)).await?;
        Ok(Page::new(found, size, |last| last.id))
    }

    async fn treatment(&self, practice: PracticeId, which: VersionOf<TreatmentId>) -> Result<Treatment, Error> {
        found_treatment(&mut *self.read().await?, practice, which).await
    }

    async fn protocol(&self, practice: PracticeId, which: VersionOf<ProtocolId>) -> Result<Protocol, Error> {
        found_protocol(&mut *self.read().await?, practice, which).await
    }
}

const fn highest<Id>(id: Id) -> VersionOf<Id> {
    VersionOf { id, version: None }
}

async fn found_treatment(
    db: &mut PgConnection,
    practice: PracticeId,
    VersionOf { id, version }: VersionOf<TreatmentId>,
) -> Result<Treatment, Error> {
    catalog::treatment(db, practice, id, version).await?.ok_or_else(|| Error::not_found("treatment_id"))
}

/// Whether each treatment that may be added is another one, and exists.
async fn may_be_combined(
    db: &mut PgConnection,
    practice: PracticeId,
    id: TreatmentId,
    combinations: &[Combination],
) -> Result<(), Error> {
    if combinations.is_empty() {
        return Ok(());
    }
    let add_ons: Vec<TreatmentId> = combinations.iter().map(|combination| combination.add_on).collect();
    let known = catalog::existing(db, practice, &add_ons).await?;
    for (place, add_on) in add_ons.iter().enumerate() {
        let field = format!("content.combinations[{place}].add_on_treatment_id");
        if *add_on == id {
            return Err(Error::field(field, "must be another treatment"));
        }
        if !known.contains(add_on) {
            return Err(Error::not_found(field));
        }
    }
    Ok(())
}

async fn found_protocol(
    db: &mut PgConnection,
    practice: PracticeId,
    VersionOf { id, version }: VersionOf<ProtocolId>,
) -> Result<Protocol, Error> {
    catalog::protocol(db, practice, id, version).await?.ok_or_else(|| Error::not_found("protocol_id"))
}

/// A protocol in a version, none for the highest, with the treatment that it uses.
pub(super) async fn rules(
    db: &mut PgConnection,
    practice: PracticeId,
    id: ProtocolId,
    version: Option<i32>,
) -> Result<Option<(Protocol, Treatment)>, Error> {
    let Some(protocol) = catalog::protocol(db, practice, id, version).await? else { return Ok(None) };
    let version = Some(protocol.treatment_version);
    let treatment = catalog::treatment(db, practice, protocol.content.treatment, version).await?;
    Ok(treatment.map(|treatment| (protocol, treatment)))
}
