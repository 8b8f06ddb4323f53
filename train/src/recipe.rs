//! The recipes: every choice of a training that is not the data.
//!
//! A recipe is plain numbers with a name. `book` is the textbook chapter as it stands; `snacks` is the one
//! that made `models/snacks.onnx`; all of them are in `known`, and any number of one can be [`Setting`]. What the choices mean is for the modules that read them.

mod known;
mod setting;

pub use setting::{Setting, SettingError};

use serde::{Deserialize, Serialize};

/// Every choice of a training that is not the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Its name on the command line and in the card.
    #[serde(skip)]
    pub name: &'static str,
    /// Which part of the trunk stays as it is.
    pub frozen: Frozen,
    /// Side of the pictures that the network is shown, in training and on the device, in pixels; none is that
    /// of the weights.
    pub side: Option<u32>,
    /// What counts as one example.
    pub examples: Examples,
    /// Which box head.
    pub box_head: BoxHeadKind,
    /// Views of each picture whose features are kept; the first is the picture as it is. Where no
    /// features are kept, no view is shown twice and this number does not matter.
    pub views: usize,
    /// Made-up scenes with one snack each, beside the pictures.
    pub scenes: usize,
    /// Made-up backgrounds without any snack: every class is to be as unlikely as any other.
    pub backgrounds: usize,
    /// Parts of the pictures that no box touches, at most: as the backgrounds, but real.
    pub empty_parts: usize,
    /// Share of the class head's features left out at random.
    pub dropout: f64,
    /// Share of a class's certainty that is spread over all classes.
    pub label_smoothing: f32,
    /// Share of what is to be learnt of the class that is a teacher's word, where there is a teacher.
    pub taught: f32,
    /// Weight of how unlike a teacher's features those of the class head are, where there is a teacher.
    pub likeness: f32,
    /// Weight of the box loss; the class loss has weight 1.
    pub box_loss: BoxLoss,
    /// Share of the views that never come twice into which another picture is mixed (Zhang et al. 2018).
    pub mixed: f32,
    /// Epochs at the end in which pictures are shown nearly as they are, with nothing mixed in or hidden: what the
    /// device will see. Only where no features are kept.
    pub settling: usize,
    /// Factor of the class head's squared weights in the loss.
    pub l2: f32,
    /// Decoupled weight decay of AdamW; 0 makes it Adam.
    pub weight_decay: f32,
    /// How far the mean of the weights over the last steps, which is what a training makes, moves at each
    /// step towards the weights themselves; 1 takes the weights as they are.
    pub averaging: f32,
    /// Examples a step.
    pub batch: usize,
    /// Learning rates.
    pub schedule: Schedule,
}

/// What counts as one example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Examples {
    /// Each row, with its own class and box; a picture with three rows is seen three times.
    Rows,
    /// Each picture, with its folder's class and its largest box; one without rows teaches its class.
    Pictures,
}

/// Which box head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BoxHeadKind {
    /// [`crate::heads::GlobalBoxHead`]
    Pooled,
    /// [`crate::heads::FcosHead`]; only where the trunk learns from before its last halving on.
    Fine {
        /// Channels of its own.
        hidden: usize,
    },
}

/// Which part of the trunk stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Frozen {
    /// All of it learns, from views that are never shown twice.
    Nothing,
    /// The first so many convolutions, which see edges and colours; the rest learns, from views that are never
    /// shown twice.
    First {
        /// How many; a few less where a residual way would be cut.
        convolutions: usize,
    },
    /// All but about so many convolutions at its end; the features before them are computed once.
    AllBut {
        /// How many learn; a few more where a residual way would be cut.
        convolutions: usize,
    },
    /// Only the heads learn.
    All,
}

/// What a wrong box costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BoxLoss {
    /// Nothing: the class alone is learnt.
    None,
    /// Mean squared error of the corners, times the weight.
    SquaredError {
        /// The weight.
        weight: f32,
    },
    /// `1 - GIoU` (Rezatofighi et al. 2019) and a smooth L1 of the corners, times the weight; of a
    /// [`crate::heads::FcosHead`] also what each cell says.
    Overlap {
        /// Weight of the smooth L1.
        smooth_l1: f32,
        /// Weight of `1 - GIoU` of the boxes of the cells inside the true one.
        cells: f32,
        /// Weight of the cross-entropy between how much cells count and which lie in the middle of the true
        /// box.
        middle: f32,
    },
}

