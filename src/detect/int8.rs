//! Quantized inference: a network's int8 layers, fused and computed in 8 bits, channels last, from the image to the
//! heads.
//!
//! | module | contents |
//! | --- | --- |
//! | [`tensor`] | quantized values, memory layouts, convolution geometry |
//! | [`graph`] | the operations of a network |
//! | [`float_ops`] | the operations on floats after the heads |
//! | [`ssd_head`] | scores and boxes of the rows of an SSD |
//! | [`kernels`] | the convolution loops, one implementation per processor family |
//! | [`network`] | a graph with packed weights and a memory plan, ready to run |
//! | [`fuse`] | a tract pass that replaces quantized operators with one network operator |
//!
//! `docs/int8.md` describes the arithmetic, the layouts, the measurements and what was tried without success. Only
//! [`fuse`] uses tract. Each module imports only those above it.

pub mod float_ops;
pub mod fuse;
pub mod graph;
pub mod kernels;
pub mod network;
pub mod ssd_head;
pub mod tensor;
