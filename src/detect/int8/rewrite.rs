//! From a quantised ONNX graph to integer layers, inside tract: what is known is fused, the rest stays tract's.
//!
//! Exporters write a quantised network as one in floats, with a `QuantizeLinear` and a `DequantizeLinear` around
//! every operator (QDQ). [`framework`] is tract's ONNX reader with operators of our own for these two, so that
//! weights stay bytes instead of becoming floats while the file is read. [`FuseInt8`] is a pass over the typed graph:
//! from each quantised value it goes on through all that it knows, and puts one [`Fused`] operator in place of all
//! that it found. What is left of the two operators computes by itself, as ONNX says.

mod constant;
mod find;
mod fused;
mod heads;
mod layers;
mod pass;
mod qdq;
mod weights;

pub use fused::Fused;
pub use pass::FuseInt8;
pub use qdq::framework;
