//! Runs a model on the views of a frame.

use std::num::NonZeroU32;
use std::time::Duration;

use embedded_graphics::prelude::Size;
use embedded_graphics::primitives::Rectangle;
use image::RgbImage;
use thiserror::Error;

use super::merge::is_same;
use super::plan::{add_close_up, close_up_side};
use super::{
    Budget, Coverage, Cursor, FrameTiming, MAX_INFERENCES, MovedArea, Plan, Request, Sizes, Target,
    Tiling, View, ViewDetections, merge, plan, tiles,
};
use crate::detect::{DetectError, Detection, Detector, Prediction, Thresholds};
use crate::frame::Frame;
use crate::geometry::NormBox;
use crate::preprocess::{PreprocessError, preprocess};

/// Inferences for close-ups of a single picture, of what has a low score in the whole picture and in tiles.
const CLOSE_UPS: usize = 3;

/// Tiles of a picture overlap little, so that they are small: a close-up shows what they cut.
const TILE_OVERLAP: f64 = 0.1;

/// Most unsure detections of a frame that get a close-up in the next.
const MAX_UNSURE: usize = 4;

/// An unsure detection comes before targets that were looked at in this time.
const UNSURE_AFTER: Duration = Duration::from_millis(150);

/// What shares this much of the smaller box with a stronger detection, of any class, is no object of its own to look at.
const SAME_PLACE_IOS: f32 = 0.5;

/// What only a crop of a picture shows is an object from this much above the threshold on: the more crops are looked at, the
/// more there is that looks like an object.
const CROP_MARGIN: f32 = 0.05;

/// A detection with less than this share of the threshold of objects is ignored.
const LEAST_SHARE: f32 = 0.1;

/// Finds small objects with a model for larger ones. Keeps what one frame tells about the next, and a buffer for crops.
#[derive(Debug)]
pub struct RegionDetector {
    budget: Budget,
    cursor: Cursor,
    /// Whether the last prediction of a whole frame has the outputs of image heads, which need the whole frame.
    has_image_heads: bool,
    /// What the last frame showed with a low score in no close-up.
    unsure: Vec<Target>,
    crop: CropBuffer,
}

/// What was found in a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Looked {
    /// The objects of all views. The primary detection is that of the whole frame if the model has image heads.
    pub prediction: Prediction,
    /// Where was looked: one view for each inference.
    pub coverage: Coverage,
}

/// What is known of a frame before it is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Hints<'a> {
    pub timing: FrameTiming,
    pub targets: &'a [Target],
    pub moved: &'a [MovedArea],
    /// Whether the whole frame must be looked at.
    pub needs_whole: bool,
}

/// A view of a frame can't be looked at.
#[derive(Debug, Error)]
pub enum RegionsError {
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    #[error(transparent)]
    Detect(#[from] DetectError),
}

/// A view with what the network found there, in units of the view's sides.
struct Found {
    view: View,
    prediction: Prediction,
}

impl RegionDetector {
    /// With at most `rate` inferences per second of frames that follow each other.
    #[must_use]
    pub fn new(rate: NonZeroU32) -> Self {
        Self {
            budget: Budget::new(rate),
            cursor: Cursor::default(),
            has_image_heads: false,
            unsure: Vec::new(),
            crop: CropBuffer::new(),
        }
    }

    /// Looks at a picture that stands alone: at the whole, at tiles, and closely at what has a low score there. Takes at most
    /// [`MAX_INFERENCES`].
    ///
    /// # Errors
    /// [`RegionsError`] if the picture has no pixels or the network can't be run.
    pub fn look_at_picture(
        &mut self,
        picture: &Frame,
        detector: &mut dyn Detector,
        thresholds: &Thresholds,
    ) -> Result<Looked, RegionsError> {
        let sizes = Sizes::new(picture.image.dimensions(), &detector.card().input);
        detector.set_min_object_score(least_score(thresholds));
        let views = picture_views(&sizes);
        let mut found = self.look(picture, &views, detector)?;
        let smallest = views.last().map_or(sizes.frame, |view| view.pixels().size);
        let unsure = unsure(&merged(&found, thresholds), thresholds);
        let mut close_ups = Vec::new();
        for bounding_box in promising(&unsure, &sizes, smallest) {
            add_close_up(&bounding_box, &sizes, &mut close_ups);
        }
        close_ups.truncate(MAX_INFERENCES.saturating_sub(found.len()));
        found.extend(self.look(picture, &close_ups, detector)?);
        let mut objects = merged(&found, thresholds);
        let of_whole = found[0].prediction.objects(thresholds.objects);
        let of_whole = of_whole.unwrap_or_default().to_vec();
        let is_certain = |object: &Detection| {
            object.confidence >= thresholds.objects + CROP_MARGIN
                || of_whole.iter().any(|whole| is_same(whole, object))
        };
        objects.retain(is_certain);
        Ok(looked(found, objects))
    }

