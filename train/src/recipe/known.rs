//! The recipes that have a name.

use super::{BoxHeadKind, BoxLoss, Examples, Frozen, Recipe, Schedule};

impl Recipe {
    /// The recipe of the textbook chapter: both heads on a frozen extractor, row by row.
    #[must_use]
    pub fn book() -> Self {
        Self {
            name: "book",
            frozen: Frozen::All,
            side: None,
            examples: Examples::Rows,
            box_head: BoxHeadKind::Pooled,
            views: 1,
            scenes: 0,
            backgrounds: 0,
            empty_parts: 0,
            dropout: 0.7,
            label_smoothing: 0.0,
            taught: 0.5,
            likeness: 2.0,
            box_loss: BoxLoss::SquaredError { weight: 10.0 },
            mixed: 0.0,
            settling: 0,
            l2: 0.01,
            weight_decay: 0.0,
            averaging: 1.0,
            batch: 32,
            schedule: Schedule::Steps {
                epochs: 15,
                rate: 1e-3,
            },
        }
    }

    /// What the textbook chapter starts from: the class alone, all layers learning, in its trunk and its picture size.
    #[must_use]
    pub fn classifier() -> Self {
        Self {
            name: "classifier",
            frozen: Frozen::Nothing,
            examples: Examples::Pictures,
            dropout: 0.3,
            box_loss: BoxLoss::None,
            l2: 0.0,
            averaging: 0.02,
            schedule: Schedule::Cosine {
                epochs: 4,
                heads: 1e-3,
                trunk: 2e-4,
            },
            ..Self::book()
        }
    }

    /// The recipe of the model that ships: all but the first layers learn, from views that are cropped, mirrored,
    /// recoloured, partly hidden and mixed anew each time; a picture's largest box is the one to find, and every cell
    /// of the finer map is taught; made-up scenes and backgrounds are among the pictures.
    #[must_use]
    pub fn snacks() -> Self {
        Self {
            name: "snacks",
            frozen: Frozen::First { convolutions: 12 },
            side: Some(288),
            examples: Examples::Pictures,
            box_head: BoxHeadKind::Fine { hidden: 128 },
            views: 1,
            scenes: 400,
            backgrounds: 300,
            empty_parts: 1000,
            dropout: 0.3,
            label_smoothing: 0.1,
            taught: 0.5,
            likeness: 2.0,
            box_loss: BoxLoss::Overlap {
                smooth_l1: 2.0,
                cells: 1.0,
                middle: 0.3,
            },
            mixed: 0.5,
            settling: 0,
            l2: 0.0,
            weight_decay: 0.05,
            averaging: 0.005,
            batch: 32,
            schedule: Schedule::Cosine {
                epochs: 6,
                heads: 1e-3,
                trunk: 1.5e-4,
            },
        }
    }

    /// The small model, for the slowest boards: as `snacks`, on pictures of 96 x 96 (59 million
    /// multiply-adds), from a trunk that knows snacks already, all of which has to get used to coarser pictures.
    #[must_use]
    pub fn small() -> Self {
        Self {
            name: "small",
            frozen: Frozen::Nothing,
            side: Some(96),
            box_head: BoxHeadKind::Fine { hidden: 96 },
            schedule: Schedule::Cosine {
                epochs: 10,
                heads: 1e-3,
                trunk: 3e-4,
            },
            ..Self::snacks()
        }
    }

    /// For one's own pictures in a few minutes: only the end of the trunk learns, on features that are
    /// computed once.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            name: "quick",
            frozen: Frozen::AllBut { convolutions: 13 },
            side: Some(256),
            views: 4,
            scenes: 0,
            backgrounds: 100,
            empty_parts: 100,
            box_loss: BoxLoss::Overlap {
                smooth_l1: 2.0,
                cells: 1.0,
                middle: 1.0,
            },
            averaging: 0.05,
            schedule: Schedule::Cosine {
                epochs: 10,
                heads: 2e-3,
                trunk: 4e-4,
            },
            ..Self::snacks()
        }
    }
}
