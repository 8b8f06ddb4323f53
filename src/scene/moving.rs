//! The demo's film: in each scene one to four snacks, cut out of photographs, cross a photograph and each other's ways. They
//! come in from the left and from the right and leave on the other side. Then only the photograph is shown for a moment, and
//! the next scene starts with others. All 20 snacks appear before one repeats. Frames can be requested in any order.

use image::RgbImage;
use image::imageops::flip_horizontal_in_place;

use super::cutouts::{PHOTOGRAPH_COUNT, VARIANTS, cutout, photograph};
use super::emoji::SNACKS;
use super::path::Path;
use super::rng::Rng;
use super::sprite::Sprite;
use super::texture::Texture;
use super::{MIN_SIDE, Scene, Stream, ground_truth, scene_seed};

/// A sequence of scenes.
#[derive(Debug)]
pub struct MovingScene {
    seed: u64,
    width: u32,
    height: u32,
    /// The photograph that was decoded last, with the number of its scene: frames are mostly requested in order.
    backdrop: Option<(u64, RgbImage)>,
}

/// Things in a scene, at most; each scene of a cycle has another number of them.
const MAX_THINGS: usize = 4;

/// Things in a cycle of [`MAX_THINGS`] scenes: 1 + 2 + 3 + 4.
const CYCLE_THINGS: u64 = (MAX_THINGS * (MAX_THINGS + 1) / 2) as u64;

/// A thing has a true box while at least this share of its pixels is in the picture and behind no other.
const MIN_VISIBLE_SHARE: f32 = 0.3;

impl MovingScene {
    /// Frames of a scene.
    pub const SCENE_FRAMES: u64 = 150;
    /// Frames at the end of a scene without a snack.
    pub const EMPTY_FRAMES: u64 = 6;

    /// Frames of `width` x `height` pixels, at least [`MIN_SIDE`] each way.
    #[must_use]
    pub fn new(seed: u64, width: u32, height: u32) -> Self {
        Self {
            seed,
            width: width.max(MIN_SIDE),
            height: height.max(MIN_SIDE),
            backdrop: None,
        }
    }

    /// The number of the scene of a frame.
    #[must_use]
    pub const fn scene_of(number: u64) -> u64 {
        number / Self::SCENE_FRAMES
    }

    /// The number of snacks that cross the picture in a scene, 1 to 4.
    #[must_use]
    pub fn snacks_in(&self, scene: u64) -> usize {
        counts_of_cycle(self.seed, scene / MAX_THINGS as u64)[scene as usize % MAX_THINGS]
    }

    /// The frame with this number, from 0. The snacks in front are the first of its ground truth.
    ///
    /// A true box is that of the whole snack, as far as it is in the picture, also where another one covers it.
    pub fn frame(&mut self, number: u64) -> Scene {
        let (scene, moment) = (Self::scene_of(number), number % Self::SCENE_FRAMES);
        let mut image = self.backdrop(scene).clone();
        let mut layers = Layers::default();
        let crossing = Self::SCENE_FRAMES - Self::EMPTY_FRAMES;
        if moment < crossing {
            let moment = moment as f32 / (crossing - 1) as f32;
            for thing in things(self.seed, scene, self.snacks_in(scene)) {
                if let Some((sprite, position)) =
                    thing.path.sprite_at(moment, thing.texture, &image)
                {
                    sprite.draw(&mut image, position.0, position.1);
                    layers.add(Layer {
                        snack: thing.snack,
                        sprite,
                        position,
                    });
                }
            }
        }
        let truth = layers.visible(&image);
        let truth = truth.map(|l| ground_truth(l.snack, l.sprite.visible(), l.position, &image));
        let truth = truth.collect();
        Scene { image, truth }
    }

    fn backdrop(&mut self, scene: u64) -> &RgbImage {
        let fresh = self
            .backdrop
            .take()
            .filter(|(of_scene, _)| *of_scene == scene);
        let (_, image) = self.backdrop.insert(fresh.unwrap_or_else(|| {
            (
                scene,
                backdrop_of(self.seed, scene, self.width, self.height),
            )
        }));
        image
    }
}

/// The photograph of a scene. All are shown before one repeats.
fn backdrop_of(seed: u64, scene: u64, width: u32, height: u32) -> RgbImage {
    const COUNT: u64 = PHOTOGRAPH_COUNT as u64;
    let (round, turn) = (scene / COUNT, (scene % COUNT) as usize);
    let mut order: [usize; PHOTOGRAPH_COUNT] = std::array::from_fn(|index| index);
    shuffle(&mut order, &mut Stream::Stage.rng(scene_seed(seed, round)));
    let mut image = photograph(order[turn], width, height);
    if round % 2 == 1 {
        flip_horizontal_in_place(&mut image);
    }
    image
}