    /// Looks at the next frame of a source: as often as the budget allows, where [`plan`] says.
    ///
    /// # Errors
    /// [`RegionsError`] if the frame has no pixels or the network can't be run.
    pub fn look_at_frame(
        &mut self,
        frame: &Frame,
        detector: &mut dyn Detector,
        thresholds: &Thresholds,
        hints: &Hints<'_>,
    ) -> Result<Looked, RegionsError> {
        let sizes = Sizes::new(frame.image.dimensions(), &detector.card().input);
        let mut targets = std::mem::take(&mut self.unsure);
        targets.extend(hints.targets);
        let request = Request {
            sizes,
            targets: &targets,
            moved: hints.moved,
            threshold: thresholds.objects,
            inferences: self.budget.next(hints.timing),
            needs_whole: hints.needs_whole || self.has_image_heads,
        };
        detector.set_min_object_score(least_score(thresholds));
        let Plan { views } = plan(&request, &mut self.cursor);
        let found = self.look(frame, &views, detector)?;
        let objects = merged(&found, thresholds);
        self.unsure = unsure_targets(&objects, hints.targets, &views, thresholds);
        Ok(looked(found, objects))
    }

    /// Whether all of a frame was looked at closely since something moved.
    #[must_use]
    pub const fn has_looked_everywhere(&self) -> bool {
        self.cursor.has_looked_everywhere()
    }

    /// Takes note of the time that the last frame took.
    pub fn record(&mut self, inferences: usize, time: Duration) {
        self.budget.record(inferences, time);
    }

