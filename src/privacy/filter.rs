//! Decides which areas of a frame are hidden.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::PublicFrame;
use crate::card::ModelCard;
use crate::class_selection::{ClassSelection, UnknownClass};
use crate::detect::{DetectionFilter, ModelFilter, Prediction, Thresholds};
use crate::frame::Frame;
use crate::geometry::NormBox;
use crate::regions::{Coverage, Target};
use crate::track::{TrackSettings, Tracker};

/// From this share of the model's threshold on, something of a hidden class is hidden: a thing too many is hidden rather than one
/// too few. If `--threshold` is lower than the model's own, it is a share of that.
pub const HIDE_SHARE: f32 = 0.5;

/// For this time, and in the next frame in any case, a box stays hidden after something was found there.
pub const HOLD: Duration = Duration::from_millis(500);

/// Hides things of some classes in the frames of a run.
#[derive(Debug, Default)]
pub struct PrivacyFilter {
    /// `None` if nothing is hidden.
    hiding: Option<Hiding>,
}

/// What the model found in a frame.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// All of it, before a filter leaves anything out.
    pub prediction: &'a Prediction,
    /// Where it looked; `None` if everywhere.
    pub coverage: Option<&'a Coverage>,
    /// Whether the frame does not continue the one before.
    pub scene_start: bool,
    /// When the frame was captured.
    pub at: Instant,
    pub time: SystemTime,
}

#[derive(Debug)]
struct Hiding {
    classes: ClassSelection,
    filter: ModelFilter,
    thresholds: Thresholds,
    /// Follows all things of hidden classes; `None` if frames do not follow each other.
    tracker: Option<Tracker>,
    /// What was found in this and earlier frames, the oldest first.
    recent: VecDeque<(Instant, Vec<NormBox>)>,
    /// Where the tracks are in the last frame.
    tracked: Vec<NormBox>,
}

impl PrivacyFilter {
    /// Hides these classes, none with `None`. `threshold` replaces that of the model. `is_tracked`: whether frames follow each
    /// other.
    ///
    /// # Errors
    /// [`UnknownClass`] if the model does not have a class, which it then could not find to hide it.
    pub fn new(
        classes: Option<ClassSelection>,
        card: &ModelCard,
        threshold: Option<f32>,
        is_tracked: bool,
    ) -> Result<Self, UnknownClass> {
        let Some(classes) = classes else {
            return Ok(Self::default());
        };
        let hiding = Hiding::new(classes, card, threshold, is_tracked)?;
        Ok(Self {
            hiding: Some(hiding),
        })
    }

    /// The filter for another model of the run. What was hidden last stays hidden for [`HOLD`].
    ///
    /// # Errors
    /// [`UnknownClass`], as [`Self::new`].
    pub fn for_model(
        &self,
        card: &ModelCard,
        threshold: Option<f32>,
    ) -> Result<Self, UnknownClass> {
        let Some(old) = &self.hiding else {
            return Ok(Self::default());
        };
        let new = Hiding::new(old.classes.clone(), card, threshold, old.tracker.is_some())?;
        Ok(Self {
            hiding: Some(Hiding {
                recent: old.recent.clone(),
                tracked: old.tracked.clone(),
                ..new
            }),
        })
    }

    /// The lowest score of an object that this looks at: weaker ones need not be computed. 1 if nothing is hidden.
    #[must_use]
    pub fn min_object_score(&self) -> f32 {
        let Some(hiding) = &self.hiding else {
            return 1.0;
        };
        let thresholds = &hiding.thresholds;
        let tracked = hiding.tracker.as_ref();
        let tracked = tracked.map(|tracker| tracker.min_object_score(thresholds));
        let least = thresholds.objects.min(thresholds.primary);
        tracked.unwrap_or(least).min(least)
    }

