//! A small REST interface: `POST /model`, `POST /reload` and `GET /config`.
//!
//! It needs a password, also on a page that is open otherwise. A page of another site in the browser of somebody who knows the
//! password must not use it (cross-site request forgery): a request that changes something has a header that such a page
//! can't set, and if it says where it comes from, that is this page.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;

use super::app_state::AppState;
use super::routes::{JSON, respond};
use crate::address::WebLogin;
use crate::http_server::change_refusal;
use crate::sink::json::to_json;

/// The largest model that is accepted, in bytes.
const MAX_MODEL: usize = 64 << 20;

/// Timeout for the bytes of a model.
const MODEL_TIMEOUT: Duration = Duration::from_secs(60);

/// What requests may change of a run, and ask about its options. Calls may take as long as loading a model.
pub trait Control: Send + Sync {
    /// Lets the run use a model, the bytes of an ONNX file, from the next frame on, once it has reproduced its golden examples.
    ///
    /// # Errors
    /// [`ControlError`] if it is not used. The old one stays then.
    fn install_model(&self, file: &[u8]) -> Result<InstalledModel, ControlError>;

    /// Loads the model file again, as [`Self::install_model`].
    ///
    /// # Errors
    /// [`ControlError`], also if the run has no model file.
    fn reload_model(&self) -> Result<InstalledModel, ControlError>;

    /// The options in force as a JSON object, without passwords.
    fn config(&self) -> String;
}

/// The model that the run uses after a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstalledModel {
    /// The first 8 hex digits of the SHA-256 of its file.
    pub model: String,
    /// Number of golden examples that it has reproduced.
    pub golden_examples: usize,
    /// The largest difference of a score or a box coordinate.
    pub max_difference: f32,
    /// Whether it is another one than before.
    pub changed: bool,
}

/// Why a request changed nothing: the cause and the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlError {
    /// The model can't be used.
    Refused(String),
    /// The run can't do that.
    Impossible(String),
    /// Not now.
    Busy(String),
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    error: &'a str,
}

/// What the handlers share.
struct Door {
    control: Arc<dyn Control>,
    /// A model that is checked takes memory.
    permit: Semaphore,
}

/// The routes; without a password they refuse everything. None without a run to control.
pub(super) fn routes(control: Option<Arc<dyn Control>>, login: &WebLogin) -> Router<Arc<AppState>> {
    match (control, login) {
        (None, _) => Router::new(),
        (Some(control), WebLogin::Password(_)) => {
            let door = Arc::new(Door {
                control,
                permit: Semaphore::new(1),
            });
            let changes = Router::new()
                .route("/model", post(install_model))
                .route("/reload", post(reload_model))
                .layer(from_fn(check_origin))
                .layer(DefaultBodyLimit::max(MAX_MODEL));
            changes.route("/config", get(config)).with_state(door)
        }
        (Some(_), WebLogin::Open) => Router::new()
            .route("/model", post(needs_password))
            .route("/reload", post(needs_password))
            .route("/config", get(needs_password)),
    }
}

async fn needs_password() -> Response {
    let message = "/model, /reload and /config need a password on the page: start boxcam with --web-password-file FILE";
    failure(StatusCode::FORBIDDEN, message)
}

async fn install_model(State(door): State<Arc<Door>>, request: Request) -> Response {
    // Before the bytes are read, so that only one model is in memory.
    let Ok(_permit) = door.permit.try_acquire() else {
        return busy();
    };
    let body = match timeout(MODEL_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let message = format!("the model is larger than {} MiB", MAX_MODEL >> 20);
            return failure(StatusCode::PAYLOAD_TOO_LARGE, &message);
        }
        Ok(Err(rejection)) => return failure(rejection.status(), &rejection.body_text()),
        Err(_) => {
            let message = "the model did not arrive in time; send it again";
            return failure(StatusCode::REQUEST_TIMEOUT, message);
        }
    };
    let control = Arc::clone(&door.control);
    installed(spawn_blocking(move || control.install_model(&body)).await)
}

async fn reload_model(State(door): State<Arc<Door>>) -> Response {
    let Ok(_permit) = door.permit.try_acquire() else {
        return busy();
    };
    let control = Arc::clone(&door.control);
    installed(spawn_blocking(move || control.reload_model()).await)
}

async fn config(State(door): State<Arc<Door>>) -> Response {
    respond(StatusCode::OK, JSON, door.control.config())
}

/// `Err` if the engine panicked.
fn installed(result: Result<Result<InstalledModel, ControlError>, JoinError>) -> Response {
    match result {
        Ok(Ok(installed)) => respond(StatusCode::OK, JSON, to_json(&installed)),
        Ok(Err(ControlError::Refused(message))) => {
            failure(StatusCode::UNPROCESSABLE_ENTITY, &message)
        }
        Ok(Err(ControlError::Impossible(message))) => failure(StatusCode::CONFLICT, &message),
        Ok(Err(ControlError::Busy(message))) => failure(StatusCode::SERVICE_UNAVAILABLE, &message),
        Err(_) => failure(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal error while the model was checked (this is a bug; please report it with the model)",
        ),
    }
}

fn busy() -> Response {
    let message = "another model is being checked; try again in a few seconds";
    failure(StatusCode::SERVICE_UNAVAILABLE, message)
}

fn failure(status: StatusCode, message: &str) -> Response {
    respond(status, JSON, to_json(&ErrorFields { error: message }))
}

/// Refuses changes that a page of another site may have asked for.
async fn check_origin(request: Request, next: Next) -> Response {
    match change_refusal(request.headers()) {
        None => next.run(request).await,
        Some(message) => failure(StatusCode::FORBIDDEN, message),
    }
}
