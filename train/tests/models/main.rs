//! Model files: reading those of others, writing, quantization, and int8 inference.

#[path = "../common/mod.rs"]
mod common;

mod backbone;
mod extractor;
mod model_import;
