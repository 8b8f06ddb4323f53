//! The command, and its model in boxcam.
