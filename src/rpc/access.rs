//! `AccessService`.

use tonic::{Request, Response, Status};

use super::page::Query;
use super::parse::{Fields, Head, scoped};
use super::pb::access_service_server::AccessService;
use super::{Services, open, pb, render};
use crate::app::commands::{ListTokens, NewToken};
use crate::app::{Command, Error, Scoped};
use crate::domain::access::{Author, Role, Token};
use crate::domain::ids::TokenId;

#[tonic::async_trait]
impl AccessService for Services {
    async fn create_token(
        &self,
        request: Request<pb::CreateTokenRequest>,
    ) -> Result<Response<pb::CreateTokenResponse>, Status> {
        let (caller, message) = open(request)?;
        let (token, bearer) = self.app.create_token(&caller, &parse_create(message)?).await?;
        Ok(Response::new(pb::CreateTokenResponse {
            token: Some(rendered(&token)),
            bearer_token: bearer.unwrap_or_default(),
        }))
    }

    async fn list_tokens(
        &self,
        request: Request<pb::ListTokensRequest>,
    ) -> Result<Response<pb::ListTokensResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_list(message)?;
        let (tokens, next_page_token) = query.render(self.app.list_tokens(&caller, scoped).await?, rendered);
        Ok(Response::new(pb::ListTokensResponse { tokens, next_page_token }))
    }

    async fn revoke_token(
        &self,
        request: Request<pb::RevokeTokenRequest>,
    ) -> Result<Response<pb::RevokeTokenResponse>, Status> {
        let (caller, message) = open(request)?;
        let token = self.app.revoke_token(&caller, &parse_revoke(message)?).await?;
        Ok(Response::new(pb::RevokeTokenResponse { token: Some(rendered(&token)) }))
    }
}

fn parse_create(message: pb::CreateTokenRequest) -> Result<Command<NewToken>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::CreateTokenRequest { practice_id: _, request_id: _, validate_only: _, label, role, practitioner_id } =
        message;
    let mut fields = Fields::default();
    let label = fields.label("label", &label);
    let role = match pb::Role::try_from(role) {
        Ok(pb::Role::Operator) => Some(Role::Operator),
        Ok(pb::Role::Manager) => Some(Role::Manager),
        Ok(pb::Role::Practitioner) => Some(Role::Practitioner),
        Ok(pb::Role::FrontDesk) => Some(Role::FrontDesk),
        Ok(pb::Role::ReadOnly) => Some(Role::ReadOnly),
        Ok(pb::Role::Unspecified) | Err(_) => None,
    };
    let role = fields.some("role", role, "must be a role");
    let practitioner = fields.optional_id("practitioner_id", &practitioner_id);
    if let (Some(role), Some(practitioner)) = (role, practitioner) {
        match (role, practitioner) {
            (Role::Practitioner, None) => fields.note("practitioner_id", "must name the practitioner"),
            (Role::Operator | Role::Manager | Role::FrontDesk | Role::ReadOnly, Some(_)) => {
                fields.note("practitioner_id", "must be empty for any role but PRACTITIONER");
            }
            (Role::Practitioner, Some(_))
            | (Role::Operator | Role::Manager | Role::FrontDesk | Role::ReadOnly, None) => {}
        }
    }
    head.command(fields, || Some(NewToken { label: label?, role: role?, practitioner: practitioner? }))
}

fn parse_list(message: pb::ListTokensRequest) -> Result<(Query, Scoped<ListTokens>), Error> {
    let pb::ListTokensRequest { practice_id, page_size, page_token } = message;
    let query = Query::new("ListTokens", &[&practice_id]);
    let mut fields = Fields::default();
    let page = fields.page(&query, page_size, &page_token)?;
    Ok((query, scoped(fields, &practice_id, || page)?))
}

fn parse_revoke(message: pb::RevokeTokenRequest) -> Result<Command<TokenId>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::RevokeTokenRequest { practice_id: _, request_id: _, validate_only: _, token_id } = message;
    let mut fields = Fields::default();
    let id = fields.id("token_id", &token_id);
    head.command(fields, || id)
}

/// Who recorded something.
pub fn rendered_author(author: Author) -> pb::Author {
    let Author { token, role } = author;
    pb::Author { token_id: token.map(|id| id.to_string()).unwrap_or_default(), role: rendered_role(role).into() }
}

/// A role.
pub const fn rendered_role(role: Role) -> pb::Role {
    match role {
        Role::Operator => pb::Role::Operator,
        Role::Manager => pb::Role::Manager,
        Role::Practitioner => pb::Role::Practitioner,
        Role::FrontDesk => pb::Role::FrontDesk,
        Role::ReadOnly => pb::Role::ReadOnly,
    }
}

fn rendered(token: &Token) -> pb::Token {
    pb::Token {
        token_id: token.id.to_string(),
        label: token.label.as_str().to_owned(),
        role: rendered_role(token.role).into(),
        practitioner_id: token.practitioner.map(|id| id.to_string()).unwrap_or_default(),
        created_at: Some(render::timestamp(token.created_at)),
        revoked_at: token.revoked_at.map(render::timestamp),
    }
}
