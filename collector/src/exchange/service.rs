//! What operators call: inquiries begun, shown and decided.

use super::config::Right;
use super::office::{Office, now_ms};
use super::ping::ping;
use super::{Begin, Verdict, inquire, people};
use crate::hub::Hub;
use crate::{operator, wire};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service's state.
#[derive(Debug, Clone)]
pub struct Service {
    /// The domain's office, where the collector speaks for one.
    pub office: Option<Arc<Office>>,
    /// Who counts refused calls.
    pub hub: Arc<Hub>,
}

type Reply = Result<Response<wire::Json>, Status>;

#[tonic::async_trait]
impl wire::exchange_server::Exchange for Service {
    async fn inquire(&self, request: Request<wire::Json>) -> Reply {
        let (office, operator, begin) = self.admit::<Begin>(request, Right::Begin).await?;
        let joined = inquire(&office, &operator, begin).await;
        reply(&joined.map_err(Status::invalid_argument)?)
    }

    async fn received(&self, request: Request<wire::Json>) -> Reply {
        let (office, ..) = self.admit::<()>(request, Right::Read).await?;
        reply(&people::received(&office).await.map_err(Status::unavailable)?)
    }

    async fn cases(&self, request: Request<wire::Json>) -> Reply {
        let (office, ..) = self.admit::<()>(request, Right::Read).await?;
        reply(&people::cases(&office).await.map_err(Status::unavailable)?)
    }

    async fn decide(&self, request: Request<wire::Json>) -> Reply {
        let (office, operator, (id, verdict)) =
            self.admit::<(String, Verdict)>(request, Right::Decide).await?;
        let missing = people::decide(&office, &id, &operator, verdict).await;
        reply(&missing.map_err(Status::failed_precondition)?)
    }

    async fn ping(&self, request: Request<wire::Json>) -> Reply {
        let (office, operator, peer) = self.admit::<String>(request, Right::Begin).await?;
        reply(&ping(&office, &operator, &peer).await.map_err(Status::failed_precondition)?)
    }

    async fn left(&self, request: Request<wire::Json>) -> Reply {
        let (office, _, prefix) = self.admit(request, Right::Read).await?;
        reply(&people::left_about(&office, prefix).await.map_err(Status::unavailable)?)
    }
}

impl Service {
    /// The office, who calls, and what is wanted, where they have the right to it.
    async fn admit<T: DeserializeOwned>(
        &self,
        request: Request<wire::Json>,
        right: Right,
    ) -> Result<(Arc<Office>, String, T), Status> {
        let operator = operator::who(&request, &self.hub)?;
        let none = "this collector speaks for no domain; give it a section [exchange]";
        let office = self.office.clone().ok_or_else(|| Status::failed_precondition(none))?;
        let rights = office.domain.config.operators.get(&operator);
        if !rights.is_some_and(|rights| rights.contains(&right)) {
            self.hub.refuse("right");
            let line =
                json!({ "operator": operator, "right": right, "until": office.until(now_ms()) });
            let noted = office.book.note("not-allowed", line).await;
            noted.map_err(|e| Status::unavailable(e.to_string()))?;
            return Err(Status::permission_denied(format!(
                "{operator} has no right to {}; [exchange.operators] of the collector's configuration gives it",
                right.word()
            )));
        }
        let wanted = serde_json::from_str(&request.get_ref().json);
        let wanted = wanted.map_err(|e| Status::invalid_argument(format!("the request: {e}")))?;
        Ok((office, operator, wanted))
    }
}

fn reply<T: Serialize>(what: &T) -> Reply {
    let json = serde_json::to_string(what).map_err(|e| Status::internal(e.to_string()))?;
    Ok(Response::new(wire::Json { json }))
}