    /// What it follows, so that it is looked at, too.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let hiding = self.hiding.as_ref();
        let tracker = hiding.and_then(|hiding| hiding.tracker.as_ref());
        tracker.map(Tracker::targets).unwrap_or_default()
    }

    /// Takes note of what the model found in a frame.
    pub fn observe(&mut self, observed: &Observed<'_>) {
        if let Some(hiding) = &mut self.hiding {
            hiding.observe(observed);
        }
    }

    /// A frame as it may leave the program: with what is to be hidden in the frame that was observed last.
    #[must_use]
    pub fn public(&self, frame: &Arc<Frame>) -> PublicFrame {
        let Some(hiding) = &self.hiding else {
            return PublicFrame::hiding_nothing(Arc::clone(frame));
        };
        let areas: Vec<NormBox> = hiding.areas().collect();
        match areas.as_slice() {
            [] => PublicFrame::showing_all(frame),
            areas => PublicFrame::hiding(frame, areas),
        }
    }

    /// A frame that the model has not seen, as it may leave the program: with the pixels of `last`, the last one that it has
    /// seen, since nobody knows what is to be hidden in its own.
    #[must_use]
    pub fn unobserved(&self, frame: &Arc<Frame>, last: &PublicFrame) -> PublicFrame {
        match &self.hiding {
            None => PublicFrame::hiding_nothing(Arc::clone(frame)),
            Some(_) => PublicFrame::with_pixels_of(frame, last),
        }
    }
}

impl Hiding {
    fn new(
        classes: ClassSelection,
        card: &ModelCard,
        threshold: Option<f32>,
        is_tracked: bool,
    ) -> Result<Self, UnknownClass> {
        classes.check(&card.labels)?;
        let filter = DetectionFilter {
            classes: classes.clone(),
            min_area: 0.0,
        };
        let thresholds = thresholds(card, threshold);
        // A track is of use here as long as it lives.
        let settings = TrackSettings::new(thresholds.primary);
        let settings = TrackSettings {
            hide_after: settings.leave_after,
            hide_unobserved_after: settings.leave_after,
            ..settings
        };
        Ok(Self {
            filter: filter.of_model(&card.labels),
            classes,
            thresholds,
            tracker: is_tracked.then(|| Tracker::of_model(card, settings)),
            recent: VecDeque::new(),
            tracked: Vec::new(),
        })
    }

    fn observe(&mut self, observed: &Observed<'_>) {
        let mut prediction = observed.prediction.clone();
        self.filter.apply(&mut prediction);
        self.tracked.clear();
        match &mut self.tracker {
            Some(tracker) => {
                if observed.scene_start {
                    tracker.start_scene();
                    self.recent.clear();
                }
                let times = (observed.at, observed.time);
                let coverage = observed.coverage;
                let found = tracker.update_observed(&prediction, &self.thresholds, coverage, times);
                let tracks = found
                    .tracks
                    .iter()
                    .map(|track| track.detection.bounding_box);
                let targets = tracker.targets();
                let expected = targets.iter().map(|target| target.bounding_box);
                self.tracked.extend(tracks.chain(expected));
                // It may have stopped since.
                self.tracked.extend(tracker.last_seen());
            }
            None => self.recent.clear(),
        }
        // The frame before this one counts however long ago it was.
        let is_old = |at: &Instant| observed.at.saturating_duration_since(*at) > HOLD;
        while self.recent.len() > 1 && self.recent.front().is_some_and(|(at, _)| is_old(at)) {
            self.recent.pop_front();
        }
        let found = found_boxes(&prediction, &self.thresholds);
        self.recent.push_back((observed.at, found));
    }

    fn areas(&self) -> impl Iterator<Item = NormBox> {
        let recent = self.recent.iter().flat_map(|(_, boxes)| boxes);
        recent.chain(&self.tracked).copied()
    }
}

