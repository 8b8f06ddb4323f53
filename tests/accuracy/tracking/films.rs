//! Made-up films: objects that move, cross and leave, and what a detector makes of them.

use boxcam::card::{ObjectDecode, ObjectSettings};
use boxcam::detect::{CellOutputs, Detection, Nms, Prediction};
use boxcam::evaluate::TrackBox;
use boxcam::geometry::NormBox;
use boxcam::label::ClassId;
use fastrand::Rng;

pub(crate) const CLASSES: usize = 4;

/// Length of a film in seconds.
const SECONDS: f32 = 20.0;

/// Objects of which less is in the picture, or less is not behind another, have no true box.
const MIN_VISIBLE: f32 = 0.3;

pub(crate) const SETTINGS: ObjectSettings = ObjectSettings {
    threshold: 0.4,
    nms_iou: 0.5,
    most: 100,
    decode: ObjectDecode::InGraph,
};

pub(crate) struct Film {
    /// Frames per second.
    pub(crate) rate: u32,
    pub(crate) frames: Vec<FilmFrame>,
}

pub(crate) struct FilmFrame {
    pub(crate) truth: Vec<TrackBox>,
    pub(crate) prediction: Prediction,
}

/// An object on its way.
struct Object {
    class: usize,
    size: [f32; 2],
    /// Where it is at the time 0, and its speed in picture sides per second.
    start: [f32; 2],
    speed: [f32; 2],
    /// How far and how often per second it swings to the side.
    swing: (f32, f32),
    /// It stands still in every other of these periods, in seconds.
    stops: Option<f32>,
    /// When it is there, in seconds.
    there: (f32, f32),
    detector: ObjectNoise,
}

/// The noise of the detections of one object, correlated in time.
struct ObjectNoise {
    quality: f32,
    score: Drift,
    corners: [Drift; 4],
    missed: Burst,
    confused: Burst,
}

/// Noise that fades: an autoregressive process.
struct Drift {
    value: f32,
    deviation: f32,
    /// In seconds.
    time_constant: f32,
}

/// Something that happens now and then, for a while.
struct Burst {
    per_second: f32,
    /// The longest and the shortest, in seconds.
    length: (f32, f32),
    /// Seconds that are left of the current one.
    left: f32,
    kind: u32,
}

/// A detection of nothing.
struct Ghost {
    detection: Detection,
    left: f32,
}

/// A film of `count` objects at `rate` frames per second.
pub(crate) fn film(seed: u64, count: usize, rate: u32) -> Film {
    let random = &mut Rng::with_seed(seed * 1000 + count as u64);
    let mut objects: Vec<_> = (0..count).map(|_| Object::new(random)).collect();
    let mut ghosts = Ghosts::default();
    let step = 1.0 / rate as f32;
    let frame_count = (SECONDS * rate as f32) as usize;
    let frames = (0..frame_count)
        .map(|index| frame(index as f32 * step, step, &mut objects, &mut ghosts, random));
    Film {
        rate,
        frames: frames.collect(),
    }
}

fn frame(
    at: f32,
    step: f32,
    objects: &mut [Object],
    ghosts: &mut Ghosts,
    random: &mut Rng,
) -> FilmFrame {
    let boxes: Vec<_> = objects.iter().map(|object| object.box_at(at)).collect();
    let mut truth = Vec::new();
    let mut detections = ghosts.detections(step, random);
    for (index, object) in objects.iter_mut().enumerate() {
        object.detector.pass(step, random);
        let Some((bounding_box, inside)) = boxes[index] else {
            continue;
        };
        // The first object is nearest.
        let nearer = boxes[..index].iter().flatten();
        let covered =
            nearer.map(|(near, _)| near.intersection_area(&bounding_box) / bounding_box.area());
        let visible = inside.min(1.0 - covered.fold(0.0, f32::max));
        if visible < MIN_VISIBLE {
            continue;
        }
        truth.push(TrackBox {
            track: index as u64 + 1,
            class: ClassId::new(object.class),
            bounding_box,
        });
        object.detect(&bounding_box, visible, &mut detections, random);
    }
    FilmFrame {
        truth,
        prediction: prediction(&detections),
    }
}

