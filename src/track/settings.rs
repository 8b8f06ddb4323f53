//! What a tracker is asked to do, all of it in scores and in time.

use std::time::Duration;

/// When something appears, stays, changes and leaves, and how its box is smoothed.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackSettings {
    /// Score of any class, `0..=1`, from which a frame supports something.
    pub appear: f32,
    /// Score of the class that is held, `0..=1`, from which a frame supports what is there; not above
    /// `appear`.
    pub stay: f32,
    /// Support, less the time without, that it takes to appear.
    pub appear_after: Duration,
    /// Time without support after which what is there is shown no more.
    pub hide_after: Duration,
    /// Time without support after which something of another class is another thing.
    pub renew_after: Duration,
    /// Time without support after which what is there has left.
    pub leave_after: Duration,
    /// Time without any frame after which nothing is known any more; what was there has left.
    pub gap: Duration,
    /// Time over which scores are smoothed: the weight of a frame falls to 1/e in it.
    pub label_memory: Duration,
    /// By how much the smoothed score of another class must be higher.
    pub change_margin: f32,
    /// For how long it must be higher.
    pub change_after: Duration,
    /// IoU with the smoothed box below which a box has jumped.
    pub jump_iou: f32,
    /// For how long it must be elsewhere until the smoothed box goes there.
    pub jump_after: Duration,
    /// How calm a box is that stands still: cutoff of the filter, in hertz.
    pub calm: f32,
    /// How much quicker the filter is for a box that moves: hertz for each picture side a second.
    pub haste: f32,
}

impl TrackSettings {
    /// Share of the threshold to appear that is enough to stay.
    const STAY: f32 = 0.7;

    /// Settings for a model whose predictions are detections from `threshold` on, in `0..=1`.
    #[must_use]
    pub fn new(threshold: f32) -> Self {
        Self {
            appear: threshold,
            stay: threshold * Self::STAY,
            appear_after: Duration::from_millis(150),
            hide_after: Duration::from_millis(250),
            renew_after: Duration::from_millis(80),
            leave_after: Duration::from_millis(1200),
            gap: Duration::from_secs(5),
            label_memory: Duration::from_millis(300),
            change_margin: 0.1,
            change_after: Duration::from_millis(300),
            jump_iou: 0.3,
            jump_after: Duration::from_millis(150),
            calm: 1.0,
            haste: 30.0,
        }
    }
}
