//! Quantised inference: a network's int8 layers fused, in 8 bits and channels-last from the picture to the heads.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`arithmetic`] | what a stored number means, and how a sum becomes one |
//! | [`map`] | where the pixels of a map lie, which of them a window covers |
//! | [`layer`] | layers with their weights |
//! | [`kernels`] | the loops, once for every kind of processor |
//! | [`floats`] | the few operations behind the heads |
//! | [`graph`] | what a network computes |
//! | [`network`] | a graph ready to run, in one block of memory |
//! | [`rewrite`] | finds all this in a tract graph and puts it there as one operator |
//!
//! `docs/int8.md` has the arithmetic, the layouts, the measurements and what was tried and lost. Only [`rewrite`]
//! names tract.

pub mod aligned;
pub mod arithmetic;
pub mod floats;
pub mod graph;
pub mod kernels;
pub mod layer;
pub mod map;
pub mod network;
pub mod rewrite;
