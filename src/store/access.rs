//! Access tokens. Only hashes of secrets are stored.

use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::{StoreError, read};
use crate::domain::access::{Role, Token};
use crate::domain::ids::{PracticeId, ResourceId, TokenId};
use crate::domain::interval::Instant;

/// The role of a token with that secret, and whose it is if it is a practitioner's; nothing if it is revoked.
pub async fn bearer(
    db: &mut PgConnection,
    practice: PracticeId,
    token: TokenId,
    secret_hash: &[u8; 32],
) -> Result<Option<(Role, Option<ResourceId>)>, StoreError> {
    let row = sqlx::query!(
        "SELECT role, resource_id FROM access_tokens
         WHERE practice_id = $1 AND token_id = $2 AND secret_hash = $3 AND revoked_at IS NULL",
        practice.0,
        token.0,
        secret_hash.as_slice()
    );
    let Some(row) = row.fetch_optional(db).await? else { return Ok(None) };
    Ok(Some((read::named(Role::from_name(&row.role))?, row.resource_id.map(ResourceId))))
}

/// A token.
pub async fn get(db: &mut PgConnection, practice: PracticeId, token: TokenId) -> Result<Option<Token>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT practice_id, token_id, label, role, resource_id, created_at, revoked_at FROM access_tokens
         WHERE practice_id = $1 AND token_id = $2",
        practice.0,
        token.0
    );
    row.fetch_optional(db).await?.map(Row::read).transpose()
}

/// Those of some tokens that are revoked, of some practices.
pub async fn revoked(
    db: &mut PgConnection,
    practices: [PracticeId; 2],
    tokens: &[TokenId],
) -> Result<Vec<TokenId>, StoreError> {
    let practices = practices.map(|practice| practice.0);
    let tokens: Vec<Uuid> = tokens.iter().map(|token| token.0).collect();
    let revoked = sqlx::query_scalar!(
        "SELECT token_id FROM access_tokens
         WHERE practice_id = ANY($1) AND token_id = ANY($2) AND revoked_at IS NOT NULL",
        &practices,
        &tokens
    );
    Ok(revoked.fetch_all(db).await?.into_iter().map(TokenId).collect())
}

/// Tokens in order of their ids, after one of them.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    after: Option<TokenId>,
    limit: i64,
) -> Result<Vec<Token>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT practice_id, token_id, label, role, resource_id, created_at, revoked_at FROM access_tokens
         WHERE practice_id = $1 AND token_id > $2 ORDER BY token_id LIMIT $3",
        practice.0,
        after.map_or(Uuid::nil(), |id| id.0),
        limit
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

/// Inserts a new token.
pub async fn insert(db: &mut PgConnection, token: &Token, secret_hash: &[u8; 32]) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "INSERT INTO access_tokens (practice_id, token_id, label, role, resource_id, secret_hash, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        token.practice.0,
        token.id.0,
        token.label.as_str(),
        token.role.as_str(),
        token.practitioner.map(|id| id.0),
        secret_hash.as_slice(),
        token.created_at
    );
    expect_rows("insert token", 1, &done.execute(db).await?)
}

/// Revokes a token.
pub async fn revoke(
    db: &mut PgConnection,
    practice: PracticeId,
    token: TokenId,
    now: Instant,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE access_tokens SET revoked_at = greatest($3, created_at)
         WHERE practice_id = $1 AND token_id = $2 AND revoked_at IS NULL",
        practice.0,
        token.0,
        now
    );
    expect_rows("revoke token", 1, &done.execute(db).await?)
}

struct Row {
    practice_id: Uuid,
    token_id: Uuid,
    label: String,
    role: String,
    resource_id: Option<Uuid>,
    created_at: Instant,
    revoked_at: Option<Instant>,
}

impl Row {
    fn read(self) -> Result<Token, StoreError> {
        Ok(Token {
            id: TokenId(self.token_id),
            practice: PracticeId(self.practice_id),
            label: read::label(&self.label)?,
            role: read::named(Role::from_name(&self.role))?,
            practitioner: self.resource_id.map(ResourceId),
            created_at: self.created_at,
            revoked_at: self.revoked_at,
        })
    }
}