    fn look(
        &mut self,
        frame: &Frame,
        views: &[View],
        detector: &mut dyn Detector,
    ) -> Result<Vec<Found>, RegionsError> {
        let mut found = Vec::with_capacity(views.len());
        for view in views {
            let picture = match view.is_whole() {
                true => frame,
                false => self.crop.cut(frame, &view.pixels()),
            };
            let input = preprocess(picture, detector.card())?;
            let prediction = detector.predict(&input)?;
            self.has_image_heads = prediction.has_image_heads();
            found.push(Found {
                view: *view,
                prediction,
            });
        }
        Ok(found)
    }
}

/// Detections with a lower score are ignored.
fn least_score(thresholds: &Thresholds) -> f32 {
    thresholds.objects * LEAST_SHARE
}

/// The whole picture and its tiles.
fn picture_views(sizes: &Sizes) -> Vec<View> {
    let tiling = Tiling {
        min_side: 0,
        most: MAX_INFERENCES - 1 - CLOSE_UPS,
        overlap: TILE_OVERLAP,
    };
    let tiles = tiles(sizes, &tiling);
    let whole = View::whole(sizes.frame);
    let crops = tiles.into_iter().map(|tile| View::crop(tile, sizes.frame));
    std::iter::once(whole).chain(crops).collect()
}

/// The objects with a score below the threshold at whose place is no stronger one, the highest score first.
fn unsure(objects: &[Detection], thresholds: &Thresholds) -> Vec<Detection> {
    let mut places: Vec<&Detection> = Vec::new();
    for object in objects {
        if !places
            .iter()
            .any(|place| is_at(&place.bounding_box, object))
        {
            places.push(object);
        }
    }
    let unsure = places.into_iter();
    unsure
        .filter(|object| object.confidence < thresholds.objects)
        .copied()
        .collect()
}

/// The boxes of the unsure detections that a close-up enlarges beyond the `smallest` view so far, those first of which it
/// promises most: the higher the score and the smaller the object, the more a close-up adds.
fn promising(unsure: &[Detection], sizes: &Sizes, smallest: Size) -> Vec<NormBox> {
    let limit = smallest.width.max(smallest.height);
    let side = |object: &Detection| close_up_side(&object.bounding_box, sizes);
    let promise = |object: &Detection| object.confidence / side(object) as f32;
    let mut promising: Vec<&Detection> = unsure.iter().filter(|o| side(o) < limit).collect();
    promising.sort_by(|a, b| promise(b).total_cmp(&promise(a)));
    promising.iter().map(|object| object.bounding_box).collect()
}

/// The unsure detections that are followed by no tracker, and that no view shows well: a close-up would tell more.
fn unsure_targets(
    objects: &[Detection],
    followed: &[Target],
    views: &[View],
    thresholds: &Thresholds,
) -> Vec<Target> {
    let mut unsure = unsure(objects, thresholds);
    unsure.retain(|object| {
        let bounding_box = &object.bounding_box;
        let is_followed = |target: &Target| is_at(&target.bounding_box, object);
        !followed.iter().any(is_followed) && !views.iter().any(|view| view.shows_well(bounding_box))
    });
    let target = |object: &Detection| Target {
        bounding_box: object.bounding_box,
        confidence: object.confidence,
        unobserved: UNSURE_AFTER,
    };
    unsure.iter().take(MAX_UNSURE).map(target).collect()
}

fn is_at(place: &NormBox, object: &Detection) -> bool {
    place.intersection_over_smaller(&object.bounding_box) >= SAME_PLACE_IOS
}

fn merged(found: &[Found], thresholds: &Thresholds) -> Vec<Detection> {
    let least = least_score(thresholds);
    let views: Vec<ViewDetections<'_>> = found
        .iter()
        .map(|found| ViewDetections {
            view: found.view,
            detections: found.prediction.objects(least).unwrap_or_default(),
        })
        .collect();
    merge(&views, least)
}

/// Makes one prediction of all views. A model without object outputs has that of the whole frame.
fn looked(found: Vec<Found>, objects: Vec<Detection>) -> Looked {
    let views = found.iter().map(|found| found.view).collect();
    let coverage = Coverage::new(views);
    let first = found.into_iter().next().expect("a plan has a view");
    let prediction = match first.prediction.objects(0.0) {
        Some(_) => first.prediction.with_objects_of_views(objects),
        None => first.prediction,
    };
    Looked {
        prediction,
        coverage,
    }
}

/// A crop of a frame, whose memory is reused.
#[derive(Debug)]
struct CropBuffer(Frame);

impl CropBuffer {
    fn new() -> Self {
        Self(Frame::new(
            0,
            crate::frame::Origin::Live,
            RgbImage::new(0, 0),
        ))
    }

