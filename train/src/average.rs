//! Model soups: the mean of the weights of several trainings that started from the same model.
//!
//! The mean costs nothing at run time and often generalizes better than each model ("Model soups", Wortsman et al. 2022).
//! Only trainings with a common start can be averaged: independently initialized heads have no useful mean.

use boxcam::card::{CardError, ModelCard};
use thiserror::Error;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use crate::onnx::{card, set_card, tensor_floats};

/// Why models can't be averaged.
#[derive(Debug, Error)]
pub enum AverageError {
    #[error("{found} model(s) can't be averaged; give two or more")]
    TooFew { found: usize },
    #[error("model {model}: {source}")]
    Card {
        /// Position among the given models, from 1.
        model: usize,
        source: CardError,
    },
    #[error(
        "model {model}: {difference}; average only float models that were trained from the same one"
    )]
    Differs {
        /// Position among the given models, from 1.
        model: usize,
        difference: Difference,
    },
}

/// What differs from the first model.
#[derive(Debug, Error)]
pub enum Difference {
    #[error("it has other classes than model 1")]
    Labels,
    #[error("it has another input than model 1")]
    Input,
    #[error("it has no graph")]
    NoGraph,
    #[error("it is an int8 model (node {0})")]
    Int8(String),
    #[error("it has other layers than model 1")]
    Layers,
    #[error("it has no constant {0}")]
    Missing(String),
    #[error("its constant {0} has another shape than in model 1")]
    Shape(String),
    #[error("its constant {0} has another value than in model 1")]
    Value(String),
}

/// The mean of float models. The card is that of the first without its figures; its recipe names the number of models.
///
/// # Errors
/// [`AverageError`] when there are fewer than two, or one differs from the first in more than its weights.
pub fn average(models: &[pb::ModelProto]) -> Result<pb::ModelProto, AverageError> {
    let [first, others @ ..] = models else {
        return Err(AverageError::TooFew { found: 0 });
    };
    if others.is_empty() {
        return Err(AverageError::TooFew { found: 1 });
    }
    let cards = models.iter().enumerate().map(|(index, model)| {
        card(model).map_err(|source| AverageError::Card {
            model: index + 1,
            source,
        })
    });
    let cards: Vec<ModelCard> = cards.collect::<Result<_, _>>()?;
    for (index, (model, card)) in models.iter().zip(&cards).enumerate() {
        check_same_kind((first, &cards[0]), (model, card)).map_err(|difference| {
            AverageError::Differs {
                model: index + 1,
                difference,
            }
        })?;
    }
    let mut mean = first.clone();
    let graphs: Vec<&pb::GraphProto> = others.iter().filter_map(|m| m.graph.as_ref()).collect();
    for tensor in mean
        .graph
        .iter_mut()
        .flat_map(|graph| &mut graph.initializer)
    {
        let same = graphs
            .iter()
            .filter_map(|graph| constant(graph, &tensor.name));
        let same: Vec<Vec<f32>> = same.filter_map(tensor_floats).collect();
        if let Some(own) = tensor_floats(tensor) {
            tensor.float_data.clear();
            tensor.raw_data = mean_of(&own, &same).flat_map(f32::to_le_bytes).collect();
        }
    }
    let mut card = cards[0].clone();
    card.figures.clear();
    card.golden.clear();
    card.training.calibration.clear();
    card.training.recipe = format!("{}, mean of {}", card.training.recipe, models.len());
    set_card(&mut mean, &card);
    Ok(mean)
}

fn mean_of(own: &[f32], others: &[Vec<f32>]) -> impl Iterator<Item = f32> {
    let count = others.len() as f64 + 1.0;
    own.iter().enumerate().map(move |(index, &own)| {
        let others: f64 = others.iter().map(|other| f64::from(other[index])).sum();
        ((f64::from(own) + others) / count) as f32
    })
}

fn constant<'a>(graph: &'a pb::GraphProto, name: &str) -> Option<&'a pb::TensorProto> {
    graph.initializer.iter().find(|tensor| tensor.name == name)
}