/// From which score on something is hidden. Never 0, which is the score of all other classes.
fn thresholds(card: &ModelCard, threshold: Option<f32>) -> Thresholds {
    let (own, given) = (
        Thresholds::new(card, None),
        Thresholds::new(card, threshold),
    );
    let lower = Thresholds {
        primary: own.primary.min(given.primary) * HIDE_SHARE,
        objects: own.objects.min(given.objects) * HIDE_SHARE,
        ..own
    };
    lower.at_least(f32::MIN_POSITIVE)
}

/// The boxes of all that a frame shows of the hidden classes, of which the prediction is.
fn found_boxes(prediction: &Prediction, thresholds: &Thresholds) -> Vec<NormBox> {
    let image = match prediction.has_image_heads() {
        true => prediction.detection(thresholds.primary),
        false => None,
    };
    let objects = prediction.objects(thresholds.objects).unwrap_or_default();
    let found = image.iter().chain(objects);
    found.map(|found| found.bounding_box).collect()
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::card::{ObjectDecode, ObjectSettings, test_card};
    use crate::detect::{CellOutputs, Nms};
    use crate::frame::{FrameImage, Origin};

    const OBJECTS: ObjectSettings = ObjectSettings {
        threshold: 0.4,
        nms_iou: 0.5,
        most: 10,
        decode: ObjectDecode::InGraph,
    };

    const LEFT: [f32; 4] = [0.1, 0.3, 0.4, 0.6];
    const RIGHT: [f32; 4] = [0.7, 0.9, 0.4, 0.6];

    const STEP: Duration = Duration::from_millis(100);

    fn card() -> ModelCard {
        ModelCard {
            objects: Some(OBJECTS),
            ..test_card(8)
        }
    }

    /// Frames that follow each other at intervals of [`STEP`]; bananas are hidden.
    struct Run {
        filter: PrivacyFilter,
        start: Instant,
        frames: u32,
    }

    impl Run {
        fn new(is_tracked: bool) -> Self {
            Self::with_threshold(is_tracked, None)
        }

        fn with_threshold(is_tracked: bool, threshold: Option<f32>) -> Self {
            let bananas = Some("banana".parse().expect("a list"));
            let filter = PrivacyFilter::new(bananas, &card(), threshold, is_tracked);
            Self {
                filter: filter.expect("known"),
                start: Instant::now(),
                frames: 0,
            }
        }

        /// Adds a frame with bananas and apples of these scores. Returns whether the left and the right place are hidden.
        fn show(&mut self, bananas: &[(f32, [f32; 4])], apples: &[(f32, [f32; 4])]) -> [bool; 2] {
            self.observe(bananas, apples, false);
            self.is_hidden()
        }

        fn observe(
            &mut self,
            bananas: &[(f32, [f32; 4])],
            apples: &[(f32, [f32; 4])],
            scene_start: bool,
        ) {
            let prediction = prediction(bananas, apples);
            let time = STEP * self.frames;
            self.frames += 1;
            self.filter.observe(&Observed {
                prediction: &prediction,
                coverage: None,
                scene_start,
                at: self.start + time,
                time: SystemTime::UNIX_EPOCH + time,
            });
        }

        fn is_hidden(&self) -> [bool; 2] {
            let image = RgbImage::from_fn(100, 100, |x, y| Rgb([((x + y) % 2) as u8 * 240; 3]));
            let frame = Arc::new(Frame::new(0, Origin::Live, image));
            let public = self.filter.public(&frame);
            [LEFT, RIGHT].map(|corners| {
                let place = NormBox::from_regression(corners).expect("finite");
                let pixels = place.to_pixels(100, 100);
                let mut places = pixels
                    .rows()
                    .flat_map(|y| pixels.columns().map(move |x| (x, y)));
                places.all(|(x, y)| {
                    let at = |image: &RgbImage| *image.get_pixel(x as u32, y as u32);
                    at(&public.image) != at(&frame.image)
                })
            })
        }
    }

    fn prediction(bananas: &[(f32, [f32; 4])], apples: &[(f32, [f32; 4])]) -> Prediction {
        let apples = apples.iter().map(|(score, place)| ([*score, 0.0], *place));
        let bananas = bananas.iter().map(|(score, place)| ([0.0, *score], *place));
        let cells: Vec<([f32; 2], [f32; 4])> = apples.chain(bananas).collect();
        let scores: Vec<f32> = cells.iter().flat_map(|cell| cell.0).collect();
        let boxes: Vec<f32> = cells.iter().flat_map(|cell| cell.1).collect();
        let outputs = CellOutputs {
            scores: &scores,
            boxes: &boxes,
        };
        let mut nms = Nms::new(OBJECTS, cells.len(), 2);
        Prediction::of_objects(outputs, &mut nms).expect("valid")
    }

    #[test]
    fn a_frame_that_the_model_has_not_seen_shows_the_last_one_that_it_has() {
        let plain = |sequence: u64, level: u8| {
            let image = RgbImage::from_pixel(100, 100, Rgb([level; 3]));
            Arc::new(Frame::new(sequence, Origin::Live, image))
        };
        let (seen, unseen) = (plain(1, 10), plain(2, 200));
        let levels = |filter: &PrivacyFilter| {
            let public = filter.unobserved(&unseen, &filter.public(&seen));
            assert_eq!(public.sequence, 2);
            public.image.get_pixel(0, 0).0
        };
        assert_eq!(levels(&PrivacyFilter::default()), [200; 3]);
        let mut run = Run::new(true);
        assert_eq!(levels(&run.filter), [10; 3], "before the first banana too");
        run.show(&[(0.9, RIGHT)], &[]);
        assert_eq!(levels(&run.filter), [10; 3]);
    }

    #[test]
    fn the_jpeg_of_the_camera_is_public_only_in_a_run_without_hidden_classes() {
        let frame = |sequence| {
            let image = FrameImage::from(RgbImage::new(100, 100)).with_jpeg([0xff, 0xd8].into());
            Arc::new(Frame::new(sequence, Origin::Live, image))
        };
        let has_jpeg = |filter: &PrivacyFilter| {
            let seen = filter.public(&frame(1));
            let unseen = filter.unobserved(&frame(2), &seen);
            [seen, unseen].map(|public| public.image.jpeg().is_some())
        };
        assert_eq!(has_jpeg(&PrivacyFilter::default()), [true; 2]);
        let mut run = Run::new(true);
        assert_eq!(has_jpeg(&run.filter), [false; 2], "nothing was found yet");
        run.show(&[(0.9, RIGHT)], &[]);
        assert_eq!(has_jpeg(&run.filter), [false; 2]);
    }

    #[test]
    fn what_is_below_the_threshold_of_the_model_is_hidden_too() {
        for (score, is_hidden) in [(0.9, true), (0.3, true), (0.21, true), (0.15, false)] {
            let hidden = Run::new(false).show(&[(score, LEFT)], &[(0.9, RIGHT)]);
            assert_eq!(hidden, [is_hidden, false], "{score}");
        }
        // A higher threshold of the user's hides no less, a lower one more.
        for (threshold, is_hidden) in [(0.99, false), (0.1, true)] {
            let mut run = Run::with_threshold(false, Some(threshold));
            assert!(run.show(&[(0.3, LEFT)], &[])[0]);
            assert_eq!(run.show(&[(0.1, LEFT)], &[])[0], is_hidden);
        }
    }

    #[test]
    fn the_first_frame_is_hidden_and_a_missed_one_too() {
        let mut run = Run::new(true);
        assert_eq!(run.show(&[(0.9, LEFT)], &[]), [true, false]);
        assert_eq!(run.show(&[], &[]), [true, false], "before it is a track");
        for _ in 0..5 {
            run.show(&[(0.9, LEFT)], &[]);
        }
        for missed in 0..10 {
            assert!(run.show(&[], &[])[0], "missed {missed} times");
        }
        for _ in 0..10 {
            run.show(&[], &[]);
        }
        assert_eq!(run.is_hidden(), [false, false], "its track has ended");
    }

    #[test]
    fn a_missed_thing_is_hidden_where_its_track_expects_it() {
        let at = |x: f32| [x, x + 0.2, 0.4, 0.6];
        let mut run = Run::new(true);
        for step in 0..12 {
            run.show(&[(0.9, at(0.04 * step as f32))], &[]);
        }
        // It was last seen at 0.44 and has moved on for 0.6 s.
        for _ in 0..6 {
            run.show(&[], &[]);
        }
        let targets = run.filter.targets();
        let reach = targets.iter().map(|target| target.bounding_box.x_max());
        let reach = reach.fold(0.0, f32::max);
        assert!(reach > 0.7, "{reach}");
        // It may have stopped there, but not where it began.
        let hidden: Vec<NormBox> = run.filter.hiding.iter().flat_map(Hiding::areas).collect();
        let covers = |x: f32| {
            hidden
                .iter()
                .any(|area| area.x_min() <= x && x <= area.x_max())
        };
        assert!(covers(0.5) && covers(0.6) && covers(0.7) && !covers(0.2));
    }

    #[test]
    fn pictures_that_stand_alone_and_new_scenes_hide_nothing_of_the_last() {
        let mut run = Run::new(false);
        assert_eq!(run.show(&[(0.9, LEFT)], &[]), [true, false]);
        assert_eq!(run.show(&[(0.9, RIGHT)], &[]), [false, true]);
        let mut run = Run::new(true);
        for _ in 0..5 {
            run.show(&[(0.9, LEFT)], &[]);
        }
        run.observe(&[], &[], true);
        assert_eq!(run.is_hidden(), [false, false]);
    }

    #[test]
    fn a_class_that_is_not_the_best_of_the_image_is_hidden() {
        let card = test_card(8);
        let bananas = Some("banana".parse().expect("a list"));
        let mut filter = PrivacyFilter::new(bananas, &card, None, true).expect("known");
        let image = Arc::new(Frame::new(
            0,
            Origin::Live,
            RgbImage::from_fn(9, 9, |x, _| Rgb([x as u8 * 9; 3])),
        ));
        let mut hides = |apple, banana| {
            let prediction =
                Prediction::new(vec![apple, banana], [0.0, 1.0, 0.0, 1.0]).expect("valid");
            filter.observe(&Observed {
                prediction: &prediction,
                coverage: None,
                scene_start: true,
                at: Instant::now(),
                time: SystemTime::now(),
            });
            filter.public(&image).image != image.image
        };
        assert!(!hides(0.9, 0.1) && hides(0.7, 0.3) && hides(0.1, 0.9));
    }

    #[test]
    fn a_model_without_a_hidden_class_is_refused() {
        let bananas = Some("banana".parse().expect("a list"));
        let filter = PrivacyFilter::new(bananas, &card(), None, true).expect("known");
        let other = ModelCard {
            labels: crate::label::Labels::new(vec!["cup".to_owned(), "bananas".to_owned()])
                .expect("valid"),
            ..card()
        };
        let error = filter
            .for_model(&other, None)
            .expect_err("it has no banana");
        assert_eq!(error.nearest.as_deref(), Some("bananas"));
        let nothing = PrivacyFilter::new(None, &card(), None, true).expect("nothing to hide");
        assert!(nothing.for_model(&other, None).is_ok());
        assert_eq!(
            (nothing.min_object_score(), filter.min_object_score()),
            (1.0, 0.1)
        );
    }

    #[test]
    fn what_the_old_model_found_stays_hidden_while_the_new_one_starts() {
        let mut run = Run::new(true);
        run.show(&[(0.9, LEFT)], &[]);
        run.filter = run.filter.for_model(&card(), None).expect("it has bananas");
        assert_eq!(run.show(&[], &[]), [true, false]);
    }
}
