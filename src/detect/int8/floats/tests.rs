use super::*;

fn lists(input: &[f32], output: usize) -> FloatLists {
    let mut lists = FloatLists::new(&[input.len(), output]);
    lists.list_mut(FloatId(0)).copy_from_slice(input);
    lists
}

#[test]
fn softmax_sums_to_one_along_its_axis() {
    // [1, 2, 3]: along the second of the three dimensions, for each of the three places of the last.
    let mut lists = lists(&[1.0, 2.0, 1000.0, 1.0, 3.0, 1000.0], 6);
    let softmax = FloatOperation::Softmax {
        input: FloatId(0),
        axis: 2,
        inner: 3,
        output: FloatId(1),
    };
    softmax.run(&mut lists);
    let out = lists.list(FloatId(1));
    assert_eq!([out[0], out[3], out[2], out[5]], [0.5; 4]);
    let expected = 1.0 / (1.0 + 1.0f32.exp());
    assert!((out[1] - expected).abs() < 1e-6 && (out[4] - 1.0 + expected).abs() < 1e-6);
}

#[test]
fn pairs_repeat_what_is_short() {
    // [2, 3] minus [1, 3], as ONNX broadcasts.
    let mut lists = lists(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 6);
    let operand = |numbers, strides: &[usize]| Operand {
        numbers,
        strides: strides.to_vec(),
    };
    let minus = FloatOperation::Pairs {
        function: PairFunction::Subtract,
        inputs: [
            operand(Numbers::List(FloatId(0)), &[3, 1]),
            operand(Numbers::Constant(vec![1.0, 0.0, -1.0]), &[0, 1]),
        ],
        shape: vec![2, 3],
        output: FloatId(1),
    };
    minus.run(&mut lists);
    assert_eq!(lists.list(FloatId(1)), [0.0, 2.0, 4.0, 3.0, 5.0, 7.0]);
}

#[test]
fn pairs_are_the_same_in_any_steps() {
    let columns: Vec<f32> = (0..12).map(|n| n as f32 * 1.5 - 4.0).collect();
    let list = lists(&columns, 12);
    let operand = |strides: [usize; 2]| Operand {
        numbers: Numbers::List(FloatId(0)),
        strides: strides.to_vec(),
    };
    // Rows of 4, one number for each row, one for each column, and columns of 3 read as rows.
    let ways = [[4, 1], [4, 0], [0, 1], [1, 3]];
    let functions = [
        PairFunction::Subtract,
        PairFunction::Divide,
        PairFunction::Min,
    ];
    for (a, b) in ways.iter().flat_map(|a| ways.map(|b| (*a, b))) {
        for function in functions {
            let mut list = list.clone();
            let pairs = FloatOperation::Pairs {
                function,
                inputs: [operand(a), operand(b)],
                shape: vec![3, 4],
                output: FloatId(1),
            };
            pairs.run(&mut list);
            for (place, found) in list.list(FloatId(1)).iter().enumerate() {
                let at =
                    |[down, across]: [usize; 2]| columns[place / 4 * down + place % 4 * across];
                let (one, other) = (at(a), at(b));
                let expected = match function {
                    PairFunction::Subtract => one - other,
                    PairFunction::Divide => one / other,
                    _ => one.min(other),
                };
                assert_eq!(found.to_bits(), expected.to_bits(), "{a:?} {b:?}");
            }
        }
    }
}

#[test]
fn a_product_is_rows_by_columns() {
    let mut lists = FloatLists::new(&[4, 0, 6, 2]);
    lists
        .list_mut(FloatId(0))
        .copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
    let right = [1.0, 0.0, 2.0, 0.0, 1.0, 3.0];
    let product = FloatOperation::Product {
        inputs: [Numbers::List(FloatId(0)), Numbers::Constant(right.to_vec())],
        size: [2, 2, 3],
        output: FloatId(2),
    };
    product.run(&mut lists);
    assert_eq!(lists.list(FloatId(2)), [1.0, 2.0, 8.0, 3.0, 4.0, 18.0]);
    let part = FloatOperation::Part {
        input: FloatId(2),
        from: 3,
        output: FloatId(3),
    };
    part.run(&mut lists);
    assert_eq!(lists.list(FloatId(3)), [3.0, 4.0]);
}
