//! The mean of the weights of several trainings that went on from the same model.
//!
//! In go float models of one shape, out comes one whose every weight is the mean of theirs: it costs nothing more to run
//! and often carries over better than each of them ("Model soups", Wortsman et al. 2022). It only makes sense of trainings with a
//! common start; those of two fresh heads are as far apart as strangers. Models of different shape, classes or input are
//! refused, and so are int8 models, whose scales can't be averaged.

use boxcam::card::{CardError, ModelCard};
use thiserror::Error;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use crate::onnx::card;
use crate::onnx::{set_card, tensor_floats};

/// Models that have no mean.
#[derive(Debug, Error)]
pub enum AverageError {
    /// There is nothing to average.
    #[error("{found} model is its own mean; give two or more")]
    TooFew {
        /// How many were given.
        found: usize,
    },
    /// One of them has no card that can be used.
    #[error("model {model} of those given: {source}")]
    Card {
        /// Its place, from 1.
        model: usize,
        /// What is wrong with the card.
        source: CardError,
    },
    /// One of them is of another kind than the first.
    #[error(
        "model {model} of those given: {what}; average only float models that went on from the same one"
    )]
    Differs {
        /// Its place, from 1.
        model: usize,
        /// What is not as in the first.
        what: String,
    },
}

/// The mean of float models. The card is that of the first, without figures, and names how many there were.
///
/// # Errors
/// [`AverageError`] when there are fewer than two, or one of them is of another kind than the first.
pub fn average(models: &[pb::ModelProto]) -> Result<pb::ModelProto, AverageError> {
    let [first, others @ ..] = models else {
        return Err(AverageError::TooFew { found: 0 });
    };
    if others.is_empty() {
        return Err(AverageError::TooFew { found: 1 });
    }
    let cards = models.iter().enumerate().map(|(index, model)| {
        let model_number = index + 1;
        card(model).map_err(|source| AverageError::Card {
            model: model_number,
            source,
        })
    });
    let cards: Vec<ModelCard> = cards.collect::<Result<_, _>>()?;
    for (index, (model, card)) in models.iter().zip(&cards).enumerate() {
        same_kind((first, &cards[0]), (model, card)).map_err(|what| AverageError::Differs {
            model: index + 1,
            what,
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

/// Whether another model has the first one's graph, classes and input; else what is different.
fn same_kind(
    (first, first_card): (&pb::ModelProto, &ModelCard),
    (other, card): (&pb::ModelProto, &ModelCard),
) -> Result<(), String> {
    if card.labels != first_card.labels {
        return Err("it has other classes than the first".to_owned());
    }
    if card.input != first_card.input {
        return Err("it takes other pictures than the first".to_owned());
    }
    let (Some(first), Some(other)) = (&first.graph, &other.graph) else {
        return Err("it has no graph".to_owned());
    };
    if let Some(node) = other.node.iter().find(|n| n.op_type == "QuantizeLinear") {
        return Err(format!("it is int8 ({})", node.name));
    }
    if first.node != other.node {
        return Err("it has other layers than the first".to_owned());
    }
    for tensor in &first.initializer {
        let name = &tensor.name;
        let found = constant(other, name).ok_or_else(|| format!("it has no {name}"))?;
        if (&found.dims, found.data_type) != (&tensor.dims, tensor.data_type) {
            return Err(format!("its {name} is of another shape"));
        }
        let is_float = tensor.data_type == DataType::Float as i32;
        if !is_float && found.raw_data != tensor.raw_data {
            return Err(format!("its {name} is another"));
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

    /// A model of one convolution whose weights are all the same.
    fn model(weight: f32, outputs: usize, classes: [&str; 2]) -> pb::ModelProto {
        let card = ModelCard {
            schema: CARD_SCHEMA,
            name: "made up".to_owned(),
            labels: Labels::new(classes.map(str::to_owned).to_vec()).expect("sound"),
            input: InputSpec::mobilenet(32),
            box_order: BoxOrder::Corners,
            threshold: 0.5,
            training: Training {
                recipe: "snacks".to_owned(),
                ..Training::default()
            },
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

    fn refusal(second: pb::ModelProto) -> String {
        let models = [model(1.0, 4, FRUIT), second];
        average(&models).expect_err("refused").to_string()
    }

    #[test]
    fn every_weight_is_the_mean_and_all_else_stays() {
        let models = [1.0, 2.0, 6.0].map(|weight| model(weight, 4, FRUIT));
        let mean = average(&models).expect("of one kind");
        let graph = mean.graph.as_ref().expect("a graph");
        let numbers = |name| tensor_floats(constant(graph, name).expect("there"));
        assert_eq!(numbers("trunk.0.weight"), Some(vec![3.0; 4 * 27]));
        assert_eq!(numbers("trunk.0.bias"), Some(vec![-3.0; 4]));
        assert_eq!(numbers("trunk.0.relu6.max"), Some(vec![6.0]));
        let first = models[0].graph.as_ref().expect("a graph");
        assert_eq!(graph.node, first.node);
        let card = card(&mean).expect("has one");
        assert_eq!(card.training.recipe, "snacks, mean of 3");
        assert!(card.figures.is_empty(), "they are those of another model");
    }

    #[test]
    fn models_of_different_kinds_are_refused_by_number() {
        let said = refusal(model(1.0, 4, ["apple", "cherry"]));
        assert!(
            said.starts_with("model 2 of those given: it has other classes"),
            "{said}"
        );
        let said = refusal(model(1.0, 5, FRUIT));
        assert!(
            said.contains("its trunk.0.weight is of another shape"),
            "{said}"
        );
        let mut int8 = model(1.0, 4, FRUIT);
        let graph = int8.graph.as_mut().expect("a graph");
        graph.node[0].op_type = "QuantizeLinear".to_owned();
        assert!(refusal(int8).contains("it is int8"));
        let mut bare = model(1.0, 4, FRUIT);
        bare.metadata_props.clear();
        assert!(refusal(bare).starts_with("model 2 of those given: "));
        let alone = average(&[model(1.0, 4, FRUIT)]).expect_err("refused");
        assert!(
            matches!(alone, AverageError::TooFew { found: 1 }),
            "{alone}"
        );
    }
}
