//! What operators call: inquiries begun, shown and decided.

use super::office::Office;
use super::ping::ping;
use super::{Begin, Verdict, inquire, people};
use crate::hub::Hub;
use crate::{operator, wire};
use serde::Serialize;
use serde::de::DeserializeOwned;
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
        let (office, operator, begin) = self.admit::<Begin>(request)?;
        let joined = inquire(&office, &operator, begin).await;
        json(&joined.map_err(Status::invalid_argument)?)
    }

    async fn received(&self, request: Request<wire::Json>) -> Reply {
        let (office, ..) = self.admit::<()>(request)?;
        json(&people::received(&office).await.map_err(Status::unavailable)?)
    }

    async fn cases(&self, request: Request<wire::Json>) -> Reply {
        let (office, ..) = self.admit::<()>(request)?;
        json(&people::cases(&office).await.map_err(Status::unavailable)?)
    }

    async fn decide(&self, request: Request<wire::Json>) -> Reply {
        let (office, operator, (id, verdict)) = self.admit::<(String, Verdict)>(request)?;
        let missing = people::decide(&office, &id, &operator, verdict).await;
        json(&missing.map_err(Status::failed_precondition)?)
    }

    async fn ping(&self, request: Request<wire::Json>) -> Reply {
        let (office, operator, peer) = self.admit::<String>(request)?;
        json(&ping(&office, &operator, &peer).await.map_err(Status::failed_precondition)?)
    }

    async fn left(&self, request: Request<wire::Json>) -> Reply {
        let (office, _, prefix) = self.admit(request)?;
        json(&people::left_about(&office, prefix).await.map_err(Status::unavailable)?)
    }
}

impl Service {
    /// The office, who calls, and what is wanted.
    fn admit<T: DeserializeOwned>(
        &self,
        request: Request<wire::Json>,
    ) -> Result<(Arc<Office>, String, T), Status> {
        let operator = operator::who(&request, &self.hub)?;
        let none = "this collector speaks for no domain; give it a section [exchange]";
        let office = self.office.clone().ok_or_else(|| Status::failed_precondition(none))?;
        let wanted = serde_json::from_str(&request.get_ref().json);
        let wanted = wanted.map_err(|e| Status::invalid_argument(format!("the request: {e}")))?;
        Ok((office, operator, wanted))
    }
}

fn json<T: Serialize>(what: &T) -> Reply {
    let json = serde_json::to_string(what).map_err(|e| Status::internal(e.to_string()))?;
    Ok(Response::new(wire::Json { json }))
}