/// The prediction of a model with object outputs alone, whose cells are these detections.
fn prediction(detections: &[Detection]) -> Prediction {
    let mut scores = vec![0.0; detections.len() * CLASSES];
    let mut boxes = Vec::new();
    for (row, found) in scores.chunks_exact_mut(CLASSES).zip(detections) {
        row[found.class.index()] = found.confidence;
        boxes.extend(found.bounding_box.corners());
    }
    let nms = &mut Nms::new(SETTINGS, detections.len(), CLASSES);
    let cells = CellOutputs {
        scores: &scores,
        boxes: &boxes,
    };
    Prediction::of_objects(cells, nms).expect("valid outputs")
}

impl Object {
    fn new(random: &mut Rng) -> Self {
        // One of eight is small and fast.
        let is_fast = random.u8(0..8) == 0;
        let widths = if is_fast { (0.04, 0.1) } else { (0.06, 0.28) };
        let width = between(random, widths.0, widths.1);
        let size = [width, width * between(random, 0.7, 1.6)];
        let begin = if random.f32() < 0.4 {
            0.0
        } else {
            between(random, 0.0, 0.5 * SECONDS)
        };
        let place = [between(random, 0.1, 0.9), between(random, 0.1, 0.9)];
        let heading = if is_fast {
            1.0
        } else {
            [0.0, 0.0, 1.0, 1.0, 1.0][random.usize(0..5)]
        };
        // In pictures per second; when it is in the picture it passes through `place`.
        let speeds = if is_fast { (0.4, 1.0) } else { (0.04, 0.4) };
        let speed = heading * between(random, speeds.0, speeds.1);
        let angle = between(random, 0.0, std::f32::consts::TAU);
        let speed = [speed * angle.cos(), speed * angle.sin()];
        let passes = begin + between(random, 1.0, 4.0);
        let start = [place[0] - speed[0] * passes, place[1] - speed[1] * passes];
        let is_taken = random.f32() < 0.5;
        Self {
            class: random.usize(0..CLASSES),
            size,
            start,
            speed,
            swing: (
                between(random, 0.0, 0.08) * heading,
                between(random, 0.1, 0.6),
            ),
            stops: (random.f32() < 0.3).then(|| between(random, 1.0, 3.0)),
            there: (
                begin,
                if is_taken {
                    begin + between(random, 3.0, 12.0)
                } else {
                    SECONDS
                },
            ),
            detector: ObjectNoise::new(random),
        }
    }

    /// Its box in the picture, and how much of it is inside.
    fn box_at(&self, at: f32) -> Option<(NormBox, f32)> {
        if !(self.there.0..self.there.1).contains(&at) {
            return None;
        }
        let moved = self.stops.map_or(at, |period| {
            let periods = (at / period).floor();
            let stood = (periods / 2.0).floor() * period;
            let stands = periods as u32 % 2 == 1;
            if stands {
                (periods * period) - stood
            } else {
                at - stood
            }
        });
        let swing = self.swing.0 * (self.swing.1 * moved * std::f32::consts::TAU).sin();
        let [width, height] = self.size;
        let x = self.start[0] + self.speed[0] * moved + swing;
        let y = self.start[1] + self.speed[1] * moved - swing;
        let corners = [
            x - width / 2.0,
            x + width / 2.0,
            y - height / 2.0,
            y + height / 2.0,
        ];
        let visible = NormBox::from_regression(corners)?;
        let inside = visible.area() / (width * height);
        (inside >= MIN_VISIBLE).then_some((visible, inside))
    }