    /// Copies the pixels of a rectangle inside the frame.
    fn cut(&mut self, frame: &Frame, pixels: &Rectangle) -> &Frame {
        let Size { width, height } = pixels.size;
        let (left, top) = (pixels.top_left.x as usize, pixels.top_left.y as usize);
        let mut bytes = std::mem::take(&mut self.0.image).into_rgb().into_raw();
        bytes.clear();
        let row_bytes = frame.image.width() as usize * 3;
        let rows = frame.image.as_raw().chunks_exact(row_bytes.max(1));
        for row in rows.skip(top).take(height as usize) {
            bytes.extend_from_slice(&row[3 * left..3 * (left + width as usize)]);
        }
        let image = RgbImage::from_raw(width, height, bytes);
        let image = image.expect("the rectangle is inside the frame");
        self.0.image = image.into();
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use embedded_graphics::prelude::Point;
    use image::Rgb;

    use super::*;
    use crate::card::{ModelCard, ObjectDecode, ObjectSettings, test_card};
    use crate::detect::{CellOutputs, Nms};
    use crate::frame::Origin;
    use crate::preprocess::InputTensor;

    const THRESHOLDS: Thresholds = Thresholds {
        primary: 0.5,
        objects: 0.5,
        nms_iou: 0.6,
    };

    /// Detects the white pixels as one object if they are wide enough in the input; counts its inferences.
    struct WhitePixels {
        card: ModelCard,
        inferences: usize,
    }

    impl WhitePixels {
        const SIDE: u32 = 60;

        fn new() -> Self {
            let settings = ObjectSettings {
                threshold: 0.5,
                nms_iou: 0.6,
                most: 10,
                decode: ObjectDecode::InGraph,
            };
            let card = ModelCard {
                objects: Some(settings),
                ..test_card(Self::SIDE)
            };
            Self {
                card,
                inferences: 0,
            }
        }
    }

    impl Detector for WhitePixels {
        fn card(&self) -> &ModelCard {
            &self.card
        }

        fn model_hash(&self) -> &str {
            "white"
        }

        fn predict(&mut self, input: &InputTensor) -> Result<Prediction, DetectError> {
            self.inferences += 1;
            let side = Self::SIDE as usize;
            let white = |index: &usize| input.pixels()[3 * index] > 200;
            let white: Vec<usize> = (0..side * side).filter(white).collect();
            let span = |of: fn(usize, usize) -> usize| {
                let positions = white.iter().map(|&index| of(index, side));
                let (min, max) =
                    positions.fold((side, 0), |(min, max), at| (at.min(min), at.max(max)));
                (min as f32 / side as f32, (max + 1) as f32 / side as f32)
            };
            let (x, y) = (
                span(|index, side| index % side),
                span(|index, side| index / side),
            );
            let width = (x.1 - x.0) * side as f32;
            let score = (width / 20.0).clamp(0.0, 0.9);
            let cells = CellOutputs {
                scores: &[score, 0.0],
                boxes: &[x.0, x.1, y.0, y.1],
            };
            let settings = self.card.objects.expect("has objects");
            Prediction::of_objects(cells, &mut Nms::new(settings, 1, 2))
        }
    }

    /// A black frame with white rectangles: left, top, width, height.
    fn frame(size: (u32, u32), white: &[[u32; 4]]) -> Frame {
        let image = RgbImage::from_fn(size.0, size.1, |x, y| {
            let is_in = |[left, top, width, height]: &[u32; 4]| {
                (*left..left + width).contains(&x) && (*top..top + height).contains(&y)
            };
            Rgb([if white.iter().any(is_in) { 255 } else { 0 }; 3])
        });
        Frame::new(0, Origin::Live, image)
    }

    fn assert_found(looked: &Looked, frame: &Frame, expected: &[[u32; 4]]) {
        let found = looked.prediction.detections(&THRESHOLDS);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        let (width, height) = frame.image.dimensions();
        for [left, top, wide, high] in expected {
            let pixels = Rectangle::new(
                Point::new(*left as i32, *top as i32),
                Size::new(*wide, *high),
            );
            let is_there = |found: &Detection| {
                let found = found.bounding_box.to_pixels(width, height);
                let off = found.top_left - pixels.top_left;
                off.x.abs() <= 4 && off.y.abs() <= 4 && found.size.width.abs_diff(*wide) <= 8
            };
            assert!(found.iter().any(is_there), "{found:?} {pixels:?}");
        }
    }

    fn rate(rate: u32) -> NonZeroU32 {
        NonZeroU32::new(rate).expect("not 0")
    }

    /// Of a recording.
    fn hints(interval: Duration, targets: &[Target]) -> Hints<'_> {
        Hints {
            timing: FrameTiming::Offline(Some(interval)),
            targets,
            moved: &[],
            needs_whole: false,
        }
    }

    #[test]
    fn a_picture_shows_small_objects_in_tiles_and_close_ups() {
        // The whole picture and eight tiles; then a close-up of what is too small in a tile.
        for (white, inferences) in [([40, 60, 40, 40], 9), ([400, 220, 18, 18], 10)] {
            let picture = frame((480, 270), &[white]);
            let detector = &mut WhitePixels::new();
            let looked = RegionDetector::new(rate(60))
                .look_at_picture(&picture, detector, &THRESHOLDS)
                .expect("looked");
            assert_eq!(looked.coverage.views().len(), detector.inferences);
            assert_eq!(detector.inferences, inferences, "{white:?}");
            assert_found(&looked, &picture, &[white]);
        }
    }

