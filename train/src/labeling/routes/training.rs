//! Requests about the training, the model that is tried and the board that gets it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use axum::extract::{FromRequest, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use boxcam::model_choice::ModelChoice;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Labeling, failure, json, panicked};
use crate::labeling::board::{Board, BoardAddress};
use crate::labeling::proposals::{ProposalError, ProposalModel};
use crate::labeling::training::{TrainingError, TrainingRequest, TrainingStatus};
use crate::recipe::Recipe;

/// The largest picture that is tried, in bytes.
pub(super) const MAX_PICTURE: usize = 32 << 20;

/// Timeout for the bytes of a picture.
const PICTURE_TIMEOUT: Duration = Duration::from_secs(60);

/// The recipes that the page offers.
const RECIPES: [&str; 4] = ["quick", "objects", "small", "full"];

#[derive(Serialize)]
struct StatusFields {
    #[serde(flatten)]
    status: TrainingStatus,
    /// For each image with an error, the index of its picture, if it is one of the page.
    wrong_pictures: Vec<Option<usize>>,
    recipes: Vec<RecipeFields>,
    /// What is tried: the name of the model, if there is one.
    tried_model: Option<String>,
}

#[derive(Serialize)]
struct RecipeFields {
    name: &'static str,
    description: String,
    epochs: usize,
}

pub(super) async fn status(State(labeling): State<Arc<Labeling>>) -> Response {
    answered(labeling, |labeling| Ok(labeling.training_status())).await
}

pub(super) async fn start(State(labeling): State<Arc<Labeling>>, body: Bytes) -> Response {
    let request: TrainingRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return failure(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    };
    answered(labeling, move |labeling| {
        // A change that is being written is completed first.
        let store = labeling.store.lock();
        labeling.training.start(&request)?;
        drop(store);
        Ok(labeling.training_status())
    })
    .await
}

pub(super) async fn stop(State(labeling): State<Arc<Labeling>>) -> Response {
    answered(labeling, |labeling| {
        labeling.training.stop()?;
        Ok(labeling.training_status())
    })
    .await
}