/// How the learning rate goes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Three equally long phases, each with a tenth of the rate before.
    Steps {
        /// All epochs.
        epochs: usize,
        /// The first rate.
        rate: f64,
    },
    /// Up from 0 over a third of the first epoch, then down to 0 along a cosine.
    Cosine {
        /// All epochs.
        epochs: usize,
        /// Highest rate of the heads.
        heads: f64,
        /// Highest rate of the trained part of the trunk.
        trunk: f64,
    },
}

/// Learning rates of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Of the heads.
    pub heads: f64,
    /// Of the trained part of the trunk.
    pub trunk: f64,
}

impl Recipe {
    /// All recipes.
    #[must_use]
    pub fn all() -> [Self; 5] {
        let (quick, snacks, small) = (Self::quick(), Self::snacks(), Self::small());
        [quick, snacks, small, Self::classifier(), Self::book()]
    }

    /// Whether features of the frozen part are computed once and kept; else views are never shown twice.
    #[must_use]
    pub fn keeps_features(&self) -> bool {
        match self.frozen {
            Frozen::Nothing | Frozen::First { .. } => false,
            Frozen::AllBut { .. } | Frozen::All => true,
        }
    }

    /// The recipe of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|recipe| recipe.name == name)
    }
}

impl Schedule {
    /// All epochs.
    #[must_use]
    pub fn epochs(&self) -> usize {
        match self {
            Self::Steps { epochs, .. } | Self::Cosine { epochs, .. } => *epochs,
        }
    }

    /// The same course over another number of epochs, at least 1.
    #[must_use]
    pub fn with_epochs(mut self, wanted: usize) -> Self {
        match &mut self {
            Self::Steps { epochs, .. } | Self::Cosine { epochs, .. } => *epochs = wanted.max(1),
        }
        self
    }

    /// The rates at `done`, epochs done so far with their fraction.
    #[must_use]
    pub fn rates(&self, done: f64) -> Rates {
        match *self {
            Self::Steps { epochs, rate } => {
                let phase = (3.0 * done / epochs as f64).floor().min(2.0) as i32;
                let heads = rate * 0.1f64.powi(phase);
                Rates {
                    heads,
                    trunk: heads,
                }
            }
            Self::Cosine {
                epochs,
                heads,
                trunk,
            } => {
                let warm_up = (done / 0.3).min(1.0);
                let turn = std::f64::consts::PI * (done / epochs as f64).min(1.0);
                let factor = warm_up * 0.5 * (1.0 + turn.cos());
                Rates {
                    heads: heads * factor,
                    trunk: trunk * factor,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chapter_takes_three_phases_of_five() {
        let schedule = Recipe::book().schedule;
        assert_eq!(schedule.epochs(), 15);
        for (done, rate) in [(0.0, 1e-3), (4.99, 1e-3), (5.0, 1e-4), (14.9, 1e-5)] {
            let heads = schedule.rates(done).heads;
            assert!((heads / rate - 1.0).abs() < 1e-9, "{done}: {heads}");
        }
    }

    #[test]
    fn the_cosine_starts_and_ends_at_nothing() {
        let schedule = Recipe::snacks().schedule;
        let epochs = schedule.epochs() as f64;
        assert_eq!(schedule.rates(0.0).heads, 0.0);
        assert!(schedule.rates(epochs).heads < 1e-12);
        assert!(schedule.rates(0.3).heads > 0.99e-3);
        assert!(schedule.rates(0.3).trunk < schedule.rates(0.3).heads);
    }

    #[test]
    fn every_recipe_is_found_by_its_name() {
        for recipe in Recipe::all() {
            assert_eq!(Recipe::named(recipe.name), Some(recipe));
        }
        assert_eq!(Recipe::named("soup"), None);
    }
}
