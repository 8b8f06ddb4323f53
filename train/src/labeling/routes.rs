//! The requests of the labeling page, and who may send them.
//!
//! A request must name this machine, so that no other web site can make its own host name resolve to this address (DNS
//! rebinding). Requests that change something need a header that a page of another site can't set. Pictures are known by
//! their number in the list, never by a path.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use boxcam::http_server::{self, change_refusal, host_name, is_this_machine};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;

use super::picture_cache::{Thumbnails, upright};
use super::proposals::{Proposal, ProposalModel};
use super::store::{Change, PictureState, PictureSummary, Store, StoreError};
use super::training::Training;

mod training;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The largest body of a request in bytes: about ten thousand boxes.
const MAX_BODY: usize = 1 << 20;

/// Pictures that are decoded at the same time: each needs memory.
const DECODERS: usize = 2;

/// The page loads nothing from elsewhere, and no other page embeds it. Pictures that are tried are `blob:`.
const POLICY: &str = "default-src 'none'; img-src 'self' blob:; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (CONTENT_SECURITY_POLICY, POLICY),
];

const SCRIPTS: [(&str, &str); 10] = [
    ("/app.js", include_str!("page/app.js")),
    ("/board.js", include_str!("page/board.js")),
    ("/boxes.js", include_str!("page/boxes.js")),
    ("/client.js", include_str!("page/client.js")),
    ("/curves.js", include_str!("page/curves.js")),
    ("/editor.js", include_str!("page/editor.js")),
    ("/panels.js", include_str!("page/panels.js")),
    ("/strip.js", include_str!("page/strip.js")),
    ("/training.js", include_str!("page/training.js")),
    ("/trial.js", include_str!("page/trial.js")),
];

/// What the handlers share.
struct Labeling {
    store: Arc<Mutex<Store>>,
    model: Option<ProposalModel>,
    thumbnails: Thumbnails,
    decoders: Semaphore,
    training: Arc<Training>,
    trained: training::TrainedModel,
    /// The model looks at one picture after the other.
    proposing: Semaphore,
    trying: Semaphore,
    /// The id of this process: versions of another one mean nothing here.
    run: String,
}

/// The page in a thread of its own, until it is dropped.
pub struct LabelServer {
    address: SocketAddr,
    /// Dropping it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl LabelServer {
    /// Serves the page at an address; with port 0 the system chooses a port.
    ///
    /// # Errors
    /// The I/O error, for example if another program has the port.
    pub fn start(
        address: SocketAddr,
        store: Arc<Mutex<Store>>,
        model: Option<ProposalModel>,
        training: Arc<Training>,
    ) -> io::Result<Self> {
        let runtime = http_server::runtime()?;
        let (listener, address) = http_server::listen(&runtime, address)?;
        store.lock().describe_lock(&format!("http://{address}/"));
        let router = router(store, model, training);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("label".to_owned())
            .spawn(move || http_server::run(runtime, listener, router, stopped))?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The address that is served, with the actual port.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for LabelServer {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic was already reported on standard error.
            let _ = thread.join();
        }
    }
}

/// The router of the page.
pub fn router(
    store: Arc<Mutex<Store>>,
    model: Option<ProposalModel>,
    training: Arc<Training>,
) -> Router {
    let labeling = Arc::new(Labeling {
        store,
        model,
        thumbnails: Thumbnails::default(),
        decoders: Semaphore::new(DECODERS),
        training,
        trained: training::TrainedModel::default(),
        proposing: Semaphore::new(1),
        trying: Semaphore::new(1),
        run: format!("{}-{:016x}", std::process::id(), fastrand::u64(..)),
    });
    let mut router = Router::new()
        .route("/", file(HTML, include_str!("page/page.html")))
        .route("/page.css", file(CSS, include_str!("page/page.css")))
        .route(
            "/icon.svg",
            file("image/svg+xml", include_str!("page/icon.svg")),
        );
    for (path, script) in SCRIPTS {
        router = router.route(path, file(SCRIPT, script));
    }
    let changes = Router::new()
        .route("/pictures/{index}", post(change))
        .route("/classes", post(add_class))
        .route("/training", post(training::start))
        .route("/training/stop", post(training::stop))
        .route("/board", post(training::send_to_board))
        .layer(DefaultBodyLimit::max(MAX_BODY));
    let trial = Router::new()
        .route("/trial", post(training::try_picture))
        .layer(DefaultBodyLimit::max(training::MAX_PICTURE));
    let changes = changes.merge(trial).layer(from_fn(check_origin));
    router
        .route("/state", get(state))
        .route("/changes", get(changes_since))
        .route("/training", get(training::status))
        .route("/pictures/{index}", get(picture))
        .route("/pictures/{index}/file", get(picture_file))
        .route("/pictures/{index}/thumbnail", get(thumbnail))
        .route("/pictures/{index}/proposals", get(proposals))
        .merge(changes)
        .fallback(not_found)
        .with_state(labeling)
        .layer(from_fn(check_host))
        .layer(map_response(|response| {
            std::future::ready(with_headers(response))
        }))
}