/// Runs what reads files in another thread.
async fn answered<T: Serialize + Send + 'static>(
    labeling: Arc<Labeling>,
    run: impl FnOnce(&Labeling) -> Result<T, TrainingError> + Send + 'static,
) -> Response {
    match spawn_blocking(move || run(&labeling)).await {
        Ok(Ok(fields)) => json(StatusCode::OK, &fields),
        Ok(Err(error)) => {
            let status = match error {
                TrainingError::Running { .. }
                | TrainingError::NotRunning
                | TrainingError::Closed => StatusCode::CONFLICT,
                TrainingError::Start { .. } | TrainingError::Stop { .. } => {
                    StatusCode::INTERNAL_SERVER_ERROR
                }
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            failure(status, &error.to_string())
        }
        Err(_) => panicked(),
    }
}

impl Labeling {
    fn training_status(&self) -> StatusFields {
        let status = self.training.status();
        let wrong = status.review.iter().flat_map(|review| &review.wrong);
        let store = self.store.lock();
        let ids: Vec<&str> = wrong.map(|image| image.id.as_str()).collect();
        let wrong_pictures = store.find_by_ids(&ids);
        drop(store);
        let recipes = RECIPES.into_iter().filter_map(|name| {
            let recipe = Recipe::named(name).ok()?;
            Some(RecipeFields {
                name,
                description: recipe.description,
                epochs: recipe.epochs,
            })
        });
        let own = status
            .model
            .as_ref()
            .map(|model| model.display().to_string());
        let tried_model = own.or_else(|| Some(self.model.as_ref()?.name().to_owned()));
        StatusFields {
            wrong_pictures,
            recipes: recipes.collect(),
            tried_model,
            status,
        }
    }
}

/// The finished model of the page, loaded once.
#[derive(Default)]
pub(super) struct TrainedModel(parking_lot::Mutex<Option<LoadedModel>>);

struct LoadedModel {
    file: PathBuf,
    /// When the file was written: a folder may be removed and used again.
    modified: Option<SystemTime>,
    model: Arc<ProposalModel>,
}

impl TrainedModel {
    fn get(&self, file: PathBuf) -> Result<Arc<ProposalModel>, ProposalError> {
        let mut kept = self.0.lock();
        let modified = file
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok();
        let is_same = |kept: &&LoadedModel| kept.file == file && kept.modified == modified;
        if let Some(kept) = kept.as_ref().filter(is_same) {
            return Ok(Arc::clone(&kept.model));
        }
        let model = Arc::new(ProposalModel::load(&ModelChoice::File(file.clone()), None)?);
        *kept = Some(LoadedModel {
            file,
            modified,
            model: Arc::clone(&model),
        });
        Ok(model)
    }
}

#[derive(Deserialize)]
pub(super) struct PictureName {
    /// The name of the picture for messages.
    #[serde(default)]
    name: String,
}

/// What the model finds in a picture that is sent.
pub(super) async fn try_picture(
    State(labeling): State<Arc<Labeling>>,
    Query(PictureName { name }): Query<PictureName>,
    request: Request,
) -> Response {
    // Before the bytes are read, so that one picture is in memory.
    let Ok(_permit) = labeling.trying.acquire().await else {
        return panicked();
    };
    let bytes = match timeout(PICTURE_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let message = format!("the picture is larger than {} MiB", MAX_PICTURE >> 20);
            return failure(StatusCode::PAYLOAD_TOO_LARGE, &message);
        }
        Ok(Err(rejection)) => return failure(rejection.status(), &rejection.body_text()),
        Err(_) => {
            let message = "the picture did not arrive in time; send it again";
            return failure(StatusCode::REQUEST_TIMEOUT, message);
        }
    };
    let name = match name.is_empty() {
        true => PathBuf::from("from the page"),
        false => PathBuf::from(name),
    };
    let shared = Arc::clone(&labeling);
    let find = move |model: &ProposalModel| model.find(Path::new(&name), &bytes);
    let found = spawn_blocking(move || match (shared.training.model(), &shared.model) {
        (Some(file), _) => Some(shared.trained.get(file).and_then(|model| find(&model))),
        (None, Some(model)) => Some(find(model)),
        (None, None) => None,
    });
    match found.await {
        Ok(Some(Ok(found))) => json(StatusCode::OK, &found),
        Ok(Some(Err(error))) => failure(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
        Ok(None) => {
            let message = "there is no model yet: train one, or start the page with --model";
            failure(StatusCode::CONFLICT, message)
        }
        Err(_) => panicked(),
    }
}

/// The password is in no message, and this has no `Debug`.
#[derive(Deserialize)]
struct BoardRequest {
    address: String,
    password: String,
    /// Back to the model of the board's own file, instead of sending one.
    #[serde(default)]
    go_back: bool,
}

pub(super) async fn send_to_board(State(labeling): State<Arc<Labeling>>, body: Bytes) -> Response {
    // The message of a JSON error may quote the body.
    let Ok(request) = serde_json::from_slice::<BoardRequest>(&body) else {
        let message = "expected an object with the texts address and password";
        return failure(StatusCode::UNPROCESSABLE_ENTITY, message);
    };
    let sent = spawn_blocking(move || -> Result<serde_json::Value, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let address = BoardAddress::parse(&request.address).map_err(|error| text(&error))?;
        let board = Board::new(address, &request.password);
        if request.go_back {
            return board.go_back().map_err(|error| text(&error));
        }
        let model = labeling.training.model();
        let model = model.ok_or("there is no finished model yet; train one first")?;
        let bytes = std::fs::read(&model)
            .map_err(|error| format!("{}: cannot be read ({error})", model.display()))?;
        board.install(&bytes).map_err(|error| text(&error))
    });
    match sent.await {
        Ok(Ok(answer)) => json(StatusCode::OK, &answer),
        Ok(Err(message)) => failure(StatusCode::BAD_GATEWAY, &message),
        Err(_) => panicked(),
    }
}