    fn detect(
        &self,
        bounding_box: &NormBox,
        visible: f32,
        detections: &mut Vec<Detection>,
        random: &mut Rng,
    ) {
        let noise = &self.detector;
        let mut score =
            noise.quality + noise.score.value + 0.05 * normal(random) - 0.4 * (1.0 - visible);
        if noise.missed.left > 0.0 {
            match noise.missed.kind % 2 {
                0 => return,
                _ => score = score.min(between(random, 0.15, 0.39)),
            }
        }
        let [x_min, x_max, y_min, y_max] = bounding_box.corners();
        let sides = [x_max - x_min, x_max - x_min, y_max - y_min, y_max - y_min];
        let mut corners = bounding_box.corners();
        for (index, corner) in corners.iter_mut().enumerate() {
            *corner += sides[index] * (noise.corners[index].value + 0.02 * normal(random));
        }
        let Some(seen) = NormBox::from_regression(corners).filter(|seen| seen.area() > 0.0) else {
            return;
        };
        let detection = |class: usize, score: f32| Detection {
            class: ClassId::new(class % CLASSES),
            confidence: score.clamp(0.01, 0.99),
            bounding_box: seen,
        };
        if noise.confused.left > 0.0 {
            let other = self.class + 1 + noise.confused.kind as usize % (CLASSES - 1);
            detections.push(detection(other, score));
            score *= between(random, 0.3, 0.9);
        } else if random.f32() < 0.05 {
            detections.push(detection(self.class + 1, score * between(random, 0.4, 0.9)));
        }
        detections.push(detection(self.class, score));
    }
}

impl ObjectNoise {
    fn new(random: &mut Rng) -> Self {
        let corner = || Drift {
            value: 0.0,
            deviation: 0.035,
            time_constant: 0.2,
        };
        Self {
            quality: between(random, 0.6, 0.85),
            score: Drift {
                value: 0.0,
                deviation: 0.08,
                time_constant: 0.4,
            },
            corners: [(); 4].map(|()| corner()),
            missed: Burst {
                per_second: 0.35,
                length: (0.04, 0.6),
                left: 0.0,
                kind: 0,
            },
            confused: Burst {
                per_second: 0.1,
                length: (0.03, 0.25),
                left: 0.0,
                kind: 0,
            },
        }
    }

    fn pass(&mut self, step: f32, random: &mut Rng) {
        self.score.pass(step, random);
        for corner in &mut self.corners {
            corner.pass(step, random);
        }
        self.missed.pass(step, random);
        self.confused.pass(step, random);
    }
}

impl Drift {
    fn pass(&mut self, step: f32, random: &mut Rng) {
        let kept = (-step / self.time_constant).exp();
        self.value =
            self.value * kept + self.deviation * (1.0 - kept * kept).sqrt() * normal(random);
    }
}

impl Burst {
    fn pass(&mut self, step: f32, random: &mut Rng) {
        self.left -= step;
        if self.left <= 0.0 && random.f32() < self.per_second * step {
            self.left = between(random, self.length.0, self.length.1);
            self.kind = random.u32(..);
        }
    }
}

#[derive(Default)]
struct Ghosts(Vec<Ghost>);

impl Ghosts {
    fn detections(&mut self, step: f32, random: &mut Rng) -> Vec<Detection> {
        for ghost in &mut self.0 {
            ghost.left -= step;
        }
        self.0.retain(|ghost| ghost.left > 0.0);
        // Per second 0.5 strong ones and 2 weak ones.
        for (per_second, scores, longest) in [(0.5, (0.4, 0.7), 0.12), (2.0, (0.1, 0.4), 0.3)] {
            if random.f32() < per_second * step {
                let (x, y) = (between(random, 0.0, 0.9), between(random, 0.0, 0.9));
                let (width, height) = (between(random, 0.05, 0.3), between(random, 0.05, 0.3));
                let corners = [x, x + width, y, y + height];
                self.0.push(Ghost {
                    detection: Detection {
                        class: ClassId::new(random.usize(0..CLASSES)),
                        confidence: between(random, scores.0, scores.1),
                        bounding_box: NormBox::from_regression(corners).expect("finite"),
                    },
                    left: between(random, 0.0, longest),
                });
            }
        }
        self.0.iter().map(|ghost| ghost.detection).collect()
    }
}

fn between(random: &mut Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * random.f32()
}

/// A normally distributed number, nearly: the sum of twelve uniform ones.
fn normal(random: &mut Rng) -> f32 {
    (0..12).map(|_| random.f32()).sum::<f32>() - 6.0
}
