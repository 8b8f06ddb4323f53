#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| boxcam_fuzz::import::run(bytes));
