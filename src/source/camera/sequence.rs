//! SequenceCounter of frames: in go those of a driver, out come ours, from 0, which only grow.

/// The largest gap in a driver's numbers that is taken for lost frames.
const LARGEST_GAP: u32 = 1000;

/// SequenceCounter of frames from a driver's, which wrap, stand still or jump in some drivers.
#[derive(Debug, Default)]
pub(super) struct SequenceCounter {
    /// The driver's last number, and ours.
    last: Option<(u32, u64)>,
}

impl SequenceCounter {
    pub(super) fn after(&mut self, theirs: u32) -> u64 {
        let ours = match self.last {
            None => 0,
            Some((last, ours)) => {
                let gap = theirs.wrapping_sub(last);
                let is_likely = (1..=LARGEST_GAP).contains(&gap);
                ours + u64::from(if is_likely { gap } else { 1 })
            }
        };
        self.last = Some((theirs, ours));
        ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_numbered_as_the_driver_does_where_that_makes_sense() {
        let mut numbers = SequenceCounter::default();
        let ours = [7, 8, 11, 11, 12, 0, 1, 900_000, 900_001].map(|theirs| numbers.after(theirs));
        assert_eq!(ours, [0, 1, 4, 5, 6, 7, 8, 9, 10]);
        let mut wraps = SequenceCounter::default();
        assert_eq!(
            [u32::MAX, 0, 2].map(|theirs| wraps.after(theirs)),
            [0, 1, 3]
        );
    }
}