fn file(content_type: &'static str, text: &'static str) -> MethodRouter<Arc<Labeling>> {
    get(move || async move { ([(CONTENT_TYPE, content_type)], text) })
}

/// What the page asks for first.
#[derive(Serialize)]
struct StateFields {
    run: String,
    version: u64,
    folder: String,
    file: String,
    classes: Vec<String>,
    has_proposals: bool,
    pictures: Vec<PictureSummary>,
}

async fn state(State(labeling): State<Arc<Labeling>>) -> Response {
    let store = labeling.store.lock();
    // `.` has no name.
    let folder = std::path::absolute(store.folder()).unwrap_or_else(|_| store.folder().into());
    let name = |path: &std::path::Path| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    };
    json(
        StatusCode::OK,
        &StateFields {
            run: labeling.run.clone(),
            version: store.version(),
            folder: name(&folder),
            file: name(store.file()),
            classes: store.classes().to_vec(),
            has_proposals: labeling.model.is_some(),
            pictures: store.summaries(None),
        },
    )
}

#[derive(Deserialize)]
struct Since {
    run: String,
    version: u64,
}

/// What has changed since a version.
#[derive(Serialize)]
struct ChangesFields {
    run: String,
    version: u64,
    classes: Vec<String>,
    pictures: Vec<PictureSummary>,
}

async fn changes_since(
    State(labeling): State<Arc<Labeling>>,
    Query(since): Query<Since>,
) -> Response {
    let store = labeling.store.lock();
    let after = (since.run == labeling.run).then_some(since.version);
    json(
        StatusCode::OK,
        &ChangesFields {
            run: labeling.run.clone(),
            version: store.version(),
            classes: store.classes().to_vec(),
            pictures: store.summaries(after),
        },
    )
}

async fn picture(State(labeling): State<Arc<Labeling>>, Path(index): Path<usize>) -> Response {
    let found = labeling.store.lock().state(index);
    answer(found)
}

