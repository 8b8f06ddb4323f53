//! Thresholds and times of a tracker.

use std::time::Duration;

/// When a track appears, changes and ends, and how its bounding box is smoothed.
///
/// All is in scores and seconds, not in numbers of frames, so that the frame rate does not matter.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackSettings {
    /// A frame whose highest score reaches this, in `0..=1`, supports any track, and starts one.
    pub high_threshold: f32,
    /// A frame in which the score of the track's class reaches this, in `0..=1`, supports the track (hysteresis). Not
    /// above `high_threshold`.
    pub low_threshold: f32,
    /// A track appears when the time with support exceeds the time without by this much.
    pub appear_after: Duration,
    /// A track is hidden after this time without support.
    pub hide_after: Duration,
    /// A track is hidden after this time in which it was not looked for.
    pub hide_unobserved_after: Duration,
    /// After this time without support, another class is another track.
    pub new_track_after: Duration,
    /// A track ends after this time without support.
    pub leave_after: Duration,
    /// A track is stationary after this time at the same place.
    pub stationary_after: Duration,
    /// All is forgotten after this time without a frame.
    pub reset_after: Duration,
    /// Time constant of the score smoothing: the weight of a frame falls to 1/e in this time.
    pub score_time_constant: Duration,
    /// The smoothed score of another class must be higher by this for the class to change.
    pub change_margin: f32,
    /// For this time.
    pub change_after: Duration,
    /// A box whose IoU with the smoothed box is lower has jumped.
    pub jump_iou: f32,
    /// The smoothed box follows a jump after this time.
    pub jump_after: Duration,
    /// Minimum cutoff frequency of the One Euro filter in hertz: lower is smoother for a box that does not move.
    pub min_cutoff: f32,
    /// Increase of the cutoff with speed, in hertz per image side per second: higher has less lag.
    pub beta: f32,
}

/// `low_threshold` as a share of `high_threshold`.
const LOW_THRESHOLD_SHARE: f32 = 0.7;

impl TrackSettings {
    /// Settings for a model with this confidence threshold, in `0..=1`.
    #[must_use]
    pub fn new(threshold: f32) -> Self {
        Self {
            high_threshold: threshold,
            low_threshold: threshold * LOW_THRESHOLD_SHARE,
            appear_after: Duration::from_millis(150),
            hide_after: Duration::from_millis(250),
            hide_unobserved_after: Duration::from_millis(500),
            new_track_after: Duration::from_millis(80),
            leave_after: Duration::from_millis(1200),
            stationary_after: Duration::from_secs(5),
            reset_after: Duration::from_secs(5),
            score_time_constant: Duration::from_millis(300),
            change_margin: 0.1,
            change_after: Duration::from_millis(300),
            jump_iou: 0.3,
            jump_after: Duration::from_millis(150),
            min_cutoff: 1.0,
            beta: 30.0,
        }
    }
}
