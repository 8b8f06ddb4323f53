use super::*;

fn read(json: &str) -> Result<ModelCard, CardError> {
    ModelCard::from_metadata([("author", "x"), (METADATA_KEY, json)])
}

#[test]
fn a_card_comes_back_as_it_was() {
    let card = test_card(224);
    let (key, json) = card.to_metadata();
    assert_eq!(key, METADATA_KEY);
    assert_eq!(read(&json).expect("reads"), card);
}

#[test]
fn no_card_a_newer_one_and_a_broken_one_are_told_apart() {
    assert!(matches!(
        ModelCard::from_metadata([]),
        Err(CardError::Missing)
    ));
    let newer = read(r#"{"schema": 99, "labels": 5}"#);
    assert!(matches!(newer, Err(CardError::Schema { found: 99 })));
    assert!(matches!(read("{"), Err(CardError::Json { .. })));
    assert!(matches!(
        read(r#"{"schema": 1}"#),
        Err(CardError::Json { .. })
    ));
}

#[test]
fn unusable_numbers_are_named() {
    type Breaking = fn(&mut ModelCard);
    let cases: [(&str, Breaking); 5] = [
        ("input.width", |c| c.input.width = 0),
        ("input.height", |c| c.input.height = 100_000),
        ("input.scale", |c| c.input.scale = 0.0),
        ("threshold", |c| c.threshold = 1.5),
        ("threshold", |c| c.threshold = -0.1),
    ];
    for (name, break_it) in cases {
        let mut card = test_card(224);
        break_it(&mut card);
        let error = read(&card.to_metadata().1).expect_err("refused");
        assert!(
            matches!(error, CardError::Value { field, .. } if field == name),
            "{error}"
        );
    }
}

#[test]
fn labels_of_a_card_are_checked_too() {
    let json = test_card(224).to_metadata().1.replace("banana", "apple");
    let error = read(&json).expect_err("refused");
    assert!(
        error.to_string().contains("\"apple\" stands twice"),
        "{error}"
    );
}
