//! The pictures that a person should see: where the model is worst, and where it is best.
//!
//! A picture is the better, the higher the IoU with its largest true box, where the class is right; where it is wrong,
//! the worse, the surer the model is of it. Pictures without a true box are in neither row.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use boxcam::detect::Prediction;
use boxcam::evaluate::Record;
use boxcam::frame::GroundTruth;
use boxcam::label::Labels;
use boxcam::overlay::{self, Canvas};
use boxcam::picture::encode_jpeg;
use boxcam::split::AnnotatedPicture;
use embedded_graphics::pixelcolor::Rgb888;
use image::RgbImage;
use image::imageops::thumbnail;

use super::markup::escaped;

/// Pictures in each row.
const SHOWN: usize = 12;

/// Longest side of a picture in pixels.
const SIDE: u32 = 320;

const JPEG_QUALITY: u8 = 78;

/// The predicted box; the true ones are white.
const PREDICTED: Rgb888 = Rgb888::new(0xFF, 0xB0, 0x00);

/// A picture with what is known, what was said and what came of it.
pub(super) type Judged<'a> = (&'a AnnotatedPicture, &'a Prediction, &'a Record);

/// The worst pictures, the worst first, and the best, the best first; none in both.
pub(super) fn rows(judged: &[Judged<'_>], labels: &Labels) -> (String, String) {
    let mut ranked: Vec<_> = judged
        .iter()
        .filter_map(|picture| Some((quality(picture.2)?, picture)))
        .collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    let shown = SHOWN.min(ranked.len() / 2);
    let row = |pictures: &mut dyn Iterator<Item = &(f32, &Judged<'_>)>| {
        let figures = pictures.filter_map(|(_, judged)| figure(judged, labels));
        format!(
            "<div class=\"gallery\">\n{}</div>\n",
            figures.collect::<String>()
        )
    };
    let worst = row(&mut ranked.iter().take(shown));
    let best = row(&mut ranked.iter().rev().take(shown));
    (worst, best)
}

/// From -1, sure of a wrong class, to 1, the right class and the very box; none without a true box.
fn quality(record: &Record) -> Option<f32> {
    let overlap = record.largest_iou()?;
    let is_right = record.rows_right() > 0 || record.is_right();
    Some(if is_right {
        overlap
    } else {
        -record.confidence
    })
}

/// None where the picture can't be read any more.
fn figure((picture, prediction, record): &Judged<'_>, labels: &Labels) -> Option<String> {
    let (top, confidence) = prediction.top();
    let said = format!(
        "{} {:.0}%",
        labels.name(top).unwrap_or("?"),
        confidence * 100.0
    );
    let image = drawn(&picture.frame().ok()?.image, picture, prediction, &said);
    let jpeg = encode_jpeg(&image, JPEG_QUALITY).ok()?;
    let truth = picture.largest().map_or("", |row| row.class_name.as_str());
    let overlap = record.largest_iou().unwrap_or_default();
    let file = picture
        .path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    Some(format!(
        "<figure><img width=\"{}\" height=\"{}\" alt=\"{}\" src=\"data:image/jpeg;base64,{}\">\
         <figcaption><b>{}</b>, true: {}, IoU {overlap:.2}<br><small>{}</small></figcaption></figure>\n",
        image.width(),
        image.height(),
        escaped(&format!("true: {truth}, predicted: {said}")),
        BASE64_STANDARD.encode(&jpeg),
        escaped(&said),
        escaped(truth),
        escaped(&format!("{}/{file}", picture.folder)),
    ))
}

/// A small copy with the true boxes in white and the predicted one in colour.
fn drawn(
    image: &RgbImage,
    picture: &AnnotatedPicture,
    prediction: &Prediction,
    said: &str,
) -> RgbImage {
    let (width, height) = image.dimensions();
    let scale = f64::from(SIDE) / f64::from(width.max(height).max(1));
    let side = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    let mut small = thumbnail(image, side(width), side(height));
    let truth: Vec<GroundTruth> = picture
        .rows
        .iter()
        .map(|row| GroundTruth {
            label: row.class_name.clone(),
            bounding_box: row.bounding_box,
        })
        .collect();
    let mut canvas = Canvas::new(&mut small);
    let Ok(()) = overlay::draw_truth(&mut canvas, &truth);
    let Ok(()) = overlay::draw_box(&mut canvas, prediction.bounding_box(), PREDICTED, said);
    small
}

#[cfg(test)]
mod tests {
    use boxcam::annotations::Annotation;
    use boxcam::evaluate::Records;
    use boxcam::geometry::NormBox;

    use super::*;

    fn row(class_name: &str, side: f32) -> Annotation {
        Annotation {
            line: 2,
            image_id: "a".to_owned(),
            bounding_box: NormBox::new(0.0, side, 0.0, 1.0).expect("sound"),
            class_name: class_name.to_owned(),
            folder: "apple".to_owned(),
        }
    }

    #[test]
    fn a_sure_mistake_is_worse_than_a_bad_box() {
        let labels = Labels::new(vec!["apple".to_owned(), "cake".to_owned()]).expect("sound");
        let mut records = Records::new(labels);
        let says = |apple: f32| Prediction::new(vec![apple, 1.0 - apple], [0.0, 1.0, 0.0, 1.0]);
        for (apple, rows) in [
            (0.1, vec![row("apple", 1.0)]),
            (0.9, vec![row("apple", 0.1)]),
            (0.9, vec![]),
        ] {
            records.add("apple", &rows, &says(apple).expect("sound"));
        }
        let [mistake, bad_box, empty] = records.pictures() else {
            panic!("three pictures");
        };
        assert_eq!(quality(mistake), Some(-0.9));
        assert!((quality(bad_box).expect("has a row") - 0.1).abs() < 1e-6);
        assert_eq!(quality(empty), None);
    }
}
