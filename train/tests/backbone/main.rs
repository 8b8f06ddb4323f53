//! Backbones with residual blocks: reading and writing files, quantization, and int8 inference without float layers.

mod files;
mod int8_inference;
mod quantization;
mod test_models;
