//! A model file: it is loaded, run once and compared with its golden examples.

use std::sync::Once;

use boxcam::detect::tract::TractDetector;

use crate::Bounds;

pub fn run(bytes: &[u8]) {
    // tract panics on some invalid graphs. boxcam catches that, but not before a hook that ends the process; a panic that
    // it does not catch ends this process anyway.
    static HOOK: Once = Once::new();
    HOOK.call_once(|| std::panic::set_hook(Box::new(|_| ())));
    Bounds::MODEL.check(|| {
        if let Ok(mut detector) = TractDetector::from_bytes("fuzz", bytes) {
            let _ = boxcam::golden::check(&mut detector);
        }
    });
}