    #[test]
    fn what_only_a_crop_of_a_picture_shows_needs_a_higher_score() {
        // The score is the share of a third of the view that the object is wide. A tile is 144 pixels wide, a close-up 32.
        let scores = |thresholds: Thresholds, width: u32| {
            let picture = frame((480, 270), &[[200, 60, width, 20]]);
            let looked = RegionDetector::new(rate(60))
                .look_at_picture(&picture, &mut WhitePixels::new(), &thresholds)
                .expect("looked");
            let found = looked.prediction.detections(&thresholds);
            found.iter().map(|d| d.confidence).collect::<Vec<f32>>()
        };
        let at = |objects: f32| Thresholds {
            objects,
            ..THRESHOLDS
        };
        let [score] = scores(at(0.3), 20)[..] else {
            panic!("one object");
        };
        assert_eq!(scores(at(score - CROP_MARGIN - 0.01), 20), [score]);
        assert!(scores(at(score - 0.01), 20).is_empty());
        // The whole picture shows it, too.
        let [score] = scores(at(0.3), 150)[..] else {
            panic!("one object");
        };
        assert_eq!(scores(at(score - 0.01), 150), [score]);
    }

    #[test]
    fn a_picture_takes_no_more_than_the_most_inferences() {
        // Too small to be seen in the whole picture, and with a low score in a tile each.
        let places = [20, 150, 290, 420].map(|x| [x, 60, 10, 10]);
        let picture = frame((480, 270), &places);
        let detector = &mut WhitePixels::new();
        let looked = RegionDetector::new(rate(60))
            .look_at_picture(&picture, detector, &THRESHOLDS)
            .expect("looked");
        assert_eq!(looked.coverage.views().len(), MAX_INFERENCES);
        assert_eq!(detector.inferences, MAX_INFERENCES);
    }

    #[test]
    fn a_picture_of_the_inputs_size_takes_one_inference() {
        let picture = frame((60, 40), &[[10, 10, 30, 10]]);
        let detector = &mut WhitePixels::new();
        let looked = RegionDetector::new(rate(60))
            .look_at_picture(&picture, detector, &THRESHOLDS)
            .expect("looked");
        assert_eq!(detector.inferences, 1);
        assert_found(&looked, &picture, &[[10, 10, 30, 10]]);
    }

    #[test]
    fn frames_are_looked_at_within_the_budget() {
        let picture = frame((480, 270), &[]);
        let detector = &mut WhitePixels::new();
        let mut regions = RegionDetector::new(rate(45));
        let hints = hints(Duration::from_millis(100), &[]);
        for _ in 0..20 {
            regions
                .look_at_frame(&picture, detector, &THRESHOLDS, &hints)
                .expect("looked");
        }
        assert_eq!(detector.inferences, 90);
    }

    #[test]
    fn a_target_is_found_in_its_close_up() {
        let tiny = [400, 220, 18, 18];
        let picture = frame((480, 270), &[tiny]);
        let [left, top, width, height] = tiny.map(|edge| edge as f32);
        let corners = [
            left / 480.0,
            (left + width) / 480.0,
            top / 270.0,
            (top + height) / 270.0,
        ];
        let target = Target {
            bounding_box: NormBox::from_regression(corners).expect("finite"),
            confidence: 0.6,
            unobserved: Duration::ZERO,
        };
        let mut regions = RegionDetector::new(rate(3));
        let targets = [target];
        let hints = hints(Duration::from_secs(1), &targets);
        let detector = &mut WhitePixels::new();
        let looked = regions
            .look_at_frame(&picture, detector, &THRESHOLDS, &hints)
            .expect("looked");
        assert_eq!(detector.inferences, 3);
        assert_found(&looked, &picture, &[tiny]);
    }

    #[test]
    fn a_crop_has_the_pixels_of_the_frame_and_no_others() {
        let image = RgbImage::from_fn(7, 5, |x, y| Rgb([x as u8, y as u8, 9]));
        let frame = Frame::new(0, Origin::Live, image);
        let mut buffer = CropBuffer::new();
        for (left, top, width, height) in [(2, 1, 3, 4), (0, 0, 7, 5), (6, 4, 1, 1)] {
            let pixels = Rectangle::new(Point::new(left, top), Size::new(width, height));
            let crop = &buffer.cut(&frame, &pixels).image;
            assert_eq!(crop.dimensions(), (width, height));
            for (x, y, pixel) in crop.enumerate_pixels() {
                assert_eq!(pixel.0, [x as u8 + left as u8, y as u8 + top as u8, 9]);
            }
        }
    }
}
