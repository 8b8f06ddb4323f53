//! Backbones with residual blocks: reading and writing files, quantization, and int8 inference without float layers.

mod files;
mod int8_inference;
mod object_head;
mod quantization;
mod ssd;
mod test_models;
