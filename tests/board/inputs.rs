//! The inputs of the emulated computers: the images that their cameras play, and the tiny model.

use std::fs;
use std::path::Path;

use boxcam::scene::random_scene;
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use serde_json::Value;

use crate::color_bars::BARS;
use crate::common;

/// Size of every image that is played.
pub(crate) const SIZE: (u32, u32) = (640, 480);

/// Number of scenes, of which the one with the greatest confidence is played.
const SCENES: u64 = 6;

const SMALL_MODEL: &str = "models/snacks-small.onnx";

/// The scene that is played, with the output of `boxcam detect` for both shipped models.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) jpeg: Vec<u8>,
    pub(crate) shipped: Value,
    pub(crate) small: Value,
}

/// Writes the inputs into the folder and returns the scene.
pub(crate) fn write(folder: &Path) -> Scene {
    fs::create_dir_all(folder).expect("made");
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("written");
    write("tiny.onnx", &common::tiny_model::bytes());
    let bars = RgbImage::from_fn(SIZE.0, SIZE.1, |x, _| Rgb(BARS[(x * 8 / SIZE.0) as usize]));
    write("MJPG", &jpeg(&bars));
    write(
        "small.jpg",
        &jpeg(&RgbImage::from_pixel(64, 48, Rgb([230, 20, 20]))),
    );
    write("YUY2", &yuy2(&bars));
    write("NV12", &nv12(&bars));
    write("GREY", &image::imageops::grayscale(&bars));
    let swapped = bars.pixels().flat_map(|Rgb([r, g, b])| [*b, *g, *r]);
    write("BGR3", &swapped.collect::<Vec<u8>>());
    let small = fs::read(root().join(SMALL_MODEL)).expect("a shipped model");
    write("snacks-small.onnx", &small);
    let scene = most_confident_scene();
    write("scene.jpg", &scene.jpeg);
    scene
}

/// The generated scene with the greatest confidence.
fn most_confident_scene() -> Scene {
    let dir = common::TestDir::new();
    for seed in 0..SCENES {
        let scene = random_scene(seed, SIZE.0, SIZE.1);
        dir.write(&format!("scenes/{seed}.jpg"), jpeg(&scene.image));
    }
    let output = dir.run(&["detect", "scenes"]);
    output.assert_exit_code(0);
    let lines = output.lines().into_iter();
    let shipped = lines.max_by(|one, other| confidence(one).total_cmp(&confidence(other)));
    let shipped = shipped.expect("there are scenes");
    let name = shipped["picture"].as_str().expect("a path").to_owned();
    let model = root().join(SMALL_MODEL);
    let model = model.to_str().expect("UTF-8");
    let output = dir.run(&["detect", &name, "--model", model]);
    output.assert_exit_code(0);
    let small = output.lines().remove(0);
    for found in [&shipped, &small] {
        assert!(confidence(found) > 0.5, "nothing was found: {found}");
    }
    Scene {
        jpeg: fs::read(dir.path(&name)).expect("a picture"),
        shipped,
        small,
    }
}

fn confidence(line: &Value) -> f64 {
    line["detection"]["confidence"].as_f64().unwrap_or(0.0)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    encoder.encode_image(picture).expect("encoded");
    bytes
}

/// Limited-range BT.601, as from cameras.
fn ycbcr(Rgb([r, g, b]): &Rgb<u8>) -> [u8; 3] {
    let [r, g, b] = [r, g, b].map(|channel| f32::from(*channel) / 255.0);
    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
    let blue = (b - luma) / 1.772;
    let red = (r - luma) / 1.402;
    [
        16.0 + 219.0 * luma,
        128.0 + 224.0 * blue,
        128.0 + 224.0 * red,
    ]
    .map(|value| value.round() as u8)
}

fn yuy2(picture: &RgbImage) -> Vec<u8> {
    let pixels: Vec<[u8; 3]> = picture.pixels().map(ycbcr).collect();
    let pairs = pixels.chunks_exact(2);
    pairs
        .flat_map(|pair| [pair[0][0], pair[0][1], pair[1][0], pair[0][2]])
        .collect()
}

fn nv12(picture: &RgbImage) -> Vec<u8> {
    let mut bytes: Vec<u8> = picture.pixels().map(|pixel| ycbcr(pixel)[0]).collect();
    for y in (0..picture.height()).step_by(2) {
        for x in (0..picture.width()).step_by(2) {
            let [_, blue, red] = ycbcr(picture.get_pixel(x, y));
            bytes.extend([blue, red]);
        }
    }
    bytes
}
