//! The commands of the program, as they are typed: arguments, options, pictures, models and annotations, right and wrong.

#[path = "../common/mod.rs"]
mod common;

mod bad_annotations;
mod bad_models;
mod bad_pictures;
mod bench;
mod coco_model;
mod config;
#[cfg(feature = "demo")]
mod cross;
mod demo;
mod detect;
mod doctor;
mod evaluate;
mod models;
mod own_files;
mod readme;
mod run;
mod security;
