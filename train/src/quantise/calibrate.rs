//! Calibration: which numbers each value of a network takes on real pictures, and what range of them to keep.
//!
//! In go a float model and input tensors, out come [`Observations`]; they give a [`Range`] for every value that will
//! be stored in 8 bits, by any [`Calibration`]. `docs/quantisation.md` has the figures of each.

use std::collections::BTreeMap;

use boxcam::preprocess::InputTensor;
use clap::ValueEnum;
use tract_onnx::pb;

use super::engine::Probe;
use super::histogram::Histogram;
use super::{QuantiseError, Range, stored_values};
use crate::onnx::INPUT;

/// Ranges by the name of the value.
pub type Ranges = BTreeMap<String, Range>;

/// Which range of a value is stored in 8 bits; what is outside is cut off. A narrow range has fine steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Calibration {
    /// From the least to the greatest number: nothing is cut off, and one odd picture stretches it
    #[value(name = "min-max")]
    MinMax,
    /// 0.1% of the numbers are cut off at each end
    #[value(name = "percentile-99.9")]
    Percentile999,
    /// 0.01% of the numbers are cut off at each end
    #[value(name = "percentile-99.99")]
    Percentile9999,
    /// The range with the least squared error of the stored numbers
    #[value(name = "mse")]
    LeastError,
}

/// What each value that will be stored was seen to be.
#[derive(Debug, Clone)]
pub struct Observations {
    values: BTreeMap<String, Histogram>,
}

impl Observations {
    /// Runs the model on each input, once for the ends of each stored value and once for what lies between.
    ///
    /// # Errors
    /// [`QuantiseError`] when the engine can't run the model or there is no input.
    pub fn of(model: &pb::ModelProto, inputs: &[InputTensor]) -> Result<Self, QuantiseError> {
        let shape = inputs.first().ok_or(QuantiseError::NoPictures)?.shape();
        let graph = model.graph.as_ref().ok_or(QuantiseError::NoPictures)?;
        let mut names = stored_values(graph);
        names.remove(INPUT);
        let names: Vec<String> = names.into_iter().collect();
        let probe = Probe::new(model, &names, shape)?;
        let mut whole = vec![Range::EMPTY; names.len()];
        for input in inputs {
            probe.each(input, |place, numbers| {
                whole[place].extend(numbers.all.iter().copied());
            })?;
        }
        let mut histograms: Vec<Histogram> = whole.into_iter().map(Histogram::over).collect();
        for input in inputs {
            probe.each(input, |place, numbers| {
                histograms[place].extend(numbers.all.iter().copied());
            })?;
        }
        Ok(Self {
            values: names.into_iter().zip(histograms).collect(),
        })
    }

    /// The range to store of each value.
    #[must_use]
    pub fn ranges(&self, calibration: Calibration) -> Ranges {
        let range = |histogram: &Histogram| match calibration {
            Calibration::MinMax => histogram.whole(),
            Calibration::Percentile999 => histogram.without_ends(0.001),
            Calibration::Percentile9999 => histogram.without_ends(0.0001),
            Calibration::LeastError => histogram.least_error(),
        };
        let values = self.values.iter();
        values
            .map(|(name, histogram)| (name.clone(), range(histogram)))
            .collect()
    }
}