/// Checks that a model has the first one's graph, classes and input.
fn check_same_kind(
    (first, first_card): (&pb::ModelProto, &ModelCard),
    (other, card): (&pb::ModelProto, &ModelCard),
) -> Result<(), Difference> {
    if card.labels != first_card.labels {
        return Err(Difference::Labels);
    }
    if card.input != first_card.input {
        return Err(Difference::Input);
    }
    let (Some(first), Some(other)) = (&first.graph, &other.graph) else {
        return Err(Difference::NoGraph);
    };
    if let Some(node) = other.node.iter().find(|n| n.op_type == "QuantizeLinear") {
        return Err(Difference::Int8(node.name.clone()));
    }
    if first.node != other.node {
        return Err(Difference::Layers);
    }
    for tensor in &first.initializer {
        let name = || tensor.name.clone();
        let found = constant(other, &tensor.name).ok_or_else(|| Difference::Missing(name()))?;
        if (&found.dims, found.data_type) != (&tensor.dims, tensor.data_type) {
            return Err(Difference::Shape(name()));
        }
        let is_float = tensor.data_type == DataType::Float as i32;
        if !is_float && found.raw_data != tensor.raw_data {
            return Err(Difference::Value(name()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use boxcam::card::{BoxOrder, CARD_SCHEMA, InputSpec, Training};
    use boxcam::label::Labels;

    use super::*;
    use crate::layer::ConvWeights;
    use crate::onnx::{GraphBuilder, INPUT};

    /// A model of one convolution whose weights are all equal.
    fn model(weight: f32, outputs: usize, classes: [&str; 2]) -> pb::ModelProto {
        let card = ModelCard {
            schema: CARD_SCHEMA,
            name: "test".to_owned(),
            labels: Labels::new(classes.map(str::to_owned).to_vec()).expect("valid labels"),
            input: InputSpec::mobilenet(32),
            box_order: BoxOrder::Corners,
            threshold: 0.5,
            objects: None,
            training: Training {
                recipe: "snacks".to_owned(),
                ..Training::default()
            },
            origin: None,
            figures: [("mean_iou".to_owned(), 0.5)].into(),
            golden: Vec::new(),
        };
        let conv = ConvWeights {
            shape: [outputs, 3, 3, 3],
            weights: vec![weight; outputs * 27],
            bias: vec![-weight; outputs],
            stride: 2,
            groups: 1,
        };
        let mut graph = GraphBuilder::new(&card.name, &card.input);
        let map = graph.conv_relu6("trunk.0", INPUT, &conv);
        let scores = graph.pool("scores", &map);
        let corners = graph.pool("corners", &map);
        graph.finish(&scores, &corners, &card)
    }

    const FRUIT: [&str; 2] = ["apple", "banana"];

    fn average_error(second: pb::ModelProto) -> String {
        let models = [model(1.0, 4, FRUIT), second];
        average(&models).expect_err("refused").to_string()
    }

    #[test]
    fn weights_are_averaged_and_the_rest_is_kept() {
        let models = [1.0, 2.0, 6.0].map(|weight| model(weight, 4, FRUIT));
        let mean = average(&models).expect("average");
        let graph = mean.graph.as_ref().expect("graph");
        let numbers = |name| tensor_floats(constant(graph, name).expect("constant"));
        assert_eq!(numbers("trunk.0.weight"), Some(vec![3.0; 4 * 27]));
        assert_eq!(numbers("trunk.0.bias"), Some(vec![-3.0; 4]));
        assert_eq!(numbers("trunk.0.relu6.max"), Some(vec![6.0]));
        let first = models[0].graph.as_ref().expect("graph");
        assert_eq!(graph.node, first.node);
        let card = card(&mean).expect("card");
        assert_eq!(card.training.recipe, "snacks, mean of 3");
        assert!(card.figures.is_empty(), "figures of a single model");
    }

    #[test]
    fn different_models_are_refused_by_their_number() {
        let error = average_error(model(1.0, 4, ["apple", "cherry"]));
        assert!(
            error.starts_with("model 2: it has other classes"),
            "{error}"
        );
        let error = average_error(model(1.0, 5, FRUIT));
        assert!(
            error.contains("its constant trunk.0.weight has another shape"),
            "{error}"
        );
        let mut int8 = model(1.0, 4, FRUIT);
        let graph = int8.graph.as_mut().expect("graph");
        graph.node[0].op_type = "QuantizeLinear".to_owned();
        assert!(average_error(int8).contains("it is an int8 model"));
        let mut bare = model(1.0, 4, FRUIT);
        bare.metadata_props.clear();
        assert!(average_error(bare).starts_with("model 2: "));
        let alone = average(&[model(1.0, 4, FRUIT)]).expect_err("refused");
        assert!(
            matches!(alone, AverageError::TooFew { found: 1 }),
            "{alone}"
        );
    }
}
