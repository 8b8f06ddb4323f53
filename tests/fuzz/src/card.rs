//! The JSON of a model card.

use boxcam::card::{METADATA_KEY, ModelCard};

use crate::Bounds;

pub fn run(bytes: &[u8]) {
    let json = String::from_utf8_lossy(bytes);
    Bounds::TEXT.check(|| {
        let Ok(card) = ModelCard::from_metadata([(METADATA_KEY, &*json)]) else {
            return;
        };
        let (key, json) = card.to_metadata();
        let again = ModelCard::from_metadata([(key, &*json)]).expect("a card can be read again");
        assert_eq!(again.labels.len(), card.labels.len());
    });
}