async fn change(
    State(labeling): State<Arc<Labeling>>,
    Path(index): Path<usize>,
    body: Bytes,
) -> Response {
    let change: Change = match serde_json::from_slice(&body) {
        Ok(change) => change,
        Err(error) => return failure(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    };
    let store = Arc::clone(&labeling.store);
    let changed = spawn_blocking(move || store.lock().set(index, change)).await;
    changed.map_or_else(|_| panicked(), answer)
}

#[derive(Deserialize)]
struct NewClass {
    name: String,
}

#[derive(Serialize)]
struct ClassesFields {
    classes: Vec<String>,
}

async fn add_class(State(labeling): State<Arc<Labeling>>, body: Bytes) -> Response {
    let class: NewClass = match serde_json::from_slice(&body) {
        Ok(class) => class,
        Err(error) => return failure(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    };
    let store = Arc::clone(&labeling.store);
    let added = spawn_blocking(move || {
        let mut store = store.lock();
        let classes = |store: &Store| store.classes().to_vec();
        store.add_class(&class.name).map(|()| classes(&store))
    });
    match added.await {
        Ok(Ok(classes)) => json(StatusCode::OK, &ClassesFields { classes }),
        Ok(Err(error)) => refused(error),
        Err(_) => panicked(),
    }
}

async fn picture_file(State(labeling): State<Arc<Labeling>>, Path(index): Path<usize>) -> Response {
    decoded(labeling, index, |_, _, path| {
        let file = upright(path)?;
        Ok(([(CONTENT_TYPE, file.content_type)], file.bytes).into_response())
    })
    .await
}

async fn thumbnail(State(labeling): State<Arc<Labeling>>, Path(index): Path<usize>) -> Response {
    decoded(labeling, index, |labeling, index, path| {
        let bytes = labeling.thumbnails.get(index, path)?;
        Ok(([(CONTENT_TYPE, "image/jpeg")], bytes).into_response())
    })
    .await
}

/// Runs what decodes a picture in another thread, when it is its turn. A request that is given up does not run.
async fn decoded(
    labeling: Arc<Labeling>,
    index: usize,
    run: impl FnOnce(&Labeling, usize, &std::path::Path) -> Result<Response> + Send + 'static,
) -> Response {
    let path = labeling
        .store
        .lock()
        .path(index)
        .map(std::path::Path::to_owned);
    let path = match path {
        Ok(path) => path,
        Err(error) => return refused(error),
    };
    let Ok(_permit) = labeling.decoders.acquire().await else {
        return panicked();
    };
    let shared = Arc::clone(&labeling);
    match spawn_blocking(move || run(&shared, index, &path)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => failure(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
        Err(_) => panicked(),
    }
}

#[derive(Serialize)]
struct ProposalsFields {
    proposals: Vec<Proposal>,
}

async fn proposals(State(labeling): State<Arc<Labeling>>, Path(index): Path<usize>) -> Response {
    if labeling.model.is_none() {
        let proposals = Vec::new();
        return json(StatusCode::OK, &ProposalsFields { proposals });
    }
    let Ok(_permit) = labeling.proposing.acquire().await else {
        return panicked();
    };
    decoded(Arc::clone(&labeling), index, |labeling, _, path| {
        let model = labeling.model.as_ref();
        let proposals = model.map_or(Ok(Vec::new()), |model| model.propose(path))?;
        Ok(json(StatusCode::OK, &ProposalsFields { proposals }))
    })
    .await
}

async fn not_found() -> Response {
    (
        StatusCode::NOT_FOUND,
        [(CONTENT_TYPE, TEXT)],
        "Not found.\n",
    )
        .into_response()
}

fn json(status: StatusCode, fields: &impl Serialize) -> Response {
    // Numbers and texts can always be written.
    let text = serde_json::to_string(fields).unwrap_or_default();
    (status, [(CONTENT_TYPE, JSON)], text).into_response()
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    error: &'a str,
    /// The present labels, if the change was based on older ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<&'a PictureState>,
}

fn failure(status: StatusCode, message: &str) -> Response {
    let (error, current) = (message, None);
    json(status, &ErrorFields { error, current })
}

fn panicked() -> Response {
    let message = "internal error; this is a bug, please report it";
    failure(StatusCode::INTERNAL_SERVER_ERROR, message)
}

fn answer(result: Result<PictureState, StoreError>) -> Response {
    match result {
        Ok(state) => json(StatusCode::OK, &state),
        Err(error) => refused(error),
    }
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "an error that is answered is done"
)]
fn refused(error: StoreError) -> Response {
    let message = error.to_string();
    let status = match &error {
        StoreError::NoPicture { .. } => StatusCode::NOT_FOUND,
        StoreError::Picture(_) | StoreError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        StoreError::Conflict { current } => {
            let fields = ErrorFields {
                error: &message,
                current: Some(current.as_ref()),
            };
            return json(StatusCode::CONFLICT, &fields);
        }
        StoreError::ChangedFile { .. } | StoreError::Write { .. } => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    failure(status, &message)
}

fn with_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

async fn check_origin(request: Request, next: Next) -> Response {
    match change_refusal(request.headers()) {
        // Only the page of this server changes anything, and it sends this header.
        None => next.run(request).await,
        Some(message) => failure(StatusCode::FORBIDDEN, message),
    }
}

async fn check_host(request: Request, next: Next) -> Response {
    match names_this_machine(request.headers()) {
        true => next.run(request).await,
        false => {
            let message = "boxcam-train does not answer to this host name; open the page at localhost or at its IP address";
            failure(StatusCode::FORBIDDEN, message)
        }
    }
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    host.is_some_and(|host| is_this_machine(host_name(host)))
}