/// A snack with its path through the picture.
struct Thing {
    snack: usize,
    texture: &'static Texture,
    path: Path,
}

/// The things of a scene, the ones behind first: those that are smaller.
fn things(seed: u64, scene: u64, count: usize) -> Vec<Thing> {
    let cycle = scene / MAX_THINGS as u64;
    let earlier = &counts_of_cycle(seed, cycle)[..scene as usize % MAX_THINGS];
    let first = cycle * CYCLE_THINGS + earlier.iter().sum::<usize>() as u64;
    let mut rng = Stream::Path.rng(scene_seed(seed, scene));
    let paths = Path::crossing(&mut rng, count);
    let snacks = (first..).map(|turn| snack_of_turn(seed, turn));
    let thing = |(snack, path)| Thing {
        snack,
        texture: cutout(snack, rng.below(VARIANTS as u32) as usize),
        path,
    };
    let mut things: Vec<Thing> = snacks.zip(paths).map(thing).collect();
    things.sort_by(|a, b| a.path.size().total_cmp(&b.path.size()));
    things
}

/// The numbers of things of the scenes of a cycle.
fn counts_of_cycle(seed: u64, cycle: u64) -> [usize; MAX_THINGS] {
    let mut rng = Stream::Counts.rng(scene_seed(seed, cycle));
    let mut counts = std::array::from_fn(|index| index + 1);
    shuffle(&mut counts, &mut rng);
    counts
}

/// The snack whose turn it is: all appear before one repeats.
fn snack_of_turn(seed: u64, turn: u64) -> usize {
    let count = SNACKS.len() as u64;
    shuffled_snacks(seed, turn / count)[(turn % count) as usize]
}

/// A cycle's things are the first or the second half of these, so that no scene has the same snack twice.
fn shuffled_snacks(seed: u64, round: u64) -> [usize; SNACKS.len()] {
    const { assert!((SNACKS.len() as u64).is_multiple_of(CYCLE_THINGS)) };
    let mut rng = Stream::Order.rng(scene_seed(seed, round));
    let mut order = std::array::from_fn(|index| index);
    shuffle(&mut order, &mut rng);
    order
}

fn shuffle(values: &mut [usize], rng: &mut Rng) {
    for last in (1..values.len()).rev() {
        values.swap(last, rng.below(last as u32 + 1) as usize);
    }
}

/// A snack that was drawn.
struct Layer {
    snack: usize,
    sprite: Sprite,
    position: (i32, i32),
}

/// What was drawn, the ones behind first.
#[derive(Default)]
struct Layers(Vec<Layer>);

impl Layers {
    fn add(&mut self, layer: Layer) {
        self.0.push(layer);
    }

    /// The layers of which enough is visible, the ones in front first.
    fn visible(&self, image: &RgbImage) -> impl Iterator<Item = &Layer> {
        let (width, height) = (image.width() as i32, image.height() as i32);
        let layers = self.0.iter().enumerate().rev();
        let visible = layers.filter(move |(index, layer)| {
            let mut seen = 0_u32;
            let mut all = 0_u32;
            for (x, y) in layer.covered() {
                all += 1;
                let inside = (0..width).contains(&x) && (0..height).contains(&y);
                let in_front = &self.0[index + 1..];
                seen += u32::from(inside && !in_front.iter().any(|other| other.covers(x, y)));
            }
            seen as f32 >= MIN_VISIBLE_SHARE * all as f32 && seen > 0
        });
        visible.map(|(_, layer)| layer)
    }
}

impl Layer {
    /// The pixels of the picture that it covers.
    fn covered(&self) -> impl Iterator<Item = (i32, i32)> {
        let (left, top) = self.position;
        self.sprite.covered().map(move |(x, y)| (x + left, y + top))
    }

