//! The way from annotated pictures to a model file, with the program itself: `fit`, `train`, `data`, `eval`, and what they
//! write.

#[path = "../common/mod.rs"]
mod common;

mod any_data;
mod chapter;
mod documents;
mod fit;
mod recipe_keys;
mod resume;
mod scenes;
mod snacks;
mod tutorial;
mod whole_way;