    fn covers(&self, x: i32, y: i32) -> bool {
        self.sprite.covers(x - self.position.0, y - self.position.1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::frame::GroundTruth;
    use crate::geometry::iou;

    #[test]
    fn all_snacks_appear_before_one_repeats() {
        for seed in 0..30 {
            let snacks: Vec<usize> = (0..100).map(|turn| snack_of_turn(seed, turn)).collect();
            for round in snacks.chunks(20) {
                assert_eq!(round.iter().collect::<BTreeSet<_>>().len(), 20);
            }
            assert_ne!(snacks[..20], snacks[20..40]);
        }
    }

    #[test]
    fn scenes_have_one_to_four_different_snacks_that_follow_each_other() {
        for seed in 0..10 {
            let film = MovingScene::new(seed, 96, 72);
            let counts: Vec<usize> = (0..8).map(|scene| film.snacks_in(scene)).collect();
            for cycle in counts.chunks(4) {
                assert_eq!(cycle.iter().sum::<usize>(), 10);
                assert_eq!(cycle.iter().collect::<BTreeSet<_>>().len(), 4);
            }
            let mut turns = Vec::new();
            for (scene, &count) in (0..).zip(&counts) {
                let mut snacks: Vec<usize> =
                    things(seed, scene, count).iter().map(|t| t.snack).collect();
                snacks.sort_unstable();
                assert_eq!(snacks.len(), count);
                turns.extend(snacks);
            }
            turns.sort_unstable();
            assert_eq!(turns, (0..20).collect::<Vec<_>>(), "seed {seed}");
        }
    }

    #[test]
    fn a_scene_begins_and_ends_with_an_empty_picture() {
        let mut film = MovingScene::new(4, 96, 72);
        for scene in 0..4 {
            let first = scene * MovingScene::SCENE_FRAMES;
            let end = first + MovingScene::SCENE_FRAMES;
            assert_eq!(film.frame(first).truth, []);
            for number in end - MovingScene::EMPTY_FRAMES..end {
                assert_eq!(film.frame(number).truth, [], "{number}");
            }
            let most = (first..end).map(|number| film.frame(number).truth.len());
            assert_eq!(most.max(), Some(film.snacks_in(scene)), "scene {scene}");
        }
    }

    /// The true box of each snack in each frame of a scene.
    fn boxes(film: &mut MovingScene, scene: u64) -> Vec<Vec<GroundTruth>> {
        let first = scene * MovingScene::SCENE_FRAMES;
        let frames = first..first + MovingScene::SCENE_FRAMES;
        frames.map(|number| film.frame(number).truth).collect()
    }

    #[test]
    fn snacks_move_smoothly_and_cross_each_other() {
        let mut film = MovingScene::new(9, 160, 120);
        let mut overlapping = 0;
        for scene in 0..4 {
            let frames = boxes(&mut film, scene);
            for pair in frames.windows(2) {
                for before in &pair[0] {
                    let same = |truth: &&GroundTruth| truth.label == before.label;
                    if let Some(after) = pair[1].iter().find(same) {
                        let overlap = iou(&before.bounding_box, &after.bounding_box);
                        assert!(overlap > 0.5, "scene {scene}: {overlap}");
                    }
                }
            }
            let overlaps = |frame: &Vec<GroundTruth>| {
                let pairs = frame
                    .iter()
                    .enumerate()
                    .flat_map(|(i, a)| frame[..i].iter().map(move |b| (a, b)));
                pairs
                    .map(|(a, b)| iou(&a.bounding_box, &b.bounding_box))
                    .fold(0.0, f32::max)
                    > 0.05
            };
            overlapping += usize::from(frames.iter().any(overlaps));
        }
        assert_eq!(overlapping, 3, "all scenes with several snacks");
    }

    #[test]
    fn a_snack_behind_another_one_has_no_true_box() {
        let image = RgbImage::new(160, 120);
        let layer = |longer: f32, position| Layer {
            snack: 0,
            sprite: Sprite::upright(cutout(0, 0), longer),
            position,
        };
        let number = |layers: Vec<Layer>| Layers(layers).visible(&image).count();
        let (small, large) = (|x| layer(30.0, (x, 60)), || layer(90.0, (80, 60)));
        assert_eq!(number(vec![small(80)]), 1);
        assert_eq!(number(vec![small(80), large()]), 1, "hidden");
        assert_eq!(number(vec![large(), small(80)]), 2, "in front");
        assert_eq!(number(vec![small(20), large()]), 2, "beside");
        assert_eq!(number(vec![small(-14)]), 0, "outside");
    }

    #[test]
    fn frames_can_be_requested_in_any_order() {
        let (mut forwards, mut jumping) =
            (MovingScene::new(1, 64, 48), MovingScene::new(1, 64, 48));
        let frames: Vec<Scene> = (0..310).map(|number| forwards.frame(number)).collect();
        for number in [309, 3, 151, 0, 149, 150, 3] {
            assert_eq!(jumping.frame(number), frames[number as usize]);
        }
    }
}
